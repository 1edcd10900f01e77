package visitor

import (
	"slices"

	"fernweh/model/kpi"
)

// Decided is what one event did beyond its visitor's history. It is a function
// of the log; it lies in the cell until the event's offset is committed, so that
// a replay which finds the cell already ahead repeats the effects without the
// state that they followed from.
type Decided struct {
	Offset   int64
	Panes    kpi.Deltas
	Reversed []Minute // of an erasure: what was counted in them is taken back
	Links    []LinkChange
	Said     []Segment  // empty: nothing new was said of the visitor
	Proposed []Proposal // actions that the event triggered
	Login    string     // whose the event was, where an action was proposed
}

// A LinkChange says that the device now has, or no longer has, a unit of a login.
type LinkChange struct {
	Login  string
	Linked bool
}

// A Segment is what the model in force said of a unit after an event. An empty
// ID takes back what was said.
type Segment struct {
	ID       string
	Distance float64 // to the centroid, in standard deviations
	Model    string
	Login    string // the unit that was looked at
}

// Effects calls emit for each difference of panes that the event made. Reversing
// a history is one entry in the cell and not a list of its panes, which would be
// several times as large.
func (d *Decided) Effects(emit func(kpi.Delta)) {
	for _, p := range d.Panes {
		emit(p)
	}
	for i := range d.Reversed {
		d.Reversed[i].measure(func(p kpi.Pane, n int64) { emit(kpi.Delta{Pane: p, N: -n}) })
	}
}

// Size is about how many bytes the entry takes in a cell.
func (d *Decided) Size() int {
	n := 16
	for _, p := range d.Panes {
		n += 24 + len(p.Dim.Value)
	}
	for i := range d.Reversed {
		n += 32 + 24*len(d.Reversed[i].Places) + 24*len(d.Reversed[i].Money)
	}
	for _, l := range d.Links {
		n += 4 + len(l.Login)
	}
	for _, p := range d.Proposed {
		n += 24 + len(p.Campaign) + len(p.Version)
	}
	for _, s := range d.Said {
		n += 16 + len(s.ID) + len(s.Model) + len(s.Login)
	}
	return n
}

// reversed joins the minutes of histories that are erased, ascending.
func reversed(hs []*History) []Minute {
	if len(hs) == 1 {
		return hs[0].Minutes // its owner has let go of it
	}
	var all History
	for _, h := range hs {
		all.Merge(h)
	}
	return slices.Clip(all.Minutes)
}
