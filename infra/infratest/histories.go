package infratest

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"fernweh/schemas"
)

// A place is where one cell lies.
type place struct{ row, column string }

// A viewModel is what the store must hold, as a map.
type viewModel map[place]schemas.Cell

func (m viewModel) put(c schemas.Cell) {
	at := place{c.Row, c.Column}
	if old, ok := m[at]; !ok || c.Stamp >= old.Stamp {
		m[at] = c
	}
}

func (m viewModel) remove(c schemas.Cell) {
	at := place{c.Row, c.Column}
	if old, ok := m[at]; ok && old.Stamp <= c.Stamp {
		delete(m, at)
	}
}

// row is the model's row as a store gives it.
func (m viewModel) row(key schemas.Key) schemas.Row {
	row := schemas.Row{Key: key}
	for _, at := range slices.SortedFunc(maps.Keys(m), func(a, b place) int { return strings.Compare(a.column, b.column) }) {
		if at.row == key.Row {
			row.Cells = append(row.Cells, m[at])
		}
	}
	return row
}

// viewHistories compares a store with the model after random writes and
// deletes. A place is not written below a stamp that was deleted there: servers
// differ in how long a delete hides what comes late, and nothing relies on it.
func viewHistories(t *testing.T, store ViewStore) {
	s, histories := newViewSuite(t, store), 0
	rapid.Check(t, func(rt *rapid.T) {
		histories++
		model, floor := viewModel{}, map[place]int64{}
		rowNames := rapid.SliceOfNDistinct(rapid.StringOfN(rapid.SampledFrom([]rune("a\x00\x01\x02ÿ")), 0, 4, -1), 2, 4,
			rapid.ID[string]).Draw(rt, "rows")
		cells := rapid.Custom(func(rt *rapid.T) schemas.Cell {
			return schemas.Cell{
				Key:    s.row(fmt.Sprint(histories, "/", rapid.SampledFrom(rowNames).Draw(rt, "row"))),
				Column: rapid.SampledFrom([]string{"b:1", "s:1", "s:10"}).Draw(rt, "column"),
				Stamp:  rapid.Int64Range(0, 9).Draw(rt, "stamp"),
				Value:  []byte(rapid.StringN(0, 3, -1).Draw(rt, "value")),
			}
		})
		for range rapid.IntRange(1, 12).Draw(rt, "steps") {
			batch := rapid.SliceOfN(cells, 1, 5).Draw(rt, "cells")
			if rapid.IntRange(0, 3).Draw(rt, "kind") == 0 {
				deleteBoth(rt, s, model, floor, batch)
			} else {
				putBoth(rt, s, model, floor, batch)
			}
			compareRows(rt, s, model, batch)
		}
	})
}

func putBoth(rt *rapid.T, s viewSuite, model viewModel, floor map[place]int64, batch []schemas.Cell) {
	for i, c := range batch {
		batch[i].Stamp += floor[place{c.Row, c.Column}]
		model.put(batch[i])
	}
	if err := s.Put(rt.Context(), batch...); err != nil {
		rt.Fatalf("put: %v", err)
	}
}

func deleteBoth(rt *rapid.T, s viewSuite, model viewModel, floor map[place]int64, batch []schemas.Cell) {
	for _, c := range batch {
		model.remove(c)
		at := place{c.Row, c.Column}
		floor[at] = max(floor[at], c.Stamp+1)
	}
	if err := s.Delete(rt.Context(), batch...); err != nil {
		rt.Fatalf("delete: %v", err)
	}
}

// compareRows reads the rows of the cells and compares them with the model.
func compareRows(rt *rapid.T, s viewSuite, model viewModel, cells []schemas.Cell) {
	for _, c := range cells {
		rows, err := s.Get(rt.Context(), c.Key)
		if err != nil {
			rt.Fatalf("get: %v", err)
		}
		if got, want := listCells(rows[0]), listCells(model.row(c.Key)); got != want {
			rt.Fatalf("row %q: got %s, want %s", c.Row, got, want)
		}
	}
}

// listCells writes the cells of a row on one line.
func listCells(row schemas.Row) string {
	var b strings.Builder
	for _, c := range row.Cells {
		fmt.Fprintf(&b, "[%s@%d %q]", c.Column, c.Stamp, c.Value)
	}
	return b.String()
}
