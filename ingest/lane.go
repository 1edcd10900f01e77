package ingest

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"

	"fernweh/ingest/spool"
)

// A lane is the way into the log of what has to keep an order: the events of one
// partition, or the dead letters. Whatever is wrong with it stays with it. Its
// spool is opened when it is first needed: most never are.
type lane struct {
	name  string // for a person
	opts  spool.Options
	ready chan struct{} // closed when the spool is open

	mu     sync.Mutex
	closed bool // guarded by mu
	queue  *spool.Spool
}

func newLane(name string, opts spool.Options) *lane {
	return &lane{name: name, opts: opts, ready: make(chan struct{})}
}

// opened is the lane's spool, or nil if nothing was ever spooled.
func (l *lane) opened() *spool.Spool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.queue
}

// open opens the spool, unless it is.
func (l *lane) open() (*spool.Spool, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.queue != nil || l.closed {
		return l.queue, nil
	}
	s, err := spool.Open(l.opts)
	if err != nil {
		return nil, fmt.Errorf("open spool of %s: %w", l.name, err)
	}
	l.queue = s
	close(l.ready)
	return s, nil
}

// empty says that nothing waits, so that what comes may go into the log at once.
func (l *lane) empty() bool {
	s := l.opened()
	return s == nil || s.Empty()
}

// append makes records durable behind all that wait.
func (l *lane) append(records []spool.Record) error {
	s, err := l.open()
	if err != nil {
		return err
	}
	return s.Append(records)
}

func (l *lane) stats() spool.Stats {
	if s := l.opened(); s != nil {
		return s.Stats()
	}
	return spool.Stats{}
}

func (l *lane) close() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	s := l.queue
	l.queue, l.closed = nil, true
	if s == nil {
		return nil
	}
	return s.Close()
}

// lettersDir is where the spool of the dead letters lies, beside those of the
// partitions: p0003 and so on.
const lettersDir = "letters"

// headBytes is what all lanes together read ahead of delivery, and the least that
// one does.
const (
	headBytes = 32 << 20
	leastHead = 64 << 10
)

// openLanes makes the lanes, opens those that something waits in, and moves into
// them what an earlier release left in the directory itself, in one row for all.
func (c *Collector) openLanes() error {
	o := c.cfg.Spool
	row, err := spool.Open(o)
	if err != nil {
		return err
	}
	c.row = row
	o.Room = spool.NewRoom(o.MaxBytes)
	o.HeadBytes = min(max(headBytes/int(c.cfg.Partitions), leastHead), 4<<20)
	for p := range c.cfg.Partitions {
		own := o
		own.Dir = filepath.Join(o.Dir, fmt.Sprintf("p%04d", p))
		c.lanes = append(c.lanes, newLane(fmt.Sprintf("partition %d", p), own))
	}
	letters := o
	letters.Dir, letters.Room, letters.MaxBytes = filepath.Join(o.Dir, lettersDir), nil, c.cfg.Limits.LetterBytes
	c.deadLane = newLane("dead letters", letters)
	if err := c.openWaiting(); err != nil {
		return err
	}
	if err := c.moveRow(); err != nil {
		return fmt.Errorf("move the spool of an earlier release into one a partition: %w", err)
	}
	return nil
}

// openWaiting opens the spools that are there. One of a partition that the topic
// does not have is refused: its events would be forgotten.
func (c *Collector) openWaiting() error {
	entries, err := os.ReadDir(c.cfg.Spool.Dir)
	if err != nil {
		return fmt.Errorf("list spool: %w", err)
	}
	for _, e := range entries {
		l := c.deadLane
		if e.Name() != lettersDir {
			digits, ok := strings.CutPrefix(e.Name(), "p")
			n, err := strconv.ParseInt(digits, 10, 32)
			if !ok || err != nil || !e.IsDir() {
				continue
			}
			if n < 0 || n >= int64(len(c.lanes)) {
				return fmt.Errorf("%s holds events of partition %d, and the topic has %d partitions: "+
					"start with the partitions that it had, and let the spool be drained",
					filepath.Join(c.cfg.Spool.Dir, e.Name()), n, len(c.lanes))
			}
			l = c.lanes[n]
		}
		if _, err := l.open(); err != nil {
			return err
		}
	}
	return nil
}

// moveRow empties the row of an earlier release. No request has been taken yet,
// so nothing can be before it. After a crash a part is in a lane twice, no more of
// a device than its filter remembers.
func (c *Collector) moveRow() error {
	for {
		records, err := c.row.Head(drainBatch)
		if err != nil || len(records) == 0 {
			return err
		}
		b, err := c.repeatable(records)
		if err != nil {
			return err
		}
		for _, g := range c.grouped(b.events) {
			events, err := encode(g.events, nil)
			if err == nil {
				err = c.move(g.lane, events)
			}
			if err != nil {
				return err
			}
		}
		letters, err := encode(nil, b.letters)
		if err != nil {
			return err
		}
		if err := errors.Join(c.move(c.deadLane, letters), c.row.Advance(b.n)); err != nil {
			return err
		}
	}
}

func (c *Collector) move(l *lane, records []spool.Record) error {
	if len(records) == 0 {
		return nil
	}
	s, err := l.open()
	if err != nil {
		return err
	}
	return s.Move(records)
}
