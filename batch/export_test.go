package batch

import (
	"context"
	"testing"
	"time"

	"fernweh/schemas"
)

// Next is when the next run begins where no try went without a record.
func (s Schedule) Next(now time.Time, runs []schemas.Run) time.Time {
	return s.next(now.In(s.Zone), runs, failures{})
}

// A Held is a lease that a test renews by hand.
type Held struct {
	layer *Layer
	mine  []byte
}

// Hold takes the lease.
func (l *Layer) Hold(t *testing.T) *Held {
	t.Helper()
	mine, err := l.take(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return &Held{l, mine}
}

// Renew is one renewal.
func (h *Held) Renew(ctx context.Context) { h.mine = h.layer.renew(ctx, h.mine) }
