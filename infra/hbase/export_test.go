package hbase

import (
	"context"
	"errors"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/tsuna/gohbase/pb"

	"fernweh/schemas"
)

// A LostSwap is a swap that has read the cell and not yet written it.
type LostSwap struct {
	v     *Views
	cell  schemas.Cell
	there guarded
	mine  guard
}

// BeginSwap reads the cell.
func (v *Views) BeginSwap(ctx context.Context, key schemas.Key, column string, value []byte) (*LostSwap, error) {
	s := &LostSwap{v: v, cell: schemas.Cell{Key: key, Column: column, Value: value}}
	var err error
	s.there, err = v.guarded(ctx, s.cell)
	s.cell.Stamp = s.there.stamp + 1
	s.mine = guard{s.cell.Stamp, "mine"}
	return s, err
}

// Send writes the cell if it was not swapped since.
func (s *LostSwap) Send(ctx context.Context) (bool, error) {
	set, _, err := s.v.checkAndPut(ctx, s.cell, s.there.guard, s.mine)
	return set, err
}

// Whose says whether the swap was once written, when its answer was lost.
func (s *LostSwap) Whose(ctx context.Context) (bool, error) { return s.v.whose(ctx, s.cell, s.mine) }

// Inside for tests without a server.
var (
	CheckTable = checkTable
	Hopeless   = hopeless
	Plain      = plain
	Splits     = splits
	Families   = families
)

// Try repeats attempt like a call of views with such a deadline and patience.
func Try(ctx context.Context, cfg Config, closing <-chan struct{}, attempt func(context.Context) error) error {
	t := tries{
		deadline: cfg.Deadline, patience: cfg.Patience, closing: closing, again: func() {},
		why: func(context.Context) error { return errors.New("nobody is there") },
	}
	return t.do(ctx, attempt)
}

// LookOut looks after a client until ctx is done.
func LookOut(ctx context.Context, deadline time.Duration, asked *atomic.Int64, probe func(context.Context) error, renew func(context.Context)) {
	lookout{deadline, asked, probe, renew}.run(ctx)
}

// ErrOverwritten is what a lost swap ends with whose trace is gone.
var ErrOverwritten = errOverwritten

// Rows is how a batch of cells is divided, as rows with their cells.
func Rows(cells []schemas.Cell) []schemas.Row {
	var rows []schemas.Row
	for _, w := range writes(cells) {
		rows = append(rows, schemas.Row{Key: w.key, Cells: w.cells})
	}
	return rows
}

// MasterAddress reads the znode of a master.
func MasterAddress(b []byte) (host, port string, ok bool) {
	name, err := readMaster(b)
	return name.GetHostName(), strconv.Itoa(int(name.GetPort())), err == nil
}

// Page is what one answer of a region brings to the scan of [from, to): its whole
// rows, the row of which it has a part, and where the scan goes on.
func Page(answer *pb.ScanResponse, from, stop string) (rows []string, torn, next string, last bool, err error) {
	p, err := readPage(answer, span{from: []byte(from)}, []byte(stop))
	for _, cells := range p.rows {
		rows = append(rows, string(cells[0].GetRow()))
	}
	return rows, string(p.torn), string(p.next), p.last, err
}
