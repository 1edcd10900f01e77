package embedded_test

import (
	"fmt"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"fernweh/infra/embedded"
	"fernweh/infra/infratest"
	"fernweh/schemas"
)

// views opens a store in a directory of the test.
func views(t *testing.T, dir string) *embedded.Views {
	t.Helper()
	v, err := embedded.OpenViews(dir)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func TestViews(t *testing.T) {
	infratest.Views(t, func(t *testing.T) infratest.ViewStore { return views(t, t.TempDir()) })
}

func TestViewsInMemory(t *testing.T) {
	infratest.Views(t, func(t *testing.T) infratest.ViewStore {
		v, err := embedded.OpenViewsIn(vfs.NewMem(), "views")
		if err != nil {
			t.Fatal(err)
		}
		return v
	})
}

// TestDeletedCellsSurviveCompaction: generations come and go, and the store is
// compacted at any time between. A merge that came to nothing once made Pebble
// panic here, for ever.
func TestDeletedCellsSurviveCompaction(t *testing.T) {
	v, err := embedded.OpenViewsIn(vfs.NewMem(), "views")
	if err != nil {
		t.Fatal(err)
	}
	defer v.Close()
	const rows = 300
	cell := func(row, generation int) schemas.Cell {
		return schemas.Cell{Key: schemas.VisitorKey(fmt.Sprint(row)), Column: schemas.ColumnBatch(int64(generation)), Stamp: int64(generation), Value: []byte("x")}
	}
	for generation := range 4 {
		for row := range rows {
			if err := v.Put(t.Context(), cell(row, generation)); err != nil {
				t.Fatal(err)
			}
			if generation > 0 && row%2 == 0 {
				if err := v.Delete(t.Context(), cell(row, generation-1)); err != nil {
					t.Fatal(err)
				}
			}
		}
		if err := v.Compact(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	for row := range rows {
		got, err := v.Get(t.Context(), cell(row, 0).Key)
		if err != nil {
			t.Fatal(err)
		}
		if want := 1 + 3*(row%2); len(got[0].Cells) != want {
			t.Fatalf("row %d has %d cells, want %d", row, len(got[0].Cells), want)
		}
	}
}
