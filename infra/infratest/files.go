package infratest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"
)

// FileStore keeps files that are written once, whole or not at all.
type FileStore interface {
	// Create writes a file; created is false if the name is taken.
	Create(ctx context.Context, name string, write func(io.Writer) error) (created bool, err error)
	// Open reads a file; the error is fs.ErrNotExist if there is none.
	Open(ctx context.Context, name string, read func(r io.ReaderAt, size int64) error) error
	// List gives the names that begin with prefix, ascending.
	List(ctx context.Context, prefix string) ([]string, error)
	// Replace puts other content in the place of a file, or makes it, whole or not at all.
	Replace(ctx context.Context, name string, write func(io.Writer) error) error
	// Remove removes a file; one that is not there is no error.
	Remove(ctx context.Context, name string) error
}

// Files runs the suite on the stores that open gives; they may share one bucket.
func Files(t *testing.T, open func(t *testing.T) FileStore) {
	tests := []struct {
		name string
		run  func(s fileSuite, t *testing.T)
	}{
		{"a file comes back as it was written", fileSuite.roundTrip},
		{"the first of a name stays", fileSuite.first},
		{"one of many archivers makes the file", fileSuite.race},
		{"a write that fails leaves nothing", fileSuite.failedWrite},
		{"a half-written file is not seen", fileSuite.unfinished},
		{"names are listed in order below a prefix", fileSuite.list},
		{"a removed file is gone and its name free", fileSuite.remove},
		{"a replaced file has its name and other content", fileSuite.replace},
		{"a file that is not there is not there", fileSuite.absent},
		{"names that lead elsewhere are refused", fileSuite.badNames},
		{"a call whose time is over fails", fileSuite.deadline},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			test.run(fileSuite{open(t), fmt.Sprintf("suite-%016x/", rand.Uint64())}, t)
		})
	}
}

// A fileSuite is one test's store and the folder of its names.
type fileSuite struct {
	FileStore
	folder string
}

// content writes a text.
func content(text string) func(io.Writer) error {
	return func(w io.Writer) error {
		_, err := io.WriteString(w, text)
		return err
	}
}

// create makes a file and expects whether its name was free.
func (s fileSuite) create(t *testing.T, name, text string, want bool) {
	t.Helper()
	if created, err := s.Create(t.Context(), s.folder+name, content(text)); err != nil || created != want {
		t.Fatalf("create %s: got %t, %v, want %t", name, created, err, want)
	}
}

// holds expects the content of a file.
func (s fileSuite) holds(t *testing.T, name, want string) {
	t.Helper()
	var got []byte
	err := s.Open(t.Context(), s.folder+name, func(r io.ReaderAt, size int64) (err error) {
		got, err = io.ReadAll(io.NewSectionReader(r, 0, size))
		return err
	})
	if err != nil || string(got) != want {
		t.Errorf("file %s: got %q, %v, want %q", name, clip(got), err, clip([]byte(want)))
	}
}

// names expects what lies below the folder and prefix.
func (s fileSuite) names(t *testing.T, prefix string, want ...string) {
	t.Helper()
	got, err := s.List(t.Context(), s.folder+prefix)
	for i := range want {
		want[i] = s.folder + want[i]
	}
	if err != nil || !slices.Equal(got, want) {
		t.Errorf("names below %q: got %q, %v, want %q", prefix, got, err, want)
	}
}

func (s fileSuite) roundTrip(t *testing.T) {
	large := string(bytes.Repeat([]byte("0123456789abcdef"), 1<<17)) // 2 MiB, in parts on a server
	s.create(t, "events/partition=3/day=2024-06-01/00000000000000000042.parquet", large, true)
	s.create(t, "empty", "", true)
	s.holds(t, "events/partition=3/day=2024-06-01/00000000000000000042.parquet", large)
	s.holds(t, "empty", "")
	err := s.Open(t.Context(), s.folder+"events/partition=3/day=2024-06-01/00000000000000000042.parquet",
		func(r io.ReaderAt, size int64) error {
			footer := make([]byte, 4)
			if _, err := r.ReadAt(footer, size-4); err != nil {
				return err
			}
			if string(footer) != "cdef" {
				return fmt.Errorf("the last bytes are %q, want %q", footer, "cdef")
			}
			return nil
		})
	if err != nil {
		t.Errorf("read the end: %v", err)
	}
}

func (s fileSuite) first(t *testing.T) {
	s.create(t, "a", "first", true)
	s.create(t, "a", "second", false)
	s.holds(t, "a", "first")
	s.names(t, "", "a")
}

func (s fileSuite) race(t *testing.T) {
	var made atomic.Int64
	var winner atomic.Value
	g, ctx := errgroup.WithContext(t.Context())
	for i := range 8 {
		g.Go(func() error {
			text := fmt.Sprint("archiver ", i)
			created, err := s.Create(ctx, s.folder+"0", content(text))
			if created {
				made.Add(1)
				winner.Store(text)
			}
			return err
		})
	}
	if err := g.Wait(); err != nil {
		t.Fatal(err)
	}
	if got := made.Load(); got != 1 {
		t.Fatalf("%d archivers made the file, want 1", got)
	}
	s.holds(t, "0", winner.Load().(string))
}

func (s fileSuite) failedWrite(t *testing.T) {
	full := errors.New("no space")
	_, err := s.Create(t.Context(), s.folder+"a", func(w io.Writer) error {
		return errors.Join(content("half")(w), full)
	})
	if !errors.Is(err, full) {
		t.Errorf("create: got %v, want %v", err, full)
	}
	s.names(t, "")
	s.create(t, "a", "whole", true)
}

func (s fileSuite) unfinished(t *testing.T) {
	_, err := s.Create(t.Context(), s.folder+"a", func(w io.Writer) error {
		if err := content("half")(w); err != nil {
			return err
		}
		s.names(t, "")
		return content(" and half")(w)
	})
	if err != nil {
		t.Fatal(err)
	}
	s.holds(t, "a", "half and half")
}

func (s fileSuite) list(t *testing.T) {
	for _, name := range []string{"a/b", "a-b", "a/c/d", "b", "a/a"} {
		s.create(t, name, name, true)
	}
	s.names(t, "", "a-b", "a/a", "a/b", "a/c/d", "b")
	s.names(t, "a/", "a/a", "a/b", "a/c/d")
	s.names(t, "a", "a-b", "a/a", "a/b", "a/c/d")
	s.names(t, "a/c", "a/c/d")
	s.names(t, "nothing/here")
}

func (s fileSuite) remove(t *testing.T) {
	s.create(t, "a/b", "old", true)
	for range 2 {
		if err := s.Remove(t.Context(), s.folder+"a/b"); err != nil {
			t.Fatalf("remove: %v", err)
		}
	}
	s.names(t, "")
	s.create(t, "a/b", "rewritten", true)
	s.holds(t, "a/b", "rewritten")
}

func (s fileSuite) replace(t *testing.T) {
	s.create(t, "a/b", "old", true)
	full := errors.New("no space")
	err := s.Replace(t.Context(), s.folder+"a/b", func(w io.Writer) error { return errors.Join(content("half")(w), full) })
	if !errors.Is(err, full) {
		t.Errorf("replace: got %v, want %v", err, full)
	}
	s.holds(t, "a/b", "old")
	for _, text := range []string{"", "new"} {
		if err := s.Replace(t.Context(), s.folder+"a/b", content(text)); err != nil {
			t.Fatalf("replace: %v", err)
		}
		s.holds(t, "a/b", text)
		s.create(t, "a/b", "again", false)
	}
	if err := s.Replace(t.Context(), s.folder+"c", content("made")); err != nil {
		t.Fatalf("replace: %v", err)
	}
	s.names(t, "", "a/b", "c")
}

func (s fileSuite) absent(t *testing.T) {
	s.create(t, "folder/a", "a", true)
	for _, name := range []string{"a", "folder", "folder/b", "other/a"} {
		err := s.Open(t.Context(), s.folder+name, func(io.ReaderAt, int64) error { return nil })
		if !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("open %s: got %v, want %v", name, err, fs.ErrNotExist)
		}
	}
}

func (s fileSuite) badNames(t *testing.T) {
	for _, name := range []string{"", ".", "..", "../a", "/a", "a/../../b", "a//b", "a/", "a/./b", "a\x00b"} {
		if created, err := s.Create(t.Context(), name, content("")); err == nil {
			t.Errorf("create %q: got %t without an error", name, created)
		}
	}
}

func (s fileSuite) deadline(t *testing.T) {
	s.create(t, "a", "a", true)
	ctx, cancel := context.WithDeadline(t.Context(), time.Unix(0, 0))
	defer cancel()
	_, create := s.Create(ctx, s.folder+"b", content("b"))
	_, list := s.List(ctx, s.folder)
	for call, err := range map[string]error{
		"create": create, "list": list, "remove": s.Remove(ctx, s.folder+"a"),
		"open": s.Open(ctx, s.folder+"a", func(io.ReaderAt, int64) error { return nil }),
	} {
		if !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("%s: got %v, want %v", call, err, context.DeadlineExceeded)
		}
	}
	s.names(t, "", "a")
}
