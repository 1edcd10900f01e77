package kafka_test

import (
	"context"
	"testing"
	"time"

	"fernweh/infra/embedded"
	"fernweh/infra/infratest"
	"fernweh/infra/kafka"
	"fernweh/schemas"
)

// partitions of the event topic in these tests.
const partitions = 3

// broker runs a broker for the test, with all topics.
func broker(t *testing.T) kafka.Config {
	t.Helper()
	b, err := embedded.OpenBroker(t.TempDir(), 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := b.Close(); err != nil {
			t.Error(err)
		}
	})
	cfg := kafka.Config{Brokers: []string{b.Addr()}, ClientID: "test"}
	if err := kafka.EnsureTopics(t.Context(), cfg, schemas.Topics(partitions), 1); err != nil {
		t.Fatal(err)
	}
	return cfg
}

// producer makes a producer that the test closes.
func producer(t *testing.T, cfg kafka.Config) *kafka.Producer {
	t.Helper()
	p, err := kafka.NewProducer(cfg, partitions)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := p.Close(); err != nil {
			t.Error(err)
		}
	})
	return p
}

// An eventLog is the event topic as the suite wants it.
type eventLog struct {
	*kafka.Producer
	*kafka.Tail
	cfg kafka.Config
}

func (l eventLog) Close() error { return l.Tail.Close() }

func (l eventLog) Consume(ctx context.Context, group string, open infratest.Open) error {
	options := kafka.LogOptions{Group: group, MaxBatch: infratest.MaxLogBatch, Linger: 5 * time.Millisecond}
	return kafka.NewLog(l.cfg, options).Consume(ctx, open)
}

func TestLog(t *testing.T) {
	cfg := broker(t)
	infratest.Log(t, func(t *testing.T) infratest.EventLog {
		l := eventLog{producer(t, cfg), kafka.NewTail(cfg, schemas.TopicEvents), cfg}
		t.Cleanup(func() { l.Close() })
		return l
	})
}
