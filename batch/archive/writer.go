package archive

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"fernweh/schemas"
)

// Limits say where a file ends, beside at a cut and at a new day.
type Limits struct {
	Rows   int64   // rows after which a file ends; 0: DefaultRows
	Bytes  int64   // of rows that a file may hold, unless a single one has more; 0: DefaultBytes
	Memory *Memory // that the writers of a process share; nil: unbounded
}

// Defaults of Limits.
const (
	DefaultRows  = 65536
	DefaultBytes = 64 << 20
)

// mostBytes bounds the bytes of one file, and those of one row: Arrow finds a
// text by an offset of 31 bits, and does not say when they are too few.
const mostBytes = 1 << 30

// withDefaults fills in what is not said.
func (l Limits) withDefaults() Limits {
	if l.Rows <= 0 {
		l.Rows = DefaultRows
	}
	if l.Bytes <= 0 {
		l.Bytes = DefaultBytes
	}
	l.Bytes = min(l.Bytes, mostBytes)
	return l
}

// A Writer archives one partition, for the goroutine that consumes it. What it
// has not yet written is in memory only: the log still has it. After an error it
// is of no more use.
type Writer struct {
	files  Files
	limits Limits

	mu   sync.Mutex // guards what follows: another writer that needs memory may end this one's file
	span schemas.Span
	day  string // of the first record
	rows *schemas.RowBuilder
	err  error // why it is of no more use
}

// NewWriter begins at the end of the partition's chain.
func NewWriter(ctx context.Context, files Files, partition int32, limits Limits) (*Writer, error) {
	w := &Writer{files: files, limits: limits.withDefaults(), rows: schemas.NewRowBuilder()}
	head, err := ReadHead(ctx, files)
	if err != nil {
		return nil, err
	}
	names, _, err := list(ctx, files, head, partition)
	if err != nil {
		return nil, err
	}
	w.begin(schemas.Span{Partition: partition})
	if len(names) > 0 {
		last, err := ReadSpan(ctx, files, names[len(names)-1])
		if err != nil {
			return nil, err
		}
		w.begin(last)
	}
	return w, nil
}

// begin starts an empty file behind the given one.
func (w *Writer) begin(last schemas.Span) {
	w.span = schemas.Span{Partition: last.Partition, First: last.Next, Next: last.Next, Epoch: last.EpochAfter(), Fold: schemas.FoldVersion}
	w.day = ""
}

// Start is the offset that the first record for Handle must have.
func (w *Writer) Start() int64 {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.span.Next
}

// Handle takes the next records of the partition in log order, and ends files
// where a cut, a new day, their size or the memory of the process says so.
func (w *Writer) Handle(ctx context.Context, records []schemas.Record) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	for i := range records {
		if w.err == nil {
			w.fail(w.add(ctx, &records[i]))
		}
		if w.err != nil {
			return fmt.Errorf("archive partition %d offset %d: %w", w.span.Partition, records[i].Offset, w.err)
		}
	}
	return nil
}

// fail drops what is held if there is an error: whoever goes on begins again at
// the end of the chain.
func (w *Writer) fail(err error) {
	if err != nil {
		w.err = err
		w.rows.Batch().Release()
		w.limits.Memory.give(w)
	}
}

func (w *Writer) add(ctx context.Context, r *schemas.Record) error {
	if r.Offset != w.span.Next {
		return fmt.Errorf("the chain goes on at %d", w.span.Next)
	}
	day := time.UnixMicro(r.At).UTC().Format(time.DateOnly)
	if w.day != "" && day != w.day {
		if err := w.end(ctx); err != nil {
			return err
		}
	}
	row := w.rows.Row(r)
	if err := w.room(ctx, row.Size); err != nil {
		return err
	}
	w.rows.Append(row)
	w.day = day
	w.span.Next++
	if r.Event != nil {
		w.span.Rows++
	} else {
		w.span.Raw++
	}
	if schemas.Follows(w.span.Epoch, r.Cut) {
		w.span.Cut, w.span.CutAt = r.Cut, r.At
		return w.end(ctx)
	}
	if w.span.All() >= w.limits.Rows {
		return w.end(ctx)
	}
	return nil
}

// room makes room for a row of so many bytes, in the file and in the memory.
func (w *Writer) room(ctx context.Context, size int64) error {
	if size > mostBytes {
		return fmt.Errorf("the record takes %d bytes, a file holds at most %d", size, int64(mostBytes))
	}
	if w.span.All() > 0 && w.span.Bytes+size > w.limits.Bytes {
		if err := w.end(ctx); err != nil {
			return err
		}
	}
	for {
		switch largest := w.limits.Memory.take(w, size); largest {
		case nil:
			w.span.Bytes += size
			return nil
		case w:
			if err := w.end(ctx); err != nil {
				return err
			}
		default:
			w.mu.Unlock() // it may be waiting for this one
			largest.shed(ctx)
			w.mu.Lock()
			if w.err != nil {
				return w.err
			}
		}
	}
}

// shed ends the file for another writer that needs the memory. An error is this
// one's, which tells it when it is called next.
func (w *Writer) shed(ctx context.Context) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.err == nil && w.span.All() > 0 {
		w.fail(w.end(context.WithoutCancel(ctx)))
	}
}

// end writes the file and begins the next.
func (w *Writer) end(ctx context.Context) error {
	batch := w.rows.Batch()
	defer w.limits.Memory.give(w)
	defer batch.Release()
	name := fileName(w.span, w.day)
	created, err := w.files.Create(ctx, name, func(out io.Writer) error { return write(out, w.span, batch) })
	if err != nil {
		return fmt.Errorf("write %s: %w", name, err)
	}
	if !created {
		return fmt.Errorf("write %s: %w", name, ErrOvertaken)
	}
	w.begin(w.span)
	return nil
}

var errClosed = errors.New("the writer was closed")

// Close lets go of the memory of what has not been written. It may be called
// from any goroutine, and again.
func (w *Writer) Close() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if errors.Is(w.err, errClosed) {
		return
	}
	w.err = errClosed
	w.rows.Release()
	w.limits.Memory.give(w)
}
