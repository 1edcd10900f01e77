package archive

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"

	"fernweh/schemas"

	"github.com/apache/arrow/go/v15/arrow"
	"github.com/apache/arrow/go/v15/arrow/memory"
	"github.com/apache/arrow/go/v15/parquet"
	"github.com/apache/arrow/go/v15/parquet/file"
	"github.com/apache/arrow/go/v15/parquet/pqarrow"
)

// batchRows bounds the rows that a scan holds in memory at a time.
const batchRows int64 = 32 << 10

// Scan gives the rows of one file in batches of the named columns, in the order
// of the log; strings come as dictionaries. A batch is valid until take returns.
func Scan(ctx context.Context, files Files, f FileSpan, columns []string, take func(arrow.Record) error) error {
	if f.Rows == 0 {
		return nil
	}
	err := files.Open(ctx, f.Name, func(r io.ReaderAt, size int64) error {
		return scan(ctx, r, size, f.Span, columns, take)
	})
	if err != nil {
		return fmt.Errorf("scan %s: %w", f.Name, err)
	}
	return nil
}

func scan(ctx context.Context, r io.ReaderAt, size int64, want schemas.Span, columns []string, take func(arrow.Record) error) error {
	f, err := openParquet(r, size)
	if err != nil {
		return err
	}
	defer f.Close()
	batches, err := batchesOf(ctx, f, columns)
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
	if rows != want.Rows {
		return fmt.Errorf("%d rows read of %d", rows, want.Rows)
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

// batchesOf reads the named columns of a file, strings as dictionaries. A column
// that the file does not have was added after it was written.
func batchesOf(ctx context.Context, f *file.Reader, columns []string) (pqarrow.RecordReader, error) {
	props := pqarrow.ArrowReadProperties{BatchSize: min(batchRows, f.NumRows())}
	var indices []int
	for i := range f.MetaData().Schema.NumColumns() {
		c := f.MetaData().Schema.Column(i)
		if !slices.Contains(columns, c.ColumnPath()[0]) {
			continue
		}
		indices = append(indices, i)
		if c.PhysicalType() == parquet.Types.ByteArray && c.MaxRepetitionLevel() == 0 {
			props.SetReadDict(i, true)
		}
	}
	fr, err := pqarrow.NewFileReader(f, props, memory.DefaultAllocator)
	if err != nil {
		return nil, err
	}
	return fr.GetRecordReader(ctx, indices, nil)
}
