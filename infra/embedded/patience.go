package embedded

import (
	"errors"
	"io/fs"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// retryWrite is how often a write that the disk refuses is tried again.
const retryWrite = 100 * time.Millisecond

// A trouble is what keeps the store from writing: for a while (the disk is
// full), or for good (a sync failed). The zero value is none.
type trouble struct {
	patient atomic.Bool // hold errors back; until the store is open they are handed on

	mu    sync.Mutex
	err   error         // guarded by mu
	final bool          // guarded by mu: err stays until the store is opened again
	begun chan struct{} // guarded by mu: closed when err is set
}

// begin notes err, for good or until it ends. What is for good stays.
func (t *trouble) begin(err error, final bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.final {
		return
	}
	if t.err == nil {
		close(t.signal())
	}
	t.err, t.final = err, final
}

// end is called when a write went through again.
func (t *trouble) end() {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.err != nil && !t.final {
		t.err, t.begun = nil, nil
	}
}

// now is the present trouble, or nil and a channel that is closed when one begins.
func (t *trouble) now() (error, <-chan struct{}) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.err, t.signal()
}

// signal is begun, made at its first use. The caller holds mu.
func (t *trouble) signal() chan struct{} {
	if t.begun == nil {
		t.begun = make(chan struct{})
	}
	return t.begun
}

// A patientFS never hands the error of a write on to Pebble, which takes one in
// its log for the end of the process. A write waits and is tried again: then
// the store is whole, and goes on by itself when the disk is no longer full.
// Meanwhile trouble tells the callers. A sync that failed is not tried again,
// because the kernel has forgotten what it could not write and the next sync
// would lie: it never returns, and the store writes no more.
type patientFS struct {
	vfs.FS
	trouble *trouble
}

// wait repeats op until the disk takes it.
func (t *trouble) wait(op func() error) error {
	waited := false
	for {
		err := op()
		if !t.patient.Load() || err == nil || errors.Is(err, fs.ErrNotExist) || errors.Is(err, fs.ErrExist) {
			if waited {
				t.end()
			}
			return err
		}
		waited = true
		t.begin(err, false)
		<-time.After(retryWrite)
	}
}

// never is for an error after which no write may follow.
func (t *trouble) never(err error) error {
	if err == nil || errors.Is(err, fs.ErrClosed) || !t.patient.Load() {
		return err
	}
	t.begin(err, true)
	select {}
}

// open is wait for an operation that gives a file.
func (p patientFS) open(op func() (vfs.File, error)) (f vfs.File, err error) {
	err = p.trouble.wait(func() (err error) {
		f, err = op()
		return err
	})
	if err != nil {
		return nil, err
	}
	return patientFile{f, p.trouble}, nil
}

func (p patientFS) Create(name string, category vfs.DiskWriteCategory) (vfs.File, error) {
	return p.open(func() (vfs.File, error) { return p.FS.Create(name, category) })
}

func (p patientFS) ReuseForWrite(old, name string, category vfs.DiskWriteCategory) (vfs.File, error) {
	return p.open(func() (vfs.File, error) { return p.FS.ReuseForWrite(old, name, category) })
}

func (p patientFS) OpenReadWrite(
	name string, category vfs.DiskWriteCategory, opts ...vfs.OpenOption,
) (vfs.File, error) {
	return p.open(func() (vfs.File, error) { return p.FS.OpenReadWrite(name, category, opts...) })
}

func (p patientFS) OpenDir(name string) (vfs.File, error) {
	return p.open(func() (vfs.File, error) { return p.FS.OpenDir(name) })
}

func (p patientFS) Link(old, name string) error {
	return p.trouble.wait(func() error { return p.FS.Link(old, name) })
}

func (p patientFS) Rename(old, name string) error {
	return p.trouble.wait(func() error { return p.FS.Rename(old, name) })
}

func (p patientFS) MkdirAll(dir string, perm os.FileMode) error {
	return p.trouble.wait(func() error { return p.FS.MkdirAll(dir, perm) })
}

// A patientFile is a file of a patientFS.
type patientFile struct {
	vfs.File
	trouble *trouble
}

// Write writes all of b; what a full disk took of it is not written twice.
func (f patientFile) Write(b []byte) (written int, err error) {
	err = f.trouble.wait(func() error {
		n, err := f.File.Write(b[written:])
		written += n
		return err
	})
	return written, err
}

func (f patientFile) WriteAt(b []byte, at int64) (written int, err error) {
	err = f.trouble.wait(func() error {
		n, err := f.File.WriteAt(b[written:], at+int64(written))
		written += n
		return err
	})
	return written, err
}

func (f patientFile) Sync() error     { return f.trouble.never(f.File.Sync()) }
func (f patientFile) SyncData() error { return f.trouble.never(f.File.SyncData()) }
func (f patientFile) Close() error    { return f.trouble.never(f.File.Close()) }

func (f patientFile) SyncTo(length int64) (full bool, err error) {
	full, err = f.File.SyncTo(length)
	return full, f.trouble.never(err)
}
