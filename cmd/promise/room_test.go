package promise_test

import (
	"context"
	"fmt"
	"strings"
	"sync/atomic"

	"fernweh/batch"
	"fernweh/infra/embedded"
	"fernweh/schemas"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// views are a set of views that a world lives on.
type views interface {
	batch.Views
	Close() error
}

// inMemory opens an empty set of embedded views.
func inMemory() (views, error) { return embedded.OpenViewsIn(vfs.NewMem(), "views") }

// A house is one view store with room for many worlds.
type house struct {
	batch.Views
	rooms atomic.Int64
}

// open gives an empty room, which is a set of views of its own.
func (h *house) open() (views, error) {
	return &room{h, fmt.Sprintf("%09d/", h.rooms.Add(1))}, nil
}

// A room is a set of views whose rows lie beside those of others. What a server
// fails at while it is killed and started is a fault like any other.
type room struct {
	house  *house
	prefix string
}

func (r *room) Close() error { return nil }

func (r *room) inside(k schemas.Key) schemas.Key {
	return schemas.Key{Table: k.Table, Row: r.prefix + k.Row}
}

// outside takes the prefix off a row again.
func (r *room) outside(row *schemas.Row) {
	row.Row = strings.TrimPrefix(row.Row, r.prefix)
	for i := range row.Cells {
		row.Cells[i].Key = row.Key
	}
}

func (r *room) cells(cells []schemas.Cell) []schemas.Cell {
	in := make([]schemas.Cell, len(cells))
	for i, c := range cells {
		in[i] = c
		in[i].Key = r.inside(c.Key)
	}
	return in
}

func fault(err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%w: %w", errFault, err)
}

func (r *room) Get(ctx context.Context, keys ...schemas.Key) ([]schemas.Row, error) {
	in := make([]schemas.Key, len(keys))
	for i, k := range keys {
		in[i] = r.inside(k)
	}
	rows, err := r.house.Get(ctx, in...)
	for i := range rows {
		r.outside(&rows[i])
	}
	return rows, fault(err)
}

func (r *room) Put(ctx context.Context, cells ...schemas.Cell) error {
	return fault(r.house.Put(ctx, r.cells(cells)...))
}

func (r *room) Delete(ctx context.Context, cells ...schemas.Cell) error {
	return fault(r.house.Delete(ctx, r.cells(cells)...))
}

func (r *room) CompareAndSet(ctx context.Context, key schemas.Key, column string, old, new []byte) (bool, error) {
	done, err := r.house.CompareAndSet(ctx, r.inside(key), column, old, new)
	return done, fault(err)
}

func (r *room) Scan(ctx context.Context, table schemas.Table, from, to string, take func(schemas.Row) error) error {
	from = r.prefix + from
	if to == "" {
		to = strings.TrimSuffix(r.prefix, "/") + "0" // what follows the slash
	} else {
		to = r.prefix + to
	}
	var ours error
	err := r.house.Scan(ctx, table, from, to, func(row schemas.Row) error {
		r.outside(&row)
		ours = take(row)
		return ours
	})
	if ours != nil {
		return ours
	}
	return fault(err)
}
