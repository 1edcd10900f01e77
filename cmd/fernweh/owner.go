package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"time"

	serve "fernweh/serving"
	"fernweh/serving/access"
)

// accessFolder is where keys and audit lie, and the owner's door: in a folder that
// the system opens to the owner of the data directory alone.
func (c *config) accessFolder() string { return filepath.Join(c.DataDir, "access") }

// socketName is the owner's door.
const socketName = "api.sock"

// ownerDoor answers at a socket that only the owner of the data directory can
// open, who could as well change the files behind it: no key is asked for there
// (docs/decisions). Where the system has no such sockets there is none.
func (s *stack) ownerDoor(server *serve.Server) part {
	return func(ctx context.Context) error {
		l, err := listenSocket(s.config.accessFolder())
		if err != nil {
			slog.WarnContext(ctx, "commands will need admin-key: the owner's socket cannot be opened", "error", err)
			return nil
		}
		name := fmt.Sprintf("owner of the data directory, user %d", os.Getuid())
		err = doorOf(l, serve.HTTPServer(server.OwnerHandler(name)))(ctx)
		return errors.Join(err, os.Remove(filepath.Join(s.config.accessFolder(), socketName)))
	}
}

// listenSocket makes the socket anew: whoever had it before is gone, for this
// process has the lock.
func listenSocket(folder string) (net.Listener, error) {
	if err := access.MakeFolder(folder); err != nil {
		return nil, err
	}
	if err := os.Remove(filepath.Join(folder, socketName)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	var l net.Listener
	err := nearSocket(folder, func(path string) (err error) {
		l, err = net.Listen("unix", path)
		return err
	})
	if err != nil {
		return nil, err
	}
	l.(*net.UnixListener).SetUnlinkOnClose(false) // its path may be one of this moment
	return l, nil
}

// dialSocket asks the process that has the data directory.
func dialSocket(ctx context.Context, folder string) (c net.Conn, err error) {
	err = nearSocket(folder, func(path string) (err error) {
		c, err = new(net.Dialer).DialContext(ctx, "unix", path)
		return err
	})
	return c, err
}

// maxSocketPath is what every system takes; a longer path has to be shortened.
const maxSocketPath = 100

// nearSocket gives the socket's path, or a short one to the same file while the
// folder is open.
func nearSocket(folder string, use func(path string) error) error {
	path := filepath.Join(folder, socketName)
	if len(path) <= maxSocketPath || runtime.GOOS != "linux" {
		return use(path)
	}
	d, err := os.Open(folder)
	if err != nil {
		return err
	}
	defer d.Close()
	return use(fmt.Sprintf("/proc/self/fd/%d/%s", d.Fd(), socketName))
}

// acting does what a command was told to do on its own stack, and keeps it in the
// audit, before and after.
func (s *stack) acting(act, target string, do func() (ended string, err error)) error {
	audit, err := access.OpenAudit(s.config.accessFolder())
	if err != nil {
		return err
	}
	r := access.Record{
		At: time.Now().UTC(), ID: rand.Text()[:12], Act: act, Target: target, What: access.Begun,
		By: fmt.Sprintf("command line, user %d", os.Getuid()),
	}
	if err := audit.Append(r); err != nil {
		return errors.Join(err, audit.Close())
	}
	ended, err := do()
	r.At, r.What, r.Detail = time.Now().UTC(), access.Done, ended
	if err != nil {
		r.What = access.Failed // the error may name a person
	}
	return errors.Join(err, audit.Append(r), audit.Close())
}
