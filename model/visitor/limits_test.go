package visitor_test

import (
	"bytes"
	"fmt"
	"testing"

	"fernweh/model/visitor"
	"fernweh/schemas"
)

// TestSmallLimits: what a portal does at 256 ids and 10,000 events, another does
// at four and twelve, one step below, at and above each, however it is grouped.
func TestSmallLimits(t *testing.T) {
	l := visitor.Limits{Remembered: 4, Cap: 12}
	var f visitor.Filter
	for i := range 5 {
		f.Pass(l, uint64(i), page(fmt.Sprint(i)))
	}
	for _, e := range []struct {
		id   uint64
		want visitor.Verdict
	}{{4, visitor.Duplicate}, {1, visitor.Duplicate}, {0, visitor.Accepted}} {
		if got, _ := f.Pass(l, e.id, page(fmt.Sprint(e.id))); got != e.want {
			t.Errorf("id %d after five of which four are remembered: %s, want %s", e.id, got, e.want)
		}
	}
	for n := 11; n <= 14; n++ {
		all := new(visitor.History)
		for i := range n {
			all.Add(l, &schemas.Event{Kind: schemas.Kind_KIND_PAGE, Time: int64(i) * minute})
		}
		if got, want := all.CountersOnly(), n > 12; got != want {
			t.Errorf("%d events under a cap of 12: counters only is %v, want %v", n, got, want)
		}
		for split := range n {
			a, b := new(visitor.History), new(visitor.History)
			for i := range n {
				h := a
				if i >= split {
					h = b
				}
				h.Add(l, &schemas.Event{Kind: schemas.Kind_KIND_PAGE, Time: int64(i) * minute})
			}
			if b.Merge(l, a); !bytes.Equal(bytesOf(t, b), bytesOf(t, all)) {
				t.Errorf("%d events split at %d: merged differs from adding all", n, split)
			}
		}
	}
}
