// Package kpi holds the portal's numbers by the minute.
//
// A pane is one measure in one minute of event time. Its value is the sum, over
// all visitors, of what their whole history says about that minute, so that a
// session which spans a cut, an event that comes days late and an erasure all
// come out right: whoever changes a history adds what the history says after
// the change less what it said before. Values are commutative monoids on
// canonical bytes: counts add, distinct counts unite.
package kpi

import (
	"cmp"
	"encoding/binary"
	"errors"
	"slices"
)

// A Measure names what a pane counts.
type Measure string

// Measures. A session counts in the minute it starts in; every other event in
// its own. Money is in minor units of the currency that the dimension names.
const (
	Events        Measure = "events"
	Pages         Measure = "pages"
	Searches      Measure = "searches"
	Lists         Measure = "lists"
	Views         Measure = "views" // of offers
	Carts         Measure = "carts"
	Checkouts     Measure = "checkouts"
	Bookings      Measure = "bookings"
	Cancellations Measure = "cancellations"
	Impressions   Measure = "impressions" // placements shown
	Clicks        Measure = "clicks"      // placements clicked
	Newsletters   Measure = "newsletters"
	Revenue       Measure = "revenue"  // of bookings, by currency
	Refunds       Measure = "refunds"  // of cancellations, by currency
	Sessions      Measure = "sessions" // of identified devices with consent
	Bounces       Measure = "bounces"  // sessions of a single interaction
	Visitors      Measure = "visitors" // distinct devices, a sketch; an erasure does not shrink it
)

// Measures lists them all.
func Measures() []Measure {
	return []Measure{
		Events, Pages, Searches, Lists, Views, Carts, Checkouts, Bookings, Cancellations,
		Impressions, Clicks, Newsletters, Revenue, Refunds, Sessions, Bounces, Visitors,
	}
}

// Dimensions of a pane, as the part before the equals sign. The empty dimension
// is the total.
const (
	DimDestination = "destination=" // of searches, views and bookings
	DimCurrency    = "currency="    // of revenue and refunds, which have no total
)

// A Pane names one measure in one minute, total or in one dimension.
type Pane struct {
	Measure Measure
	Minute  int64 // since 1970 UTC
	Dim     string
}

// Compare orders panes by measure, minute and dimension.
func (p Pane) Compare(q Pane) int {
	return cmp.Or(cmp.Compare(p.Measure, q.Measure), cmp.Compare(p.Minute, q.Minute), cmp.Compare(p.Dim, q.Dim))
}

// A Delta is what one change of one history adds to a pane. For Visitors N is
// the hash of the device that was there, as a bit pattern; else what to add.
type Delta struct {
	Pane
	N int64
}

// Deltas are the differences that one event makes.
type Deltas []Delta

// Add notes a difference.
func (ds *Deltas) Add(m Measure, minute int64, dim string, n int64) {
	*ds = append(*ds, Delta{Pane{m, minute, dim}, n})
}

// Compact sums the differences of each pane, drops those that cancel out and
// sorts the rest, so that equal changes are equal bytes.
func (ds Deltas) Compact() Deltas {
	slices.SortFunc(ds, func(a, b Delta) int { return a.Pane.Compare(b.Pane) })
	out := ds[:0]
	for _, d := range ds {
		last := len(out) - 1
		if last >= 0 && out[last].Pane == d.Pane && d.Measure != Visitors {
			out[last].N += d.N
			continue
		}
		if last >= 0 && out[last] == d {
			continue
		}
		if last >= 0 && out[last].N == 0 && out[last].Measure != Visitors {
			out = out[:last]
		}
		out = append(out, d)
	}
	if last := len(out) - 1; last >= 0 && out[last].N == 0 && out[last].Measure != Visitors {
		out = out[:last]
	}
	return out
}

// A Value is what a pane holds: a sum, or for Visitors a sketch. The zero value
// is an empty pane. Sums may be negative in a speed cell, where an erasure takes
// away what a batch generation counted.
type Value struct {
	Sum     int64
	Devices Sketch
}

// Add applies one difference.
func (v *Value) Add(d Delta) {
	if d.Measure == Visitors {
		v.Devices.Add(uint64(d.N))
		return
	}
	v.Sum += d.N
}

// Merge joins the values of two disjoint parts of the log.
func (v *Value) Merge(o *Value) {
	v.Sum += o.Sum
	v.Devices.Merge(&o.Devices)
}

// Zero says that a pane with this value need not be there.
func (v *Value) Zero() bool { return v.Sum == 0 && v.Devices.Empty() }

// AppendBinary appends the canonical bytes: the sum as a zigzag varint, then
// the bytes of the sketch unless it is empty.
func (v *Value) AppendBinary(b []byte) ([]byte, error) {
	b = binary.AppendVarint(b, v.Sum)
	if v.Devices.Empty() {
		return b, nil
	}
	return v.Devices.AppendBinary(b)
}

// UnmarshalBinary reads what AppendBinary wrote; no bytes are the zero value.
func (v *Value) UnmarshalBinary(b []byte) error {
	*v = Value{}
	if len(b) == 0 {
		return nil
	}
	n := 0
	if v.Sum, n = binary.Varint(b); n <= 0 {
		return errors.New("decode pane: the sum is cut off")
	}
	if b = b[n:]; len(b) == 0 {
		return nil
	}
	return v.Devices.UnmarshalBinary(b)
}
