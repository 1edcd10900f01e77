package elastic_test

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"fernweh/infra/elastic"
	"fernweh/infra/native"
	"fernweh/schemas"
)

// own starts a server for one test, which the test may kill.
func own(t *testing.T) *native.Server {
	t.Helper()
	server(t) // else there is none to be had here
	ports, err := native.FreePorts(native.Elastic)
	if err != nil {
		t.Fatal(err)
	}
	s, err := native.New(native.Elastic, native.Options{Dir: t.TempDir(), Ports: ports})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Kill(); err != nil {
			t.Error(err)
		}
	})
	return s
}

// TestKilledServerLosesNothing kills the server in the midst of bulk writes,
// twice, and starts it again: every write comes to its end by itself, and
// each document is there once, as it was acknowledged or newer.
func TestKilledServerLosesNothing(t *testing.T) {
	const writers, kills, documents, batch = 4, 2, 2000, 200
	s := own(t)
	config := elastic.Config{Addresses: []string{s.Addr()}, Deadline: 5 * time.Second, Patience: 3 * time.Minute}
	d, err := elastic.Open(t.Context(), config, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := d.Close(); err != nil {
			t.Error(err)
		}
	}()
	var stop atomic.Bool
	var acknowledged atomic.Int64
	versions := make([]int64, writers) // of each writer's documents: how often all were written
	g, ctx := errgroup.WithContext(t.Context())
	for w := range writers {
		g.Go(func() error {
			for !stop.Load() {
				versions[w]++
				for from := 0; from < documents; from += batch {
					if err := writeSome(ctx, d, w, from, batch, versions[w]); err != nil {
						return err
					}
					acknowledged.Add(batch)
				}
			}
			return nil
		})
	}
	g.Go(func() error {
		defer stop.Store(true)
		for kill := range kills {
			if err := passes(ctx, &acknowledged, int64(kill+1)*writers*documents); err != nil {
				return err
			}
			begun := time.Now()
			if err := s.Kill(); err != nil {
				return err
			}
			if err := s.Start(ctx); err != nil {
				return err
			}
			at := acknowledged.Load()
			if err := passes(ctx, &acknowledged, at); err != nil {
				return err
			}
			t.Logf("kill %d: %v until the first write was acknowledged again", kill+1, time.Since(begun).Round(100*time.Millisecond))
		}
		return nil
	})
	if err := g.Wait(); err != nil {
		t.Fatal(err)
	}
	t.Logf("%d documents acknowledged", acknowledged.Load())
	index := schemas.IndexVisitorsBatch(1)
	if err := d.Refresh(t.Context(), index); err != nil {
		t.Fatal(err)
	}
	got := make(map[string]int64)
	for q := (schemas.Query{Index: index, Limit: schemas.MaxHits}); ; {
		hits, err := d.Search(t.Context(), q)
		if err != nil {
			t.Fatal(err)
		}
		for _, doc := range hits.Documents {
			got[doc.ID] = doc.Version
		}
		if hits.Total != writers*documents {
			t.Fatalf("%d documents are there, want %d", hits.Total, writers*documents)
		}
		if q.After = hits.Next; q.After == "" {
			break
		}
	}
	for w := range writers {
		for i := range documents {
			if id := device(w, i); got[id] != versions[w] {
				t.Fatalf("document %s has version %d, want %d, the last that was acknowledged", id, got[id], versions[w])
			}
		}
	}
}

func device(writer, i int) string { return fmt.Sprintf("writer-%d-%05d", writer, i) }

// writeSome writes some documents of a writer in a version.
func writeSome(ctx context.Context, d *elastic.Documents, writer, from, n int, version int64) error {
	docs := make([]schemas.Document, n)
	for i := range docs {
		docs[i] = seen(device(writer, from+i), version)
	}
	if err := d.Write(ctx, docs...); err != nil {
		return fmt.Errorf("writer %d, version %d: %w", writer, version, err)
	}
	return nil
}

// passes waits until a count is above some number.
func passes(ctx context.Context, count *atomic.Int64, above int64) error {
	ctx, cancel := context.WithTimeout(ctx, 3*time.Minute)
	defer cancel()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for count.Load() <= above {
		select {
		case <-ctx.Done():
			return errors.Join(fmt.Errorf("%d documents acknowledged, want more than %d", count.Load(), above), ctx.Err())
		case <-tick.C:
		}
	}
	return nil
}
