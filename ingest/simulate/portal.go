package simulate

import (
	"errors"
	"fmt"
	"hash/fnv"
	"iter"
	"math/rand/v2"
	"strconv"
	"sync/atomic"
	"time"

	"fernweh/ingest/client"
)

// Settings decide the events. Equal settings give equal bytes.
type Settings struct {
	Seed     uint64
	Visitors int            // of the history; 0: as many as Events needs
	Events   int            // of the history, about; asked only without Visitors
	From, To time.Time      // the history; nothing in it is later than To
	Rate     float64        // events a second that go on after To, each due at its own time; 0: To is the end
	Zone     *time.Location // whose mornings and evenings; nil: UTC
}

// A Portal is the simulated website with all its travellers.
type Portal struct {
	settings Settings
	tag      string // of these settings, in every id: two runs don't share devices
	personas []persona
	sold     *catalogue
	appeals  []appeal // by persona
	demand   *demand
	visits   float64 // events a visit has, on average; only known with Rate
	arrived  atomic.Int64
}

// New makes the portal of some settings.
func New(s Settings) (*Portal, error) {
	if s.Zone == nil {
		s.Zone = time.UTC
	}
	if err := s.check(); err != nil {
		return nil, fmt.Errorf("simulate: %w", err)
	}
	p := build(s)
	if s.Visitors > 0 && s.Rate == 0 {
		return p, nil
	}
	sample := p.sample()
	if s.Visitors == 0 {
		p.settings.Visitors = max(1, int(float64(s.Events)/sample.perVisitor+.5))
	}
	p.visits = sample.perVisit
	return p, nil
}

// check says what is impossible about the settings.
func (s Settings) check() error {
	switch {
	case s.Visitors < 0 || s.Events < 0 || s.Rate < 0:
		return errors.New("the numbers of visitors and events and the rate can't be negative")
	case s.Visitors == 0 && s.Events == 0 && s.Rate == 0:
		return errors.New("no visitors, no events, no rate: nothing to simulate")
	case !s.From.Before(s.To):
		return fmt.Errorf("the history begins (%s) at or after its end (%s)", s.From, s.To)
	case s.From.Before(time.Unix(0, 0)):
		return fmt.Errorf("the history begins before 1970 (%s)", s.From)
	}
	return nil
}

// build makes a portal without counting anything.
func build(s Settings) *Portal {
	p := &Portal{settings: s, tag: s.tag(), personas: personas(), sold: newCatalogue(s.Seed)}
	for _, who := range p.personas {
		p.appeals = append(p.appeals, p.sold.appealTo(who))
	}
	p.demand = newDemand(p.personas, s)
	return p
}

// tag is a short name of the settings.
func (s Settings) tag() string {
	h := fnv.New64a()
	fmt.Fprint(h, s.Seed, s.Visitors, s.Events, s.From.UnixMicro(), s.To.UnixMicro(), s.Rate, s.Zone)
	return strconv.FormatUint(h.Sum64()%(36*36*36*36*36), 36)
}

// Offers is the catalogue.
func (p *Portal) Offers() []*Offer { return p.sold.offers }

// averages are what a sample of visitors does.
type averages struct{ perVisitor, perVisit float64 }

// sample plays some visitors through to see how much they do: what a visitor
// does depends on the span, so no table could say.
func (p *Portal) sample() averages {
	const visitors = 3000
	s := p.settings
	s.Visitors, s.Rate = visitors, 0
	r := newRun(build(s))
	n := 0
	r.play(func(client.Event) bool { n++; return true })
	return averages{max(1, float64(n)/visitors), max(1, float64(n)/float64(max(1, r.visits)))}
}

// Events are all events in the order of their sending. With a rate they never
// end. Each call begins anew and gives the same.
func (p *Portal) Events() iter.Seq[client.Event] {
	return func(yield func(client.Event) bool) { newRun(p).play(yield) }
}

// rng is the source of all that visitor i does.
func (p *Portal) rng(i int) *rand.Rand {
	return rand.New(rand.NewPCG(mix(p.settings.Seed), mix(uint64(i)+0x9e3779b97f4a7c15)))
}

// mix spreads neighbouring numbers (the finaliser of MurmurHash3).
func mix(x uint64) uint64 {
	x ^= x >> 33
	x *= 0xff51afd7ed558ccd
	x ^= x >> 33
	x *= 0xc4ceb9fe1a85ec53
	return x ^ x>>33
}
