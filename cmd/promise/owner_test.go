package promise_test

import (
	"context"
	"errors"
	"fmt"
	"time"

	"fernweh/schemas"
	"fernweh/speed"

	"github.com/prometheus/client_golang/prometheus"
)

// An owner is one process that owns a partition, or believes to.
type owner struct {
	partition *speed.Partition
	gate      *gate
	done      chan error // of the call that is in work; nil: none is
}

// A gate stands before the store of an owner. It lets the world decide at every
// call what becomes of it.
type gate struct {
	*world
	views   views         // the set that the owner was born to
	arrived chan struct{} // the owner waits in a call
	verdict chan fate
}

// fate is what happens to a call of the store.
type fate struct {
	cells int // written before err; -1: all
	err   error
	stop  bool // freeze after cells, before the rest
}

var errFault = errors.New("the store failed")
var errKilled = errors.New("killed")

func (g *gate) ask() fate {
	g.arrived <- struct{}{}
	return <-g.verdict
}

func (g *gate) Get(ctx context.Context, keys ...schemas.Key) ([]schemas.Row, error) {
	if f := g.ask(); f.err != nil {
		return nil, f.err
	}
	rows, err := g.views.Get(ctx, keys...)
	for i := range rows {
		g.spoil(&rows[i])
	}
	return rows, err
}

// Put writes row by row, each atomically, as far as fate lets it.
func (g *gate) Put(ctx context.Context, cells ...schemas.Cell) error {
	f := g.ask()
	for len(cells) > 0 {
		n := 1
		for n < len(cells) && cells[n].Key == cells[0].Key {
			n++
		}
		if f.cells == 0 {
			if f.stop {
				f = g.ask()
				continue
			}
			return f.err
		}
		f.cells--
		if err := g.put(ctx, g.views, cells[:n]); err != nil {
			return err
		}
		cells = cells[n:]
	}
	if f.stop {
		f = g.ask()
	}
	return f.err
}

func (w *world) put(ctx context.Context, views views, cells []schemas.Cell) error {
	for i := range cells {
		if err := w.spoilWrite(ctx, &cells[i]); err != nil {
			return err
		}
	}
	w.changed = true
	return views.Put(ctx, cells...)
}

// AppendDecisions takes decisions; there are none without a model.
func (g *gate) AppendDecisions(context.Context, []*schemas.Decision) error { return nil }

// begin lets the owner work in a goroutine until its first call of the store.
func (o *owner) begin(work func() error) {
	o.done = make(chan error, 1)
	go func() { o.done <- work() }()
}

// wait waits until the owner is in a call of the store, or done.
func (o *owner) wait() (done bool, err error) {
	select {
	case <-o.gate.arrived:
		return false, nil
	case err := <-o.done:
		o.done = nil
		return true, err
	}
}

// kill ends an owner, wherever it is.
func (o *owner) kill() {
	for o != nil && o.done != nil {
		o.gate.verdict <- fate{err: errKilled}
		if done, _ := o.wait(); done {
			return
		}
	}
}

// speed lets one of the owners of a partition go on: open, take some records,
// or wake. How far it comes is drawn.
func (w *world) speed(ctx context.Context) error {
	p, slot := w.rand.IntN(partitions), w.rand.IntN(2)
	o := w.owners[p][slot]
	if o != nil && w.chance(10) {
		w.tell("kill owner %d/%d", p, slot)
		o.kill()
		w.owners[p][slot] = nil
		return nil
	}
	if o == nil {
		o = w.newOwner()
		w.owners[p][slot] = o
	}
	return w.drive(ctx, p, slot, o, false)
}

func (w *world) newOwner() *owner {
	return &owner{gate: &gate{world: w, views: w.views, arrived: make(chan struct{}), verdict: make(chan fate)}}
}

// drive moves an owner on; with healthy nothing happens to it, and it works
// until it is done.
func (w *world) drive(ctx context.Context, p, slot int, o *owner, healthy bool) error {
	if o.done == nil {
		if !w.assign(ctx, p, slot, o) {
			return nil
		}
	} else {
		w.tell("owner %d/%d wakes", p, slot)
		o.gate.verdict <- w.fate(healthy)
	}
	for {
		done, err := o.wait()
		if done {
			return w.finished(p, slot, err)
		}
		if !healthy && w.chance(12) {
			w.tell("owner %d/%d freezes", p, slot)
			return nil
		}
		o.gate.verdict <- w.fate(healthy)
	}
}

// assign gives an owner its next piece of work; false if there is none.
func (w *world) assign(ctx context.Context, p, slot int, o *owner) bool {
	if o.partition == nil {
		w.tell("owner %d/%d opens", p, slot)
		o.begin(func() error {
			opened, err := speed.Open(ctx, speed.Stores{
				Views: o.gate, Decisions: o.gate, Actions: o.gate, Set: ours, Triggers: toys, Model: func() *speed.Model { return nil }, MaxVisitors: 3, Limits: w.limits,
				Now: func() time.Time { return w.now }, Metrics: speed.NewMetrics(prometheus.NewRegistry()),
			}, int32(p))
			if o.partition = opened; err == nil {
				w.pass(p, opened)
			}
			return err
		})
		return true
	}
	from := int(o.partition.Start())
	if from >= len(w.log[p]) {
		return false
	}
	to := min(len(w.log[p]), from+1+w.rand.IntN(12))
	records := w.seen(p, w.log[p][from:to])
	w.tell("owner %d/%d takes %d to %d", p, slot, from, to-1)
	o.begin(func() error { return o.partition.Handle(ctx, records) })
	return true
}

// fate draws what becomes of a call of the store.
func (w *world) fate(healthy bool) fate {
	switch n := w.rand.IntN(30); {
	case healthy || n > 3:
		return fate{cells: -1}
	case n == 0:
		return fate{err: errFault} // nothing written
	case n == 1:
		return fate{cells: -1, err: errFault} // all written, and it looks like a failure
	case n == 2:
		return fate{cells: w.rand.IntN(4), err: errFault}
	}
	return fate{cells: w.rand.IntN(4), stop: true}
}

// finished deals with what an owner's piece of work came to.
func (w *world) finished(p, slot int, err error) error {
	o := w.owners[p][slot]
	switch {
	case err == nil:
		return nil
	case errors.Is(err, errFault) || errors.Is(err, errKilled) || errors.Is(err, speed.ErrSuperseded):
		w.tell("owner %d/%d gives up: %v", p, slot, err)
		w.owners[p][slot] = nil
		if w.law == skipOnFailure && o.partition != nil {
			w.skip(p, o)
		}
		return nil
	}
	return fmt.Errorf("owner %d/%d: %w", p, slot, err)
}
