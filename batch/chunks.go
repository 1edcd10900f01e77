package batch

import (
	"context"

	"fernweh/schemas"
)

// chunk is how many cells are written or deleted at a time.
const chunk = 1000

// chunks passes cells on in chunks. The last one is passed on by flush.
type chunks struct {
	pass  func(ctx context.Context, cells ...schemas.Cell) error // keeps none of them
	cells []schemas.Cell
	n     int64 // passed on
}

func (c *chunks) add(ctx context.Context, cell schemas.Cell) error {
	c.cells = append(c.cells, cell)
	if len(c.cells) < chunk {
		return nil
	}
	return c.flush(ctx)
}

func (c *chunks) flush(ctx context.Context) error {
	if len(c.cells) == 0 {
		return nil
	}
	if err := c.pass(ctx, c.cells...); err != nil {
		return err
	}
	c.n += int64(len(c.cells))
	c.cells = c.cells[:0]
	return nil
}
