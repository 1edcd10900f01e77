package kafka_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/IBM/sarama"
	"google.golang.org/protobuf/proto"

	"fernweh/infra/kafka"
	"fernweh/schemas"
)

// TestTransactionsLeaveGapsThatExplainThemselves: a foreign producer writes in
// transactions, whose ends take an offset each and are no records. Readers go on
// behind them, count their offsets, and begin at one as well.
func TestTransactionsLeaveGapsThatExplainThemselves(t *testing.T) { everywhere(t, transactions) }

func transactions(t *testing.T, cfg kafka.Config) {
	config := sarama.NewConfig()
	config.Version = sarama.MaxVersion
	config.Producer.Return.Successes = true
	config.Producer.Partitioner = sarama.NewManualPartitioner
	config.Producer.RequiredAcks = sarama.WaitForAll
	config.Producer.Idempotent, config.Net.MaxOpenRequests = true, 1
	config.Producer.Transaction.ID = "foreign-" + cfg.Prefix
	foreign, err := sarama.NewSyncProducer(cfg.Brokers, config)
	if err != nil {
		t.Fatal(err)
	}
	defer foreign.Close()
	device := "d"
	partition := schemas.Partition(device, partitions)
	n := 0
	transaction := func(events int, end func() error) {
		if err := foreign.BeginTxn(); err != nil {
			t.Fatal(err)
		}
		for range events {
			value, _ := proto.Marshal(page(device, n))
			n++
			if _, _, err := foreign.SendMessage(&sarama.ProducerMessage{Topic: cfg.Topic(schemas.TopicEvents), Partition: partition, Value: sarama.ByteEncoder(value)}); err != nil {
				t.Fatal(err)
			}
		}
		if err := end(); err != nil {
			t.Fatal(err)
		}
	}
	transaction(2, foreign.CommitTxn)
	transaction(1, foreign.AbortTxn) // nothing tells its records from others'
	transaction(1, foreign.CommitTxn)
	if _, err := producer(t, cfg).Append(t.Context(), []*schemas.Event{page(device, n)}); err != nil {
		t.Fatal(err)
	}
	const want = "event event gap event gap event gap event"
	for start := range int64(8) {
		for _, most := range []int{1, 2, 100} {
			got, err := readFrom(t, cfg, partition, start, 8, most)
			if err != nil || got != want[lenOf(want, start):] {
				t.Errorf("from offset %d, %d at once: got %q, %v, want %q", start, most, got, err, want[lenOf(want, start):])
			}
		}
	}
}

// lenOf is where the n-th word begins.
func lenOf(words string, n int64) int {
	at := 0
	for ; n > 0; at++ {
		if words[at] == ' ' {
			n--
		}
	}
	return at
}

// readFrom reads a partition from an offset to an end and says what it found.
func readFrom(t *testing.T, cfg kafka.Config, partition int32, start, end int64, most int) (words string, err error) {
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	next := start
	err = kafka.NewLog(cfg, partitions, kafka.LogOptions{Group: "g", MaxBatch: most, Linger: time.Millisecond}).Consume(ctx,
		func(_ context.Context, p int32) (int64, kafka.Handle, error) {
			if p != partition {
				return 0, func(context.Context, []schemas.Record) error { return nil }, nil
			}
			return start, func(_ context.Context, records []schemas.Record) error {
				if len(records) > most {
					t.Errorf("got %d records at once, want at most %d", len(records), most)
				}
				for _, r := range records {
					if r.Offset != next {
						return fmt.Errorf("got offset %d, want %d", r.Offset, next)
					}
					next++
					word := "nothing"
					if r.Event != nil {
						word = "event"
					} else if r.Gap {
						word = "gap"
					}
					if words += word; next < end {
						words += " "
					}
				}
				if next == end {
					cancel()
				}
				return nil
			}, nil
		})
	if errors.Is(err, context.Canceled) {
		err = nil
	}
	return words, err
}
