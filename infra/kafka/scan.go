package kafka

import (
	"context"
	"fmt"
	"time"

	"github.com/IBM/sarama"

	"fernweh/schemas"
)

// Scan calls fn with every record of an event topic of so many partitions that is
// kept when it begins, partition by partition, in their order. It is no member of
// a group and keeps no position.
func Scan(ctx context.Context, cfg Config, partitions int32, fn func(schemas.Record) error) error {
	life, hangUp := context.WithCancel(context.WithoutCancel(ctx))
	defer hangUp()
	client, err := cfg.newClient(life)
	if err != nil {
		return fmt.Errorf("read %s: %w", cfg.Topic(schemas.TopicEvents), err)
	}
	defer closeClient(client)
	for p := range partitions {
		if err := scan(ctx, client, cfg.Topic(schemas.TopicEvents), p, func(m *sarama.ConsumerMessage) error {
			return fn(ReadMessage(m, partitions))
		}); err != nil {
			return fmt.Errorf("read %s partition %d: %w", cfg.Topic(schemas.TopicEvents), p, err)
		}
	}
	return nil
}

// scan calls fn with every message of a partition that is kept.
func scan(ctx context.Context, client sarama.Client, topic string, partition int32, fn func(*sarama.ConsumerMessage) error) error {
	next, err := offset(client, topic, partition, sarama.OffsetOldest)
	if err != nil {
		return err
	}
	end, err := offset(client, topic, partition, sarama.OffsetNewest)
	if err != nil {
		return err
	}
	for next < end {
		if err := ctx.Err(); err != nil {
			return err
		}
		batches, err := fetch(client, topic, partition, next)
		if err != nil {
			return err
		}
		from := next
		for _, b := range batches {
			for _, m := range messages(topic, partition, b) {
				if m.Offset < next || m.Offset >= end {
					continue
				}
				if err := fn(m); err != nil {
					return err
				}
			}
			next = max(next, b.LastOffset()+1)
		}
		if next == from {
			return fmt.Errorf("%w: nothing lies at offset %d, below the end %d", schemas.ErrOutOfRange, next, end)
		}
	}
	return nil
}

// fetch reads what a partition's leader has from an offset on, as it lies there:
// batches of records, and those that mark the end of a transaction.
func fetch(client sarama.Client, topic string, partition int32, from int64) ([]*sarama.RecordBatch, error) {
	const (
		most = 4 << 20 // bytes; a larger batch comes alone
		wait = 500     // milliseconds
	)
	leader, err := client.Leader(topic, partition)
	if err != nil {
		return nil, err
	}
	request := &sarama.FetchRequest{Version: 4, MinBytes: 1, MaxBytes: most, MaxWaitTime: wait}
	request.AddBlock(topic, partition, from, most, -1)
	response, err := leader.Fetch(request)
	if err != nil {
		return nil, err
	}
	block := response.GetBlock(topic, partition)
	if block == nil {
		return nil, fmt.Errorf("fetch offset %d: the answer has no such partition", from)
	}
	if block.Err != sarama.ErrNoError {
		return nil, fmt.Errorf("fetch offset %d: %w", from, block.Err)
	}
	var batches []*sarama.RecordBatch
	for _, set := range block.RecordsSet {
		if set.RecordBatch != nil {
			batches = append(batches, set.RecordBatch)
		}
	}
	return batches, nil
}

// messages are the records of a batch; one that marks the end of a transaction has none.
func messages(topic string, partition int32, b *sarama.RecordBatch) []*sarama.ConsumerMessage {
	if b.Control {
		return nil
	}
	ms := make([]*sarama.ConsumerMessage, len(b.Records))
	for i, r := range b.Records {
		at := b.FirstTimestamp.Add(r.TimestampDelta)
		if b.LogAppendTime {
			at = b.MaxTimestamp
		}
		ms[i] = &sarama.ConsumerMessage{
			Topic: topic, Partition: partition, Offset: b.FirstOffset + r.OffsetDelta,
			Timestamp: at.Truncate(time.Millisecond), Key: r.Key, Value: r.Value, Headers: r.Headers,
		}
	}
	return ms
}
