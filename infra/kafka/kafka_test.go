package kafka_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/IBM/sarama"

	"fernweh/infra/embedded"
	"fernweh/infra/infratest"
	"fernweh/infra/kafka"
	"fernweh/schemas"
)

// partitions of the event topic in these tests.
const partitions = 3

// everywhere runs a test on the broker of this process and on a real Kafka.
func everywhere(t *testing.T, run func(t *testing.T, cfg kafka.Config)) {
	t.Run("embedded", func(t *testing.T) { run(t, broker(t)) })
	t.Run("kafka", func(t *testing.T) { run(t, withTopics(t, real(t))) })
}

// real is the Kafka that FERNWEH_TEST_KAFKA names, with names of the test's own
// on it and nothing there yet.
func real(t *testing.T) kafka.Config {
	t.Helper()
	brokers := os.Getenv("FERNWEH_TEST_KAFKA")
	if brokers == "" {
		t.Skip("FERNWEH_TEST_KAFKA names no Kafka to test on: make test-real starts one")
	}
	cfg := kafka.Config{
		Brokers: strings.Split(brokers, ","), ClientID: "test", Prefix: fmt.Sprintf("t%08x", rand.Uint32()),
	}
	t.Cleanup(func() { removeTopics(t, cfg) })
	return cfg
}

// secured is how to go through the second door of the same Kafka, which speaks
// TLS and asks who is there.
func secured(t *testing.T, cfg kafka.Config) kafka.Config {
	t.Helper()
	door := os.Getenv("FERNWEH_TEST_KAFKA_SASL")
	if door == "" {
		t.Skip("FERNWEH_TEST_KAFKA_SASL names no Kafka with SASL and TLS: make test-real starts one")
	}
	password, err := os.ReadFile(os.Getenv("FERNWEH_TEST_KAFKA_PASSWORD_FILE"))
	if err != nil {
		t.Fatal(err)
	}
	cfg.Brokers = []string{door}
	cfg.SASL = kafka.SASL{
		Mechanism: "SCRAM-SHA-512", User: os.Getenv("FERNWEH_TEST_KAFKA_USER"), Password: strings.TrimSpace(string(password)),
	}
	cfg.TLS = kafka.TLS{On: true, CA: os.Getenv("FERNWEH_TEST_KAFKA_CA")}
	return cfg
}

// administer lends an admin of the bare client.
func administer(t *testing.T, cfg kafka.Config, do func(sarama.ClusterAdmin) error) {
	t.Helper()
	config := sarama.NewConfig()
	config.Version = sarama.MaxVersion
	admin, err := sarama.NewClusterAdmin(cfg.Brokers, config)
	if err != nil {
		t.Fatal(err)
	}
	defer admin.Close()
	if err := do(admin); err != nil {
		t.Fatal(err)
	}
}

// removeTopics leaves the Kafka as it was.
func removeTopics(t *testing.T, cfg kafka.Config) {
	administer(t, cfg, func(admin sarama.ClusterAdmin) error {
		topics, err := admin.ListTopics()
		for name := range topics {
			if err == nil && strings.HasPrefix(name, cfg.Prefix+".") {
				err = admin.DeleteTopic(name)
			}
		}
		return err
	})
}

// withTopics makes all topics.
func withTopics(t *testing.T, cfg kafka.Config) kafka.Config {
	t.Helper()
	if err := kafka.EnsureTopics(t.Context(), cfg, schemas.Topics(partitions), 1); err != nil {
		t.Fatal(err)
	}
	return cfg
}

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
	return withTopics(t, kafka.Config{Brokers: []string{b.Addr()}, ClientID: "test"})
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

func (l eventLog) Close() error { return errors.Join(l.Producer.Close(), l.Tail.Close()) }

func (l eventLog) Consume(ctx context.Context, group string, open infratest.Open) error {
	options := kafka.LogOptions{Group: group, MaxBatch: infratest.MaxLogBatch, Linger: 5 * time.Millisecond}
	return kafka.NewLog(l.cfg, partitions, options).Consume(ctx, open)
}

// Committed asks as a tool for lags does.
func (l eventLog) Committed(_ context.Context, group string) ([]int64, error) {
	config := sarama.NewConfig()
	config.Version = sarama.MaxVersion
	admin, err := sarama.NewClusterAdmin(l.cfg.Brokers, config)
	if err != nil {
		return nil, err
	}
	defer admin.Close()
	topic := l.cfg.Topic(schemas.TopicEvents)
	all := make([]int32, partitions)
	for p := range all {
		all[p] = int32(p)
	}
	answer, err := admin.ListConsumerGroupOffsets(l.cfg.Group(group), map[string][]int32{topic: all})
	if err != nil {
		return nil, err
	}
	offsets := make([]int64, partitions)
	for p := range offsets {
		offsets[p] = -1
		if block := answer.GetBlock(topic, int32(p)); block != nil {
			offsets[p] = block.Offset
		}
	}
	return offsets, nil
}

func TestLog(t *testing.T) {
	everywhere(t, func(t *testing.T, cfg kafka.Config) {
		infratest.Log(t, func(t *testing.T) infratest.EventLog {
			l := eventLog{producer(t, cfg), kafka.NewTail(cfg, schemas.TopicEvents), cfg}
			t.Cleanup(func() {
				if err := l.Close(); err != nil {
					t.Error(err)
				}
			})
			return l
		})
	})
}
