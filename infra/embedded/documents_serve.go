package embedded

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/rpc"
	"os"
	"syscall"

	"github.com/blevesearch/bleve/v2/index/scorch"

	"fernweh/schemas"
)

// What can be asked of the documents' process.
const (
	opWrite   = "write documents"
	opDelete  = "delete documents"
	opGet     = "get document"
	opRefresh = "refresh"
	opSearch  = "search"
	opAlias   = "set alias"
	opIndices = "list indices"
	opDrop    = "drop"
)

// A DocumentsAsk is one call on its way to the documents' process.
type DocumentsAsk struct {
	Op        string
	Docs      []schemas.Document
	Index, ID string // also a prefix, or an alias
	Indices   []string
	Query     schemas.Query
}

// String names the call, for an error.
func (a DocumentsAsk) String() string {
	if a.Index != "" {
		return a.Op + " " + a.Index
	}
	return a.Op
}

// A DocumentsAnswer is what comes back.
type DocumentsAnswer struct {
	Doc     schemas.Document
	Found   bool
	Hits    schemas.Hits
	Indices []string
	Problem string // empty: none
	Refused []schemas.Refused
}

// problem notes an error.
func (a *DocumentsAnswer) problem(err error) {
	if err == nil {
		return
	}
	a.Problem = err.Error()
	for _, r := range schemas.RefusedIn(err) {
		a.Refused = append(a.Refused, *r)
	}
}

// err is the error that was noted.
func (a *DocumentsAnswer) err() error {
	if a.Problem == "" {
		return nil
	}
	if len(a.Refused) == 0 {
		return errors.New(a.Problem)
	}
	refused := make([]*schemas.Refused, len(a.Refused))
	for i := range a.Refused {
		refused[i] = &a.Refused[i]
	}
	return schemas.JoinRefused(refused)
}

// documentsService answers calls from a store of this process.
type documentsService struct{ *Documents }

// Do answers one call. It has no deadline: who asked goes on without the answer.
func (s documentsService) Do(ask *DocumentsAsk, answer *DocumentsAnswer) (unsent error) {
	ctx, err := context.Background(), error(nil)
	switch ask.Op {
	case opWrite:
		if err = s.room(); err == nil {
			err = s.Write(ctx, ask.Docs...)
		}
	case opDelete:
		if err = s.room(); err == nil {
			err = s.Delete(ctx, ask.Docs...)
		}
	case opGet:
		answer.Doc, answer.Found, err = s.Get(ctx, ask.Index, ask.ID)
	case opRefresh:
		err = s.Refresh(ctx, ask.Indices...)
	case opSearch:
		answer.Hits, err = s.Search(ctx, ask.Query)
	case opAlias:
		err = s.Alias(ctx, ask.Index, ask.Indices...)
	case opIndices:
		answer.Indices, err = s.Indices(ctx, ask.Index)
	case opDrop:
		err = s.Drop(ctx, ask.Indices...)
	default:
		err = fmt.Errorf("it is not known how to %s", ask.Op)
	}
	answer.problem(err)
	return nil
}

// leastRoom is how many bytes the disk must have for documents to be written: they
// can be made again, and what lies beside them cannot.
const leastRoom = 8 << 20

// room refuses to write where the disk is all but full, before Bleve finds out.
func (d *Documents) room() error {
	var fs syscall.Statfs_t
	if err := syscall.Statfs(d.dir, &fs); err != nil {
		return fmt.Errorf("ask how much room there is: %w", err)
	}
	if left := int64(fs.Bavail) * fs.Bsize; left < leastRoom {
		return fmt.Errorf("%w: %d bytes are left, and documents are written while there are %d", syscall.ENOSPC, left, leastRoom)
	}
	return nil
}

// faultCallback is the name by which Bleve knows what to do with an error that none of
// its callers gets.
const faultCallback = "fernweh"

// onFault is called with such an error; nil: it is left alone. It is set before an
// index is opened.
var onFault func(error)

func init() {
	scorch.RegistryAsyncErrorCallbacks[faultCallback] = func(err error, path string) {
		if onFault != nil {
			onFault(fmt.Errorf("index %s: %w", path, err))
		}
	}
}

// ServeDocuments answers the calls of a DocumentsProcess until in ends, for the
// documents in a directory. It takes the process: at the first error that Bleve meets
// in the background fault is called, which must end it, for after that Bleve uses
// what it has given back.
func ServeDocuments(dir string, in io.ReadCloser, out io.WriteCloser, fault func(error)) error {
	onFault = fault
	d, err := OpenDocuments(dir)
	if err != nil {
		return err
	}
	server := rpc.NewServer()
	if err := server.RegisterName("Documents", documentsService{d}); err != nil {
		return errors.Join(err, d.Close())
	}
	server.ServeConn(pipes{in, out})
	return d.Close()
}

// DocumentsMain is the whole of a process that serves documents over its standard
// input and output. It ends with its input, so with whoever started it, however
// that ended.
func DocumentsMain(dir string) error {
	return ServeDocuments(dir, os.Stdin, os.Stdout, func(err error) {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	})
}
