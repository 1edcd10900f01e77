package spool

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"os"
	"path/filepath"
)

// A mark is a place between two records: the frame's segment and offset, and
// how many of its records lie before.
type mark struct {
	segment, offset, record int64
}

func (m mark) before(n mark) bool {
	if m.segment != n.segment {
		return m.segment < n.segment
	}
	if m.offset != n.offset {
		return m.offset < n.offset
	}
	return m.record < n.record
}

// Marks are kept in two slots, written in turn, a disk sector apart: a torn
// write spoils the older one only. The file has its full size from the
// beginning, so that a full disk does not stop delivery, which is what frees it.
const (
	slotStride = 512
	slotSize   = 4*8 + 4
)

// marks is the file that says how far delivery is.
type marks struct {
	file *os.File
	seq  int64 // of the last mark written; its slot is seq modulo 2
}

// openMarks finds the latest mark, the zero one in a fresh directory.
func openMarks(dir string) (*marks, mark, error) {
	f, err := os.OpenFile(filepath.Join(dir, "delivered"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, mark{}, fmt.Errorf("open spool marks: %w", err)
	}
	m := &marks{file: f}
	latest, err := m.load()
	if err != nil {
		return nil, mark{}, errors.Join(err, f.Close())
	}
	return m, latest, nil
}

func (m *marks) load() (latest mark, err error) {
	b := make([]byte, 2*slotStride)
	n, err := m.file.ReadAt(b, 0)
	if err == io.EOF && n < len(b) {
		return mark{}, m.format()
	}
	if err != nil {
		return mark{}, fmt.Errorf("read spool marks: %w", err)
	}
	blank := true
	for slot := range 2 {
		s := b[slot*slotStride:][:slotSize]
		blank = blank && allZero(s)
		if seq, at, ok := parseSlot(s); ok && seq > m.seq {
			m.seq, latest = seq, at
		}
	}
	if m.seq == 0 && !blank {
		return mark{}, fmt.Errorf("%s at offset 0: no readable mark: %w", m.file.Name(), ErrCorrupt)
	}
	return latest, nil
}

// format gives the file its size; before that nothing was ever delivered.
func (m *marks) format() error {
	if _, err := m.file.WriteAt(make([]byte, 2*slotStride), 0); err != nil {
		return fmt.Errorf("create spool marks: %w", err)
	}
	if err := m.file.Sync(); err != nil {
		return fmt.Errorf("create spool marks: %w", err)
	}
	return nil
}

// store makes a mark durable.
func (m *marks) store(at mark) error {
	seq := m.seq + 1
	b := make([]byte, 0, slotSize)
	for _, v := range []int64{seq, at.segment, at.offset, at.record} {
		b = binary.LittleEndian.AppendUint64(b, uint64(v))
	}
	b = binary.LittleEndian.AppendUint32(b, slotSum(b))
	_, err := m.file.WriteAt(b, seq%2*slotStride)
	if err == nil {
		err = m.file.Sync()
	}
	if err != nil {
		return fmt.Errorf("write spool mark: %w", err)
	}
	m.seq = seq
	return nil
}

func parseSlot(b []byte) (seq int64, at mark, ok bool) {
	n := slotSize - 4
	if binary.LittleEndian.Uint32(b[n:]) != slotSum(b[:n]) {
		return 0, mark{}, false
	}
	at64 := func(i int) int64 { return int64(binary.LittleEndian.Uint64(b[8*i:])) }
	return at64(0), mark{segment: at64(1), offset: at64(2), record: at64(3)}, true
}

func slotSum(b []byte) uint32 {
	return crc32.Checksum(b, crc32.MakeTable(crc32.Castagnoli))
}

func allZero(b []byte) bool {
	for _, c := range b {
		if c != 0 {
			return false
		}
	}
	return true
}
