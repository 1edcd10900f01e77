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
	"fmt"
	"slices"
	"strings"
)

// A Measure names what a pane counts. Its number lies in visitors' cells, its name
// in rows and answers: neither is ever given to another measure.
type Measure uint8

// Measures. A session counts in the minute it starts in; everything else in the
// minute of its event. Money is in minor units of the currency that the dimension
// names.
const (
	Events        Measure = iota + 1
	Pages                 // and screens opened
	Searches              // by destination too
	Lists                 // of offers viewed
	Views                 // of offers, by destination too
	Carts                 // offers put into one
	Checkouts             // steps of them
	Bookings              // by destination too
	Cancellations         // of bookings
	Impressions           // placements shown
	Clicks                // placements clicked
	Newsletters           // subscribed
	Revenue               // of bookings, by currency only
	Refunds               // of cancellations, by currency only
	Sessions              // of devices with consent
	Bounces               // sessions of a single interaction
	Visitors              // distinct devices, a sketch; an erasure does not shrink it
)

// measureNames are the names of the measures by their number.
var measureNames = [...]string{
	Events: "events", Pages: "pages", Searches: "searches", Lists: "lists", Views: "views", Carts: "carts",
	Checkouts: "checkouts", Bookings: "bookings", Cancellations: "cancellations", Impressions: "impressions",
	Clicks: "clicks", Newsletters: "newsletters", Revenue: "revenue", Refunds: "refunds", Sessions: "sessions",
	Bounces: "bounces", Visitors: "visitors",
}

// String is the measure's name, as it stands in rows and answers.
func (m Measure) String() string { return measureNames[m] }

// Measures lists them all.
func Measures() []Measure {
	ms := make([]Measure, 0, len(measureNames)-1)
	for m := Events; int(m) < len(measureNames); m++ {
		ms = append(ms, m)
	}
	return ms
}

// ParseMeasure finds a measure by its name.
func ParseMeasure(name string) (Measure, error) {
	for m, n := range measureNames {
		if n == name && m > 0 {
			return Measure(m), nil
		}
	}
	return 0, fmt.Errorf("unknown measure %q; there are %s", name, strings.Join(measureNames[1:], ", "))
}

// By says what a dimension divides a measure by.
type By uint8

// Dimensions.
const (
	Total         By = iota // not divided
	ByDestination           // of searches, views and bookings
	ByCurrency              // of revenue and refunds, which have no total
)

var byNames = [...]string{Total: "", ByDestination: "destination", ByCurrency: "currency"}

// A Dim is one part of a divided measure; the zero value is the total.
type Dim struct {
	By    By
	Value string
}

// String is the dimension as it stands in rows: "", or "destination=Sylt".
func (d Dim) String() string {
	if d.By == Total {
		return ""
	}
	return byNames[d.By] + "=" + d.Value
}

// ParseDim reads what String wrote.
func ParseDim(s string) (Dim, error) {
	if s == "" {
		return Dim{}, nil
	}
	name, value, _ := strings.Cut(s, "=")
	for by, n := range byNames {
		if n == name && by > 0 {
			return Dim{By(by), value}, nil
		}
	}
	return Dim{}, fmt.Errorf("unknown dimension %q; there are %s", s, strings.Join(byNames[1:], ", "))
}

// A Pane names one measure in one minute, total or of one dimension.
type Pane struct {
	Measure Measure
	Minute  int64 // since 1970 UTC
	Dim     Dim
}

// Compare orders panes by measure, minute and dimension.
func (p Pane) Compare(q Pane) int {
	return cmp.Or(cmp.Compare(p.Measure, q.Measure), cmp.Compare(p.Minute, q.Minute),
		cmp.Compare(p.Dim.By, q.Dim.By), strings.Compare(p.Dim.Value, q.Dim.Value))
}

// A Delta is what one change of one history adds to a pane. For Visitors N is
// the hash of the device that was there, as a bit pattern; else what to add.
type Delta struct {
	Pane
	N int64
}

// Deltas are the differences that one event makes.
type Deltas []Delta

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
