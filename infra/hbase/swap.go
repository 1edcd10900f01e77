package hbase

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"runtime"
	"strconv"
	"strings"

	"github.com/tsuna/gohbase/hrpc"
	"github.com/tsuna/gohbase/pb"

	"fernweh/schemas"
)

// CompareAndSet writes a cell if it holds the old value: nil if there must be
// none. It says whether it did; after an error it may have. The cell's stamp
// goes up by one, so cells that are written like this must not be written by
// Put, nor deleted.
//
// HBase compares values only, and one that was changed and changed back looks
// the same, with a higher stamp. So beside the cell lies a guard that never
// returns: the stamp and a random token. It is what the server compares, and
// tells afterwards whose swap it was.
func (v *Views) CompareAndSet(
	ctx context.Context, key schemas.Key, column string, old, value []byte,
) (set bool, err error) {
	leave, err := v.enter(ctx, v.metrics.swap)
	if err == nil {
		defer func() { leave(err) }()
		set, err = v.swap(ctx, schemas.Cell{Key: key, Column: column, Value: value}, old)
	}
	if err != nil {
		return false, fmt.Errorf("compare and set %s %q %s: %w", key.Table, key.Row, column, err)
	}
	return set, nil
}

func (v *Views) swap(ctx context.Context, cell schemas.Cell, old []byte) (bool, error) {
	if err := checkCell(cell); err != nil {
		return false, err
	}
	there, err := v.guarded(ctx, cell)
	if err != nil || there.present != (old != nil) || !bytes.Equal(there.value, old) {
		return false, err
	}
	cell.Stamp = there.stamp + 1
	mine := guard{cell.Stamp, rand.Text()}
	set, sent, err := v.checkAndPut(ctx, cell, there.guard, mine)
	if err != nil {
		return false, fmt.Errorf("not known to be written: %w", plain(err))
	}
	if set || sent == 1 {
		return set, nil
	}
	return v.whose(ctx, cell, mine)
}

// A guarded is what a swap finds.
type guarded struct {
	value   []byte
	present bool
	stamp   int64  // of the cell, or of the last swap if that is higher
	guard   []byte // nil: the cell was never swapped
}

// guarded reads a cell and its guard, at once.
func (v *Views) guarded(ctx context.Context, cell schemas.Cell) (g guarded, err error) {
	family, qualifier, _ := strings.Cut(cell.Column, ":")
	err = v.tries(v.metrics.swap, v.cfg.Deadline).do(ctx, func(ctx context.Context) error {
		cells, err := v.getCells(ctx, cell.Key)
		g = guarded{}
		for _, c := range cells {
			switch {
			case string(c.GetFamily()) != family:
			case string(c.GetQualifier()) == qualifier:
				g.value, g.present = bytes.Clone(c.GetValue()), true
				g.stamp = max(g.stamp, int64(c.GetTimestamp()))
			case string(c.GetQualifier()) == guardOf(qualifier):
				g.guard = bytes.Clone(c.GetValue())
				g.stamp = max(g.stamp, int64(c.GetTimestamp()))
			}
		}
		return err
	})
	return g, err
}

// guardOf is the qualifier of a cell's guard.
func guardOf(qualifier string) string { return string(guardPrefix) + qualifier }

// A guard is written with each swap.
type guard struct {
	stamp int64
	token string
}

func (g guard) bytes() []byte { return fmt.Appendf(nil, "%d %s", g.stamp, g.token) }

// stampOf reads the stamp of a guard.
func stampOf(b []byte) (int64, error) {
	stamp, _, _ := strings.Cut(string(b), " ")
	n, err := strconv.ParseInt(stamp, 10, 64)
	if err != nil {
		return 0, fmt.Errorf("guard %q does not begin with a stamp: %w", b, err)
	}
	return n, nil
}

// checkAndPut writes the cell with its guard where the present guard is still
// the one given, and says how often it was sent.
func (v *Views) checkAndPut(
	ctx context.Context, cell schemas.Cell, present []byte, next guard,
) (set bool, sent int32, err error) {
	family, qualifier, _ := strings.Cut(cell.Column, ":")
	err = once(ctx, v.cfg.Deadline, func(ctx context.Context) error {
		put, err := hrpc.NewPut(ctx, []byte(v.cfg.table(cell.Table)), []byte(cell.Row), map[string]map[string][]byte{
			family: {qualifier: bytes.Clone(cell.Value), guardOf(qualifier): next.bytes()},
		}, hrpc.TimestampUint64(uint64(cell.Stamp)), hrpc.Durability(v.cfg.durability()))
		if err != nil {
			return err
		}
		check, err := hrpc.NewCheckAndPut(put, family, guardOf(qualifier), present)
		if err != nil {
			return err
		}
		call := &swapCall{CheckAndPut: check}
		msg, err := v.ask(ctx, call)
		sent = call.sent.Load()
		if err != nil {
			return err
		}
		answer, ok := msg.(*pb.MutateResponse)
		if !ok {
			return fmt.Errorf("the server answers a check-and-put with a %T", msg)
		}
		set = answer.GetProcessed()
		return nil
	})
	return set, sent, err
}

// errOverwritten is a swap of which nothing is left to see.
var errOverwritten = errors.New("not known to be written: the connection broke, and others have swapped the cell since")

// whose says whether a swap that was sent more than once, and refused the last
// time, had succeeded before.
func (v *Views) whose(ctx context.Context, cell schemas.Cell, mine guard) (bool, error) {
	there, err := v.guarded(ctx, cell)
	if err != nil {
		return false, fmt.Errorf("not known to be written: %w", err)
	}
	return mine.is(there.guard)
}

// is says whether the guard that lies there is this one. It was the first with
// its stamp, or another was.
func (g guard) is(there []byte) (bool, error) {
	if bytes.Equal(there, g.bytes()) {
		return true, nil
	}
	stamp, err := stampOf(there)
	if err == nil && stamp != g.stamp {
		err = errOverwritten
	}
	return false, err
}

// endGoroutine stands for the end of the process.
func endGoroutine(int) { runtime.Goexit() }
