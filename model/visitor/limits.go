package visitor

import (
	"cmp"

	"fernweh/schemas"
)

// Limits are the sizes above which a device's state keeps less. They are part of
// the fold's meaning: whoever folds, merges or reads one log uses the same. The
// zero value is what a portal runs with; other values are for tests, which reach
// each limit with a few events.
type Limits struct {
	Remembered int   // accepted ids that the filter knows; 0: Remembered
	Cap        int64 // accepted events that are kept in full; later ones are Automatic; 0: Cap
	Bytes      int64 // what the events that are kept in full may take in a cell, by cost; 0: 384 KiB
	Units      int   // logins that have a unit of their own; 0: MaxUnits
	Erasures   int   // erasures of logins that the filter knows one by one; 0: 64
	Campaigns  int   // that may act on one device; 0: 64
}

const (
	// Remembered is how many accepted ids of a device the filter knows: a request
	// of schemas.MaxDeviceEvents may come again after as many other events.
	Remembered = 2 * schemas.MaxDeviceEvents
	// Cap is the number of events of a device that are kept in full. No traveller
	// comes near it; a crawler does.
	Cap = 10_000
	// maxBytes bounds what they take in a cell, so that the cell with all that was
	// decided in it stays below 1 MiB (TestCellIsBounded).
	maxBytes = 384 << 10
	// MaxUnits is how many logins of a device have a unit of their own.
	MaxUnits = 64
	// maxErasures is how many erasures of logins the filter knows one by one.
	maxErasures = 64
	// maxCampaigns is how many campaigns may act on one device.
	maxCampaigns = 64
)

func (l Limits) remembered() int { return cmp.Or(l.Remembered, Remembered) }
func (l Limits) events() int64   { return cmp.Or(l.Cap, Cap) }
func (l Limits) bytes() int64    { return cmp.Or(l.Bytes, maxBytes) }
func (l Limits) units() int      { return cmp.Or(l.Units, MaxUnits) }
func (l Limits) erasures() int   { return cmp.Or(l.Erasures, maxErasures) }
func (l Limits) campaigns() int  { return cmp.Or(l.Campaigns, maxCampaigns) }

// cost is at least how many bytes an event adds to the units of a cell, apart from
// their counters: it may be the first of its minute, destination and offer there.
// It is a function of the event alone, so that a stub can carry it.
func cost(e *schemas.Event) int64 {
	const (
		minute = 35 // distance, first, last, mask, one count, two lists
		place  = 12 // length and three counts
		money  = 26 // currency's length, two amounts, some reserve
		offer  = 20 // length, two counts, time
	)
	n := int64(minute)
	if d, _ := placeOf(e); d != "" {
		n += place + int64(len(d))
	}
	if c := moneyOf(e).Currency; c != "" {
		n += money + int64(len(c))
	}
	if id := offerOf(e); id != "" {
		n += offer + int64(len(id))
	}
	return n
}
