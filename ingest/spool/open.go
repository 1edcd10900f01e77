package spool

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
)

const segmentSuffix = ".spool"

func segmentPath(dir string, number int64) string {
	return filepath.Join(dir, fmt.Sprintf("%016d%s", number, segmentSuffix))
}

// Open opens the spool in a directory, which it makes if need be. It reads what
// was not delivered once from end to end: a torn end, which nobody has been
// promised, is cut off; anything else that doesn't read is ErrCorrupt.
func Open(opts Options) (*Spool, error) {
	s := &Spool{opts: opts.withDefaults(), ready: make(chan struct{}, 1)}
	if err := os.MkdirAll(s.opts.Dir, 0o700); err != nil {
		return nil, fmt.Errorf("make spool directory: %w", err)
	}
	var err error
	if s.lock, err = lockDir(s.opts.Dir); err != nil {
		return nil, err
	}
	if err := s.recover(); err != nil {
		s.vacate(s.taken)
		return nil, errors.Join(err, s.reader.close(), s.lock.Close())
	}
	if s.count > 0 {
		s.ready <- struct{}{}
	}
	return s, nil
}

// lockDir keeps a second process out; the lock goes with the process.
func lockDir(dir string) (*os.File, error) {
	path := filepath.Join(dir, "lock")
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("lock spool: %w", err)
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		return nil, errors.Join(fmt.Errorf("lock %s: another collector has it: %w", path, err), f.Close())
	}
	return f, nil
}

// recover finds the segments and where delivery stands.
func (s *Spool) recover() error {
	marks, at, err := openMarks(s.opts.Dir)
	if err != nil {
		return err
	}
	s.reader = reader{marks: marks, at: at, done: at}
	numbers, err := segmentNumbers(s.opts.Dir)
	if err != nil {
		return err
	}
	s.last = max(at.segment, 0)
	for i, number := range numbers {
		s.last = max(s.last, number)
		if err := s.recoverSegment(number, i == len(numbers)-1); err != nil {
			return err
		}
	}
	return syncDir(s.opts.Dir)
}

func segmentNumbers(dir string) (numbers []int64, err error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, fmt.Errorf("list spool: %w", err)
	}
	for _, e := range entries {
		name, ok := strings.CutSuffix(e.Name(), segmentSuffix)
		if !ok {
			continue
		}
		n, err := strconv.ParseInt(name, 10, 64)
		if err != nil {
			return nil, fmt.Errorf("list spool: %s is no segment's name: %w", e.Name(), err)
		}
		numbers = append(numbers, n)
	}
	slices.Sort(numbers)
	return numbers, nil
}

// recoverSegment counts what a segment still has to deliver, and removes it if
// that is nothing.
func (s *Spool) recoverSegment(number int64, last bool) error {
	seg := &segment{number: number, path: segmentPath(s.opts.Dir, number)}
	if number < s.reader.done.segment {
		return os.Remove(seg.path)
	}
	b, err := os.ReadFile(seg.path)
	if err != nil {
		return fmt.Errorf("read spool: %w", err)
	}
	count, err := s.scan(seg, b)
	if err != nil && last && !anyFrame(b[seg.size+1:]) {
		err = cutTail(seg)
	}
	if err != nil {
		return err
	}
	if s.reader.done.segment == number && s.reader.done.offset > seg.size {
		return fmt.Errorf("%s ends at offset %d but was delivered up to %d: %w",
			seg.path, seg.size, s.reader.done.offset, ErrCorrupt)
	}
	if count == 0 {
		return os.Remove(seg.path)
	}
	s.segments = append(s.segments, seg)
	s.taken += seg.size
	s.opts.Room.force(seg.size)
	s.count += count
	return nil
}

// scan walks the frames of a segment, sets its size to the end of the last good
// one, and counts the records behind the mark.
func (s *Spool) scan(seg *segment, b []byte) (count int64, err error) {
	done := s.reader.done
	for seg.size < int64(len(b)) {
		f, err := parseFrame(b[seg.size:])
		if err != nil {
			return count, fmt.Errorf("%s at offset %d: %w", seg.path, seg.size, err)
		}
		here := mark{segment: seg.number, offset: seg.size}
		switch {
		case done.segment == here.segment && done.offset == here.offset:
			count += int64(len(f.records)) - done.record
		case done.before(here):
			count += int64(len(f.records))
		}
		if s.count == 0 && count > 0 && s.oldest.IsZero() {
			s.oldest = f.at
		}
		seg.size += f.size
	}
	return count, nil
}

// cutTail removes what a crash has left behind the last good frame.
func cutTail(seg *segment) error {
	f, err := os.OpenFile(seg.path, os.O_WRONLY, 0)
	if err != nil {
		return fmt.Errorf("cut off torn end: %w", err)
	}
	err = f.Truncate(seg.size)
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return fmt.Errorf("cut off torn end: %w", err)
	}
	return nil
}

// syncDir makes created and removed names durable.
func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return fmt.Errorf("sync spool directory: %w", err)
	}
	if err := errors.Join(d.Sync(), d.Close()); err != nil {
		return fmt.Errorf("sync spool directory: %w", err)
	}
	return nil
}
