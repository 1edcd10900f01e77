package kafka

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

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
	if partitions <= 0 {
		return nil, fmt.Errorf("make producer: %d partitions: their number must be positive", partitions)
	}
	if err := cfg.Check(); err != nil {
		return nil, fmt.Errorf("make producer: %w", err)
	}
	cfg.Metrics = cfg.metrics()
	return &Producer{
		cfg: cfg, partitions: partitions,
		room: semaphore.NewWeighted(inFlightBytes), closing: make(chan struct{}),
	}, nil
}

// Append writes events, each to the partition of its device, in their order,
// and says at which offsets they are. Offset -1: it is in the log, but the broker
// didn't say where. An event that every reader would leave out is refused, and
// with it all that came with it.
func (p *Producer) Append(ctx context.Context, events []*schemas.Event) ([]int64, error) {
	messages := make([]*sarama.ProducerMessage, len(events))
	for i, e := range events {
		if err := e.Check(); err != nil {
			return nil, fmt.Errorf("append %d events: %w", len(events), err)
		}
		m, err := p.message(schemas.TopicEvents, e.Device, e)
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
		m, err := p.message(schemas.TopicDeadLetters, "", l)
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
		m, err := p.message(schemas.TopicDecisions, d.Device, d)
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
			Topic: p.cfg.Topic(schemas.TopicEvents), Partition: int32(i), Offset: -1,
			Headers: []sarama.RecordHeader{{Key: []byte(schemas.ControlCut), Value: schemas.FormatNumber(run)}},
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
		Topic: p.cfg.Topic(schemas.TopicModels), Key: sarama.StringEncoder(key), Value: sarama.ByteEncoder(value), Offset: -1,
	}})
	if err != nil {
		return fmt.Errorf("announce %s: %w", key, err)
	}
	return nil
}

// message is the record of a protobuf message, without key if key is empty.
func (p *Producer) message(topic, key string, value proto.Message) (*sarama.ProducerMessage, error) {
	b, err := proto.Marshal(value)
	if err != nil {
		return nil, err
	}
	m := &sarama.ProducerMessage{Topic: p.cfg.Topic(topic), Value: sarama.ByteEncoder(b), Offset: -1}
	if key != "" {
		m.Key = sarama.StringEncoder(key)
	}
	return m, nil
}

// send gives messages of one topic to the brokers and waits until all are acknowledged.
func (p *Producer) send(ctx context.Context, messages []*sarama.ProducerMessage) (err error) {
	if err := p.enter(ctx); err != nil || len(messages) == 0 {
		if err == nil {
			p.senders.Done()
		}
		return err
	}
	began := time.Now()
	defer func() { p.cfg.Metrics.appended(messages[0].Topic, began, err) }()
	d := &delivery{done: make(chan struct{}), left: len(messages)}
	err = p.enqueue(ctx, messages, d)
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
	defer l.senders.Done()
	weight := weigh(messages)
	if err := p.room.Acquire(ctx, weight); err != nil {
		return err
	}
	p.cfg.Metrics.inFlight.Add(float64(weight))
	d.release = func() {
		p.room.Release(weight)
		p.cfg.Metrics.inFlight.Sub(float64(weight))
	}
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

// connect gives the line, dialled by the first who asks, and notes that the
// caller writes to it until l.senders.Done. A dial that failed is repeated by
// the next.
func (p *Producer) connect(ctx context.Context) (*line, error) {
	l, err := p.current(ctx)
	if err != nil {
		return nil, err
	}
	select {
	case <-l.dialled:
		err = l.err
	case <-ctx.Done():
		err = ctx.Err()
	case <-p.closing:
		err = ErrClosed
	}
	if err != nil {
		l.senders.Done()
		return nil, err
	}
	return l, nil
}

// current is the line in use, or a new one where there is none that can be used.
func (p *Producer) current(ctx context.Context) (*line, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.line == nil || p.line.failed() {
		life, hangUp := context.WithCancel(context.WithoutCancel(ctx))
		l, err := newLine(life, hangUp, p.cfg)
		if err != nil {
			hangUp()
			return nil, err
		}
		p.line = l
		p.lines.Go(func() { l.run(life) })
		p.lines.Go(func() { p.follow(l) })
	}
	p.line.senders.Add(1)
	return p.line, nil
}

// follow takes a line out of use when it has become useless, and lets what is on
// it come to its end: the next append gets another.
func (p *Producer) follow(l *line) {
	select {
	case <-l.gone:
		return
	case <-l.useless:
	}
	p.mu.Lock()
	if p.line == l {
		p.line = nil
	}
	p.mu.Unlock()
	l.senders.Wait()
	l.stop()
}

// Close waits for what is in flight, with the brokers away until its attempts
// are used up, and ends the connection.
func (p *Producer) Close() error {
	p.mu.Lock()
	was := p.closed
	p.closed = true
	if !was {
		close(p.closing)
	}
	p.mu.Unlock()
	if !was {
		p.senders.Wait()
		p.mu.Lock()
		l := p.line
		p.mu.Unlock()
		if l != nil {
			l.stop()
		}
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

// A line is one connection of a producer to the brokers, under one producer id.
type line struct {
	cfg     Config
	client  sarama.Client
	hangUp  func()
	senders sync.WaitGroup // callers that may still write to it; added to under Producer.mu while it is in use
	dialled chan struct{}  // closed when async or err is there
	async   sarama.AsyncProducer
	err     error
	useless chan struct{} // closed when the brokers take nothing of this producer id any more
	gone    chan struct{} // closed when the line has ended
	ending  sync.Once
}

// newLine makes a line that ends with ctx, or when it is hung up, and connects
// when it runs.
func newLine(ctx context.Context, hangUp func(), cfg Config) (*line, error) {
	client, err := cfg.newClient(ctx)
	if err != nil {
		return nil, err
	}
	cfg.Metrics.lines.Inc()
	return &line{
		cfg: cfg, client: client, hangUp: hangUp,
		dialled: make(chan struct{}), useless: make(chan struct{}), gone: make(chan struct{}),
	}, nil
}

// run connects and hands out the answers until the line is stopped.
func (l *line) run(ctx context.Context) {
	defer close(l.gone)
	defer l.hangUp()
	defer closeClient(l.client)
	l.async, l.err = sarama.NewAsyncProducerFromClient(l.client)
	if l.err != nil && unconnected(l.err) {
		l.err = l.cfg.explain(ctx, l.err)
	}
	close(l.dialled)
	if l.err != nil {
		return
	}
	var failures sync.WaitGroup
	failures.Go(l.fail)
	for m := range l.async.Successes() {
		m.Metadata.(*delivery).settle(1, nil)
	}
	failures.Wait()
}

// fail hands out the answers that are errors.
func (l *line) fail() {
	retired := false
	for e := range l.async.Errors() {
		if !retired && outOfStep(e.Err) {
			retired = true
			close(l.useless) // before the caller knows: what it appends next goes another way
		}
		e.Msg.Metadata.(*delivery).settle(1, e.Err)
	}
}

// outOfStep says that brokers and producer count its records differently, or
// that the brokers have forgotten it, or know a later one under its id. Counting
// on would fail again and again; a producer id of its own begins at zero. What
// was under way is unknown, as after every error.
func outOfStep(err error) bool {
	for _, e := range []error{
		sarama.ErrOutOfOrderSequenceNumber, sarama.ErrUnknownProducerID, sarama.ErrInvalidProducerEpoch,
		sarama.ErrProducerFenced, sarama.ErrInvalidProducerIDMapping,
	} {
		if errors.Is(err, e) {
			return true
		}
	}
	return false
}

// failed says that the line could not be connected, or is of no use any more.
func (l *line) failed() bool {
	select {
	case <-l.useless:
		return true
	default:
	}
	select {
	case <-l.dialled:
		return l.err != nil
	default:
		return false
	}
}

// stop ends the line: a dial at once, what is in flight when it is answered.
func (l *line) stop() {
	l.ending.Do(func() {
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
	})
}
