package batch

import (
	"cmp"
	"slices"

	"fernweh/model/kpi"
)

// sums are the panes of many visitors. What belongs to one minute lies together,
// because a history adds to most measures of a minute at once: one look-up serves
// them all, where a map of panes would miss the cache for each.
type sums struct {
	minutes map[int64]*minute
	at      int64   // the minute that was added to last
	last    *minute // nil: none yet
	numbers map[kpi.Dim]uint32
	dims    []kpi.Dim // by number
}

// minute is what a minute holds.
type minute struct {
	whole   [kpi.Visitors]int64 // by measure
	parts   []part              // of divided measures, ascending
	devices kpi.Sketch
}

// part is the sum of a divided measure.
type part struct {
	of  uint64 // the dimension's number, then the measure
	sum int64
}

const measureBits = 8

func newSums() *sums {
	return &sums{minutes: make(map[int64]*minute), numbers: make(map[kpi.Dim]uint32)}
}

// add adds n to a pane; for visitors n is the hash of the device that was there.
func (s *sums) add(p kpi.Pane, n int64) {
	m := s.minute(p.Minute)
	switch {
	case p.Measure == kpi.Visitors:
		m.devices.Add(uint64(n))
	case p.Dim.By == kpi.Total:
		m.whole[p.Measure] += n
	default:
		m.add(uint64(s.number(p.Dim))<<measureBits|uint64(p.Measure), n)
	}
}

func (s *sums) minute(at int64) *minute {
	if s.last != nil && s.at == at {
		return s.last
	}
	m := s.minutes[at]
	if m == nil {
		m = new(minute)
		s.minutes[at] = m
	}
	s.at, s.last = at, m
	return m
}

func (s *sums) number(d kpi.Dim) uint32 {
	n, known := s.numbers[d]
	if !known {
		n = uint32(len(s.dims))
		s.numbers[d] = n
		s.dims = append(s.dims, d)
	}
	return n
}

func (m *minute) add(of uint64, n int64) {
	from, to := 0, len(m.parts)
	for from < to {
		if half := (from + to) / 2; m.parts[half].of < of {
			from = half + 1
		} else {
			to = half
		}
	}
	if from == len(m.parts) || m.parts[from].of != of {
		m.parts = slices.Insert(m.parts, from, part{of: of})
	}
	m.parts[from].sum += n
}

// value is what the sums say of a pane.
func (s *sums) value(p kpi.Pane) (v kpi.Value) {
	m := s.minutes[p.Minute]
	switch {
	case m == nil:
	case p.Measure == kpi.Visitors:
		v.Devices = m.devices
	case p.Dim.By == kpi.Total:
		v.Sum = m.whole[p.Measure]
	default:
		if part := s.part(m, p); part != nil {
			v.Sum = part.sum
		}
	}
	return v
}

// drop forgets a pane.
func (s *sums) drop(p kpi.Pane) {
	m := s.minutes[p.Minute]
	switch {
	case m == nil:
	case p.Measure == kpi.Visitors:
		m.devices = kpi.Sketch{}
	case p.Dim.By == kpi.Total:
		m.whole[p.Measure] = 0
	default:
		if part := s.part(m, p); part != nil {
			part.sum = 0
		}
	}
}

// part is the part of a minute that a divided pane is; nil: there is none.
func (s *sums) part(m *minute, p kpi.Pane) *part {
	n, known := s.numbers[p.Dim]
	if !known {
		return nil
	}
	of := uint64(n)<<measureBits | uint64(p.Measure)
	i, found := slices.BinarySearchFunc(m.parts, of, func(x part, of uint64) int { return cmp.Compare(x.of, of) })
	if !found {
		return nil
	}
	return &m.parts[i]
}

// merge adds the sums of other visitors. Of o nothing may be used any more.
func (s *sums) merge(o *sums) {
	for at, theirs := range o.minutes {
		m := s.minute(at)
		for measure, n := range theirs.whole {
			m.whole[measure] += n
		}
		for _, p := range theirs.parts {
			m.add(uint64(s.number(o.dims[p.of>>measureBits]))<<measureBits|p.of&(1<<measureBits-1), p.sum)
		}
		m.devices.Merge(&theirs.devices)
		delete(o.minutes, at)
	}
}

// Each gives every pane that is not zero, in no particular order, until give
// returns an error.
func (s *sums) Each(give func(kpi.Pane, *kpi.Value) error) error {
	for at, m := range s.minutes {
		if err := s.each(at, m, give); err != nil {
			return err
		}
	}
	return nil
}

func (s *sums) each(at int64, m *minute, give func(kpi.Pane, *kpi.Value) error) error {
	for measure, sum := range m.whole {
		if sum == 0 {
			continue
		}
		if err := give(kpi.Pane{Measure: kpi.Measure(measure), Minute: at}, &kpi.Value{Sum: sum}); err != nil {
			return err
		}
	}
	for _, p := range m.parts {
		if p.sum == 0 {
			continue
		}
		pane := kpi.Pane{Measure: kpi.Measure(p.of & (1<<measureBits - 1)), Minute: at, Dim: s.dims[p.of>>measureBits]}
		if err := give(pane, &kpi.Value{Sum: p.sum}); err != nil {
			return err
		}
	}
	if m.devices.Empty() {
		return nil
	}
	return give(kpi.Pane{Measure: kpi.Visitors, Minute: at}, &kpi.Value{Devices: m.devices})
}
