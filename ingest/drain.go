package ingest

import (
	"context"
	"errors"
	"fmt"
	"time"

	"fernweh/ingest/spool"
	"fernweh/schemas"
)

// drainBatch is how many records are taken from the spool at a time.
const drainBatch = 4096

// drainPatience is how long an append of the drain may take. No client waits
// for it, and an append that is given up may still be written: the log's own client
// should be the first to despair.
const drainPatience = 30 * time.Second

// Run drains the spool whenever something is in it, until ctx is done or the
// spool can't be read.
func (c *Collector) Run(ctx context.Context) error {
	for {
		drained, err := c.step(ctx)
		switch {
		case ctx.Err() != nil:
			return nil
		case err != nil:
			return fmt.Errorf("drain spool: %w", err)
		case drained:
			continue
		}
		select {
		case <-ctx.Done():
		case <-c.spool.Ready():
		}
	}
}

// step drains one batch, if there is one.
func (c *Collector) step(ctx context.Context) (drained bool, err error) {
	records, err := c.spool.Head(drainBatch)
	if err != nil || len(records) == 0 {
		return false, err
	}
	return true, c.drain(ctx, records)
}

// drain moves the head of the spool into the log, as much of it as may be
// repeated should its outcome be unknown. Nothing that comes later overtakes it, so
// each step is tried until it works or ctx is done.
func (c *Collector) drain(ctx context.Context, records []spool.Record) error {
	n, events, letters, err := repeatable(records)
	if err != nil {
		return err
	}
	return errors.Join(c.insist(ctx, "append spooled events", func() error {
		_, err := c.append(ctx, events, drainPatience)
		return err
	}), c.insist(ctx, "append spooled dead letters", func() error {
		return c.appendLetters(ctx, letters, drainPatience)
	}), c.insist(ctx, "mark spooled records as delivered", func() error {
		return c.spool.Advance(n)
	}))
}

// repeatable is the longest beginning of some records in which no device has
// more events than its filter remembers.
func repeatable(records []spool.Record) (n int, events []*schemas.Event, letters []*schemas.DeadLetter, err error) {
	seen := map[string]int{}
	for ; n < len(records); n++ {
		e, l, err := decode(records[n])
		switch {
		case err != nil:
			return 0, nil, nil, err
		case l != nil:
			letters = append(letters, l)
		case seen[e.Device] == MaxOfDevice:
			return n, events, letters, nil
		default:
			seen[e.Device]++
			events = append(events, e)
		}
	}
	return n, events, letters, nil
}

// insist repeats an attempt until it works; only ctx ends it. The first of a row
// of errors is logged, all are counted.
func (c *Collector) insist(ctx context.Context, what string, attempt func() error) error {
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
			c.cfg.Logger.Warn("spool waits", "to", what, "error", err)
		}
		select {
		case <-ctx.Done():
		case <-time.After(c.cfg.Limits.RetryDelay):
		}
	}
}
