package kafka_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"fernweh/infra/kafka"
	"fernweh/layer"
	"fernweh/schemas"
)

// TestATroubledPartitionIsSaid: which one, why, since when and how often, and that
// it is over. A partition that is another's from then on is no longer told of.
func TestATroubledPartitionIsSaid(t *testing.T) {
	everywhere(t, func(t *testing.T, cfg kafka.Config) {
		registry := prometheus.NewRegistry()
		cfg.Metrics = kafka.NewMetrics(registry)
		health := layer.NewHealth(time.Now)
		log := kafka.NewLog(cfg, partitions, kafka.LogOptions{Group: "reader", MaxBatch: 10, Name: "speed", Health: health})
		event := &schemas.Event{Id: "1", Device: "mueller", Kind: schemas.Kind_KIND_PAGE, Time: 1, Received: 1}
		ill := schemas.Partition(event.Device, partitions)
		if _, err := producer(t, cfg).Append(t.Context(), []*schemas.Event{event}); err != nil {
			t.Fatal(err)
		}
		var mu sync.Mutex
		mended, handled := false, make(chan struct{}, 1) // mended is guarded by mu
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		ended := make(chan error, 1)
		go func() {
			ended <- log.Consume(ctx, func(context.Context, int32) (int64, kafka.Handle, error) {
				return schemas.Oldest, func(context.Context, []schemas.Record) error {
					mu.Lock()
					defer mu.Unlock()
					if !mended {
						panic("assignment to entry in nil map")
					}
					handled <- struct{}{}
					return nil
				}, nil
			})
		}()
		trouble := func() (found layer.Trouble) {
			for _, t := range health.Troubles() {
				if t.Component == fmt.Sprint("speed partition ", ill) {
					found = t
				}
			}
			return found
		}
		for trouble().Attempts < 3 && t.Context().Err() == nil {
			layer.Pause(t.Context(), time.Millisecond)
		}
		want := fmt.Sprintf("handle partition %d from offset 0: panic: assignment to entry in nil map", ill)
		if got := trouble(); !got.Down || got.Reason != want || time.Since(got.Since) > time.Minute {
			t.Errorf("got %+v, want it down since now for %q", got, want)
		}
		if n := sum(t, registry, "fernweh_log_panics_total"); n < 3 {
			t.Errorf("%v panics are counted, want at least 3", n)
		}
		if n := sum(t, registry, "fernweh_log_rebalances_total"); n != 1 {
			t.Errorf("the group gave partitions %v times, want once", n)
		}
		mu.Lock()
		mended = true
		mu.Unlock()
		<-handled
		for trouble().Attempts > 0 && t.Context().Err() == nil {
			layer.Pause(t.Context(), time.Millisecond)
		}
		cancel()
		if err := <-ended; !errors.Is(err, context.Canceled) {
			t.Errorf("consume: got %v, want to end when told to", err)
		}
	})
}

// sum adds up a counter over its labels.
func sum(t *testing.T, r prometheus.Gatherer, name string) (n float64) {
	t.Helper()
	families, err := r.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		if f.GetName() == name {
			for _, m := range f.GetMetric() {
				n += m.GetCounter().GetValue()
			}
		}
	}
	return n
}
