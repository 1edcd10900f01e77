package kafka_test

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"fernweh/infra/kafka"
	"fernweh/schemas"
)

// A load appends events one after the other, each until it is acknowledged.
type load struct {
	producer *kafka.Producer
	name     string
	done     chan struct{} // closed when there is enough
	total    *atomic.Int64 // acknowledged, over all loads

	ids     []string        // acknowledged; the load's own until it has ended
	unknown map[string]bool // those that an append before had failed for
}

// run appends until there is enough.
func (l *load) run(ctx context.Context) error {
	for n := 0; ; n++ {
		select {
		case <-l.done:
			return nil
		default:
		}
		e := page(fmt.Sprint(l.name, n%5), n)
		for {
			_, err := l.producer.Append(ctx, []*schemas.Event{e})
			if err == nil {
				break
			}
			if ctx.Err() != nil {
				return fmt.Errorf("event %s is still not acknowledged: %w", e.Id, err)
			}
			l.unknown[e.Id] = true
		}
		l.ids = append(l.ids, e.Id)
		l.total.Add(1)
	}
}

// underLoad restarts a broker, as often as restarts are given, under four loads
// and a reader. What was acknowledged is read, and what was acknowledged at the
// first attempt is read once: the retries that an outage takes double nothing.
func underLoad(t *testing.T, cfg kafka.Config, restarts ...func() error) {
	t.Helper()
	ctx, stop := context.WithTimeout(t.Context(), 4*time.Minute)
	defer stop()
	p, total, done := producer(t, cfg), new(atomic.Int64), make(chan struct{})
	loads := make([]*load, 4)
	writing, writingCtx := errgroup.WithContext(ctx)
	for i := range loads {
		loads[i] = &load{
			producer: p, name: fmt.Sprint("writer", i, "-"), done: done, total: total, unknown: map[string]bool{},
		}
		writing.Go(func() error { return loads[i].run(writingCtx) })
	}
	seen, read := make(chan string, 1<<20), make(chan error, 1)
	go func() { read <- readInto(ctx, cfg, seen) }()
	more := func() {
		for until := total.Load() + 200; total.Load() < until && writingCtx.Err() == nil; {
			<-time.After(time.Millisecond)
		}
	}
	for i, restart := range restarts {
		more()
		if err := restart(); err != nil {
			t.Fatalf("restart %d: %v", i, err)
		}
	}
	more()
	close(done)
	if err := writing.Wait(); err != nil {
		t.Fatal(err)
	}
	counts, unknown, left := map[string]int{}, 0, 0
	for _, l := range loads {
		unknown += len(l.unknown)
		left += len(l.ids)
		for _, id := range l.ids {
			counts[id] = 0
		}
	}
	for left > 0 {
		select {
		case id := <-seen:
			if n, acknowledged := counts[id]; acknowledged && n == 0 {
				left--
			}
			counts[id]++
		case err := <-read:
			t.Fatalf("the reader ended with %v, %d acknowledged events were not read", err, left)
		}
	}
	for _, l := range loads {
		for _, id := range l.ids {
			if !l.unknown[id] && counts[id] != 1 {
				t.Errorf("event %s was acknowledged at once and is in the log %d times", id, counts[id])
			}
		}
	}
	stop()
	if err := <-read; !errors.Is(err, context.Canceled) {
		t.Errorf("the reader: got %v, want to end when told to", err)
	}
	t.Logf("%d restarts, %d events acknowledged, %d of them after an append that failed", len(restarts), len(counts), unknown)
}
