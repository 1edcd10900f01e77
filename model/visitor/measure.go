package visitor

import (
	"fernweh/model/kpi"
	"fernweh/schemas"
)

// measureOf is the measure that counts events of a kind; kinds without one
// count among the events only.
var measureOf = [kinds]kpi.Measure{
	schemas.Kind_KIND_PAGE:              kpi.Pages,
	schemas.Kind_KIND_SEARCH:            kpi.Searches,
	schemas.Kind_KIND_LIST_VIEW:         kpi.Lists,
	schemas.Kind_KIND_OFFER_VIEW:        kpi.Views,
	schemas.Kind_KIND_CART:              kpi.Carts,
	schemas.Kind_KIND_CHECKOUT:          kpi.Checkouts,
	schemas.Kind_KIND_BOOKING:           kpi.Bookings,
	schemas.Kind_KIND_CANCELLATION:      kpi.Cancellations,
	schemas.Kind_KIND_PLACEMENT_SHOWN:   kpi.Impressions,
	schemas.Kind_KIND_PLACEMENT_CLICKED: kpi.Clicks,
	schemas.Kind_KIND_NEWSLETTER:        kpi.Newsletters,
}

func (m *Minute) measure(emit func(kpi.Pane, int64)) {
	var all int64
	for k, n := range m.Kinds {
		all += int64(n)
		if n > 0 && measureOf[k] != 0 {
			emit(kpi.Pane{Measure: measureOf[k], Minute: m.Minute}, int64(n))
		}
	}
	emit(kpi.Pane{Measure: kpi.Events, Minute: m.Minute}, all)
	for _, p := range m.Places {
		p.measure(m.Minute, emit)
	}
	for _, x := range m.Money {
		dim := kpi.Dim{By: kpi.ByCurrency, Value: x.Currency}
		if x.Booked != 0 {
			emit(kpi.Pane{Measure: kpi.Revenue, Minute: m.Minute, Dim: dim}, x.Booked)
		}
		if x.Cancelled != 0 {
			emit(kpi.Pane{Measure: kpi.Refunds, Minute: m.Minute, Dim: dim}, x.Cancelled)
		}
	}
}

func (p *Place) measure(minute int64, emit func(kpi.Pane, int64)) {
	dim := kpi.Dim{By: kpi.ByDestination, Value: p.Destination}
	if p.Searches > 0 {
		emit(kpi.Pane{Measure: kpi.Searches, Minute: minute, Dim: dim}, int64(p.Searches))
	}
	if p.Views > 0 {
		emit(kpi.Pane{Measure: kpi.Views, Minute: minute, Dim: dim}, int64(p.Views))
	}
	if p.Bookings > 0 {
		emit(kpi.Pane{Measure: kpi.Bookings, Minute: minute, Dim: dim}, int64(p.Bookings))
	}
}

// measureEvent is what one event adds to the panes of its own minute. It is all
// that an event without consent leaves behind.
func measureEvent(e *schemas.Event, emit func(kpi.Pane, int64)) {
	m := Minute{Minute: e.Time / microsPerMinute}
	m.add(e)
	m.measure(emit)
}

// change adds the event to its owner's history and emits by how much m(device)
// grows: m(after) - m(before), computed from the minute and the sessions around
// the event alone. When a login loses its place to the owner's, its unit moves
// into the shared one, and no pane does: sessions are the device's.
func (us *Units) change(l Limits, e *schemas.Event, o Owner, emit func(kpi.Pane, int64)) (c changed) {
	var room [8]*Minute
	measureSessions(us.around(e.Time, room[:0]), func(p kpi.Pane, n int64) { emit(p, -n) })
	var h *History
	h, c.unit, c.made, c.gone = us.owner(l, o)
	c.fresh = h.Add(e)
	measureSessions(us.around(e.Time, room[:0]), emit)
	measureEvent(e, emit)
	return c
}

// changed is what an event did to the units of its device.
type changed struct {
	unit  *Unit  // that it went into; nil: the shared one
	made  bool   // the unit is new
	fresh bool   // the unit had no event in this minute before
	gone  string // login that has lost its place; empty: none
}
