package embedded

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// A partition is one partition of the log on the disk. While the broker runs, only
// the flush that is under way touches it.
type partition struct {
	logRange // of what is on the disk for certain

	dir, topic string
	n          int
	roll       int64 // bytes from which on the broker begins another segment

	base  int64    // offset that names the segment which is written
	pos   int64    // bytes of it that are flushed, whole batches
	count int64    // batches of it that are flushed
	file  *os.File // of it, open before it is written to: the kernel tells this one, too, that a write failed; may be nil
}

// A segment is one file of a partition.
type segment struct {
	base    int64
	batches []batchHead
	size    int64 // bytes of good batches
	length  int64 // of the file
}

// next is the offset behind a segment.
func (s *segment) next() int64 {
	if len(s.batches) == 0 {
		return s.base
	}
	return s.batches[len(s.batches)-1].next
}

func (s *segment) records() (n int64) {
	for _, b := range s.batches {
		n += int64(b.records)
	}
	return n
}

// maxTime is the youngest time in the segment, in milliseconds.
func (s *segment) maxTime() (t int64) {
	for _, b := range s.batches {
		t = max(t, b.maxTime)
	}
	return t
}

func segmentPath(dir string, base int64) string {
	return filepath.Join(dir, strconv.FormatInt(base, 10)+".dat")
}

func indexPath(dir string, base int64) string {
	return filepath.Join(dir, strconv.FormatInt(base, 10)+".idx")
}

// segmentBases are the names of the segments of a directory, ascending.
func segmentBases(dir string) (bases []int64, err error) {
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	for _, e := range entries {
		name, ok := strings.CutSuffix(e.Name(), ".dat")
		if base, err := strconv.ParseInt(name, 10, 64); ok && err == nil && base >= 0 && strconv.FormatInt(base, 10) == name {
			bases = append(bases, base)
		} else if ok {
			return nil, fmt.Errorf("%w: file %s: segments are named by their first offset. %s",
				ErrDamaged, filepath.Join(dir, e.Name()), restoreHint)
		}
	}
	slices.Sort(bases)
	return bases, err
}

// A fault is the first place of a segment that is not as the broker writes it.
type fault struct {
	segment *segment // up to the fault
	next    int64    // offset that should follow
	reason  error
	rest    []byte // of the file, from the fault on
}

// readSegment reads a segment up to its end or its first fault. b is the bytes of
// the file; sparse allows offsets to be missing between batches.
func readSegment(b []byte, base int64, sparse bool) (*segment, *fault) {
	s := &segment{base: base, length: int64(len(b))}
	for s.size < s.length {
		rest, next := b[s.size:], s.next()
		h, err := parseBatch(rest)
		if err == nil && (h.first < next || h.first > next && !sparse || len(s.batches) == 0 && h.first != base) {
			err = fmt.Errorf("the batch has the offset %d", h.first)
		}
		if err != nil {
			return s, &fault{s, next, err, rest}
		}
		s.batches = append(s.batches, h)
		s.size += h.size
	}
	return s, nil
}

// indexEntryBytes is the length of what the broker keeps of a batch beside it.
const indexEntryBytes = 15

// index is what the broker writes beside the batches of a segment: it follows
// from them.
func (s *segment) index() []byte {
	var b []byte
	var youngest int64
	for i, h := range s.batches {
		if youngest = max(youngest, h.maxTime); i == 0 {
			youngest = h.maxTime
		}
		var e [indexEntryBytes]byte
		e[0] = 1
		binary.LittleEndian.PutUint32(e[2:], uint32(h.epoch))
		binary.LittleEndian.PutUint64(e[6:], uint64(youngest))
		if h.inTx && !h.control {
			e[14] = 1
		}
		e[1] = byte(crc32.Checksum(e[2:], castagnoli))
		b = append(b, e[:]...)
	}
	return b
}

// sameIndex compares what the broker goes by: it does not read the time of an entry.
func sameIndex(have, want []byte) bool {
	if len(have) != len(want) {
		return false
	}
	for at := 0; at < len(want); at += indexEntryBytes {
		h, w := have[at:at+indexEntryBytes], want[at:at+indexEntryBytes]
		if h[0] != w[0] || h[1] != byte(crc32.Checksum(h[2:], castagnoli)) || !bytes.Equal(h[2:6], w[2:6]) || h[14] != w[14] {
			return false
		}
	}
	return true
}
