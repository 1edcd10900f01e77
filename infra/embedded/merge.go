package embedded

import (
	"encoding/binary"
	"fmt"
	"io"

	"github.com/cockroachdb/pebble/v2"
)

// An operand is what one write does to a cell, and what several do together:
// the highest stamp stands, among equals the later. So Pebble may join operands
// in any grouping, and Put stays a blind write that reads nothing.
type operand struct {
	stamp int64
	value []byte
}

// kindCell is the first byte of every value in the store.
const kindCell = 'c'

// append encodes the operand.
func (o operand) append(dst []byte) []byte {
	dst = binary.BigEndian.AppendUint64(append(dst, kindCell), uint64(o.stamp))
	return append(dst, o.value...)
}

// parseOperand reads an operand; its value aliases b.
func parseOperand(b []byte) (operand, error) {
	if len(b) < 9 || b[0] != kindCell {
		return operand{}, fmt.Errorf("read a cell: %d bytes are no operand", len(b))
	}
	return operand{stamp: int64(binary.BigEndian.Uint64(b[1:])), value: b[9:]}, nil
}

// A merge composes the operands of one cell for Pebble. It keeps a copy of the
// value that stands, for Pebble lends them.
//
// It never says that a key may go: Pebble 2.1 panics in a compaction where a
// merge that says so had met an older value, and the store could not be opened
// again. What is deleted is deleted by Delete.
type merge struct{ sum operand }

// merger gives the store its rule: the highest stamp wins, among equals the later.
func merger() *pebble.Merger {
	return &pebble.Merger{
		Name: "fernweh.stamped.1",
		Merge: func(_, value []byte) (pebble.ValueMerger, error) {
			o, err := parseOperand(value)
			o.value = append([]byte(nil), o.value...)
			return &merge{o}, err
		},
	}
}

func (m *merge) MergeNewer(value []byte) error {
	later, err := parseOperand(value)
	if err == nil && m.sum.stamp <= later.stamp {
		m.sum = operand{later.stamp, append(m.sum.value[:0], later.value...)}
	}
	return err
}

func (m *merge) MergeOlder(value []byte) error {
	earlier, err := parseOperand(value)
	if err == nil && earlier.stamp > m.sum.stamp {
		m.sum = operand{earlier.stamp, append(m.sum.value[:0], earlier.value...)}
	}
	return err
}

func (m *merge) Finish(bool) ([]byte, io.Closer, error) { return m.sum.append(nil), nil, nil }
