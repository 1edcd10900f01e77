package visitor

import (
	"cmp"
	"slices"

	"fernweh/model/kpi"
	"fernweh/schemas"
)

// A Stub is what the archive keeps of an event whose content was erased: nothing
// of what it said, and enough for the filter to walk past it as it did, so that a
// rebuild comes to the same state and erases again.
type Stub struct {
	Verdict  Verdict        // what the filter said of the event
	Login    uint64         // HashLogin of the user that the event named; 0: none
	Choice   schemas.Choice // that the event set
	Cost     int64          // of an accepted event
	Booked   int64          // when it was received, of a booking that was accepted; 0: none
	Campaign uint64         // of an action, HashID of its campaign
	Cause    int64          // of an action
	At       int64          // of an accepted action: event time of its cause
	Minute   int64          // in which a device was seen, since 1970 UTC: distinct counts do not shrink
	Counted  *schemas.Event // what an event counts in panes that no erasure takes back: kind, time, place and money
}

// StubOf is the stub of an event of which the filter said v. An erasure has none:
// it stays, for what it names must be erased by every rebuild.
func StubOf(v Verdict, e *schemas.Event) Stub {
	s := Stub{Verdict: v}
	switch v {
	case Anonymous, Accepted, Automatic:
		if e.Kind == schemas.Kind_KIND_CONSENT {
			s.Choice = e.Choice
		}
	case Acted, Surplus:
		s.Campaign, s.Cause = HashID(e.GetAction().GetCampaign()), e.GetAction().GetCause()
		if v == Acted {
			s.At = e.Time
		}
	}
	if v == Anonymous || v == Automatic {
		s.Counted = counted(e)
	}
	if v == Accepted || v == Automatic {
		s.Minute = e.Time / microsPerMinute
		s.Cost = cost(e)
		if e.User != "" {
			s.Login = HashLogin(e.User)
		}
		if e.Kind == schemas.Kind_KIND_BOOKING {
			s.Booked = e.Received
		}
	}
	return s
}

// counted is what of an event moves panes, to the minute.
func counted(e *schemas.Event) *schemas.Event {
	c := &schemas.Event{Kind: e.Kind, Time: e.Time / microsPerMinute * microsPerMinute}
	if d, _ := placeOf(e); d != "" {
		c.Search, c.Offer = &schemas.Search{Destination: d}, &schemas.Offer{Destination: d}
	}
	if x := moneyOf(e); x.Currency != "" {
		c.Order = &schemas.Order{Currency: x.Currency, Amount: x.Booked + x.Cancelled}
	}
	return c
}

// FoldStub passes the stub of an event into the cell in the event's place, as Fold
// does with the event. What lay with nobody, and what lay beyond the limits, is
// no longer there: an erasure takes nothing from either, and the rows are gone.
func (c *Cell) FoldStub(l Limits, id, device uint64, s Stub, emit func(kpi.Pane, int64)) {
	c.passStub(l, id, s)
	if s.Verdict == Accepted && s.Login != 0 {
		c.Units.admit(l, s.Login)
	}
	if s.Counted != nil {
		measureEvent(s.Counted, emit)
	}
	if s.Verdict == Accepted || s.Verdict == Automatic {
		emit(kpi.Pane{Measure: kpi.Visitors, Minute: s.Minute}, int64(device))
	}
}

func (f *Filter) passStub(l Limits, id uint64, s Stub) {
	switch s.Verdict {
	case Acted, Surplus:
		f.passActionStub(s)
		return
	case Anonymous, Accepted, Automatic:
		f.remember(l, id)
	}
	if s.Choice != schemas.Choice_CHOICE_UNSPECIFIED {
		f.Choice = s.Choice
	}
	if s.Verdict != Accepted && s.Verdict != Automatic {
		return
	}
	if s.Login != 0 {
		// Whose it was is known again, by its hash, when the erasure comes by.
		f.Login, f.Nobody, f.stubbed = "", true, s.Login
		if f.FirstLogin == "" && !f.FirstGone {
			f.FirstGone, f.stubbedFirst = true, s.Login
		}
	}
	f.Booked = max(f.Booked, s.Booked)
	f.count(l, s.Cost)
}

func (f *Filter) passActionStub(s Stub) {
	i, found := slices.BinarySearchFunc(f.Campaigns, s.Campaign, func(c Campaign, id uint64) int { return cmp.Compare(c.ID, id) })
	if !found {
		f.Campaigns = slices.Insert(f.Campaigns, i, Campaign{ID: s.Campaign})
	}
	c := &f.Campaigns[i]
	c.Cause = s.Cause
	if s.Verdict == Acted {
		c.Accepted, c.At = c.Accepted+1, s.At
	}
}
