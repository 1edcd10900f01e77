package embedded_test

import (
	"errors"
	"strings"
	"syscall"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"

	"fernweh/infra/embedded"
)

// TestKilledStoreOnAFullDiskIsNamed: what a killed process left in its log has to
// be flushed at the next start, for which there is no room now.
func TestKilledStoreOnAFullDiskIsNamed(t *testing.T) {
	mem := vfs.NewCrashableMem()
	v, err := embedded.OpenViewsIn(mem, "views")
	if err != nil {
		t.Fatal(err)
	}
	if err := v.Put(t.Context(), state("mueller", 1)); err != nil {
		t.Fatal(err)
	}
	killed := mem.CrashClone(vfs.CrashCloneCfg{})
	if err := v.Close(); err != nil {
		t.Fatal(err)
	}
	disk := &faultyDisk{hits: func(op errorfs.Op) bool { return writes(op) && strings.HasSuffix(op.Path, ".sst") }}
	var full error = syscall.ENOSPC
	disk.err.Store(&full)
	if _, err := embedded.OpenViewsIn(errorfs.Wrap(killed, disk), "views"); !errors.Is(err, full) {
		t.Errorf("open: got %v, want %v", err, full)
	}
}
