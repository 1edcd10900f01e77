package visitor_test

import (
	"fmt"

	"fernweh/model/visitor"
	"fernweh/schemas"

	"pgregory.net/rapid"
)

const minute = 60_000_000 // microseconds

// anEvent is any event that the log may hold for a device, with times close
// enough together that minutes, sessions and ids collide.
func anEvent() *rapid.Generator[*schemas.Event] {
	return rapid.Custom(func(t *rapid.T) *schemas.Event {
		kind := schemas.Kind(rapid.IntRange(1, 14).Draw(t, "kind"))
		e := &schemas.Event{
			Id:             fmt.Sprint("m", rapid.IntRange(0, 400).Draw(t, "id")),
			Device:         "d",
			User:           rapid.SampledFrom([]string{"", "", "", "ann", "bob", "cem", "dora"}).Draw(t, "user"),
			Kind:           kind,
			Time:           1_600_000_000_000_000 + int64(rapid.IntRange(0, 300*minute).Draw(t, "time")),
			Received:       int64(rapid.IntRange(1, 1000).Draw(t, "received")),
			AssumedConsent: true,
		}
		dest := rapid.SampledFrom([]string{"", "Mallorca", "Sylt", "Wien"}).Draw(t, "destination")
		switch kind {
		case schemas.Kind_KIND_CONSENT:
			e.Choice = schemas.Choice(rapid.IntRange(0, 2).Draw(t, "choice"))
		case schemas.Kind_KIND_SEARCH:
			e.Search = &schemas.Search{Destination: dest, Adults: rapid.Int32Range(0, 4).Draw(t, "adults"),
				Children: rapid.Int32Range(0, 2).Draw(t, "children"), Depart: rapid.Int32Range(0, 20000).Draw(t, "depart"),
				Nights: rapid.Int32Range(0, 20).Draw(t, "nights")}
		case schemas.Kind_KIND_OFFER_VIEW, schemas.Kind_KIND_CART:
			e.Offer = anOffer(t, dest)
		case schemas.Kind_KIND_BOOKING, schemas.Kind_KIND_CANCELLATION:
			e.Offer = anOffer(t, dest)
			e.Order = &schemas.Order{Id: "o", Amount: rapid.Int64Range(-100, 1_000_000).Draw(t, "amount"),
				Currency: rapid.SampledFrom([]string{"", "EUR", "CHF"}).Draw(t, "currency")}
		}
		return e
	})
}

func anOffer(t *rapid.T, destination string) *schemas.Offer {
	return &schemas.Offer{
		Id:          rapid.SampledFrom([]string{"", "h1", "h2", "h3"}).Draw(t, "offer"),
		Kind:        schemas.OfferKind(rapid.IntRange(0, 6).Draw(t, "offer kind")),
		Destination: destination,
		Styles:      []schemas.Style{schemas.Style(rapid.IntRange(0, 11).Draw(t, "style"))},
		Stars:       rapid.Int32Range(0, 70).Draw(t, "stars"),
		Price:       rapid.Int64Range(0, 1_000_000).Draw(t, "price"),
		Currency:    "EUR",
	}
}

// anErasure is an erasure of the device or of one login.
func anErasure() *rapid.Generator[*schemas.Event] {
	return rapid.Custom(func(t *rapid.T) *schemas.Event {
		return &schemas.Event{
			Id: fmt.Sprint("x", rapid.IntRange(0, 1000).Draw(t, "id")), Device: "d",
			Kind:     schemas.Kind_KIND_ERASURE,
			Received: int64(rapid.IntRange(1, 1000).Draw(t, "received")),
			Erasure:  &schemas.Erasure{Login: rapid.SampledFrom([]string{"", "ann", "bob", "cem", "dora", "eve"}).Draw(t, "login")},
		}
	})
}

// someLimits are those of a portal, or small ones that a short log reaches.
func someLimits(t *rapid.T) visitor.Limits {
	return rapid.SampledFrom([]visitor.Limits{{}, {Units: 2}, {Units: 1, Erasures: 1}, {Remembered: 4, Cap: 12}, {Bytes: 500, Units: 2}}).Draw(t, "limits")
}

// aLog is the events of one device as they lie in the log: with duplicates,
// logins, consent and now and then an erasure.
func aLog(t *rapid.T, name string) []*schemas.Event {
	any := rapid.Custom(func(t *rapid.T) *schemas.Event {
		if rapid.IntRange(0, 19).Draw(t, "erasure?") == 0 {
			return anErasure().Draw(t, "erasure")
		}
		return anEvent().Draw(t, "event")
	})
	return rapid.SliceOfN(any, 0, 60).Draw(t, name)
}
