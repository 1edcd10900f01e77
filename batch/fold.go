package batch

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"runtime"
	"slices"
	"sync/atomic"

	"fernweh/batch/archive"
	"fernweh/layer"
	"fernweh/model/cluster"
	"fernweh/model/visitor"
	"fernweh/schemas"

	"github.com/apache/arrow/go/v15/arrow"
	"github.com/apache/arrow/go/v15/arrow/array"
	"golang.org/x/sync/errgroup"
)

// A fold makes one generation's views from a manifest.
//
// Work is divided by partition and, where a partition is too large for the
// memory that may be used, by device within it, so that whoever works on a share
// has every event of its devices in log order and shares nothing. What must hold
// for all shares (panes, a sample for training) is small.
type fold struct {
	files    archive.Files
	manifest *archive.Manifest
	memory   int64 // bytes that all shares in work may take, roughly
	sample   int   // vectors kept for training
	workers  int
	limits   visitor.Limits
	put      func(ctx context.Context, cells ...schemas.Cell) error
	run      int64
	set      string             // name of the set of views
	parent   schemas.Generation // what has no event since is not written: the parent's cell stands; run 0: none
	rows     atomic.Int64       // done so far
}

// folded is what a fold leaves beside the visitors that it has written.
type folded struct {
	totals    *sums
	sample    sample
	devices   int64
	force     map[int]schemas.ControlState // by partition, behind the cut
	unchanged int64                        // devices that were not written
	units     int64
	verdicts  [visitor.Verdicts]int64
}

// A share is the devices of a partition whose hash, modulo of, is part.
type share struct {
	partition int
	part, of  uint64
}

// bytesPerRow is what the state of a device takes in memory for each of its
// events, measured on the simulated portal with some reserve.
const bytesPerRow = 150

// Fold folds what a manifest pins, as a run does, and gives put the cells of its
// visitors. Nothing is judged or published.
func Fold(ctx context.Context, s Settings, files archive.Files, m *archive.Manifest,
	put func(ctx context.Context, cells ...schemas.Cell) error) (devices int64, err error) {
	f := &fold{files: files, manifest: m, memory: s.Memory, sample: s.Sample, workers: s.Workers, limits: s.Limits,
		set: s.Set, put: put, run: m.Run}
	all, err := f.all(ctx)
	if err != nil {
		return 0, err
	}
	return all.devices, nil
}

// shares divides the manifest.
func (f *fold) shares() []share {
	var out []share
	for p, files := range f.manifest.Partitions {
		var rows int64
		for _, s := range files {
			rows += s.Rows
		}
		of := uint64(rows*bytesPerRow*int64(f.workers)/max(f.memory, 1)) + 1
		for part := range of {
			out = append(out, share{p, part, of})
		}
	}
	return out
}

// all folds every share and writes its visitors.
func (f *fold) all(ctx context.Context) (*folded, error) {
	if f.workers == 0 {
		f.workers = runtime.GOMAXPROCS(0)
	}
	shares := f.shares()
	parts := make([]*folded, f.workers)
	var next atomic.Int64
	g, ctx := errgroup.WithContext(ctx)
	for w := range parts {
		parts[w] = newFolded(f.sample)
		g.Go(func() error {
			for {
				i := int(next.Add(1)) - 1
				if i >= len(shares) {
					return nil
				}
				if err := layer.Guard(func() error { return f.share(ctx, shares[i], parts[w]) }); err != nil {
					return fmt.Errorf("fold partition %d, share %d of %d: %w", shares[i].partition, shares[i].part+1, shares[i].of, err)
				}
			}
		})
	}
	if err := g.Wait(); err != nil {
		return nil, err
	}
	for _, p := range parts[1:] {
		parts[0].merge(p)
	}
	parts[0].sample.finish()
	return parts[0], nil
}

func newFolded(size int) *folded {
	return &folded{totals: newSums(), sample: sample{size: size}, force: make(map[int]schemas.ControlState)}
}

func (f *folded) merge(o *folded) {
	f.totals.merge(o.totals)
	f.sample.merge(&o.sample)
	f.devices += o.devices
	f.unchanged += o.unchanged
	f.units += o.units
	maps.Copy(f.force, o.force)
	for v, n := range o.verdicts {
		f.verdicts[v] += n
	}
}

// share folds one share.
func (f *fold) share(ctx context.Context, s share, into *folded) error {
	w := worker{share: s, limits: f.limits, set: f.set, into: into, devices: make(map[string]*device)}
	w.rows.Partition, w.rows.Partitions = int32(s.partition), int32(len(f.manifest.Partitions))
	files := archive.NewScanner(f.files, schemas.FoldColumns())
	for _, file := range f.manifest.Partitions[s.partition] {
		w.rows.Again = file.Fold != schemas.FoldVersion
		if err := files.Scan(ctx, file, w.batch); err != nil {
			return err
		}
		if s.part == s.of-1 {
			f.rows.Add(file.Rows)
		}
	}
	w.force.Cut = f.run
	into.force[s.partition] = w.force // each share of a partition comes to the same
	return f.write(ctx, &w)
}

// A worker holds the devices of one share.
type worker struct {
	share
	limits  visitor.Limits
	set     string               // name of the set of views
	force   schemas.ControlState // what control records have left in force
	into    *folded
	devices map[string]*device
	rows    schemas.RowReader
	byIndex []*device // devices of the batch's dictionary; nil: of another share
}

type device struct {
	visitor.Cell
	hash  uint64
	known bool  // it has an event that is read
	last  int64 // offset of the latest record
}

// batch folds the rows of one record batch.
func (w *worker) batch(b arrow.Record) error {
	names, index, err := column(b, "device")
	if err != nil {
		return err
	}
	ids, ok := b.Column(b.Schema().FieldIndices(schemas.ColumnID)[0]).(*array.Uint64)
	if !ok {
		return fmt.Errorf("column %s is not of type uint64", schemas.ColumnID)
	}
	if err := w.rows.Bind(b); err != nil {
		return err
	}
	w.resolve(names)
	emit := w.into.totals.add
	var r schemas.Record
	for i, n := range index {
		d, id := w.byIndex[n], ids.Value(i)
		late := names[n] == "" // no event to the archiver, perhaps one today
		if d == nil && !late {
			continue
		}
		if err := w.rows.Read(i, &r); err != nil {
			return err
		}
		if r.Event == nil {
			w.force.Apply(&r, w.set)
			continue
		}
		if late {
			if d = w.device(r.Event.Device); d == nil {
				continue
			}
			id = visitor.HashID(r.Event.Id)
		}
		d.known, d.last = true, r.Offset
		v := d.Fold(w.limits, r.Event, id, d.hash, emit)
		w.into.verdicts[v]++
	}
	return nil
}

// column is a column of strings as a dictionary.
func column(b arrow.Record, name string) (values []string, index []int32, err error) {
	at := b.Schema().FieldIndices(name)
	if len(at) == 1 {
		if d, ok := b.Column(at[0]).(*array.Dictionary); ok {
			if values, index = schemas.Dictionary(d); values != nil {
				return values, index, nil
			}
		}
	}
	return nil, nil, fmt.Errorf("column %s is not a dictionary of strings", name)
}

// resolve finds or makes the devices of a batch's dictionary.
func (w *worker) resolve(names []string) {
	w.byIndex = slices.Grow(w.byIndex[:0], len(names))[:len(names)]
	for i, name := range names {
		w.byIndex[i] = nil
		if name != "" {
			w.byIndex[i] = w.device(name)
		}
	}
}

// device finds or makes a device; nil: it is of another share.
func (w *worker) device(name string) *device {
	hash := visitor.HashDevice(name)
	if hash%w.of != w.part {
		return nil
	}
	d := w.devices[name]
	if d == nil {
		d = &device{hash: hash}
		w.devices[name] = d
	}
	return d
}

// write measures the devices and writes their cells of the generation, and links
// from the persons to them: the owner of a partition has written those too, but
// for what it went past when it lagged behind every kept generation.
func (f *fold) write(ctx context.Context, w *worker) error {
	column := schemas.ColumnBatch(f.run)
	last := f.manifest.Cuts()[w.partition] - 1
	linked := schemas.EncodeJSON(schemas.Link{Linked: true})
	out := chunks{pass: f.put}
	var since int64
	if f.parent.Run > 0 {
		since = f.parent.Cut(int32(w.partition))
	}
	for _, name := range slices.Sorted(maps.Keys(w.devices)) {
		d := w.devices[name]
		if !d.known {
			continue
		}
		w.into.device(name, d)
		if d.last < since {
			w.into.unchanged++
			continue
		}
		b, err := d.AppendBinary(nil)
		if err != nil {
			return err
		}
		err = out.add(ctx, schemas.Cell{Key: schemas.VisitorKey(name), Column: column, Stamp: f.run, Value: b})
		for i := range d.Units.Named {
			if login := d.Units.Named[i].Login; err == nil && login != "" {
				key := schemas.PersonKey(login)
				err = out.add(ctx, schemas.Cell{Key: key, Column: schemas.ColumnLink(name), Stamp: last, Value: linked})
			}
		}
		if err != nil {
			return fmt.Errorf("write visitors: %w", err)
		}
	}
	if err := out.flush(ctx); err != nil {
		return fmt.Errorf("write visitors: %w", err)
	}
	return nil
}

// device adds what a device leaves in panes and sample.
func (f *folded) device(name string, d *device) {
	f.devices++
	d.Units.Measure(f.totals.add)
	for i := range d.Units.Named {
		u := &d.Units.Named[i]
		if u.Login == "" && d.FirstLogin != "" && d.Units.Unit(d.FirstLogin) != nil {
			continue // looked at together with the login that it led to
		}
		f.units++
		f.sample.add(visitor.HashID(name+"\x00"+u.Login), d.Units.Person(u.Login, d.FirstLogin))
	}
}

// A sample keeps the vectors of the units with the smallest hashes, so that it
// is the same whoever folds what in which order.
type sample struct {
	size  int
	of    []sampled
	limit uint64 // hashes above it are not among the smallest; 0: not known yet
}

type sampled struct {
	hash   uint64
	vector []float64
}

func (s *sample) add(hash uint64, h *visitor.History) {
	if s.limit > 0 && hash > s.limit {
		return
	}
	s.of = append(s.of, sampled{hash, h.Vector(make([]float64, 0, len(visitor.Features())))})
	if len(s.of) >= 2*s.size {
		s.finish()
	}
}

func (s *sample) merge(o *sample) {
	s.of = append(s.of, o.of...)
	s.finish()
}

// finish keeps the smallest hashes, ascending.
func (s *sample) finish() {
	slices.SortFunc(s.of, func(a, b sampled) int { return cmp.Compare(a.hash, b.hash) })
	if len(s.of) >= s.size {
		s.of = s.of[:s.size]
		s.limit = s.of[s.size-1].hash
	}
}

// matrix is the sample for training, a row a unit.
func (s *sample) matrix() cluster.Matrix {
	dims := len(visitor.Features())
	m := cluster.Matrix{Dims: dims, Values: make([]float64, 0, dims*len(s.of))}
	for _, x := range s.of {
		m.Values = append(m.Values, x.vector...)
	}
	return m
}
