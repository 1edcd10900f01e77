package client

import (
	"context"
	"maps"
	"slices"
	"time"
)

// A lane sends the events of its devices, one request after the other. Only its
// own goroutine touches it.
type lane struct {
	client *Client
	in     <-chan Event
	open   map[time.Duration]*batch // by skew: a batch has one sending clock
	timer  *time.Timer              // runs while something is open
}

// newLane makes the lane that empties in.
func (c *Client) newLane(in <-chan Event) *lane {
	t := time.NewTimer(time.Hour)
	t.Stop()
	return &lane{c, in, map[time.Duration]*batch{}, t}
}

// run sends until in is closed and everything is answered.
func (l *lane) run(ctx context.Context) error {
	defer l.timer.Stop()
	for {
		select {
		case e, more := <-l.in:
			if !more {
				return l.flush(ctx)
			}
			if err := l.add(ctx, e); err != nil {
				return err
			}
		case <-l.timer.C:
			if err := l.flush(ctx); err != nil {
				return err
			}
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// add puts an event into its batch and sends the batch when it is full.
func (l *lane) add(ctx context.Context, e Event) error {
	b := l.open[e.Skew]
	if b == nil {
		if len(l.open) == 0 {
			l.timer.Reset(l.client.settings.Linger)
		}
		b = newBatch(e.Skew)
		l.open[e.Skew] = b
	}
	if err := b.add(e); err != nil {
		return err
	}
	if !b.full(l.client.settings.Batch) {
		return nil
	}
	delete(l.open, e.Skew)
	return l.client.post(ctx, b)
}

// flush sends what is open, in order of skew so that a run can be repeated.
func (l *lane) flush(ctx context.Context) error {
	for _, skew := range slices.Sorted(maps.Keys(l.open)) {
		b := l.open[skew]
		delete(l.open, skew)
		if err := l.client.post(ctx, b); err != nil {
			return err
		}
	}
	l.timer.Stop()
	return nil
}
