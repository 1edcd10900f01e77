package main_test

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/url"
	"slices"
	"testing"
	"time"

	"fernweh/model/kpi"
	"fernweh/model/visitor"
	"fernweh/schemas"
	"fernweh/serving"
)

// A witness asks for one visitor after the other, and now and then for the
// portal's numbers, while all around it is killed. It keeps what it was told, to
// be held against the log in the end: an answer is one fold over the prefix
// that it names, at whatever moment it was given.
type witness struct {
	visitors map[string][]serving.Visitor // by device, in the order in which they were told
	numbers  []serving.KPIs
	failed   int // questions that nobody could answer
}

// witness asks until ctx is done and then says what it was told.
func (c *calls) witness(ctx context.Context, p *portal, random *rand.Rand) <-chan *witness {
	told := make(chan *witness, 1)
	go func() {
		w := &witness{visitors: map[string][]serving.Visitor{}}
		pace := time.NewTicker(50 * time.Millisecond) // numbers are scans, which cost a server much
		defer pace.Stop()
		for n := 0; ; n++ {
			select {
			case <-ctx.Done():
				told <- w
				return
			case <-pace.C:
			}
			if n%20 == 0 {
				if k, ok := heard[serving.KPIs](p, c.numbersPath()); ok {
					w.numbers = append(w.numbers, k)
				} else {
					w.failed++
				}
				continue
			}
			device := fmt.Sprintf("device-%03d", random.IntN(devices))
			if v, ok := heard[serving.Visitor](p, "/v1/visitors/"+device); ok {
				w.visitors[device] = append(w.visitors[device], v)
			} else {
				w.failed++
			}
		}
	}()
	return told
}

// heard is an answer, if there is one: who has to answer may be dead.
func heard[T any](p *portal, path string) (v T, ok bool) {
	b, err := p.ask("GET", path, nil)
	return v, err == nil && json.Unmarshal(b, &v) == nil
}

// numbersPath asks for the numbers of all the time in which anything happened.
func (c *calls) numbersPath() string {
	from, to := c.from.Add(-time.Hour), c.from.Add(12*time.Hour)
	return "/v1/kpis?" + url.Values{"from": {from.UTC().Format(time.RFC3339)}, "to": {to.UTC().Format(time.RFC3339)}}.Encode()
}

// A ledger is the log as the archive has it.
type ledger struct {
	ids     map[string]bool
	records map[int32][]schemas.Record // by partition, ascending; what is no event is left out
}

// holds every answer of the witness against the log.
func (w *witness) holds(t *testing.T, log *ledger) {
	t.Helper()
	byDevice := map[string][]schemas.Record{}
	for _, records := range log.records {
		for _, r := range records {
			byDevice[r.Event.Device] = append(byDevice[r.Event.Device], r)
		}
	}
	answers, prefixes, live := 0, 0, 0
	for device, told := range w.visitors {
		answers += len(told)
		for i := range told {
			if told[i].Provenance.State == serving.Live {
				live++
			}
			if i > 0 && told[i].Provenance.Through < told[i-1].Provenance.Through {
				t.Errorf("%s was told up to offset %d, then up to %d: answers went back in time", device,
					told[i-1].Provenance.Through, told[i].Provenance.Through)
			}
		}
		slices.SortStableFunc(told, func(a, b serving.Visitor) int { return cmp.Compare(a.Provenance.Through, b.Provenance.Through) })
		prefixes += holdsVisitor(t, device, told, byDevice[device])
	}
	w.holdsNumbers(t, log)
	t.Logf("a witness was given %d answers on %d visitors (%d by speed and batch together, of %d prefixes) and %d on the portal; %d questions had none",
		answers, len(w.visitors), live, prefixes, len(w.numbers), w.failed)
	if answers < 20 || live == 0 || len(w.numbers) == 0 {
		t.Error("that shows too little")
	}
}

// holdsVisitor holds what was told of a device, ascending by prefix, against the
// fold of its events, and says how many prefixes there were.
func holdsVisitor(t *testing.T, device string, told []serving.Visitor, events []schemas.Record) (prefixes int) {
	t.Helper()
	cell, next, last := new(visitor.Cell), 0, int64(-1)
	for _, v := range told {
		for next < len(events) && events[next].Offset < v.Provenance.Through {
			e := events[next].Event
			cell.Fold(visitor.Limits{}, e, visitor.HashID(e.Id), visitor.HashDevice(e.Device), nobody)
			next++
		}
		if next == 0 || events[0].Partition != v.Provenance.Partition {
			t.Errorf("%s is answered from partition %d up to %d, where it has no event", device, v.Provenance.Partition, v.Provenance.Through)
			continue
		}
		if v.Provenance.Through > last {
			prefixes, last = prefixes+1, v.Provenance.Through
		}
		want := serving.Visitor{
			Device: device, Consent: serving.Consent(cell.Choice), Login: cell.Login,
			Totals: serving.SummarizeDevice(cell),
		}
		for i := range cell.Units.Named {
			u := &cell.Units.Named[i]
			want.Units = append(want.Units, serving.Unit{Login: u.Login, Summary: serving.Summarize(&u.History)})
		}
		got := serving.Visitor{Device: v.Device, Consent: v.Consent, Login: v.Login, Totals: v.Totals, Units: v.Units}
		if a, b := schemas.EncodeJSON(got), schemas.EncodeJSON(want); !bytes.Equal(a, b) {
			t.Errorf("%s of generation %d and epochs %v is not the fold of %d:[0,%d):\ngot  %s\nwant %s", device,
				v.Provenance.Generation, v.Provenance.Epochs, v.Provenance.Partition, v.Provenance.Through, a, b)
		}
	}
	return prefixes
}

// nobody takes what is not asked for.
func nobody(kpi.Pane, int64) {}

// measured are the measures of which every event counts one, by the kind of the event.
var measured = map[schemas.Kind]string{
	schemas.Kind_KIND_OFFER_VIEW: "views", schemas.Kind_KIND_SEARCH: "searches", schemas.Kind_KIND_CART: "carts",
	schemas.Kind_KIND_BOOKING: "bookings", schemas.Kind_KIND_PAGE: "pages",
}

// A count is where in the log the events of one measure lie, each id once.
type count map[int32][]int64

// below is how many of them lie within a prefix.
func (c count) below(through map[int32]int64) (n int64) {
	for partition, offsets := range c {
		i, _ := slices.BinarySearch(offsets, through[partition])
		n += int64(i)
	}
	return n
}

// holdsNumbers holds the portal's numbers against plain counting. A pane is never
// behind the prefix that is named and may be ahead of it, as far as the log goes.
func (w *witness) holdsNumbers(t *testing.T, log *ledger) {
	t.Helper()
	counts := map[string]count{"events": {}}
	for _, measure := range measured {
		counts[measure] = count{}
	}
	end, seen := map[int32]int64{}, map[string]bool{}
	for partition, records := range log.records {
		for _, r := range records {
			end[partition] = r.Offset + 1
			if seen[r.Event.Id] {
				continue
			}
			seen[r.Event.Id] = true
			counts["events"][partition] = append(counts["events"][partition], r.Offset)
			if c, ok := counts[measured[r.Event.Kind]]; ok {
				c[partition] = append(c[partition], r.Offset)
			}
		}
	}
	for _, k := range w.numbers {
		through := map[int32]int64{}
		for _, p := range k.Provenance.Partitions {
			through[p.Partition] = p.Through
		}
		for measure, c := range counts {
			got, least, most := k.Measures[measure].Value, c.below(through), c.below(end)
			if got < least || got > most {
				t.Errorf("the portal is said to have %d %s in generation %d and below %v, where the log has %d, and %d in all",
					got, measure, k.Provenance.Generation, through, least, most)
			}
		}
	}
}
