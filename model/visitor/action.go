package visitor

import (
	"cmp"
	"slices"

	"fernweh/schemas"
)

// A Campaign is what the filter knows of one campaign's actions on the device. An
// action is an event that a trigger proposes; the filter judges it when it comes by
// in the log, so that all readers agree which ones count, whatever crashed.
type Campaign struct {
	ID       uint64 // HashID of the campaign's id
	Cause    int64  // greatest offset of a cause seen: nothing that a replay proposes again is above it
	Accepted int64  // actions since the device was last erased
	At       int64  // event time of the latest accepted one's cause, UTC microseconds; 0: none yet
}

// passAction judges an action. It takes no place among the remembered ids, is no
// event of any unit, and logs nobody in: its user is whose its cause was.
func (f *Filter) passAction(l Limits, e *schemas.Event) Verdict {
	a := e.GetAction()
	if f.erased(Owner{Login: e.User}, e.Received) {
		return Erased
	}
	id := HashID(a.GetCampaign())
	i, found := slices.BinarySearchFunc(f.Campaigns, id, func(c Campaign, id uint64) int { return cmp.Compare(c.ID, id) })
	switch {
	case found && a.GetCause() <= f.Campaigns[i].Cause:
		return Duplicate
	case !found && len(f.Campaigns) >= l.campaigns():
		return Surplus
	case !found:
		f.Campaigns = slices.Insert(f.Campaigns, i, Campaign{ID: id})
	}
	c := &f.Campaigns[i]
	c.Cause = a.GetCause()
	if !f.consents(e) || !c.room(a, e.Time) || a.GetExitOnBooking() && f.Booked > e.Received {
		return Surplus
	}
	c.Accepted, c.At = c.Accepted+1, e.Time
	return Acted
}

// room says whether the campaign may act on the device once more.
func (c *Campaign) room(a *schemas.Action, at int64) bool {
	if n := int64(a.GetCap()); n > 0 && c.Accepted >= n {
		return false
	}
	return c.Accepted == 0 || at-c.At >= a.GetAgain()
}

// forgetActions is what stays of campaigns when the device is erased: what was
// proposed once is not accepted later.
func forgetActions(cs []Campaign) []Campaign {
	var kept []Campaign
	for _, c := range cs {
		kept = append(kept, Campaign{ID: c.ID, Cause: c.Cause})
	}
	return kept
}

// A Proposal is an action that a trigger wants after an event.
type Proposal struct {
	Campaign, Version string
	Cap               int32
	Again             int64 // microseconds
	ExitOnBooking     bool
	Control           bool
}

// Event is the action that a proposal comes to, given its cause and the cause's
// offset: nothing in it is of the moment when it is appended.
func (p *Proposal) Event(id string, cause *schemas.Event, login string, offset int64) *schemas.Event {
	return &schemas.Event{
		Id: id, Device: cause.Device, User: login, Kind: schemas.Kind_KIND_ACTION,
		Time: cause.Time, Received: cause.Received, Source: cause.Source, AssumedConsent: cause.AssumedConsent,
		Action: &schemas.Action{
			Campaign: p.Campaign, Version: p.Version, Cause: offset, Cap: p.Cap, Again: p.Again,
			ExitOnBooking: p.ExitOnBooking, Control: p.Control,
		},
	}
}
