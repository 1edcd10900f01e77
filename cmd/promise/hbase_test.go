package promise_test

import (
	"context"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"strings"
	"testing"
	"time"

	"fernweh/infra/hbase"
	"fernweh/infra/native"
	"fernweh/schemas"
)

var (
	realHistories = flag.Int("real-histories", 10, "random histories that TestMergedEqualsFoldOnHBase lives through at least")
	realKills     = flag.Int("real-kills", 10, "times that TestMergedEqualsFoldOnHBase kills its server")
)

// TestMergedEqualsFoldOnHBase is the promise on a real HBase, which is killed
// again and again while the histories go on: to all that may happen to a world
// comes that its store is gone for a while, in the middle of any call.
func TestMergedEqualsFoldOnHBase(t *testing.T) {
	if os.Getenv("FERNWEH_TEST_HBASE") == "" {
		t.Skip("FERNWEH_TEST_HBASE names no HBase: make test-real does (here it only says that there may be servers)")
	}
	ports, err := native.FreePorts(native.HBase)
	if err != nil {
		t.Fatal(err)
	}
	server, err := native.Start(t.Context(), native.HBase, native.Options{Dir: t.TempDir(), Ports: ports})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { server.Kill() })
	// More patient than any start takes: when the server does not come back, it is
	// the killer that says why, and its word ends the history.
	store, err := hbase.Open(t.Context(), hbase.Config{Quorum: []string{server.Addr()}, Patience: 2 * server.Patience()}, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { store.Close() })

	ctx, abandon := context.WithCancelCause(t.Context())
	defer abandon(nil)
	killed := make(chan error, 1)
	go func() {
		err := killAgain(ctx, server, store, *realKills)
		if err != nil {
			abandon(err)
		}
		killed <- err
	}()
	h := &house{Views: store}
	done := false
	for seed := uint64(1); !done || seed <= uint64(*realHistories); seed++ {
		if w, err := live(ctx, seed, lawful, h.open); err != nil {
			if ctx.Err() != nil {
				err = context.Cause(ctx)
			}
			t.Fatalf("history %d, after %d turns, the last of them\n%s\n%v", seed, len(w.story),
				strings.Join(w.story[max(0, len(w.story)-12):], "\n"), err)
		}
		select {
		case err := <-killed:
			if err != nil {
				t.Fatal(err)
			}
			done = true
			t.Logf("after %d kills, in history %d", *realKills, seed)
		default:
		}
	}
}

// killAgain kills the server and starts it again, each time up to ten seconds after
// it was heard: a history is to be cut short, and to go on.
func killAgain(ctx context.Context, server *native.Server, store *hbase.Views, times int) error {
	for i := range times {
		if _, err := store.Get(ctx, schemas.KeyPublished); err != nil {
			return fmt.Errorf("it serves, and is not heard, after kill %d: %w", i, err)
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(time.Duration(1+rand.IntN(10_000)) * time.Millisecond):
		}
		if err := server.Kill(); err != nil {
			return err
		}
		if err := server.Start(ctx); err != nil {
			return fmt.Errorf("after kill %d: %w", i+1, err)
		}
	}
	return nil
}
