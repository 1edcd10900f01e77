package judge_test

import (
	"errors"
	"flag"
	"fmt"
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

// A device is one device as each layer folds it, and what the documents say.
type device struct {
	name   string
	batch  visitor.Cell    // as batch folds it
	base   visitor.Cell    // as batch left it at the cut of the generation
	speed  visitor.Visitor // as speed holds it
	cells  []*visitor.Cell // of the epochs before, as they were written
	events []*schemas.Event
	oracle *oracle.Device
}

// A portal is some devices whose panes are summed.
type portal struct {
	small   visitor.Limits
	limits  oracle.Limits
	devices map[string]*device
	batch   values   // what batch sums while it folds
	base    values   // panes of the generation
	epochs  []values // panes of speed in the epochs since then
}

type values map[kpi.Pane]*kpi.Value

func newPortal(l oracle.Limits) *portal {
	return &portal{
		small: judge.Limits(l), limits: l,
		devices: map[string]*device{}, batch: values{}, epochs: []values{{}},
	}
}

func sum(panes values) func(kpi.Pane, int64) {
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
		d = &device{name: name, oracle: oracle.Fold(p.limits), speed: visitor.Visitor{Device: visitor.HashDevice(name), Limits: p.small}}
		p.devices[name] = d
	}
	return d
}

// pass lets both layers take the next event.
func (p *portal) pass(t *testing.T, offset int64, e *schemas.Event) {
	t.Helper()
	d := p.device(e.Device)
	belongs := d.oracle.OwnerOf(e)
	want := d.oracle.Pass(e)
	d.events = append(d.events, e)
	if got := d.batch.Fold(p.small, e, visitor.HashID(e.Id), visitor.HashDevice(e.Device), sum(p.batch)); got.String() != string(want) {
		t.Fatalf("event %d is %s to batch, the documents say %s", offset, got, want)
	}
	verdict, unit, decided := d.speed.Apply(offset, e)
	if verdict.String() != string(want) {
		t.Fatalf("event %d is %s to speed, the documents say %s", offset, verdict, want)
	}
	if verdict == visitor.Accepted {
		if _, own := d.oracle.Units()[belongs]; !own {
			belongs = oracle.Nobody
		}
		got := oracle.Nobody
		if unit != nil {
			got = unit.Login
		}
		if got != belongs {
			t.Fatalf("event %d belongs to %q, the documents say %q", offset, got, belongs)
		}
	}
	add := sum(p.epochs[len(p.epochs)-1])
	decided.Effects(func(x kpi.Delta) { add(x.Pane, x.N) })
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
	if generation {
		p.base, p.epochs = p.measured(), nil
	}
	p.epochs = append(p.epochs, values{})
}

// check holds everything against the documents.
func (p *portal) check(t *testing.T) {
	t.Helper()
	sums, seen := oracle.Panes{}, map[int64]map[string]bool{}
	for _, d := range p.devices {
		want := d.oracle
		if err := judge.Cell(written(t, &d.batch), want); err != nil {
			t.Fatalf("device %.20q after %d events, as batch leaves it:\n%v", d.name, len(d.events), err)
		}
		if err := judge.Beyond(&d.batch.Beyond, want.Beyond); err != nil {
			t.Fatalf("device %.20q after %d events, as batch leaves it: %v", d.name, len(d.events), err)
		}
		cells := append(append([]*visitor.Cell{&d.base}, d.cells...), written(t, &d.speed.Cell))
		merged := visitor.Merge(p.small, cells...)
		if err := errors.Join(judge.Cell(merged, want), judge.Beyond(&merged.Beyond, want.Beyond)); err != nil {
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
	for name, panes := range map[string]values{
		"batch": p.measured(), "the generation and the epochs after it": merged(t, append([]values{p.base}, p.epochs...)),
	} {
		if err := judge.Panes(panes, sums, seen); err != nil {
			t.Fatalf("the panes of %s: %v", name, err)
		}
	}
}

// merged are panes of several cells as a reader merges them, each read as it was written.
func merged(t *testing.T, parts []values) values {
	t.Helper()
	whole := values{}
	for _, part := range parts {
		for pane, v := range part {
			b, err := v.AppendBinary(nil)
			if err != nil {
				t.Fatal(err)
			}
			var read kpi.Value
			if err := read.UnmarshalBinary(b); err != nil {
				t.Fatal(err)
			}
			if whole[pane] == nil {
				whole[pane] = new(kpi.Value)
			}
			whole[pane].Merge(&read)
		}
	}
	return whole
}

// measured are the panes as batch writes them: what it summed while it folded,
// and what the histories say in the end.
func (p *portal) measured() values {
	exact := values{}
	for pane, v := range p.batch {
		exact[pane] = new(kpi.Value)
		exact[pane].Merge(v)
	}
	for _, d := range p.devices {
		d.batch.Units.Measure(sum(exact))
	}
	return exact
}

// TestFoldIsAsDocumented holds what batch and speed make of random logs against a
// second fold of the documented rules, field by field, with limits so small that
// each log goes over them.
func TestFoldIsAsDocumented(t *testing.T) {
	for seed := range uint64(*logs) {
		g := generate.New(rand.New(rand.NewPCG(seed, 2)))
		p := newPortal(judge.Small)
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

// TestLimitsAreAsDocumented goes over the limits that a portal has, and looks one
// event before, at and after each.
func TestLimitsAreAsDocumented(t *testing.T) {
	tests := []struct {
		name  string
		limit int64 // events after which something changes
		event func(i int64) *schemas.Event
		last  []int64 // earlier events that are sent again in the end
	}{
		{"ids", 2000, func(int64) *schemas.Event { return &schemas.Event{Kind: schemas.Kind_KIND_PAGE} }, []int64{1999, 2000}},
		{"events", 10_000, func(int64) *schemas.Event { return &schemas.Event{Kind: schemas.Kind_KIND_PAGE} }, nil},
		{"bytes", 384 << 10 / 73, func(int64) *schemas.Event { // 35 + 12 + 4 + 20 + 2 bytes each
			return &schemas.Event{Kind: schemas.Kind_KIND_OFFER_VIEW, Offer: &schemas.Offer{Id: "h1", Destination: "Sylt"}}
		}, nil},
		{"logins", 64, func(i int64) *schemas.Event {
			return &schemas.Event{Kind: schemas.Kind_KIND_PAGE, User: fmt.Sprint("u", i)}
		}, nil},
		{"erasures", 2 * 64, func(i int64) *schemas.Event {
			if i%2 == 0 {
				return &schemas.Event{Kind: schemas.Kind_KIND_PAGE, User: fmt.Sprint("u", i)}
			}
			return &schemas.Event{Kind: schemas.Kind_KIND_ERASURE, Erasure: &schemas.Erasure{Login: fmt.Sprint("u", i-1)}}
		}, nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			p := newPortal(oracle.Documented)
			p.small = visitor.Limits{} // what the program has without being told
			for i := range tt.limit + 4 {
				e := tt.event(i)
				e.Id, e.Device, e.Time, e.Received, e.AssumedConsent = fmt.Sprint("m", i), "d", i*1_000_000, i+1, true
				p.pass(t, i, e)
				if distance := i - tt.limit; distance >= -2 && distance <= 2 {
					p.check(t)
					p.cut(t, i%2 == 0)
				}
			}
			for _, ago := range tt.last {
				p.pass(t, 20_000-ago, &schemas.Event{Id: fmt.Sprint("m", tt.limit+3-ago), Device: "d", Kind: schemas.Kind_KIND_PAGE,
					Received: 20_000, AssumedConsent: true})
			}
			p.check(t)
		})
	}
}
