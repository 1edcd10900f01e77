package embedded_test

import (
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"fernweh/infra/embedded"
	"fernweh/infra/infratest"
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
