package client

import (
	"context"
	"time"
)

// A pace holds events back until they are due and the rate allows them.
type pace struct {
	every time.Duration // between two events; 0: no rate
	next  time.Time     // when the rate allows the next one
	now   time.Time     // last look at the clock; a look costs as much as a queue
}

// slack is how much the rate may run ahead: sleeping for less than this is
// dearer than it is worth, and after a pause no more than this is caught up.
const slack = 5 * time.Millisecond

// newPace starts now, at rate events a second.
func newPace(rate float64) *pace {
	now := time.Now()
	p := &pace{next: now, now: now}
	if rate > 0 {
		p.every = time.Duration(float64(time.Second) / rate)
	}
	return p
}

// wait returns when an event that is due then may go.
func (p *pace) wait(ctx context.Context, due int64) error {
	if err := p.until(ctx, time.UnixMicro(due), 0); err != nil || p.every == 0 {
		return err
	}
	if err := p.until(ctx, p.next, slack); err != nil {
		return err
	}
	p.next = p.next.Add(p.every)
	if behind := p.now.Add(-slack); p.next.Before(behind) {
		p.next = behind
	}
	return nil
}

// until sleeps to t, if t is more than slack away.
func (p *pace) until(ctx context.Context, t time.Time, slack time.Duration) error {
	if !t.After(p.now.Add(slack)) {
		return nil
	}
	p.now = time.Now()
	d := t.Sub(p.now)
	if d <= slack {
		return nil
	}
	if err := sleep(ctx, d); err != nil {
		return err
	}
	p.now = time.Now()
	return nil
}

// sleep waits for d or for the end of ctx.
func sleep(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
