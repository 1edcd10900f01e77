package oracle

import (
	"slices"
	"time"

	"fernweh/schemas"
)

// A Session is a run of events without a silence of more than 30 minutes.
type Session struct {
	Events []*schemas.Event // by time
	Bounce bool
}

// Sessions are the sessions of events, by time.
func Sessions(events []*schemas.Event) []Session {
	sorted := slices.Clone(events)
	slices.SortFunc(sorted, func(a, b *schemas.Event) int { return int(a.Time - b.Time) })
	var out []Session
	for i, e := range sorted {
		if i == 0 || e.Time-sorted[i-1].Time > 30*minute {
			out = append(out, Session{})
		}
		last := &out[len(out)-1]
		last.Events = append(last.Events, e)
	}
	for i := range out {
		interactions := 0
		for _, e := range out[i].Events {
			switch e.Kind {
			case schemas.Kind_KIND_CONSENT, schemas.Kind_KIND_IDENTIFY, schemas.Kind_KIND_PLACEMENT_SHOWN:
			default:
				interactions++
			}
		}
		out[i].Bounce = interactions <= 1
	}
	return out
}

// A Place is what was done about a destination.
type Place struct{ Searches, Views, Bookings int }

// Money is what was booked and cancelled in a currency.
type Money struct{ Booked, Cancelled int64 }

// An Offer is what was done about an offer, and when last.
type Offer struct {
	Views, Bookings int
	Last            int64
}

// A Minute is what happened in one minute.
type Minute struct {
	First, Last int64
	Kinds       map[schemas.Kind]int
	Places      map[string]Place
	Money       map[string]Money
}

// Minutes are the minutes of a unit's events.
func Minutes(events []*schemas.Event) map[int64]Minute {
	out := map[int64]Minute{}
	for _, e := range events {
		m, there := out[minuteOf(e)]
		if !there {
			m = Minute{e.Time, e.Time, map[schemas.Kind]int{}, map[string]Place{}, map[string]Money{}}
		}
		m.First, m.Last = min(m.First, e.Time), max(m.Last, e.Time)
		m.Kinds[e.Kind]++
		if d, p := place(e); d != "" {
			sum := m.Places[d]
			m.Places[d] = Place{sum.Searches + p.Searches, sum.Views + p.Views, sum.Bookings + p.Bookings}
		}
		if c, x := money(e); c != "" {
			sum := m.Money[c]
			m.Money[c] = Money{sum.Booked + x.Booked, sum.Cancelled + x.Cancelled}
		}
		out[minuteOf(e)] = m
	}
	return out
}

func place(e *schemas.Event) (destination string, p Place) {
	destination = e.GetSearch().GetDestination()
	if e.Kind != schemas.Kind_KIND_SEARCH && e.GetOffer().GetDestination() != "" {
		destination = e.GetOffer().GetDestination()
	}
	switch e.Kind {
	case schemas.Kind_KIND_SEARCH:
		return destination, Place{Searches: 1}
	case schemas.Kind_KIND_OFFER_VIEW:
		return destination, Place{Views: 1}
	case schemas.Kind_KIND_BOOKING:
		return destination, Place{Bookings: 1}
	}
	return "", Place{}
}

func money(e *schemas.Event) (currency string, m Money) {
	switch e.Kind {
	case schemas.Kind_KIND_BOOKING:
		return e.GetOrder().GetCurrency(), Money{Booked: e.GetOrder().GetAmount()}
	case schemas.Kind_KIND_CANCELLATION:
		return e.GetOrder().GetCurrency(), Money{Cancelled: e.GetOrder().GetAmount()}
	}
	return "", Money{}
}

// Offers are what a unit's events say of offers.
func Offers(events []*schemas.Event) map[string]Offer {
	out := map[string]Offer{}
	for _, e := range events {
		id := e.GetOffer().GetId()
		if id == "" || e.Kind != schemas.Kind_KIND_OFFER_VIEW && e.Kind != schemas.Kind_KIND_BOOKING {
			continue
		}
		o := out[id]
		o.Last = max(o.Last, e.Time)
		if e.Kind == schemas.Kind_KIND_BOOKING {
			o.Bookings++
		} else {
			o.Views++
		}
		out[id] = o
	}
	return out
}

// Counters are a unit's counters by index; what is missing is 0.
func Counters(events []*schemas.Event) map[int]int {
	c := map[int]int{}
	for _, e := range events {
		countEvent(c, e)
		if e.Kind == schemas.Kind_KIND_OFFER_VIEW && e.Offer != nil {
			countOffer(c, e.Offer)
		}
		if (e.Kind == schemas.Kind_KIND_SEARCH || e.Kind == schemas.Kind_KIND_BOOKING) && e.Search != nil {
			countTrip(c, e.Search, e.Time)
		}
	}
	return c
}

func countEvent(c map[int]int, e *schemas.Event) {
	c[0+int(e.Kind)]++
	at := time.UnixMicro(e.Time).UTC()
	c[142+below(int64(at.Hour()), 6, 12, 18)]++
	if at.Weekday() == time.Saturday || at.Weekday() == time.Sunday {
		c[146]++
	}
	if class := int(e.GetContext().GetDeviceClass()); class >= 1 && class <= 7 {
		c[147+class]++
	}
	if e.GetContext().GetCampaignSource() != "" || e.GetContext().GetCampaignName() != "" {
		c[155]++
	}
	if e.GetContext().GetReferrer() != "" {
		c[156]++
	}
}

func countOffer(c map[int]int, o *schemas.Offer) {
	for _, s := range o.Styles {
		if s >= 1 && s <= 31 {
			c[64+int(s)]++
		}
	}
	if o.Kind >= 1 && o.Kind <= 7 {
		c[96+int(o.Kind)]++
	}
	if o.Stars > 0 {
		c[130+below(int64(o.Stars), 30, 40, 50)]++
	}
	if o.Price > 0 {
		c[134+below(o.Price, 5000, 10_000, 20_000, 40_000, 80_000, 160_000, 320_000)]++
	}
}

func countTrip(c map[int]int, s *schemas.Search, at int64) {
	switch {
	case s.Children > 0:
		c[106]++
	case s.Adults == 1:
		c[104]++
	case s.Adults == 2:
		c[105]++
	case s.Adults > 2:
		c[107]++
	}
	if s.Depart > 0 {
		c[108+int(time.Unix(int64(s.Depart)*24*60*60, 0).UTC().Month())-1]++
		if ahead := int64(s.Depart) - at/day; ahead >= 0 {
			c[120+below(ahead, 7, 30, 90, 180)]++
		}
	}
	if s.Nights > 0 {
		c[125+below(int64(s.Nights), 4, 7, 10, 14)]++
	}
	if s.Query != "" {
		c[157]++
	}
}

// below is the place of the first bound that n lies below; their number if none.
func below(n int64, bounds ...int64) int {
	for i, b := range bounds {
		if n < b {
			return i
		}
	}
	return len(bounds)
}
