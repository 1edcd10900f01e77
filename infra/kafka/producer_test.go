package kafka_test

import (
	"errors"
	"testing"

	"github.com/IBM/sarama"
	"github.com/prometheus/client_golang/prometheus"

	"fernweh/infra/kafka"
	"fernweh/schemas"
)

// TestProducerThatIsOutOfStepBeginsAgain gets each of the answers after which a
// producer id is of no use: that append is unknown, the next goes its way
// under an id of its own.
func TestProducerThatIsOutOfStepBeginsAgain(t *testing.T) {
	for _, refusal := range []sarama.KError{
		sarama.ErrOutOfOrderSequenceNumber, sarama.ErrUnknownProducerID, sarama.ErrInvalidProducerEpoch, sarama.ErrProducerFenced,
	} {
		t.Run(refusal.Error(), func(t *testing.T) {
			e := page("mueller", 1)
			refuse := sarama.NewMockProduceResponse(t).
				SetError(schemas.TopicEvents, schemas.Partition(e.Device, partitions), refusal)
			cfg := kafka.Config{Brokers: []string{scripted(t, refuse)}, ClientID: "test"}
			registry := prometheus.NewRegistry()
			cfg.Metrics = kafka.NewMetrics(registry)
			p := producer(t, cfg)
			if _, err := p.Append(t.Context(), []*schemas.Event{e}); !errors.Is(err, refusal) {
				t.Fatalf("the append that is refused: got %v, want %v", err, refusal)
			}
			for n := range 3 {
				if _, err := p.Append(t.Context(), []*schemas.Event{e}); err != nil {
					t.Fatalf("append %d behind it: got %v", n, err)
				}
			}
			if n := value(t, registry, "fernweh_log_connects_total"); n != 2 {
				t.Errorf("the producer began %v times, want twice", n)
			}
			if n := value(t, registry, "fernweh_log_in_flight_bytes"); n != 0 {
				t.Errorf("bytes in flight in the end: got %v, want 0", n)
			}
		})
	}
}

// scripted is a broker that answers the first produce request in one way, and
// all that follow well.
func scripted(t *testing.T, first sarama.MockResponse) string {
	t.Helper()
	b := sarama.NewMockBroker(t, 1)
	t.Cleanup(b.Close)
	metadata := sarama.NewMockMetadataResponse(t).SetBroker(b.Addr(), 1).SetController(1)
	for partition := range int32(partitions) {
		metadata.SetLeader(schemas.TopicEvents, partition, 1)
	}
	b.SetHandlerByMap(map[string]sarama.MockResponse{
		"ApiVersionsRequest": sarama.NewMockApiVersionsResponse(t).SetApiKeys([]sarama.ApiVersionsResponseKey{
			{ApiKey: 0, MaxVersion: 7},  // produce
			{ApiKey: 3, MaxVersion: 9},  // metadata
			{ApiKey: 18, MaxVersion: 3}, // these
			{ApiKey: 22, MaxVersion: 4}, // producer ids
		}),
		"MetadataRequest":       metadata,
		"InitProducerIDRequest": sarama.NewMockInitProducerIDResponse(t).SetProducerID(7),
		"ProduceRequest":        sarama.NewMockSequence(first, sarama.NewMockProduceResponse(t)),
	})
	return b.Addr()
}
