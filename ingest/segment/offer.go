package segment

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"google.golang.org/protobuf/proto"

	"fernweh/schemas"
)

// offer is what the call is about: its own product fields and, where they have
// no id, those of its first product. nil if there is nothing of either.
// currency is the order's; empty: what stands beside the products.
func (m *mapper) offer(currency string) (*schemas.Offer, error) {
	if currency == "" {
		currency = readCurrency(m.props)
	}
	own, err := offer(m.props, currency)
	products := m.props.peek("products")
	if err != nil || products == nil || own.GetId() != "" {
		return own, err
	}
	first, err := m.firstProduct(products, currency)
	if own == nil || first == nil || err != nil {
		return cmp.Or(first, own), err
	}
	proto.Merge(own, first)
	slices.Sort(own.Styles)
	own.Styles = slices.Compact(own.Styles)
	return own, nil
}

// firstProduct maps the first of some products. Where it is the only one and
// all of it is held by the offer, the list is not kept.
func (m *mapper) firstProduct(products *field, currency string) (first *schemas.Offer, err error) {
	n, whole := 0, false
	products.value.elements(func(v value) {
		if n++; n > 1 {
			return
		}
		m.sub = m.sub[:0].fields(v)
		first, err = offer(m.sub, currency)
		whole = !m.sub.untaken()
		m.missed = m.sub.unread(m.missed)
	})
	products.taken = n == 1 && whole && first != nil
	return first, err
}

// offer takes the fields of a product out of o. A price in no currency is left
// where it is.
func offer(o object, currency string) (*schemas.Offer, error) {
	f := &schemas.Offer{
		Id:          takeToken(o, "product_id", "offer_id", "sku", "id"),
		Kind:        takeKind(o),
		Destination: takeToken(o, "destination"),
		Styles:      takeStyles(o),
		Available:   takeChoice(o, "available"),
	}
	latitude, _ := takeScaled(o, "latitude", 6, -90e6, 90e6)
	longitude, _ := takeScaled(o, "longitude", 6, -180e6, 180e6)
	stars, _ := takeScaled(o, "stars", 1, 0, 70)
	f.Latitude, f.Longitude, f.Stars = int32(latitude), int32(longitude), int32(stars)
	f.Quantity, _ = takeCount(o, "quantity", 1e6)
	if proto.Size(f) == 0 && o.peek("price") == nil {
		return nil, nil
	}
	f.Currency = takeCurrency(o)
	if f.Currency != "" || o.peek("currency") != nil { // one that can't be read is not the order's
		currency = f.Currency
	}
	amount, unit, err := takeMoney(o, currency, "price")
	if unit != "" {
		f.Price, f.Currency = amount, unit
	}
	if proto.Size(f) == 0 {
		return nil, err
	}
	return f, err
}

// takeKind takes the category if it is one of ours.
func takeKind(o object) schemas.OfferKind {
	f := o.peek("category")
	if f == nil {
		return 0
	}
	s, _ := f.value.text()
	kind := schemas.OfferKind(schemas.OfferKind_value["OFFER_KIND_"+strings.ToUpper(s)])
	f.taken, f.unread = kind != 0, kind == 0
	return kind
}

// takeStyles takes the styles that we have a name for, ascending, each once. A
// list with others in it is kept as well.
func takeStyles(o object) (styles []schemas.Style) {
	takeList(o, "styles", func(v value) bool {
		s, _ := v.text()
		style := schemas.Style(schemas.Style_value["STYLE_"+strings.ToUpper(s)])
		if style != 0 {
			styles = append(styles, style)
		}
		return style != 0
	})
	slices.Sort(styles)
	return slices.Compact(styles)
}

// takeMoney takes the first of some names that holds an amount, in minor units
// of the currency. Without a currency an amount is none.
func takeMoney(o object, currency string, names ...string) (amount int64, unit string, err error) {
	for _, name := range names {
		f := o.peek(name)
		if f == nil {
			continue
		}
		s, _ := f.value.text()
		n, ok := scaled(s, minorDigits(currency))
		switch {
		case ok && n < 0:
			return 0, "", fmt.Errorf("%s %s is negative", name, clip(s, maxID))
		case ok && currency != "":
			f.taken = true
			return n, currency, nil
		}
		f.unread = true
	}
	return 0, "", nil
}

// order maps a booking or a cancellation: its products are the offer, its other
// fields the trip.
func (m *mapper) order(e *schemas.Event) (err error) {
	currency := takeCurrency(m.props)
	e.Order = &schemas.Order{Id: takeToken(m.props, "order_id")}
	e.Order.Amount, e.Order.Currency, err = takeMoney(m.props, currency, "total", "revenue", "value")
	if err != nil {
		return err
	}
	if e.Order.Currency == "" {
		e.Order.Currency = currency
	}
	e.Order.Offers = offerIDs(m.props)
	if trip := m.trip(); !blank(trip) {
		e.Search = trip
	}
	if e.Offer, err = m.offer(currency); err != nil {
		return err
	}
	if e.Offer == nil {
		return nil
	}
	fill(&e.Offer.Destination, e.Search.GetDestination())
	if len(e.Order.Offers) == 0 && e.Offer.Id != "" {
		e.Order.Offers = []string{e.Offer.Id}
	}
	return nil
}

// offerIDs lists the ids of all products.
func offerIDs(props object) (ids []string) {
	f := props.peek("products")
	if f == nil {
		return nil
	}
	f.value.elements(func(v value) {
		id := takeToken(object(nil).fields(v), "product_id", "offer_id", "sku", "id")
		if id != "" {
			ids = append(ids, id)
		}
	})
	return ids
}
