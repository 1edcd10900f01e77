package embedded

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"

	"golang.org/x/sync/errgroup"
)

// A flusher makes last what the broker wrote before anybody hears of it: no answer
// of any kind leaves the process until all that lies in the log is on the disk, and
// how far it goes is noted beside it. The broker itself forgets that a sync failed.
//
// Those who ask at the same time share a round: one sync of each file that has
// grown, all at once, then one of the note.
type flusher struct {
	dir  string
	roll int64 // bytes from which on the broker begins another segment
	sync func(*os.File) error

	mu       sync.Mutex
	ended    sync.Cond // of mu: a round has ended
	running  bool      // guarded by mu
	started  int64     // guarded by mu: rounds
	finished int64     // guarded by mu
	err      error     // guarded by mu: of the round that ended last
	closed   bool      // guarded by mu
	changes  int       // guarded by mu: requests that may change topics and have no answer yet

	once   sync.Once
	broken chan struct{} // closed when a sync has failed: nothing is flushed any more
	lost   error         // what ended it; may be read when broken is closed

	// Of the round that is under way.
	file       stateFile
	state      *logState
	partitions []*partition
	entries    []*entryFile
	topics     os.FileInfo // of topics.json as it was read last
	stale      bool        // the state is not that of the file
}

// newFlusher goes on from what was checked.
func newFlusher(dir string, roll int64, sync func(*os.File) error, partitions []*partition, state *logState) *flusher {
	f := &flusher{
		dir: dir, roll: roll, sync: sync, broken: make(chan struct{}), stale: true,
		file: stateFile{dir: dir, sync: sync}, state: state, partitions: partitions,
	}
	f.ended.L = &f.mu
	for _, name := range entryLogs {
		f.entries = append(f.entries, &entryFile{path: filepath.Join(dir, name)})
	}
	f.topics, _ = os.Stat(filepath.Join(dir, "topics.json")) // if it is not there it will be another
	return f
}

// flush returns when all that was written before the call is on the disk. After
// an error that is not lasting the next call tries again.
func (f *flusher) flush() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	for want := f.started + 1; f.finished < want; {
		if f.closed {
			return fmt.Errorf("flush log %s: %w", f.dir, fs.ErrClosed)
		}
		if f.running {
			f.ended.Wait()
			continue
		}
		f.running = true
		f.started++
		n, changing := f.started, f.changes > 0
		f.mu.Unlock()
		err := f.round(changing)
		f.mu.Lock()
		f.running, f.finished, f.err = false, n, err
		f.ended.Broadcast()
	}
	return f.err
}

// change says that a request which may change topics is about to be handled
// (+1), or was (-1): a kill between leaves either shape.
func (f *flusher) change(by int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.changes += by
}

// end ends writing for good.
func (f *flusher) end(err error) error {
	f.once.Do(func() {
		f.lost = fmt.Errorf("the log %s takes no more records: %w", f.dir, err)
		close(f.broken)
	})
	return f.lost
}

// round flushes once.
func (f *flusher) round(changing bool) error {
	select {
	case <-f.broken:
		return f.lost
	default:
	}
	err := f.reshape()
	if err == nil {
		err = f.grow()
	}
	if err == nil && f.state.changing != changing {
		f.state.changing, f.stale = changing, true
	}
	if err == nil && f.stale {
		if err = f.file.write(f.state); err == nil {
			f.stale = false
		}
	}
	if _, ok := errors.AsType[fatal](err); ok {
		return f.end(err)
	}
	return err
}

// reshape reads the topics if the broker has written them anew.
func (f *flusher) reshape() error {
	path := filepath.Join(f.dir, "topics.json")
	info, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil // a broker that is just being made
	}
	if err != nil || f.topics != nil && os.SameFile(info, f.topics) && info.ModTime().Equal(f.topics.ModTime()) {
		return err
	}
	shapes, err := readTopics(f.dir)
	if err != nil {
		return err
	}
	if err := syncDirWith(f.dir, f.sync); err != nil {
		return err
	}
	old := f.partitions
	f.partitions = nil
	for _, t := range shapes {
		was, known := f.state.topic(t.Name)
		for n := range t.Partitions {
			var p *partition
			for _, o := range old {
				if o.topic == t.Name && o.n == n && known && was.id == t.ID {
					p = o
				}
			}
			if p == nil {
				p = &partition{dir: partitionDir(f.dir, t.Name, n), topic: t.Name, n: n}
			}
			p.roll = t.number("segment.bytes", f.roll)
			f.partitions = append(f.partitions, p)
		}
	}
	f.state.shape, f.state.topics = shapeSum(shapes), logTopics(shapes, f.partitions)
	f.topics, f.stale = info, true
	return nil
}

// grow syncs what has grown since the last round.
func (f *flusher) grow() error {
	const atOnce = 32 // syncs: a disk takes many together for the time of one
	moved := make([]bool, len(f.partitions))
	var g errgroup.Group
	g.SetLimit(atOnce)
	for _, e := range f.entries {
		if e.grown() {
			g.Go(func() error { return e.flush(f.sync) })
		}
	}
	for i, p := range f.partitions {
		if p.grown() {
			g.Go(func() (err error) {
				moved[i], err = p.flush(f.sync)
				return err
			})
		}
	}
	err := g.Wait()
	for i, p := range f.partitions {
		if moved[i] {
			f.stale = true
			t, _ := f.state.topic(p.topic)
			t.parts[p.n] = p.logRange
		}
	}
	return err
}

// close notes that the broker was closed in order, and how it left its files. Both slots say so.
func (f *flusher) close() error {
	err := f.flush()
	f.mu.Lock()
	for f.closed = true; f.running; {
		f.ended.Wait()
	}
	f.ended.Broadcast()
	f.mu.Unlock()
	if err == nil {
		err = syncDirWith(f.dir, f.sync)
	}
	if err == nil {
		f.state.sealed, err = seal(f.dir)
	}
	for range 2 {
		if err == nil {
			err = f.file.write(f.state)
		}
	}
	for _, p := range f.partitions {
		if p.file != nil {
			err = errors.Join(err, p.file.Close())
		}
	}
	for _, e := range f.entries {
		if e.file != nil {
			err = errors.Join(err, e.file.Close())
		}
	}
	return errors.Join(err, f.file.close())
}

// grown says whether there may be something to flush.
func (p *partition) grown() bool {
	if p.file == nil {
		_, err := os.Stat(segmentPath(p.dir, p.name()))
		return !errors.Is(err, fs.ErrNotExist)
	}
	info, err := p.file.Stat()
	if err != nil || info.Size() != p.pos {
		return true
	}
	if p.pos < p.roll {
		return false
	}
	_, err = os.Stat(segmentPath(p.dir, p.end))
	return err == nil
}

// name is the offset that names the segment which is written, or will be.
func (p *partition) name() int64 {
	if p.pos == 0 {
		return p.end
	}
	return p.base
}

// flush syncs the segment that is written, and those that were begun since. moved
// says that the partition's end did.
func (p *partition) flush(sync func(*os.File) error) (moved bool, err error) {
	for {
		if p.file == nil {
			if err := p.open(sync); err != nil {
				return moved, err
			}
		}
		grown, err := p.flushSegment(sync)
		moved = moved || grown
		if err != nil || p.pos < p.roll {
			return moved, err
		}
		if _, err := os.Stat(segmentPath(p.dir, p.end)); errors.Is(err, fs.ErrNotExist) {
			return moved, nil
		}
		if err := p.file.Close(); err != nil {
			return moved, err
		}
		p.file, p.pos, p.count = nil, 0, 0
	}
}

// open opens the segment that is written, and makes its name last.
func (p *partition) open(sync func(*os.File) error) (err error) {
	p.base = p.name()
	dirs := []string{p.dir}
	if p.base == 0 { // the partition may be as new
		dirs = append(dirs, filepath.Dir(p.dir), filepath.Dir(filepath.Dir(p.dir)))
	}
	for _, dir := range dirs {
		if err := syncDirWith(dir, sync); err != nil {
			return err
		}
	}
	p.file, err = os.Open(segmentPath(p.dir, p.base))
	return err
}

// flushSegment syncs what the broker has appended to the segment. A batch counts
// when its entry in the index is there: the broker takes back one whose entry it cannot write.
func (p *partition) flushSegment(sync func(*os.File) error) (moved bool, err error) {
	info, err := p.file.Stat()
	if err != nil {
		return false, err
	}
	var entries int64
	if index, err := os.Stat(indexPath(p.dir, p.base)); err == nil {
		entries = index.Size() / indexEntryBytes
	} else if !errors.Is(err, fs.ErrNotExist) {
		return false, err
	}
	if info.Size() < p.pos {
		return false, fatal{fmt.Errorf("file %s has %d bytes, and %d were acknowledged", p.file.Name(), info.Size(), p.pos)}
	}
	to, end, pos, count := p.logRange, p.end, p.pos, p.count
	var b [headBytes]byte
	for count < entries && pos+headBytes <= info.Size() {
		if _, err := p.file.ReadAt(b[:], pos); err != nil {
			return false, err
		}
		h, err := parseHead(b[:])
		if err == nil && h.first != end {
			err = fmt.Errorf("the batch has the offset %d, and %d should follow", h.first, end)
		}
		if err != nil {
			return false, fatal{fmt.Errorf("file %s at byte %d: %w", p.file.Name(), pos, err)}
		}
		if pos+h.size > info.Size() {
			break
		}
		end, pos, count = h.next, pos+h.size, count+1
		to.sum += h.print
	}
	if pos == p.pos {
		return false, nil
	}
	if err := sync(p.file); err != nil {
		return false, fatal{fmt.Errorf("sync %s: %w", p.file.Name(), err)}
	}
	to.end = end
	p.logRange, p.pos, p.count = to, pos, count
	return true, nil
}

// An entryFile is a file that the broker appends to, and now and then replaces.
type entryFile struct {
	path string
	file *os.File // the one that was flushed last; may be nil
	size int64    // bytes flushed
}

// grown says whether there may be something to flush.
func (e *entryFile) grown() bool {
	info, err := os.Stat(e.path)
	if err != nil {
		return !errors.Is(err, fs.ErrNotExist)
	}
	if e.file != nil {
		if open, err := e.file.Stat(); err == nil && os.SameFile(info, open) {
			return info.Size() != e.size
		}
	}
	return true
}

// flush syncs the file, and its name if it is another than before.
func (e *entryFile) flush(sync func(*os.File) error) error {
	info, err := os.Stat(e.path)
	if err != nil {
		return err
	}
	open, err := os.FileInfo(nil), error(nil)
	if e.file != nil {
		open, err = e.file.Stat()
	}
	if err != nil {
		return err
	}
	if open == nil || !os.SameFile(info, open) {
		file, err := os.Open(e.path)
		if err != nil {
			return err
		}
		if e.file != nil {
			err = e.file.Close()
		}
		e.file = file
		if err = errors.Join(err, syncDirWith(filepath.Dir(e.path), sync)); err != nil {
			return err
		}
		if info, err = file.Stat(); err != nil {
			return err
		}
	}
	if err := sync(e.file); err != nil {
		return fatal{fmt.Errorf("sync %s: %w", e.path, err)}
	}
	e.size = info.Size()
	return nil
}
