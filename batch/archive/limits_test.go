package archive_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"testing"

	"fernweh/batch/archive"
	"fernweh/schemas"

	"github.com/apache/arrow/go/v15/arrow"
	"pgregory.net/rapid"
)

// sized is a record whose properties take so many bytes.
func sized(offset int64, properties int) schemas.Record {
	return schemas.Record{Offset: offset, Event: &schemas.Event{
		Id: fmt.Sprintf("m%04d", offset), Device: "d", Kind: schemas.Kind_KIND_PAGE,
		Properties: strings.Repeat("x", properties),
	}}
}

// largest is as many bytes of properties as fit into an event of 32 KiB.
const largest = 32<<10 - 64

// TestFileEndsByBytes: a file takes rows up to its limit to the byte; one byte
// more, and the row goes into the next. The cut takes a few bytes, too.
func TestFileEndsByBytes(t *testing.T) {
	row := sized(0, largest)
	size := schemas.NewRowBuilder().Row(&row).Size
	tests := []struct {
		name  string
		limit int64
		last  int // bytes of the last row's properties
		want  []int64
	}{
		{"four rows fit to the byte", 4 * size, largest, []int64{4, 1}},
		{"the last has one byte more", 4 * size, largest + 1, []int64{3, 2}},
		{"the limit is one byte less", 4*size - 1, largest, []int64{3, 2}},
		{"each row is larger than a file", size - 1, largest, []int64{1, 1, 1, 1, 1, 0}},
		{"a row is as large as a file", size, largest, []int64{1, 1, 1, 1, 1, 0}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			files := shelf{}
			w, err := archive.NewWriter(t.Context(), files, 0, archive.Limits{Bytes: tt.limit})
			if err != nil {
				t.Fatal(err)
			}
			log := []schemas.Record{sized(0, largest), sized(1, largest), sized(2, largest), sized(3, tt.last), sized(4, largest),
				{Offset: 5, Cut: 1}}
			if err := w.Handle(t.Context(), log); err != nil {
				t.Fatal(err)
			}
			m, err := archive.NewChain(files, 1).Manifest(t.Context(), 1)
			if err != nil {
				t.Fatal(err)
			}
			var got []int64
			for _, f := range m.Partitions[0] {
				got = append(got, f.Rows)
			}
			if !slices.Equal(got, tt.want) {
				t.Errorf("files of %v rows, want %v", got, tt.want)
			}
		})
	}
}

// TestBatchesAreBoundedByBytes: large rows are read a few at a time.
func TestBatchesAreBoundedByBytes(t *testing.T) {
	files := shelf{}
	w, err := archive.NewWriter(t.Context(), files, 0, archive.Limits{})
	if err != nil {
		t.Fatal(err)
	}
	const rows = 40
	var log []schemas.Record
	for i := range int64(rows) {
		log = append(log, sized(i, largest))
	}
	if err := w.Handle(t.Context(), append(log, schemas.Record{Offset: rows, Cut: 1})); err != nil {
		t.Fatal(err)
	}
	m, err := archive.NewChain(files, 1).Manifest(t.Context(), 1)
	if err != nil {
		t.Fatal(err)
	}
	row := sized(0, largest)
	for _, most := range []int64{1, 3, rows} {
		s := archive.NewScanner(files, schemas.AllColumns())
		s.BatchBytes = most*schemas.NewRowBuilder().Row(&row).Size + 100
		var read int64
		err := s.Scan(t.Context(), m.Partitions[0][0], func(b arrow.Record) error {
			if read += b.NumRows(); b.NumRows() > most {
				return fmt.Errorf("a batch of %d rows, at most %d fit", b.NumRows(), most)
			}
			return nil
		})
		if err != nil || read != rows+1 { // and the cut
			t.Errorf("%d rows a batch: %d rows read of %d, %v", most, read, rows, err)
		}
	}
}

// TestMemoryOfAllPartitionsIsBounded: however the records of several partitions
// come, their files together hold no more than they may, and nothing is lost.
func TestMemoryOfAllPartitionsIsBounded(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		ctx, files := context.Background(), shelf{}
		const partitions = 3
		limit := int64(rapid.IntRange(2000, 20_000).Draw(t, "bytes"))
		limits := archive.Limits{Memory: archive.NewMemory(limit)}
		var writers [partitions]*archive.Writer
		for p := range writers {
			w, err := archive.NewWriter(ctx, files, int32(p), limits)
			if err != nil {
				t.Fatal(err)
			}
			writers[p] = w
		}
		for range rapid.IntRange(1, 30).Draw(t, "records") {
			w := writers[rapid.IntRange(0, partitions-1).Draw(t, "partition")]
			r := sized(w.Start(), rapid.IntRange(0, 1500).Draw(t, "properties"))
			if err := w.Handle(ctx, []schemas.Record{r}); err != nil {
				t.Fatal(err)
			}
			if used := limits.Memory.Used(); used > limit {
				t.Fatalf("%d bytes are held, at most %d are allowed", used, limit)
			}
		}
		for p, w := range writers {
			end := w.Start()
			if err := w.Handle(ctx, []schemas.Record{{Offset: end, Cut: 1}}); err != nil {
				t.Fatal(err)
			}
			w.Close()
			checkOffsets(t, files, int32(p), end+1)
		}
		if used := limits.Memory.Used(); used != 0 {
			t.Errorf("%d bytes are held when all is written", used)
		}
	})
}

// checkOffsets: a partition's files hold each offset below end once, in order.
func checkOffsets(t *rapid.T, files shelf, partition int32, end int64) {
	var next int64
	for _, name := range inOrder(t, files) {
		s, err := archive.ReadSpan(context.Background(), files, name)
		if err != nil {
			t.Fatal(err)
		}
		if s.Partition != partition {
			continue
		}
		for _, r := range rows(t, files, archive.FileSpan{Name: name, Span: s}) {
			if r.Offset != next {
				t.Fatalf("partition %d: offset %d follows where %d should", partition, r.Offset, next)
			}
			next++
		}
	}
	if next != end {
		t.Errorf("partition %d is archived up to %d, its log has %d records", partition, next, end)
	}
}

// brittle are files of which one partition's cannot be written.
type brittle struct {
	shelf
	broken string
}

var errBroken = errors.New("the disk is broken")

func (b brittle) Create(ctx context.Context, name string, write func(io.Writer) error) (bool, error) {
	if strings.HasPrefix(name, b.broken) {
		return false, errBroken
	}
	return b.shelf.Create(ctx, name, write)
}

// TestTroubleOfOneFileStaysItsPartitions: where memory is needed and the largest
// file cannot be written, its partition alone is told, and the others go on.
func TestTroubleOfOneFileStaysItsPartitions(t *testing.T) {
	files := brittle{shelf{}, "events/p0000/"}
	limits := archive.Limits{Memory: archive.NewMemory(100_000)}
	var writers [2]*archive.Writer
	for p := range writers {
		w, err := archive.NewWriter(t.Context(), files, int32(p), limits)
		if err != nil {
			t.Fatal(err)
		}
		writers[p] = w
	}
	if err := writers[0].Handle(t.Context(), []schemas.Record{sized(0, 80_000)}); err != nil {
		t.Fatal(err)
	}
	for i := range int64(3) {
		if err := writers[1].Handle(t.Context(), []schemas.Record{sized(i, 40_000)}); err != nil {
			t.Fatalf("partition 1 is told of the trouble of partition 0: %v", err)
		}
	}
	if err := writers[0].Handle(t.Context(), []schemas.Record{sized(1, 1)}); !errors.Is(err, errBroken) {
		t.Errorf("partition 0 goes on with %v, want it told that its file was not written", err)
	}
}

// locked is a shelf for several goroutines.
type locked struct {
	mu    *sync.Mutex
	shelf shelf
}

func (l locked) Create(ctx context.Context, name string, write func(io.Writer) error) (bool, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.shelf.Create(ctx, name, write)
}

func (l locked) Open(ctx context.Context, name string, read func(io.ReaderAt, int64) error) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.shelf.Open(ctx, name, read)
}

func (l locked) List(ctx context.Context, prefix string) ([]string, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.shelf.List(ctx, prefix)
}

// TestWritersThatShareMemoryGoOn: writers that end each other's files from many
// goroutines come to an end, and write everything.
func TestWritersThatShareMemoryGoOn(t *testing.T) {
	files := locked{new(sync.Mutex), shelf{}}
	limits := archive.Limits{Memory: archive.NewMemory(10_000)}
	var all sync.WaitGroup
	const partitions, records = 4, 300
	for p := range partitions {
		w, err := archive.NewWriter(t.Context(), files, int32(p), limits)
		if err != nil {
			t.Fatal(err)
		}
		all.Go(func() {
			for i := range int64(records) {
				if err := w.Handle(t.Context(), []schemas.Record{sized(i, int(i*37%900))}); err != nil {
					t.Error(err)
					return
				}
			}
			if err := w.Handle(t.Context(), []schemas.Record{{Offset: records, Cut: 1}}); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	m, err := archive.NewChain(files.shelf, partitions).Manifest(t.Context(), 1)
	if err != nil || m.Rows() != partitions*records {
		t.Errorf("the archive holds %d rows of %d, %v", m.Rows(), partitions*records, err)
	}
}
