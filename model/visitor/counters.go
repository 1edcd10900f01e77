package visitor

import (
	"math/bits"

	"fernweh/schemas"
)

// Counters are the counts of a history, each at a fixed index. An index once
// given keeps its meaning for ever, since counters lie in cells by index.
type Counters [counters]uint32

// Indices of Counters. A range is followed by the number of its members.
const (
	cKinds     = 0                   // by schemas.Kind
	cStyles    = cKinds + 64         // offer views by schemas.Style
	cOffers    = cStyles + 32        // offer views by schemas.OfferKind
	cParty     = cOffers + 8         // searches and bookings by party: solo, couple, family, group
	cMonths    = cParty + 4          // searches and bookings by month of departure, January first
	cLead      = cMonths + 12        // searches and bookings by days until departure: <7, <30, <90, <180, more
	cNights    = cLead + len5        // by length of stay: 1-3, 4-6, 7-9, 10-13, more
	cStars     = cNights + len5      // offer views by stars: up to 2, 3, 4, 5
	cPrices    = cStars + 4          // offer views by price in whole currency units: <50, <100, <200, ... <3200, more
	cDayparts  = cPrices + 8         // events by time of day, UTC: 0-6, 6-12, 12-18, 18-24
	cWeekend   = cDayparts + 4       // events on Saturday or Sunday, UTC
	cDevices   = cWeekend + 1        // events by schemas.DeviceClass
	cCampaign  = cDevices + 8        // events that came from a campaign
	cReferrer  = cCampaign + 1       // events with a referrer
	cFreeQuery = cReferrer + 1       // searches with free text
	counters   = cFreeQuery + 1 + 16 // sixteen to spare
	len5       = 5
)

// Parties, as offsets into Counters from the first party counter.
const (
	Solo = iota
	Couple
	Family
	Group
	parties
)

// Kind is the number of events of a kind.
func (c *Counters) Kind(k schemas.Kind) uint32 { return c[cKinds+int(k)] }

// events is the number of events.
func (c *Counters) events() uint64 {
	var n uint64
	for _, k := range c[cKinds : cKinds+kinds] {
		n += uint64(k)
	}
	return n
}

// Style is the number of offer views with a style.
func (c *Counters) Style(s schemas.Style) uint32 { return c[cStyles+int(s)] }

// Party is the number of searches and bookings for a party: Solo, Couple, Family, Group.
func (c *Counters) Party(p int) uint32 { return c[cParty+p] }

// Month is the number of searches and bookings for a month of departure, January being 0.
func (c *Counters) Month(m int) uint32 { return c[cMonths+m] }

func (c *Counters) merge(o *Counters) {
	for i, n := range o {
		c[i] += n
	}
}

func (c *Counters) add(e *schemas.Event) {
	c[cKinds+int(e.Kind)]++
	hours := e.Time / (60 * microsPerMinute)
	c[cDayparts+int(hours%24)/6]++
	if day := (hours/24 + 4) % 7; day == 0 || day == 6 { // 1970-01-01 was a Thursday
		c[cWeekend]++
	}
	if x := e.Context; x != nil {
		c.addContext(x)
	}
	switch e.Kind {
	case schemas.Kind_KIND_OFFER_VIEW:
		c.addOffer(e.GetOffer())
	case schemas.Kind_KIND_SEARCH, schemas.Kind_KIND_BOOKING:
		c.addTrip(e.GetSearch(), e.Time/(24*60*microsPerMinute))
	}
}

func (c *Counters) addContext(x *schemas.Context) {
	if x.DeviceClass > 0 && int(x.DeviceClass) < 8 {
		c[cDevices+int(x.DeviceClass)]++
	}
	if x.CampaignSource != "" || x.CampaignName != "" {
		c[cCampaign]++
	}
	if x.Referrer != "" {
		c[cReferrer]++
	}
}

func (c *Counters) addOffer(o *schemas.Offer) {
	for _, s := range o.GetStyles() {
		if s > 0 && int(s) < 32 {
			c[cStyles+int(s)]++
		}
	}
	if k := int(o.GetKind()); k > 0 && k < 8 {
		c[cOffers+k]++
	}
	if s := int(o.GetStars()); s > 0 {
		c[cStars+min(max(s, 20)/10, 5)-2]++
	}
	if p := o.GetPrice(); p > 0 {
		c[cPrices+min(bits.Len64(uint64(p/100/50)), 7)]++
	}
}

// addTrip counts the trip of a search or booking that was made on the given
// day, in days since 1970.
func (c *Counters) addTrip(s *schemas.Search, today int64) {
	if s == nil {
		return
	}
	if p, ok := partyOf(s); ok {
		c[cParty+p]++
	}
	if s.Depart > 0 {
		c[cMonths+monthOf(int64(s.Depart))]++
		if lead := int64(s.Depart) - today; lead >= 0 {
			c[cLead+step(lead, 7, 30, 90, 180)]++
		}
	}
	if s.Nights > 0 {
		c[cNights+step(int64(s.Nights), 4, 7, 10, 14)]++
	}
	if s.Query != "" {
		c[cFreeQuery]++
	}
}

// partyOf says who travels; not ok when nobody was named.
func partyOf(s *schemas.Search) (party int, ok bool) {
	switch {
	case s.Children > 0:
		return Family, true
	case s.Adults == 1:
		return Solo, true
	case s.Adults == 2:
		return Couple, true
	case s.Adults > 2:
		return Group, true
	}
	return 0, false
}

// step is the number of bounds that n has reached.
func step(n int64, bounds ...int64) int {
	for i, b := range bounds {
		if n < b {
			return i
		}
	}
	return len(bounds)
}

// monthOf is the month, January being 0, of a day since 1970 (Howard Hinnant,
// chrono-compatible low-level date algorithms, civil_from_days).
func monthOf(day int64) int {
	dayOfEra := (day + 719468) % 146097
	yearOfEra := (dayOfEra - dayOfEra/1460 + dayOfEra/36524 - dayOfEra/146096) / 365
	dayOfYear := dayOfEra - (365*yearOfEra + yearOfEra/4 - yearOfEra/100)
	return int((5*dayOfYear+2)/153+2) % 12
}
