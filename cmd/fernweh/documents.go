package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"syscall"

	"fernweh/infra/elastic"
	"fernweh/infra/embedded"
)

// openDocuments opens the documents of the set of views.
func (s *stack) openDocuments(ctx context.Context) error {
	c := s.config
	if len(c.Elastic.URLs) == 0 {
		program, err := self()
		if err != nil {
			return fmt.Errorf("find the program for the documents' process: %w", err)
		}
		dir := filepath.Join(c.DataDir, c.ofSet("documents"))
		d := embedded.DocumentsIn(func() *exec.Cmd { return exec.Command(program, documentsCommand, dir) })
		if _, err := d.Indices(ctx, ""); err != nil {
			return errors.Join(fmt.Errorf("open documents %s: %w", dir, err), d.Close())
		}
		s.documents = d
		s.closers = append(s.closers, d.Close)
		return nil
	}
	d, err := elastic.Open(ctx, elastic.Config{
		Addresses: c.Elastic.URLs, Username: c.Elastic.User, Password: c.Elastic.Password, APIKey: c.Elastic.APIKey,
		CAFile: c.Elastic.CA, Prefix: c.Views, Shards: c.Elastic.Shards, Replicas: c.Elastic.Replicas,
	}, s.metrics)
	if err != nil {
		return err
	}
	s.documents = d
	s.closers = append(s.closers, d.Close)
	return nil
}

// self is the path of this program. Linux tells it by /proc alone, which a changed
// root may lack; there it is what the caller's name for it leads to.
func self() (string, error) {
	path, err := os.Executable()
	if err == nil {
		return path, nil
	}
	called, lookup := exec.LookPath(os.Args[0])
	if lookup != nil {
		return "", errors.Join(err, lookup)
	}
	return filepath.Abs(called)
}

// documentsCommand is what this program calls itself with, to have the embedded
// documents in a process of their own (docs/decisions/0013). It is for nobody else,
// and in no list of commands.
const documentsCommand = "documents-process"

// runDocuments is that process. It ends when its input does: signals of a terminal
// are for the one who started it, which still writes documents until it ends.
func runDocuments(dir string) error {
	signal.Ignore(os.Interrupt, syscall.SIGTERM, syscall.SIGHUP, syscall.SIGPIPE)
	return embedded.DocumentsMain(dir)
}
