package oracle

import (
	"math"
	"strings"

	"fernweh/schemas"
)

// Vector is the feature vector of a unit's events by the features' names.
func Vector(events []*schemas.Event) map[string]float64 {
	c := Counters(events)
	number := func(indices ...int) (n float64) {
		for _, i := range indices {
			n += float64(c[i])
		}
		return n
	}
	log := func(x float64) float64 { return math.Log(1 + x) }
	e, v, b := float64(len(events)), number(int(schemas.Kind_KIND_OFFER_VIEW)), number(int(schemas.Kind_KIND_BOOKING))
	t := number(104, 105, 106, 107)
	s, bounces, days := times(events)
	out := map[string]float64{
		"volume:events": log(e), "volume:sessions": log(s), "volume:days": log(days), "volume:offers viewed": log(v),
		"volume:searches": log(number(int(schemas.Kind_KIND_SEARCH))), "volume:bookings": log(b),
		"habit:researcher": log(v) - log(8*b), "habit:bounces": bounces / (s + 1), "habit:deep sessions": log(e / (s + 1)),
		"habit:carts": number(int(schemas.Kind_KIND_CART)) / (v + 2),

		"party:solo": number(104) / (t + 1), "party:couple": number(105) / (t + 1),
		"party:family": number(106) / (t + 1), "party:group": number(107) / (t + 1),
		"season:winter": number(108+11, 108, 109) / (t + 1), "season:spring": number(110, 111, 112) / (t + 1),
		"season:summer": number(113, 114, 115) / (t + 1), "season:autumn": number(116, 117, 118) / (t + 1),
		"lead:short notice": number(120, 121) / (t + 1), "lead:early planner": number(123, 124) / (t + 1),
		"stay:short stay": number(125) / (t + 1), "stay:long stay": number(128, 129) / (t + 1),
		"level:stars": mean(c, 130, 133), "level:price": mean(c, 134, 141),

		"time:morning": number(143) / (e + 1), "time:evening": number(145) / (e + 1), "time:weekend": number(146) / (e + 1),
		"device:mobile": number(149) / (e + 1), "device:bot": number(151) / (e + 1), "source:campaign": number(155) / (e + 1),
	}
	for style := 1; style <= 11; style++ {
		out["style:"+word(schemas.Style_name[int32(style)], "STYLE_")] = number(64+style) / (v + 1)
	}
	for kind := 1; kind <= 6; kind++ {
		out["offer:"+word(schemas.OfferKind_name[int32(kind)], "OFFER_KIND_")] = number(96+kind) / (v + 1)
	}
	return out
}

func word(name, prefix string) string { return strings.ToLower(strings.TrimPrefix(name, prefix)) }

// times are the sessions, bounces and days of events.
func times(events []*schemas.Event) (sessions, bounces, days float64) {
	on := map[int64]bool{}
	for _, s := range Sessions(events) {
		sessions++
		if s.Bounce {
			bounces++
		}
		for _, e := range s.Events {
			on[e.Time/day] = true
		}
	}
	return sessions, bounces, float64(len(on))
}

// mean is the average step of the counters from one index to another, the first being 1.
func mean(c map[int]int, from, to int) float64 {
	var steps, n float64
	for i := from; i <= to; i++ {
		steps += float64((i - from + 1) * c[i])
		n += float64(c[i])
	}
	if n == 0 {
		return 0
	}
	return steps / n
}

// Person is what a unit is looked at with: itself, and with the first login also
// what happened before it.
func (d *Device) Person(login string) []*schemas.Event {
	units := d.Units()
	events := units[login]
	if login != "" && login == d.First {
		events = append(append([]*schemas.Event{}, units[""]...), events...)
	}
	return events
}
