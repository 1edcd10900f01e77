package batch

import (
	"context"
	"fmt"
	"sync"
	"time"

	"fernweh/layer"
	"fernweh/schemas"
)

// leaseFor is how long a lease holds unless it is renewed: as long as a portal
// has to wait after the holder was killed.
const leaseFor = 15 * time.Second

// A lease says who runs batch. It keeps two processes from doing the same work;
// that they could not harm each other is due to the switch, not to it.
type lease struct {
	Holder string `json:"holder"`
	Until  int64  `json:"until"` // UTC microseconds
}

// A Busy error says that another process runs batch.
type Busy struct {
	Holder string
	Until  time.Time
}

// Error says who holds the lease.
func (b *Busy) Error() string {
	return fmt.Sprintf("a batch run is in work in %s, which holds the lease until %s", b.Holder, b.Until.Format(time.RFC3339))
}

// lease takes the lease and renews it until release is called.
func (l *Layer) lease(ctx context.Context) (release func(), err error) {
	mine, err := l.take(ctx)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(ctx)
	var renewing sync.WaitGroup
	renewing.Go(func() {
		for layer.Pause(ctx, leaseFor/3) {
			mine = l.renew(ctx, mine)
		}
	})
	return func() {
		cancel()
		renewing.Wait()
		// If this fails the lease runs out by itself.
		_, _ = l.Views.CompareAndSet(context.WithoutCancel(ctx), schemas.KeyLease, schemas.ColumnValue, mine,
			schemas.EncodeJSON(lease{}))
	}, nil
}

// renew renews the lease, and gives what it is now. A renewal that fails is tried
// again a third of a lease later; should it run out meanwhile, another run may begin, and
// one of the two will not publish. One whose answer was lost lies there under our
// name, and is what the next one renews.
func (l *Layer) renew(ctx context.Context, mine []byte) []byte {
	next := l.fresh()
	done, err := l.Views.CompareAndSet(ctx, schemas.KeyLease, schemas.ColumnValue, mine, next)
	if err == nil && done {
		return next
	}
	there, err := l.value(ctx, schemas.KeyLease)
	if err != nil {
		return mine
	}
	if held, err := schemas.DecodeJSON[lease](there); err == nil && held.Holder == l.Holder {
		return there
	}
	return mine
}

func (l *Layer) fresh() []byte {
	return schemas.EncodeJSON(lease{l.Holder, l.Now().Add(leaseFor).UnixMicro()})
}

// take takes the lease if nobody holds it.
func (l *Layer) take(ctx context.Context) ([]byte, error) {
	rows, err := l.Views.Get(ctx, schemas.KeyLease)
	if err != nil {
		return nil, fmt.Errorf("read lease: %w", err)
	}
	var old []byte
	if c, ok := rows[0].Cell(schemas.ColumnValue); ok {
		old = c.Value
	}
	held, err := schemas.DecodeJSON[lease](old)
	if err != nil {
		return nil, fmt.Errorf("read lease: %w", err)
	}
	if until := time.UnixMicro(held.Until); l.Now().Before(until) {
		return nil, &Busy{held.Holder, until}
	}
	mine := l.fresh()
	done, err := l.swap(ctx, schemas.KeyLease, old, mine)
	if err != nil {
		return nil, fmt.Errorf("take lease: %w", err)
	}
	if !done {
		return nil, &Busy{"another process", l.Now().Add(leaseFor)}
	}
	return mine, nil
}
