package kafka_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/IBM/sarama"

	"fernweh/infra/kafka"
	"fernweh/infra/native"
	"fernweh/schemas"
)

// TestTheBrokersClockCounts writes a record that says it is from the year 2001.
// The embedded broker believes it: it has no append time.
func TestTheBrokersClockCounts(t *testing.T) {
	cfg := withTopics(t, real(t))
	sendForeign(t, cfg, &sarama.ProducerMessage{
		Topic: cfg.Topic(schemas.TopicEvents), Timestamp: time.Unix(1_000_000_000, 0), Value: sarama.StringEncoder("x"),
	})
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	err := kafka.NewLog(cfg, partitions, kafka.LogOptions{Group: "g"}).Consume(ctx,
		func(context.Context, int32) (int64, kafka.Handle, error) {
			return 0, func(_ context.Context, records []schemas.Record) error {
				if at := time.UnixMicro(records[0].At); time.Since(at).Abs() > time.Hour {
					t.Errorf("the record was appended at %v, want a time of now", at)
				}
				cancel()
				return nil
			}, nil
		})
	if !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}

// ownKafka starts a Kafka that the test may kill.
func ownKafka(t *testing.T) (*native.Server, kafka.Config) {
	t.Helper()
	real(t) // who has one named has a JDK too
	ports, err := native.FreePorts(native.Kafka)
	if err != nil {
		t.Fatal(err)
	}
	s, err := native.New(native.Kafka, native.Options{Dir: t.TempDir(), Ports: ports})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Stop(); err != nil {
			t.Error(err)
		}
	})
	return s, kafka.Config{Brokers: []string{s.Addr()}, ClientID: "test"}
}

// TestKafkaIsKilledUnderLoad kills a Kafka again and again. Its clients go on by
// themselves, whichever was there first.
func TestKafkaIsKilledUnderLoad(t *testing.T) {
	s, cfg := ownKafka(t)
	started := make(chan error, 1)
	go func() { started <- s.Start(t.Context()) }()
	cfg.StartWithin = s.Patience()
	withTopics(t, cfg) // waits for a Kafka that is still starting
	if err := <-started; err != nil {
		t.Fatal(err)
	}
	kill := func() error { return errors.Join(s.Kill(), s.Start(t.Context())) }
	underLoad(t, cfg, kill, kill, kill)
}
