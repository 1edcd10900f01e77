package simulate

import (
	"encoding/csv"
	"fmt"
	"io"
	"iter"
	"strconv"
	"strings"
	"time"

	"fernweh/schemas"
)

// A Truth is what a device hides.
type Truth struct {
	Device   string
	Customer string // who logs in there, if anybody does; empty: nobody
	Persona  string
	Party    string          // solo, couple, family, group; empty: a bot
	Styles   []schemas.Style // what the traveller likes, main style first
	Season   string          // of the first trip: spring, summer, autumn, winter
	Books    bool            // the first trip ends in a booking, if the history is long enough
	Bot      bool
}

// Truth tells of all devices of the visitors of the history, and of those whom
// the live stream has let in so far. A device may stay without events, if its
// visitor never took it up before the end.
func (p *Portal) Truth() iter.Seq[Truth] {
	return func(yield func(Truth) bool) {
		for i := range max(p.settings.Visitors, int(p.arrived.Load())) {
			v := p.visitor(i)
			for _, d := range v.devices {
				if !yield(p.truth(v, d)) {
					return
				}
			}
		}
	}
}

// truth is what a visitor's device hides.
func (p *Portal) truth(v *visitor, d device) Truth {
	who := &p.personas[v.persona]
	return Truth{
		Device:   d.id,
		Customer: v.account,
		Persona:  who.name,
		Party:    who.group.label,
		Styles:   who.taste.styles,
		Season:   season(v.wish.depart),
		Books:    v.wish.books,
		Bot:      who.name == robot,
	}
}

// season is the season of a day.
func season(day int32) string {
	switch time.Unix(int64(day)*86400, 0).UTC().Month() {
	case time.March, time.April, time.May:
		return "spring"
	case time.June, time.July, time.August:
		return "summer"
	case time.September, time.October, time.November:
		return "autumn"
	}
	return "winter"
}

// WriteTruth writes the truth as CSV.
func (p *Portal) WriteTruth(w io.Writer) error {
	out := csv.NewWriter(w)
	out.Write([]string{"device", "customer", "persona", "party", "style", "styles", "season", "books", "bot"}) // Error tells
	for t := range p.Truth() {
		styles := words(t.Styles)
		main, _, _ := strings.Cut(styles, " ")
		out.Write([]string{t.Device, t.Customer, t.Persona, t.Party, main, styles, t.Season,
			strconv.FormatBool(t.Books), strconv.FormatBool(t.Bot)})
	}
	out.Flush()
	if err := out.Error(); err != nil {
		return fmt.Errorf("write truth: %w", err)
	}
	return nil
}

// WriteOffers writes the catalogue as CSV, with the planted substitutes and
// complements.
func (p *Portal) WriteOffers(w io.Writer) error {
	out := csv.NewWriter(w)
	out.Write([]string{"offer", "kind", "destination", "latitude", "longitude", "styles", "stars", "price", "currency",
		"available", "substitutes", "complements"}) // Error tells
	for _, o := range p.Offers() {
		out.Write([]string{o.Id, strings.ToLower(strings.TrimPrefix(o.Kind.String(), "OFFER_KIND_")), o.Destination,
			decimal(o.Latitude, 6), decimal(o.Longitude, 6), words(o.Styles), decimal(o.Stars, 1),
			strconv.FormatInt(o.Price/100, 10), o.Currency,
			strconv.FormatBool(o.Available == schemas.Choice_CHOICE_GRANTED), ids(o.Substitutes), ids(o.Complements)})
	}
	out.Flush()
	if err := out.Error(); err != nil {
		return fmt.Errorf("write offers: %w", err)
	}
	return nil
}

// words are styles in words.
func words(styles []schemas.Style) string {
	var w []string
	for _, s := range styles {
		w = append(w, strings.ToLower(strings.TrimPrefix(s.String(), "STYLE_")))
	}
	return strings.Join(w, " ")
}

// ids are the ids of offers.
func ids(offers []*Offer) string {
	var w []string
	for _, o := range offers {
		w = append(w, o.Id)
	}
	return strings.Join(w, " ")
}

// decimal is n / 10^places.
func decimal(n int32, places int) string {
	unit := 1.0
	for range places {
		unit *= 10
	}
	return strconv.FormatFloat(float64(n)/unit, 'f', places, 64)
}
