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

// Measure is m(history): what the history adds to each pane. Distinct counts are
// not in it, since they cannot be taken away again.
func (h *History) Measure(emit func(kpi.Pane, int64)) {
	for i := range h.Minutes {
		h.Minutes[i].measure(emit)
	}
	h.measureSessions(0, len(h.Minutes), emit)
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

// measureSessions emits the sessions that lie in the minutes [from, to), which
// must hold whole sessions.
func (h *History) measureSessions(from, to int, emit func(kpi.Pane, int64)) {
	for i := from; i < to; {
		s, next := h.session(i)
		minute := s.Start / microsPerMinute
		emit(kpi.Pane{Measure: kpi.Sessions, Minute: minute}, 1)
		if s.Bounced() {
			emit(kpi.Pane{Measure: kpi.Bounces, Minute: minute}, 1)
		}
		i = next
	}
}

// measureEvent is what one event adds to the panes of its own minute. It is all
// that an event without consent leaves behind.
func measureEvent(e *schemas.Event, emit func(kpi.Pane, int64)) {
	m := Minute{Minute: e.Time / microsPerMinute}
	m.add(e)
	m.measure(emit)
}

// change adds the event to the history and emits by how much m(history) grows:
// m(after) - m(before), computed from the minute and the sessions around the
// event alone. It says what Add says.
func (h *History) change(l Limits, e *schemas.Event, emit func(kpi.Pane, int64)) (fresh bool) {
	less := func(p kpi.Pane, n int64) { emit(p, -n) }
	switch n := h.Events(); {
	case n == l.cap(): // this event takes the history over the cap
		h.Measure(less)
		return h.Add(l, e)
	case n > l.cap():
		return h.Add(l, e)
	}
	from, to := h.around(e.Time)
	h.measureSessions(from, to, less)
	fresh = h.Add(l, e)
	from, to = h.around(e.Time)
	h.measureSessions(from, to, emit)
	measureEvent(e, emit)
	return fresh
}
