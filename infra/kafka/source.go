package kafka

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/IBM/sarama"
)

// A source is where the messages of a claim come from: the group's own, or, once
// its reader had to go back, a consumer of this partition alone.
type source struct {
	messages  <-chan *sarama.ConsumerMessage
	errs      <-chan *sarama.ConsumerError // nil: the group has them
	highWater func() int64
	own       sarama.PartitionConsumer // nil: it is the group's

	back []*sarama.ConsumerMessage // taken, and to be taken again
	next int64                     // offset of the next message
}

// What take gives: a message, or why there is none.
type state int

const (
	taken state = iota
	lingered
	ended
)

// take waits for the next message.
func (s *source) take(ctx context.Context, linger <-chan time.Time, trouble func(error)) (*sarama.ConsumerMessage, state, error) {
	if ctx.Err() != nil {
		return nil, ended, nil
	}
	if len(s.back) > 0 {
		message := s.back[0]
		s.back, s.next = s.back[1:], message.Offset+1
		return message, taken, nil
	}
	for {
		select {
		case message, ok := <-s.messages:
			if ok && ctx.Err() == nil {
				s.next = message.Offset + 1
				return message, taken, nil
			}
			if s.own != nil && ctx.Err() == nil {
				return nil, ended, errors.New("its consumer has ended")
			}
			return nil, ended, nil
		case err, ok := <-s.errs:
			switch {
			case !ok:
				s.errs = nil // the messages say that it has ended
			case errors.Is(err, sarama.ErrOffsetOutOfRange):
				return nil, ended, err
			default:
				trouble(err)
			}
		case <-linger:
			return nil, lingered, nil
		case <-ctx.Done():
			return nil, ended, nil
		}
	}
}

// giveBack puts messages that were taken before those to come.
func (s *source) giveBack(messages []*sarama.ConsumerMessage) {
	s.back, s.next = append(messages, s.back...), messages[0].Offset
}

// none is the offset at which a source that was closed goes on.
const none = -1

// skipTo leaves out what was given back and lies before an offset. It is false if
// the offset is none that the source can go on at.
func (s *source) skipTo(offset int64) bool {
	for len(s.back) > 0 && s.back[0].Offset < offset {
		s.next = s.back[0].Offset + 1
		s.back = s.back[1:]
	}
	return s.next == offset
}

// close ends a consumer of its own.
func (s *source) close() {
	if s.own != nil {
		_ = s.own.Close() // its errors are of what nobody reads any more
	}
}

// A rewinder makes consumers for partitions whose readers had to go back further
// than what is in memory: a member of a group can't seek without all its
// partitions changing hands. They share connections of their own, so that the
// others don't wait behind them.
type rewinder[R any] struct {
	cfg    Config
	life   context.Context
	config *sarama.Config

	mu       sync.Mutex
	client   sarama.Client   // guarded by mu; nil: not needed yet
	consumer sarama.Consumer // guarded by mu
}

// rewind gives a source that goes on at an offset: the same, if it can.
func (r *rewinder[R]) rewind(
	ctx context.Context, topic string, partition int32, from *source, offset int64,
) (*source, error) {
	if from.skipTo(offset) {
		return from, nil
	}
	from.close()
	*from = source{next: none}
	consumer, err := r.connect()
	if err != nil {
		return from, fmt.Errorf("go back to offset %d of partition %d: %w", offset, partition, err)
	}
	own, err := consumer.ConsumePartition(topic, partition, offset)
	if err != nil {
		return from, fmt.Errorf("go back to offset %d of partition %d: %w", offset, partition, err)
	}
	return &source{
		messages: own.Messages(), errs: own.Errors(), highWater: own.HighWaterMarkOffset, own: own, next: offset,
	}, ctx.Err()
}

// connect makes the consumer at its first use.
func (r *rewinder[R]) connect() (sarama.Consumer, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.consumer != nil {
		return r.consumer, nil
	}
	client, err := newClient(r.cfg.Brokers, r.config)
	if err != nil {
		return nil, err
	}
	consumer, err := sarama.NewConsumerFromClient(client)
	if err != nil {
		closeClient(client)
		return nil, err
	}
	r.client, r.consumer = client, consumer
	return consumer, nil
}

// close ends the connections, once no source is used.
func (r *rewinder[R]) close() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.consumer != nil {
		_ = r.consumer.Close() // nothing was written
		closeClient(r.client)
	}
}
