package archive

import (
	"context"
	"fmt"
	"io"

	"fernweh/schemas"

	"github.com/apache/arrow/go/v15/arrow"
	"github.com/apache/arrow/go/v15/parquet"
	"github.com/apache/arrow/go/v15/parquet/compress"
	"github.com/apache/arrow/go/v15/parquet/file"
	"github.com/apache/arrow/go/v15/parquet/pqarrow"
)

// worthCompressing is the number of rows below which a file is left as it is: the
// library makes an encoder of a megabyte for every page, which costs more than a
// few rows can win.
const worthCompressing = 1024

// write makes one Parquet file: a single row group, zstd, dictionaries, statistics.
func write(out io.Writer, s schemas.Span, batch arrow.Record) error {
	codec := compress.Codecs.Zstd
	if s.All() < worthCompressing {
		codec = compress.Codecs.Uncompressed
	}
	props := parquet.NewWriterProperties(
		parquet.WithCompression(codec),
		parquet.WithDictionaryDefault(true),
		parquet.WithDictionaryPageSizeLimit(8<<20),
		parquet.WithStats(true),
		parquet.WithMaxRowGroupLength(max(s.All(), 1)),
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
	if s.All() > 0 {
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
	if err == nil && f.NumRows() != s.All() {
		err = fmt.Errorf("it has %d rows and its footer says %d", f.NumRows(), s.All())
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
