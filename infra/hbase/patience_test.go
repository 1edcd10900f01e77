package hbase_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tsuna/gohbase"

	"fernweh/infra/hbase"
)

// hang is an attempt that no answer comes to.
func hang(ctx context.Context) error {
	<-ctx.Done()
	return ctx.Err()
}

// TestPatience: time is the test's own here.
func TestPatience(t *testing.T) {
	cfg := hbase.Config{Deadline: 5 * time.Second, Patience: time.Minute}
	reset := errors.New("connection reset")
	tests := []struct {
		name     string
		attempt  func(n int) func(context.Context) error // the n-th, from 1
		deadline time.Duration                           // of the caller; 0: none
		attempts int                                     // 0: as many as there is time for
		took     [2]time.Duration                        // between
		words    []string                                // none: it succeeds
	}{
		{
			name: "an outage of a few attempts",
			attempt: func(n int) func(context.Context) error {
				if n < 4 {
					return func(context.Context) error { return reset }
				}
				return func(context.Context) error { return nil }
			},
			attempts: 4, took: [2]time.Duration{175 * time.Millisecond, 350 * time.Millisecond},
		},
		{
			name: "what is hopeless",
			attempt: func(int) func(context.Context) error {
				return func(context.Context) error { return gohbase.TableNotFound }
			},
			attempts: 1, words: []string{"the table is not there"},
		},
		{
			name:    "no answer, ever",
			attempt: func(int) func(context.Context) error { return hang },
			took:    [2]time.Duration{time.Minute, 66 * time.Second},
			words:   []string{"given up after", "the server does not answer within 5s", "nobody is there"},
		},
		{
			name:     "a caller with less time than an attempt takes",
			attempt:  func(int) func(context.Context) error { return hang },
			deadline: time.Second, attempts: 1, took: [2]time.Duration{time.Second, time.Second},
			words: []string{context.DeadlineExceeded.Error()},
		},
		{
			name:     "a caller with time for two attempts",
			attempt:  func(int) func(context.Context) error { return hang },
			deadline: 8 * time.Second, attempts: 2, took: [2]time.Duration{8 * time.Second, 8 * time.Second},
			words: []string{context.DeadlineExceeded.Error(), "and before: the server does not answer within 5s"},
		},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ctx, attempts, begun := t.Context(), 0, time.Now()
				if test.deadline > 0 {
					var cancel context.CancelFunc
					ctx, cancel = context.WithTimeout(ctx, test.deadline)
					defer cancel()
				}
				err := hbase.Try(ctx, cfg, nil, func(ctx context.Context) error {
					attempts++
					return test.attempt(attempts)(ctx)
				})
				if (err == nil) != (len(test.words) == 0) {
					t.Errorf("got error %v, want words %q", err, test.words)
				}
				for _, word := range test.words {
					if err == nil || !strings.Contains(err.Error(), word) {
						t.Errorf("got error %v, want it to say %q", err, word)
					}
				}
				if test.deadline > 0 && !errors.Is(err, context.DeadlineExceeded) {
					t.Errorf("got error %v, want the caller's %v", err, context.DeadlineExceeded)
				}
				if test.deadline == 0 && errors.Is(err, context.DeadlineExceeded) {
					t.Errorf("got error %v, as if it were the caller's deadline", err)
				}
				if test.attempts > 0 && attempts != test.attempts {
					t.Errorf("got %d attempts, want %d", attempts, test.attempts)
				}
				if took := time.Since(begun); took < test.took[0] || took > test.took[1] {
					t.Errorf("it took %s, want %s to %s", took, test.took[0], test.took[1])
				}
			})
		})
	}
}

// TestClosedInAPause: who waits for the next attempt learns that the views were closed.
func TestClosedInAPause(t *testing.T) {
	closing := make(chan struct{})
	err := hbase.Try(t.Context(), hbase.Config{Deadline: time.Second, Patience: time.Hour}, closing, func(context.Context) error {
		select {
		case <-closing:
		default:
			close(closing)
		}
		return errors.New("client is closed")
	})
	if !errors.Is(err, hbase.ErrClosed) {
		t.Errorf("got error %v, want %v", err, hbase.ErrClosed)
	}
}
