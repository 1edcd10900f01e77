package kafka

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/IBM/sarama"

	"fernweh/schemas"
)

// LogOptions say how a topic is read.
type LogOptions struct {
	Group    string        // readers of one group share the partitions
	MaxBatch int           // records a handler gets at once at most
	Linger   time.Duration // how long a batch waits for more after its first record
	Trouble  func(error)   // is told of every error of the brokers that reading survives, from any goroutine; may be nil
	Name     string        // of the reader, for Health: "speed"
	Health   Health        // is told how reading fares; nil: it goes to Trouble
}

// Health is told what does not work, and when it works again: the reader by its
// name, a partition as "speed partition 3". It is called from any goroutine.
type Health interface {
	Down(component string, why error)
	Up(component string)
}

// untold is the health of a reader whose errors go to Trouble alone.
type untold struct{ trouble func(error) }

// Down hands the error on.
func (u untold) Down(component string, why error) { u.trouble(fmt.Errorf("%s: %w", component, why)) }

// Up has nothing to say.
func (u untold) Up(string) {}

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
	if options.Health == nil {
		options.Name, options.Health = options.Group, untold{options.Trouble}
	}
	return &Reader[R]{cfg, topic, options, read}
}

// A HandleOf takes the next records of a partition, in log order. The slice is
// its own. When it returns nil, the effects of the records must be durable. After
// an error, or a panic, it is of no further use: its partition is opened anew.
// ctx ends when the partition is taken away.
type HandleOf[R any] = func(ctx context.Context, records []R) error

// An OpenOf begins with a partition that this member owns from now on: it says
// from which offset, or schemas.Oldest for the first that is kept, and who
// handles it. It is called anew each time that the partition is claimed, for all
// claimed partitions at once, and after each failure in the partition. ctx ends when
// the partition is taken away.
type OpenOf[R any] = func(ctx context.Context, partition int32) (start int64, handle HandleOf[R], err error)

// Handle takes records of the event topic.
type Handle = HandleOf[schemas.Record]

// Open begins with a partition of the event topic.
type Open = OpenOf[schemas.Record]

// leaveTime is how long a reader that is told to stop tries to say so to the
// brokers; without it the others wait for the end of its session.
const leaveTime = 3 * time.Second

// Consume reads the partitions that the group gives to this member, one
// goroutine each, until ctx is done; then everything it started is gone. It
// outlasts restarts of brokers. An open or a handle that fails or panics is its
// partition's trouble: it is opened anew, ever later, and the others go on. The
// reader's own position counts; what the group has committed follows it and is for
// those who watch. A start that the log doesn't hold ends it with
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
	aside := &rewinder[R]{cfg: l.cfg, life: life, config: config}
	defer aside.close()
	group, err := sarama.NewConsumerGroupFromClient(l.options.Group, client)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	m := &member[R]{Reader: l, name: topic, client: client, aside: aside, open: open, end: cancel}
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
	m.forget()
	return err
}

// A member is one reader in its group, through all its sessions.
type member[R any] struct {
	*Reader[R]
	name   string // of the topic, as the brokers call it
	client sarama.Client
	aside  *rewinder[R]
	open   OpenOf[R]
	end    context.CancelCauseFunc // of Consume, with the reason

	topicID string                              // of the topic that was read first
	before  map[int32]*claim[R]                 // of the session, or of the one before; only begin's
	claims  atomic.Pointer[map[int32]*claim[R]] // of the session; not changed once it is there
	opening sync.WaitGroup                      // first opens of the session
}

// fatal is an error that ends Consume.
type fatal struct{ error }

// Unwrap gives the error itself.
func (f fatal) Unwrap() error { return f.error }

// fail ends Consume with err.
func (m *member[R]) fail(err error) error {
	f := fatal{err}
	m.end(f)
	return f
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
		m.options.Health.Down(m.options.Name, err)
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

// ReadMessage says what a message of an event topic of so many partitions means.
func ReadMessage(message *sarama.ConsumerMessage, partitions int32) schemas.Record {
	record := schemas.Record{
		Partition: message.Partition, Offset: message.Offset, At: message.Timestamp.UnixMicro(),
	}
	record.Gap = isGap(message)
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
