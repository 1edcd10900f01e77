package batch

import (
	"context"
	"fmt"
	"time"

	"fernweh/schemas"
)

// prune deletes what is older than every kept generation. It runs at the
// beginning of a run, when no reader can still have an older list of kept ones
// than the last publication's: that was longer ago than the grace.
func (r *run) prune(ctx context.Context, step *schemas.Step) error {
	published, _, err := r.published(ctx)
	if err != nil {
		return err
	}
	oldest := published.Oldest()
	if oldest.Run == 0 || r.Now().Sub(time.UnixMicro(published.Kept[0].At)) < r.Grace {
		return nil
	}
	for _, table := range []schemas.Table{schemas.TableVisitors, schemas.TablePanes} {
		n, err := r.pruneTable(ctx, table, published)
		if err != nil {
			return fmt.Errorf("delete old cells of %s: %w", table, err)
		}
		step.Rows += n
	}
	return nil
}

// pruneTable deletes the cells of generations and epochs before the oldest kept, but
// for those that a kept generation takes from its lineage.
func (r *run) pruneTable(ctx context.Context, table schemas.Table, published schemas.Published) (n int64, err error) {
	oldest := published.Oldest().Run
	old := chunks{pass: r.Views.Delete}
	err = r.Views.Scan(ctx, table, "", "", func(row schemas.Row) error {
		read := make(map[string]bool)
		for _, g := range published.Kept {
			if c, ok := row.Batch(g); ok {
				read[c.Column] = true
			}
		}
		for _, c := range row.Cells {
			if col, ok := schemas.ParseColumn(c.Column); ok && col.Number < oldest && !read[c.Column] {
				c := schemas.Cell{Key: row.Key, Column: c.Column, Stamp: c.Stamp}
				if err := old.add(ctx, c); err != nil {
					return err
				}
			}
		}
		return nil
	})
	if err == nil {
		err = old.flush(ctx)
	}
	return old.n, err
}
