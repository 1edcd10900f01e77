package simulate

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"

	"fernweh/schemas"
)

// An Offer is one thing of the catalogue with what was planted about it.
type Offer struct {
	*schemas.Offer          // shared by all events that show it
	Substitutes    []*Offer // what travellers look at instead: the same kind of hotel at the same place
	Complements    []*Offer // what travellers book with it
	place, mould   int      // indices; a mould of -1: no hotel
	price          pricePer // what the price is for
}

// pricePer is what one price pays.
type pricePer int

// What one price pays.
const (
	perNight pricePer = iota // a room
	perHead
	perTrip
)

// A catalogue is what the portal sells. Offers at one destination lie side by side.
type catalogue struct {
	places []destination
	offers []*Offer
	from   []int // place -> its first offer; one more at the end
}

// Offers of each kind at a destination.
const (
	hotelsAPlace     = 9
	packagesAPlace   = 4
	flightsAPlace    = 2
	carsAPlace       = 1
	excursionsAPlace = 3
)

// newCatalogue casts the offers of a seed.
func newCatalogue(seed uint64) *catalogue {
	rng := rand.New(rand.NewPCG(seed, 0x6f66666572))
	c := &catalogue{places: destinations()}
	for place := range c.places {
		c.from = append(c.from, len(c.offers))
		c.hotels(rng, place)
		c.packages(rng, place)
		c.rest(rng, place)
		c.relate(rng, place)
	}
	c.from = append(c.from, len(c.offers))
	return c
}

// add puts an offer at a place into the catalogue.
func (c *catalogue) add(rng *rand.Rand, place int, kind schemas.OfferKind, price int64) *Offer {
	d := c.places[place]
	word := strings.ToLower(strings.TrimPrefix(kind.String(), "OFFER_KIND_"))
	o := &Offer{mould: -1, place: place, Offer: &schemas.Offer{
		Id:          fmt.Sprintf("%s-%04d", word, len(c.offers)+1),
		Kind:        kind,
		Destination: d.name,
		Latitude:    int32(math.Round((d.latitude + .1*(rng.Float64()-.5)) * 1e6)),
		Longitude:   int32(math.Round((d.longitude + .1*(rng.Float64()-.5)) * 1e6)),
		Price:       price,
		Currency:    "EUR",
		Available:   schemas.Choice_CHOICE_GRANTED,
	}}
	c.offers = append(c.offers, o)
	return o
}

// hotels casts the hotels of a place from the moulds that fit it, in turns.
func (c *catalogue) hotels(rng *rand.Rand, place int) {
	all := moulds()
	var fit []int
	for i, m := range all {
		if slices.Contains(c.places[place].styles, m.needs) {
			fit = append(fit, i)
		}
	}
	for i := range hotelsAPlace {
		m := all[fit[i%len(fit)]]
		o := c.add(rng, place, schemas.OfferKind_OFFER_KIND_HOTEL, 100*int64(m.price.draw(rng)))
		o.mould = fit[i%len(fit)]
		o.Styles = slices.Sorted(slices.Values(m.styles))
		o.Stars = int32(m.stars.draw(rng) / 5 * 5)
		if rng.Float64() < .03 {
			o.Available = schemas.Choice_CHOICE_DENIED
		}
	}
}

// packages are a hotel of the place and the way there, a week for one.
func (c *catalogue) packages(rng *rand.Rand, place int) {
	hotels := c.offers[c.from[place]:]
	for i := range packagesAPlace {
		h := hotels[i]
		o := c.add(rng, place, schemas.OfferKind_OFFER_KIND_PACKAGE, h.Price*7/2+100*int64(between{120, 400}.draw(rng)))
		o.Styles, o.Stars, o.price = h.Styles, h.Stars, perHead
	}
}

// rest is what goes with a stay.
func (c *catalogue) rest(rng *rand.Rand, place int) {
	cast := func(n int, kind schemas.OfferKind, euros between, per pricePer) {
		for range n {
			c.add(rng, place, kind, 100*int64(euros.draw(rng))).price = per
		}
	}
	cast(flightsAPlace, schemas.OfferKind_OFFER_KIND_FLIGHT, between{70, 420}, perHead)
	cast(carsAPlace, schemas.OfferKind_OFFER_KIND_CAR, between{25, 80}, perNight)
	cast(excursionsAPlace, schemas.OfferKind_OFFER_KIND_EXCURSION, between{20, 140}, perHead)
	cast(1, schemas.OfferKind_OFFER_KIND_INSURANCE, between{19, 89}, perTrip)
}

// relate plants what goes with and what goes instead of each stay at a place.
func (c *catalogue) relate(rng *rand.Rand, place int) {
	here := c.offers[c.from[place]:]
	stays, rest := here[:hotelsAPlace+packagesAPlace], here[hotelsAPlace+packagesAPlace:]
	flights, car := rest[:flightsAPlace], rest[flightsAPlace]
	tours, insurance := rest[flightsAPlace+carsAPlace:len(rest)-1], rest[len(rest)-1]
	for _, o := range stays {
		tour := tours[rng.IntN(len(tours))]
		if o.Kind == schemas.OfferKind_OFFER_KIND_PACKAGE {
			o.Complements = []*Offer{tour, insurance}
			continue
		}
		o.Complements = []*Offer{flights[rng.IntN(len(flights))], car, tour}
		for _, other := range stays[:hotelsAPlace] {
			if other != o && other.mould == o.mould {
				o.Substitutes = append(o.Substitutes, other)
			}
		}
	}
}

// draw is a number between the bounds.
func (b between) draw(rng *rand.Rand) int { return b[0] + rng.IntN(b[1]-b[0]+1) }

// total is what a party pays for an offer.
func (o *Offer) total(nights, heads int) int64 {
	switch o.price {
	case perHead:
		return o.Price * int64(heads)
	case perTrip:
		return o.Price
	}
	return o.Price * int64(nights) * int64((heads+3)/4) // four in a room or a car
}

// An appeal is how much each offer draws a persona, summed up: the weight of
// offer i is sums[i+1] - sums[i].
type appeal []float64

// appealTo weighs the catalogue for a persona.
func (c *catalogue) appealTo(p persona) appeal {
	a := make(appeal, 1, len(c.offers)+1)
	for _, o := range c.offers {
		a = append(a, a[len(a)-1]+p.taste.weight(o))
	}
	return a
}

// weight is how much an offer draws: by kind, styles, stars and price.
func (t taste) weight(o *Offer) float64 {
	if t.styles == nil {
		return 1
	}
	switch o.Kind {
	case schemas.OfferKind_OFFER_KIND_HOTEL:
		return t.hotels * t.fit(o) / hotelsAPlace
	case schemas.OfferKind_OFFER_KIND_PACKAGE:
		return (1 - t.hotels) * t.fit(o) / packagesAPlace
	}
	return 0 // what goes with a stay draws nobody by itself
}

// fit is how well a stay suits a taste; halved by each half star too few or too
// many.
func (t taste) fit(o *Offer) float64 {
	match := 0.0
	for _, s := range o.Styles {
		if i := slices.Index(t.styles, s); i >= 0 {
			match += 1 / float64(1+i)
		} else {
			match -= .5
		}
	}
	off := max(0, t.stars[0]-int(o.Stars), int(o.Stars)-t.stars[1])
	price := float64(o.Price) / 100_00
	if o.price == perHead {
		price /= 5
	}
	return math.Exp(3*match - .14*float64(off) - .5*t.thrift*price)
}

// pick draws an offer with an index from lo up to hi.
func (a appeal) pick(rng *rand.Rand, lo, hi int) int {
	x := a[lo] + rng.Float64()*(a[hi]-a[lo])
	i, _ := slices.BinarySearch(a[lo+1:hi], x)
	return lo + i
}
