package visitor

import (
	"math"
	"strings"

	"fernweh/schemas"
)

// A feature is one coordinate of a visitor's vector.
type feature struct {
	name string
	of   func(*summary) float64
}

// summary is what several features are made of.
type summary struct {
	c                            *Counters
	sessions, bounces, days      float64
	events, views, trips, orders float64
}

// features is the vector's layout. The name before a colon groups what excludes
// each other; a segment is named after what follows it.
var features = makeFeatures()

func makeFeatures() []feature {
	fs := []feature{
		{"volume:events", func(s *summary) float64 { return math.Log1p(s.events) }},
		{"volume:sessions", func(s *summary) float64 { return math.Log1p(s.sessions) }},
		{"volume:days", func(s *summary) float64 { return math.Log1p(s.days) }},
		{"volume:offers viewed", func(s *summary) float64 { return math.Log1p(s.views) }},
		{"volume:searches", func(s *summary) float64 { return math.Log1p(s.kind(schemas.Kind_KIND_SEARCH)) }},
		{"volume:bookings", func(s *summary) float64 { return math.Log1p(s.orders) }},
		{"habit:researcher", func(s *summary) float64 { return math.Log1p(s.views) - math.Log1p(8*s.orders) }},
		{"habit:bounces", func(s *summary) float64 { return s.bounces / (s.sessions + 1) }},
		{"habit:deep sessions", func(s *summary) float64 { return math.Log1p(s.events / (s.sessions + 1)) }},
		{"habit:carts", func(s *summary) float64 { return s.kind(schemas.Kind_KIND_CART) / (s.views + 2) }},
	}
	for i := schemas.Style_STYLE_QUIET; i <= schemas.Style_STYLE_PARTY; i++ {
		fs = append(fs, feature{"style:" + enumName(i.String(), "STYLE_"), shareOf(cStyles+int(i), viewsOf)})
	}
	for i, name := range []string{"solo", "couple", "family", "group"} {
		fs = append(fs, feature{"party:" + name, shareOf(cParty+i, tripsOf)})
	}
	for i, name := range []string{"winter", "spring", "summer", "autumn"} {
		fs = append(fs, feature{"season:" + name, func(s *summary) float64 {
			first := (11 + 3*i) % 12 // December begins the winter
			n := s.c[cMonths+first] + s.c[cMonths+(first+1)%12] + s.c[cMonths+(first+2)%12]
			return float64(n) / (s.trips + 1)
		}})
	}
	fs = append(fs,
		feature{"lead:short notice", func(s *summary) float64 { return float64(s.c[cLead]+s.c[cLead+1]) / (s.trips + 1) }},
		feature{"lead:early planner", func(s *summary) float64 { return float64(s.c[cLead+3]+s.c[cLead+4]) / (s.trips + 1) }},
		feature{"stay:short stay", shareOf(cNights, tripsOf)},
		feature{"stay:long stay", func(s *summary) float64 { return float64(s.c[cNights+3]+s.c[cNights+4]) / (s.trips + 1) }},
		feature{"level:stars", func(s *summary) float64 { return s.mean(cStars, 4) }},
		feature{"level:price", func(s *summary) float64 { return s.mean(cPrices, 8) }},
	)
	for i := schemas.OfferKind_OFFER_KIND_HOTEL; i <= schemas.OfferKind_OFFER_KIND_INSURANCE; i++ {
		fs = append(fs, feature{"offer:" + enumName(i.String(), "OFFER_KIND_"), shareOf(cOffers+int(i), viewsOf)})
	}
	return append(fs,
		feature{"time:morning", shareOf(cDayparts+1, eventsOf)},
		feature{"time:evening", shareOf(cDayparts+3, eventsOf)},
		feature{"time:weekend", shareOf(cWeekend, eventsOf)},
		feature{"device:mobile", shareOf(cDevices+int(schemas.DeviceClass_DEVICE_CLASS_MOBILE), eventsOf)},
		feature{"device:bot", shareOf(cDevices+int(schemas.DeviceClass_DEVICE_CLASS_BOT), eventsOf)},
		feature{"source:campaign", shareOf(cCampaign, eventsOf)},
	)
}

func enumName(s, prefix string) string { return strings.ToLower(strings.TrimPrefix(s, prefix)) }

func viewsOf(s *summary) float64  { return s.views }
func tripsOf(s *summary) float64  { return s.trips }
func eventsOf(s *summary) float64 { return s.events }

// shareOf is a counter's share of a total. One is added to the total, so that a
// single event is weak evidence and none is zero.
func shareOf(counter int, total func(*summary) float64) func(*summary) float64 {
	return func(s *summary) float64 { return float64(s.c[counter]) / (total(s) + 1) }
}

func (s *summary) kind(k schemas.Kind) float64 { return float64(s.c.Kind(k)) }

// mean is the average step, counted from 1, of n counters in a row; 0 without any.
func (s *summary) mean(first, n int) float64 {
	var sum, count float64
	for i := range n {
		sum += float64(i+1) * float64(s.c[first+i])
		count += float64(s.c[first+i])
	}
	return sum / max(count, 1)
}

// Features names the coordinates of Vector, in order.
func Features() []string {
	names := make([]string, len(features))
	for i, f := range features {
		names[i] = f.name
	}
	return names
}

// Vector appends the visitor's feature vector: logarithms of counts, shares in
// [0, 1) and mean steps. It is finite for every history.
func (h *History) Vector(dst []float64) []float64 {
	s := h.summarise()
	for i := range features {
		dst = append(dst, features[i].of(&s))
	}
	return dst
}

func (h *History) summarise() summary {
	s := summary{c: &h.Counters, events: float64(h.Events())}
	s.views = s.kind(schemas.Kind_KIND_OFFER_VIEW)
	s.orders = s.kind(schemas.Kind_KIND_BOOKING)
	for p := range parties {
		s.trips += float64(h.Counters[cParty+p])
	}
	h.eachSession(func(x *Session) {
		s.sessions++
		if x.Bounced() {
			s.bounces++
		}
	})
	day := int64(-1)
	for i := range h.Minutes {
		if d := h.Minutes[i].Minute / (24 * 60); d != day {
			day, s.days = d, s.days+1
		}
	}
	return s
}
