package promise_test

import (
	"fmt"

	"fernweh/cmd/promise/oracle"
	"fernweh/schemas"
)

// A witness keeps the events of one partition as they lie in the log, and says
// what any prefix of them means, by the documents alone.
type witness struct {
	limits oracle.Limits
	told   map[string][]told // by device
	states map[state]*oracle.Device
	counts map[int64]tally // by the end of the prefix
}

// A told event is one with its place in the log.
type told struct {
	offset int64
	event  *schemas.Event
}

// A state is a device after so many of its events.
type state struct {
	device string
	events int
}

// A tally is what a prefix of a partition counts.
type tally struct {
	sums oracle.Panes
	seen map[int64]map[string]bool // devices by minute
}

func newWitness(l oracle.Limits) *witness {
	return &witness{l, map[string][]told{}, map[state]*oracle.Device{}, map[int64]tally{}}
}

// hear takes the next record.
func (t *witness) hear(r schemas.Record) {
	if r.Event != nil {
		t.told[r.Event.Device] = append(t.told[r.Event.Device], told{r.Offset, r.Event})
	}
}

// device is a device as its events below an offset have left it.
func (t *witness) device(name string, through int64) *oracle.Device {
	var events []*schemas.Event
	for _, x := range t.told[name] {
		if x.offset < through {
			events = append(events, x.event)
		}
	}
	key := state{name, len(events)}
	if t.states[key] == nil {
		t.states[key] = oracle.Fold(t.limits, events...)
	}
	return t.states[key]
}

// count is what the events below an offset count.
func (t *witness) count(through int64) tally {
	c, known := t.counts[through]
	if known {
		return c
	}
	c = tally{oracle.Panes{}, map[int64]map[string]bool{}}
	for name := range t.told {
		d := t.device(name, through)
		d.Count(c.sums)
		for minute := range d.Seen {
			if c.seen[minute] == nil {
				c.seen[minute] = map[string]bool{}
			}
			c.seen[minute][name] = true
		}
	}
	t.counts[through] = c
	return c
}

// judged remembers what was judged already: an answer with the same bytes of the
// same prefix is right once more.
type judged map[string]string

// again says whether the answer of a thing was judged, and remembers it.
func (j judged) again(thing string, through any, answer []byte) bool {
	of := fmt.Sprint(through, " ", string(answer))
	if j[thing] == of {
		return true
	}
	j[thing] = of
	return false
}
