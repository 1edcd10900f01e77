package native

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"syscall"
	"time"
)

// A process is one that runs, or ran, on this machine. Its id alone would not
// tell it from a later one that got the same id; its start time does.
type process struct {
	PID   int    `json:"pid"`
	Start string `json:"start"` // of the machine and of the process, as the kernel counts it
}

// look is how often something is asked again while it is waited for.
const look = 50 * time.Millisecond

// alive says whether the process is still there, or a part of it: of a killed
// process threads may linger, and hold its ports, while its first one is gone.
func (p process) alive() bool {
	state, start, err := inspect(p.PID)
	return err == nil && start == p.Start && (state != 'Z' || threads(p.PID) > 1)
}

// signal sends a signal to exactly this process. None is sent if it is gone.
func (p process) signal(s syscall.Signal) error {
	handle, err := os.FindProcess(p.PID) // holds on to the process, so that its id cannot pass to another one now
	if err != nil {
		return fmt.Errorf("find process %d: %w", p.PID, err)
	}
	defer handle.Release()
	if !p.alive() {
		return nil
	}
	if err := handle.Signal(s); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("send %s to process %d: %w", s, p.PID, err)
	}
	return nil
}

// gone waits until the process has ended.
func (p process) gone(ctx context.Context) error {
	return until(ctx, func() bool { return !p.alive() })
}

// until asks again and again until it is so, or ctx is done.
func until(ctx context.Context, so func() bool) error {
	tick := time.NewTicker(look)
	defer tick.Stop()
	for !so() {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		}
	}
	return nil
}

// stop asks the process to end, and ends it if it has not within the limit.
func (p process) stop(limit time.Duration) error {
	// CONT, since a frozen process would not hear of it.
	if err := errors.Join(p.signal(syscall.SIGTERM), p.signal(syscall.SIGCONT)); err != nil {
		return err
	}
	ctx, cancel := limited(limit)
	defer cancel()
	if p.gone(ctx) == nil {
		return nil
	}
	return p.kill()
}

// dying is how long the kernel may take to do what a signal asks.
const dying = 30 * time.Second

// kill ends the process at once and returns when it is gone.
func (p process) kill() error {
	if err := p.signal(syscall.SIGKILL); err != nil {
		return err
	}
	ctx, cancel := limited(dying)
	defer cancel()
	if err := p.gone(ctx); err != nil {
		return fmt.Errorf("process %d is still there %s after its kill: %w", p.PID, dying, err)
	}
	return nil
}

// limited is for the end of a process, which is waited for even by a caller
// whose own context is done: cleaning up is what it has left to do.
func limited(d time.Duration) (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.Background(), d)
}

// spawn starts a command in a session of its own. Unless it is detached it dies
// with this process, however this one ends.
func spawn(cmd *exec.Cmd, detached bool) (process, error) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if !detached {
		dieWithParent(cmd.SysProcAttr)
	}
	started := make(chan error)
	go func() {
		// The kernel means the thread that started the command when it speaks of
		// its parent. So that thread stays until the command has ended.
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		err := cmd.Start()
		started <- err
		if err == nil {
			_ = cmd.Wait() // how it ended is read from its log
		}
	}()
	if err := <-started; err != nil {
		return process{}, err
	}
	_, start, err := inspect(cmd.Process.Pid)
	if err != nil { // it can't be told from another process, so it must not stay
		return process{}, errors.Join(err, cmd.Process.Kill())
	}
	return process{cmd.Process.Pid, start}, nil
}

// A note is what is kept in the folder of a server about its process.
type note struct {
	process
	Ports   Ports  `json:"ports"`
	Version string `json:"version"`
}

// noteFile holds the note of the server whose folder it is.
func noteFile(dir string) string { return filepath.Join(dir, "process.json") }

// readNote gives the note of a folder if its process is alive.
func readNote(dir string) (n note, alive bool, err error) {
	b, err := os.ReadFile(noteFile(dir))
	if errors.Is(err, fs.ErrNotExist) {
		return note{}, false, nil
	}
	if err == nil {
		err = json.Unmarshal(b, &n)
	}
	if err != nil {
		return note{}, false, fmt.Errorf("read which process runs: %s: %w", noteFile(dir), err)
	}
	return n, n.alive(), nil
}

// write replaces the note of a folder at once: a kill leaves the old or the new one.
func (n note) write(dir string) error {
	b, err := json.Marshal(n)
	if err != nil {
		return err
	}
	return replaceFile(noteFile(dir), append(b, '\n'), 0o644)
}

// replaceFile writes a file that is there wholly or not at all.
func replaceFile(name string, b []byte, mode fs.FileMode) error {
	fresh := name + ".new"
	if err := os.WriteFile(fresh, b, mode); err != nil {
		return err
	}
	return os.Rename(fresh, name)
}

// lock keeps other processes away from a folder until unlock, or until this
// process ends. It waits for them, since they start or stop a server and no more.
func lock(ctx context.Context, dir string) (unlock func(), err error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, err
	}
	file, err := os.OpenFile(filepath.Join(dir, "LOCK"), os.O_RDWR|os.O_CREATE, 0o644)
	if err != nil {
		return nil, err
	}
	err = until(ctx, func() bool {
		return syscall.Flock(int(file.Fd()), syscall.LOCK_EX|syscall.LOCK_NB) == nil
	})
	if err != nil {
		file.Close() // nothing was written
		return nil, fmt.Errorf("wait for the process that works in %s: %w", dir, err)
	}
	return func() { file.Close() }, nil // the lock goes with it
}

// output runs a short command to its end and gives all that it said. If ctx is
// done before, the command is killed; it does not outlive this process either.
func output(ctx context.Context, cmd *exec.Cmd) ([]byte, error) {
	runtime.LockOSThread() // see spawn
	defer runtime.UnlockOSThread()
	cmd.SysProcAttr = new(syscall.SysProcAttr)
	dieWithParent(cmd.SysProcAttr)
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	stop := context.AfterFunc(ctx, func() { _ = cmd.Process.Kill() }) // it has ended already if that fails
	defer stop()
	err := cmd.Wait()
	return out.Bytes(), errors.Join(err, ctx.Err())
}
