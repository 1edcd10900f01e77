package segment

import (
	"errors"
	"strings"

	"fernweh/schemas"
)

// track maps a call by the name of what happened, in the spelling of the
// Segment spec without regard to case.
func (m *mapper) track(e *schemas.Event) error {
	if e.Name = takeText(m.call, "event", maxID); e.Name == "" {
		return errors.New(`track has no "event"`)
	}
	var err error
	switch strings.ToLower(e.Name) {
	case "products searched":
		e.Kind, e.Search = schemas.Kind_KIND_SEARCH, m.search()
	case "product list viewed":
		e.Kind = schemas.Kind_KIND_LIST_VIEW
		if s := m.search(); !blank(s) {
			e.Search = s
		}
		e.Offer, err = offer(m.props, "")
	case "product viewed":
		e.Kind = schemas.Kind_KIND_OFFER_VIEW
		e.Offer, err = m.offer("")
	case "product added":
		e.Kind = schemas.Kind_KIND_CART
		e.Offer, err = m.offer("")
	case "checkout started", "checkout step viewed", "checkout step completed":
		e.Kind = schemas.Kind_KIND_CHECKOUT
		e.Offer, err = m.offer("")
	case "order completed":
		e.Kind, err = schemas.Kind_KIND_BOOKING, m.order(e)
	case "order cancelled", "order canceled", "order refunded":
		e.Kind, err = schemas.Kind_KIND_CANCELLATION, m.order(e)
	case "promotion viewed":
		e.Kind, e.Placement = schemas.Kind_KIND_PLACEMENT_SHOWN, m.placement()
	case "promotion clicked":
		e.Kind, e.Placement = schemas.Kind_KIND_PLACEMENT_CLICKED, m.placement()
	case "newsletter subscribed":
		e.Kind = schemas.Kind_KIND_NEWSLETTER
		m.props.drop("email")
	case "consent changed":
		e.Kind, e.Choice = schemas.Kind_KIND_CONSENT, takeChoice(m.props, "granted")
		err = said(e)
	case "segment consent preference updated":
		e.Kind, e.Choice = schemas.Kind_KIND_CONSENT, preferences(m.ctx)
		err = said(e)
	default:
		e.Kind = schemas.Kind_KIND_CUSTOM
	}
	return err
}

// said refuses a word of consent that says nothing: nobody would learn that a
// no was lost.
func said(e *schemas.Event) error {
	if e.Choice == schemas.Choice_CHOICE_UNSPECIFIED {
		return errors.New("consent is neither granted nor denied")
	}
	return nil
}

// preferences reads context.consent.categoryPreferences: profiling is granted if
// every category that stands for it is, and there is one.
func preferences(ctx object) (c schemas.Choice) {
	f := ctx.peek("consent")
	if f == nil {
		return c
	}
	preferences := object(nil).fields(f.value).peek("categoryPreferences")
	if preferences == nil || !preferences.value.isObject() {
		return c
	}
	granted := 0
	for _, p := range object(nil).fields(preferences.value) {
		switch strings.ToLower(p.name) {
		case "personalization", "personalisation", "advertising", "targeting", "marketing", "c0004":
			if p.value != "true" {
				return schemas.Choice_CHOICE_DENIED
			}
			granted++
		}
	}
	if granted == 0 {
		return schemas.Choice_CHOICE_DENIED
	}
	return schemas.Choice_CHOICE_GRANTED
}

// search takes what was asked for.
func (m *mapper) search() *schemas.Search {
	s := m.trip()
	s.Query = takeText(m.props, "query", maxText)
	takeList(m.props, "filters", func(v value) bool {
		f, ok := filter(v)
		if ok {
			s.Filters = append(s.Filters, f)
		}
		return ok
	})
	if n, ok := takeCount(m.props, "results", 1e9); ok {
		s.Results = n
	}
	return s
}

// blank says whether a search says nothing.
func blank(s *schemas.Search) bool {
	return s.Destination == "" && s.Query == "" && s.Depart == 0 && s.Nights == 0 &&
		s.Adults == 0 && s.Children == 0 && s.Results == -1 && len(s.Filters) == 0
}

// filter is a word, or a type and its value.
func filter(v value) (string, bool) {
	if s, ok := v.text(); ok {
		return clip(s, maxID), true
	}
	o := object(nil).fields(v)
	kind, val := takeToken(o, "type"), takeToken(o, "value")
	return clip(kind+":"+val, maxID), kind != "" && val != ""
}

// Bounds of what a traveller can mean.
const (
	maxParty  = 1000
	maxNights = 1000
)

// trip takes where to, when and with whom.
func (m *mapper) trip() *schemas.Search {
	s := &schemas.Search{Results: -1, Destination: takeToken(m.props, "destination")}
	s.Depart, _ = takeDay(m.props, "depart")
	s.Nights, _ = takeCount(m.props, "nights", maxNights)
	if s.Depart > 0 && s.Nights == 0 {
		if back, ok := takeDay(m.props, "return"); ok {
			s.Nights = min(max(0, back-s.Depart), maxNights)
		}
	}
	s.Adults, _ = takeCount(m.props, "adults", maxParty)
	s.Children, _ = takeCount(m.props, "children", maxParty)
	return s
}

// placement takes a slot of the page and what stood in it.
func (m *mapper) placement() *schemas.Placement {
	return &schemas.Placement{
		Slot:     takeToken(m.props, "slot", "position"),
		Offer:    takeToken(m.props, "product_id", "offer_id"),
		Decision: takeToken(m.props, "decision", "promotion_id"),
		Arm:      takeToken(m.props, "arm", "creative"),
	}
}
