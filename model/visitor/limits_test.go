package visitor_test

import (
	"bytes"
	"cmp"
	"fmt"
	"slices"
	"testing"

	"fernweh/model/kpi"
	"fernweh/model/visitor"
	"fernweh/schemas"

	"pgregory.net/rapid"
)

func ignore(kpi.Pane, int64) {}

// TestSmallLimits: what a portal does at 2,000 ids and 10,000 events, another does
// at four and twelve, one step below, at and above each.
func TestSmallLimits(t *testing.T) {
	l := visitor.Limits{Remembered: 4, Cap: 12}
	var f visitor.Filter
	for i := range 5 {
		f.Pass(l, uint64(i), page(fmt.Sprint(i)))
	}
	for _, e := range []struct {
		id   uint64
		want visitor.Verdict
	}{{4, visitor.Duplicate}, {1, visitor.Duplicate}, {0, visitor.Accepted}} {
		if got, _ := f.Pass(l, e.id, page(fmt.Sprint(e.id))); got != e.want {
			t.Errorf("id %d after five of which four are remembered: %s, want %s", e.id, got, e.want)
		}
	}
	var c visitor.Cell
	for i := range 14 {
		want := visitor.Accepted
		if i >= 12 {
			want = visitor.Automatic
		}
		e := page(fmt.Sprint("event", i))
		e.Time = int64(i) * minute
		if got := c.Fold(l, e, visitor.HashID(e.Id), 0, ignore); got != want {
			t.Errorf("event %d of a device under a cap of 12: %s, want %s", i+1, got, want)
		}
	}
	if u := c.Units.Unit(""); len(u.Minutes) != 12 || u.Events() != 12 || c.Beyond.Events() != 2 {
		t.Errorf("after 14 events under a cap of 12: %d minutes, %d events and %d beyond, want 12, 12 and 2",
			len(u.Minutes), u.Events(), c.Beyond.Events())
	}
}

// TestBytesKeptInFull: events are kept in full up to the last byte, and after the
// first one that is not none is, however small.
func TestBytesKeptInFull(t *testing.T) {
	large := func(id string) *schemas.Event { // 35 + 12 + 10 bytes
		e := page(id)
		e.Kind, e.Search = schemas.Kind_KIND_SEARCH, &schemas.Search{Destination: "0123456789"}
		return e
	}
	for _, tt := range []struct {
		name  string
		bytes int64
		log   []*schemas.Event
		want  []visitor.Verdict
	}{
		{"up to the last byte", 70, []*schemas.Event{page("a"), page("b"), page("c")},
			[]visitor.Verdict{visitor.Accepted, visitor.Accepted, visitor.Automatic}},
		{"one byte short", 69, []*schemas.Event{page("a"), page("b")}, []visitor.Verdict{visitor.Accepted, visitor.Automatic}},
		{"none after a large one", 91, []*schemas.Event{page("a"), large("b"), page("c")},
			[]visitor.Verdict{visitor.Accepted, visitor.Automatic, visitor.Automatic}},
		{"a large one that fits", 92, []*schemas.Event{page("a"), large("b")}, []visitor.Verdict{visitor.Accepted, visitor.Accepted}},
	} {
		var f visitor.Filter
		for i, e := range tt.log {
			if got, _ := f.Pass(visitor.Limits{Bytes: tt.bytes}, visitor.HashID(e.Id), e); got != tt.want[i] {
				t.Errorf("%s: event %d is %s, want %s", tt.name, i, got, tt.want[i])
			}
		}
	}
}

// TestALoginWithoutAPlaceLeavesNoName: when a login loses its place, the cells that
// speed writes from then on do not name it.
func TestALoginWithoutAPlaceLeavesNoName(t *testing.T) {
	v := visitor.Visitor{Limits: visitor.Limits{Units: 1}}
	for i, login := range []string{"a long login that is told", "another long login that is told"} {
		v.Apply(int64(i), by(login, page(login)))
	}
	kept := v.Whole.Named[0].Login
	b, err := v.Cell.AppendBinary(nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, login := range []string{"a long login that is told", "another long login that is told"} {
		if named := bytes.Contains(b, []byte(login)); named != (login == kept || login == v.Login || login == v.FirstLogin) {
			t.Errorf("the cell names %q: %v; the unit kept is of %q", login, named, kept)
		}
	}
	if len(v.Units.Named) != 1 || v.Units.Shared.Events() != 1 {
		t.Errorf("the epoch's cell has %d units and %d events of nobody, want 1 and 1", len(v.Units.Named), v.Units.Shared.Events())
	}
}

// TestALoginLosesItsPlaceInTheEpochToo: what speed writes of an epoch shares a login as
// the whole history does, though the epoch alone has room for it.
func TestALoginLosesItsPlaceInTheEpochToo(t *testing.T) {
	logins := []string{"ann", "bob", "cem"}
	slices.SortFunc(logins, func(a, b string) int { return cmp.Compare(visitor.HashLogin(a), visitor.HashLogin(b)) })
	v := visitor.Visitor{Limits: visitor.Limits{Units: 2}}
	v.Apply(0, by(logins[0], page("a")))
	v.Cell = visitor.Cell{Filter: v.Filter}
	v.Apply(1, by(logins[2], page("b")))
	v.Apply(2, by(logins[1], page("c")))
	if v.Whole.Unit(logins[2]) != nil || v.Units.Unit(logins[2]) != nil || v.Units.Shared.Events() != 1 {
		t.Errorf("the login with the largest hash has a unit in the whole: %v, in the epoch: %v; want neither",
			v.Whole.Unit(logins[2]) != nil, v.Units.Unit(logins[2]) != nil)
	}
}

// TestALimitTakesNothingBack: whatever limit a device crosses, the panes keep
// what was counted: of its log they hold as much as with limits it never meets.
func TestALimitTakesNothingBack(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		log := rapid.SliceOfN(anEvent(), 0, 60).Draw(t, "log")
		for i, e := range log {
			e.Id = fmt.Sprint(i) // none is a duplicate, whatever is remembered
		}
		limited, free := panes{}, panes{}
		small := visitor.Visitor{Limits: visitor.Limits{Cap: 12, Units: 2, Remembered: 4}}
		large := visitor.Visitor{}
		for i, e := range log {
			for _, x := range []struct {
				*visitor.Visitor
				panes
			}{{&small, limited}, {&large, free}} {
				_, _, d := x.Apply(int64(i), e)
				d.Effects(func(d kpi.Delta) { x.emit(d.Pane, d.N) })
			}
			for p, n := range limited {
				if n < 0 && p.Measure != kpi.Revenue && p.Measure != kpi.Refunds {
					t.Fatalf("after event %d pane %v is %d", i, p, n)
				}
			}
		}
		for p, want := range free {
			visits := p.Measure == kpi.Sessions || p.Measure == kpi.Bounces // what is kept as a count has none
			if got := limited[p]; got != want && !visits {
				t.Fatalf("pane %v is %d with small limits, %d without", p, got, want)
			}
		}
	})
}

// TestManyLoginsAreAMonoid: of more logins than there are units for, the same ones
// keep theirs in any order and grouping, and no event is lost.
func TestManyLoginsAreAMonoid(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		l := visitor.Limits{Units: rapid.IntRange(1, 4).Draw(t, "units")}
		n := rapid.IntRange(0, 30).Draw(t, "events")
		events := make([]*schemas.Event, n)
		for i := range events {
			events[i] = by(fmt.Sprint("login", rapid.IntRange(0, 9).Draw(t, "login")), page(fmt.Sprint(i)))
			events[i].Time = int64(i) * minute
		}
		cell := func(es []*schemas.Event) *visitor.Cell {
			c := new(visitor.Cell)
			for _, e := range es {
				c.Fold(l, e, visitor.HashID(e.Id), 0, ignore)
			}
			return c
		}
		units := func(c *visitor.Cell) []byte {
			b, _ := (&visitor.Cell{Units: c.Units}).AppendBinary(nil)
			return b
		}
		all := cell(events)
		var kept uint64
		for h := range all.Units.Histories {
			kept += h.Events()
		}
		if kept != uint64(n) || len(all.Units.Named) > l.Units {
			t.Fatalf("of %d events %d are kept, in %d units of at most %d", n, kept, len(all.Units.Named), l.Units)
		}
		shuffled := rapid.Permutation(events).Draw(t, "other order")
		i := rapid.IntRange(0, n).Draw(t, "first split")
		j := rapid.IntRange(i, n).Draw(t, "second split")
		a, b, c := cell(shuffled[:i]), cell(shuffled[i:j]), cell(shuffled[j:])
		for _, grouping := range [][]*visitor.Cell{{a, b, c}, {c, a, b}, {visitor.Merge(l, b, c), a}} {
			if got := visitor.Merge(l, grouping...); !bytes.Equal(units(got), units(all)) {
				t.Fatalf("merged in another grouping:\n%+v, want\n%+v", got.Units, all.Units)
			}
		}
		smallest := make(map[uint64]bool)
		for _, e := range events {
			smallest[visitor.HashLogin(e.User)] = true
		}
		want := sortedKeys(smallest)
		if want = want[:min(len(want), l.Units)]; !slices.Equal(all.Units.Known, want) {
			t.Fatalf("places are taken by %x, want the smallest hashes %x", all.Units.Known, want)
		}
	})
}

func sortedKeys(m map[uint64]bool) (keys []uint64) {
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}

// A crowd is a device that is used as no traveller uses one.
type crowd struct {
	long   int   // bytes of each id, login and destination
	logins int   // different ones
	erase  int   // each so many events there is an erasure, of the device or the current login in turn; 0: never
	apart  int64 // time between events, microseconds
	events int
}

// event is the i-th event of the crowd: a booking, which adds most to a cell.
func (c crowd) event(i int) *schemas.Event {
	text := func(name string, i int) string { return fmt.Sprintf("%0*d%s", c.long, i, name) }
	e := &schemas.Event{
		Id: text("m", i), User: text("u", i%c.logins), Kind: schemas.Kind_KIND_BOOKING, Time: 1_600_000_000_000_000 + int64(i)*c.apart,
		Received: int64(i + 1), AssumedConsent: true,
		Offer: &schemas.Offer{Id: text("o", i), Destination: text("d", i), Kind: schemas.OfferKind(i % 7), Price: int64(1) << (i % 50),
			Stars: int32(i % 60), Styles: []schemas.Style{schemas.Style(i % 12)}},
		Order:  &schemas.Order{Amount: 1 << 50, Currency: string([]byte{'A' + byte(i%26), 'A' + byte(i/26%26), 'X'})},
		Search: &schemas.Search{Depart: int32(i), Nights: int32(i % 20), Adults: int32(i % 4)},
	}
	if c.erases(i) {
		e.Kind, e.Erasure = schemas.Kind_KIND_ERASURE, &schemas.Erasure{Login: []string{"", e.User}[i/c.erase%2]}
	}
	return e
}

func (c crowd) erases(i int) bool { return c.erase > 0 && i%c.erase == c.erase-1 }

// TestCellIsBounded: whatever one device does, its cell is below 1 MiB, with what
// was decided in it since it was written last, of which speed holds 128 KiB and
// one event more (speed/partition.go:maxDecided).
func TestCellIsBounded(t *testing.T) {
	const held = 128 << 10
	var crowds []crowd
	for _, long := range []int{1, 40, 250} {
		for _, apart := range []int64{1, minute, 31 * minute} {
			crowds = append(crowds, crowd{long, 1, 0, apart, 10_000}, crowd{long, 70, 1000, apart, 1500}, crowd{long, 4000, 300, apart, 700})
		}
	}
	crowds = append(crowds, crowd{40, 4000, 3, minute, 700}, crowd{250, 3, 1100, 31 * minute, 2300})
	largest := 0
	for _, c := range crowds {
		var v visitor.Visitor
		decided := 0
		for i := range c.events {
			_, _, d := v.Apply(int64(i), c.event(i))
			v.Decided = append(v.Decided, d)
			decided += d.Size()
			if decided <= held && i < c.events-1 && !c.erases(i) {
				continue
			}
			for _, cell := range []*visitor.Cell{&v.Cell, {Filter: v.Filter, Units: v.Whole, Beyond: v.Beyond}} {
				b, err := cell.AppendBinary(nil)
				if err != nil {
					t.Fatal(err)
				}
				if largest = max(largest, len(b)); len(b) > 1<<20 {
					t.Fatalf("%+v: after %d events a cell has %d bytes", c, i+1, len(b))
				}
			}
			if decided > held {
				v.Decided, decided = nil, 0
			}
		}
	}
	t.Logf("the largest cell had %d bytes", largest)
	if largest < 300<<10 {
		t.Errorf("the largest cell had %d bytes: these crowds come near no limit", largest)
	}
}
