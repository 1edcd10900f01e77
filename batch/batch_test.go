package batch_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"fernweh/batch"
	"fernweh/batch/archive"
	"fernweh/infra/embedded"
	"fernweh/model/cluster"
	"fernweh/schemas"

	"github.com/cockroachdb/pebble/v2/vfs"
)

const partitions = 3

// A portal is a batch layer with a log that goes straight into the archive.
type portal struct {
	*batch.Layer
	t       *testing.T
	views   *embedded.Views
	writers [partitions]*archive.Writer
	next    [partitions]int64
	now     time.Time
	cutting func(run int64) error   // before the cut is written; may be nil
	read    func(r *schemas.Record) // what the archiver makes of a record; nil: what today's release makes of it
}

func newPortal(t *testing.T) *portal {
	t.Helper()
	views, err := embedded.OpenViewsIn(vfs.NewMem(), "views")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { views.Close() })
	files, err := embedded.OpenFiles(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	p := &portal{t: t, views: views, now: time.UnixMicro(1_700_000_000_000_000)}
	p.Layer = &batch.Layer{
		Settings: batch.Settings{
			Partitions: partitions, Segments: 3, Restarts: 2, Memory: 1 << 30, Sample: 1000, ArchiveRows: 40,
			Patience: time.Minute, Grace: time.Minute, Holder: "the test",
		},
		Views: views, Log: p, Files: files, Now: func() time.Time { return p.now },
		Wait: func(ctx context.Context, _ time.Duration) bool { return ctx.Err() == nil },
	}
	for i := range p.writers {
		if p.writers[i], err = archive.NewWriter(t.Context(), files, int32(i), archive.Limits{Rows: p.ArchiveRows}); err != nil {
			t.Fatal(err)
		}
	}
	return p
}

func (p *portal) append(partition int32, r schemas.Record) {
	p.t.Helper()
	r.Partition, r.Offset, r.At = partition, p.next[partition], p.now.UnixMicro()
	if p.read != nil {
		p.read(&r)
	}
	if err := p.writers[partition].Handle(p.t.Context(), []schemas.Record{r}); err != nil {
		p.t.Fatal(err)
	}
	p.next[partition]++
}

// AppendCut writes the cut of a run into every partition.
func (p *portal) AppendCut(_ context.Context, run int64) error {
	if p.cutting != nil {
		if err := p.cutting(run); err != nil {
			return err
		}
	}
	for i := range p.next {
		p.append(int32(i), schemas.Record{Cut: run})
	}
	return nil
}

// Announce tells nobody.
func (p *portal) Announce(context.Context, string, []byte) error { return nil }

// visit appends what some visitors do, by a seed.
func (p *portal) visit(seed uint64, visitors int) {
	r := rand.New(rand.NewPCG(seed, 0))
	for i := range visitors {
		device := fmt.Sprintf("d%d-%d", seed, i)
		for j := range 3 + r.IntN(8) {
			e := &schemas.Event{
				Id: fmt.Sprintf("%s-%d", device, j), Device: device, AssumedConsent: true,
				Kind: schemas.Kind_KIND_OFFER_VIEW, Time: p.now.UnixMicro() - r.Int64N(1e10),
				Offer: &schemas.Offer{Id: fmt.Sprint("h", r.IntN(9)), Destination: "Sylt",
					Styles: []schemas.Style{schemas.Style(1 + i%3)}, Stars: 40, Price: 9_900, Currency: "EUR"},
			}
			if j == 2 && i%4 == 0 {
				e.Kind, e.User = schemas.Kind_KIND_IDENTIFY, fmt.Sprint("c", i)
			}
			p.append(schemas.Partition(device, partitions), schemas.Record{Event: e})
		}
	}
}

func (p *portal) published() schemas.Published {
	p.t.Helper()
	return read[schemas.Published](p.t, p.views, schemas.KeyPublished)
}

func read[T any](t *testing.T, views *embedded.Views, key schemas.Key) T {
	t.Helper()
	rows, err := views.Get(t.Context(), key)
	if err != nil {
		t.Fatal(err)
	}
	c, _ := rows[0].Cell(schemas.ColumnValue)
	v, err := schemas.DecodeJSON[T](c.Value)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// run does a run that must succeed.
func (p *portal) run() schemas.Run {
	p.t.Helper()
	p.now = p.now.Add(time.Hour)
	r, err := p.Layer.Run(p.t.Context(), nil)
	if err != nil {
		p.t.Fatal(err)
	}
	return r
}

func TestRunPublishesAGenerationWithItsCutAndModel(t *testing.T) {
	p := newPortal(t)
	p.visit(1, 60)
	r := p.run()
	g, ok := p.published().Generation(1)
	if r.State != schemas.RunPublished || !ok || p.published().Current != 1 {
		t.Fatalf("run %+v, published %+v, want generation 1", r, p.published())
	}
	for i, cut := range g.Cuts {
		if cut != p.next[i]-1 {
			t.Errorf("partition %d is cut at %d, the cut record lies at %d", i, cut, p.next[i]-1)
		}
	}
	rows, err := p.views.Get(t.Context(), schemas.ModelKey(g.Model))
	if err != nil {
		t.Fatal(err)
	}
	c, _ := rows[0].Cell(schemas.ColumnValue)
	if m, err := cluster.Decode(c.Value); err != nil || len(m.Segments) != 3 || m.Vectors != 60 {
		t.Errorf("model %v, error %v, want three segments of 60 visitors", m, err)
	}
	if stored := read[schemas.Run](t, p.views, schemas.RunKey(1)); stored.State != schemas.RunPublished || len(stored.Steps) != 7 {
		t.Errorf("the record in the store is %+v, want a published run of seven steps", stored)
	}
}

// TestShareSizeAndWorkersDoNotShow: however the fold is divided, the views are
// the same to the byte.
func TestShareSizeAndWorkersDoNotShow(t *testing.T) {
	want := viewsAfter(t, 1<<30, 1)
	for _, memory := range []int64{1 << 30, 100_000, 10_000} {
		for _, workers := range []int{1, 4} {
			if got := viewsAfter(t, memory, workers); !slices.EqualFunc(got, want, sameCell) {
				t.Errorf("%d bytes of memory and %d workers give other views than one share and one worker", memory, workers)
			}
		}
	}
}

func viewsAfter(t *testing.T, memory int64, workers int) (cells []schemas.Cell) {
	t.Helper()
	p := newPortal(t)
	p.Memory, p.Workers = memory, workers
	p.visit(2, 80)
	p.run()
	return p.cells()
}

// cells are all that batch has written.
func (p *portal) cells() (cells []schemas.Cell) {
	p.t.Helper()
	for _, table := range []schemas.Table{schemas.TableVisitors, schemas.TablePersons, schemas.TablePanes, schemas.TableModels} {
		err := p.views.Scan(p.t.Context(), table, "", "", func(row schemas.Row) error {
			cells = append(cells, row.Cells...)
			return nil
		})
		if err != nil {
			p.t.Fatal(err)
		}
	}
	return cells
}

func sameCell(a, b schemas.Cell) bool {
	return a.Key == b.Key && a.Column == b.Column && a.Stamp == b.Stamp && bytes.Equal(a.Value, b.Value)
}

func TestModelThatFailsItsGateStaysOut(t *testing.T) {
	p := newPortal(t)
	p.visit(1, 60)
	champion := p.run().Generation.Model
	for i := range 3000 { // all alike: one segment would hold nearly everybody
		device := fmt.Sprint("same", i)
		p.append(schemas.Partition(device, partitions), schemas.Record{Event: &schemas.Event{
			Id: device, Device: device, Kind: schemas.Kind_KIND_PAGE, Time: p.now.UnixMicro(), AssumedConsent: true}})
	}
	r := p.run()
	note := r.Steps[slices.IndexFunc(r.Steps, func(s schemas.Step) bool { return s.Name == "segments" })].Note
	if !strings.Contains(note, "largest share") {
		t.Errorf("the step says %q, want the rule that was broken", note)
	}
	if r.State != schemas.RunPublished || r.Generation.Model != champion {
		t.Errorf("run %s with model %q, want it published with the champion %q", r.State, r.Generation.Model, champion)
	}
}

func TestFewVisitorsMakeNoModel(t *testing.T) {
	p := newPortal(t)
	p.visit(1, 5)
	if r := p.run(); r.State != schemas.RunPublished || r.Generation.Model != "" {
		t.Errorf("run %s with model %q, want it published without one", r.State, r.Generation.Model)
	}
}

func TestFailedRunChangesNothingAndItsNumberIsLost(t *testing.T) {
	p := newPortal(t)
	p.visit(1, 30)
	p.run()
	p.cutting = func(int64) error { return errors.New("the log is away") }
	r, err := p.Layer.Run(t.Context(), nil)
	if err == nil || r.State != schemas.RunFailed || !strings.Contains(r.Error, "the log is away") {
		t.Fatalf("run %+v, error %v, want it failed with its reason", r, err)
	}
	if got := p.published(); got.Current != 1 || len(got.Kept) != 1 {
		t.Errorf("after a failed run %+v is published, want generation 1 alone", got)
	}
	p.cutting = nil
	if r := p.run(); r.Number != 3 || p.published().Current != 3 {
		t.Errorf("the next run is %d and %d is published, want 3", r.Number, p.published().Current)
	}
}

// TestRunsThatWereKilledAreSettledByTheNext kills the store under a run, and so
// its last word, before and after the switch.
func TestRunsThatWereKilledAreSettledByTheNext(t *testing.T) {
	for _, tc := range []struct {
		when string
		dies func(schemas.Run) bool
		want schemas.RunState
	}{
		{"in the fold", func(r schemas.Run) bool { return r.Steps[len(r.Steps)-1].Name == "fold" }, schemas.RunFailed},
		{"behind the switch", func(r schemas.Run) bool { return r.Generation != nil }, schemas.RunPublished},
	} {
		t.Run(tc.when, func(t *testing.T) {
			p := newPortal(t)
			p.visit(1, 30)
			views := &mortal{Views: p.Views}
			p.Layer.Views = views
			killed, err := p.Layer.Run(t.Context(), func(r schemas.Run, _, _ int64) {
				if tc.dies(r) {
					views.dead.Store(true)
				}
			})
			if !errors.Is(err, errDead) {
				t.Fatalf("the run whose store died: got %v, want %v", err, errDead)
			}
			views.dead.Store(false)
			if r := read[schemas.Run](t, p.views, schemas.RunKey(killed.Number)); r.State != schemas.RunRunning {
				t.Fatalf("a killed run lies there as %s, want it as it was: running", r.State)
			}
			next := p.run()
			r := read[schemas.Run](t, p.views, schemas.RunKey(killed.Number))
			if r.State != tc.want {
				t.Errorf("killed %s, after the next run: %s, want %s", tc.when, r.State, tc.want)
			}
			if found := fmt.Sprintf("run %d found it so", next.Number); (tc.want == schemas.RunFailed) != strings.Contains(r.Error, found) {
				t.Errorf("killed %s: its error is %q", tc.when, r.Error)
			}
			if (tc.want == schemas.RunPublished) != (r.Generation != nil && r.Generation.Run == r.Number) {
				t.Errorf("killed %s: its generation is %+v", tc.when, r.Generation)
			}
		})
	}
}

// mortal are views that answer nothing while they are dead.
type mortal struct {
	batch.Views
	dead atomic.Bool
}

var errDead = errors.New("the store is dead")

func (m *mortal) Put(ctx context.Context, cells ...schemas.Cell) error {
	if m.dead.Load() {
		return errDead
	}
	return m.Views.Put(ctx, cells...)
}

func (m *mortal) CompareAndSet(ctx context.Context, k schemas.Key, column string, old, value []byte) (bool, error) {
	if m.dead.Load() {
		return false, errDead
	}
	return m.Views.CompareAndSet(ctx, k, column, old, value)
}

func TestOvertakenRunCannotPublish(t *testing.T) {
	p := newPortal(t)
	p.visit(1, 30)
	p.cutting = func(run int64) error {
		p.append(1, schemas.Record{Cut: run + 1})
		return nil
	}
	_, err := p.Layer.Run(t.Context(), nil)
	if !errors.Is(err, archive.ErrNoCut) || p.published().Current != 0 {
		t.Errorf("error %v and generation %d, want the run refused for its missing cut", err, p.published().Current)
	}
}

func TestArchiveThatDoesNotComeIsSaid(t *testing.T) {
	p := newPortal(t)
	p.Patience = 30 * time.Millisecond
	p.Log = nowhere{}
	if _, err := p.Layer.Run(t.Context(), nil); err == nil || !strings.Contains(err.Error(), "is the archive running?") {
		t.Errorf("error %v, want one that asks for the archive", err)
	}
}

// nowhere is a log whose cuts nobody archives.
type nowhere struct{}

func (nowhere) AppendCut(context.Context, int64) error         { return nil }
func (nowhere) Announce(context.Context, string, []byte) error { return nil }

func TestSecondRunAtATimeIsBusy(t *testing.T) {
	p := newPortal(t)
	p.visit(1, 30)
	var second error
	p.cutting = func(int64) error {
		_, second = p.Layer.Run(t.Context(), nil)
		return nil
	}
	p.run()
	var busy *batch.Busy
	if !errors.As(second, &busy) || busy.Holder != "the test" {
		t.Errorf("a run during a run: %v, want it to name the holder of the lease", second)
	}
}

// TestWhatIsToldOfARunStaysAsItWas: whoever keeps a record of a run in work may
// read it while the run goes on.
func TestWhatIsToldOfARunStaysAsItWas(t *testing.T) {
	p := newPortal(t)
	p.visit(1, 60)
	var told []schemas.Run
	var then [][]byte
	run, err := p.Layer.Run(t.Context(), func(r schemas.Run, _, _ int64) {
		told, then = append(told, r), append(then, schemas.EncodeJSON(r))
	})
	if err != nil || len(run.Metrics) == 0 || len(told) < len(run.Steps) {
		t.Fatalf("%d records told of %d steps, metrics %v, %v: want a run with a model", len(told), len(run.Steps), run.Metrics, err)
	}
	for i, r := range told {
		if now := schemas.EncodeJSON(r); !bytes.Equal(now, then[i]) {
			t.Errorf("record %d was told as\n%s\nand has become\n%s", i+1, then[i], now)
		}
		if r.State != schemas.RunRunning {
			t.Errorf("record %d of a run in work: %s, want running", i+1, r.State)
		}
	}
}

func TestRollback(t *testing.T) {
	p := newPortal(t)
	p.visit(1, 30)
	for range 3 {
		p.run()
	}
	if err := p.Rollback(t.Context(), 2); err != nil {
		t.Fatal(err)
	}
	if got := p.published(); got.Current != 2 || len(got.Kept) != 2 {
		t.Errorf("after the rollback %+v is published, want generation 2 of 2 and 1", got)
	}
	if err := p.Rollback(t.Context(), 3); err == nil || !strings.Contains(err.Error(), "kept are [2 1]") {
		t.Errorf("back to a generation that was given up: %v, want the kept ones named", err)
	}
	if p.run(); p.published().Current != 4 {
		t.Errorf("the run after a rollback published %d, want 4", p.published().Current)
	}
}
