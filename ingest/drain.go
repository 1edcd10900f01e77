package ingest

import (
	"context"
	"fmt"
	"time"

	"golang.org/x/sync/errgroup"

	"fernweh/ingest/spool"
	"fernweh/schemas"
)

// drainBatch is how many records are taken from a spool at a time.
const drainBatch = 4096

// drainPatience is how long an append of the drain may take. No client waits
// for it, and an append that is given up may still be written: the log's own client
// should be the first to despair.
const drainPatience = 30 * time.Second

// Run prepares the log, and then drains each lane's spool whenever something is
// in it, until ctx is done or a spool can't be read.
func (c *Collector) Run(ctx context.Context) error {
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return c.keepProbing(ctx) })
	g.Go(func() error {
		if !c.prepare(ctx) {
			return nil
		}
		return c.drainAll(ctx)
	})
	return g.Wait()
}

func (c *Collector) drainAll(ctx context.Context) error {
	g, ctx := errgroup.WithContext(ctx)
	for _, l := range append(c.lanes[:len(c.lanes):len(c.lanes)], c.deadLane) {
		g.Go(func() error { return c.keepDraining(ctx, l) })
	}
	return g.Wait()
}

// prepare asks for the log until it is as it should be, or ctx is done.
func (c *Collector) prepare(ctx context.Context) bool {
	for !c.prepared.Load() {
		err := c.cfg.Prepare(ctx)
		switch {
		case ctx.Err() != nil:
			return false
		case err == nil:
			c.unprepared.Store(nil)
			c.prepared.Store(true)
			c.up(logComponent)
			continue
		}
		c.unprepared.Store(&err)
		c.limited(logComponent, fmt.Errorf("all events go to the spool: %w", err))
		select {
		case <-ctx.Done():
			return false
		case <-time.After(c.cfg.Limits.RetryDelay):
		}
	}
	return true
}

func (c *Collector) keepDraining(ctx context.Context, l *lane) error {
	select {
	case <-ctx.Done():
		return nil
	case <-l.ready:
	}
	waiting := l.opened()
	for {
		drained, err := c.step(ctx, l)
		switch {
		case ctx.Err() != nil:
			return nil
		case err != nil:
			return fmt.Errorf("drain spool of %s: %w", l.name, err)
		case drained:
			continue
		}
		c.up(l.name)
		select {
		case <-ctx.Done():
		case <-waiting.Ready():
		}
	}
}

// step drains one batch of a lane, if there is one.
func (c *Collector) step(ctx context.Context, l *lane) (drained bool, err error) {
	s := l.opened()
	if s == nil {
		return false, nil
	}
	records, err := s.Head(drainBatch)
	if err != nil || len(records) == 0 {
		return false, err
	}
	return true, c.drain(ctx, l, records)
}

// drain moves the head of a spool into the log, as much of it as may be
// repeated should its outcome be unknown. Nothing that comes later overtakes it, so
// each step is tried until it works or ctx is done.
func (c *Collector) drain(ctx context.Context, l *lane, records []spool.Record) error {
	b, err := c.repeatable(records)
	if err != nil {
		return err
	}
	if len(b.events) > 0 {
		err = c.insist(ctx, l, "append spooled events", func() error {
			_, err := c.append(ctx, b.events, drainPatience)
			return err
		})
	}
	switch {
	case err != nil || len(b.letters) == 0:
	case l == c.deadLane:
		err = c.insist(ctx, l, "append spooled dead letters", func() error {
			return c.appendLetters(ctx, b.letters, drainPatience)
		})
	default:
		c.keepLetters(ctx, b.letters)
	}
	if err != nil {
		return err
	}
	return c.insist(ctx, l, "mark spooled records as delivered", func() error {
		return l.opened().Advance(b.n)
	})
}

// A batch is what is drained together.
type batch struct {
	n       int // records
	events  []*schemas.Event
	letters []*schemas.DeadLetter
}

// repeatable is the longest beginning of some records in which no device has
// more events than its filter remembers.
func (c *Collector) repeatable(records []spool.Record) (b batch, err error) {
	seen := map[string]int{}
	for ; b.n < len(records); b.n++ {
		e, l, err := c.decode(records[b.n])
		switch {
		case err != nil:
			return batch{}, err
		case l != nil:
			b.letters = append(b.letters, l)
		case seen[e.Device] == MaxOfDevice:
			return b, nil
		default:
			seen[e.Device]++
			b.events = append(b.events, e)
		}
	}
	return b, nil
}

// insist repeats an attempt until it works; only ctx ends it. The first of a row
// of errors is logged, all are counted.
func (c *Collector) insist(ctx context.Context, l *lane, what string, attempt func() error) error {
	for first := true; ; first = false {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		err := attempt()
		c.metrics.drains.WithLabelValues(outcome(err)).Inc()
		if err == nil {
			return nil
		}
		if first {
			c.cfg.Logger.Warn("spool waits", "of", l.name, "to", what, "error", err)
		}
		c.limited(l.name, fmt.Errorf("%s: %w", what, err))
		select {
		case <-ctx.Done():
		case <-time.After(c.cfg.Limits.RetryDelay):
		}
	}
}
