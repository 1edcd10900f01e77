package serving

import (
	"context"
	"fmt"
	"math"
	"slices"
	"time"

	"fernweh/model/kpi"
	"fernweh/model/visitor"
	"fernweh/schemas"
)

// Views is what batch and speed have written. Both methods return soon after
// ctx is done, and may be called from any goroutine.
type Views interface {
	// Get reads rows; each is read atomically, in the order of the keys. A row
	// that is not there comes back without cells.
	Get(ctx context.Context, keys ...schemas.Key) ([]schemas.Row, error)
	// Scan passes the rows [from, to) of a table to fn, ascending, until fn
	// returns an error, which it passes on.
	Scan(ctx context.Context, table schemas.Table, from, to string, fn func(schemas.Row) error) error
}

// A Horizon is what must be known before a row is read: the published
// generation and how far speed is. A row that is read afterwards holds at least
// everything within the horizon.
type Horizon struct {
	Published schemas.Published
	Positions []schemas.Position // by partition of the event topic
	Read      time.Time          // just before it was read
	Limits    visitor.Limits     // that the rows were folded with
}

// ReadHorizon reads the horizon of an event topic with so many partitions.
func ReadHorizon(ctx context.Context, views Views, partitions int32, now time.Time) (Horizon, error) {
	h := Horizon{Positions: make([]schemas.Position, partitions), Read: now}
	keys := []schemas.Key{schemas.KeyPublished}
	for p := range partitions {
		keys = append(keys, schemas.KeyPosition(p))
	}
	rows, err := views.Get(ctx, keys...)
	if err != nil {
		return h, fmt.Errorf("read what is published: %w", err)
	}
	if len(rows) != len(keys) {
		return h, fmt.Errorf("read what is published: %d rows for %d keys", len(rows), len(keys))
	}
	if h.Published, err = decodeValue[schemas.Published](rows[0]); err != nil {
		return h, err
	}
	if _, err := h.generation(); err != nil {
		return h, err
	}
	for p := range h.Positions {
		if h.Positions[p], err = decodeValue[schemas.Position](rows[1+p]); err != nil {
			return h, err
		}
	}
	return h, nil
}

// decodeValue reads the record of a row that holds one value; the zero record
// where the row is not there.
func decodeValue[T any](row schemas.Row) (v T, err error) {
	c, _ := row.Cell(schemas.ColumnValue)
	if v, err = schemas.DecodeJSON[T](c.Value); err != nil {
		return v, fmt.Errorf("read %s of %s: %w", row.Row, row.Table, err)
	}
	return v, nil
}

// generation is the one that readers take.
func (h Horizon) generation() (schemas.Generation, error) {
	g, ok := h.Published.Generation(h.Published.Current)
	if !ok {
		return g, fmt.Errorf("find generation %d: it is published but not kept", h.Published.Current)
	}
	return g, nil
}

// Through is the offset of a partition below which every row that is read from
// now on holds every event: what the generation holds, or where speed is. A
// position whose epoch is older than the generation says nothing: what speed
// wrote there lies in cells that the generation replaces.
func (h Horizon) Through(partition int32) int64 {
	var through int64
	if g, _ := h.Published.Generation(h.Published.Current); int(partition) < len(g.Cuts) {
		through = g.Cut(partition) + 1 // the cut itself is no event
	}
	if int(partition) < len(h.Positions) && h.Positions[partition].Epoch >= h.Published.Current {
		through = max(through, h.Positions[partition].Offset)
	}
	return through
}

// A VisitorView is a device as the fold of its partition's events below Through.
type VisitorView struct {
	Horizon    Horizon // it was read within
	Device     string
	Partition  int32
	Merged     *visitor.Cell // never nil; empty where nothing is known of the device
	Generation schemas.Generation
	Epochs     []int64 // that speed cells were taken from, ascending
	Through    int64
	Decision   []byte // value of d:now; nil: none
}

// A PaneView is a pane as the fold of each partition's events below Through.
type PaneView struct {
	Pane    kpi.Pane
	Value   kpi.Value
	Epochs  []int64 // that speed cells were taken from, ascending, each once
	Through []int64 // by partition
}

// A part is one cell of a row that belongs to the answer.
type part struct {
	schemas.Column
	cell schemas.Cell
}

// parts are the cells of a row that belong to the answer, in the order of the
// log. A visitor's row has columns without a partition, a pane's speed columns
// have one; the other way round they mean nothing and are left out.
func parts(row schemas.Row, g schemas.Generation) []part {
	cells := row.Since(g, math.MaxInt64)
	picked := make([]part, 0, len(cells))
	for _, c := range cells {
		column, _ := schemas.ParseColumn(c.Column)
		split := row.Table == schemas.TablePanes && column.Family == schemas.FamilySpeed
		if split == (column.Partition >= 0) {
			picked = append(picked, part{column, c})
		}
	}
	return picked
}

// MergeVisitor makes a device's view of its row, which must have been read after
// the horizon.
func MergeVisitor(h Horizon, row schemas.Row) (VisitorView, error) {
	v := VisitorView{Horizon: h, Device: schemas.VisitorOf(row.Row)}
	v.Partition = schemas.Partition(v.Device, int32(len(h.Positions)))
	v.Through = h.Through(v.Partition)
	var err error
	if v.Generation, err = h.generation(); err != nil {
		return v, err
	}
	var cells []*visitor.Cell
	for _, p := range parts(row, v.Generation) {
		c := new(visitor.Cell)
		if err := c.UnmarshalBinary(p.cell.Value); err != nil {
			return v, fmt.Errorf("read %s of device %s: %w", p.cell.Column, v.Device, err)
		}
		cells = append(cells, c)
		if p.Family == schemas.FamilySpeed {
			v.Epochs = append(v.Epochs, p.Number)
			v.Through = max(v.Through, p.cell.Stamp+1)
		}
	}
	v.Merged = visitor.Merge(h.Limits, cells...)
	if c, ok := row.Cell(schemas.ColumnDecision); ok {
		v.Decision = c.Value
	}
	return v, nil
}

// MergePane makes a pane's view of its row, which must have been read after the
// horizon.
func MergePane(h Horizon, row schemas.Row) (PaneView, error) {
	v := PaneView{Through: make([]int64, len(h.Positions))}
	for p := range v.Through {
		v.Through[p] = h.Through(int32(p))
	}
	var err error
	if v.Pane, err = kpi.ParseRow(row.Row); err != nil {
		return v, err
	}
	sums, err := mergePane(h, row)
	if err != nil {
		return v, err
	}
	v.Value = sums.all
	for _, p := range sums.picked {
		if p.Family == schemas.FamilySpeed {
			v.Through[p.Partition] = max(v.Through[p.Partition], p.cell.Stamp+1)
			v.Epochs = append(v.Epochs, p.Number)
		}
	}
	v.Epochs = slices.Compact(v.Epochs)
	return v, nil
}

// A paneSum is what the cells of a pane add up to.
type paneSum struct {
	all    kpi.Value
	batch  kpi.Value // of it, what the generation holds
	picked []part
}

// live says whether speed has a part in the sum.
func (s *paneSum) live() bool {
	return len(s.picked) > 0 && s.picked[len(s.picked)-1].Family == schemas.FamilySpeed
}

// mergePane sums what the generation and the epochs from it on say of a pane.
func mergePane(h Horizon, row schemas.Row) (sum paneSum, err error) {
	g, err := h.generation()
	if err != nil {
		return sum, err
	}
	sum.picked = parts(row, g)
	for _, p := range sum.picked {
		if int(p.Partition) >= len(h.Positions) {
			return sum, fmt.Errorf("read %s of pane %s: the log has %d partitions",
				p.cell.Column, row.Row, len(h.Positions))
		}
		var v kpi.Value
		if err := v.UnmarshalBinary(p.cell.Value); err != nil {
			return sum, fmt.Errorf("read %s of pane %s: %w", p.cell.Column, row.Row, err)
		}
		sum.all.Merge(&v)
		if p.Family == schemas.FamilyBatch {
			sum.batch.Merge(&v)
		}
	}
	return sum, nil
}
