package kpi

import (
	"fmt"
)

// Totals sums differences over many visitors, in little memory: some 40 bytes a
// pane and the sketches. The zero value is not ready; see NewTotals.
type Totals struct {
	sums    map[uint64]int64
	devices map[int64]*Sketch // by minute
	values  map[Dim]uint64    // number of each dimension
	dims    []Dim             // by number
}

// NewTotals is an empty sum.
func NewTotals() *Totals {
	return &Totals{
		sums:    make(map[uint64]int64),
		devices: make(map[int64]*Sketch),
		values:  map[Dim]uint64{{}: 0},
		dims:    []Dim{{}},
	}
}

// Layout of a key: measure, dimension's number, minute.
const (
	minuteBits = 33 // far beyond the year 9999
	dimBits    = 24
)

// Add adds n to a pane; for Visitors n is the hash of the device that was there.
func (t *Totals) Add(p Pane, n int64) {
	if p.Measure == Visitors {
		s := t.devices[p.Minute]
		if s == nil {
			s = new(Sketch)
			t.devices[p.Minute] = s
		}
		s.Add(uint64(n))
		return
	}
	t.sums[t.key(p)] += n
}

func (t *Totals) key(p Pane) uint64 {
	var dim uint64
	if p.Dim.By != Total {
		var known bool
		if dim, known = t.values[p.Dim]; !known {
			dim = uint64(len(t.dims))
			t.values[p.Dim] = dim
			t.dims = append(t.dims, p.Dim)
		}
	}
	if dim >= 1<<dimBits || uint64(p.Minute) >= 1<<minuteBits {
		panic(fmt.Sprintf("pane %v: more than %d values of a dimension, or a minute before 1970", p, 1<<dimBits))
	}
	return uint64(p.Measure)<<(dimBits+minuteBits) | dim<<minuteBits | uint64(p.Minute)
}

func (t *Totals) pane(key uint64) Pane {
	return Pane{
		Measure: Measure(key >> (dimBits + minuteBits)),
		Minute:  int64(key & (1<<minuteBits - 1)),
		Dim:     t.dims[key>>minuteBits&(1<<dimBits-1)],
	}
}

// Merge adds another sum over other visitors.
func (t *Totals) Merge(o *Totals) {
	for key, n := range o.sums {
		t.sums[t.key(o.pane(key))] += n
	}
	for minute, s := range o.devices {
		if mine := t.devices[minute]; mine != nil {
			mine.Merge(s)
		} else {
			t.devices[minute] = s
		}
	}
}

// Len is the number of panes.
func (t *Totals) Len() int { return len(t.sums) + len(t.devices) }

// Each gives every pane that is not zero, in no particular order, until give
// returns an error.
func (t *Totals) Each(give func(Pane, *Value) error) error {
	for key, n := range t.sums {
		if n == 0 {
			continue
		}
		if err := give(t.pane(key), &Value{Sum: n}); err != nil {
			return err
		}
	}
	for minute, s := range t.devices {
		if err := give(Pane{Measure: Visitors, Minute: minute}, &Value{Devices: *s}); err != nil {
			return err
		}
	}
	return nil
}
