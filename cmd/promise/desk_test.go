package promise_test

import (
	"context"
	"errors"
	"io"
	"sync"
	"time"

	"fernweh/batch"
	"fernweh/batch/archive"
	"fernweh/schemas"
)

// run lets a batch run happen, whose every call of a store may fail, and during
// which the world goes on.
func (w *world) run(ctx context.Context) error { return w.work(ctx, "run", (*batch.Layer).Run) }

// rebuild loses the views and everybody who knew them, and begins a new set from
// the archive and the log alone. It may fail, and then the new set is what the
// log gives by itself, until another run succeeds.
func (w *world) rebuild(ctx context.Context) error {
	views, err := w.open()
	if err != nil {
		return err
	}
	w.tell("the views are lost")
	for p := range w.owners {
		for slot, o := range w.owners[p] {
			o.kill()
			w.owners[p][slot] = nil
		}
	}
	w.views.Close()
	w.views, w.changed = views, true
	return w.work(ctx, "rebuild", (*batch.Layer).Rebuild)
}

// work does a run of some kind.
func (w *world) work(
	ctx context.Context, name string, do func(*batch.Layer, context.Context, batch.Progress) (schemas.Run, error),
) error {
	w.nested++
	defer func() { w.nested-- }()
	d := &desk{world: w, failIn: -1}
	if w.chance(3) {
		d.failIn = w.rand.IntN(25)
	}
	layer := *w.layer // of its own: another process may run at the same time
	layer.Views, layer.Log, layer.Files = d, d, d
	record, err := do(&layer, ctx, nil)
	w.tell("%s %d %s: %v", name, record.Number, record.State, err)
	var busy *batch.Busy
	switch {
	case d.broken != nil:
		return d.broken
	case err == nil, errors.Is(err, errFault), errors.Is(err, archive.ErrNoCut), errors.As(err, &busy), overtaken(err), errors.Is(err, batch.ErrNotEmpty):
		return nil
	}
	return err
}

// overtaken says that a younger run has published, and so this one may not.
func overtaken(err error) bool { return errors.Is(err, batch.ErrOvertaken) }

// A desk is what a batch run works with. Several workers of a run come to it at
// once, and the world goes on while one is there: so one is there at a time.
type desk struct {
	*world
	mu     sync.Mutex
	failIn int   // calls until one fails; negative: none does
	broken error // what went wrong in the world meanwhile
}

func (d *desk) fail() error {
	if d.failIn--; d.failIn == -1 {
		return errFault
	}
	return nil
}

// meanwhile lets the world go on during a run.
func (d *desk) meanwhile(ctx context.Context) {
	ctx = context.WithoutCancel(ctx)   // what begins now may outlive the run
	if d.nested == 1 && d.chance(40) { // the run is frozen, its lease runs out, and another one begins
		d.now = d.now.Add(20 * time.Second)
		d.tell("a second run begins beside the first")
		if err := d.run(ctx); err != nil && d.broken == nil {
			d.broken = err
		}
	}
	for range d.rand.IntN(3) {
		if err := d.step(ctx); err != nil && d.broken == nil {
			d.broken = err
		}
	}
}

func (d *desk) Get(ctx context.Context, keys ...schemas.Key) ([]schemas.Row, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if err := d.fail(); err != nil {
		return nil, err
	}
	return d.views.Get(ctx, keys...)
}

func (d *desk) Put(ctx context.Context, cells ...schemas.Cell) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if err := d.fail(); err != nil {
		if half := len(cells) / 2; half > 0 {
			d.changed = true
			d.views.Put(ctx, cells[:half]...)
		}
		return err
	}
	d.meanwhile(ctx)
	d.changed = true
	return d.views.Put(ctx, cells...)
}

func (d *desk) CompareAndSet(ctx context.Context, key schemas.Key, column string, old, new []byte) (bool, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.changed = true
	if key == schemas.KeyNextRun {
		d.drawn++
	}
	if key == schemas.KeyLease {
		return d.views.CompareAndSet(ctx, key, column, old, new)
	}
	err := d.fail()
	if err != nil && d.rand.IntN(2) == 0 {
		return false, err
	}
	done, failed := d.views.CompareAndSet(ctx, key, column, old, new)
	return done, errors.Join(err, failed) // it may have been done, and look like a failure
}

func (d *desk) Scan(ctx context.Context, table schemas.Table, from, to string, take func(schemas.Row) error) error {
	return d.views.Scan(ctx, table, from, to, take)
}

func (d *desk) Delete(ctx context.Context, cells ...schemas.Cell) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if err := d.fail(); err != nil {
		return err
	}
	d.changed = true
	return d.views.Delete(ctx, cells...)
}

// AppendCut writes the cut into the partitions in any order, with events between,
// and may fail after some of them.
func (d *desk) AppendCut(ctx context.Context, run int64) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, p := range d.rand.Perm(partitions) {
		if err := d.fail(); err != nil {
			return err
		}
		d.tell("append %d:%d cut %d", p, len(d.log[p]), run)
		d.append(p, schemas.Record{Cut: run})
		d.meanwhile(ctx)
	}
	return nil
}

func (d *desk) Announce(context.Context, string, []byte) error { return nil }

func (d *desk) Create(ctx context.Context, name string, write func(io.Writer) error) (bool, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.files.Create(ctx, name, write)
}

func (d *desk) Open(ctx context.Context, name string, read func(io.ReaderAt, int64) error) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.files.Open(ctx, name, read)
}

// List brings the archive up to date first, so that a run need not wait.
func (d *desk) List(ctx context.Context, prefix string) ([]string, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for p := range d.log {
		for int(d.end(p)) < len(d.log[p]) {
			if err := d.keep(ctx, p, d.rand.IntN(2), len(d.log[p])); err != nil {
				d.broken = err
				return nil, err
			}
			if k := d.keeper[p]; k[0] != nil && int(k[0].Start()) == len(d.log[p]) || k[1] != nil && int(k[1].Start()) == len(d.log[p]) {
				break
			}
		}
	}
	return d.files.List(ctx, prefix)
}

func (w *world) rollback(ctx context.Context) error {
	d := &desk{world: w, failIn: -1}
	w.layer.Views, w.layer.Log = d, d
	h, err := w.horizon(ctx)
	if err != nil {
		return err
	}
	if len(h.Published.Kept) < 2 {
		return nil
	}
	to := h.Published.Kept[w.rand.IntN(len(h.Published.Kept))].Run
	w.tell("roll back to %d", to)
	if err := w.layer.Rollback(ctx, to); !errors.Is(err, errFault) {
		return err
	}
	return nil
}

// quiet is a desk at which nothing happens meanwhile.
type quiet struct{ *desk }

func (q quiet) Put(ctx context.Context, cells ...schemas.Cell) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.views.Put(ctx, cells...)
}
