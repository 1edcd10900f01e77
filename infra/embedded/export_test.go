package embedded

import (
	"context"
	"os"
	"time"

	"github.com/blevesearch/bleve/v2/numeric"

	"fernweh/schemas"
)

// The encodings of the embedded store, for its tests.

// EncodeKey is the key of a cell.
func EncodeKey(key schemas.Key, column string) []byte { return appendCell(nil, key, column) }

// DecodeKey takes a key apart.
func DecodeKey(b []byte) (schemas.Key, string, error) {
	n := splitRow(b)
	key, err := parseRow(b[:n])
	return key, string(b[n:]), err
}

// SplitRow is where the row ends in a key.
func SplitRow(b []byte) int { return splitRow(b) }

// Successor is the smallest key behind all that begin with prefix.
func Successor(prefix []byte) []byte { return successor(nil, prefix) }

// EncodePut is the operand of a cell written.
func EncodePut(stamp int64, value []byte) []byte { return operand{stamp, value}.append(nil) }

// Join composes encoded operands, oldest first, as a compaction does that can't
// see what lies below.
func Join(operands ...[]byte) ([]byte, error) {
	m, err := merger().Merge(nil, operands[0])
	for _, o := range operands[1:] {
		if err == nil {
			err = m.MergeNewer(o)
		}
	}
	if err != nil {
		return nil, err
	}
	b, _, err := m.Finish(false)
	return b, err
}

// JoinOlder is Join with the operands given newest first.
func JoinOlder(operands ...[]byte) ([]byte, error) {
	m, err := merger().Merge(nil, operands[0])
	for _, o := range operands[1:] {
		if err == nil {
			err = m.MergeOlder(o)
		}
	}
	if err != nil {
		return nil, err
	}
	b, _, err := m.Finish(false)
	return b, err
}

// Standing is the cell that an operand leaves.
func Standing(b []byte) (stamp int64, value []byte, err error) {
	o, err := parseOperand(b)
	return o.stamp, o.value, err
}

// Compact rewrites the whole store, as Pebble does piece by piece in time.
func (v *Views) Compact(ctx context.Context) error {
	if err := v.db.Flush(); err != nil {
		return err
	}
	return v.db.Compact(ctx, []byte{0}, []byte{255}, false)
}

// Cover gives the terms of a range of numbers.
func Cover(first, last int64) (terms []numeric.PrefixCoded) {
	cover(first, last, func(t numeric.PrefixCoded) { terms = append(terms, t) })
	return terms
}

// OpenBrokerWith is OpenBroker with segments of so many bytes, on a disk whose
// syncs may fail, at a time.
func OpenBrokerWith(dir string, roll int64, sync func(*os.File) error, now func() time.Time) (*Broker, error) {
	return openBroker(dir, 0, brokerOptions{roll, sync, now})
}

// CheckLog checks a log and puts it right as OpenBroker does, without a broker.
func CheckLog(dir string, roll int64) error {
	f, err := checked(dir, brokerOptions{roll, (*os.File).Sync, time.Now})
	if err != nil {
		return err
	}
	return f.close()
}

// SegmentBases are the names of the segments of a directory.
func SegmentBases(dir string) ([]int64, error) { return segmentBases(dir) }

// Reencode reads a slot and writes it again.
func Reencode(b []byte) ([]byte, error) {
	s, err := decodeState(b)
	if err != nil {
		return nil, err
	}
	return s.encode(), nil
}

// StateName is the file of what was acknowledged.
const StateName = stateName
