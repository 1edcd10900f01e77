package embedded

import (
	"context"
	"fmt"
	"io"
	"net/rpc"
	"os/exec"
	"strings"
	"sync"
	"time"

	"fernweh/schemas"
)

// A DocumentsProcess holds documents in another process, which it starts at the
// first call and again after it has ended. Bleve works in goroutines of its own, and
// on a disk that refuses a write it panics in them or goes on with an index that is
// no longer whole: no caller can bear that, but a process that has nothing else can
// end of it. What it had acknowledged is on the disk. A call that it ends in is an
// error, and may be repeated, like any that is in doubt.
type DocumentsProcess struct {
	command func() *exec.Cmd

	mu     sync.Mutex
	closed bool      // guarded by mu
	child  *child    // guarded by mu; nil: none runs
	ended  error     // guarded by mu: of the last one
	next   time.Time // guarded by mu: when the next may be started
}

// startEvery is how far apart two starts are at least: each opens its indices anew.
const startEvery = time.Second

// A child is the process while it runs.
type child struct {
	calls *rpc.Client
	cmd   *exec.Cmd
	said  *complaints
	gone  chan struct{} // closed when it has ended
}

// DocumentsIn gives the documents of the process that a command starts, which must
// do ServeDocuments with its standard input and output.
func DocumentsIn(command func() *exec.Cmd) *DocumentsProcess {
	return &DocumentsProcess{command: command}
}

// complaints keeps the beginning of what a process says: what a panic was, not
// all of its stacks.
type complaints struct {
	mu sync.Mutex
	b  []byte // guarded by mu
}

const mostWords = 2000

// Write keeps what there is room for.
func (w *complaints) Write(b []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.b = append(w.b, b[:min(len(b), mostWords-len(w.b))]...)
	return len(b), nil
}

// String is the first line: what was said first of the end.
func (w *complaints) String() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	line, _, _ := strings.Cut(strings.TrimSpace(string(w.b)), "\n")
	return line
}

// pipes are the child's standard input and output.
type pipes struct {
	io.ReadCloser
	io.WriteCloser
}

// Close ends what is written. What is under way at the other end is still answered,
// and read until that end is closed, too.
func (p pipes) Close() error { return p.WriteCloser.Close() }

// running is the child, started if need be.
func (d *DocumentsProcess) running() (*child, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.closed {
		return nil, ErrClosed
	}
	if d.child != nil {
		return d.child, nil
	}
	if wait := time.Until(d.next); wait > 0 && d.ended != nil {
		return nil, d.ended
	}
	d.next = time.Now().Add(startEvery)
	c, err := d.start()
	if err != nil {
		return nil, fmt.Errorf("start the documents' process: %w", err)
	}
	d.child = c
	return c, nil
}

// start starts a child. The caller holds mu.
func (d *DocumentsProcess) start() (*child, error) {
	c := &child{cmd: d.command(), said: new(complaints), gone: make(chan struct{})}
	c.cmd.Stderr = c.said
	in, err := c.cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	out, err := c.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := c.cmd.Start(); err != nil {
		return nil, err
	}
	c.calls = rpc.NewClient(pipes{out, in})
	return c, nil
}

// reap waits for the end of a child whose calls fail, and says what it was.
func (d *DocumentsProcess) reap(c *child) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.child == c {
		_ = c.calls.Close() // it may have closed by itself
		err := c.cmd.Wait()
		d.ended = fmt.Errorf("the documents' process has ended: %w: %s", err, c.said)
		if err == nil {
			d.ended = fmt.Errorf("the documents' process has ended: %s", c.said)
		}
		d.child = nil
		close(c.gone)
	}
	if d.closed {
		return ErrClosed
	}
	return d.ended
}

// Close ends the process, and waits for it.
func (d *DocumentsProcess) Close() error {
	d.mu.Lock()
	d.closed = true
	c := d.child
	d.mu.Unlock()
	if c == nil {
		return nil
	}
	const patience = 10 * time.Second
	hangs := time.AfterFunc(patience, func() { _ = c.cmd.Process.Kill() })
	defer hangs.Stop()
	_ = c.calls.Close() // the child ends at the end of its input
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.child != c {
		return nil // it has been reaped
	}
	d.child = nil
	close(c.gone)
	if err := c.cmd.Wait(); err != nil {
		return fmt.Errorf("close documents: %w: %s", err, c.said)
	}
	return nil
}

// do makes one call.
func (d *DocumentsProcess) do(ctx context.Context, ask DocumentsAsk) (DocumentsAnswer, error) {
	var answer DocumentsAnswer
	if err := ctx.Err(); err != nil {
		return answer, fmt.Errorf("%s: %w", ask, err)
	}
	c, err := d.running()
	if err != nil {
		return answer, fmt.Errorf("%s: %w", ask, err)
	}
	call := c.calls.Go("Documents.Do", &ask, &answer, make(chan *rpc.Call, 1))
	select {
	case <-call.Done:
	case <-ctx.Done():
		return DocumentsAnswer{}, fmt.Errorf("%s: %w", ask, ctx.Err()) // the answer is nobody's
	}
	if call.Error != nil {
		return answer, fmt.Errorf("%s: %w", ask, d.reap(c))
	}
	return answer, answer.err()
}

// Write writes whole documents, as Documents does.
func (d *DocumentsProcess) Write(ctx context.Context, docs ...schemas.Document) error {
	_, err := d.do(ctx, DocumentsAsk{Op: opWrite, Docs: docs})
	return err
}

// Delete removes documents, unless a higher version is there.
func (d *DocumentsProcess) Delete(ctx context.Context, docs ...schemas.Document) error {
	_, err := d.do(ctx, DocumentsAsk{Op: opDelete, Docs: docs})
	return err
}

// Get reads a document.
func (d *DocumentsProcess) Get(ctx context.Context, index, id string) (schemas.Document, bool, error) {
	a, err := d.do(ctx, DocumentsAsk{Op: opGet, Index: index, ID: id})
	return a.Doc, a.Found, err
}

// Refresh has nothing to do: what is written is found at once.
func (d *DocumentsProcess) Refresh(ctx context.Context, indices ...string) error {
	_, err := d.do(ctx, DocumentsAsk{Op: opRefresh, Indices: indices})
	return err
}

// Search finds documents.
func (d *DocumentsProcess) Search(ctx context.Context, q schemas.Query) (schemas.Hits, error) {
	a, err := d.do(ctx, DocumentsAsk{Op: opSearch, Query: q})
	return a.Hits, err
}

// Alias makes a name mean exactly some indices.
func (d *DocumentsProcess) Alias(ctx context.Context, name string, indices ...string) error {
	_, err := d.do(ctx, DocumentsAsk{Op: opAlias, Index: name, Indices: indices})
	return err
}

// Indices lists the indices whose names begin with prefix, ascending.
func (d *DocumentsProcess) Indices(ctx context.Context, prefix string) ([]string, error) {
	a, err := d.do(ctx, DocumentsAsk{Op: opIndices, Index: prefix})
	return a.Indices, err
}

// Drop removes indices with all that is in them.
func (d *DocumentsProcess) Drop(ctx context.Context, indices ...string) error {
	_, err := d.do(ctx, DocumentsAsk{Op: opDrop, Indices: indices})
	return err
}
