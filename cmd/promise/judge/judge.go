// Package judge holds what the program answers against what the oracle says, field
// by field, and says what differs.
package judge

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"

	"fernweh/cmd/promise/oracle"
	"fernweh/model/kpi"
	"fernweh/model/visitor"
	"fernweh/schemas"
)

// Small are limits that a short log goes over.
var Small = oracle.Limits{Remembered: 4, Cap: 12, Bytes: 1200, Units: 2, Erasures: 2, Campaigns: 2}

// Limits are the same limits for the program.
func Limits(l oracle.Limits) visitor.Limits {
	return visitor.Limits{
		Remembered: l.Remembered, Cap: int64(l.Cap), Bytes: int64(l.Bytes), Units: l.Units, Erasures: l.Erasures, Campaigns: l.Campaigns,
	}
}

// differences collects what differs.
type differences []error

// differ notes that a thing is not as it should be.
func differ[T any](ds *differences, name string, got, want T, same bool) {
	if !same {
		*ds = append(*ds, fmt.Errorf("%s is %v, the documents say %v", name, got, want))
	}
}

func equal[T comparable](ds *differences, name string, got, want T) {
	differ(ds, name, got, want, got == want)
}

// Cell compares a whole state of a device, as batch leaves it or serving merges it.
func Cell(got *visitor.Cell, want *oracle.Device) error {
	var ds differences
	filter(&ds, &got.Filter, want)
	units := want.Units()
	if err := History(&got.Units.Shared, units[oracle.Nobody]); err != nil {
		ds = append(ds, fmt.Errorf("nobody's unit: %w", err))
	}
	delete(units, oracle.Nobody)
	var logins []string
	for i := range got.Units.Named {
		logins = append(logins, got.Units.Named[i].Login)
	}
	expected := slices.Sorted(maps.Keys(units))
	differ(&ds, "the list of units", logins, expected, slices.Equal(logins, expected))
	places := want.Places()
	differ(&ds, "the list of logins with a place", got.Units.Known, places, slices.Equal(got.Units.Known, places))
	for i := range got.Units.Named {
		u := &got.Units.Named[i]
		if err := History(&u.History, units[u.Login]); err != nil {
			ds = append(ds, fmt.Errorf("unit %.20q: %w", u.Login, err))
		}
		person := got.Units.Person(u.Login, got.FirstLogin)
		if err := Vector(person, want.Person(u.Login)); err != nil {
			ds = append(ds, fmt.Errorf("unit %.20q with what was before it: %w", u.Login, err))
		}
	}
	sessions(&ds, got.Units.Sessions(), oracle.Sessions(want.All()))
	return errors.Join(ds...)
}

// Beyond compares what is kept of automatic events. What speed holds whole has none.
func Beyond(got *visitor.Beyond, events []*schemas.Event) error {
	var ds differences
	counters(&ds, &got.Counters, events)
	want := map[string]oracle.Money{}
	for _, m := range oracle.Minutes(events) {
		for currency, x := range m.Money {
			sum := want[currency]
			want[currency] = oracle.Money{Booked: sum.Booked + x.Booked, Cancelled: sum.Cancelled + x.Cancelled}
		}
	}
	mine := map[string]oracle.Money{}
	for _, x := range got.Money {
		mine[x.Currency] = oracle.Money{Booked: x.Booked, Cancelled: x.Cancelled}
	}
	differ(&ds, "money beyond", mine, want, maps.Equal(mine, want))
	if len(ds) > 0 {
		return fmt.Errorf("beyond: %w", errors.Join(ds...))
	}
	return nil
}

func filter(ds *differences, got *visitor.Filter, want *oracle.Device) {
	var ids []uint64
	for _, id := range want.Remembered {
		ids = append(ids, oracle.Hash(id))
	}
	differ(ds, "the list of remembered ids", got.IDs, ids, slices.Equal(got.IDs, ids))
	equal(ds, "login", owner(got.Login, got.Nobody), want.Current)
	equal(ds, "first login", owner(got.FirstLogin, got.FirstGone), want.First)
	equal(ds, "number of accepted events", got.Events, int64(len(want.Accepted)+want.Taken+len(want.Beyond)))
	if !want.Full {
		equal(ds, "cost", got.Bytes, int64(want.Spent))
	}
	equal(ds, "latest booking", got.Booked, want.Booked)
	campaigns(ds, got.Campaigns, want)
	equal(ds, "erased others", got.ErasedOthers, want.ErasedOthers)
	equal(ds, "erased unnamed", got.ErasedUnnamed, want.ErasedUnnamed)
	equal(ds, "choice", got.Choice, want.Choice)
	equal(ds, "erased", got.Erased, want.Erased)
	erased, expected := map[uint64]int64{}, map[uint64]int64{}
	for _, e := range got.ErasedLogins {
		erased[e.Login] = e.At
	}
	for login, at := range want.ErasedLogins {
		expected[oracle.Hash(login)] = at
	}
	differ(ds, "erased logins", erased, expected, maps.Equal(erased, expected))
}

func campaigns(ds *differences, got []visitor.Campaign, want *oracle.Device) {
	mine, theirs := map[uint64]visitor.Campaign{}, map[uint64]visitor.Campaign{}
	for _, c := range got {
		mine[c.ID] = c
	}
	for name, cause := range want.Causes {
		c := visitor.Campaign{ID: oracle.Hash(name), Cause: cause, Accepted: int64(len(want.Acts[name]))}
		for _, e := range want.Acts[name] {
			c.At = e.Time
		}
		theirs[c.ID] = c
	}
	differ(ds, "the list of campaigns", mine, theirs, maps.Equal(mine, theirs))
}

// owner is an owner as the oracle names it.
func owner(login string, nobody bool) string {
	if nobody {
		return login + oracle.Nobody
	}
	return login
}

// History compares what is known of a unit.
func History(got *visitor.History, events []*schemas.Event) error {
	var ds differences
	equal(&ds, "number of events", got.Events(), uint64(len(events)))
	first, last := int64(0), int64(0)
	for i, e := range events {
		if i == 0 {
			first, last = e.Time, e.Time
		}
		first, last = min(first, e.Time), max(last, e.Time)
	}
	equal(&ds, "first", got.First, first)
	equal(&ds, "last", got.Last, last)
	counters(&ds, &got.Counters, events)
	minutes(&ds, got, oracle.Minutes(events))
	offers(&ds, got, oracle.Offers(events))
	sessions(&ds, got.Sessions(), oracle.Sessions(events))
	return errors.Join(ds...)
}

func counters(ds *differences, got *visitor.Counters, events []*schemas.Event) {
	want := oracle.Counters(events)
	for i, n := range got {
		equal(ds, fmt.Sprint("counter ", i), int(n), want[i])
	}
}

func minutes(ds *differences, got *visitor.History, want map[int64]oracle.Minute) {
	var numbers []int64
	for i := range got.Minutes {
		m := &got.Minutes[i]
		numbers = append(numbers, m.Minute)
		mine := oracle.Minute{First: m.First, Last: m.Last, Kinds: map[schemas.Kind]int{},
			Places: map[string]oracle.Place{}, Money: map[string]oracle.Money{}}
		for k, n := range m.Kinds {
			if n > 0 {
				mine.Kinds[schemas.Kind(k)] = int(n)
			}
		}
		for _, p := range m.Places {
			mine.Places[p.Destination] = oracle.Place{Searches: int(p.Searches), Views: int(p.Views), Bookings: int(p.Bookings)}
		}
		for _, x := range m.Money {
			mine.Money[x.Currency] = oracle.Money{Booked: x.Booked, Cancelled: x.Cancelled}
		}
		theirs := want[m.Minute]
		differ(ds, fmt.Sprint("minute ", m.Minute), mine, theirs, mine.First == theirs.First && mine.Last == theirs.Last &&
			maps.Equal(mine.Kinds, theirs.Kinds) && maps.Equal(mine.Places, theirs.Places) && maps.Equal(mine.Money, theirs.Money))
	}
	expected := slices.Sorted(maps.Keys(want))
	differ(ds, "the list of minutes", numbers, expected, slices.Equal(numbers, expected))
}

func offers(ds *differences, got *visitor.History, want map[string]oracle.Offer) {
	var ids []string
	for _, o := range got.Offers {
		ids = append(ids, o.ID)
		equal(ds, fmt.Sprintf("offer %.20q", o.ID), oracle.Offer{Views: int(o.Views), Bookings: int(o.Bookings), Last: o.Last}, want[o.ID])
	}
	expected := slices.Sorted(maps.Keys(want))
	differ(ds, "the list of offers", ids, expected, slices.Equal(ids, expected))
}

func sessions(ds *differences, got []visitor.Session, want []oracle.Session) {
	type session struct {
		start, end int64
		events     int
		bounce     bool
	}
	var mine, theirs []session
	for _, s := range got {
		mine = append(mine, session{s.Start, s.End, s.Events(), s.Bounced()})
	}
	for _, s := range want {
		theirs = append(theirs, session{s.Events[0].Time, s.Events[len(s.Events)-1].Time, len(s.Events), s.Bounce})
	}
	differ(ds, "the list of sessions", mine, theirs, slices.Equal(mine, theirs))
}

// Vector compares the features of a history by their names.
func Vector(got *visitor.History, events []*schemas.Event) error {
	var ds differences
	want := oracle.Vector(events)
	names := visitor.Features()
	vector := got.Vector(nil)
	equal(&ds, "number of features", len(vector), len(want))
	for i, name := range names {
		x, known := want[name]
		differ(&ds, "feature "+name, vector[i], x, known && math.Abs(vector[i]-x) < 1e-9)
	}
	return errors.Join(ds...)
}

// Pane compares the value of a pane with a sum, and with the devices of which it is
// the sketch.
func Pane(pane kpi.Pane, got *kpi.Value, sum int64, devices map[string]bool) error {
	var ds differences
	equal(&ds, "the sum", got.Sum, sum)
	sketch, err := got.Devices.AppendBinary(nil)
	if err != nil {
		return err
	}
	if want := oracle.Sketch(devices); !bytes.Equal(sketch, want) {
		differ(&ds, "the sketch", sketch, want, false)
	}
	off := math.Abs(float64(got.Devices.Estimate()) - float64(len(devices)))
	differ(&ds, "the estimate", got.Devices.Estimate(), uint64(len(devices)), off <= 1+0.065*float64(len(devices)))
	if len(ds) > 0 {
		return fmt.Errorf("pane %v: %w", Name(pane), errors.Join(ds...))
	}
	return nil
}

// Name is a pane as the oracle knows it.
func Name(p kpi.Pane) oracle.Pane {
	return oracle.Pane{Measure: p.Measure.String(), Minute: p.Minute, Of: p.Dim.String()}
}

// Panes compares all panes with sums, and those of visitors with the devices seen in
// their minutes.
func Panes(got map[kpi.Pane]*kpi.Value, sums oracle.Panes, seen map[int64]map[string]bool) error {
	left := maps.Clone(sums)
	for pane, v := range got {
		name := Name(pane)
		delete(left, name)
		var devices map[string]bool
		if pane.Measure == kpi.Visitors {
			devices = seen[pane.Minute]
		}
		if err := Pane(pane, v, sums[name], devices); err != nil {
			return err
		}
	}
	for minute, devices := range seen {
		if got[kpi.Pane{Measure: kpi.Visitors, Minute: minute}] == nil {
			return fmt.Errorf("minute %d has no pane of its %d visitors", minute, len(devices))
		}
	}
	for name, n := range left {
		if n != 0 {
			return fmt.Errorf("pane %v is missing, the documents say %d", name, n)
		}
	}
	return nil
}
