package embedded

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// tempPattern names files that are still written. No file of the archive does.
const (
	tempPattern = ".temp-*"
	tempPrefix  = ".temp-"
)

// Files is a directory of files that are written once, whole or not at all, and
// never changed. Names are relative, their parts divided by slashes. It may be
// used from any number of goroutines, by one process (see Lock) or, opened by
// OpenSharedFiles, by several.
type Files struct{ dir string }

// OpenFiles opens a directory, which is made if it is not there, and clears away
// what an earlier process had not finished. No other process may have it open.
func OpenFiles(dir string) (*Files, error) { return openFiles(dir, 0) }

// unfinishedFor is how long a file may be in work before it is taken for one that
// a process left when it died.
const unfinishedFor = 24 * time.Hour

// OpenSharedFiles opens a directory that other processes may have open, too: each
// file is created by one of them, whole. What is unfinished is cleared away a
// day later.
func OpenSharedFiles(dir string) (*Files, error) {
	return openFiles(dir, unfinishedFor)
}

// openFiles clears away unfinished files that were not written to for so long.
func openFiles(dir string, age time.Duration) (*Files, error) {
	f := &Files{filepath.Clean(dir)}
	if err := makeDirs(f.dir); err != nil {
		return nil, fmt.Errorf("open files %s: %w", dir, err)
	}
	err := filepath.WalkDir(f.dir, func(at string, d fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) {
			return nil // another process has finished it
		}
		if err != nil || d.IsDir() || !strings.HasPrefix(d.Name(), tempPrefix) {
			return err
		}
		if info, err := d.Info(); err != nil || age > 0 && time.Since(info.ModTime()) < age {
			return nil
		}
		return os.Remove(at)
	})
	if err != nil {
		return nil, fmt.Errorf("open files %s: clear unfinished files: %w", dir, err)
	}
	return f, nil
}

// Create writes a file under a name that is free. created is false, without an
// error, if the name is taken: the file there is left as it is. When Create
// returns, the file and its name are on the disk.
func (f *Files) Create(ctx context.Context, name string, write func(io.Writer) error) (created bool, err error) {
	at, err := f.locate(ctx, name)
	if err == nil {
		created, err = create(ctx, at, write)
	}
	if err != nil {
		return false, fmt.Errorf("create file %q: %w", name, err)
	}
	return created, nil
}

// create writes beside the name and links there: a link, unlike a rename, fails
// where something is.
func create(ctx context.Context, at string, write func(io.Writer) error) (created bool, err error) {
	dir := filepath.Dir(at)
	if err := makeDirs(dir); err != nil {
		return false, err
	}
	temp, err := os.CreateTemp(dir, tempPattern)
	if err != nil {
		return false, err
	}
	defer func() { err = errors.Join(err, os.Remove(temp.Name())) }()
	err = write(temp)
	if err == nil {
		err = temp.Sync()
	}
	if err = errors.Join(err, temp.Close(), ctx.Err()); err != nil {
		return false, err
	}
	switch err := os.Link(temp.Name(), at); {
	case errors.Is(err, fs.ErrExist):
		return false, syncDir(dir) // whoever linked it may not have come to this yet
	case err != nil:
		return false, err
	}
	return true, syncDir(dir)
}

// Replace puts other content in the place of a file, or makes it. Whoever reads has
// the one or the other, whole; when it returns, the new one is on the disk.
func (f *Files) Replace(ctx context.Context, name string, write func(io.Writer) error) error {
	at, err := f.locate(ctx, name)
	if err == nil {
		err = overwrite(ctx, at, write)
	}
	if err != nil {
		return fmt.Errorf("replace file %q: %w", name, err)
	}
	return nil
}

func overwrite(ctx context.Context, at string, write func(io.Writer) error) error {
	if err := makeDirs(filepath.Dir(at)); err != nil {
		return err
	}
	temp, err := os.CreateTemp(filepath.Dir(at), tempPattern)
	if err != nil {
		return err
	}
	err = write(temp)
	if err == nil {
		err = temp.Sync()
	}
	if err = errors.Join(err, temp.Close(), ctx.Err()); err == nil {
		err = os.Rename(temp.Name(), at)
	}
	if err != nil {
		return errors.Join(err, os.Remove(temp.Name()))
	}
	return syncDir(filepath.Dir(at))
}

// Open reads a file. The error is fs.ErrNotExist if it is not there. r is
// read's until it returns.
func (f *Files) Open(ctx context.Context, name string, read func(r io.ReaderAt, size int64) error) error {
	at, err := f.locate(ctx, name)
	if err == nil {
		err = open(at, read)
	}
	if err != nil {
		return fmt.Errorf("open file %q: %w", name, err)
	}
	return nil
}

func open(at string, read func(r io.ReaderAt, size int64) error) error {
	file, err := os.Open(at)
	if err != nil {
		return err
	}
	defer file.Close() // nothing was written
	stat, err := file.Stat()
	if err != nil {
		return err
	}
	if stat.IsDir() {
		return fs.ErrNotExist
	}
	return read(file, stat.Size())
}

// List gives the names that begin with prefix, ascending.
func (f *Files) List(ctx context.Context, prefix string) ([]string, error) {
	var names []string
	err := filepath.WalkDir(f.dir, func(at string, d fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) {
			return nil // removed while we walk
		}
		if err = errors.Join(err, ctx.Err()); err != nil {
			return err
		}
		name := filepath.ToSlash(strings.TrimPrefix(strings.TrimPrefix(at, f.dir), string(filepath.Separator)))
		if d.IsDir() {
			if !strings.HasPrefix(name, prefix) && !strings.HasPrefix(prefix, name) {
				return filepath.SkipDir
			}
			return nil
		}
		if strings.HasPrefix(name, prefix) && !strings.HasPrefix(d.Name(), tempPrefix) {
			names = append(names, name)
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("list files %q: %w", prefix, err)
	}
	slices.Sort(names) // the walk goes by parts, "a/b" before "a-b"
	return names, nil
}

// Remove removes a file, for good when it returns. One that is not there is no error.
func (f *Files) Remove(ctx context.Context, name string) error {
	at, err := f.locate(ctx, name)
	if err == nil {
		err = os.Remove(at)
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
	}
	if err == nil {
		err = syncDir(filepath.Dir(at))
	}
	if err != nil {
		return fmt.Errorf("remove file %q: %w", name, err)
	}
	return nil
}

// locate is where a name lies, if it is one.
func (f *Files) locate(ctx context.Context, name string) (string, error) {
	if err := ctx.Err(); err != nil {
		return "", err
	}
	base := path.Base(name)
	if !fs.ValidPath(name) || base == "." || strings.HasPrefix(base, tempPrefix) || strings.ContainsRune(name, 0) {
		return "", fmt.Errorf("%w: names are relative, of parts with slashes between", fs.ErrInvalid)
	}
	return filepath.Join(f.dir, filepath.FromSlash(name)), nil
}

// makeDirs makes a directory with its parents, on the disk when it returns.
func makeDirs(dir string) error {
	if stat, err := os.Stat(dir); err == nil && stat.IsDir() {
		return nil
	}
	parent := filepath.Dir(dir)
	if parent != dir {
		if err := makeDirs(parent); err != nil {
			return err
		}
	}
	if err := os.Mkdir(dir, 0o755); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	return syncDir(parent)
}

// syncDir makes the names in a directory last.
func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
