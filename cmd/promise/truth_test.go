package promise_test

import (
	"fernweh/model/kpi"
	"fernweh/model/visitor"
	"fernweh/schemas"

	"google.golang.org/protobuf/proto"
)

// truth is the fold of every prefix of one partition, by the plain definition.
type truth struct {
	limits   visitor.Limits
	cells    map[string]*visitor.Cell
	visitors map[string][]version[[]byte]
	panes    map[kpi.Pane][]version[kpi.Value]
}

// A version is a value from the fold of the events below an offset on.
type version[T any] struct {
	from  int64
	value T
}

// at is the version at a prefix; the zero value before the first.
func at[T any](vs []version[T], through int64) (v T) {
	for _, x := range vs {
		if x.from > through {
			break
		}
		v = x.value
	}
	return v
}

func newTruth(l visitor.Limits) *truth {
	return &truth{l, map[string]*visitor.Cell{}, map[string][]version[[]byte]{}, map[kpi.Pane][]version[kpi.Value]{}}
}

// fold takes the next record. A pane moves by the full measure of the device
// after the event less the full measure before it.
func (t *truth) fold(r schemas.Record) {
	if r.Event == nil {
		return
	}
	e := proto.Clone(r.Event).(*schemas.Event)
	c := t.cells[e.Device]
	if c == nil {
		c = new(visitor.Cell)
		t.cells[e.Device] = c
	}
	changes := map[kpi.Pane]*kpi.Value{}
	add := func(p kpi.Pane, n int64) {
		if changes[p] == nil {
			changes[p] = new(kpi.Value)
		}
		changes[p].Add(kpi.Delta{Pane: p, N: n})
	}
	less := func(p kpi.Pane, n int64) { add(p, -n) }
	c.Units.Measure(less)
	c.Fold(t.limits, e, visitor.HashID(e.Id), visitor.HashDevice(e.Device), add)
	c.Units.Measure(add)
	b, _ := c.AppendBinary(nil)
	t.visitors[e.Device] = append(t.visitors[e.Device], version[[]byte]{r.Offset + 1, b})
	for p, change := range changes {
		v := at(t.panes[p], r.Offset+1)
		sum := kpi.Value{Sum: v.Sum}
		sum.Devices.Merge(&v.Devices)
		sum.Merge(change)
		t.panes[p] = append(t.panes[p], version[kpi.Value]{r.Offset + 1, sum})
	}
}
