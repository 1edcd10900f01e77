package kafka_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/IBM/sarama"
	"github.com/prometheus/client_golang/prometheus"
	"google.golang.org/protobuf/proto"

	"fernweh/infra/kafka"
	"fernweh/schemas"
)

// decisionsOf reads the topic of decisions from a start until there are so many records.
func decisionsOf(t *testing.T, cfg kafka.Config, start int64, n int) ([]schemas.DecisionRecord, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	var got []schemas.DecisionRecord
	err := kafka.NewDecisions(cfg, kafka.LogOptions{Group: "fernweh-documents", MaxBatch: 2}).Consume(ctx,
		func(_ context.Context, partition int32) (int64, kafka.HandleOf[schemas.DecisionRecord], error) {
			if partition != 1 {
				return schemas.Oldest, func(_ context.Context, records []schemas.DecisionRecord) error {
					return fmt.Errorf("partition %d has %d records, want none", partition, len(records))
				}, nil
			}
			return start, func(_ context.Context, records []schemas.DecisionRecord) error {
				if got = append(got, records...); len(got) >= n {
					cancel()
				}
				return nil
			}, nil
		})
	if errors.Is(err, context.Canceled) {
		err = nil
	}
	return got, err
}

// TestDecisionsAreFollowed reads what speed said, from the first that is kept
// and from a position of the reader's own; bytes that are no decision come by
// without one, and are counted.
func TestDecisionsAreFollowed(t *testing.T) {
	everywhere(t, func(t *testing.T, cfg kafka.Config) {
		registry := prometheus.NewRegistry()
		cfg.Metrics = kafka.NewMetrics(registry)
		said := []*schemas.Decision{
			{Id: "1-7-segment", Device: "mueller", Partition: 1, Offset: 7, Segment: "quiet", Epoch: 3},
			{Id: "1-8-segment", Device: "weber", Partition: 1, Offset: 8, Segment: "family"},
			{Id: "1-9-segment", Device: "mueller", Partition: 1, Offset: 9, Erased: true},
		}
		p := producer(t, cfg)
		if err := p.AppendDecisions(t.Context(), said[:2]); err != nil {
			t.Fatal(err)
		}
		sendForeign(t, cfg, &sarama.ProducerMessage{
			Topic: cfg.Topic(schemas.TopicDecisions), Partition: 1, Value: sarama.StringEncoder("no protobuf"),
		})
		if err := p.AppendDecisions(t.Context(), said[2:]); err != nil {
			t.Fatal(err)
		}
		want := []*schemas.Decision{said[0], said[1], nil, said[2]}
		for _, start := range []int64{schemas.Oldest, 0, 2} {
			got, err := decisionsOf(t, cfg, start, len(want)-int(max(start, 0)))
			if err != nil {
				t.Fatalf("from %d: %v", start, err)
			}
			for i, r := range got {
				offset := max(start, 0) + int64(i)
				if r.Offset != offset || r.Partition != 1 || !proto.Equal(r.Decision, want[offset]) {
					t.Errorf("from %d, record %d: got %v at %d:%d, want %v at 1:%d",
						start, i, r.Decision, r.Partition, r.Offset, want[offset], offset)
				}
			}
		}
		for _, start := range []int64{-1, 5} {
			if _, err := decisionsOf(t, cfg, start, 1); !errors.Is(err, schemas.ErrOutOfRange) {
				t.Errorf("from %d of a topic from 0 to 4: got %v, want %v", start, err, schemas.ErrOutOfRange)
			}
		}
		if n := value(t, registry, "fernweh_log_unreadable_total", cfg.Topic(schemas.TopicDecisions)); n != 3 {
			t.Errorf("one unreadable record read three times: %v are counted, want 3", n)
		}
	})
}

// sendForeign writes messages as no producer of ours would.
func sendForeign(t *testing.T, cfg kafka.Config, messages ...*sarama.ProducerMessage) {
	t.Helper()
	config := sarama.NewConfig()
	config.Version = sarama.MaxVersion
	config.Producer.Return.Successes = true
	config.Producer.Partitioner = sarama.NewManualPartitioner
	foreign, err := sarama.NewSyncProducer(cfg.Brokers, config)
	if err != nil {
		t.Fatal(err)
	}
	defer foreign.Close()
	if err := foreign.SendMessages(messages); err != nil {
		t.Fatal(err)
	}
}

// TestLagIsWhatIsNotHandled stops in the middle of a partition and looks.
func TestLagIsWhatIsNotHandled(t *testing.T) {
	everywhere(t, func(t *testing.T, cfg kafka.Config) {
		registry := prometheus.NewRegistry()
		cfg.Metrics = kafka.NewMetrics(registry)
		p := producer(t, cfg)
		events := make([]*schemas.Event, 10)
		for i := range events {
			events[i] = page("mueller", i)
		}
		if _, err := p.Append(t.Context(), events); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		batches := 0
		err := kafka.NewLog(cfg, partitions, kafka.LogOptions{Group: "fernweh-speed", MaxBatch: 2, Linger: time.Second}).Consume(ctx,
			func(context.Context, int32) (int64, kafka.Handle, error) {
				return 0, func(context.Context, []schemas.Record) error {
					if batches++; batches < 4 {
						return nil
					}
					lag := value(t, registry, "fernweh_log_lag",
						cfg.Group("fernweh-speed"), fmt.Sprint(schemas.Partition("mueller", partitions)))
					if lag != 4 {
						t.Errorf("lag with 6 of 10 handled: got %v, want 4", lag)
					}
					cancel()
					return nil
				}, nil
			})
		if !errors.Is(err, context.Canceled) {
			t.Fatal(err)
		}
		if n := values(t, registry, "fernweh_log_lag"); len(n) != 0 {
			t.Errorf("lags of a reader that has left: got %v, want none", n)
		}
		if n := value(t, registry, "fernweh_log_rebalances_total", cfg.Group("fernweh-speed")); n != 1 {
			t.Errorf("rebalances: got %v, want 1", n)
		}
		if n := value(t, registry, "fernweh_log_in_flight_bytes"); n != 0 {
			t.Errorf("bytes in flight after all was acknowledged: got %v, want 0", n)
		}
	})
}

// values are those of a metric, in all series that have these values of labels.
func values(t *testing.T, r prometheus.Gatherer, name string, labels ...string) (found []float64) {
	t.Helper()
	families, err := r.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		for _, m := range f.GetMetric() {
			has := map[string]bool{}
			for _, l := range m.GetLabel() {
				has[l.GetValue()] = true
			}
			all := f.GetName() == name
			for _, l := range labels {
				all = all && has[l]
			}
			if all {
				found = append(found, m.GetGauge().GetValue()+m.GetCounter().GetValue())
			}
		}
	}
	return found
}

// value is that of the one series that has these values of labels.
func value(t *testing.T, r prometheus.Gatherer, name string, labels ...string) float64 {
	t.Helper()
	found := values(t, r, name, labels...)
	if len(found) != 1 {
		t.Fatalf("metric %s of %v: got %v, want one", name, labels, found)
	}
	return found[0]
}
