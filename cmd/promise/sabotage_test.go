package promise_test

import (
	"context"
	"slices"
	"strings"

	"fernweh/model/visitor"
	"fernweh/schemas"
)

// sabotage breaks one law on purpose.
type sabotage string

const (
	lawful           sabotage = ""
	forgetFilter     sabotage = "law 1: the filter begins anew at a cut"
	halfHistory      sabotage = "law 2: differences of the history since the cut only"
	shiftedCut       sabotage = "law 3: speed takes a cut where the log has none"
	everyCutCounts   sabotage = "law 3: an overtaken cut counts in one partition"
	lastWriteWins    sabotage = "law 4: the store keeps the last write"
	decideTwice      sabotage = "law 4: what was decided is not kept"
	overwriteFiles   sabotage = "law 5: an archive file is written over"
	skipOnFailure    sabotage = "law 6: a failing store skips events"
	erasureIsADelete sabotage = "law 6: an erasure removes the cells and is forgotten"
)

// spoil breaks laws 1 and 2 in what speed reads of visitors.
func (g *gate) spoil(row *schemas.Row) {
	if row.Table != schemas.TableVisitors || g.law != forgetFilter && g.law != halfHistory {
		return
	}
	for i := range row.Cells {
		var c visitor.Cell
		if c.UnmarshalBinary(row.Cells[i].Value) != nil {
			continue
		}
		if g.law == forgetFilter {
			c.Filter = visitor.Filter{}
		} else if strings.HasPrefix(row.Cells[i].Column, "b:") {
			c.Units = visitor.Units{}
		}
		row.Cells[i].Value, _ = c.AppendBinary(nil)
	}
}

// spoilWrite breaks law 4 in what speed writes.
func (w *world) spoilWrite(ctx context.Context, c *schemas.Cell) error {
	switch {
	case w.law == lastWriteWins:
		rows, err := w.views.Get(ctx, c.Key)
		if err != nil {
			return err
		}
		if old, ok := rows[0].Cell(c.Column); ok {
			c.Stamp = max(c.Stamp, old.Stamp)
		}
	case w.law == decideTwice && c.Table == schemas.TableVisitors && strings.HasPrefix(c.Column, "s:"):
		var cell visitor.Cell
		if err := cell.UnmarshalBinary(c.Value); err != nil {
			return err
		}
		for i := range cell.Decided {
			cell.Decided[i].Panes, cell.Decided[i].Reversed = nil, nil
		}
		c.Value, _ = cell.AppendBinary(nil)
	case w.law == erasureIsADelete && c.Table == schemas.TableVisitors && strings.HasPrefix(c.Column, "s:"):
		var cell visitor.Cell
		if err := cell.UnmarshalBinary(c.Value); err != nil {
			return err
		}
		cell.Forgot = visitor.Forgotten{}
		c.Value, _ = cell.AppendBinary(nil)
	}
	return nil
}

// seen is how speed sees records, with law 3 broken on purpose or not.
func (w *world) seen(p int, records []schemas.Record) []schemas.Record {
	records = slices.Clone(records)
	for i := range records {
		r := &records[i]
		switch {
		case w.law == shiftedCut && p == 1 && r.Cut > 0:
			r.Cut = 0
		case w.law == everyCutCounts && p == 1 && r.Cut > 0:
			r.Cut += 1000 * r.Offset
		}
	}
	return records
}

// skip breaks law 6: the failed owner's successor goes on behind the failure.
func (w *world) skip(p int, o *owner) {
	cell := schemas.Cell{Key: schemas.KeyPosition(int32(p)), Column: schemas.ColumnValue, Stamp: o.partition.Start()}
	rows, _ := w.views.Get(context.Background(), cell.Key)
	old, _ := rows[0].Cell(schemas.ColumnValue)
	position, _ := schemas.DecodeJSON[schemas.Position](old.Value)
	position.Offset = cell.Stamp
	cell.Value = schemas.EncodeJSON(position)
	w.views.Put(context.Background(), cell)
}
