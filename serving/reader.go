package serving

import (
	"context"
	"errors"
	"fmt"
	"time"

	"fernweh/schemas"
)

// HorizonLife is how long after its reading a horizon may still be used. What
// it names is deleted at the earliest 60 s after it was replaced; a third of
// that leaves room for clocks that run apart and a store that is slow.
const HorizonLife = 20 * time.Second

// errExpired: the rows came so late that the generation may have been deleted
// beneath them.
var errExpired = errors.New("the view store is too slow to answer from one generation")

// A Reader reads merged rows.
type Reader struct {
	Views   Views
	Horizon func(context.Context) (Horizon, error) // as fresh as the answer shall be
	Now     func() time.Time
}

// within calls read with a horizon, and once more with a new one if it took
// longer than a horizon lives.
func (r *Reader) within(ctx context.Context, read func(Horizon) error) error {
	for range 2 {
		h, err := r.Horizon(ctx)
		if err != nil {
			return err
		}
		if err := read(h); err != nil {
			return err
		}
		if r.Now().Sub(h.Read) <= HorizonLife {
			return nil
		}
	}
	return errExpired
}

// get reads rows within a horizon.
func (r *Reader) get(ctx context.Context, keys ...schemas.Key) (h Horizon, rows []schemas.Row, err error) {
	err = r.within(ctx, func(now Horizon) error {
		h = now
		rows, err = r.Views.Get(ctx, keys...)
		if err == nil && len(rows) != len(keys) {
			err = fmt.Errorf("%d rows for %d keys", len(rows), len(keys))
		}
		return err
	})
	return h, rows, err
}

// Visitor reads a device. One that nothing is known of is an empty view.
func (r *Reader) Visitor(ctx context.Context, device string) (VisitorView, error) {
	h, rows, err := r.get(ctx, schemas.VisitorKey(device))
	if err != nil {
		return VisitorView{}, fmt.Errorf("read device %s: %w", device, err)
	}
	return MergeVisitor(h, rows[0])
}

// Pane reads one pane.
func (r *Reader) Pane(ctx context.Context, key schemas.Key) (PaneView, error) {
	h, rows, err := r.get(ctx, key)
	if err != nil {
		return PaneView{}, fmt.Errorf("read pane %s: %w", key.Row, err)
	}
	return MergePane(h, rows[0])
}
