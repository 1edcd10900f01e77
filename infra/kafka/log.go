package kafka

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/IBM/sarama"
	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/sync/errgroup"

	"fernweh/schemas"
)

// LogOptions say how a topic is read.
type LogOptions struct {
	Group    string        // readers of one group share the partitions
	MaxBatch int           // records a handler gets at once at most
	Linger   time.Duration // how long a batch waits for more after its first record
	Trouble  func(error)   // is told of every error that reading survives, from any goroutine; may be nil
}

// A Reader reads a topic as a member of a consumer group. R is what a record of
// the topic means; bytes without meaning are records too, so that every offset
// comes by.
type Reader[R any] struct {
	cfg     Config
	topic   string // as it is declared
	options LogOptions
	read    decoder[R]
}

// A decoder says what a message means, by its bytes alone, and whether it means anything.
type decoder[R any] func(*sarama.ConsumerMessage) (record R, readable bool)

// A Log reads the event topic.
type Log = Reader[schemas.Record]

// Decisions reads the topic of decisions.
type Decisions = Reader[schemas.DecisionRecord]

// NewLog makes a reader of an event topic that was declared with so many
// partitions; it connects when it consumes. What the brokers say later of their
// number changes no record's meaning.
func NewLog(cfg Config, partitions int32, options LogOptions) *Log {
	return newReader(cfg, schemas.TopicEvents, options, func(m *sarama.ConsumerMessage) (schemas.Record, bool) {
		r := ReadMessage(m, partitions)
		return r, r.Readable()
	})
}

// NewDecisions makes a reader of the topic of decisions; it connects when it consumes.
func NewDecisions(cfg Config, options LogOptions) *Decisions {
	return newReader(cfg, schemas.TopicDecisions, options, readDecision)
}

func newReader[R any](cfg Config, topic string, options LogOptions, read decoder[R]) *Reader[R] {
	cfg.Metrics = cfg.metrics()
	options.MaxBatch = max(options.MaxBatch, 1)
	options.Group = cfg.Group(options.Group)
	told := options.Trouble
	options.Trouble = func(err error) {
		cfg.Metrics.troubles.WithLabelValues(options.Group).Inc()
		if told != nil {
			told(err)
		}
	}
	return &Reader[R]{cfg, topic, options, read}
}

// A HandleOf takes the next records of a partition, in log order. The slice is
// its own. When it returns nil, the effects of the records must be durable.
// ctx ends when the partition is taken away.
type HandleOf[R any] = func(ctx context.Context, records []R) error

// An OpenOf begins with a partition that this member owns from now on: it says
// from which offset, or schemas.Oldest for the first that is kept, and who
// handles it. It is called anew each time that the partition is claimed, for all
// claimed partitions at once. ctx ends when the partition is taken away.
type OpenOf[R any] = func(ctx context.Context, partition int32) (start int64, handle HandleOf[R], err error)

// Handle takes records of the event topic.
type Handle = HandleOf[schemas.Record]

// Open begins with a partition of the event topic.
type Open = OpenOf[schemas.Record]

// leaveTime is how long a reader that is told to stop tries to say so to the
// brokers; without it the others wait for the end of its session.
const leaveTime = 3 * time.Second

// Consume reads the partitions that the group gives to this member, one
// goroutine each, until ctx is done or an open or a handle fails; then
// everything it started is gone. It outlasts restarts of brokers. The reader's
// own position counts; what the group has committed follows it and is for those
// who watch. A start that the log doesn't hold ends it with
// schemas.ErrOutOfRange, and so does a topic that is another than before.
func (l *Reader[R]) Consume(ctx context.Context, open OpenOf[R]) error {
	topic := l.cfg.Topic(l.topic)
	if err := l.consume(ctx, topic, open); err != nil {
		return fmt.Errorf("consume %s: %w", topic, err)
	}
	return nil
}

func (l *Reader[R]) consume(ctx context.Context, topic string, open OpenOf[R]) error {
	life, hangUp := context.WithCancel(context.WithoutCancel(ctx))
	defer hangUp()
	config, err := l.cfg.sarama(life)
	if err != nil {
		return err
	}
	config.ChannelBufferSize = max(256, min(l.options.MaxBatch, 4096)) // a batch can lie ready
	client, err := newClient(l.cfg.Brokers, config)
	if err != nil {
		return err
	}
	defer closeClient(client)
	group, err := sarama.NewConsumerGroupFromClient(l.options.Group, client)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	m := &member[R]{Reader: l, name: topic, client: client, open: open, end: cancel}
	gone := make(chan struct{})
	defer close(gone)
	context.AfterFunc(ctx, func() {
		select {
		case <-gone:
		case <-time.After(leaveTime):
			hangUp()
			closeClient(client)
		}
	})
	var watch sync.WaitGroup
	watch.Go(func() { m.watch(group.Errors()) })
	watch.Go(func() { m.measure(ctx) })
	err = m.run(ctx, group)
	cancel(nil)
	if leave := group.Close(); leave != nil {
		l.options.Trouble(fmt.Errorf("leave group %s: %w", l.options.Group, leave))
	}
	hangUp() // measure may be asking brokers that are away
	watch.Wait()
	return err
}

// A member is one reader in its group, through all its sessions.
type member[R any] struct {
	*Reader[R]
	name   string // of the topic, as the brokers call it
	client sarama.Client
	open   OpenOf[R]
	end    context.CancelCauseFunc // of Consume, with the reason

	topicID string                              // of the topic that was read first
	claims  atomic.Pointer[map[int32]*claim[R]] // of the session; not changed once it is there
}

// A claim is one partition of a session. Its goroutine alone reads and handles.
type claim[R any] struct {
	next   atomic.Int64 // offset of the next record that is not handled yet
	lag    prometheus.Gauge
	handle HandleOf[R]
}

// measured tells how far the partition's end is away.
func (c *claim[R]) measured(end int64) { c.lag.Set(float64(max(end-c.next.Load(), 0))) }

// fatal is an error that ends Consume.
type fatal struct{ error }

// Unwrap gives the error itself.
func (f fatal) Unwrap() error { return f.error }

// fail ends Consume with err.
func (m *member[R]) fail(err error) error {
	m.end(fatal{err})
	return err
}

// run lives through session after session.
func (m *member[R]) run(ctx context.Context, group sarama.ConsumerGroup) error {
	for wait := pause; ; {
		began := time.Now()
		err := group.Consume(ctx, []string{m.name}, m)
		if cause := context.Cause(ctx); cause != nil {
			if f, ok := errors.AsType[fatal](cause); ok {
				return f.error
			}
			return cause
		}
		if err == nil {
			continue // a rebalance
		}
		if unconnected(err) {
			err = m.cfg.explain(ctx, err)
		}
		if hopeless(err) || lasting(err) {
			return err
		}
		m.options.Trouble(err)
		if time.Since(began) > time.Minute {
			wait = pause
		}
		select {
		case <-time.After(wait):
		case <-ctx.Done():
		}
		wait = min(2*wait, 5*time.Second)
	}
}

// hopeless says that asking again would give the same error.
func hopeless(err error) bool {
	if _, ok := errors.AsType[sarama.ConfigurationError](err); ok {
		return true
	}
	for _, e := range []error{
		sarama.ErrUnknownTopicOrPartition, sarama.ErrTopicAuthorizationFailed, sarama.ErrGroupAuthorizationFailed,
		sarama.ErrClusterAuthorizationFailed, sarama.ErrSASLAuthenticationFailed, sarama.ErrUnsupportedVersion,
		sarama.ErrInvalidGroupId, sarama.ErrInconsistentGroupProtocol, sarama.ErrInvalidSessionTimeout,
	} {
		if errors.Is(err, e) {
			return true
		}
	}
	return false
}

// watch takes the errors that sarama meets in the background.
func (m *member[R]) watch(errs <-chan error) {
	for err := range errs {
		if errors.Is(err, sarama.ErrOffsetOutOfRange) {
			m.fail(fmt.Errorf("%w: %w", schemas.ErrOutOfRange, err)) // the caller of Consume gets it
			continue
		}
		m.options.Trouble(err)
	}
}

// measureEvery is how often the ends of the partitions are asked for. A handler
// that hangs fetches nothing, so what was fetched doesn't tell the lag.
const measureEvery = 5 * time.Second

// measure tells the lag of what is claimed, until ctx is done.
func (m *member[R]) measure(ctx context.Context) {
	tick := time.NewTicker(measureEvery)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
		claims := m.claims.Load()
		if claims == nil {
			continue
		}
		for partition, c := range *claims {
			end, err := offset(m.client, m.name, partition, sarama.OffsetNewest)
			if err != nil {
				break // the brokers are away, which reading finds out too
			}
			if m.claims.Load() == claims {
				c.measured(end)
			}
		}
	}
}

// Setup opens all partitions of a session, before any is read.
func (m *member[R]) Setup(session sarama.ConsumerGroupSession) error {
	ctx := session.Context()
	m.cfg.Metrics.rebalances.WithLabelValues(m.options.Group).Inc()
	if err := m.checkTopic(ctx); err != nil {
		return err
	}
	claimed := session.Claims()[m.name]
	opened := make([]*claim[R], len(claimed))
	g, gctx := errgroup.WithContext(ctx)
	for i, partition := range claimed {
		g.Go(func() (err error) {
			opened[i], err = m.openPartition(gctx, partition)
			return err
		})
	}
	if err := g.Wait(); err != nil {
		return err
	}
	claims := make(map[int32]*claim[R], len(claimed))
	for i, partition := range claimed {
		claims[partition] = opened[i]
		session.ResetOffset(m.name, partition, opened[i].next.Load(), "")
		session.MarkOffset(m.name, partition, opened[i].next.Load(), "")
	}
	m.claims.Store(&claims)
	return nil
}

// checkTopic refuses a topic that was made again: its offsets mean other events.
func (m *member[R]) checkTopic(ctx context.Context) error {
	id, err := TopicID(ctx, m.cfg, m.topic)
	if err != nil {
		return err
	}
	if m.topicID == "" {
		m.topicID = id
	}
	if m.topicID != id {
		return m.fail(fmt.Errorf("%w: topic %s is %s now and was %s: it has been deleted and made again",
			schemas.ErrOutOfRange, m.name, id, m.topicID))
	}
	return nil
}

// openPartition begins with a partition where its reader says, if the log is there.
func (m *member[R]) openPartition(ctx context.Context, partition int32) (*claim[R], error) {
	start, handle, err := m.open(ctx, partition)
	if err != nil {
		return nil, m.unlessRevoked(ctx, fmt.Errorf("open partition %d: %w", partition, err))
	}
	first, err := offset(m.client, m.name, partition, sarama.OffsetOldest)
	if err != nil {
		return nil, fmt.Errorf("ask first offset of partition %d: %w", partition, err)
	}
	end, err := offset(m.client, m.name, partition, sarama.OffsetNewest)
	if err != nil {
		return nil, fmt.Errorf("ask end of partition %d: %w", partition, err)
	}
	if start == schemas.Oldest {
		start = first
	}
	if start < first || start > end {
		return nil, m.fail(fmt.Errorf("%w: topic %s partition %d holds the offsets from %d to below %d, not %d",
			schemas.ErrOutOfRange, m.name, partition, first, end, start))
	}
	c := &claim[R]{lag: m.cfg.Metrics.lagOf(m.options.Group, partition), handle: handle}
	c.next.Store(start)
	c.measured(end)
	return c, nil
}

// unlessRevoked ends Consume with err, unless its partition was taken away meanwhile.
func (m *member[R]) unlessRevoked(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return err
	}
	return m.fail(err)
}

// Cleanup ends a session: what was marked is committed behind it.
func (m *member[R]) Cleanup(session sarama.ConsumerGroupSession) error {
	m.claims.Store(nil)
	for _, partition := range session.Claims()[m.name] {
		m.cfg.Metrics.forget(m.options.Group, partition)
	}
	return nil
}

// ConsumeClaim reads one partition until it is taken away or its handler fails.
func (m *member[R]) ConsumeClaim(session sarama.ConsumerGroupSession, claimed sarama.ConsumerGroupClaim) error {
	ctx, partition := session.Context(), claimed.Partition()
	c := (*m.claims.Load())[partition]
	for {
		first := c.next.Load()
		records, err := m.batch(ctx, claimed.Messages(), first)
		if err != nil {
			return m.fail(fmt.Errorf("read partition %d: %w", partition, err))
		}
		if len(records) == 0 {
			return nil
		}
		if err := c.handle(ctx, records); err != nil {
			return m.unlessRevoked(ctx, fmt.Errorf("handle partition %d from offset %d: %w", partition, first, err))
		}
		next := first + int64(len(records))
		c.next.Store(next)
		c.measured(claimed.HighWaterMarkOffset())
		session.MarkOffset(m.name, partition, next, "")
	}
}

// batch waits for the record at offset next and takes what comes within Linger
// behind it. It is empty when the partition was taken away. Every offset of a
// topic has a record, so one that is left out was lost.
func (m *member[R]) batch(
	ctx context.Context, messages <-chan *sarama.ConsumerMessage, next int64,
) ([]R, error) {
	var records []R
	var linger <-chan time.Time
	for len(records) < m.options.MaxBatch {
		select {
		case message, ok := <-messages:
			if !ok || ctx.Err() != nil {
				return nil, nil
			}
			if message.Offset != next {
				return nil, fmt.Errorf("%w: offset %d follows where %d should", schemas.ErrOutOfRange, message.Offset, next)
			}
			next++
			record, readable := m.read(message)
			if !readable {
				m.cfg.Metrics.unreadable.WithLabelValues(m.name).Inc()
			}
			records = append(records, record)
			if linger == nil {
				linger = time.After(m.options.Linger)
			}
		case <-linger:
			return records, nil
		case <-ctx.Done():
			return nil, nil
		}
	}
	return records, nil
}

// ReadMessage says what a message of an event topic of so many partitions means.
func ReadMessage(message *sarama.ConsumerMessage, partitions int32) schemas.Record {
	record := schemas.Record{
		Partition: message.Partition, Offset: message.Offset, At: message.Timestamp.UnixMicro(),
	}
	m := schemas.Message{Key: message.Key, Value: message.Value}
	for _, h := range message.Headers {
		m.Headers = append(m.Headers, schemas.Header{Key: string(h.Key), Value: h.Value})
	}
	record.Read(m, partitions)
	return record
}

// readDecision says what a message of the topic of decisions means.
func readDecision(message *sarama.ConsumerMessage) (record schemas.DecisionRecord, readable bool) {
	record = schemas.DecisionRecord{
		Partition: message.Partition, Offset: message.Offset, At: message.Timestamp.UnixMicro(),
	}
	record.Read(message.Value)
	return record, record.Decision != nil
}
