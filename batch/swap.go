package batch

import (
	"bytes"
	"context"
	"fmt"
	"time"

	"fernweh/schemas"
)

// An answer that was lost is looked up so often, and for so long at most: a store
// that moves a region answers again within seconds.
const (
	lookUps        = 8
	lookUpsStopped = 2 // where ctx is done
	firstLookUp    = 50 * time.Millisecond
	longestLookUps = 15 * time.Second
)

// swap is CompareAndSet for a value that nobody else would write. When the store
// does not say what came of it, what lies there does: an error means that this is
// not known, and it may yet be written.
func (l *Layer) swap(ctx context.Context, key schemas.Key, old, value []byte) (done bool, err error) {
	done, err = l.Views.CompareAndSet(ctx, key, schemas.ColumnValue, old, value)
	if err == nil {
		return done, nil
	}
	// Also when it was ctx that ended the call: it may have been written before.
	look, cancel := context.WithTimeout(context.WithoutCancel(ctx), longestLookUps)
	defer cancel()
	wait := firstLookUp
	for i := 0; i < lookUps && (ctx.Err() == nil || i < lookUpsStopped); i++ {
		switch there, failed := l.value(look, key); {
		case failed != nil: // the store is still away
		case bytes.Equal(there, value):
			return true, nil
		case !bytes.Equal(there, old):
			return false, nil
		case ctx.Err() == nil:
			if done, failed := l.Views.CompareAndSet(ctx, key, schemas.ColumnValue, old, value); failed == nil && done {
				return true, nil
			}
			// Refused: the first one was written meanwhile, or another value. The next look tells.
		}
		if !l.wait(look, wait) {
			break
		}
		wait *= 2
	}
	return false, fmt.Errorf("write %s of %s: whether it is written is not known: %w", key.Row, key.Table, err)
}

// value is what lies in the one column of a row; nil: nothing.
func (l *Layer) value(ctx context.Context, key schemas.Key) ([]byte, error) {
	rows, err := l.Views.Get(ctx, key)
	if err != nil {
		return nil, err
	}
	c, _ := rows[0].Cell(schemas.ColumnValue)
	return c.Value, nil
}
