package access

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
)

// MakeFolder makes the folder that keys and audit lie in: for its owner alone.
func MakeFolder(folder string) error {
	if err := os.MkdirAll(folder, 0o700); err != nil {
		return fmt.Errorf("make folder of keys: %w", err)
	}
	return os.Chmod(folder, 0o700) // it may be older than this rule
}

// lockFolder makes others who change a folder's keys wait until unlock.
func lockFolder(folder string) (unlock func(), err error) {
	if err := MakeFolder(folder); err != nil {
		return nil, err
	}
	f, err := os.OpenFile(filepath.Join(folder, "LOCK"), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("lock keys: %w", err)
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX); err != nil {
		return nil, fmt.Errorf("lock keys %s: %w", f.Name(), errors.Join(err, f.Close()))
	}
	return func() { _ = f.Close() }, nil // nothing was written into it
}

// replace puts a file in the place of another, durably and whole.
func replace(path string, text []byte) (err error) {
	f, err := os.CreateTemp(filepath.Dir(path), ".keys-*") // of mode 0600
	if err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	defer func() {
		if err != nil {
			err = fmt.Errorf("write %s: %w", path, errors.Join(err, os.Remove(f.Name())))
		}
	}()
	_, err = f.Write(text)
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return err
	}
	if err = os.Rename(f.Name(), path); err != nil {
		return err
	}
	if failed := syncFolder(filepath.Dir(path)); failed != nil {
		return fmt.Errorf("write %s: %w", path, failed)
	}
	return nil
}

// syncFolder makes a name in a folder durable.
func syncFolder(folder string) error {
	d, err := os.Open(folder)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
