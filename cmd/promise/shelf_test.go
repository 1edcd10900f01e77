package promise_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"slices"
	"strings"

	"fernweh/batch/archive"
)

// archive lets one of the archivers of a partition go on. One that holds records
// in memory and does nothing is frozen.
func (w *world) archive(ctx context.Context) error {
	p, slot := w.rand.IntN(partitions), w.rand.IntN(2)
	if w.chance(8) {
		w.tell("kill archiver %d/%d", p, slot)
		w.keeper[p][slot] = nil
		return nil
	}
	return w.keep(ctx, p, slot, 1+w.rand.IntN(12))
}

// keep lets an archiver take some records. The two of a partition end their files
// at sizes of their own, so that what one writes is never what the other would.
func (w *world) keep(ctx context.Context, p, slot, most int) error {
	a := w.keeper[p][slot]
	if a == nil {
		var err error
		if a, err = archive.NewWriter(ctx, &w.files, int32(p), archive.Limits{Rows: w.layer.ArchiveRows - 7*int64(slot)}); err != nil {
			return fmt.Errorf("open archiver: %w", err)
		}
		w.keeper[p][slot] = a
	}
	from := int(a.Start())
	to := min(len(w.log[p]), from+most)
	if from >= to {
		return nil
	}
	w.tell("archiver %d/%d takes %d to %d", p, slot, from, to-1)
	w.files.faulty = w.nested == 0 && w.chance(10)
	err := a.Handle(ctx, w.log[p][from:to])
	w.files.faulty = false
	if errors.Is(err, archive.ErrOvertaken) || errors.Is(err, errFault) {
		w.tell("archiver %d/%d gives up: %v", p, slot, err)
		w.keeper[p][slot] = nil
		return nil
	}
	return err
}

// end is how far an archiver of the partition has read.
func (w *world) end(p int) int64 {
	var end int64
	for _, a := range w.keeper[p] {
		if a != nil {
			end = max(end, a.Start())
		}
	}
	return end
}

// A shelf is an archive in memory.
type shelf struct {
	law    sabotage
	faulty bool
	names  map[string][]byte
}

// Create fails, if it is faulty, before or after the file is there.
func (s *shelf) Create(_ context.Context, name string, write func(io.Writer) error) (bool, error) {
	var b bytes.Buffer
	if err := write(&b); err != nil {
		return false, err
	}
	if _, taken := s.names[name]; taken && s.law != overwriteFiles {
		return false, nil
	}
	if s.faulty && b.Len()%2 == 0 {
		return false, errFault
	}
	s.names[name] = b.Bytes()
	if s.faulty {
		return false, errFault
	}
	return true, nil
}

func (s *shelf) Open(_ context.Context, name string, read func(io.ReaderAt, int64) error) error {
	b, ok := s.names[name]
	if !ok {
		return fmt.Errorf("open %s: %w", name, fs.ErrNotExist)
	}
	return read(bytes.NewReader(b), int64(len(b)))
}

func (s *shelf) List(_ context.Context, prefix string) ([]string, error) {
	var names []string
	for n := range s.names {
		if strings.HasPrefix(n, prefix) {
			names = append(names, n)
		}
	}
	slices.Sort(names)
	return names, nil
}
