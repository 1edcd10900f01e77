package bench_test

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"sync/atomic"
	"testing"
	"time"

	"fernweh/ingest/client"
	"fernweh/schemas"

	"github.com/IBM/sarama"
	"golang.org/x/sync/errgroup"
	"google.golang.org/protobuf/proto"
)

const (
	collected   = 300_000 // events sent
	batchSize   = 100     // events in a request
	connections = 16
)

// BenchmarkCollector sends events through the collector's door, each request
// acknowledged by the synced log, and beside it appends the same records with
// sarama's producer alone.
func BenchmarkCollector(b *testing.B) {
	for b.Loop() {
		door := throughDoor(b)
		peer := producerAlone(b)
		b.ReportMetric(door, "events/s")
		b.ReportMetric(peer, "sarama-events/s")
		b.ReportMetric(door/peer, "of-sarama")
	}
}

// throughDoor is the rate of events in batches over HTTP.
func throughDoor(b *testing.B) float64 {
	s := openBench(b)
	url := s.collector(b) + "/v1/batch"
	bodies := requests(b, collected)
	http := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: connections}}
	b.Cleanup(http.CloseIdleConnections)

	start := time.Now()
	var next atomic.Int64
	var g errgroup.Group
	for range connections {
		g.Go(func() error {
			for {
				i := int(next.Add(1)) - 1
				if i >= len(bodies) {
					return nil
				}
				if _, err := post(http, url, bodies[i]); err != nil {
					return err
				}
			}
		})
	}
	if err := g.Wait(); err != nil {
		b.Fatal(err)
	}
	return collected / time.Since(start).Seconds()
}

// requests are the bodies of n events, made beforehand: the load must not be
// what is measured.
func requests(b *testing.B, n int) [][]byte {
	b.Helper()
	var bodies [][]byte
	for chunk := range chunks(travellers(b, n), batchSize) {
		body, err := request(chunk)
		if err != nil {
			b.Fatal(err)
		}
		bodies = append(bodies, body)
	}
	return bodies
}

func request(es []client.Event) ([]byte, error) {
	body := []byte(`{"batch":[`)
	for i, e := range es {
		if i > 0 {
			body = append(body, ',')
		}
		var err error
		if body, err = e.AppendJSON(body); err != nil {
			return nil, err
		}
	}
	return append(body, "]}"...), nil
}

// post sends one request and gives back its Fernweh-After.
func post(c *http.Client, url string, body []byte) (after string, err error) {
	req, err := http.NewRequest(http.MethodPost, url, bytes.NewReader(body))
	if err != nil {
		return "", err
	}
	req.Header.Set("Content-Type", "application/json")
	req.SetBasicAuth(writeKey, "")
	resp, err := c.Do(req)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(resp.Body)
	if err == nil && resp.StatusCode != http.StatusOK {
		err = fmt.Errorf("the collector answered %s: %s", resp.Status, answer)
	}
	return resp.Header.Get("Fernweh-After"), err
}

// producerAlone is the rate of the same records by sarama's asynchronous
// producer, acknowledged and idempotent like ours, with nothing before it.
func producerAlone(b *testing.B) float64 {
	s := openBench(b)
	var messages []*sarama.ProducerMessage
	for e := range taken(travellers(b, collected)) {
		value, err := proto.Marshal(e)
		if err != nil {
			b.Fatal(err)
		}
		messages = append(messages, &sarama.ProducerMessage{
			Topic: schemas.TopicEvents, Partition: schemas.Partition(e.Device, partitions),
			Key: sarama.StringEncoder(e.Device), Value: sarama.ByteEncoder(value),
		})
	}
	p, err := sarama.NewAsyncProducer(s.kafka.Brokers, likeOurs())
	if err != nil {
		b.Fatal(err)
	}
	start := time.Now()
	var g errgroup.Group
	g.Go(func() error {
		for range messages {
			select {
			case <-p.Successes():
			case err := <-p.Errors():
				return err
			}
		}
		return nil
	})
	for _, m := range messages {
		p.Input() <- m
	}
	if err := g.Wait(); err != nil {
		b.Fatal(err)
	}
	rate := collected / time.Since(start).Seconds()
	closing(b, p.Close)
	return rate
}

func likeOurs() *sarama.Config {
	c := sarama.NewConfig()
	c.Version = sarama.MaxVersion
	c.Net.MaxOpenRequests = 1
	c.Producer.RequiredAcks = sarama.WaitForAll
	c.Producer.Idempotent = true
	c.Producer.Partitioner = sarama.NewManualPartitioner
	c.Producer.MaxMessageBytes = 1_000_000
	c.Producer.Compression = sarama.CompressionLZ4
	c.Producer.Return.Successes = true
	return c
}
