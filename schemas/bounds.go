package schemas

import (
	"cmp"
	"fmt"
	"unicode/utf8"
)

// Bounds of an event's text, in bytes. An id above its bound is no id: the
// collector refuses it. Text that only describes, the collector cuts there.
const (
	MaxID         = 256       // of ids, names and everything that stands in a key
	MaxText       = 512       // of a title, a free query
	MaxPath       = 1024      // of a page's path
	MaxTag        = 64        // of a locale, a time zone
	MaxList       = 256 << 10 // of a list of ids, each with one byte more than its length
	MaxProperties = 256 << 10 // of the properties that no field holds
)

// Bounds of an event's numbers. The largest of them must add up within 64 bits
// for as many events as a history keeps.
const (
	MaxTime   = 253402300799999999 // any time: the end of the year 9999 in UTC microseconds
	MaxDay    = 2932896            // a departure: the last day of the year 9999, in days since 1970
	MaxCount  = 1_000              // nights, adults, children
	MaxMany   = 1_000_000_000      // results, quantity
	MaxStars  = 70                 // tenths
	MaxAmount = 20_000_000_000_000 // a price, the amount of an order, in minor units
)

// MaxDeviceEvents is how many events of one device one request may bring. The
// filter remembers twice as many ids, so that a request which is sent again whole
// changes nothing as long as no more events than that came between.
const MaxDeviceEvents = 1000

// Kinds is the number of kinds that there is room for. A kind below it that this
// release does not know may be an event of a later one.
const Kinds = 64

// A bound is one piece of an event's text and how long it may be.
type bound struct {
	field string // of events.proto, behind its part
	text  string
	most  int
}

func (e *Event) texts() [6]bound {
	return [...]bound{
		{"id", e.Id, MaxID}, {"device", e.Device, MaxID}, {"user", e.User, MaxID}, {"name", e.Name, MaxID},
		{"source", e.Source, MaxID}, {"properties", e.Properties, MaxProperties},
	}
}

func (c *Context) texts() [9]bound {
	return [...]bound{
		{"context.path", c.Path, MaxPath}, {"context.title", c.Title, MaxText}, {"context.referrer", c.Referrer, MaxID},
		{"context.campaign_source", c.CampaignSource, MaxID}, {"context.campaign_medium", c.CampaignMedium, MaxID},
		{"context.campaign_name", c.CampaignName, MaxID}, {"context.locale", c.Locale, MaxTag},
		{"context.timezone", c.Timezone, MaxTag}, {"context.library", c.Library, MaxID},
	}
}

func (s *Search) texts() [2]bound {
	return [...]bound{{"search.destination", s.Destination, MaxID}, {"search.query", s.Query, MaxText}}
}

func (o *Offer) texts() [3]bound {
	return [...]bound{
		{"offer.id", o.Id, MaxID}, {"offer.destination", o.Destination, MaxID}, {"offer.currency", o.Currency, MaxTag},
	}
}

func (o *Order) texts() [2]bound {
	return [...]bound{{"order.id", o.Id, MaxID}, {"order.currency", o.Currency, MaxTag}}
}

func (p *Placement) texts() [4]bound {
	return [...]bound{
		{"placement.slot", p.Slot, MaxID}, {"placement.offer", p.Offer, MaxID},
		{"placement.decision", p.Decision, MaxID}, {"placement.arm", p.Arm, MaxID},
	}
}

func (a *Action) texts() [2]bound {
	return [...]bound{{"action.campaign", a.Campaign, MaxID}, {"action.version", a.Version, MaxID}}
}

// Check says what an event lacks to be folded, or which of its fields is out of
// bounds. It is a pure function of the event. What passes it may be appended,
// and every reader takes it.
func (e *Event) Check() error {
	if err := e.check(); err != nil {
		return err
	}
	return e.checkTexts(func(b bound) error {
		if utf8.ValidString(b.text) {
			return nil
		}
		return fmt.Errorf("event %q: %s is not UTF-8", e.Id, b.field)
	})
}

// check is Check for an event that was decoded: its text is UTF-8.
func (e *Event) check() error {
	switch {
	case e.Device == "":
		return fmt.Errorf("event %q has no device", short(e.Id))
	case e.Id == "":
		return fmt.Errorf("event of device %q has no id", short(e.Device))
	case e.Kind == Kind_KIND_UNSPECIFIED || !known(Kind_name, e.Kind):
		return fmt.Errorf("event %q has the unknown kind %d", short(e.Id), e.Kind)
	case e.Time < 0 || e.Time > MaxTime:
		return fmt.Errorf("event %q has the impossible time %d µs", short(e.Id), e.Time)
	case e.Received < 0 || e.Received > MaxTime:
		return fmt.Errorf("event %q was received at the impossible time %d µs", short(e.Id), e.Received)
	}
	if err := e.checkTexts(func(b bound) error { return b.check(e) }); err != nil {
		return err
	}
	return cmp.Or(checkList(e, "search.filters", e.GetSearch().GetFilters()),
		checkList(e, "order.offers", e.GetOrder().GetOffers()), e.checkAction())
}

// checkTexts calls check with every text of the event, until it says what is wrong.
func (e *Event) checkTexts(check func(bound) error) (err error) {
	all := func(bounds []bound) {
		for i := range bounds {
			if err == nil {
				err = check(bounds[i])
			}
		}
	}
	own := e.texts()
	all(own[:])
	if c := e.Context; c != nil {
		bounds := c.texts()
		all(bounds[:])
	}
	if s := e.Search; s != nil {
		bounds := s.texts()
		all(bounds[:])
		for _, f := range s.Filters {
			all([]bound{{"search.filters", f, MaxID}})
		}
	}
	if o := e.Offer; o != nil {
		bounds := o.texts()
		all(bounds[:])
	}
	if o := e.Order; o != nil {
		bounds := o.texts()
		all(bounds[:])
		for _, id := range o.Offers {
			all([]bound{{"order.offers", id, MaxID}})
		}
	}
	if p := e.Placement; p != nil {
		bounds := p.texts()
		all(bounds[:])
	}
	if x := e.Erasure; x != nil {
		all([]bound{{"erasure.login", x.Login, MaxID}})
	}
	if a := e.Action; a != nil {
		bounds := a.texts()
		all(bounds[:])
	}
	return err
}

// checkAction refuses numbers by which no filter could judge an action; only the
// program itself writes them.
func (e *Event) checkAction() error {
	a := e.GetAction()
	switch {
	case e.Kind == Kind_KIND_ACTION && a.GetCampaign() == "":
		return fmt.Errorf("event %q is an action of no campaign", short(e.Id))
	case a.GetCause() < 0 || a.GetCap() < 0 || a.GetAgain() < 0 || a.GetAgain() > MaxTime:
		return fmt.Errorf("event %q: action of cause %d, cap %d, again after %d µs: none may be negative, nor the last above %d",
			short(e.Id), a.GetCause(), a.GetCap(), a.GetAgain(), int64(MaxTime))
	}
	return nil
}

func (b bound) check(e *Event) error {
	if len(b.text) <= b.most {
		return nil
	}
	return fmt.Errorf("event %q: %s has %d bytes, at most %d are taken", short(e.Id), b.field, len(b.text), b.most)
}

// checkList bounds a list as a whole; an empty text takes room too.
func checkList(e *Event, field string, list []string) error {
	n := 0
	for _, s := range list {
		n += len(s) + 1
	}
	if n <= MaxList {
		return nil
	}
	return fmt.Errorf("event %q: %s has %d bytes in %d texts, at most %d are taken", short(e.Id), field, n, len(list), MaxList)
}

// short is the beginning of an id that may be of any length.
func short(id string) string {
	if len(id) <= MaxTag {
		return id
	}
	return id[:MaxTag] + "..."
}
