package embedded_test

import (
	"bytes"
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"

	"fernweh/infra/embedded"
	"fernweh/schemas"
)

// A faultyDisk answers some operations with an error while it has one.
type faultyDisk struct {
	err  atomic.Pointer[error]
	hits func(errorfs.Op) bool
}

func (d *faultyDisk) String() string { return "faulty disk" }

func (d *faultyDisk) MaybeError(op errorfs.Op) error {
	if err := d.err.Load(); err != nil && d.hits(op) {
		return *err
	}
	return nil
}

// writes are the operations that a full disk refuses.
func writes(op errorfs.Op) bool {
	switch op.Kind {
	case errorfs.OpCreate, errorfs.OpFileWrite, errorfs.OpFileWriteAt, errorfs.OpLink, errorfs.OpReuseForWrite:
		return true
	}
	return false
}

// logSyncs are the syncs of the write-ahead log.
func logSyncs(op errorfs.Op) bool {
	sync := op.Kind == errorfs.OpFileSync || op.Kind == errorfs.OpFileSyncData || op.Kind == errorfs.OpFileSyncTo
	return sync && strings.HasSuffix(op.Path, ".log")
}

// viewsOn opens views on a faulty disk, with one cell in them.
func viewsOn(t *testing.T, disk *faultyDisk) *embedded.Views {
	t.Helper()
	v, err := embedded.OpenViewsIn(errorfs.Wrap(vfs.NewMem(), disk), "views")
	if err != nil {
		t.Fatal(err)
	}
	if err := v.Put(t.Context(), state("before", 1)); err != nil {
		t.Fatal(err)
	}
	return v
}

// state is a visitor's cell of about 500 bytes.
func state(device string, stamp int64) schemas.Cell {
	return schemas.Cell{
		Key: schemas.VisitorKey(device), Column: schemas.ColumnSpeed(0), Stamp: stamp,
		Value: []byte(strings.Repeat("state of "+device+" ", 30)),
	}
}

// has says whether the cell is in the store.
func has(t *testing.T, v *embedded.Views, c schemas.Cell) bool {
	t.Helper()
	rows, err := v.Get(t.Context(), c.Key)
	if err != nil {
		t.Fatalf("get while the disk is in trouble: %v", err)
	}
	got, ok := rows[0].Cell(c.Column)
	return ok && got.Stamp == c.Stamp
}

func TestFullDiskIsAnErrorUntilThereIsSpace(t *testing.T) {
	disk := &faultyDisk{hits: writes}
	v := viewsOn(t, disk)
	var full error = syscall.ENOSPC
	disk.err.Store(&full)
	for i := range 3 {
		if err := v.Put(t.Context(), state("during", int64(i))); !errors.Is(err, syscall.ENOSPC) {
			t.Fatalf("put on a full disk: got %v, want %v", err, full)
		}
	}
	if _, err := v.CompareAndSet(t.Context(), schemas.KeyPublished, schemas.ColumnValue, nil, []byte("1")); err == nil {
		t.Error("compare and set on a full disk: got no error")
	}
	if !has(t, v, state("before", 1)) {
		t.Error("what was there before is not readable on a full disk")
	}
	disk.err.Store(nil)
	after := state("after", 1)
	for v.Put(t.Context(), after) != nil && t.Context().Err() == nil {
		<-time.After(time.Millisecond) // until the store has noticed
	}
	if !has(t, v, after) || !has(t, v, state("before", 1)) {
		t.Error("with space again: a cell that was acknowledged is not there")
	}
	if won, err := v.CompareAndSet(t.Context(), schemas.KeyPublished, schemas.ColumnValue, nil, []byte("1")); !won || err != nil {
		t.Errorf("compare and set with space again: got %t, %v", won, err)
	}
	if err := v.Close(); err != nil {
		t.Errorf("close: %v", err)
	}
}

func TestFullDiskDoesNotHoldUpTheEnd(t *testing.T) {
	disk := &faultyDisk{hits: writes}
	v := viewsOn(t, disk)
	var full error = syscall.ENOSPC
	disk.err.Store(&full)
	if err := v.Put(t.Context(), state("during", 1)); err == nil {
		t.Error("put on a full disk: got no error")
	}
	if err := v.Close(); !errors.Is(err, syscall.ENOSPC) {
		t.Errorf("close on a full disk: got %v, want %v", err, full)
	}
	if err := v.Put(t.Context(), state("during", 1)); !errors.Is(err, embedded.ErrClosed) {
		t.Errorf("put after that: got %v, want %v", err, embedded.ErrClosed)
	}
	disk.err.Store(nil) // lets the writer that waits go
}

func TestLostSyncEndsWritingForGood(t *testing.T) {
	disk := &faultyDisk{hits: logSyncs}
	v := viewsOn(t, disk)
	var broken error = syscall.EIO
	disk.err.Store(&broken)
	if err := v.Put(t.Context(), state("during", 1)); err == nil {
		t.Fatal("put that can't be synced: got no error")
	}
	disk.err.Store(nil)
	if err := v.Put(t.Context(), state("after", 1)); err == nil {
		t.Error("put behind a sync that failed: got no error")
	}
	if !has(t, v, state("before", 1)) {
		t.Error("what was there before is not readable")
	}
	if err := v.Close(); err == nil {
		t.Error("close: got no error, though a write was lost")
	}
}

// TestFailingDiskNeverEndsTheProcess breaks the disk at each of the first
// operations that write, through log, flush, rotation and manifest.
func TestFailingDiskNeverEndsTheProcess(t *testing.T) {
	for first := int64(1); first <= 150; first += 3 {
		var seen atomic.Int64
		disk := &faultyDisk{hits: func(op errorfs.Op) bool {
			return op.Kind.ReadOrWrite() == errorfs.OpIsWrite && op.Kind != errorfs.OpFileClose && seen.Add(1) >= first
		}}
		v := viewsOn(t, disk)
		var broken error = syscall.EIO
		disk.err.Store(&broken)
		if err := putUntilError(t, v); errors.Is(err, context.DeadlineExceeded) {
			t.Fatalf("operation %d fails: put hangs", first)
		}
		if !has(t, v, state("before", 1)) {
			t.Errorf("operation %d fails: what was there before is not readable", first)
		}
		if err := v.Close(); err == nil {
			t.Errorf("operation %d fails: close gives no error, though a write was lost", first)
		}
		disk.err.Store(nil) // lets the writers that wait go
	}
}

// putUntilError writes values large enough to fill the log, and gives the first error.
func putUntilError(t *testing.T, v *embedded.Views) error {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	for stamp := int64(0); ; stamp++ {
		c := state("mueller", stamp)
		c.Value = bytes.Repeat(c.Value, 200)
		if err := v.Put(ctx, c); err != nil {
			return err
		}
	}
}

func TestUnopenableDirectoryIsNamed(t *testing.T) {
	for _, err := range []error{syscall.ENOSPC, syscall.EROFS} {
		disk := &faultyDisk{hits: writes}
		disk.err.Store(&err)
		_, got := embedded.OpenViewsIn(errorfs.Wrap(vfs.NewMem(), disk), "the-directory")
		if !errors.Is(got, err) || !strings.Contains(got.Error(), "the-directory") {
			t.Errorf("open: got %v, want %v and the directory", got, err)
		}
	}
}
