package batch

import (
	"bytes"
	"context"
	"fmt"

	"fernweh/model/kpi"
	"fernweh/schemas"
)

// A run starts from the generation that is published when it begins to fold: what
// has not changed since is not written again, and readers take it from there.

// descend takes the published generation for the run's parent, unless its lineage
// is so long that everything is to be written again.
func (r *run) descend(ctx context.Context) error {
	published, _, err := r.published(ctx)
	if err != nil {
		return err
	}
	g, _ := published.Generation(published.Current)
	if r.lineage = g.Child(); r.lineage != nil {
		r.parent = g
	}
	return nil
}

// inherit drops from the sums the panes that stand in the lineage with the same
// value, and writes an empty one where a pane was something and is nothing now.
func (r *run) inherit(ctx context.Context, out *chunks) error {
	if r.parent.Run == 0 {
		return nil
	}
	totals := r.folded.totals
	err := r.Views.Scan(ctx, schemas.TablePanes, "", "", func(row schemas.Row) error {
		c, ok := row.Batch(r.parent)
		if !ok {
			return nil
		}
		pane, err := kpi.ParseRow(row.Row)
		if err != nil {
			return err
		}
		v := totals.value(pane)
		now, err := v.AppendBinary(nil)
		if err != nil {
			return err
		}
		var before kpi.Value
		if err := before.UnmarshalBinary(c.Value); err != nil {
			return fmt.Errorf("read %s of pane %s: %w", c.Column, row.Row, err)
		}
		switch {
		case !v.Zero() && bytes.Equal(now, c.Value):
			totals.drop(pane)
		case v.Zero() && !before.Zero():
			return out.add(ctx, schemas.Cell{
				Key: row.Key, Column: schemas.ColumnBatch(r.record.Number), Stamp: r.record.Number,
			})
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("compare panes with generation %d: %w", r.parent.Run, err)
	}
	return nil
}
