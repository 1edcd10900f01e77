// Package bench_test measures the layers on the embedded shape, each beside what
// bounds it: docs/benchmarks.md has the figures and says how to repeat them.
//
// The sizes are fixed and the events are the simulator's, so that two runs on one
// machine do the same work. Nothing here judges a time.
package bench_test

import (
	"context"
	"errors"
	"iter"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"testing"
	"time"

	"fernweh/infra/embedded"
	"fernweh/infra/kafka"
	"fernweh/ingest"
	"fernweh/ingest/client"
	"fernweh/ingest/simulate"
	"fernweh/ingest/spool"
	"fernweh/schemas"

	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/sync/errgroup"
)

// partitions are as many as the program makes unless it is told otherwise.
const partitions = 8

// writeKey is what the load sends with.
const writeKey = "demo"

// travellers are the first n events of half a year of the simulated portal, as
// they come to the door.
func travellers(b *testing.B, n int) iter.Seq[client.Event] {
	b.Helper()
	to := time.Date(2026, time.November, 22, 0, 0, 0, 0, time.UTC)
	portal, err := simulate.New(simulate.Settings{Seed: 1, Events: n + n/5 + 100, From: to.AddDate(0, -6, 0), To: to})
	if err != nil {
		b.Fatal(err)
	}
	return func(yield func(client.Event) bool) {
		left := n
		for e := range portal.Events() {
			if left == 0 || !yield(e) {
				return
			}
			left--
		}
		b.Fatalf("the portal gave %d events fewer than %d", left, n)
	}
}

// passersBy are n events of a busy portal, rate of them a second.
func passersBy(b *testing.B, n int, rate float64) iter.Seq[client.Event] {
	b.Helper()
	to := time.Date(2026, time.November, 22, 0, 0, 0, 0, time.UTC)
	portal, err := simulate.New(simulate.Settings{Seed: 1, Rate: rate, From: to.AddDate(0, 0, -1), To: to})
	if err != nil {
		b.Fatal(err)
	}
	return func(yield func(client.Event) bool) {
		left := n
		for e := range portal.Events() {
			if left == 0 || !yield(e) {
				return
			}
			left--
		}
	}
}

// taken are what the collector makes of the events that come to its door.
func taken(es iter.Seq[client.Event]) iter.Seq[*schemas.Event] {
	return func(yield func(*schemas.Event) bool) {
		for e := range es {
			e.Received, e.Source, e.AssumedConsent = e.Due, "web", true
			if !yield(e.Event) {
				return
			}
		}
	}
}

// A bench is the embedded log and what speaks to it.
type bench struct {
	kafka    kafka.Config
	producer *kafka.Producer
}

// openBench starts a broker that syncs every batch, with the program's topics.
func openBench(b *testing.B) *bench {
	b.Helper()
	broker, err := embedded.OpenBroker(b.TempDir(), 0)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { closing(b, broker.Close) })
	s := &bench{kafka: kafka.Config{Brokers: []string{broker.Addr()}, ClientID: "bench"}}
	if err := kafka.EnsureTopics(b.Context(), s.kafka, schemas.Topics(partitions), 1); err != nil {
		b.Fatal(err)
	}
	if s.producer, err = kafka.NewProducer(s.kafka, partitions); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { closing(b, s.producer.Close) })
	return s
}

func closing(b *testing.B, c func() error) {
	b.Helper()
	if err := c(); err != nil {
		b.Error(err)
	}
}

// fill appends events to the log.
func (s *bench) fill(b *testing.B, es iter.Seq[client.Event]) {
	b.Helper()
	g, ctx := errgroup.WithContext(b.Context())
	g.SetLimit(4)
	for chunk := range chunks(taken(es), 2000) {
		g.Go(func() error {
			_, err := s.producer.Append(ctx, chunk)
			return err
		})
	}
	if err := g.Wait(); err != nil {
		b.Fatal(err)
	}
}

// chunks cuts a sequence into slices of n.
func chunks[T any](seq iter.Seq[T], n int) iter.Seq[[]T] {
	return func(yield func([]T) bool) {
		var chunk []T
		for x := range seq {
			if chunk = append(chunk, x); len(chunk) == n {
				if !yield(chunk) {
					return
				}
				chunk = nil
			}
		}
		if len(chunk) > 0 {
			yield(chunk)
		}
	}
}

// collector opens the door and says where it is.
func (s *bench) collector(b *testing.B) string {
	b.Helper()
	c, err := ingest.New(ingest.Config{
		Partitions: partitions, Keys: map[string]string{"web": ingest.HashKey(writeKey)}, AssumedConsent: true,
		Spool:   spool.Options{Dir: b.TempDir(), MaxBytes: 1 << 30},
		Metrics: prometheus.NewRegistry(),
	}, s.producer, s.producer)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { closing(b, c.Close) })
	during(b, c.Run)
	return served(b, c)
}

// served serves a handler until the benchmark ends.
func served(b *testing.B, h http.Handler) string {
	b.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	server := &httptest.Server{Listener: l, Config: &http.Server{Handler: h}}
	server.Start()
	b.Cleanup(server.Close)
	return server.URL
}

// during runs a part until the benchmark ends.
func during(b *testing.B, run func(context.Context) error) {
	b.Helper()
	ctx, cancel := context.WithCancel(context.WithoutCancel(b.Context()))
	done := make(chan error, 1)
	go func() { done <- run(ctx) }()
	b.Cleanup(func() {
		cancel()
		if err := <-done; err != nil && !errors.Is(err, context.Canceled) {
			b.Error(err)
		}
	})
}

// quantile is the q-quantile of durations, in milliseconds.
func quantile(ds []time.Duration, q float64) float64 {
	slices.Sort(ds)
	return float64(ds[min(int(q*float64(len(ds))), len(ds)-1)].Microseconds()) / 1000
}
