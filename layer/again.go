package layer

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"runtime/debug"
	"sync"
	"time"
)

// A Panic is an error that was a panic: a fault of the program, which is borne
// like any other failure of the component that it happened in.
type Panic struct {
	Value any
	Stack []byte
}

// Error says what the panic said; the stack is for the log.
func (p *Panic) Error() string { return fmt.Sprintf("panic: %v", p.Value) }

// Guard runs work and makes a panic of it an error. It sees nothing of the
// goroutines that work starts: each of them has a guard of its own.
func Guard(work func() error) (err error) {
	defer func() {
		switch v := recover().(type) {
		case nil:
		case *Panic: // handed on from another goroutine, where it happened
			err = v
		default:
			err = &Panic{v, debug.Stack()}
		}
	}()
	return work()
}

// How long a failure is waited for before the next attempt.
const (
	shortest = 50 * time.Millisecond
	longest  = 5 * time.Second
)

// A Backoff says how long to wait before the next attempt: ever longer, up to
// five seconds, and up to a quarter more or less, so that many that failed at
// once do not come back at once. The zero value is before the first failure.
type Backoff struct{ last time.Duration }

// Next is how long to wait now.
func (b *Backoff) Next() time.Duration {
	b.last = min(max(2*b.last, shortest), longest)
	return b.last*3/4 + rand.N(b.last/2+1)
}

// Reset forgets the failures.
func (b *Backoff) Reset() { b.last = 0 }

// A Reporter is told how a component fares, as Health is.
type Reporter interface {
	Down(component string, why error)
	Limited(component string, why error)
	Up(component string)
}

// To is the reporter, or one that nobody listens to if it is nil.
func To(health Reporter) Reporter {
	if health == nil {
		return nobody{}
	}
	return health
}

type nobody struct{}

func (nobody) Down(string, error)    {}
func (nobody) Limited(string, error) {}
func (nobody) Up(string)             {}

// Again does work until it ends without an error, ctx is done, or it fails with
// one of the ends. Every other failure, and a panic, is reported, and the work begun
// anew, ever later. A work that has gone on for a minute is taken for mended; one that
// knows it earlier says Up itself.
func Again(ctx context.Context, health Reporter, component string, work func(context.Context) error, ends ...error) error {
	var wait Backoff
	health = To(health)
	for {
		began := time.Now()
		err := attempt(ctx, health, component, work)
		if err == nil || ctx.Err() != nil {
			return nil
		}
		for _, end := range ends {
			if errors.Is(err, end) {
				return fmt.Errorf("%s: %w", component, err)
			}
		}
		if time.Since(began) > goesWell {
			wait.Reset()
		}
		health.Down(component, err)
		if !Pause(ctx, wait.Next()) {
			return nil
		}
	}
}

// goesWell is how long a work that does not end has to go on to be taken for mended.
const goesWell = time.Minute

// attempt does work once.
func attempt(ctx context.Context, health Reporter, component string, work func(context.Context) error) error {
	ctx, cancel := context.WithCancel(ctx)
	var watch sync.WaitGroup
	defer watch.Wait()
	defer cancel()
	watch.Go(func() {
		if Pause(ctx, goesWell) {
			health.Up(component)
		}
	})
	err := Guard(func() error { return work(ctx) })
	if p, ok := errors.AsType[*Panic](err); ok {
		slog.ErrorContext(ctx, "a panic is borne", "component", component, "panic", p.Value, "stack", string(p.Stack))
	}
	return err
}

// Pause waits, and says whether there is still work to do then.
func Pause(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-t.C:
		return true
	}
}
