package judge_test

import (
	"flag"
	"math/rand/v2"
	"testing"

	"fernweh/cmd/promise/generate"
	"fernweh/cmd/promise/judge"
	"fernweh/cmd/promise/oracle"
	"fernweh/model/kpi"
	"fernweh/model/visitor"
	"fernweh/schemas"
)

var logs = flag.Int("logs", 200, "random logs that the fold is held against the documents for")

// small are limits that a short log reaches.
var (
	small  = visitor.Limits{Remembered: 4, Cap: 12}
	fewest = oracle.Limits{Remembered: 4, Cap: 12}
)

// A device is one device as each layer folds it, and what the documents say.
type device struct {
	name   string
	batch  visitor.Cell    // as batch folds it
	base   visitor.Cell    // as batch left it at the cut of the generation
	speed  visitor.Visitor // as speed holds it
	cells  []*visitor.Cell // of the epochs before, as they were written
	events []*schemas.Event
}

// A portal is some devices whose panes are summed.
type portal struct {
	devices map[string]*device
	batch   map[kpi.Pane]*kpi.Value
	speed   map[kpi.Pane]*kpi.Value
}

func sum(panes map[kpi.Pane]*kpi.Value) func(kpi.Pane, int64) {
	return func(p kpi.Pane, n int64) {
		if panes[p] == nil {
			panes[p] = new(kpi.Value)
		}
		panes[p].Add(kpi.Delta{Pane: p, N: n})
	}
}

func (p *portal) device(name string) *device {
	d := p.devices[name]
	if d == nil {
		d = &device{name: name, speed: visitor.Visitor{Device: visitor.HashDevice(name), Limits: small}}
		p.devices[name] = d
	}
	return d
}

// pass lets both layers take the next event.
func (p *portal) pass(t *testing.T, offset int64, e *schemas.Event) {
	t.Helper()
	d := p.device(e.Device)
	want := oracle.Fold(fewest, d.events...).Pass(e)
	d.events = append(d.events, e)
	if got := d.batch.Fold(small, e, visitor.HashID(e.Id), visitor.HashDevice(e.Device), sum(p.batch)); got.String() != string(want) {
		t.Fatalf("event %d is %s to batch, the documents say %s", offset, got, want)
	}
	verdict, login, decided := d.speed.Apply(offset, e)
	if verdict.String() != string(want) {
		t.Fatalf("event %d is %s to speed, the documents say %s", offset, verdict, want)
	}
	if expected := oracle.Fold(fewest, d.events[:len(d.events)-1]...).LoginOf(e); verdict == visitor.Accepted && login != expected {
		t.Fatalf("event %d belongs to %q, the documents say %q", offset, login, expected)
	}
	add := sum(p.speed)
	for _, x := range decided.Panes {
		add(x.Pane, x.N)
	}
}

// written is a cell after it was written and read again.
func written(t *testing.T, c *visitor.Cell) *visitor.Cell {
	t.Helper()
	b, err := c.AppendBinary(nil)
	if err != nil {
		t.Fatal(err)
	}
	again := new(visitor.Cell)
	if err := again.UnmarshalBinary(b); err != nil {
		t.Fatal(err)
	}
	return again
}

// cut begins a new epoch; with a generation, batch has folded what lies below.
func (p *portal) cut(t *testing.T, generation bool) {
	for _, d := range p.devices {
		d.cells = append(d.cells, written(t, &d.speed.Cell))
		d.speed.Cell = visitor.Cell{Filter: d.speed.Filter}
		if generation {
			d.base, d.cells = *written(t, &d.batch), nil
		}
	}
}

// check holds everything against the documents.
func (p *portal) check(t *testing.T) {
	t.Helper()
	sums, seen := oracle.Panes{}, map[int64]map[string]bool{}
	for _, d := range p.devices {
		want := oracle.Fold(fewest, d.events...)
		if err := judge.Cell(written(t, &d.batch), want); err != nil {
			t.Fatalf("device %.20q after %d events, as batch leaves it:\n%v", d.name, len(d.events), err)
		}
		cells := append(append([]*visitor.Cell{&d.base}, d.cells...), written(t, &d.speed.Cell))
		if err := judge.Cell(visitor.Merge(small, cells...), want); err != nil {
			t.Fatalf("device %.20q after %d events, merged from %d cells:\n%v", d.name, len(d.events), len(cells), err)
		}
		if err := judge.Cell(&visitor.Cell{Filter: d.speed.Filter, Units: d.speed.Whole}, want); err != nil {
			t.Fatalf("device %.20q after %d events, as speed holds it:\n%v", d.name, len(d.events), err)
		}
		want.Count(sums)
		for minute := range want.Seen {
			if seen[minute] == nil {
				seen[minute] = map[string]bool{}
			}
			seen[minute][d.name] = true
		}
	}
	exact := p.measured()
	for name, panes := range map[string]map[kpi.Pane]*kpi.Value{"speed": p.speed, "batch": exact} {
		if err := judge.Panes(panes, sums, seen); err != nil {
			t.Fatalf("the panes of %s: %v", name, err)
		}
	}
}

// measured are the panes as batch writes them: what it summed while it folded,
// and what the histories say in the end.
func (p *portal) measured() map[kpi.Pane]*kpi.Value {
	exact := map[kpi.Pane]*kpi.Value{}
	for pane, v := range p.batch {
		exact[pane] = new(kpi.Value)
		exact[pane].Merge(v)
	}
	for _, d := range p.devices {
		for i := range d.batch.Units {
			d.batch.Units[i].Measure(sum(exact))
		}
	}
	return exact
}

// TestFoldIsAsDocumented holds what batch and speed make of random logs against a
// second fold of the documented rules, field by field, with limits so small that
// each log goes over them.
func TestFoldIsAsDocumented(t *testing.T) {
	for seed := range uint64(*logs) {
		g := generate.New(rand.New(rand.NewPCG(seed, 2)))
		p := &portal{map[string]*device{}, map[kpi.Pane]*kpi.Value{}, map[kpi.Pane]*kpi.Value{}}
		for offset := range int64(20 + g.Rand.IntN(100)) {
			p.pass(t, offset, g.Next())
			if g.Rand.IntN(15) == 0 {
				p.cut(t, g.Rand.IntN(2) == 0)
			}
			if g.Rand.IntN(12) == 0 {
				p.check(t)
			}
		}
		p.check(t)
		if t.Failed() {
			t.Fatalf("log %d", seed)
		}
	}
}
