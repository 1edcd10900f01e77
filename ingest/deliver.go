package ingest

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"
	"google.golang.org/protobuf/proto"

	"fernweh/ingest/spool"
	"fernweh/schemas"
)

// Kinds of records in the spool.
const (
	spooledEvent  = 1
	spooledLetter = 2
)

// A place is where an event is.
type place struct {
	spooled bool
	offset  int64 // in the log; negative: it didn't say
}

// keep makes events durable, each in the log or in its partition's spool, and
// letters as far as there is room for them. An error means that the client must
// send all of it again.
func (c *Collector) keep(ctx context.Context, events []*schemas.Event, letters []*schemas.DeadLetter) ([]place, error) {
	ctx = context.WithoutCancel(ctx) // a client that hangs up must not send its events into the spool
	places := make([]place, len(events))
	var lanes errgroup.Group
	var letting sync.WaitGroup
	if len(letters) > 0 {
		letting.Go(func() { c.keepLetters(ctx, letters) })
	}
	groups := c.grouped(events)
	for _, g := range groups {
		if len(groups) == 1 && len(letters) == 0 {
			return places, c.keepGroup(ctx, g, places)
		}
		lanes.Go(func() error { return c.keepGroup(ctx, g, places) })
	}
	err := lanes.Wait()
	letting.Wait()
	return places, err
}

// A group is the events of a request that go one way.
type group struct {
	lane   *lane
	which  []int // of the request's events
	events []*schemas.Event
}

// grouped divides events by partition, each part in their order.
func (c *Collector) grouped(events []*schemas.Event) []*group {
	var groups []*group
	of := make(map[int32]*group)
	for i, e := range events {
		p := schemas.Partition(e.Device, c.cfg.Partitions)
		g := of[p]
		if g == nil {
			g = &group{lane: c.lanes[p]}
			of[p] = g
			groups = append(groups, g)
		}
		g.which, g.events = append(g.which, i), append(g.events, e)
	}
	return groups
}

// keepGroup brings a group into the log, or, while that is away or something
// waits for it, into the spool.
func (c *Collector) keepGroup(ctx context.Context, g *group, places []place) error {
	if c.prepared.Load() && g.lane.empty() {
		offsets, err := c.append(ctx, g.events, c.cfg.Limits.AppendTimeout)
		if err == nil {
			for i, which := range g.which {
				places[which].offset = offsets[i]
			}
			c.refused.Store(false)
			c.up(g.lane.name)
			c.up(doorComponent)
			return nil
		}
		c.limited(g.lane.name, fmt.Errorf("its events go to the spool: %w", err))
	}
	for _, which := range g.which {
		places[which].spooled = true
	}
	records, err := encode(g.events, nil)
	if err != nil {
		return err
	}
	return c.spoolAll(g.lane, records)
}

// keepLetters never stops the events: letters for which there is neither topic
// nor spool are counted and dropped.
func (c *Collector) keepLetters(ctx context.Context, letters []*schemas.DeadLetter) {
	var err error
	if c.prepared.Load() && c.deadLane.empty() {
		if err = c.appendLetters(ctx, letters, c.cfg.Limits.AppendTimeout); err == nil {
			c.up(c.deadLane.name)
			return
		}
		c.limited(c.deadLane.name, fmt.Errorf("they go to the spool: %w", err))
	}
	records, err := encode(nil, letters)
	if err == nil {
		err = c.deadLane.append(records)
	}
	if err != nil {
		c.dropped.Add(int64(len(letters)))
		c.limited(c.deadLane.name, fmt.Errorf("they are dropped, the senders are told why: %w", err))
		if c.deadLane.empty() { // else who drains it says when they are taken again
			c.probeSoon()
		}
	}
}

// append writes events to the log. No device has more of them than its filter
// remembers: a batch whose outcome is unknown is appended again as a whole, and the
// filter has to recognise every one.
func (c *Collector) append(ctx context.Context, events []*schemas.Event, patience time.Duration) ([]int64, error) {
	if len(events) == 0 {
		return nil, nil
	}
	offsets, err := c.timed(ctx, patience, func(ctx context.Context) ([]int64, error) { return c.log.Append(ctx, events) })
	if err == nil && len(offsets) != len(events) {
		err = fmt.Errorf("append %d events: the log gave %d offsets", len(events), len(offsets))
	}
	if err != nil {
		return nil, err
	}
	return offsets, nil
}

func (c *Collector) appendLetters(ctx context.Context, letters []*schemas.DeadLetter, patience time.Duration) error {
	if len(letters) == 0 {
		return nil
	}
	_, err := c.timed(ctx, patience, func(ctx context.Context) ([]int64, error) {
		return nil, c.letters.AppendDeadLetters(ctx, letters)
	})
	return err
}

// timed limits and measures one append.
func (c *Collector) timed(ctx context.Context, patience time.Duration,
	do func(context.Context) ([]int64, error)) ([]int64, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	start := time.Now()
	offsets, err := do(ctx)
	c.metrics.appends.WithLabelValues(outcome(err)).Observe(time.Since(start).Seconds())
	return offsets, err
}

// spoolAll appends to a lane's spool. The first of a row of refusals is logged:
// every request meets the same full disk.
func (c *Collector) spoolAll(l *lane, records []spool.Record) error {
	err := l.append(records)
	if err == nil {
		c.refused.Store(false)
		c.up(doorComponent)
		return nil
	}
	if !c.refused.Swap(true) {
		c.cfg.Logger.Error("spool takes nothing, clients are asked to wait", "of", l.name, "error", err)
	}
	why := fmt.Errorf("neither the log nor the spool takes its events: %w", err)
	c.limited(l.name, why)
	if st := c.stats(); !errors.Is(err, spool.ErrFull) || len(c.lanes) == 1 || st.Bytes > nearlyFull(st.Limit) {
		c.down(doorComponent, why) // what has stopped it would stop every other
	}
	c.probeSoon()
	return &refusal{http.StatusTooManyRequests, "neither the log nor the spool takes events of " + l.name + " now"}
}

// encode makes records of the spool.
func encode(events []*schemas.Event, letters []*schemas.DeadLetter) ([]spool.Record, error) {
	records := make([]spool.Record, 0, len(events)+len(letters))
	for _, e := range events {
		b, err := proto.Marshal(e)
		if err != nil {
			return nil, fmt.Errorf("encode event %s: %w", e.Id, err)
		}
		records = append(records, spool.Record{Kind: spooledEvent, Data: b})
	}
	for _, l := range letters {
		b, err := proto.Marshal(l)
		if err != nil {
			return nil, fmt.Errorf("encode dead letter of %s: %w", l.Source, err)
		}
		records = append(records, spool.Record{Kind: spooledLetter, Data: b})
	}
	return records, nil
}

// decode reads a record of the spool: an event or a letter. An event that an
// earlier release took and that no reader of this one would is a letter now.
func (c *Collector) decode(r spool.Record) (e *schemas.Event, l *schemas.DeadLetter, err error) {
	switch r.Kind {
	case spooledEvent:
		e = new(schemas.Event)
		if err = proto.Unmarshal(r.Data, e); err == nil && e.Check() != nil {
			return nil, call{path: "spool"}.letter(e.Source, e.Check().Error(), r.Data, c.cfg.Now().UnixMicro()), nil
		}
	case spooledLetter:
		l = new(schemas.DeadLetter)
		err = proto.Unmarshal(r.Data, l)
	default:
		err = fmt.Errorf("unknown kind %d: %w", r.Kind, spool.ErrCorrupt)
	}
	if err != nil {
		return nil, nil, fmt.Errorf("decode spooled record: %w", err)
	}
	return e, l, nil
}
