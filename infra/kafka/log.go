package kafka

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/IBM/sarama"
	"golang.org/x/sync/errgroup"

	"fernweh/schemas"
)

// LogOptions say how the event topic is read.
type LogOptions struct {
	Group    string        // readers of one group share the partitions
	MaxBatch int           // records a handler gets at once at most
	Linger   time.Duration // how long a batch waits for more after its first record
	Trouble  func(error)   // is told of every error that reading survives, from any goroutine; may be nil
}

// A Log reads the event topic as a member of a consumer group.
type Log struct {
	cfg     Config
	options LogOptions
}

// NewLog makes a reader; it connects when it consumes.
func NewLog(cfg Config, options LogOptions) *Log {
	if options.Trouble == nil {
		options.Trouble = func(error) {}
	}
	options.MaxBatch = max(options.MaxBatch, 1)
	return &Log{cfg, options}
}

// A Handle takes the next records of a partition, in log order. The slice is
// its own. When it returns nil, the effects of the records must be durable.
// ctx ends when the partition is taken away.
type Handle = func(ctx context.Context, records []schemas.Record) error

// An Open begins with a partition that this member owns from now on: it says
// from which offset, and who handles it. It is called anew each time that the
// partition is claimed, for all claimed partitions at once. ctx ends when the
// partition is taken away.
type Open = func(ctx context.Context, partition int32) (start int64, handle Handle, err error)

// leaveTime is how long a reader that is told to stop tries to say so to the
// brokers; without it the others wait for the end of its session.
const leaveTime = 3 * time.Second

// Consume reads the partitions that the group gives to this member, one
// goroutine each, until ctx is done or an open or a handle fails; then
// everything it started is gone. It outlasts restarts of brokers. The reader's
// own position counts; what the group has committed follows it and is for those
// who watch. A start that the log doesn't hold ends it with
// schemas.ErrOutOfRange, and so does a topic that is another than before.
func (l *Log) Consume(ctx context.Context, open Open) error {
	life, hangUp := context.WithCancel(context.WithoutCancel(ctx))
	defer hangUp()
	config := l.cfg.sarama(life)
	config.ChannelBufferSize = max(256, min(l.options.MaxBatch, 4096)) // a batch can lie ready
	client, err := sarama.NewClient(l.cfg.Brokers, config)
	if err != nil {
		return fmt.Errorf("consume %s: %w", schemas.TopicEvents, err)
	}
	defer closeClient(client)
	group, err := sarama.NewConsumerGroupFromClient(l.options.Group, client)
	if err != nil {
		return fmt.Errorf("consume %s: %w", schemas.TopicEvents, err)
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	m := &member{cfg: l.cfg, options: l.options, client: client, open: open, end: cancel}
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
	err = m.run(ctx, group)
	cancel(nil)
	if leave := group.Close(); leave != nil {
		l.options.Trouble(fmt.Errorf("leave group %s: %w", l.options.Group, leave))
	}
	watch.Wait()
	if err != nil {
		return fmt.Errorf("consume %s: %w", schemas.TopicEvents, err)
	}
	return nil
}

// A member is one reader in its group, through all its sessions.
type member struct {
	cfg     Config
	options LogOptions
	client  sarama.Client
	open    Open
	end     context.CancelCauseFunc // of Consume, with the reason

	topic   string            // id of the topic that was read first
	readers map[int32]*reader // of the session; written by Setup before any goroutine reads it
}

// A reader is one partition of a session.
type reader struct {
	next   int64 // offset of the next record
	handle Handle
}

// fatal is an error that ends Consume.
type fatal struct{ error }

// Unwrap gives the error itself.
func (f fatal) Unwrap() error { return f.error }

// fail ends Consume with err.
func (m *member) fail(err error) error {
	m.end(fatal{err})
	return err
}

// run lives through session after session.
func (m *member) run(ctx context.Context, group sarama.ConsumerGroup) error {
	for wait := pause; ; {
		began := time.Now()
		err := group.Consume(ctx, []string{schemas.TopicEvents}, m)
		if cause := context.Cause(ctx); cause != nil {
			if f, ok := errors.AsType[fatal](cause); ok {
				return f.error
			}
			return cause
		}
		if err == nil {
			continue // a rebalance
		}
		if hopeless(err) {
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
func (m *member) watch(errs <-chan error) {
	for err := range errs {
		if errors.Is(err, sarama.ErrOffsetOutOfRange) {
			m.fail(fmt.Errorf("%w: %w", schemas.ErrOutOfRange, err)) // the caller of Consume gets it
			continue
		}
		m.options.Trouble(err)
	}
}

// Setup opens all partitions of a session, before any is read.
func (m *member) Setup(session sarama.ConsumerGroupSession) error {
	ctx := session.Context()
	if err := m.checkTopic(ctx); err != nil {
		return err
	}
	claimed := session.Claims()[schemas.TopicEvents]
	readers := make([]*reader, len(claimed))
	g, gctx := errgroup.WithContext(ctx)
	for i, partition := range claimed {
		g.Go(func() (err error) {
			readers[i], err = m.openPartition(gctx, partition)
			return err
		})
	}
	if err := g.Wait(); err != nil {
		return err
	}
	m.readers = make(map[int32]*reader, len(claimed))
	for i, partition := range claimed {
		m.readers[partition] = readers[i]
		session.ResetOffset(schemas.TopicEvents, partition, readers[i].next, "")
		session.MarkOffset(schemas.TopicEvents, partition, readers[i].next, "")
	}
	return nil
}

// checkTopic refuses a topic that was made again: its offsets mean other events.
func (m *member) checkTopic(ctx context.Context) error {
	id, err := TopicID(ctx, m.cfg, schemas.TopicEvents)
	if err != nil {
		return err
	}
	if m.topic == "" {
		m.topic = id
	}
	if m.topic != id {
		return m.fail(fmt.Errorf("%w: topic %s is %s now and was %s: it has been deleted and made again",
			schemas.ErrOutOfRange, schemas.TopicEvents, id, m.topic))
	}
	return nil
}

// openPartition begins with a partition where its reader says, if the log is there.
func (m *member) openPartition(ctx context.Context, partition int32) (*reader, error) {
	start, handle, err := m.open(ctx, partition)
	if err != nil {
		return nil, m.unlessRevoked(ctx, fmt.Errorf("open partition %d: %w", partition, err))
	}
	first, err := m.client.GetOffset(schemas.TopicEvents, partition, sarama.OffsetOldest)
	if err != nil {
		return nil, fmt.Errorf("ask first offset of partition %d: %w", partition, err)
	}
	end, err := m.client.GetOffset(schemas.TopicEvents, partition, sarama.OffsetNewest)
	if err != nil {
		return nil, fmt.Errorf("ask end of partition %d: %w", partition, err)
	}
	if start < first || start > end {
		return nil, m.fail(fmt.Errorf("%w: topic %s partition %d holds the offsets from %d to below %d, not %d",
			schemas.ErrOutOfRange, schemas.TopicEvents, partition, first, end, start))
	}
	return &reader{start, handle}, nil
}

// unlessRevoked ends Consume with err, unless its partition was taken away meanwhile.
func (m *member) unlessRevoked(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return err
	}
	return m.fail(err)
}

// Cleanup has nothing to do: what was marked is committed behind it.
func (m *member) Cleanup(sarama.ConsumerGroupSession) error { return nil }

// ConsumeClaim reads one partition until it is taken away or its handler fails.
func (m *member) ConsumeClaim(session sarama.ConsumerGroupSession, claim sarama.ConsumerGroupClaim) error {
	ctx, partition := session.Context(), claim.Partition()
	r := m.readers[partition]
	for {
		records, err := m.batch(ctx, claim.Messages(), r)
		if err != nil {
			return m.fail(fmt.Errorf("read partition %d: %w", partition, err))
		}
		if len(records) == 0 {
			return nil
		}
		if err := r.handle(ctx, records); err != nil {
			return m.unlessRevoked(ctx, fmt.Errorf("handle partition %d from offset %d: %w",
				partition, records[0].Offset, err))
		}
		session.MarkOffset(schemas.TopicEvents, partition, r.next, "")
	}
}

// batch waits for a record and takes what comes within Linger behind it. It is
// empty when the partition was taken away.
func (m *member) batch(
	ctx context.Context, messages <-chan *sarama.ConsumerMessage, r *reader,
) ([]schemas.Record, error) {
	var records []schemas.Record
	var linger <-chan time.Time
	for len(records) < m.options.MaxBatch {
		select {
		case message, ok := <-messages:
			if !ok || ctx.Err() != nil {
				return nil, nil
			}
			record, err := r.read(message)
			if err != nil {
				return nil, err
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

// read decodes a message. Every offset of the event topic has a record, so one
// that is left out was lost.
func (r *reader) read(message *sarama.ConsumerMessage) (schemas.Record, error) {
	if message.Offset != r.next {
		return schemas.Record{}, fmt.Errorf("%w: offset %d follows where %d should",
			schemas.ErrOutOfRange, message.Offset, r.next)
	}
	r.next++
	record := schemas.Record{
		Partition: message.Partition, Offset: message.Offset, At: message.Timestamp.UnixMicro(),
	}
	record.Read(cutOf(message), message.Value)
	return record, nil
}

// cutOf is the value of the header that makes a record a cut; nil: it has none.
func cutOf(message *sarama.ConsumerMessage) []byte {
	for _, h := range message.Headers {
		if string(h.Key) == schemas.HeaderCut {
			return append([]byte{}, h.Value...)
		}
	}
	return nil
}
