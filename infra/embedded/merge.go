package embedded

import (
	"encoding/binary"
	"fmt"
	"io"
	"math"

	"github.com/cockroachdb/pebble/v2"
)

// An operand is what one write does to a cell, and what several do together:
// the value that was there stays if its stamp is above limit, else cell (or
// nothing) takes its place. Operands compose, so that Pebble may join them in
// any grouping while Put and Delete stay blind writes that read nothing.
type operand struct {
	limit   int64  // of the writes together; never below stamp where there is a cell
	stamp   int64  // of the cell
	value   []byte // of the cell
	present bool   // there is a cell
}

// Kinds of operand bytes, the first byte of every value in the store.
const (
	kindCell    = 'c' // stamp, value: limit is the stamp
	kindRemoved = 'd' // limit: no cell
	kindOver    = 'o' // limit, stamp, value: a cell written over a removal of a higher stamp
)

// put is the operand of a cell written.
func put(stamp int64, value []byte) operand {
	return operand{limit: stamp, stamp: stamp, value: value, present: true}
}

// removal is the operand of a cell deleted up to a stamp.
func removal(stamp int64) operand { return operand{limit: stamp} }

// then is what o and the later write do together.
func (o operand) then(later operand) operand {
	if o.present && o.stamp > later.limit {
		o.limit = max(o.limit, later.limit)
		return o
	}
	later.limit = max(o.limit, later.limit)
	return later
}

// append encodes the operand.
func (o operand) append(dst []byte) []byte {
	switch {
	case !o.present:
		return binary.BigEndian.AppendUint64(append(dst, kindRemoved), uint64(o.limit))
	case o.limit > o.stamp:
		dst = binary.BigEndian.AppendUint64(append(dst, kindOver), uint64(o.limit))
	default:
		dst = append(dst, kindCell)
	}
	return append(binary.BigEndian.AppendUint64(dst, uint64(o.stamp)), o.value...)
}

// parseOperand reads an operand; its value aliases b.
func parseOperand(b []byte) (operand, error) {
	number := func(at int) int64 { return int64(binary.BigEndian.Uint64(b[at:])) }
	switch {
	case len(b) >= 9 && b[0] == kindCell:
		return put(number(1), b[9:]), nil
	case len(b) == 9 && b[0] == kindRemoved:
		return removal(number(1)), nil
	case len(b) >= 17 && b[0] == kindOver:
		o := put(number(9), b[17:])
		o.limit = max(o.limit, number(1))
		return o, nil
	}
	return operand{}, fmt.Errorf("read a cell: %d bytes are no operand", len(b))
}

// A merge composes the operands of one cell for Pebble. It keeps a copy of the
// value that stands, for Pebble lends them.
type merge struct{ sum operand }

// merger gives the store its rule: the highest stamp wins, among equals the later.
func merger() *pebble.Merger {
	return &pebble.Merger{
		Name: "fernweh.stamped.1",
		Merge: func(_, value []byte) (pebble.ValueMerger, error) {
			m := &merge{sum: operand{limit: math.MinInt64}}
			return m, m.MergeNewer(value)
		},
	}
}

func (m *merge) MergeNewer(value []byte) error {
	later, err := parseOperand(value)
	if err != nil {
		return err
	}
	if stands := m.sum.present && m.sum.stamp > later.limit; !stands {
		later.value = append([]byte(nil), later.value...)
	}
	m.sum = m.sum.then(later)
	return nil
}

func (m *merge) MergeOlder(value []byte) error {
	earlier, err := parseOperand(value)
	if err != nil {
		return err
	}
	if earlier.present && earlier.stamp > m.sum.limit {
		earlier.value = append([]byte(nil), earlier.value...)
	}
	m.sum = earlier.then(m.sum)
	return nil
}

func (m *merge) Finish(includesBase bool) ([]byte, io.Closer, error) {
	value, _, closer, err := m.DeletableFinish(includesBase)
	return value, closer, err
}

// DeletableFinish forgets the limit once nothing older is left that it could keep out.
func (m *merge) DeletableFinish(includesBase bool) ([]byte, bool, io.Closer, error) {
	if includesBase && m.sum.present {
		m.sum.limit = m.sum.stamp
	}
	return m.sum.append(nil), includesBase && !m.sum.present, nil, nil
}
