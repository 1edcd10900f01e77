package ingest

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"
)

// probeSoon has a refusal probed for its end. It comes after the refusal was told:
// else the probe's good word could be the earlier one.
func (c *Collector) probeSoon() {
	select {
	case c.refusal <- struct{}{}:
	default: // it is known
	}
}

// keepProbing finds out, after a refusal, when there is room again: who was
// refused last may have been the last who came, and health would say so for ever.
func (c *Collector) keepProbing(ctx context.Context) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-c.refusal:
		}
		for c.probe() != nil {
			select {
			case <-ctx.Done():
				return nil
			case <-time.After(c.cfg.Limits.RetryDelay):
			}
		}
		c.refused.Store(false)
		c.up(doorComponent)
		for _, l := range append(c.lanes[:len(c.lanes):len(c.lanes)], c.deadLane) {
			if l.empty() { // what waits is reported by who drains it
				c.up(l.name)
			}
		}
	}
}

// probeBytes is more than opening a spool takes, with an event.
const probeBytes = 64 << 10

// probe writes as an event would be written, and removes it again.
func (c *Collector) probe() error {
	if st := c.stats(); st.Bytes > nearlyFull(st.Limit) {
		return errors.New("the spool is full")
	}
	path := filepath.Join(c.cfg.Spool.Dir, "probe")
	if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("probe the spool's disk: %w", err)
	}
	f, err := c.row.Create(path)
	if err != nil {
		return fmt.Errorf("probe the spool's disk: %w", err)
	}
	if _, err = f.Write(make([]byte, probeBytes)); err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close(), os.Remove(path)); err != nil {
		return fmt.Errorf("probe the spool's disk: %w", err)
	}
	return nil
}

// nearlyFull is where no partition finds much room any more.
func nearlyFull(limit int64) int64 { return limit / 10 * 9 }
