package simulate

import (
	"math"

	"fernweh/ingest/client"
)

// A run is one telling of the history, and of what comes after it.
type run struct {
	*Portal
	queue  queue
	next   int // number of the visitor to let in
	visits int
	live   *live // nil: the history ends at To
}

// newRun begins a run.
func newRun(p *Portal) *run {
	r := &run{Portal: p}
	if p.settings.Rate > 0 {
		r.live = newLive(p)
		r.queue.push(task{due: r.live.begin})
	}
	return r
}

// play gives every event to yield, in order, until it has enough or the end.
func (r *run) play(yield func(client.Event) bool) {
	end := r.settings.To.UnixMicro()
	if r.live != nil {
		end = math.MaxInt64
	}
	for {
		r.letIn()
		if len(r.queue.tasks) == 0 || r.queue.tasks[0].due > end {
			return
		}
		switch t := r.queue.pop(); {
		case t.event != nil:
			if !yield(client.Event{Event: t.event, Due: t.due, Skew: t.skew}) {
				return
			}
		case t.who != nil:
			r.visit(t.who, t.due)
			if r.plan(t.who, t.due) {
				r.queue.push(task{due: t.who.at, who: t.who})
			}
		default:
			r.passBy(t.due)
		}
	}
}

// letIn lets in the visitors whose day has come.
func (r *run) letIn() {
	for r.next < r.settings.Visitors {
		day := r.demand.days[r.arrival(r.next)]
		if len(r.queue.tasks) > 0 && day.UnixMicro() > r.queue.tasks[0].due {
			return
		}
		v := r.visitor(r.next)
		r.next++
		r.arrived.Store(max(r.arrived.Load(), int64(r.next)))
		r.queue.push(task{due: v.at, who: v})
	}
}

// arrival is the number of the day on which visitor i first thinks of a trip. It
// grows with i, so that visitors can be made one by one; those of the live stream
// have the last day of the history.
func (p *Portal) arrival(i int) int {
	if i >= p.settings.Visitors {
		return p.demand.last()
	}
	return p.demand.day((float64(i) + .5) / float64(p.settings.Visitors))
}
