// Package client sends events to a collector as any Segment client does: in
// batches to POST /v1/batch, over and over until each is answered.
//
// The events of one device never overtake each other: a device belongs to one
// lane, and a lane has one request on its way. What the collector said of each
// event is reported; nothing is given up while the context lives, except where
// trying again can't help (a wrong key, a wrong address).
package client

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"net/http"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"fernweh/schemas"
)

// An Event is one event and when to send it.
type Event struct {
	*schemas.Event // Time is when it truly happened; read-only, parts of it may be shared

	// Due is the moment to send it, UTC microseconds. One in the future is waited
	// for, one in the past is sent at once.
	Due int64

	// Skew is how far the clock of the device is ahead, the same for all its
	// events. An event with skew carries the device's idea of the time and the
	// batch says when that clock sent it, so that the collector can correct it.
	// Without skew the batch doesn't say, and the event's time is taken as it is.
	Skew time.Duration
}

// Settings say where to send and how fast. The zero value of each but URL works.
type Settings struct {
	URL    string        // of the collector, without path
	Key    string        // write key
	Rate   float64       // events a second; 0: as fast as they are taken
	Batch  int           // events in a request; 0: 500
	Lanes  int           // requests on their way at once; 0: 4
	Linger time.Duration // how long an event waits for its batch to fill; 0: 20 ms

	// Trouble is told why a request has to be made again, one call at a time; nil:
	// nobody asks.
	Trouble func(error)
}

// Counts say what became of the events.
type Counts struct {
	Accepted int64 // in the log
	Spooled  int64 // safe with the collector, on their way to the log
	Rejected int64 // refused for good, see the verdict's reason
	Requests int64 // answered with 200
	Retries  int64 // requests that had to be made again
}

// A Client sends events to one collector.
type Client struct {
	settings Settings
	http     *http.Client
	report   func(Event, Verdict)

	mu     sync.Mutex
	counts Counts // guarded by mu, and so are the calls of report and of Trouble
}

// New makes a client. Report is told what the collector said of each event, one
// call at a time, in order within a device; nil: nobody asks.
func New(s Settings, report func(Event, Verdict)) *Client {
	s.Batch = positive(s.Batch, 500)
	s.Lanes = positive(s.Lanes, 4)
	s.Linger = positive(s.Linger, 20*time.Millisecond)
	s.URL = strings.TrimSuffix(s.URL, "/") + "/v1/batch"
	if report == nil {
		report = func(Event, Verdict) {}
	}
	if s.Trouble == nil {
		s.Trouble = func(error) {}
	}
	t := &http.Transport{MaxIdleConnsPerHost: s.Lanes, DisableCompression: true}
	return &Client{settings: s, http: &http.Client{Transport: t}, report: report}
}

// positive is n, or what stands for "not set".
func positive[N int | time.Duration](n, otherwise N) N {
	if n > 0 {
		return n
	}
	return otherwise
}

// Send takes all events, sends each when it is due, and returns when the last
// is answered. It ends early when ctx does, or when the collector refuses a
// whole request; what was not answered then may or may not have been taken.
func (c *Client) Send(ctx context.Context, events iter.Seq[Event]) (Counts, error) {
	g, ctx := errgroup.WithContext(ctx)
	lanes := make([]chan Event, c.settings.Lanes)
	for i := range lanes {
		lanes[i] = make(chan Event, c.settings.Batch) // closed by deal
		g.Go(func() error { return c.newLane(lanes[i]).run(ctx) })
	}
	g.Go(func() error { return c.deal(ctx, events, lanes) })
	err := g.Wait()
	c.http.CloseIdleConnections()
	return c.Counts(), err
}

// Counts are what became of the events so far.
func (c *Client) Counts() Counts {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.counts
}

// deal gives each event to the lane of its device, in time, and closes the
// lanes after the last.
func (c *Client) deal(ctx context.Context, events iter.Seq[Event], lanes []chan Event) error {
	defer func() {
		for _, l := range lanes {
			close(l)
		}
	}()
	pace := newPace(c.settings.Rate)
	for e := range events {
		if err := pace.wait(ctx, e.Due); err != nil {
			return err
		}
		select {
		case lanes[schemas.Partition(e.Device, int32(len(lanes)))] <- e:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	return nil
}

// done adds what was said of a batch and reports it.
func (c *Client) done(events []Event, verdicts []Verdict) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.counts.Requests++
	for i, v := range verdicts {
		switch v.Status {
		case Accepted:
			c.counts.Accepted++
		case Spooled:
			c.counts.Spooled++
		case Rejected:
			c.counts.Rejected++
		default:
			return fmt.Errorf("read answer for event %s: unknown status %q", events[i].Id, v.Status)
		}
		c.report(events[i], v)
	}
	return nil
}

// retried counts a request that has to be made again, and says why.
func (c *Client) retried(why error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.counts.Retries++
	c.settings.Trouble(why)
}

// reachWithin is how long a collector may take to answer anything at all.
const reachWithin = 5 * time.Second

// Reach is an error unless somebody answers HTTP at the collector's address and
// takes the write key. Send bears a collector that goes away; one that never was
// there is a wrong address, which no patience mends. It sends no event.
func (c *Client) Reach(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, reachWithin)
	defer cancel()
	_, err := c.try(ctx, newBatch(0))
	var again *againError
	var refused *refusedError
	switch {
	case err == nil, errors.As(err, &again) && again.answered:
		return nil
	case errors.As(err, &refused) && refused.status == http.StatusBadRequest:
		return nil // another make of collector, to which a batch without events is none
	case errors.Is(err, context.DeadlineExceeded):
		return fmt.Errorf("%s gave no answer within %v", c.settings.URL, reachWithin)
	}
	return fmt.Errorf("%s takes no events: %w", c.settings.URL, err)
}
