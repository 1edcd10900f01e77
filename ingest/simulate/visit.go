package simulate

import (
	"slices"
	"strings"

	"fernweh/schemas"
)

// visit plays one visit and queues what it sends.
func (r *run) visit(v *visitor, at int64) {
	r.visits++
	v.left--
	w := r.walk(v, at)
	switch {
	case w.who.name == robot:
		w.crawl()
	case v.bought != nil:
		w.cancel()
	default:
		w.browse()
	}
}

// browse is a traveller's visit: he lands, looks around, and ends somehow.
func (w *walk) browse() {
	last := w.v.left == 0
	w.land()
	if w.v.chance(.15) && w.v.wish.only == nil && !(last && w.v.wish.books) {
		return
	}
	w.search()
	for range 1 + w.v.poisson(w.who.habit.pages-1) {
		switch x := w.v.rng.Float64(); {
		case x < .1:
			w.search()
		case x < .14:
			w.page("/guide/"+path(w.place()), "Guide")
		case x < .18:
			w.send(&schemas.Event{Kind: schemas.Kind_KIND_CUSTOM, Name: "Map Opened"})
		default:
			w.view(w.choose())
		}
	}
	switch {
	case last && w.v.wish.books:
		w.book()
	case w.v.wish.only == nil && w.v.chance(w.who.mind.carts):
		w.abandon()
	}
	if w.v.chance(w.who.mind.letter / 4) {
		w.send(&schemas.Event{Kind: schemas.Kind_KIND_NEWSLETTER})
	}
}

// land is the first page, the consent banner, the login and the teaser.
func (w *walk) land() {
	w.page("/", "Home")
	w.consent()
	if w.v.account != "" && !w.d.loggedIn && w.visit >= w.v.login && (w.visit == w.v.login || w.v.chance(.7)) {
		w.d.loggedIn = true
		w.send(&schemas.Event{Kind: schemas.Kind_KIND_IDENTIFY, User: w.v.account})
	}
	if w.v.wish.only == nil && w.v.chance(.6) {
		w.teaser()
	}
}

// consent answers the banner on the first visit of a device, or changes the
// mind later. One in twelve never answers.
func (w *walk) consent() {
	asked, x := w.d.asked, w.v.rng.Float64()
	w.d.asked = true
	choice := schemas.Choice_CHOICE_GRANTED
	switch {
	case asked && (x > .01 || w.v.wish.only != nil):
		return
	case asked, x < .12 && w.v.wish.only == nil:
		choice = schemas.Choice_CHOICE_DENIED
	case x < .2 && w.v.wish.only == nil:
		return
	}
	w.send(&schemas.Event{Kind: schemas.Kind_KIND_CONSENT, Choice: choice})
}

// teaser is the slot on the home page. Arm A shows anything, arm B what draws
// the persona; what fits is clicked more often.
func (w *walk) teaser() {
	all := w.r.sold.offers
	o := all[w.v.rng.IntN(len(all))]
	if w.d.arm == "B" {
		o = all[w.r.appeals[w.v.persona].pick(w.v.rng, 0, len(all))]
	}
	p := &schemas.Placement{Slot: "home-teaser", Offer: o.Id, Decision: w.id(), Arm: w.d.arm}
	w.send(&schemas.Event{Kind: schemas.Kind_KIND_PLACEMENT_SHOWN, Placement: p})
	if w.v.chance(.02 + .1*min(2, w.who.taste.fit(o))) {
		w.send(&schemas.Event{Kind: schemas.Kind_KIND_PLACEMENT_CLICKED, Placement: p})
		w.view(o)
	}
}

// search asks for the trip and sees the list.
func (w *walk) search() {
	place := w.place()
	s := w.trip()
	s.Destination = place
	s.Results = hotelsAPlace + packagesAPlace
	if len(w.who.taste.filters) > 0 && w.v.chance(.5) {
		n := 1 + w.v.rng.IntN(len(w.who.taste.filters))
		s.Filters = w.who.taste.filters[:n]
		s.Results /= int32(1 + n)
	}
	if w.v.chance(.12) { // asks without dates or party
		s.Depart, s.Nights, s.Adults, s.Children = 0, 0, 0, 0
	}
	w.open("/search", "Search")
	w.send(&schemas.Event{Kind: schemas.Kind_KIND_SEARCH, Search: s})
	w.send(&schemas.Event{
		Kind:       schemas.Kind_KIND_LIST_VIEW,
		Search:     &schemas.Search{Destination: place, Results: -1},
		Properties: `{"list_id":"search"}`,
	})
}

// trip is what the visitor wants, his dates give or take some days.
func (w *walk) trip() *schemas.Search {
	v := w.v
	s := &schemas.Search{Depart: v.wish.depart, Nights: v.wish.nights, Results: -1}
	s.Adults, s.Children = v.party.adults, v.party.children
	if v.number > 0 && v.chance(.3) {
		s.Depart = max(date(w.today()), s.Depart+int32(v.rng.IntN(7)-3))
	}
	return s
}

// place is the name of a destination that the visitor has in mind.
func (w *walk) place() string {
	places := w.v.wish.places
	return w.r.sold.places[places[w.v.rng.IntN(len(places))]].name
}

// view opens the page of an offer; a stay that is liked is looked at again.
func (w *walk) view(o *Offer) {
	w.open("/offer/"+o.Id, o.Destination)
	w.send(&schemas.Event{Kind: schemas.Kind_KIND_OFFER_VIEW, Offer: o.Offer})
	wish := &w.v.wish
	w.seen = o
	if len(o.Styles) > 0 && len(wish.list) < listed && !slices.Contains(wish.list, o) && w.v.chance(.4) {
		wish.list = append(wish.list, o)
	}
}

// choose is the next offer to look at: mostly what the persona likes at the
// places in favour, often what stands instead of the last, and now and then
// anything at all, as with real people.
func (w *walk) choose() *Offer {
	v, all := w.v, w.r.sold.offers
	if v.wish.only != nil {
		return v.wish.only[v.rng.IntN(len(v.wish.only))]
	}
	x := v.rng.Float64()
	switch {
	case x < .08:
		return all[v.rng.IntN(len(all))]
	case x < .2 && len(v.wish.list) > 0:
		return v.wish.list[v.rng.IntN(len(v.wish.list))]
	case x < .42 && w.seen != nil && len(w.seen.Substitutes) > 0:
		return w.seen.Substitutes[v.rng.IntN(len(w.seen.Substitutes))]
	case x < .48 && w.seen != nil && len(w.seen.Complements) > 0:
		return w.seen.Complements[v.rng.IntN(len(w.seen.Complements))]
	case x < .6:
		return all[w.r.appeals[v.persona].pick(v.rng, 0, len(all))]
	}
	place := v.wish.places[v.rng.IntN(len(v.wish.places))]
	return all[w.r.appeals[v.persona].pick(v.rng, w.r.sold.from[place], w.r.sold.from[place+1])]
}

// stay is what the visitor would book.
func (w *walk) stay() *Offer {
	for _, o := range w.v.wish.list {
		if o.Available == schemas.Choice_CHOICE_GRANTED {
			return o
		}
	}
	all := w.r.sold.offers
	for {
		place := w.v.wish.places[w.v.rng.IntN(len(w.v.wish.places))]
		o := all[w.r.appeals[w.v.persona].pick(w.v.rng, w.r.sold.from[place], w.r.sold.from[place+1])]
		if o.Available == schemas.Choice_CHOICE_GRANTED {
			return o
		}
	}
}

// abandon fills a basket and leaves it, every third time in mid-checkout.
func (w *walk) abandon() {
	w.basket(w.stay())
	if w.v.chance(.33) {
		w.open("/checkout", "Checkout")
		w.send(&schemas.Event{Kind: schemas.Kind_KIND_CHECKOUT, Name: "Checkout Started"})
	}
}

// basket puts an offer into the basket.
func (w *walk) basket(o *Offer) {
	w.open("/offer/"+o.Id, o.Destination)
	w.send(&schemas.Event{Kind: schemas.Kind_KIND_CART, Offer: o.Offer})
}

// book books the stay, and with each of its complements at even odds.
func (w *walk) book() {
	main := w.stay()
	trip := w.trip()
	trip.Destination = main.Destination
	heads := int(trip.Adults + trip.Children)
	order := &schemas.Order{Id: w.id(), Currency: main.Currency}
	for _, o := range append([]*Offer{main}, main.Complements...) {
		if o != main && w.v.chance(.5) {
			continue
		}
		w.basket(o)
		order.Offers = append(order.Offers, o.Id)
		order.Amount += o.total(int(trip.Nights), heads)
	}
	w.open("/checkout", "Checkout")
	w.send(&schemas.Event{Kind: schemas.Kind_KIND_CHECKOUT, Name: "Checkout Started"})
	for _, step := range []string{`{"step":1}`, `{"step":2}`} {
		w.send(&schemas.Event{Kind: schemas.Kind_KIND_CHECKOUT, Name: "Checkout Step Completed", Properties: step})
	}
	booking := &schemas.Event{Kind: schemas.Kind_KIND_BOOKING, Order: order, Offer: main.Offer, Search: trip}
	w.send(booking)
	if w.v.chance(w.who.mind.cancels) {
		w.v.bought = order
	}
}

// cancel takes the booking back.
func (w *walk) cancel() {
	w.page("/account/bookings", "Bookings")
	b := w.v.bought
	w.v.bought = nil
	w.v.wish.books = false
	w.send(&schemas.Event{
		Kind:  schemas.Kind_KIND_CANCELLATION,
		Order: &schemas.Order{Id: b.Id, Amount: b.Amount, Currency: b.Currency},
	})
}

// crawl is a bot's visit: any page, many, fast.
func (w *walk) crawl() {
	for range 5 + w.v.poisson(w.who.habit.pages) {
		o := w.r.sold.offers[w.v.rng.IntN(len(w.r.sold.offers))]
		w.open("/offer/"+o.Id, o.Destination)
		w.send(&schemas.Event{Kind: schemas.Kind_KIND_OFFER_VIEW, Offer: o.Offer})
	}
}

// path is a name as a part of an address.
func path(name string) string { return strings.ReplaceAll(strings.ToLower(name), " ", "-") }
