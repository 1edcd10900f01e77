package archive

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"slices"

	"fernweh/schemas"

	"github.com/apache/arrow/go/v15/arrow"
	"github.com/apache/arrow/go/v15/parquet/file"
	"github.com/apache/arrow/go/v15/parquet/pqarrow"
	"github.com/apache/arrow/go/v15/parquet/schema"
)

// A batch of a scan holds at most so many rows, and about so many bytes. Of files
// that do not say how many bytes they have, rows with lists are read by fewer:
// lists come without a dictionary, however often the same is in them.
const (
	batchRows  int64 = 32 << 10
	listRows   int64 = 4 << 10
	batchBytes int64 = 16 << 20
)

// Scan gives the rows of one file in batches of the named columns, in the order
// of the log; strings come as dictionaries. A file of which rows must be read anew
// comes with what that needs. A batch is valid until take returns.
func Scan(ctx context.Context, files Files, f FileSpan, columns []string, take func(arrow.Record) error) error {
	return NewScanner(files, columns).Scan(ctx, f, take)
}

// A Scanner scans one file after another. Only one goroutine may use it. It keeps
// the memory of a batch for the next one, which spares most of what would be
// cleared and collected.
type Scanner struct {
	BatchBytes int64 // that a batch holds, roughly, if its rows are not larger

	files   Files
	columns []string
	memory  *buffers
}

// NewScanner makes a scanner of the named columns.
func NewScanner(files Files, columns []string) *Scanner {
	return &Scanner{batchBytes, files, columns, new(buffers)}
}

// Scan gives the rows of one file like the function Scan.
func (s *Scanner) Scan(ctx context.Context, f FileSpan, take func(arrow.Record) error) error {
	if f.All() == 0 {
		return nil
	}
	err := s.files.Open(ctx, f.Name, func(r io.ReaderAt, size int64) error {
		if size == 0 {
			return ErrGone
		}
		return s.scan(ctx, r, size, f.Span, take)
	})
	if errors.Is(err, fs.ErrNotExist) {
		err = errors.Join(ErrGone, err)
	}
	if err != nil {
		return fmt.Errorf("scan %s: %w", f.Name, err)
	}
	return nil
}

func (s *Scanner) scan(ctx context.Context, r io.ReaderAt, size int64, want schemas.Span, take func(arrow.Record) error) error {
	f, err := openParquet(r, size)
	if err != nil {
		return err
	}
	defer f.Close()
	batches, err := s.batches(ctx, f, want)
	if err != nil {
		return err
	}
	defer batches.Release()
	var rows int64
	for {
		more, err := next(batches)
		if err != nil {
			return err
		}
		if !more {
			break
		}
		rows += batches.Record().NumRows()
		if err := take(batches.Record()); err != nil {
			return err
		}
	}
	if rows != want.All() {
		return fmt.Errorf("%d rows read of %d", rows, want.All())
	}
	return nil
}

// next reads the next batch; a damaged file is an error, however the library
// takes it.
func next(batches pqarrow.RecordReader) (more bool, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("damaged Parquet file: %v", p)
		}
	}()
	more = batches.Next()
	if err := batches.Err(); err != nil && !errors.Is(err, io.EOF) {
		return false, err
	}
	return more, nil
}

// batches reads the columns of a file, strings as dictionaries. A column that the
// file does not have was added after it was written.
func (s *Scanner) batches(ctx context.Context, f *file.Reader, span schemas.Span) (pqarrow.RecordReader, error) {
	props := pqarrow.ArrowReadProperties{BatchSize: min(batchRows, f.NumRows())}
	if span.Bytes > 0 {
		perRow := max(span.Bytes/f.NumRows(), 1)
		props.BatchSize = min(props.BatchSize, max(s.BatchBytes/perRow, 1))
	}
	var indices []int
	columns := s.needed(f, span)
	for i := range f.MetaData().Schema.NumColumns() {
		c := f.MetaData().Schema.Column(i)
		if !slices.Contains(columns, c.ColumnPath()[0]) {
			continue
		}
		indices = append(indices, i)
		if c.LogicalType().Equals(schema.StringLogicalType{}) && c.MaxRepetitionLevel() == 0 {
			props.SetReadDict(i, true)
		}
		if c.MaxRepetitionLevel() > 0 && span.Bytes == 0 {
			props.BatchSize = min(props.BatchSize, listRows)
		}
	}
	fr, err := pqarrow.NewFileReader(f, props, s.memory)
	if err != nil {
		return nil, err
	}
	return fr.GetRecordReader(ctx, indices, nil)
}

// needed are the columns that were asked for, and what of the file must be read
// beside them: records that lie in it as a whole; and every column where an event
// has more than the columns say, or was judged under another FoldVersion, for
// whether it is to be read depends on all of it.
func (s *Scanner) needed(f *file.Reader, span schemas.Span) []string {
	if span.Fold != schemas.FoldVersion || holds(f, schemas.ColumnUnknown) {
		return schemas.AllColumns()
	}
	if holds(f, schemas.ColumnRaw) {
		return append(slices.Clone(s.columns), schemas.ColumnRaw)
	}
	return s.columns
}

// holds says whether a column has a value in some row, by the file's statistics.
func holds(f *file.Reader, column string) bool {
	i := f.MetaData().Schema.ColumnIndexByName(column)
	if i < 0 {
		return false
	}
	for g := range f.NumRowGroups() {
		chunk, err := f.MetaData().RowGroup(g).ColumnChunk(i)
		if err != nil {
			return true
		}
		stats, err := chunk.Statistics()
		if err != nil || stats == nil || !stats.HasNullCount() || stats.NullCount() != f.MetaData().RowGroup(g).NumRows() {
			return true
		}
	}
	return false
}
