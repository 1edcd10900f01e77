package visitor_test

import (
	"bytes"
	"fmt"
	"slices"
	"testing"

	"fernweh/model/kpi"
	"fernweh/model/visitor"
	"fernweh/schemas"

	"pgregory.net/rapid"
)

func historyOf(es []*schemas.Event) *visitor.History {
	h := new(visitor.History)
	for _, e := range es {
		h.Add(e)
	}
	return h
}

// bytesOf is the canonical form of a history, through a cell that holds only it.
func bytesOf(t interface{ Fatal(...any) }, h *visitor.History) []byte {
	c := visitor.Cell{Units: visitor.Units{Named: []visitor.Unit{{History: *h}}}}
	b, err := c.AppendBinary(nil)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestHistoryIsACommutativeMonoid(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		es := rapid.SliceOfN(anEvent(), 0, 80).Draw(t, "events")
		want := bytesOf(t, historyOf(es))

		shuffled := rapid.Permutation(es).Draw(t, "other order")
		if got := bytesOf(t, historyOf(shuffled)); !bytes.Equal(got, want) {
			t.Fatalf("the order of Add shows:\ngot  %x\nwant %x", got, want)
		}
		i := rapid.IntRange(0, len(es)).Draw(t, "first split")
		j := rapid.IntRange(i, len(es)).Draw(t, "second split")
		a, b, c := historyOf(shuffled[:i]), historyOf(shuffled[i:j]), historyOf(shuffled[j:])
		left := new(visitor.History)
		left.Merge(a)
		left.Merge(b)
		left.Merge(c)
		c.Merge(b)
		c.Merge(a)
		if got := bytesOf(t, left); !bytes.Equal(got, want) {
			t.Fatalf("merge (a b) c differs from adding all:\ngot  %x\nwant %x", got, want)
		}
		if got := bytesOf(t, c); !bytes.Equal(got, want) {
			t.Fatalf("merge (c b) a differs from adding all:\ngot  %x\nwant %x", got, want)
		}
	})
}

func TestSessions(t *testing.T) {
	tests := []struct {
		name    string
		minutes []int
		want    []int // events a session
	}{
		{"nothing", nil, nil},
		{"one event", []int{0}, []int{1}},
		{"gap exactly", []int{0, 30}, []int{2}},
		{"gap passed", []int{0, 31}, []int{1, 1}},
		{"late event joins two sessions", []int{0, 50, 25}, []int{3}},
		{"late event extends a session backwards", []int{40, 60, 20}, []int{3}},
		{"late event stands alone between two", []int{0, 100, 50}, []int{1, 1, 1}},
		{"chain of short gaps", []int{0, 29, 58, 87}, []int{4}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var h visitor.History
			for i, m := range tt.minutes {
				h.Add(&schemas.Event{Id: fmt.Sprint(i), Kind: schemas.Kind_KIND_PAGE, Time: int64(m) * minute})
			}
			var got []int
			for _, s := range h.Sessions() {
				got = append(got, s.Events())
			}
			if !slices.Equal(got, tt.want) {
				t.Errorf("events at minutes %v: sessions of %v events, want %v", tt.minutes, got, tt.want)
			}
		})
	}
}

// TestSessionsAreRunsWithoutSilence compares with the plain definition: sort the
// times, cut where the silence is longer than the gap.
func TestSessionsAreRunsWithoutSilence(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		es := rapid.SliceOfN(anEvent(), 0, 60).Draw(t, "events")
		var times []int64
		for _, e := range es {
			times = append(times, e.Time)
		}
		slices.Sort(times)
		var want [][2]int64
		for i, at := range times {
			if i == 0 || at-times[i-1] > visitor.Gap {
				want = append(want, [2]int64{at, at})
			}
			want[len(want)-1][1] = at
		}
		var got [][2]int64
		for _, s := range historyOf(es).Sessions() {
			got = append(got, [2]int64{s.Start, s.End})
		}
		if !slices.Equal(got, want) {
			t.Fatalf("sessions of %v: got %v, want %v", times, got, want)
		}
	})
}

// panes sums differences by pane, leaving out the distinct counts.
type panes map[kpi.Pane]int64

func (ps panes) emit(p kpi.Pane, n int64) {
	if p.Measure == kpi.Visitors {
		return
	}
	if ps[p] += n; ps[p] == 0 {
		delete(ps, p)
	}
}

func (ps panes) equal(o panes) bool {
	if len(ps) != len(o) {
		return false
	}
	for p, n := range ps {
		if o[p] != n {
			return false
		}
	}
	return true
}

// TestDifferencesSumToMeasure is law 2: what speed adds event by event is what
// batch reads off the history in the end, erasures included.
func TestDifferencesSumToMeasure(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		log := aLog(t, "log")
		live, exact := panes{}, panes{}
		l := someLimits(t)
		v := visitor.Visitor{Device: visitor.HashDevice("d"), Limits: l}
		var c visitor.Cell
		for i, e := range log {
			_, _, d := v.Apply(int64(i), e)
			d.Effects(func(delta kpi.Delta) { live.emit(delta.Pane, delta.N) })
			c.Fold(l, e, visitor.HashID(e.Id), v.Device, exact.emit)
		}
		c.Units.Measure(exact.emit)
		if !live.equal(exact) {
			t.Fatalf("differences sum to %v, the history measures %v", live, exact)
		}
	})
}

// TestCellsMergeToTheFold is laws 1 and 3 for one device: wherever its log is
// cut into epochs, the cells merge to what one fold over the whole log gives.
func TestCellsMergeToTheFold(t *testing.T) {
	none := func(kpi.Pane, int64) {}
	rapid.Check(t, func(t *rapid.T) {
		log := aLog(t, "log")
		cuts := rapid.SliceOfN(rapid.IntRange(0, len(log)), 0, 4).Draw(t, "cuts")
		published := rapid.IntRange(0, len(cuts)).Draw(t, "epochs in the generation")
		slices.Sort(cuts)

		var want, base visitor.Cell
		l := someLimits(t)
		v := &visitor.Visitor{Limits: l}
		cells := []*visitor.Cell{&base}
		at := 0
		for epoch := 0; epoch <= len(cuts); epoch++ {
			end := len(log)
			if epoch < len(cuts) {
				end = cuts[epoch]
			}
			for ; at < end; at++ {
				want.Fold(l, log[at], visitor.HashID(log[at].Id), 0, none)
				if epoch < published {
					base.Fold(l, log[at], visitor.HashID(log[at].Id), 0, none)
				}
				v.Apply(int64(at), log[at])
			}
			if epoch >= published {
				cells = append(cells, through(t, &v.Cell))
			}
			v.Cell = visitor.Cell{Filter: v.Filter}
		}
		got, _ := visitor.Merge(l, append([]*visitor.Cell{through(t, cells[0])}, cells[1:]...)...).AppendBinary(nil)
		exp, _ := want.AppendBinary(nil)
		if !bytes.Equal(got, exp) {
			t.Fatalf("cuts %v, generation of %d epochs: merged cells\n%x, one fold\n%x", cuts, published, got, exp)
		}
		whole := visitor.Cell{Filter: want.Filter, Units: v.Whole, Beyond: want.Beyond}
		if got, _ := whole.AppendBinary(nil); !bytes.Equal(got, exp) {
			t.Fatalf("what speed holds as whole\n%x, one fold\n%x", got, exp)
		}
	})
}

// through is a cell after it was written and read.
func through(t *rapid.T, c *visitor.Cell) *visitor.Cell {
	b, err := c.AppendBinary(nil)
	if err != nil {
		t.Fatal(err)
	}
	out := new(visitor.Cell)
	if err := out.UnmarshalBinary(b); err != nil {
		t.Fatal(err)
	}
	again, _ := out.AppendBinary(nil)
	if !bytes.Equal(again, b) {
		t.Fatalf("a cell written, read and written again: %x, want %x", again, b)
	}
	return out
}

func TestVectorIsFiniteAndNamed(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		v := historyOf(rapid.SliceOfN(anEvent(), 0, 50).Draw(t, "events")).Vector(nil)
		names := visitor.Features()
		if len(v) != len(names) {
			t.Fatalf("%d coordinates, %d names", len(v), len(names))
		}
		for i, x := range v {
			if x != x || x > 1e9 || x < -1e9 {
				t.Fatalf("feature %s is %v", names[i], x)
			}
		}
	})
}

func FuzzCell(f *testing.F) {
	var c visitor.Cell
	c.Fold(visitor.Limits{}, &schemas.Event{Id: "a", Device: "d", Kind: schemas.Kind_KIND_PAGE, Time: 1, AssumedConsent: true}, 7, 1,
		func(kpi.Pane, int64) {})
	b, _ := c.AppendBinary(nil)
	f.Add(b)
	f.Add([]byte{1})
	f.Fuzz(func(t *testing.T, b []byte) {
		var c visitor.Cell
		if c.UnmarshalBinary(b) != nil {
			return
		}
		first, _ := c.AppendBinary(nil)
		var again visitor.Cell
		if err := again.UnmarshalBinary(first); err != nil {
			t.Fatalf("what was written cannot be read: %v", err)
		}
		if second, _ := again.AppendBinary(nil); !bytes.Equal(first, second) {
			t.Fatalf("written twice: %x and %x", first, second)
		}
	})
}
