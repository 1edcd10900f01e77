// Package spool is a bounded queue of records on disk, for the time when the
// log can't be reached.
//
// What Append has returned for is fsynced and comes out of Head in the order it
// went in, until Advance says that it has been delivered. Concurrent appends
// share one write and one fsync: such a group is one frame with one checksum, so
// a crash in the middle of a write leaves at most one torn frame, at the very
// end, none of which was acknowledged. How far the queue has been delivered is
// on disk too, so a crash repeats no more than what was between Head and
// Advance. See docs/formats/spool.md.
package spool

import (
	"errors"
	"fmt"
	"os"
	"sync"
	"time"
)

// ErrFull says that the records don't fit under Options.MaxBytes. None of them
// has been taken.
var ErrFull = errors.New("spool is full")

// ErrCorrupt says that bytes on disk that had been acknowledged are not what
// was written. The error around it names the file and the offset.
var ErrCorrupt = errors.New("spool is corrupt")

// A File is a segment that is being written. *os.File is one; a test may put a
// failing disk in between.
type File interface {
	Write(p []byte) (int, error)
	Sync() error
	Truncate(size int64) error
	Close() error
}

// Options say where a spool lies and how large it may become.
type Options struct {
	Dir          string
	MaxBytes     int64 // of all segments together; 0: 1 GiB
	Room         *Room // shared with others, MaxBytes of it is the limit of all; nil: its own
	HeadBytes    int   // that Head reads ahead of delivery, up to one frame; 0: 4 MiB
	SegmentBytes int64 // a new segment is begun above this size; 0: an eighth of MaxBytes, at most 8 MiB
	Now          func() time.Time
	Create       func(path string) (File, error) // nil: on the disk, for appending, must not exist
}

func (o Options) withDefaults() Options {
	if o.MaxBytes == 0 {
		o.MaxBytes = 1 << 30
	}
	if o.Room == nil {
		o.Room = &Room{limit: o.MaxBytes}
	}
	if o.HeadBytes == 0 {
		o.HeadBytes = 4 << 20
	}
	if o.SegmentBytes == 0 {
		o.SegmentBytes = min(o.MaxBytes/8, 8<<20)
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Create == nil {
		o.Create = func(path string) (File, error) {
			return os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY|os.O_APPEND, 0o600)
		}
	}
	return o
}

// A Record is one entry. What Kind means is the owner's business.
type Record struct {
	Kind byte
	Data []byte
}

// A Spool is open from Open to Close. Any goroutine may append; Head and
// Advance belong to the one goroutine that delivers.
type Spool struct {
	opts  Options
	lock  *os.File
	ready chan struct{} // one token after each commit; never closed

	commit sync.Mutex // held while writing; taken before mu
	active *segment   // guarded by commit; nil: the next write begins one
	file   File       // of active; guarded by commit
	torn   bool       // bytes of a failed write lie behind active.size; guarded by commit

	mu       sync.Mutex
	segments []*segment // ascending, active last; sizes too are guarded by mu
	last     int64      // highest segment number ever given; guarded by mu
	next     *group     // collects what the next write takes; guarded by mu
	taken    int64      // bytes of the room: of segments, and of groups that aren't written yet; guarded by mu
	count    int64      // records not delivered, pending ones too; guarded by mu
	oldest   time.Time  // when the head was spooled; guarded by mu

	reader reader // of the delivering goroutine
}

// A segment is one file of frames.
type segment struct {
	number int64
	path   string
	size   int64 // of its good frames
}

// A group is the frame that some concurrent appends share.
type group struct {
	frame []byte // with room for the header
	count int64
	done  bool // written, or failed; guarded by Spool.commit
	err   error
}

// maxGroup is where a group stops taking further appends, so that a frame stays
// small enough to be read at once.
const maxGroup = 1 << 20

// Append makes records durable behind all earlier ones, all of them or none.
// An error that isn't ErrFull is the disk's.
func (s *Spool) Append(records []Record) error { return s.append(records, s.opts.Room.take) }

// Move is Append of what another spool of the same room gives up: for that there
// is room.
func (s *Spool) Move(records []Record) error {
	return s.append(records, func(n, _ int64) bool {
		s.opts.Room.force(n)
		return true
	})
}

func (s *Spool) append(records []Record, take func(n, has int64) bool) error {
	if len(records) == 0 {
		return nil
	}
	g, err := s.join(encodeRecords(records), int64(len(records)), take)
	if err != nil {
		return err
	}
	s.commit.Lock()
	defer s.commit.Unlock()
	if !g.done {
		s.write(g)
	}
	return g.err
}

// join adds encoded records to the group that will be written next.
func (s *Spool) join(payload []byte, count int64, take func(n, has int64) bool) (*group, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	size, anew := int64(len(payload)), s.next == nil || len(s.next.frame) > maxGroup
	if anew {
		size += frameHeader
	}
	if !take(size, s.taken) {
		return nil, ErrFull
	}
	s.taken += size
	if anew {
		s.next = &group{frame: make([]byte, frameHeader, frameHeader+len(payload))}
	}
	g := s.next
	g.frame = append(g.frame, payload...)
	g.count += count
	if s.count == 0 {
		s.oldest = s.opts.Now()
	}
	s.count += count
	return g, nil
}

// write settles a group. The caller holds commit.
func (s *Spool) write(g *group) {
	s.mu.Lock()
	if s.next == g {
		s.next = nil
	}
	s.mu.Unlock()

	sealFrame(g.frame, s.opts.Now())
	g.err = s.writeFrame(g.frame)
	g.done = true

	s.mu.Lock()
	defer s.mu.Unlock()
	if g.err != nil {
		s.vacate(int64(len(g.frame)))
		s.count -= g.count
		return
	}
	s.active.size += int64(len(g.frame))
	select {
	case s.ready <- struct{}{}:
	default: // the reader has a token already
	}
}

// writeFrame puts a frame behind the last good one. A write that fails is cut
// off again, now or before the next.
func (s *Spool) writeFrame(frame []byte) error {
	if err := s.mend(); err != nil {
		return err
	}
	if err := s.roll(); err != nil {
		return err
	}
	_, err := s.file.Write(frame)
	if err == nil {
		err = s.file.Sync()
	}
	if err != nil {
		s.torn = true
		return errors.Join(fmt.Errorf("write %s: %w", s.active.path, err), s.mend())
	}
	return nil
}

// mend cuts off what a failed write has left.
func (s *Spool) mend() error {
	if !s.torn {
		return nil
	}
	err := s.file.Truncate(s.active.size)
	if err == nil {
		err = s.file.Sync()
	}
	if err != nil {
		return fmt.Errorf("cut off torn end of %s: %w", s.active.path, err)
	}
	s.torn = false
	return nil
}

// roll begins a segment where there is none or it is large enough.
func (s *Spool) roll() error {
	if s.active != nil && s.active.size < s.opts.SegmentBytes {
		return nil
	}
	s.mu.Lock()
	s.last++
	seg := &segment{number: s.last, path: segmentPath(s.opts.Dir, s.last)}
	s.mu.Unlock()

	f, err := s.opts.Create(seg.path)
	if err != nil {
		return fmt.Errorf("create %s: %w", seg.path, err)
	}
	if err := syncDir(s.opts.Dir); err != nil {
		return errors.Join(err, f.Close(), os.Remove(seg.path))
	}
	err = s.seal()
	s.active, s.file = seg, f
	s.mu.Lock()
	s.segments = append(s.segments, seg)
	s.mu.Unlock()
	return err
}

// seal closes the active segment; all of it has been fsynced.
func (s *Spool) seal() error {
	if s.active == nil {
		return nil
	}
	f, path := s.file, s.active.path
	s.active, s.file = nil, nil
	if err := f.Close(); err != nil {
		return fmt.Errorf("close %s: %w", path, err)
	}
	return nil
}

// vacate gives back room. The caller holds mu.
func (s *Spool) vacate(n int64) {
	s.taken -= n
	s.opts.Room.force(-n)
}

// bytes is what the segments take on disk. The caller holds mu.
func (s *Spool) bytes() (n int64) {
	for _, seg := range s.segments {
		n += seg.size
	}
	return n
}

// Create makes a file where segments are made.
func (s *Spool) Create(path string) (File, error) { return s.opts.Create(path) }

// Empty says that everything appended has been delivered.
func (s *Spool) Empty() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.count == 0
}

// Ready yields a token after records were appended.
func (s *Spool) Ready() <-chan struct{} { return s.ready }

// Stats are what an operator wants to know.
type Stats struct {
	Records int64         // not delivered yet
	Bytes   int64         // on disk
	Limit   int64         // that Bytes stays below
	Oldest  time.Duration // since the record at the head was appended; 0: empty
}

// Stats describes the spool now.
func (s *Spool) Stats() Stats {
	s.mu.Lock()
	defer s.mu.Unlock()
	st := Stats{Records: s.count, Bytes: s.bytes(), Limit: s.opts.MaxBytes}
	if s.count > 0 {
		st.Oldest = max(0, s.opts.Now().Sub(s.oldest))
	}
	return st
}

// Close lets another process open the spool. Nothing may be appended or read
// while it runs or after it.
func (s *Spool) Close() error {
	s.commit.Lock()
	defer s.commit.Unlock()
	s.mu.Lock()
	s.vacate(s.taken)
	s.mu.Unlock()
	return errors.Join(s.mend(), s.seal(), s.reader.close(), s.lock.Close())
}
