package bench_test

import (
	"context"
	"errors"
	"iter"
	"maps"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"fernweh/infra/embedded"
	"fernweh/infra/kafka"
	"fernweh/ingest/client"
	"fernweh/model/cluster"
	"fernweh/model/visitor"
	"fernweh/schemas"
	"fernweh/speed"

	"github.com/prometheus/client_golang/prometheus"
)

const (
	streamed     = 500_000 // events in the log
	speedBatch   = 5000    // as the program's default
	speedDelay   = 50 * time.Millisecond
	speedMembers = 1_000_000 / partitions
)

// BenchmarkSpeed passes a log that lies ready through the speed layer, with a
// model in force, until all of it is stored; beside it, the log is only read. A
// busy portal has many events in a minute. Half a year of a quiet one hardly has
// two: then nearly each event writes panes of its own.
func BenchmarkSpeed(b *testing.B) {
	b.Run("busy", func(b *testing.B) { benchmarkSpeed(b, passersBy(b, streamed, 2000)) })
	b.Run("quiet", func(b *testing.B) { benchmarkSpeed(b, travellers(b, streamed)) })
}

func benchmarkSpeed(b *testing.B, es iter.Seq[client.Event]) {
	for b.Loop() {
		s := openBench(b)
		s.fill(b, es)
		limit := s.readOnly(b)
		rate := s.throughSpeed(b)
		b.ReportMetric(rate, "events/s")
		b.ReportMetric(limit, "read-events/s")
		b.ReportMetric(rate/limit, "of-reading")
	}
}

// readOnly is the rate at which a handler gets the events that does nothing.
func (s *bench) readOnly(b *testing.B) float64 {
	ctx, done := context.WithCancel(b.Context())
	defer done()
	var read atomic.Int64
	start := time.Now()
	var took time.Duration
	log := kafka.NewLog(s.kafka, partitions, kafka.LogOptions{Group: "bench-read", MaxBatch: speedBatch, Linger: speedDelay})
	err := log.Consume(ctx, func(context.Context, int32) (int64, kafka.Handle, error) {
		return 0, func(_ context.Context, records []schemas.Record) error {
			if read.Add(int64(len(records))) == streamed {
				took = time.Since(start)
				done()
			}
			return nil
		}, nil
	})
	if read.Load() != streamed {
		b.Fatalf("read %d events, want %d: %v", read.Load(), streamed, err)
	}
	return streamed / took.Seconds()
}

// throughSpeed is the rate at which the speed layer makes the events durable in
// the views.
func (s *bench) throughSpeed(b *testing.B) float64 {
	views := openViews(b)
	publish(b, views)
	ctx, done := context.WithCancel(b.Context())
	defer done()
	start := time.Now()
	ended := make(chan error, 1)
	go func() { ended <- s.speed(views, speedDelay).Run(ctx) }()
	s.awaitStored(b, views)
	took := time.Since(start)
	done()
	if err := <-ended; err != nil && !errors.Is(err, context.Canceled) {
		b.Fatal(err)
	}
	return streamed / took.Seconds()
}

func openViews(b *testing.B) *embedded.Views {
	b.Helper()
	views, err := embedded.OpenViews(b.TempDir())
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { closing(b, views.Close) })
	return views
}

func (s *bench) speed(views *embedded.Views, delay time.Duration) *speed.Layer {
	log := kafka.NewLog(s.kafka, partitions, kafka.LogOptions{Group: "bench-speed", MaxBatch: speedBatch, Linger: delay})
	return speed.New(log, speed.Stores{
		Views: views, Decisions: s.producer, Now: time.Now, MaxVisitors: speedMembers,
		Metrics: speed.NewMetrics(prometheus.NewRegistry()),
	})
}

// awaitStored waits until the stored positions are the ends of the log.
func (s *bench) awaitStored(b *testing.B, views *embedded.Views) {
	b.Helper()
	tail := kafka.NewTail(s.kafka, schemas.TopicEvents)
	defer closing(b, tail.Close)
	ends, err := tail.Ends(b.Context())
	if err != nil {
		b.Fatal(err)
	}
	for tick := time.NewTicker(10 * time.Millisecond); !reached(b, views, ends); {
		<-tick.C
	}
}

func reached(b *testing.B, views *embedded.Views, ends []int64) bool {
	b.Helper()
	for p, end := range ends {
		rows, err := views.Get(b.Context(), schemas.KeyPosition(int32(p)))
		if err != nil {
			b.Fatal(err)
		}
		c, _ := rows[0].Cell(schemas.ColumnValue)
		position, err := schemas.DecodeJSON[schemas.Position](c.Value)
		if err != nil {
			b.Fatal(err)
		}
		if position.Offset < end {
			return false
		}
	}
	return true
}

// publish puts a model in force that was trained on the portal's first visitors,
// as generation 1 of an empty history.
func publish(b *testing.B, views *embedded.Views) {
	b.Helper()
	const id = "bench"
	artefact, err := trained(b).Encode()
	if err != nil {
		b.Fatal(err)
	}
	g := schemas.Generation{Run: 1, Model: id}
	for range partitions {
		g.Cuts = append(g.Cuts, -1) // the log is read from its first record
	}
	err = views.Put(b.Context(),
		schemas.Cell{Key: schemas.ModelKey(id), Column: schemas.ColumnValue, Stamp: 1, Value: artefact},
		schemas.Cell{Key: schemas.KeyPublished, Column: schemas.ColumnValue, Stamp: 1,
			Value: schemas.EncodeJSON(schemas.Published{}.With(g))})
	if err != nil {
		b.Fatal(err)
	}
}

func trained(b *testing.B) *cluster.Model {
	b.Helper()
	histories := make(map[string]*visitor.History)
	for e := range taken(travellers(b, 100_000)) {
		h := histories[e.Device]
		if h == nil {
			h = new(visitor.History)
			histories[e.Device] = h
		}
		h.Add(e)
	}
	m := cluster.Matrix{Dims: len(visitor.Features())}
	for _, device := range slices.Sorted(maps.Keys(histories)) {
		m.Values = histories[device].Vector(m.Values)
	}
	scaling, err := cluster.FitScaling(m, visitor.Features(), nil)
	if err != nil {
		b.Fatal(err)
	}
	scaling.Apply(m, nil)
	model, err := cluster.Train(m, scaling, cluster.Options{K: 8, Restarts: 2, MaxIterations: 50, Seed: 1})
	if err != nil {
		b.Fatal(err)
	}
	return model
}
