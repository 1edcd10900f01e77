package spool

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"time"
)

// A reader is what the delivering goroutine knows.
type reader struct {
	marks *marks
	done  mark    // on disk: all before it has been delivered
	at    mark    // the next frame to read
	head  []entry // read but not delivered
	size  int     // bytes of head
	file  *os.File
	open  int64 // number of the segment that file is
}

// An entry is a record and the place behind it.
type entry struct {
	Record
	end mark
	at  time.Time
}

func (r *reader) close() (err error) {
	if r.file != nil {
		err = r.file.Close()
	}
	if r.marks != nil {
		err = errors.Join(err, r.marks.file.Close())
	}
	return err
}

// Head is up to max records that were appended first and not delivered yet,
// empty if there are none. They stay until Advance.
func (s *Spool) Head(max int) ([]Record, error) {
	r := &s.reader
	for len(r.head) < max && r.size < s.opts.HeadBytes {
		more, err := s.readFrame()
		if err != nil {
			return nil, err
		}
		if !more {
			break
		}
	}
	s.noteOldest()
	n := min(max, len(r.head))
	records := make([]Record, n)
	for i, e := range r.head[:n] {
		records[i] = e.Record
	}
	return records, nil
}

func (s *Spool) noteOldest() {
	if len(s.reader.head) == 0 {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.oldest = s.reader.head[0].at
}

// readFrame adds the next frame to the head. more is false at the end.
func (s *Spool) readFrame() (more bool, err error) {
	r := &s.reader
	seg, ok := s.nextSegment()
	if !ok {
		return false, nil
	}
	if seg.number != r.at.segment {
		r.at = mark{segment: seg.number}
	}
	b, err := r.frameBytes(seg)
	if err != nil {
		return false, err
	}
	f, err := parseFrame(b)
	if err != nil {
		return false, fmt.Errorf("%s at offset %d: %w", seg.path, r.at.offset, err)
	}
	next := mark{segment: seg.number, offset: r.at.offset + f.size}
	for i := r.at.record; i < int64(len(f.records)); i++ {
		e := entry{f.records[i], mark{r.at.segment, r.at.offset, i + 1}, f.at}
		if i+1 == int64(len(f.records)) {
			e.end = next
		}
		r.head = append(r.head, e)
		r.size += len(e.Data)
	}
	r.at = next
	return true, nil
}

// nextSegment is a copy of the segment that the next frame lies in.
func (s *Spool) nextSegment() (seg segment, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	at := s.reader.at
	for _, seg := range s.segments {
		if seg.number > at.segment && seg.size > 0 || seg.number == at.segment && seg.size > at.offset {
			return *seg, true
		}
	}
	return segment{}, false
}

// frameBytes reads the bytes of the frame at r.at, or what could be it.
func (r *reader) frameBytes(seg segment) ([]byte, error) {
	if r.file == nil || r.open != seg.number {
		f, err := os.Open(seg.path)
		if err != nil {
			return nil, fmt.Errorf("read spool: %w", err)
		}
		if r.file != nil {
			r.file.Close() // it was only read from
		}
		r.file, r.open = f, seg.number
	}
	size := int64(frameHeader)
	header := make([]byte, size)
	if _, err := r.file.ReadAt(header, r.at.offset); err != nil && err != io.EOF {
		return nil, fmt.Errorf("read %s at offset %d: %w", seg.path, r.at.offset, err)
	}
	size = min(frameLength(header), seg.size-r.at.offset)
	b := make([]byte, size)
	n, err := r.file.ReadAt(b, r.at.offset)
	if err != nil && err != io.EOF {
		return nil, fmt.Errorf("read %s at offset %d: %w", seg.path, r.at.offset, err)
	}
	return b[:n], nil
}

// Advance says that the first n records of Head have been delivered. After an
// error nothing has changed and the same call may be repeated.
func (s *Spool) Advance(n int) error {
	if n == 0 {
		return nil
	}
	r := &s.reader
	done := r.head[n-1].end
	if err := r.marks.store(done); err != nil {
		return err
	}
	for _, e := range r.head[:n] {
		r.size -= len(e.Data)
	}
	r.done, r.head = done, r.head[n:]
	s.commit.Lock()
	defer s.commit.Unlock()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.count -= int64(n)
	s.drop()
	return nil
}

// drop removes the segments that have been delivered to their end. One that
// can't be removed counts as used space and is tried again the next time. The
// caller holds both locks.
func (s *Spool) drop() {
	for len(s.segments) > 0 {
		seg := s.segments[0]
		end := mark{segment: seg.number, offset: seg.size}
		if s.reader.done.before(end) || seg == s.active && s.torn {
			break
		}
		if seg == s.active {
			s.seal() // every byte of it has been fsynced and delivered: an error of close says nothing
		}
		if err := os.Remove(seg.path); err != nil && !errors.Is(err, fs.ErrNotExist) {
			break
		}
		s.vacate(seg.size)
		s.segments = s.segments[1:]
	}
}
