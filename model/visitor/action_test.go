package visitor_test

import (
	"testing"

	"fernweh/model/kpi"
	"fernweh/model/visitor"
	"fernweh/schemas"
)

// act is an action of a campaign about the page at an offset, whose time and
// receipt are the same number.
func act(campaign string, cause, at int64, change ...func(*visitor.Proposal)) *schemas.Event {
	p := visitor.Proposal{Campaign: campaign}
	for _, c := range change {
		c(&p)
	}
	return p.Event("a", &schemas.Event{Device: "d", Time: at, Received: at, AssumedConsent: true}, "", cause)
}

func most(n int32) func(*visitor.Proposal)      { return func(p *visitor.Proposal) { p.Cap = n } }
func again(after int64) func(*visitor.Proposal) { return func(p *visitor.Proposal) { p.Again = after } }
func untilBooked(p *visitor.Proposal)           { p.ExitOnBooking = true }
func booking(id string, at int64) *schemas.Event {
	e := received(at, page(id))
	e.Kind = schemas.Kind_KIND_BOOKING
	return e
}

// TestActionsAreJudgedInTheLog: a trigger only proposes; what comes by in the log
// is judged there, so that every reader delivers the same.
func TestActionsAreJudgedInTheLog(t *testing.T) {
	const acted, surplus, duplicate = visitor.Acted, visitor.Surplus, visitor.Duplicate
	type step struct {
		event *schemas.Event
		want  visitor.Verdict
	}
	for _, tt := range []struct {
		name string
		log  []step
	}{
		{"proposed twice, accepted once", []step{{act("c", 5, 1), acted}, {act("c", 5, 1), duplicate}, {act("c", 4, 1), duplicate}, {act("c", 6, 2), acted}}},
		{"each campaign by itself", []step{{act("c", 5, 1), acted}, {act("e", 5, 1), acted}}},
		{"the first event of the log may be a cause", []step{{act("c", 0, 1), acted}, {act("c", 0, 1), duplicate}}},
		{"up to the cap", []step{{act("c", 1, 1, most(2)), acted}, {act("c", 2, 2, most(2)), acted}, {act("c", 3, 3, most(2)), surplus}}},
		{"what is dropped does not come again", []step{{act("c", 1, 1, most(1)), acted}, {act("c", 2, 2, most(1)), surplus}, {act("c", 2, 2), duplicate}}},
		{"again after a time, exactly", []step{{act("c", 1, 100, again(50)), acted}, {act("c", 2, 149, again(50)), surplus}, {act("c", 3, 150, again(50)), acted}}},
		{"a booking after the cause ends it", []step{{act("c", 1, 10, untilBooked), acted}, {booking("b", 12), visitor.Accepted},
			{act("c", 2, 11, untilBooked), surplus}, {act("c", 3, 12, untilBooked), acted}, {act("e", 2, 11), acted}}},
		{"not without consent", []step{{consent("n", denied), visitor.Anonymous}, {act("c", 1, 1), surplus}}},
		{"not for what was erased since", []step{{erasure("x", "", 10), visitor.Reset}, {act("c", 1, 10), visitor.Erased}, {act("c", 1, 11), acted}}},
		{"not again after an erasure", []step{{act("c", 5, 1), acted}, {erasure("x", "", 10), visitor.Reset}, {act("c", 5, 11), duplicate}}},
		{"an erasure lets the cap begin anew", []step{{act("c", 5, 1, most(1)), acted}, {erasure("x", "", 10), visitor.Reset}, {act("c", 6, 11, most(1)), acted}}},
		{"no more campaigns than have room", []step{{act("c", 1, 1), acted}, {act("e", 1, 1), acted}, {act("f", 1, 1), surplus}, {act("c", 2, 2), acted}}},
		{"it takes no place among the ids", []step{{page("p"), visitor.Accepted}, {act("c", 1, 1), acted}, {act("e", 1, 1), acted}, {page("p"), duplicate}}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var c visitor.Cell
			for i, s := range tt.log {
				var moved int
				l := visitor.Limits{Remembered: 1, Campaigns: 2}
				if got := c.Fold(l, s.event, visitor.HashID(s.event.Id), 0, func(kpi.Pane, int64) { moved++ }); got != s.want {
					t.Errorf("event %d: %s, want %s", i, got, s.want)
				}
				if s.event.Kind == schemas.Kind_KIND_ACTION && (moved > 0 || !c.Units.Empty() && c.Units.Unit("").Counters.Kind(schemas.Kind_KIND_ACTION) > 0) {
					t.Errorf("event %d: the action counts as an event", i)
				}
			}
		})
	}
}
