package simulate

import (
	"math/rand/v2"
	"time"
)

// live is the stream after the history: passers-by open the portal so often
// that their events come at the rate asked for. Their calendars don't count, the
// stream needs thousands of visits where a calendar gives one in a few days.
type live struct {
	rng   *rand.Rand
	begin int64      // somewhat before the end of the history, to be in full swing then
	every float64    // microseconds between two visits, on average
	pool  []*visitor // who may come again
	next  int        // number of the next new visitor
}

const (
	ramp     = 10 * time.Minute // how long the stream takes to reach its rate
	rest     = 45 * time.Minute // the least between two visits of one passer-by
	again    = .5               // share of visits by somebody who has been there
	maxAgain = 50_000           // how many passers-by are remembered: it bounds the memory
)

// newLive prepares the stream.
func newLive(p *Portal) *live {
	perSecond := p.settings.Rate / p.visits
	size := min(max(int(perSecond*3600), 16), maxAgain)
	return &live{
		rng:   rand.New(rand.NewPCG(mix(p.settings.Seed), 0x6c697665)),
		begin: max(p.settings.From.UnixMicro(), p.settings.To.Add(-ramp).UnixMicro()),
		every: 1e6 / perSecond,
		pool:  make([]*visitor, size),
		next:  p.settings.Visitors,
	}
}

// passBy makes the visit of a passer-by and plans the next.
func (r *run) passBy(at int64) {
	l := r.live
	slot := &l.pool[l.rng.IntN(len(l.pool))]
	v := *slot
	tired := v != nil && v.at > at-rest.Microseconds()
	if v == nil || tired || v.left == 0 || l.rng.Float64() > again {
		v = r.visitor(l.next)
		l.next++
		r.arrived.Store(max(r.arrived.Load(), int64(l.next)))
		if !tired {
			*slot = v
		}
	}
	r.visit(v, at)
	r.plan(v, at)
	v.at = at // whatever his calendar says
	r.queue.push(task{due: at + int64(l.rng.ExpFloat64()*l.every) + 1})
}
