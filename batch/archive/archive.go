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

	"fernweh/schemas"
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

const root = "events"

// fileName is where a file lies. The day of its first record stands in it for
// those who look for one; it follows from the log, so that two archivers agree.
func fileName(s schemas.Span, day string) string {
	return fmt.Sprintf("%s/%s/%019d.parquet", dir(s.Partition), day, s.First)
}

func dir(partition int32) string { return fmt.Sprintf("%s/p%04d", root, partition) }

// list gives the names of the files that make a partition's chain, in its order, and
// of those that lie beside and do not count.
func list(ctx context.Context, files Files, head Head, partition int32) (chain, strays []string, err error) {
	names, err := files.List(ctx, dir(partition)+"/")
	if err != nil {
		return nil, nil, fmt.Errorf("list archive of partition %d: %w", partition, err)
	}
	for _, n := range names {
		if _, _, err := parseName(n); err != nil {
			return nil, nil, err
		}
	}
	chain, strays = head.resolve(partition, names)
	return chain, strays, nil
}
