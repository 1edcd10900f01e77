package archive_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"slices"
	"strings"
	"testing"

	"fernweh/batch/archive"
	"fernweh/schemas"

	"github.com/apache/arrow/go/v15/arrow"
	"pgregory.net/rapid"
)

func (s shelf) Replace(_ context.Context, name string, write func(io.Writer) error) error {
	var b bytes.Buffer
	if err := write(&b); err != nil {
		return err
	}
	s[name] = b.Bytes()
	return nil
}

func (s shelf) Remove(_ context.Context, name string) error {
	delete(s, name)
	return nil
}

// copied is a change that writes a file anew as it is, with so many stubs.
func copied(files shelf, stubs int64) archive.Change {
	return func(_ context.Context, f archive.FileSpan, write func(schemas.Span, func(io.Writer) error) error) error {
		content := files[f.Name]
		s := f.Span
		s.Stubs = stubs
		return write(s, func(w io.Writer) error {
			_, err := w.Write(content)
			return err
		})
	}
}

// only limits a change to the files that a rule names.
func only(rule func(archive.FileSpan) bool, change archive.Change) archive.Change {
	return func(ctx context.Context, f archive.FileSpan, write func(schemas.Span, func(io.Writer) error) error) error {
		if !rule(f) {
			return nil
		}
		return change(ctx, f, write)
	}
}

func manifest(t interface{ Fatal(...any) }, files shelf, run int64) *archive.Manifest {
	m, err := archive.NewChain(files, 1).Manifest(context.Background(), run)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func names(m *archive.Manifest) (all []string) {
	for _, f := range m.Partitions[0] {
		all = append(all, f.Name)
	}
	return all
}

// TestRewrittenFilesAreFollowed: however runs rewrite files below their cuts while
// archivers, also frozen ones that write a superseded file late, go on: readers and
// archivers see one chain, whose offsets are those of the log, and what was
// superseded is removed only after its time.
func TestRewrittenFilesAreFollowed(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		ctx, files := context.Background(), shelf{}
		var log []schemas.Record
		var run, now int64
		frozen, err := archive.NewWriter(ctx, files, 0, archive.Limits{Rows: 3})
		if err != nil {
			t.Fatal(err)
		}
		for range rapid.IntRange(1, 5).Draw(t, "runs") {
			for range rapid.IntRange(0, 8).Draw(t, "events") {
				log = append(log, schemas.Record{Offset: int64(len(log)), Event: event("e").Event})
			}
			run++
			log = append(log, schemas.Record{Offset: int64(len(log)), Cut: run})
			w, err := archive.NewWriter(ctx, files, 0, archive.Limits{Rows: int64(rapid.IntRange(1, 5).Draw(t, "rows a file"))})
			if err != nil {
				t.Fatal(err)
			}
			if err := w.Handle(ctx, log[w.Start():]); err != nil {
				t.Fatal(err)
			}
			m := manifest(t, files, run)
			mask := rapid.Uint16().Draw(t, "files rewritten")
			if _, err := archive.Rewrite(ctx, files, m, now, only(func(f archive.FileSpan) bool { return mask>>(f.First%16)&1 == 1 }, copied(files, 0))); err != nil {
				t.Fatal(err)
			}
			before := manifest(t, files, run)
			if !before.Same(m) {
				t.Fatal("files that say the same make another manifest")
			}
			now++
			keep := int64(rapid.IntRange(0, 3).Draw(t, "kept for"))
			if _, err := archive.Sweep(ctx, files, 1, run, now-keep, now); err != nil {
				t.Fatal(err)
			}
			if rapid.Bool().Draw(t, "an archiver wakes") {
				from := frozen.Start()
				if err := frozen.Handle(ctx, log[from:]); err != nil && !errors.Is(err, archive.ErrOvertaken) {
					t.Fatal(err)
				}
				if frozen, err = archive.NewWriter(ctx, files, 0, archive.Limits{Rows: 3}); err != nil {
					t.Fatal(err)
				}
			}
			after := manifest(t, files, run)
			if !slices.Equal(names(after), names(before)) {
				t.Fatalf("the chain was\n%v\nand is\n%v", names(before), names(after))
			}
			var got []schemas.Record
			for _, f := range after.Partitions[0] {
				got = append(got, rows(t, files, f)...)
			}
			if !slices.EqualFunc(got, log, same) {
				t.Fatalf("the chain holds %d records, the log %d", len(got), len(log))
			}
		}
	})
}

// TestOneOfTwoRunsSwitches: two runs that rewrite at a time: one head is written
// behind the one that both have read, and who comes late has changed nothing.
func TestOneOfTwoRunsSwitches(t *testing.T) {
	files := archived(t, 0, event("a"), cut(1), event("b"), cut(2))
	m := manifest(t, files, 2)
	first := func(f archive.FileSpan) bool { return f.First == 0 }
	_, err := archive.Rewrite(t.Context(), files, m, 0, only(first, func(
		ctx context.Context, f archive.FileSpan, write func(schemas.Span, func(io.Writer) error) error,
	) error {
		other := manifest(t, files, 1) // another run, with its own number, is faster
		if _, err := archive.Rewrite(ctx, files, other, 0, only(first, copied(files, 1))); err != nil {
			return err
		}
		return copied(files, 2)(ctx, f, write)
	}))
	if !errors.Is(err, archive.ErrOvertaken) {
		t.Fatalf("the second switch: %v, want it overtaken", err)
	}
	got := manifest(t, files, 2)
	if name := got.Partitions[0][0].Name; !strings.HasSuffix(name, "-r0000000000000000001.parquet") || got.Partitions[0][0].Stubs != 0 {
		t.Errorf("the chain begins with %s, want what the faster run wrote", name)
	}
	// What the other wrote does not count, and goes when its time has come.
	for range 2 {
		if _, err := archive.Sweep(t.Context(), files, 1, 3, 10, 5); err != nil {
			t.Fatal(err)
		}
	}
	for name, content := range files {
		if strings.HasSuffix(name, "-r0000000000000000002.parquet") || name == m.Partitions[0][0].Name && len(content) > 0 {
			t.Errorf("%s is still there, with %d bytes", name, len(content))
		}
	}
	if !slices.Equal(names(manifest(t, files, 2)), names(got)) {
		t.Error("a sweep changes the chain")
	}
}

// TestManifestsAreComparedByContent: where the rows lie makes no difference, which of
// them were erased does, and so does how far they go.
func TestManifestsAreComparedByContent(t *testing.T) {
	at := func(name string, first, next, cut, stubs int64) archive.FileSpan {
		return archive.FileSpan{Name: name, Span: schemas.Span{First: first, Next: next, Rows: next - first, Cut: cut, Stubs: stubs}}
	}
	of := func(files ...archive.FileSpan) *archive.Manifest {
		return &archive.Manifest{Run: 2, Partitions: [][]archive.FileSpan{files}}
	}
	small := of(at("a", 0, 5, 1, 0), at("b", 5, 9, 2, 0))
	tests := []struct {
		name string
		m    *archive.Manifest
		same bool
	}{
		{"other names", of(at("a-r2", 0, 5, 1, 0), at("b", 5, 9, 2, 0)), true},
		{"other files", of(at("a", 0, 3, 0, 0), at("b", 3, 5, 1, 0), at("c", 5, 9, 2, 0)), true},
		{"a row erased", of(at("a", 0, 5, 1, 0), at("b", 5, 9, 2, 1)), false},
		{"an offset more", of(at("a", 0, 5, 1, 0), at("b", 5, 10, 2, 0)), false},
		{"another cut", of(at("a", 0, 5, 1, 0), at("b", 5, 9, 3, 0)), false},
	}
	for _, tt := range tests {
		if got := small.Same(tt.m); got != tt.same {
			t.Errorf("%s: the same: %t, want %t", tt.name, got, tt.same)
		}
	}
	if below := small.Below(1); !below.Same(of(at("x", 0, 5, 1, 0))) {
		t.Errorf("below the first cut lies %+v", below)
	}
}

// TestAFileThatIsGoneIsSaid: a run that is older than what was superseded is kept
// learns that it must begin again.
func TestAFileThatIsGoneIsSaid(t *testing.T) {
	files := archived(t, 0, event("a"), cut(1))
	m := manifest(t, files, 1)
	if _, err := archive.Rewrite(t.Context(), files, m, 5, copied(files, 0)); err != nil {
		t.Fatal(err)
	}
	if n, err := archive.Sweep(t.Context(), files, 1, 2, 5, 5); err != nil || n != 0 {
		t.Fatalf("%d files removed within their time, %v", n, err)
	}
	scan := func(m *archive.Manifest) error {
		return archive.Scan(t.Context(), files, m.Partitions[0][0], schemas.FoldColumns(), func(arrow.Record) error { return nil })
	}
	if err := scan(m); err != nil {
		t.Errorf("a run that has begun before reads %v", err)
	}
	if n, err := archive.Sweep(t.Context(), files, 1, 2, 6, 6); err != nil || n != 1 {
		t.Fatalf("%d files removed after their time, %v, want 1", n, err)
	}
	if err := scan(m); !errors.Is(err, archive.ErrGone) {
		t.Errorf("a run that lasted longer reads %v, want it told that the file is gone", err)
	}
	if err := scan(manifest(t, files, 1)); err != nil {
		t.Errorf("the run that begins again reads %v", err)
	}
}
