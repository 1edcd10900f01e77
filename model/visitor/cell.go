package visitor

import (
	"slices"

	"fernweh/model/kpi"
	"fernweh/schemas"

	"github.com/cespare/xxhash/v2"
)

// A Cell is what a visitor's row holds of one generation (b:) or one epoch (s:):
// the filter at its end and what was done within it.
type Cell struct {
	Filter
	Forgot  Forgotten // speed cells: erasures within the epoch
	Units   Units
	Beyond  Beyond
	Aspects []Aspect  // that this program does not know
	Decided []Decided // speed cells: ascending by offset; what must not be decided twice
}

// Empty says that the cell holds nothing of what the device did.
func (c *Cell) Empty() bool { return c.Units.Empty() && c.Beyond.Events() == 0 }

// Forgotten says what erasures within a cell's epoch took from the cells before
// it. It names only what was there, so that it is as bounded as they are.
type Forgotten struct {
	All    bool
	Before bool     // what was done before the first login
	Logins []uint64 // HashLogin, ascending
}

func (f *Forgotten) add(login string) {
	if login == "" {
		f.Before = true
		return
	}
	hash := HashLogin(login)
	if i, found := slices.BinarySearch(f.Logins, hash); !found {
		f.Logins = slices.Insert(f.Logins, i, hash)
	}
}

// Any says that something was forgotten.
func (f *Forgotten) Any() bool { return f.All || f.Before || len(f.Logins) > 0 }

// Fold passes the next event of the device in log order into the cell, as batch
// does and as the promise defines. Panes are left to Units.Measure, but for what
// cannot be read off the units in the end: visits, and events that are counted
// and not kept. The hashes are HashID and HashDevice of the event's id and device.
func (c *Cell) Fold(l Limits, e *schemas.Event, id, device uint64, emit func(kpi.Pane, int64)) Verdict {
	first := c.FirstLogin
	v, owner := c.Filter.Pass(l, id, e)
	switch v {
	case Anonymous:
		measureEvent(e, emit)
	case Automatic:
		measureEvent(e, emit)
		emit(visit(e), int64(device))
		c.Beyond.add(e)
	case Accepted:
		h, _, _, _ := c.Units.owner(l, owner)
		if h.Add(e) {
			emit(visit(e), int64(device))
		}
	case Reset:
		c.forget(l, e.GetErasure().GetLogin(), first)
	}
	return v
}

// forget drops what an erasure names, given the first login before it.
func (c *Cell) forget(l Limits, login, first string) {
	if login == "" {
		c.Units, c.Beyond = Units{}, Beyond{}
		return
	}
	c.Units.forget(login)
	if login == first {
		c.Units.forget("")
	}
	c.Units.admit(l, HashLogin(login))
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
		c.Units, c.Beyond = Units{}, Beyond{}
	}
	if later.Forgot.Before {
		c.Units.forget("")
	}
	for _, login := range later.Forgot.Logins {
		c.Units.forgetHash(login)
	}
	c.Units.merge(l, &later.Units)
	c.Beyond.merge(&later.Beyond)
	c.Filter = later.Filter.clone()
}
