package kafka_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/IBM/sarama"
	"golang.org/x/sync/errgroup"
	"google.golang.org/protobuf/proto"

	"fernweh/infra/kafka"
	"fernweh/schemas"
)

// benched is a real Kafka with the topics of this benchmark on it.
func benched(b *testing.B) kafka.Config {
	b.Helper()
	brokers := os.Getenv("FERNWEH_TEST_KAFKA")
	if brokers == "" {
		b.Skip("FERNWEH_TEST_KAFKA names no Kafka to measure: make servers-up starts one")
	}
	cfg := kafka.Config{
		Brokers: strings.Split(brokers, ","), ClientID: "bench", Prefix: fmt.Sprintf("b%x", time.Now().UnixNano()),
	}
	if err := kafka.EnsureTopics(b.Context(), cfg, schemas.Topics(6), 1); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		admin, err := sarama.NewClusterAdmin(cfg.Brokers, bare())
		if err != nil {
			b.Fatal(err)
		}
		defer admin.Close()
		for _, topic := range schemas.Topics(6) {
			if err := admin.DeleteTopic(cfg.Topic(topic.Name)); err != nil {
				b.Error(err)
			}
		}
	})
	return cfg
}

// bare is sarama with the promises that ours makes, and nothing else of ours.
func bare() *sarama.Config {
	c := sarama.NewConfig()
	c.Version = sarama.MaxVersion
	c.Net.MaxOpenRequests = 1
	c.Producer.Idempotent = true
	c.Producer.RequiredAcks = sarama.WaitForAll
	c.Producer.Partitioner = sarama.NewManualPartitioner
	c.Producer.Compression = sarama.CompressionLZ4
	c.Producer.Return.Successes = true
	c.Consumer.Offsets.Initial = sarama.OffsetOldest
	return c
}

// events that a portal sends: about 300 bytes each, of many devices.
func benchEvents(n int) []*schemas.Event {
	events := make([]*schemas.Event, n)
	for i := range events {
		events[i] = page(fmt.Sprintf("device-%08d", i*7919%5000), i)
		events[i].Properties = fmt.Sprintf(`{"path":"/hotel/%d","title":"%s"}`, i, strings.Repeat("Wellness am See ", 12))
	}
	return events
}

// How many events are written and read, and in what batches.
const (
	benchTotal = 300_000
	benchBatch = 500
)

// writeOurs appends from 64 callers, each waiting for its batch.
func writeOurs(ctx context.Context, cfg kafka.Config, events []*schemas.Event) error {
	p, err := kafka.NewProducer(cfg, 6)
	if err != nil {
		return err
	}
	defer p.Close()
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(64)
	for i := 0; i < len(events); i += benchBatch {
		g.Go(func() error {
			_, err := p.Append(ctx, events[i:min(i+benchBatch, len(events))])
			return err
		})
	}
	return g.Wait()
}

// writeBare gives all messages to an async producer, as fast as it takes them.
func writeBare(cfg kafka.Config, events []*schemas.Event) error {
	p, err := sarama.NewAsyncProducer(cfg.Brokers, bare())
	if err != nil {
		return err
	}
	var answers sync.WaitGroup
	var failed error
	answers.Go(func() {
		for range p.Successes() {
		}
	})
	answers.Go(func() {
		for e := range p.Errors() {
			failed = e
		}
	})
	for _, e := range events {
		value, err := proto.Marshal(e)
		if err != nil {
			return err
		}
		p.Input() <- &sarama.ProducerMessage{
			Topic: cfg.Topic(schemas.TopicEvents), Partition: schemas.Partition(e.Device, 6),
			Key: sarama.StringEncoder(e.Device), Value: sarama.ByteEncoder(value),
		}
	}
	p.AsyncClose()
	answers.Wait()
	return failed
}

// readOurs reads everything, decoded.
func readOurs(ctx context.Context, cfg kafka.Config, n int) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var mu sync.Mutex
	err := kafka.NewLog(cfg, partitions, kafka.LogOptions{Group: "bench-ours", MaxBatch: 1000, Linger: time.Millisecond}).Consume(ctx,
		func(context.Context, int32) (int64, kafka.Handle, error) {
			return 0, func(_ context.Context, records []schemas.Record) error {
				mu.Lock()
				defer mu.Unlock()
				if n -= len(records); n <= 0 {
					cancel()
				}
				return nil
			}, nil
		})
	if errors.Is(err, context.Canceled) {
		return nil
	}
	return err
}

// A bareGroup counts messages, decodes and marks them.
type bareGroup struct {
	mu   sync.Mutex
	left int
	stop func()
}

func (*bareGroup) Setup(sarama.ConsumerGroupSession) error   { return nil }
func (*bareGroup) Cleanup(sarama.ConsumerGroupSession) error { return nil }

func (g *bareGroup) ConsumeClaim(s sarama.ConsumerGroupSession, c sarama.ConsumerGroupClaim) error {
	for m := range c.Messages() {
		if err := proto.Unmarshal(m.Value, new(schemas.Event)); err != nil {
			return err
		}
		s.MarkMessage(m, "")
		g.mu.Lock()
		if g.left--; g.left == 0 {
			g.stop()
		}
		g.mu.Unlock()
	}
	return nil
}

func readBare(ctx context.Context, cfg kafka.Config, n int) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	group, err := sarama.NewConsumerGroup(cfg.Brokers, cfg.Group("bench-bare"), bare())
	if err != nil {
		return err
	}
	defer group.Close()
	err = group.Consume(ctx, []string{cfg.Topic(schemas.TopicEvents)}, &bareGroup{left: n, stop: cancel})
	if errors.Is(err, context.Canceled) {
		return nil
	}
	return err
}

// BenchmarkBesideSarama writes and reads the same events with ours and with the
// bare client, in turn. Both encode, decode, compress and mark.
func BenchmarkBesideSarama(b *testing.B) {
	events := benchEvents(benchTotal)
	for range b.N {
		ours, alone := benched(b), benched(b)
		for _, step := range []struct {
			unit string
			do   func() error
		}{
			{"bare-writes/s", func() error { return writeBare(alone, events) }},
			{"our-writes/s", func() error { return writeOurs(b.Context(), ours, events) }},
			{"bare-reads/s", func() error { return readBare(b.Context(), alone, len(events)) }},
			{"our-reads/s", func() error { return readOurs(b.Context(), ours, len(events)) }},
		} {
			began := time.Now()
			if err := step.do(); err != nil {
				b.Fatalf("%s: %v", step.unit, err)
			}
			b.ReportMetric(float64(len(events))/time.Since(began).Seconds(), step.unit)
		}
	}
}
