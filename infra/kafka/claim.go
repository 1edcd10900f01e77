package kafka

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime/debug"
	"sync/atomic"
	"time"

	"github.com/IBM/sarama"
	"github.com/prometheus/client_golang/prometheus"

	"fernweh/schemas"
)

// A claim is one partition of a session. Its goroutine alone reads and handles.
type claim[R any] struct {
	partition int32
	name      string       // for Health
	next      atomic.Int64 // offset of the next record that is not handled yet
	lag       func() prometheus.Gauge
	begun     atomic.Bool // next is known
	handle    HandleOf[R]

	first chan error // the outcome of the first open, which may be late
	late  bool       // the session has begun without it

	failures int           // in a row
	until    int64         // the row ends when everything below it is handled
	wait     time.Duration // before the next attempt
}

// measured tells how far the partition's end is away, once it is known where it begins.
func (c *claim[R]) measured(end int64) {
	if c.begun.Load() {
		c.lag().Set(float64(max(end-c.next.Load(), 0)))
	}
}

// openPatience is how long a session waits for its partitions. One that is opened
// later is not waited for: the others go on without it.
const openPatience = 5 * time.Second

// Setup opens all partitions of a session, before any is read.
func (m *member[R]) Setup(session sarama.ConsumerGroupSession) error {
	ctx := session.Context()
	m.cfg.Metrics.rebalances.WithLabelValues(m.options.Group).Inc()
	if err := m.checkTopic(ctx); err != nil {
		return err
	}
	m.options.Health.Up(m.options.Name)
	claims := m.begin(session.Claims()[m.name])
	patience, cancel := context.WithTimeout(ctx, openPatience)
	defer cancel()
	for _, c := range claims {
		m.opening.Go(func() { c.first <- m.openPartition(ctx, c) })
	}
	for _, c := range claims {
		err, ok := c.opened(patience)
		if _, isFatal := errors.AsType[fatal](err); isFatal {
			return err
		}
		if c.late = !ok; ok && err == nil {
			m.start(session, c)
		}
	}
	m.claims.Store(&claims)
	return ctx.Err()
}

// begin makes the claims of a session. A partition that was in trouble in the one
// before still is; one that is another's from now on is no longer told of here.
func (m *member[R]) begin(partitions []int32) map[int32]*claim[R] {
	claims := make(map[int32]*claim[R], len(partitions))
	for _, partition := range partitions {
		c := &claim[R]{
			partition: partition, name: fmt.Sprintf("%s partition %d", m.options.Name, partition), first: make(chan error, 1),
			lag: func() prometheus.Gauge { return m.cfg.Metrics.lagOf(m.options.Group, partition) },
		}
		if before := m.before[partition]; before != nil {
			c.failures, c.until, c.wait = before.failures, before.until, before.wait
			delete(m.before, partition)
		}
		claims[partition] = c
	}
	m.forget()
	m.before = claims
	return claims
}

// forget takes back what was told of partitions that this member has no longer.
func (m *member[R]) forget() {
	for _, c := range m.before {
		if c.failures > 0 {
			m.options.Health.Up(c.name)
		}
	}
}

// opened is the outcome of the first open, for now and for ConsumeClaim; ok is false
// if it does not come in time.
func (c *claim[R]) opened(patience context.Context) (err error, ok bool) {
	select {
	case err = <-c.first:
	default:
		select {
		case err = <-c.first:
		case <-patience.Done():
			return nil, false
		}
	}
	c.first <- err
	return err, true
}

// start lets the group mean the offset at which a partition begins: what it has
// committed is never beyond what is durable.
func (m *member[R]) start(session sarama.ConsumerGroupSession, c *claim[R]) {
	session.ResetOffset(m.name, c.partition, c.next.Load(), "")
	session.MarkOffset(m.name, c.partition, c.next.Load(), "")
}

// openPartition begins with a partition where its reader says, if the log is there.
func (m *member[R]) openPartition(ctx context.Context, c *claim[R]) error {
	var start int64
	err := guard(func() (err error) {
		start, c.handle, err = m.open(ctx, c.partition)
		return err
	})
	if err != nil {
		return fmt.Errorf("open partition %d: %w", c.partition, err)
	}
	first, err := offset(m.client, m.name, c.partition, sarama.OffsetOldest)
	if err != nil {
		return m.asked(fmt.Errorf("ask first offset of partition %d: %w", c.partition, err))
	}
	end, err := offset(m.client, m.name, c.partition, sarama.OffsetNewest)
	if err != nil {
		return m.asked(fmt.Errorf("ask end of partition %d: %w", c.partition, err))
	}
	if start == schemas.Oldest {
		start = first
	}
	if start < first || start > end {
		return m.fail(fmt.Errorf("%w: topic %s partition %d holds the offsets from %d to below %d, not %d",
			schemas.ErrOutOfRange, m.name, c.partition, first, end, start))
	}
	c.next.Store(start)
	c.begun.Store(true)
	c.measured(end)
	return nil
}

// asked ends Consume with an error of the brokers that asking again would give, too.
func (m *member[R]) asked(err error) error {
	if hopeless(err) {
		return m.fail(err)
	}
	return err
}

// Cleanup ends a session: what was marked is committed behind it.
func (m *member[R]) Cleanup(session sarama.ConsumerGroupSession) error {
	m.opening.Wait()
	m.claims.Store(nil)
	for _, partition := range session.Claims()[m.name] {
		m.cfg.Metrics.forget(m.options.Group, partition)
	}
	return nil
}

// ConsumeClaim reads one partition until it is taken away. A failure in it is its
// own: it begins again where its reader says, while the others of the session go on.
func (m *member[R]) ConsumeClaim(session sarama.ConsumerGroupSession, claimed sarama.ConsumerGroupClaim) error {
	ctx := session.Context()
	c := (*m.claims.Load())[claimed.Partition()]
	from := &source{messages: claimed.Messages(), highWater: claimed.HighWaterMarkOffset, next: claimed.InitialOffset()}
	defer func() { from.close() }()
	var err error
	select {
	case err = <-c.first:
	case <-ctx.Done():
		return nil
	}
	for {
		if err == nil {
			if c.late || c.failures > 0 {
				m.start(session, c)
			}
			from, err = m.aside.rewind(ctx, m.name, c.partition, from, c.next.Load())
		}
		if err == nil {
			m.mended(c)
			err = m.consumePartition(session, c, from)
		}
		if ctx.Err() != nil || err == nil {
			return nil // taken away
		}
		if _, ok := errors.AsType[fatal](err); ok {
			return err
		}
		if !m.failed(ctx, c, err) {
			return nil
		}
		if err = m.checkTopic(ctx); err == nil {
			err = m.openPartition(ctx, c)
		}
	}
}

// consumePartition handles what comes, until it fails or there is no error and
// the partition was taken away.
func (m *member[R]) consumePartition(session sarama.ConsumerGroupSession, c *claim[R], from *source) error {
	ctx := session.Context()
	for {
		first := c.next.Load()
		messages, err := m.batch(ctx, from, first)
		if err != nil {
			return fmt.Errorf("read partition %d: %w", c.partition, err)
		}
		if len(messages) == 0 {
			return nil
		}
		next := first + int64(len(messages))
		if err := guard(func() error { return c.handle(ctx, m.records(messages)) }); err != nil {
			c.until = max(c.until, next)
			from.giveBack(messages)
			return fmt.Errorf("handle partition %d from offset %d: %w", c.partition, first, err)
		}
		c.next.Store(next)
		c.measured(from.highWater())
		session.MarkOffset(m.name, c.partition, next, "")
		m.mended(c)
	}
}

// How long a partition that failed waits before it is opened anew: ever longer, and
// some more or less, so that those which failed at once do not come back at once.
const (
	firstWait   = 50 * time.Millisecond
	longestWait = 5 * time.Second
)

// failed notes that a partition could not go on, and waits before the next
// attempt. It is false when there is none, for the partition is taken away.
func (m *member[R]) failed(ctx context.Context, c *claim[R], err error) bool {
	c.failures++
	m.cfg.Metrics.restarts.WithLabelValues(m.options.Group).Inc()
	if p, ok := errors.AsType[*Panic](err); ok {
		m.cfg.Metrics.panics.WithLabelValues(m.options.Group).Inc()
		if c.failures == 1 {
			m.options.Trouble(fmt.Errorf("%s: %w\n%s", c.name, err, p.Stack))
		}
	}
	m.options.Health.Down(c.name, err)
	c.wait = min(max(2*c.wait, firstWait), longestWait)
	select {
	case <-time.After(c.wait*3/4 + rand.N(c.wait/2)):
		return true
	case <-ctx.Done():
		return false
	}
}

// mended ends a row of failures, when what failed has been handled.
func (m *member[R]) mended(c *claim[R]) {
	if c.failures > 0 && c.next.Load() >= c.until {
		c.failures, c.wait = 0, 0
		m.options.Health.Up(c.name)
	}
}

// A Panic is an error that was a panic in an open or a handle: a fault of the
// program, which is its partition's trouble alone.
type Panic struct {
	Value any
	Stack []byte
}

// Error says what the panic said.
func (p *Panic) Error() string { return fmt.Sprintf("panic: %v", p.Value) }

// guard makes an error of a panic in work's own goroutine.
func guard(work func() error) (err error) {
	defer func() {
		if v := recover(); v != nil {
			err = &Panic{v, debug.Stack()}
		}
	}()
	return work()
}

// batch waits for the message at offset next and takes what comes within Linger
// behind it. It is empty when the partition was taken away. Every offset of a
// topic has a message, so one that is left out without a reason was lost.
func (m *member[R]) batch(ctx context.Context, from *source, next int64) ([]*sarama.ConsumerMessage, error) {
	var messages []*sarama.ConsumerMessage
	var linger <-chan time.Time
	for len(messages) < m.options.MaxBatch {
		message, state, err := from.take(ctx, linger, m.options.Trouble)
		switch {
		case errors.Is(err, sarama.ErrOffsetOutOfRange):
			return nil, m.fail(fmt.Errorf("%w: %w", schemas.ErrOutOfRange, err))
		case err != nil:
			return nil, err
		case state == ended:
			return nil, nil
		case state == lingered:
			return messages, nil
		}
		if message.Offset != next {
			filled, err := m.fill(message, next, m.options.MaxBatch-len(messages))
			if errors.Is(err, schemas.ErrOutOfRange) {
				return nil, m.fail(err)
			}
			if err != nil {
				from.giveBack(append(messages, message))
				return nil, err
			}
			messages, next = append(messages, filled...), next+int64(len(filled))
			if len(messages) == m.options.MaxBatch {
				from.giveBack([]*sarama.ConsumerMessage{message})
				return messages, nil
			}
		}
		next++
		messages = append(messages, message)
		if linger == nil {
			linger = time.After(m.options.Linger)
		}
	}
	return messages, nil
}

// records are what messages mean.
func (m *member[R]) records(messages []*sarama.ConsumerMessage) []R {
	records := make([]R, len(messages))
	for i, message := range messages {
		record, readable := m.read(message)
		if !readable {
			m.cfg.Metrics.unreadable.WithLabelValues(m.name).Inc()
		}
		records[i] = record
	}
	return records
}
