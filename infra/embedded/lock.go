package embedded

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
)

// ErrLocked says that another process works in the directory.
var ErrLocked = errors.New("another process works in it")

// Lock keeps other processes out of a directory until unlock, or until this
// process ends, however it ends. note is what they are told besides the process
// id: the address to talk to. The file stays; the lock is not in its bytes.
func Lock(dir, note string) (unlock func() error, err error) {
	if err := makeDirs(dir); err != nil {
		return nil, fmt.Errorf("lock directory %s: %w", dir, err)
	}
	file, err := os.OpenFile(filepath.Join(dir, "LOCK"), os.O_RDWR|os.O_CREATE, 0o644)
	if err != nil {
		return nil, fmt.Errorf("lock directory %s: %w", dir, err)
	}
	if err := take(file, note); err != nil {
		return nil, fmt.Errorf("lock directory %s: %w", dir, errors.Join(err, file.Close()))
	}
	return file.Close, nil
}

// take locks the file and writes who has it.
func take(file *os.File, note string) error {
	err := syscall.Flock(int(file.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
	if errors.Is(err, syscall.EWOULDBLOCK) {
		holder := make([]byte, 512)
		n, _ := file.ReadAt(holder, 0) // without it the error only says less
		return fmt.Errorf("%w: %s", ErrLocked, bytes.TrimSpace(holder[:n]))
	}
	if err != nil {
		return err
	}
	if err := file.Truncate(0); err != nil {
		return err
	}
	_, err = file.WriteAt(fmt.Appendf(nil, "process %d, %s\n", os.Getpid(), note), 0)
	return err
}
