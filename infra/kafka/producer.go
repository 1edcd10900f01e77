package kafka

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/IBM/sarama"
	"golang.org/x/sync/semaphore"
	"google.golang.org/protobuf/proto"

	"fernweh/schemas"
)

// ErrClosed is the answer of a producer that was closed.
var ErrClosed = errors.New("the producer is closed")

// inFlightBytes bounds what waits for its acknowledgement, over all callers;
// who would exceed it waits.
const inFlightBytes = 64 << 20

// A Producer appends to the log. Any number of goroutines may; what they bring
// while a request is under way goes into the next one together. An append that
// ended in an error, or whose ctx was done, is unknown: all, some or none of it
// is in the log, or will be.
type Producer struct {
	cfg        Config
	partitions int32
	room       *semaphore.Weighted

	mu      sync.Mutex
	closed  bool           // guarded by mu
	line    *line          // guarded by mu; nil until the first append
	senders sync.WaitGroup // calls that may still write to the line
	lines   sync.WaitGroup // lines that run
	closing chan struct{}  // closed by Close
}

// NewProducer makes a producer for an event topic of so many partitions. It
// connects at its first append, so it can be had while the brokers are away.
func NewProducer(cfg Config, partitions int32) (*Producer, error) {
	if partitions <= 0 || len(cfg.Brokers) == 0 {
		return nil, fmt.Errorf("make producer: %d partitions on %d brokers: both must be positive",
			partitions, len(cfg.Brokers))
	}
	return &Producer{
		cfg: cfg, partitions: partitions,
		room: semaphore.NewWeighted(inFlightBytes), closing: make(chan struct{}),
	}, nil
}

// Append writes events, each to the partition of its device, in their order,
// and says at which offsets they are. Offset -1: it is in the log, but the broker
// didn't say where.
func (p *Producer) Append(ctx context.Context, events []*schemas.Event) ([]int64, error) {
	messages := make([]*sarama.ProducerMessage, len(events))
	for i, e := range events {
		m, err := message(schemas.TopicEvents, e.Device, e)
		if err != nil {
			return nil, fmt.Errorf("append event %q: %w", e.Id, err)
		}
		m.Partition = schemas.Partition(e.Device, p.partitions)
		messages[i] = m
	}
	if err := p.send(ctx, messages); err != nil {
		return nil, fmt.Errorf("append %d events: %w", len(events), err)
	}
	offsets := make([]int64, len(messages))
	for i, m := range messages {
		offsets[i] = m.Offset
	}
	return offsets, nil
}

// AppendDeadLetters writes what could not be taken.
func (p *Producer) AppendDeadLetters(ctx context.Context, letters []*schemas.DeadLetter) error {
	messages := make([]*sarama.ProducerMessage, len(letters))
	for i, l := range letters {
		m, err := message(schemas.TopicDeadLetters, "", l)
		if err != nil {
			return fmt.Errorf("append dead letter: %w", err)
		}
		messages[i] = m
	}
	if err := p.send(ctx, messages); err != nil {
		return fmt.Errorf("append %d dead letters: %w", len(letters), err)
	}
	return nil
}

// AppendDecisions writes decisions, each to the partition of its event.
func (p *Producer) AppendDecisions(ctx context.Context, decisions []*schemas.Decision) error {
	messages := make([]*sarama.ProducerMessage, len(decisions))
	for i, d := range decisions {
		m, err := message(schemas.TopicDecisions, d.Device, d)
		if err != nil {
			return fmt.Errorf("append decision %s: %w", d.Id, err)
		}
		m.Partition = d.Partition
		messages[i] = m
	}
	if err := p.send(ctx, messages); err != nil {
		return fmt.Errorf("append %d decisions: %w", len(decisions), err)
	}
	return nil
}

// AppendCut writes the cut of a run into every partition of the event topic.
// After an error some may have it; the cut is then repeated or given up.
func (p *Producer) AppendCut(ctx context.Context, run int64) error {
	messages := make([]*sarama.ProducerMessage, p.partitions)
	for i := range messages {
		messages[i] = &sarama.ProducerMessage{
			Topic: schemas.TopicEvents, Partition: int32(i), Offset: -1,
			Headers: []sarama.RecordHeader{{Key: []byte(schemas.HeaderCut), Value: schemas.FormatCut(run)}},
		}
	}
	if err := p.send(ctx, messages); err != nil {
		return fmt.Errorf("append cut %d: %w", run, err)
	}
	return nil
}

// Announce writes the latest value of a key to the topic of models.
func (p *Producer) Announce(ctx context.Context, key string, value []byte) error {
	err := p.send(ctx, []*sarama.ProducerMessage{{
		Topic: schemas.TopicModels, Key: sarama.StringEncoder(key), Value: sarama.ByteEncoder(value), Offset: -1,
	}})
	if err != nil {
		return fmt.Errorf("announce %s: %w", key, err)
	}
	return nil
}

// message is the record of a protobuf message, without key if key is empty.
func message(topic, key string, value proto.Message) (*sarama.ProducerMessage, error) {
	b, err := proto.Marshal(value)
	if err != nil {
		return nil, err
	}
	m := &sarama.ProducerMessage{Topic: topic, Value: sarama.ByteEncoder(b), Offset: -1}
	if key != "" {
		m.Key = sarama.StringEncoder(key)
	}
	return m, nil
}

// send gives messages to the brokers and waits until all are acknowledged.
func (p *Producer) send(ctx context.Context, messages []*sarama.ProducerMessage) error {
	if err := p.enter(ctx); err != nil || len(messages) == 0 {
		if err == nil {
			p.senders.Done()
		}
		return err
	}
	d := &delivery{done: make(chan struct{}), left: len(messages)}
	err := p.enqueue(ctx, messages, d)
	p.senders.Done()
	if err != nil {
		return err
	}
	select {
	case <-d.done:
		return d.err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// enter begins a call; each has its p.senders.Done.
func (p *Producer) enter(ctx context.Context) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return ErrClosed
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	p.senders.Add(1)
	return nil
}

// enqueue hands the messages to the line. The room they take is free again when
// the last of them has been answered, whether anybody still waits or not.
func (p *Producer) enqueue(ctx context.Context, messages []*sarama.ProducerMessage, d *delivery) error {
	l, err := p.connect(ctx)
	if err != nil {
		return err
	}
	weight := weigh(messages)
	if err := p.room.Acquire(ctx, weight); err != nil {
		return err
	}
	d.release = func() { p.room.Release(weight) }
	for i, m := range messages {
		m.Metadata = d
		select {
		case l.async.Input() <- m:
			continue
		case <-ctx.Done():
			err = ctx.Err()
		case <-p.closing:
			err = ErrClosed
		}
		d.settle(len(messages)-i, err)
		return err
	}
	return nil
}

// weigh is the room that messages take.
func weigh(messages []*sarama.ProducerMessage) int64 {
	const overhead = 400 // of a message and its way through the client
	total := int64(0)
	for _, m := range messages {
		total += overhead
		if m.Value != nil {
			total += int64(m.Value.Length())
		}
	}
	return min(total, inFlightBytes)
}

// connect gives the line, dialled by the first who asks. A dial that failed is
// repeated by the next.
func (p *Producer) connect(ctx context.Context) (*line, error) {
	l, err := p.current(ctx)
	if err != nil {
		return nil, err
	}
	select {
	case <-l.dialled:
		return l, l.err
	case <-ctx.Done():
		return nil, ctx.Err()
	case <-p.closing:
		return nil, ErrClosed
	}
}

// current is the line in use, or a new one where there is none that can be used.
func (p *Producer) current(ctx context.Context) (*line, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.line != nil && !p.line.failed() {
		return p.line, nil
	}
	l, err := newLine(ctx, p.cfg)
	if err != nil {
		return nil, err
	}
	p.line = l
	p.lines.Go(l.run)
	return l, nil
}

// Close waits for what is in flight, with the brokers away until its attempts
// are used up, and ends the connection.
func (p *Producer) Close() error {
	p.mu.Lock()
	was, l := p.closed, p.line
	p.closed = true
	if !was {
		close(p.closing)
	}
	p.mu.Unlock()
	if !was && l != nil {
		p.senders.Wait()
		l.stop()
	}
	p.lines.Wait()
	return nil
}

// A delivery is one call's messages on their way.
type delivery struct {
	done    chan struct{} // closed when all are answered; err is final then
	release func()

	mu   sync.Mutex
	left int   // guarded by mu
	err  error // guarded by mu until done is closed: the first
}

// settle notes the answer to n messages.
func (d *delivery) settle(n int, err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.err == nil {
		d.err = err
	}
	d.left -= n
	if d.left == 0 {
		d.release()
		close(d.done)
	}
}

// A line is one connection of a producer to the brokers.
type line struct {
	client  sarama.Client
	hangUp  func()
	dialled chan struct{} // closed when async or err is there
	async   sarama.AsyncProducer
	err     error
}

// newLine makes a line that outlives ctx and connects when it runs.
func newLine(ctx context.Context, cfg Config) (*line, error) {
	life, hangUp := context.WithCancel(context.WithoutCancel(ctx))
	client, err := sarama.NewClient(cfg.Brokers, cfg.sarama(life))
	if err != nil {
		hangUp()
		return nil, err
	}
	return &line{client: client, hangUp: hangUp, dialled: make(chan struct{})}, nil
}

// run connects and hands out the answers until the line is stopped.
func (l *line) run() {
	defer l.hangUp()
	defer closeClient(l.client)
	l.async, l.err = sarama.NewAsyncProducerFromClient(l.client)
	close(l.dialled)
	if l.err != nil {
		return
	}
	var failures sync.WaitGroup
	failures.Go(func() {
		for e := range l.async.Errors() {
			e.Msg.Metadata.(*delivery).settle(1, e.Err)
		}
	})
	for m := range l.async.Successes() {
		m.Metadata.(*delivery).settle(1, nil)
	}
	failures.Wait()
}

// failed says that the line could not be connected.
func (l *line) failed() bool {
	select {
	case <-l.dialled:
		return l.err != nil
	default:
		return false
	}
}

// stop ends the line: a dial at once, what is in flight when it is answered.
func (l *line) stop() {
	select {
	case <-l.dialled:
	default:
		l.hangUp()
		closeClient(l.client)
		<-l.dialled
	}
	if l.err == nil {
		l.async.AsyncClose()
	}
}
