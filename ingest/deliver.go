package ingest

import (
	"context"
	"fmt"
	"net/http"
	"time"

	"google.golang.org/protobuf/proto"

	"fernweh/ingest/spool"
	"fernweh/schemas"
)

// Kinds of records in the spool.
const (
	spooledEvent  = 1
	spooledLetter = 2
)

// keep makes events and letters durable, in the log or in the spool. offsets
// are those of the events that are in the log, the first ones. An error means
// that the client must send all of it again.
func (c *Collector) keep(ctx context.Context, events []*schemas.Event, letters []*schemas.DeadLetter) (
	offsets []int64, err error) {
	ctx = context.WithoutCancel(ctx) // a client that hangs up must not send its events into the spool
	if c.spool.Empty() {
		if offsets, err = c.append(ctx, events, c.cfg.Limits.AppendTimeout); err == nil {
			err = c.appendLetters(ctx, letters, c.cfg.Limits.AppendTimeout)
		}
		if err == nil {
			c.trouble.Store(false)
			return offsets, nil
		}
		c.cfg.Logger.Warn("log is away, events go to the spool", "error", err)
	}
	records, err := encode(events[len(offsets):], letters)
	if err != nil {
		return nil, err
	}
	return offsets, c.spoolAll(records)
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

// spoolAll appends to the spool. It logs the first of a row of refusals only:
// every request meets the same full disk.
func (c *Collector) spoolAll(records []spool.Record) error {
	err := c.spool.Append(records)
	if err == nil {
		c.trouble.Store(false)
		return nil
	}
	if !c.trouble.Swap(true) {
		c.cfg.Logger.Error("spool takes nothing, clients are asked to wait", "error", err)
	}
	return &refusal{http.StatusTooManyRequests, "neither the log nor the spool takes events now"}
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

// decode reads a record of the spool: an event or a letter.
func decode(r spool.Record) (e *schemas.Event, l *schemas.DeadLetter, err error) {
	switch r.Kind {
	case spooledEvent:
		e = new(schemas.Event)
		err = proto.Unmarshal(r.Data, e)
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
