package serving

import (
	"cmp"
	"slices"
	"strings"
	"time"

	"fernweh/model/visitor"
	"fernweh/schemas"
)

const denied = schemas.Choice_CHOICE_DENIED

// A Summary is what the histories of some units say, side by side. The sessions
// of a device are its own, whoever was logged in; those of a person or a unit are
// counted by unit.
type Summary struct {
	FirstSeen    time.Time         `json:"firstSeen"`
	LastSeen     time.Time         `json:"lastSeen"`
	Events       uint64            `json:"events"`
	Sessions     int               `json:"sessions"`
	Bounces      int               `json:"bounces" doc:"sessions of a single interaction"`
	CountersOnly bool              `json:"countersOnly" doc:"the device has had so many events that of later ones only counts and money are kept"`
	Kinds        map[string]uint32 `json:"kinds" doc:"events by kind"`
	Styles       map[string]uint32 `json:"styles" doc:"offer views by style"`
	Party        map[string]uint32 `json:"party" doc:"searches and bookings by who travels"`
	Destinations []Destination     `json:"destinations" doc:"the ten with most interest"`
	Offers       []Offer           `json:"offers" doc:"the ten looked at last, latest first"`
	Money        []Money           `json:"money"`
}

// A Destination is what was done about one destination.
type Destination struct {
	Destination string `json:"destination"`
	Searches    int64  `json:"searches"`
	Views       int64  `json:"views"`
	Bookings    int64  `json:"bookings"`
}

// An Offer is what was done about one offer.
type Offer struct {
	ID       string    `json:"id"`
	Views    int64     `json:"views"`
	Bookings int64     `json:"bookings"`
	Last     time.Time `json:"last"`
}

// Money is what was booked and cancelled in one currency.
type Money struct {
	Currency  string `json:"currency"`
	Booked    int64  `json:"booked" doc:"in minor units"`
	Cancelled int64  `json:"cancelled" doc:"in minor units"`
}

// shown is how many destinations and offers a summary lists.
const shown = 10

// Summarize sums up histories, of one device or of several.
func Summarize(histories ...*visitor.History) Summary {
	p := Summary{Kinds: map[string]uint32{}, Styles: map[string]uint32{}, Party: map[string]uint32{}}
	destinations := map[string]Destination{}
	offers := map[string]Offer{}
	money := map[string]Money{}
	for _, h := range histories {
		if h == nil || h.Events() == 0 {
			continue
		}
		p.count(h)
		for i := range h.Minutes {
			sumPlaces(destinations, h.Minutes[i].Places)
			sumMoney(money, h.Minutes[i].Money)
		}
		sumOffers(offers, h.Offers)
	}
	p.Destinations = top(destinations, compareDestinations)
	p.Offers = top(offers, func(a, b Offer) int { return cmp.Or(b.Last.Compare(a.Last), cmp.Compare(a.ID, b.ID)) })
	p.Money = all(money, compareMoney)
	return p
}

// count adds what a history counts.
func (p *Summary) count(h *visitor.History) {
	first, last := micros(h.First), micros(h.Last)
	if p.Events == 0 || first.Before(p.FirstSeen) {
		p.FirstSeen = first
	}
	if last.After(p.LastSeen) {
		p.LastSeen = last
	}
	p.Events += h.Events()
	for _, s := range h.Sessions() {
		p.Sessions++
		if s.Bounced() {
			p.Bounces++
		}
	}
	p.tally(&h.Counters)
}

// tally adds what counters count.
func (p *Summary) tally(c *visitor.Counters) {
	for k := schemas.Kind_KIND_PAGE; k <= schemas.Kind_KIND_CUSTOM; k++ {
		note(p.Kinds, kindName(k), c.Kind(k))
	}
	for s := schemas.Style_STYLE_QUIET; s <= schemas.Style_STYLE_PARTY; s++ {
		note(p.Styles, enumName(s.String(), "STYLE_"), c.Style(s))
	}
	for i, name := range parties {
		note(p.Party, name, c.Party(i))
	}
}

// Kind is the number of events of a kind.
func (p *Summary) Kind(k schemas.Kind) int64 { return int64(p.Kinds[kindName(k)]) }

// SummarizeDevice sums up all that is known of a device.
func SummarizeDevice(c *visitor.Cell) Summary {
	p := Summarize(slices.Collect(c.Units.Histories)...)
	p.Sessions, p.Bounces = 0, 0
	for _, s := range c.Units.Sessions() {
		p.Sessions++
		if s.Bounced() {
			p.Bounces++
		}
	}
	if n := c.Beyond.Events(); n > 0 {
		p.CountersOnly = true
		p.Events += n
		p.tally(&c.Beyond.Counters)
		p.Money = beyondMoney(p.Money, &c.Beyond)
	}
	return p
}

// unnamed is the code of ISO 4217 for no currency: the money of the currencies
// beyond those that are kept apart.
const unnamed = "XXX"

func beyondMoney(known []Money, b *visitor.Beyond) []Money {
	sum := map[string]Money{}
	for _, m := range known {
		sum[m.Currency] = m
	}
	sumMoney(sum, b.Money)
	if b.Others != (visitor.Money{}) {
		others := b.Others
		others.Currency = unnamed
		sumMoney(sum, []visitor.Money{others})
	}
	return all(sum, compareMoney)
}

func compareMoney(a, b Money) int { return cmp.Compare(a.Currency, b.Currency) }

// parties are the names of who travels.
var parties = [...]string{visitor.Solo: "solo", visitor.Couple: "couple", visitor.Family: "family", visitor.Group: "group"}

func note(counts map[string]uint32, name string, n uint32) {
	if n > 0 {
		counts[name] += n
	}
}

func kindName(k schemas.Kind) string { return enumName(k.String(), "KIND_") }

func enumName(s, prefix string) string { return strings.ToLower(strings.TrimPrefix(s, prefix)) }

func micros(t int64) time.Time { return time.UnixMicro(t).UTC() }

func sumPlaces(sum map[string]Destination, places []visitor.Place) {
	for _, x := range places {
		d := sum[x.Destination]
		d.Destination = x.Destination
		d.Searches += int64(x.Searches)
		d.Views += int64(x.Views)
		d.Bookings += int64(x.Bookings)
		sum[x.Destination] = d
	}
}

func sumMoney(sum map[string]Money, amounts []visitor.Money) {
	for _, x := range amounts {
		m := sum[x.Currency]
		m.Currency = x.Currency
		m.Booked += x.Booked
		m.Cancelled += x.Cancelled
		sum[x.Currency] = m
	}
}

func sumOffers(sum map[string]Offer, offers []visitor.Offer) {
	for _, x := range offers {
		o := sum[x.ID]
		o.ID = x.ID
		o.Views += int64(x.Views)
		o.Bookings += int64(x.Bookings)
		if last := micros(x.Last); last.After(o.Last) {
			o.Last = last
		}
		sum[x.ID] = o
	}
}

// compareDestinations puts the most wanted first: a booking says more than a
// view, a view more than a search.
func compareDestinations(a, b Destination) int {
	weight := func(d Destination) int64 { return 10*d.Bookings + 2*d.Views + d.Searches }
	return cmp.Or(cmp.Compare(weight(b), weight(a)), cmp.Compare(a.Destination, b.Destination))
}

// top are the first entries of a map in an order.
func top[V any](m map[string]V, compare func(a, b V) int) []V {
	vs := all(m, compare)
	return vs[:min(len(vs), shown)]
}

// all are the entries of a map in an order; never nil.
func all[V any](m map[string]V, compare func(a, b V) int) []V {
	vs := make([]V, 0, len(m))
	for _, v := range m {
		vs = append(vs, v)
	}
	slices.SortFunc(vs, compare)
	return vs
}
