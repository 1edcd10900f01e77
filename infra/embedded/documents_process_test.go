package embedded_test

import (
	"errors"
	"os"
	"os/exec"
	"strings"
	"testing"

	"fernweh/infra/embedded"
	"fernweh/infra/infratest"
	"fernweh/schemas"
)

// documentsDir tells the test binary to be the process that has the documents.
const documentsDir = "FERNWEH_TEST_DOCUMENTS"

// apart opens the documents of a directory in a process of their own, and gives the
// commands that were started.
func apart(dir string) (*embedded.DocumentsProcess, func() []*exec.Cmd) {
	var started []*exec.Cmd
	d := embedded.DocumentsIn(func() *exec.Cmd {
		c := exec.Command(os.Args[0])
		c.Env = append(os.Environ(), documentsDir+"="+dir)
		started = append(started, c)
		return c
	})
	return d, func() []*exec.Cmd { return started }
}

func TestDocumentsApart(t *testing.T) {
	infratest.Documents(t, func(t *testing.T) infratest.DocumentStore {
		d, _ := apart(t.TempDir())
		t.Cleanup(func() {
			if err := d.Close(); err != nil {
				t.Error(err)
			}
		})
		return d
	})
}

// TestTheDocumentsProcessMayEnd: it is an error of the calls, what was acknowledged
// is there, and the next calls find another.
func TestTheDocumentsProcessMayEnd(t *testing.T) {
	d, started := apart(t.TempDir())
	defer d.Close()
	doc := victimDocument(1, 1)
	if err := d.Write(t.Context(), doc); err != nil {
		t.Fatal(err)
	}
	if err := started()[0].Process.Kill(); err != nil {
		t.Fatal(err)
	}
	var err error
	for err == nil && t.Context().Err() == nil {
		_, _, err = d.Get(t.Context(), doc.Index, doc.ID)
	}
	if !strings.Contains(err.Error(), "has ended: signal: killed") {
		t.Errorf("a call of a process that was killed: got %v, want that it has ended", err)
	}
	var got schemas.Document
	var found bool
	for !found && t.Context().Err() == nil {
		got, found, _ = d.Get(t.Context(), doc.Index, doc.ID) // errors until another one is started
	}
	if got.Version != doc.Version || len(started()) != 2 {
		t.Errorf("got version %d of %d processes, want version %d of 2", got.Version, len(started()), doc.Version)
	}
	if err := d.Close(); err != nil {
		t.Error(err)
	}
	if s := started()[1].ProcessState; !s.Success() {
		t.Errorf("told to end, the process ended with %v, want success", s)
	}
	if err := d.Write(t.Context(), doc); !errors.Is(err, embedded.ErrClosed) {
		t.Errorf("write after the end: got %v, want %v", err, embedded.ErrClosed)
	}
}
