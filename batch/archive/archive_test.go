package archive_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"reflect"
	"slices"
	"strings"
	"testing"

	"fernweh/batch/archive"
	"fernweh/schemas"

	"github.com/apache/arrow/go/v15/arrow"
	"google.golang.org/protobuf/proto"
	"pgregory.net/rapid"
)

// shelf is an archive in memory.
type shelf map[string][]byte

func (s shelf) Create(_ context.Context, name string, write func(io.Writer) error) (bool, error) {
	if _, taken := s[name]; taken {
		return false, nil
	}
	var b bytes.Buffer
	if err := write(&b); err != nil {
		return false, err
	}
	s[name] = b.Bytes()
	return true, nil
}

func (s shelf) Open(_ context.Context, name string, read func(io.ReaderAt, int64) error) error {
	b, ok := s[name]
	if !ok {
		return fmt.Errorf("open %s: %w", name, fs.ErrNotExist)
	}
	return read(bytes.NewReader(b), int64(len(b)))
}

func (s shelf) List(_ context.Context, prefix string) ([]string, error) {
	var names []string
	for _, n := range slices.Sorted(maps.Keys(s)) {
		if strings.HasPrefix(n, prefix) {
			names = append(names, n)
		}
	}
	return names, nil
}

// aMessage is what a producer of any make or release may have written.
func aMessage(t *rapid.T) schemas.Message {
	bytes := rapid.SliceOfN(rapid.Byte(), 0, 20)
	m := schemas.Message{Key: bytes.Draw(t, "key"), Value: bytes.Draw(t, "value")}
	if rapid.Bool().Draw(t, "null key") {
		m.Key = nil
	}
	if rapid.Bool().Draw(t, "null value") {
		m.Value = nil
	}
	for range rapid.IntRange(0, 2).Draw(t, "headers") {
		name := rapid.SampledFrom([]string{"fernweh-later", "trace", "", schemas.HeaderCut}).Draw(t, "header")
		m.Headers = append(m.Headers, schemas.Header{Key: name, Value: bytes.Draw(t, "header value")})
	}
	return m
}

// aLog is a partition of the log: events, cuts in any order, records of which this
// release understands nothing, over several days.
func aLog(t *rapid.T) []schemas.Record {
	var log []schemas.Record
	at := int64(1_700_000_000_000_000)
	for i := range rapid.IntRange(1, 60).Draw(t, "records") {
		at += int64(rapid.IntRange(0, 40_000).Draw(t, "seconds later")) * 1_000_000
		r := schemas.Record{Offset: int64(i), At: at}
		switch rapid.IntRange(0, 9).Draw(t, "what") {
		case 0:
			r.Cut = int64(rapid.IntRange(1, 6).Draw(t, "cut"))
		case 1:
			r.Read(aMessage(t), 1)
		default:
			r.Event = &schemas.Event{Id: fmt.Sprint("m", i), Device: fmt.Sprint("d", i%7), Kind: schemas.Kind_KIND_PAGE, Time: at}
		}
		log = append(log, r)
	}
	return log
}

// TestArchiversRaceToOneChain: two archivers that are killed, frozen and begun
// again at will leave one chain, which holds every offset before its end once.
func TestArchiversRaceToOneChain(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		ctx := context.Background()
		log, files := aLog(t), shelf{}
		limits := archive.Limits{
			Rows:  int64(rapid.IntRange(1, 12).Draw(t, "rows a file")),
			Bytes: int64(rapid.IntRange(1, 4000).Draw(t, "bytes a file")),
		}
		if rapid.Bool().Draw(t, "short of memory") {
			limits.Memory = archive.NewMemory(int64(rapid.IntRange(1, 4000).Draw(t, "bytes in memory")))
		}
		writers := make([]*archive.Writer, 2)
		for range rapid.IntRange(1, 40).Draw(t, "steps") {
			who := rapid.IntRange(0, 1).Draw(t, "who")
			if writers[who] == nil || rapid.IntRange(0, 7).Draw(t, "killed") == 0 {
				if old := writers[who]; old != nil && limits.Memory != nil {
					old.Close() // the memory of a process that was killed is no longer held
				}
				w, err := archive.NewWriter(ctx, files, 3, limits)
				if err != nil {
					t.Fatal(err)
				}
				writers[who] = w
			}
			w := writers[who]
			from := int(w.Start())
			to := min(from+rapid.IntRange(0, 20).Draw(t, "records"), len(log))
			err := w.Handle(ctx, log[from:to])
			if errors.Is(err, archive.ErrOvertaken) {
				writers[who] = nil
			} else if err != nil {
				t.Fatal(err)
			}
		}
		checkChain(t, files, log)
		checkBytes(t, files, limits)
	})
}

// checkBytes: no file holds more bytes of rows than it may, but for a single row.
func checkBytes(t *rapid.T, files shelf, limits archive.Limits) {
	for name := range files {
		s, err := archive.ReadSpan(context.Background(), files, name)
		if err != nil {
			t.Fatal(err)
		}
		if s.Rows > 1 && s.Bytes > limits.Bytes {
			t.Errorf("%s holds %d bytes of %d rows, at most %d are allowed", name, s.Bytes, s.Rows, limits.Bytes)
		}
	}
}

// checkChain reads the chain back and holds it against the log.
func checkChain(t *rapid.T, files shelf, log []schemas.Record) {
	ctx := context.Background()
	var epoch, next int64
	for _, name := range inOrder(t, files) {
		s, err := archive.ReadSpan(ctx, files, name)
		if err != nil {
			t.Fatal(err)
		}
		if s.First != next || s.Epoch != epoch {
			t.Fatalf("%s begins at %d in epoch %d, the chain goes on at %d in epoch %d", name, s.First, s.Epoch, next, epoch)
		}
		var events int64
		for _, r := range log[s.First:s.Next] {
			if r.Event != nil {
				events++
			}
			if schemas.Follows(epoch, r.Cut) {
				epoch = r.Cut
				if r.Offset != s.Next-1 || s.Cut != r.Cut {
					t.Fatalf("%s holds cut %d at offset %d, but ends at %d with cut %d", name, r.Cut, r.Offset, s.Next, s.Cut)
				}
			}
		}
		if s.Rows != events || s.Rows+s.Raw != s.Next-s.First {
			t.Fatalf("%s has %d rows and %d raw ones of [%d,%d) with %d events", name, s.Rows, s.Raw, s.First, s.Next, events)
		}
		if got, want := rows(t, files, archive.FileSpan{Name: name, Span: s}), log[s.First:s.Next]; !slices.EqualFunc(got, want, same) {
			t.Fatalf("%s holds\n%+v, the log\n%+v", name, got, want)
		}
		next = s.Next
	}
}

// same compares what the archive gives back with what lay in the log: the meaning,
// and the message to the byte.
func same(got, want schemas.Record) bool {
	return got.Offset == want.Offset && got.At == want.At && got.Cut == want.Cut && proto.Equal(got.Event, want.Event) &&
		(want.Event != nil || want.Cut > 0 || reflect.DeepEqual(got.Message, want.Message))
}

func inOrder(t *rapid.T, files shelf) []string {
	names := slices.Collect(maps.Keys(files))
	slices.SortFunc(names, func(a, b string) int {
		return strings.Compare(a[strings.LastIndex(a, "/"):], b[strings.LastIndex(b, "/"):])
	})
	return names
}

func rows(t interface{ Fatal(...any) }, files shelf, f archive.FileSpan) []schemas.Record {
	var out []schemas.Record
	var reader schemas.RowReader
	err := archive.Scan(context.Background(), files, f, schemas.AllColumns(), func(b arrow.Record) error {
		if err := reader.Bind(b); err != nil {
			return err
		}
		for i := range int(b.NumRows()) {
			var r schemas.Record
			if err := reader.Read(i, &r); err != nil {
				return err
			}
			if r.Event != nil {
				r.Event = proto.Clone(r.Event).(*schemas.Event)
			}
			out = append(out, r)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func archived(t *testing.T, partition int32, log ...schemas.Record) shelf {
	t.Helper()
	files := shelf{}
	w, err := archive.NewWriter(t.Context(), files, partition, archive.Limits{Rows: 100})
	if err != nil {
		t.Fatal(err)
	}
	for i := range log {
		log[i].Offset = int64(i)
	}
	if err := w.Handle(t.Context(), log); err != nil {
		t.Fatal(err)
	}
	return files
}

func event(id string) schemas.Record {
	return schemas.Record{Event: &schemas.Event{Id: id, Device: "d", Kind: schemas.Kind_KIND_PAGE}}
}

func cut(run int64) schemas.Record { return schemas.Record{Cut: run} }

func TestManifest(t *testing.T) {
	tests := []struct {
		name string
		log  []schemas.Record
		run  int64
		rows int64
		want error
	}{
		{"everything below the cut", []schemas.Record{event("a"), cut(1), event("b")}, 1, 1, nil},
		{"an empty portal", []schemas.Record{cut(1)}, 1, 0, nil},
		{"a later run takes the earlier files too", []schemas.Record{event("a"), cut(1), event("b"), cut(2)}, 2, 2, nil},
		{"a repeated cut record is no cut", []schemas.Record{event("a"), cut(1), event("b"), cut(1), cut(2)}, 1, 1, nil},
		{"the cut is not there yet", []schemas.Record{event("a"), cut(1), event("b")}, 2, 0, archive.ErrNotYet},
		{"the cut was overtaken", []schemas.Record{event("a"), cut(2), event("b"), cut(1)}, 1, 0, archive.ErrNoCut},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			files := archived(t, 0, tt.log...)
			m, err := archive.NewChain(files, 1).Manifest(t.Context(), tt.run)
			if !errors.Is(err, tt.want) {
				t.Fatalf("error %v, want %v", err, tt.want)
			}
			if err == nil && m.Rows() != tt.rows {
				t.Errorf("%d rows, want %d", m.Rows(), tt.rows)
			}
		})
	}
}

func TestDamagedArchiveIsNamed(t *testing.T) {
	const name = "events/p0000/1970-01-01/0000000000000000000.parquet"
	tests := []struct {
		name   string
		damage func(shelf)
	}{
		{"file cut in half", func(s shelf) { s[name] = s[name][:len(s[name])/2] }},
		{"file emptied", func(s shelf) { s[name] = nil }},
		{"file lost", func(s shelf) { delete(s, name) }},
		{"file named otherwise", func(s shelf) { s["events/p0000/1970-01-01/copy.parquet"] = s[name] }},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			files := archived(t, 0, event("a"), cut(1), event("b"), cut(2))
			tt.damage(files)
			_, err := archive.NewChain(files, 1).Manifest(t.Context(), 2)
			if err == nil || !strings.Contains(err.Error(), "events/p0000/1970-01-01/") {
				t.Errorf("error %v, want one that names the file", err)
			}
		})
	}
}
