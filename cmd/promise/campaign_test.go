package promise_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"fernweh/model/kpi"
	"fernweh/model/visitor"
	"fernweh/schemas"
	"fernweh/speed"

	"google.golang.org/protobuf/proto"
)

// ours is the set of views of the promise; another one is named in some records.
const ours = "ours"

// toy is the campaigns of the promise: one with a cap, one that comes again and
// ends with a booking, and one of a control group. Their version is what the log has
// put in force.
func toy(version string, e *schemas.Event) []visitor.Proposal {
	switch e.Kind {
	case schemas.Kind_KIND_OFFER_VIEW:
		return []visitor.Proposal{{Campaign: "viewed", Version: version, Cap: 2}}
	case schemas.Kind_KIND_SEARCH:
		return []visitor.Proposal{
			{Campaign: "searched", Version: version, Again: 30 * 60_000_000, ExitOnBooking: true},
			{Campaign: "control", Version: version, Control: true},
		}
	}
	return nil
}

func toys(in schemas.InForce) speed.Triggers {
	return func(_ *visitor.Visitor, _ *visitor.Unit, e *schemas.Event) []visitor.Proposal {
		return toy(in.Names[0], e)
	}
}

// campaign puts campaigns in force in one partition, now and then of another set of
// views, or with a number that has been before.
func (w *world) campaign() {
	p := w.rand.IntN(partitions)
	c := &schemas.CampaignsInForce{Views: ours, Campaigns: []string{fmt.Sprint("v", len(w.log[p]))}}
	if w.chance(4) {
		c.Views = "another"
	}
	n := 1 + w.rand.Int64N(w.inForce+3)
	w.inForce = max(w.inForce, n)
	w.tell("append %d:%d campaigns %d of %s", p, len(w.log[p]), n, c.Views)
	w.append(p, schemas.Record{Control: &schemas.Control{Kind: schemas.ControlCampaigns, Number: n, Campaigns: c}})
}

var errWrong = errors.New("the promise is broken")

// AppendActions appends actions to the log, as far as fate lets it.
func (g *gate) AppendActions(_ context.Context, as []*schemas.Event) error {
	f := g.ask()
	n := len(as)
	if f.cells >= 0 {
		n = min(n, f.cells)
	}
	for _, a := range as[:n] {
		if err := g.act(a); err != nil {
			return err
		}
	}
	if f.stop {
		f = g.ask()
		for _, a := range as[n:] {
			if f.err != nil {
				break
			}
			if err := g.act(a); err != nil {
				return err
			}
		}
	}
	return f.err
}

// act appends one action: one content an id, whoever appends it, however often.
func (w *world) act(a *schemas.Event) error {
	b, err := proto.MarshalOptions{Deterministic: true}.Marshal(a)
	if err != nil {
		return err
	}
	if before, told := w.actions[a.Id]; told && !bytes.Equal(before, b) {
		return fmt.Errorf("%w: action %s is told as %v and was told otherwise", errWrong, a.Id, a)
	}
	w.actions[a.Id] = b
	p := int(schemas.Partition(a.Device, partitions))
	w.tell("append %d:%d action %s", p, len(w.log[p]), a.Id)
	w.append(p, schemas.Record{Event: proto.Clone(a).(*schemas.Event)})
	return nil
}

// pass notes what a new owner goes past without deciding: what it would have
// triggered may not fire.
func (w *world) pass(p int, o *speed.Partition) {
	for at := o.Start() - o.Passed(); at < o.Start(); at++ {
		w.passed[p][at] = true
	}
}

// checkActions: of everything that was acknowledged, each event that triggers has
// its action in the log, and of however many tellings of one at most one counts.
func (w *world) checkActions() error {
	for p := range w.log {
		cells := map[string]*visitor.Cell{}
		told, ruled := map[string]bool{}, map[string]int{}
		var due []string
		var last int64
		version := "" // in force; empty: no campaign acts here
		for _, r := range w.log[p] {
			if c := r.Control; c != nil && c.Number > last {
				if last, version = c.Number, ""; c.Campaigns.Views == ours {
					version = c.Campaigns.Campaigns[0]
				}
			}
			e := r.Event
			if e == nil {
				continue
			}
			if cells[e.Device] == nil {
				cells[e.Device] = new(visitor.Cell)
			}
			c := cells[e.Device]
			owner := visitor.Owner{Login: e.User, Nobody: e.User == "" && c.Nobody}
			if e.User == "" {
				owner.Login = c.Login
			}
			v := c.Fold(w.limits, e, visitor.HashID(e.Id), 0, func(kpi.Pane, int64) {})
			switch {
			case e.Kind == schemas.Kind_KIND_ACTION:
				told[e.Id] = true
				if v == visitor.Acted {
					ruled[e.Id]++
				}
			case v == visitor.Accepted && !owner.Nobody && c.Units.Unit(owner.Login) != nil && version != "" && !w.passed[p][r.Offset]:
				for _, a := range toy(version, e) {
					due = append(due, fmt.Sprintf("%d-%d-%x-action-%s", p, r.Offset, visitor.HashDevice(e.Device), a.Campaign))
				}
			}
		}
		for _, id := range due {
			if !told[id] {
				return fmt.Errorf("action %s is not in the log", id)
			}
			delete(told, id)
		}
		for id := range told {
			parts := strings.Split(id, "-")
			if len(parts) < 5 {
				continue // a foreign one
			}
			if at, _ := strconv.ParseInt(parts[1], 10, 64); !w.passed[p][at] {
				return fmt.Errorf("action %s is in the log, and nothing triggers it", id)
			}
		}
		for id, n := range ruled {
			if n > 1 {
				return fmt.Errorf("action %s counts %d times", id, n)
			}
		}
	}
	return nil
}
