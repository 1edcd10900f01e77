package batch

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"runtime"
	"slices"
	"strconv"
	"sync"
	"time"

	"fernweh/batch/archive"
	"fernweh/layer"
	"fernweh/model/cluster"
	"fernweh/model/kpi"
	"fernweh/model/visitor"
	"fernweh/schemas"

	"golang.org/x/sync/errgroup"
)

// Progress hears of a run after every step, and while one works: done of all, in
// rows. The record is a copy, and that of a run in work: how it ended is what Run
// returns.
type Progress func(run schemas.Run, done, all int64)

// Run makes a generation and publishes it. The record that it returns, also with
// an error, is the one that lies in the store.
func (l *Layer) Run(ctx context.Context, progress Progress) (schemas.Run, error) {
	return l.run(ctx, progress, false)
}

// run is Run; a rebuild's first generation is the oldest that its views have.
func (l *Layer) run(ctx context.Context, progress Progress, rebuilds bool) (schemas.Run, error) {
	release, err := l.lease(ctx)
	if err != nil {
		return schemas.Run{}, err
	}
	defer release()
	chain := archive.NewChain(l.Files, l.Partitions)
	epochs, err := chain.Epochs(ctx)
	if err != nil {
		return schemas.Run{}, err
	}
	records, err := l.records(ctx)
	if err != nil {
		return schemas.Run{}, err
	}
	number, err := l.number(ctx, epochs, records)
	if err != nil {
		return schemas.Run{}, err
	}
	if err := l.settle(ctx, number, records); err != nil {
		return schemas.Run{}, err
	}
	r := &run{Layer: l, rebuilds: rebuilds, chain: chain, epochs: epochs, progress: progress, record: schemas.Run{
		Number: number, State: schemas.RunRunning, Started: l.Now().UnixMicro(),
		Settings: map[string]string{
			"segments": strconv.Itoa(l.Segments), "restarts": strconv.Itoa(l.Restarts),
			"seed": strconv.FormatUint(l.Seed, 10), "fold": strconv.Itoa(schemas.FoldVersion),
		},
		Metrics: make(map[string]float64),
	}}
	if progress == nil {
		r.progress = func(schemas.Run, int64, int64) {}
	}
	err = layer.Guard(func() error { return r.steps(ctx) })
	r.record.State = schemas.RunPublished
	if err != nil {
		r.record.State, r.record.Error = schemas.RunFailed, err.Error()
		err = fmt.Errorf("run %d: %w", number, err)
	}
	r.record.Ended = l.Now().UnixMicro()
	// The record is worth keeping also when it was ctx that ended the run.
	if saved := r.save(context.WithoutCancel(ctx)); saved != nil {
		err = errors.Join(err, saved)
	}
	return r.record, err
}

// A run is one run in work.
type run struct {
	*Layer
	rebuilds bool
	chain    *archive.Chain
	epochs   []int64 // by partition: the cut that the archive's end has come to
	progress Progress
	record   schemas.Run

	manifest *archive.Manifest
	folded   *folded
	parent   schemas.Generation // whose cells stand where nothing has changed since; run 0: everything is written
	lineage  []int64
	model    string // id of the model that the generation is published with
}

func (r *run) steps(ctx context.Context) error {
	steps := []struct {
		name string
		work func(context.Context, *schemas.Step) error
	}{
		{"prune", r.prune},
		{"cut", r.cut},
		{"archive", r.await},
		{"fold", r.fold},
		{"panes", r.panes},
		{"segments", r.segments},
		{"publish", r.publish},
	}
	for _, s := range steps {
		began := r.Now()
		r.record.Steps = append(r.record.Steps, schemas.Step{Name: s.name})
		step := &r.record.Steps[len(r.record.Steps)-1]
		if err := r.save(ctx); err != nil {
			return err
		}
		r.tell(0, 0)
		err := s.work(ctx, step)
		step.Seconds = r.Now().Sub(began).Seconds()
		if err != nil {
			return fmt.Errorf("%s: %w", s.name, err)
		}
		r.tell(0, 0)
	}
	return nil
}

// tell passes on a copy: whoever hears of the run may read it while it goes on.
func (r *run) tell(done, all int64) {
	record := r.record
	record.Steps, record.Metrics = slices.Clone(record.Steps), maps.Clone(record.Metrics)
	r.progress(record, done, all)
}

// save writes the run's record.
func (r *run) save(ctx context.Context) error { return r.write(ctx, r.record) }

// write writes the record of a run.
func (l *Layer) write(ctx context.Context, record schemas.Run) error {
	cell := schemas.Cell{
		Key: schemas.RunKey(record.Number), Column: schemas.ColumnValue, Stamp: record.Number,
		Value: schemas.EncodeJSON(record),
	}
	if err := l.Views.Put(ctx, cell); err != nil {
		return fmt.Errorf("write record of run %d: %w", record.Number, err)
	}
	return nil
}

// settle says of the runs before number what became of them, where their records
// do not: of those that look as if they were in work, for the lease is ours, so
// their processes are gone, or have been silent for so long (one that was only
// silent writes its record again when it goes on); and of those that are called
// failed since nobody could say in time whether they had been published.
func (l *Layer) settle(ctx context.Context, number int64, records []schemas.Run) error {
	published, _, err := l.published(ctx)
	if err != nil {
		return err
	}
	for _, record := range records {
		g, ok := published.Generation(record.Number)
		switch {
		case record.State == schemas.RunPublished, record.State == schemas.RunFailed && !ok:
			continue
		case ok:
			record.State, record.Error, record.Generation = schemas.RunPublished, "", &g
		default:
			record.State = schemas.RunFailed
			record.Error = fmt.Sprintf("its process ended before it did; run %d found it so", number)
		}
		if err := l.write(ctx, record); err != nil {
			return err
		}
	}
	return nil
}

// cut writes the run's cut into every partition. Where it stands, and whether it
// is one, only the log says. A partition whose last cut is so far below that this
// one would not follow it is brought nearer first, by cuts of no run: the others
// skip them.
func (r *run) cut(ctx context.Context, step *schemas.Step) error {
	for last := slices.Min(r.epochs); r.record.Number-last > schemas.MaxStep; {
		last += schemas.MaxStep
		step.Note = fmt.Sprintf("cuts up to %d were written before, since a partition had only come to %d", last, slices.Min(r.epochs))
		if err := r.Log.AppendCut(ctx, last); err != nil {
			return err
		}
	}
	return r.Log.AppendCut(ctx, r.record.Number)
}

// The archive is looked at soon, for it is seldom far behind, and then ever less
// often: each look lists a store that may bill it.
const firstLook, longestLook = 20 * time.Millisecond, time.Second

// await waits until the archive holds the log up to the cut, and pins it.
func (r *run) await(ctx context.Context, step *schemas.Step) error {
	ctx, cancel := context.WithTimeout(ctx, r.Patience)
	defer cancel()
	for look := firstLook; ; look = min(2*look, longestLook) {
		m, err := r.chain.Manifest(ctx, r.record.Number)
		if err == nil {
			r.manifest, err = archive.Pin(ctx, r.Files, m)
			step.Rows = m.Rows()
			return err
		}
		if !errors.Is(err, archive.ErrNotYet) && ctx.Err() == nil {
			return err
		}
		if ctx.Err() != nil || !r.wait(ctx, look) { // also where the time ends within a look
			return fmt.Errorf("after %v, is the archive running?: %w", r.Patience, err)
		}
	}
}

// fold folds the manifest and writes every visitor.
func (r *run) fold(ctx context.Context, step *schemas.Step) (err error) {
	if err := r.descend(ctx); err != nil {
		return err
	}
	f := &fold{
		files: r.Files, manifest: r.manifest, workers: r.Workers, memory: r.Memory, sample: r.Sample,
		limits: r.Limits, set: r.Set, run: r.record.Number, parent: r.parent, put: r.Views.Put,
	}
	stop := r.tick(ctx, func() { r.tell(f.rows.Load(), r.manifest.Rows()) })
	r.folded, err = f.all(ctx)
	stop()
	if err != nil {
		return err
	}
	step.Rows = r.manifest.Rows()
	step.Note = fmt.Sprintf("%d devices, %d of them as in generation %d; %d events accepted, %d anonymous, %d duplicates, %d erased", r.folded.devices, r.folded.unchanged, r.parent.Run,
		r.folded.verdicts[visitor.Accepted], r.folded.verdicts[visitor.Anonymous],
		r.folded.verdicts[visitor.Duplicate], r.folded.verdicts[visitor.Erased])
	return nil
}

// tick calls say ten times a second until stop is called.
func (r *run) tick(ctx context.Context, say func()) (stop func()) {
	ctx, cancel := context.WithCancel(ctx)
	var done sync.WaitGroup
	done.Go(func() {
		for layer.Pause(ctx, 100*time.Millisecond) {
			say()
		}
	})
	return func() {
		cancel()
		done.Wait()
	}
}

// panes writes the sums of the generation.
func (r *run) panes(ctx context.Context, step *schemas.Step) error {
	column := schemas.ColumnBatch(r.record.Number)
	out := chunks{pass: r.Views.Put}
	if err := r.inherit(ctx, &out); err != nil {
		return err
	}
	err := r.folded.totals.Each(func(p kpi.Pane, v *kpi.Value) error {
		b, err := v.AppendBinary(nil)
		if err != nil {
			return err
		}
		key := p.Key()
		return out.add(ctx, schemas.Cell{Key: key, Column: column, Stamp: r.record.Number, Value: b})
	})
	if err == nil {
		err = out.flush(ctx)
	}
	step.Rows = out.n
	if err != nil {
		return fmt.Errorf("write panes: %w", err)
	}
	return nil
}

// fewest is the number of units below which segments mean nothing.
const fewest = 20

// segments trains the model. One that does not pass the gate stays visible in
// the record with its reason, and the one before goes on.
func (r *run) segments(ctx context.Context, step *schemas.Step) error {
	published, _, err := r.published(ctx)
	if err != nil {
		return err
	}
	before, _ := published.Generation(published.Current)
	r.model = before.Model
	vectors := r.folded.sample.matrix()
	step.Rows = int64(vectors.Rows())
	if vectors.Rows() < fewest {
		step.Note = fmt.Sprintf("%d visitors are too few, at least %d are needed; the model before stays", vectors.Rows(), fewest)
		return nil
	}
	m, err := r.train(vectors)
	if err == nil {
		err = cluster.DefaultGate().Judge(m)
	}
	if err != nil {
		step.Note = fmt.Sprintf("refused: %v; the model before stays", err)
		return nil
	}
	artefact, err := m.Encode()
	if err != nil {
		return err
	}
	cell := schemas.Cell{Key: schemas.ModelKey(m.ID), Column: schemas.ColumnValue, Stamp: r.record.Number, Value: artefact}
	if err := r.Views.Put(ctx, cell); err != nil {
		return fmt.Errorf("write model %s: %w", m.ID, err)
	}
	r.model = m.ID
	r.record.Metrics["segments"] = float64(len(m.Segments))
	r.record.Metrics["sse"] = m.SSE
	return nil
}

func (r *run) train(vectors cluster.Matrix) (*cluster.Model, error) {
	scaling, err := cluster.FitScaling(vectors, visitor.Features(), parallel)
	if err != nil {
		return nil, err
	}
	scaling.Apply(vectors, parallel)
	m, err := cluster.Train(vectors, scaling, cluster.Options{
		K: min(r.Segments, vectors.Rows()/10+1), Restarts: r.Restarts, Seed: r.Seed, Parallel: parallel,
	})
	if err != nil {
		return nil, err
	}
	m.ID = fmt.Sprintf("segments-%d", r.record.Number)
	return m, nil
}

// parallel divides work among all cores. What panics in one of them panics here,
// where it is the run's failure.
func parallel(n int, work func(from, to int)) {
	var g errgroup.Group
	size := n/runtime.GOMAXPROCS(0) + 1
	for from := 0; from < n; from += size {
		g.Go(func() error {
			return layer.Guard(func() error {
				work(from, min(from+size, n))
				return nil
			})
		})
	}
	if err := g.Wait(); err != nil {
		panic(err)
	}
}

// publish switches to the generation, unless a younger one has been published.
func (r *run) publish(ctx context.Context, _ *schemas.Step) error {
	g := schemas.Generation{Run: r.record.Number, Cuts: r.manifest.Cuts(), CutTimes: r.manifest.CutTimes(), At: r.Now().UnixMicro(), Model: r.model, Lineage: r.lineage, Kinds: len(schemas.Kind_name)}
	for p := range g.Cuts {
		g.Control = append(g.Control, r.folded.force[p])
	}
	for {
		published, old, err := r.published(ctx)
		if err != nil {
			return err
		}
		if _, ours := published.Generation(g.Run); ours { // and a younger one came since
			r.record.Generation = &g
			return nil
		}
		if len(published.Kept) > 0 && published.Kept[0].Run > g.Run {
			return fmt.Errorf("generation %d is published already: %w", published.Kept[0].Run, ErrOvertaken)
		}
		if _, kept := published.Generation(r.parent.Run); !kept && r.parent.Run > 0 {
			return fmt.Errorf("generation %d, which the run started from, was rolled back meanwhile: %w", r.parent.Run, ErrOvertaken)
		}
		next := published.With(g)
		next.Dropped = next.Dropped || r.rebuilds
		done, err := r.switchTo(ctx, old, next)
		if err != nil {
			return err
		}
		if done {
			r.record.Generation = &g
			return nil
		}
	}
}

// ErrOvertaken says that what a run has made is not published: another switch came
// between. Nothing is lost; the next run makes it again.
var ErrOvertaken = errors.New("overtaken by another switch")

// published reads what is published, decoded and as it lies there.
func (l *Layer) published(ctx context.Context) (p schemas.Published, raw []byte, err error) {
	rows, err := l.Views.Get(ctx, schemas.KeyPublished)
	if err != nil {
		return p, nil, fmt.Errorf("read what is published: %w", err)
	}
	if c, ok := rows[0].Cell(schemas.ColumnValue); ok {
		raw = c.Value
	}
	p, err = schemas.DecodeJSON[schemas.Published](raw)
	return p, raw, err
}

// switchTo is the one small write. done is false if another was faster.
func (l *Layer) switchTo(ctx context.Context, old []byte, p schemas.Published) (done bool, err error) {
	value := schemas.EncodeJSON(p)
	done, err = l.swap(ctx, schemas.KeyPublished, old, value)
	if err != nil || !done {
		return done, err
	}
	// Readers look at the store themselves: an announcement that is lost misleads
	// nobody, and the next one makes up for it.
	if err := l.Log.Announce(ctx, "published", value); err != nil {
		slog.WarnContext(ctx, "the switch was not announced", "generation", p.Current, "error", err)
	}
	return true, nil
}

// Rollback publishes an older kept generation again.
func (l *Layer) Rollback(ctx context.Context, to int64) error {
	for {
		published, old, err := l.published(ctx)
		if err != nil {
			return err
		}
		p, err := published.Without(to)
		if err != nil {
			return err
		}
		done, err := l.switchTo(ctx, old, p)
		if err != nil || done {
			return err
		}
	}
}
