package visitor

import (
	"slices"
	"strings"

	"fernweh/model/kpi"
	"fernweh/schemas"

	"github.com/cespare/xxhash/v2"
)

// A Unit is a device under one login; the empty login holds what happened
// before the first one.
type Unit struct {
	Login string
	History
}

// Units are the units of a device, ascending by login.
type Units []Unit

// Unit finds a unit by its login; nil where there is none.
func (us Units) Unit(login string) *Unit {
	if i, found := us.search(login); found {
		return &us[i]
	}
	return nil
}

func (us Units) search(login string) (int, bool) {
	if len(us) == 1 && us[0].Login == login {
		return 0, true
	}
	return slices.BinarySearchFunc(us, login, func(u Unit, l string) int { return strings.Compare(u.Login, l) })
}

// unit finds or makes a unit.
func (us *Units) unit(login string) (u *Unit, made bool) {
	i, found := us.search(login)
	if !found {
		*us = slices.Insert(*us, i, Unit{Login: login})
	}
	return &(*us)[i], !found
}

// merge adds the units of a later, disjoint part of the log.
func (us *Units) merge(l Limits, o Units) {
	for i := range o {
		u, _ := us.unit(o[i].Login)
		u.Merge(l, &o[i].History)
	}
}

// forget drops one login's unit, or with an empty erasure all of them.
func (us *Units) forget(login string) {
	if login == "" {
		*us = nil
		return
	}
	if i, found := us.search(login); found {
		*us = slices.Delete(*us, i, i+1)
	}
}

// A Cell is what a visitor's row holds of one generation (b:) or one epoch (s:):
// the filter at its end and the units of the events within it.
type Cell struct {
	Filter
	Forgot  Forgotten // speed cells: erasures within the epoch
	Units   Units
	Decided []Decided // speed cells: ascending by offset; what must not be decided twice
}

// Forgotten says what erasures within a cell's epoch took from the cells before it.
type Forgotten struct {
	All    bool
	Logins []string // ascending
}

func (f *Forgotten) add(login string) {
	if login == "" {
		f.All = true
		return
	}
	if i, found := slices.BinarySearch(f.Logins, login); !found {
		f.Logins = slices.Insert(f.Logins, i, login)
	}
}

// Decided is what one event did beyond its visitor's history. It is a function
// of the log; it lies in the cell until the event's offset is committed, so that
// a replay which finds the cell already ahead repeats the effects without the
// state that they followed from.
type Decided struct {
	Offset  int64
	Panes   kpi.Deltas
	Links   []LinkChange
	Segment *Segment // nil: nothing new was said of the visitor
}

// A LinkChange says that the device now has, or no longer has, a unit of a login.
type LinkChange struct {
	Login  string
	Linked bool
}

// A Segment is what the model in force said of the visitor after an event.
type Segment struct {
	ID       string
	Distance float64 // to the centroid, in standard deviations
	Model    string
	Login    string // the unit that was looked at
}

// Fold passes the next event of the device in log order into the cell, as batch
// does and as the promise defines. Panes are left to Measure, but for what
// cannot be read off the units in the end: visits, and events without consent.
// The hashes are HashID and HashDevice of the event's id and device.
func (c *Cell) Fold(l Limits, e *schemas.Event, id, device uint64, emit func(kpi.Pane, int64)) Verdict {
	v, login := c.Filter.Pass(l, id, e)
	switch v {
	case Anonymous:
		measureEvent(e, emit)
	case Accepted:
		u, _ := c.Units.unit(login)
		if u.Add(l, e) {
			emit(visit(e), int64(device))
		}
	case Reset:
		c.Units.forget(e.GetErasure().GetLogin())
	}
	return v
}

// HashDevice is how the distinct counts know a device.
func HashDevice(device string) uint64 { return xxhash.Sum64String(device) }

func visit(e *schemas.Event) kpi.Pane {
	return kpi.Pane{Measure: kpi.Visitors, Minute: e.Time / microsPerMinute}
}

// Merge is the whole state of a device from the cells of its row in the order of
// the log: one generation and the epochs after it.
func Merge(l Limits, cells ...*Cell) *Cell {
	whole := new(Cell)
	for _, c := range cells {
		whole.append(l, c)
	}
	return whole
}

func (c *Cell) append(l Limits, later *Cell) {
	if later.Forgot.All {
		c.Units = nil
	}
	for _, login := range later.Forgot.Logins {
		c.Units.forget(login)
	}
	c.Units.merge(l, later.Units)
	c.Filter = later.Filter.clone()
}

// A Visitor is a device in the hands of the speed layer.
type Visitor struct {
	Cell         // what the current epoch's cell holds
	Whole  Units // everything: the generation worked on and the epochs after it
	Device uint64
	Limits Limits
}

// Apply passes the next event of the device in log order into the visitor and
// says what it did: differences of panes and links.
func (v *Visitor) Apply(offset int64, e *schemas.Event) (Verdict, string, Decided) {
	d := Decided{Offset: offset}
	emit := func(p kpi.Pane, n int64) { d.Panes = append(d.Panes, kpi.Delta{Pane: p, N: n}) }
	verdict, login := v.Filter.Pass(v.Limits, HashID(e.Id), e)
	switch verdict {
	case Anonymous:
		measureEvent(e, emit)
	case Accepted:
		u, made := v.Whole.unit(login)
		if made && login != "" {
			d.Links = append(d.Links, LinkChange{login, true})
		}
		if u.change(v.Limits, e, emit) {
			emit(visit(e), int64(v.Device))
		}
		since, _ := v.Units.unit(login)
		since.Add(v.Limits, e)
	case Reset:
		d.Links = v.erase(e.GetErasure().GetLogin(), emit)
	}
	d.Panes = d.Panes.Compact()
	return verdict, login, d
}

// erase takes a login, or everything, from the visitor and from the panes.
func (v *Visitor) erase(login string, emit func(kpi.Pane, int64)) (broken []LinkChange) {
	for i := range v.Whole {
		u := &v.Whole[i]
		if login != "" && u.Login != login {
			continue
		}
		u.Measure(func(p kpi.Pane, n int64) { emit(p, -n) })
		if u.Login != "" {
			broken = append(broken, LinkChange{u.Login, false})
		}
	}
	v.Whole.forget(login)
	v.Units.forget(login)
	v.Forgot.add(login)
	return broken
}
