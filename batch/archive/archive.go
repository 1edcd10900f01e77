// Package archive keeps the log for ever, as a chain of Parquet files.
//
// A file holds the records of one partition from the offset in its name up to
// the one in its footer, where the next file begins; it is created only if it is
// absent. So whoever archives, however often it is killed, frozen or doubled,
// there is exactly one chain, and each offset lies in exactly one file of it. A
// file ends at a cut, so that a run folds whole files.
package archive

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path"
	"strconv"
	"strings"
	"time"

	"fernweh/schemas"

	"github.com/apache/arrow/go/v15/arrow"
	"github.com/apache/arrow/go/v15/arrow/array"
	"github.com/apache/arrow/go/v15/arrow/memory"
	"github.com/apache/arrow/go/v15/parquet"
	"github.com/apache/arrow/go/v15/parquet/compress"
	"github.com/apache/arrow/go/v15/parquet/file"
	"github.com/apache/arrow/go/v15/parquet/pqarrow"
)

// Files is where the archive lies. Create writes a file that is complete and
// durable when it returns true; it returns false if the name was taken, and then
// nothing has changed. Open gives the whole file to read, and wraps
// fs.ErrNotExist where there is none. List gives the names below a prefix, sorted.
type Files interface {
	Create(ctx context.Context, name string, write func(io.Writer) error) (created bool, err error)
	Open(ctx context.Context, name string, read func(r io.ReaderAt, size int64) error) error
	List(ctx context.Context, prefix string) ([]string, error)
}

// ErrOvertaken says that another archiver has written the file that this one was
// about to write. It must begin again at the end of the chain.
var ErrOvertaken = errors.New("another archiver has gone past")

// A Writer archives one partition. Only the goroutine that consumes the
// partition touches it. What it has not yet written is in memory only: the log
// still has it.
type Writer struct {
	files Files
	limit int64 // rows after which a file ends
	span  schemas.Span
	day   string // of the first record
	rows  *array.RecordBuilder
}

// NewWriter begins at the end of the partition's chain.
func NewWriter(ctx context.Context, files Files, partition int32, limit int64) (*Writer, error) {
	w := &Writer{files: files, limit: limit, rows: array.NewRecordBuilder(memory.DefaultAllocator, schemas.ArchiveSchema())}
	names, err := list(ctx, files, partition)
	if err != nil {
		return nil, err
	}
	w.span.Partition = partition
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
	w.span = schemas.Span{Partition: last.Partition, First: last.Next, Next: last.Next, Epoch: last.EpochAfter()}
	w.day = ""
}

// Start is the offset that the first record for Handle must have.
func (w *Writer) Start() int64 { return w.span.Next }

// Handle takes the next records of the partition in log order, and ends files
// where a cut, a new day or their size says so.
func (w *Writer) Handle(ctx context.Context, records []schemas.Record) error {
	for i := range records {
		if err := w.add(ctx, &records[i]); err != nil {
			return fmt.Errorf("archive partition %d offset %d: %w", w.span.Partition, records[i].Offset, err)
		}
	}
	return nil
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
	w.day = day
	w.span.Next++
	if r.Event == nil {
		w.span.Skipped++
		if r.Cut <= w.span.Epoch {
			return nil
		}
		w.span.Cut = r.Cut
		return w.end(ctx)
	}
	schemas.AppendRow(w.rows, r)
	if w.span.Rows++; w.span.Rows >= w.limit {
		return w.end(ctx)
	}
	return nil
}

// end writes the file and begins the next.
func (w *Writer) end(ctx context.Context) error {
	batch := w.rows.NewRecord()
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

// Close lets go of the memory of what has not been written.
func (w *Writer) Close() { w.rows.Release() }

const root = "events"

// fileName is where a file lies. The day of its first record stands in it for
// those who look for one; it follows from the log, so that two archivers agree.
func fileName(s schemas.Span, day string) string {
	return fmt.Sprintf("%s/%s/%019d.parquet", dir(s.Partition), day, s.First)
}

func dir(partition int32) string { return fmt.Sprintf("%s/p%04d", root, partition) }

// list gives the names of a partition's files in the order of the chain.
func list(ctx context.Context, files Files, partition int32) ([]string, error) {
	names, err := files.List(ctx, dir(partition)+"/")
	if err != nil {
		return nil, fmt.Errorf("list archive of partition %d: %w", partition, err)
	}
	for _, n := range names {
		if _, err := firstOffset(n); err != nil {
			return nil, err
		}
	}
	sortByOffset(names)
	return names, nil
}

func firstOffset(name string) (int64, error) {
	base, ok := strings.CutSuffix(path.Base(name), ".parquet")
	first, err := strconv.ParseInt(base, 10, 64)
	if !ok || err != nil {
		return 0, fmt.Errorf("archive: %s is not named by its first offset", name)
	}
	return first, nil
}

// worthCompressing is the number of rows below which a file is left as it is: the
// library makes an encoder of a megabyte for every page, which costs more than a
// few rows can win.
const worthCompressing = 1024

// write makes one Parquet file: a single row group, zstd, dictionaries, statistics.
func write(out io.Writer, s schemas.Span, batch arrow.Record) error {
	codec := compress.Codecs.Zstd
	if s.Rows < worthCompressing {
		codec = compress.Codecs.Uncompressed
	}
	props := parquet.NewWriterProperties(
		parquet.WithCompression(codec),
		parquet.WithDictionaryDefault(true),
		parquet.WithDictionaryPageSizeLimit(8<<20),
		parquet.WithStats(true),
		parquet.WithMaxRowGroupLength(max(s.Rows, 1)),
		parquet.WithCreatedBy("fernweh"),
	)
	// The library closes what can be closed, and the file is not its own.
	sink := struct{ io.Writer }{out}
	fw, err := pqarrow.NewFileWriter(batch.Schema(), sink, props, pqarrow.NewArrowWriterProperties())
	if err != nil {
		return err
	}
	keys, values := s.Footer()
	for i := range keys {
		if err := fw.AppendKeyValueMetadata(keys[i], values[i]); err != nil {
			return err
		}
	}
	if s.Rows > 0 {
		if err := fw.Write(batch); err != nil {
			return err
		}
	}
	return fw.Close()
}

// ReadSpan reads the footer of a file.
func ReadSpan(ctx context.Context, files Files, name string) (s schemas.Span, err error) {
	err = files.Open(ctx, name, func(r io.ReaderAt, size int64) error {
		s, err = readSpan(r, size)
		return err
	})
	if err != nil {
		return s, fmt.Errorf("read footer of %s: %w", name, err)
	}
	return s, nil
}

func readSpan(r io.ReaderAt, size int64) (schemas.Span, error) {
	f, err := openParquet(r, size)
	if err != nil {
		return schemas.Span{}, err
	}
	defer f.Close()
	s, err := schemas.ParseSpan(f.MetaData().KeyValueMetadata().FindValue)
	if err == nil && f.NumRows() != s.Rows {
		err = fmt.Errorf("it has %d rows and its footer says %d", f.NumRows(), s.Rows)
	}
	return s, err
}

// openParquet opens a file; one that is cut off or damaged is an error, however
// the library takes it.
func openParquet(r io.ReaderAt, size int64) (f *file.Reader, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("not a whole Parquet file: %v", p)
		}
	}()
	f, err = file.NewParquetReader(io.NewSectionReader(r, 0, size))
	if err != nil {
		return nil, fmt.Errorf("not a whole Parquet file: %w", err)
	}
	return f, nil
}
