package visitor

import (
	"cmp"
	"slices"
	"strings"

	"fernweh/schemas"
)

// A History is everything that is known from a set of accepted events of one
// unit. The zero value is the empty set. It is a commutative monoid: the order
// of Add and the grouping of Merge do not show.
type History struct {
	First, Last int64    // event time of the first and the last event, UTC microseconds; 0 while empty
	Counters    Counters // of everything
	Minutes     []Minute // ascending
	Offers      []Offer  // ascending by id
}

// A Minute is what happened in one minute of event time. First and Last tell
// sessions apart without keeping every event.
type Minute struct {
	Minute      int64         // since 1970 UTC
	First, Last int64         // event time, UTC microseconds
	Kinds       [kinds]uint16 // events by schemas.Kind; cannot overflow below Limits.Events
	Places      []Place       // ascending by destination
	Money       []Money       // ascending by currency
}

// kinds is the number of event kinds, the unspecified one included.
const kinds = int(schemas.Kind_KIND_ERASURE) + 1

// A Place counts what was done about one destination.
type Place struct {
	Destination               string
	Searches, Views, Bookings uint16
}

// Money is what was booked and cancelled, in minor units of the currency.
type Money struct {
	Currency          string
	Booked, Cancelled int64
}

// An Offer counts what was done about one offer.
type Offer struct {
	ID              string
	Views, Bookings uint16
	Last            int64 // event time of the latest view or booking, UTC microseconds
}

// Events is the number of events in the history.
func (h *History) Events() uint64 { return h.Counters.events() }

// Add puts one accepted event into the history. It says whether the event's
// minute was not in it before, which is when a distinct count of that minute has
// to hear of the device.
func (h *History) Add(e *schemas.Event) (fresh bool) {
	if h.Events() == 0 {
		h.First, h.Last = e.Time, e.Time
	} else {
		h.First, h.Last = min(h.First, e.Time), max(h.Last, e.Time)
	}
	h.Counters.add(e)
	m, fresh := h.minute(e.Time)
	m.add(e)
	h.addOffer(e)
	return fresh
}

// minute finds or makes the minute of an event time.
func (h *History) minute(t int64) (m *Minute, made bool) {
	minute := t / microsPerMinute
	i := len(h.Minutes) // events mostly come in order: look at the end first
	if i == 0 || h.Minutes[i-1].Minute < minute {
		h.Minutes = append(h.Minutes, Minute{Minute: minute, First: t, Last: t})
		return &h.Minutes[i], true
	}
	i, found := h.search(minute)
	if !found {
		h.Minutes = slices.Insert(h.Minutes, i, Minute{Minute: minute, First: t, Last: t})
	}
	m = &h.Minutes[i]
	m.First, m.Last = min(m.First, t), max(m.Last, t)
	return m, !found
}

// search finds the first minute that is not before the given one.
func (h *History) search(minute int64) (i int, found bool) {
	if last := len(h.Minutes) - 1; last >= 0 && h.Minutes[last].Minute == minute {
		return last, true
	}
	return slices.BinarySearchFunc(h.Minutes, minute, func(m Minute, minute int64) int {
		return cmp.Compare(m.Minute, minute)
	})
}

const microsPerMinute = 60_000_000

func (m *Minute) add(e *schemas.Event) {
	m.Kinds[e.Kind]++
	if d, place := placeOf(e); d != "" {
		m.place(d).merge(place)
	}
	if x := moneyOf(e); x.Currency != "" {
		m.money(x.Currency).merge(x)
	}
}

// placeOf is the destination that an event is about, and how it counts there.
func placeOf(e *schemas.Event) (destination string, p Place) {
	switch e.Kind {
	case schemas.Kind_KIND_SEARCH:
		return e.GetSearch().GetDestination(), Place{Searches: 1}
	case schemas.Kind_KIND_OFFER_VIEW:
		return destinationOf(e), Place{Views: 1}
	case schemas.Kind_KIND_BOOKING:
		return destinationOf(e), Place{Bookings: 1}
	}
	return "", Place{}
}

// moneyOf is what an event booked or cancelled; without currency: nothing.
func moneyOf(e *schemas.Event) Money {
	o := e.GetOrder()
	switch e.Kind {
	case schemas.Kind_KIND_BOOKING:
		return Money{Currency: o.GetCurrency(), Booked: o.GetAmount()}
	case schemas.Kind_KIND_CANCELLATION:
		return Money{Currency: o.GetCurrency(), Cancelled: o.GetAmount()}
	}
	return Money{}
}

func destinationOf(e *schemas.Event) string {
	if d := e.GetOffer().GetDestination(); d != "" {
		return d
	}
	return e.GetSearch().GetDestination()
}

func (m *Minute) place(destination string) *Place {
	i, found := slices.BinarySearchFunc(m.Places, destination, func(p Place, d string) int {
		return strings.Compare(p.Destination, d)
	})
	if !found {
		m.Places = slices.Insert(m.Places, i, Place{Destination: destination})
	}
	return &m.Places[i]
}

func (p *Place) merge(q Place) {
	p.Searches += q.Searches
	p.Views += q.Views
	p.Bookings += q.Bookings
}

func (m *Minute) money(currency string) *Money {
	i, found := searchMoney(m.Money, currency)
	if !found {
		m.Money = slices.Insert(m.Money, i, Money{Currency: currency})
	}
	return &m.Money[i]
}

func searchMoney(ms []Money, currency string) (int, bool) {
	return slices.BinarySearchFunc(ms, currency, func(x Money, c string) int {
		return strings.Compare(x.Currency, c)
	})
}

func (m *Money) merge(o Money) {
	m.Booked += o.Booked
	m.Cancelled += o.Cancelled
}

func (h *History) addOffer(e *schemas.Event) {
	id := offerOf(e)
	switch {
	case id == "":
	case e.Kind == schemas.Kind_KIND_OFFER_VIEW:
		h.offer(id).merge(Offer{Views: 1, Last: e.Time})
	default:
		h.offer(id).merge(Offer{Bookings: 1, Last: e.Time})
	}
}

// offerOf is the offer that an event is noted at; empty: none.
func offerOf(e *schemas.Event) string {
	if e.Kind == schemas.Kind_KIND_OFFER_VIEW || e.Kind == schemas.Kind_KIND_BOOKING {
		return e.GetOffer().GetId()
	}
	return ""
}

func (h *History) offer(id string) *Offer {
	i, found := slices.BinarySearchFunc(h.Offers, id, func(o Offer, id string) int {
		return strings.Compare(o.ID, id)
	})
	if !found {
		h.Offers = slices.Insert(h.Offers, i, Offer{ID: id})
	}
	return &h.Offers[i]
}

func (o *Offer) merge(p Offer) {
	o.Views += p.Views
	o.Bookings += p.Bookings
	o.Last = max(o.Last, p.Last)
}

// Merge joins the history of a disjoint set of events of the same unit. It
// leaves o as it is and shares nothing with it.
func (h *History) Merge(o *History) {
	if o.Events() == 0 {
		return
	}
	if h.Events() == 0 {
		h.First, h.Last = o.First, o.Last
	} else {
		h.First, h.Last = min(h.First, o.First), max(h.Last, o.Last)
	}
	h.Counters.merge(&o.Counters)
	for i := range o.Minutes {
		h.mergeMinute(&o.Minutes[i])
	}
	for _, p := range o.Offers {
		h.offer(p.ID).merge(p)
	}
}

func (h *History) mergeMinute(o *Minute) {
	m, _ := h.minute(o.First)
	m.Last = max(m.Last, o.Last)
	for k, n := range o.Kinds {
		m.Kinds[k] += n
	}
	for _, p := range o.Places {
		m.place(p.Destination).merge(p)
	}
	for _, x := range o.Money {
		m.money(x.Currency).merge(x)
	}
}
