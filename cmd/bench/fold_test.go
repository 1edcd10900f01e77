package bench_test

import (
	"context"
	"flag"
	"os"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"fernweh/batch"
	"fernweh/batch/archive"
	"fernweh/infra/embedded"
	"fernweh/schemas"

	"github.com/apache/arrow/go/v15/arrow"
	"golang.org/x/sync/errgroup"
)

// archived is the number of events in the archive; fewer show a change sooner.
var archived = flag.Int("archived", 10_000_000, "events in the archive of BenchmarkFold")

// memoryLimit is what GOMEMLIMIT=900MiB does for the program: without it the
// collector lets the heap grow to twice what is in use. It costs time.
const memoryLimit = 900 << 20

// archiveDir spares who profiles the fold the minutes that the archive takes.
var archiveDir = flag.String("archive", "", "directory of the archive of BenchmarkFold, kept and used again; empty: a new one")

// foldSettings are the program's defaults.
func foldSettings() batch.Settings {
	return batch.Settings{Partitions: partitions, Memory: 512 << 20, Sample: 250_000}
}

// BenchmarkFold scans and folds the archive, all but the writing of the views;
// beside it, the same columns are only scanned.
func BenchmarkFold(b *testing.B) {
	files := openArchive(b)
	m, err := archive.NewChain(files, partitions).Manifest(b.Context(), 1)
	if err != nil {
		b.Fatal(err)
	}
	defer debug.SetMemoryLimit(debug.SetMemoryLimit(memoryLimit))
	for b.Loop() {
		scan, _ := measured(func() { scanOnly(b, files, m) })
		fold, peak := measured(func() { foldAll(b, files, m) })
		b.ReportMetric(float64(m.Rows())/fold.Seconds(), "rows/s")
		b.ReportMetric(float64(m.Rows())/scan.Seconds(), "scanned-rows/s")
		b.ReportMetric(scan.Seconds()/fold.Seconds(), "of-scanning")
		b.ReportMetric(float64(peak.heap)/(1<<20), "heap-MiB")
		b.ReportMetric(float64(peak.resident)/(1<<20), "resident-MiB")
	}
}

func foldAll(b *testing.B, files archive.Files, m *archive.Manifest) {
	b.Helper()
	var cells atomic.Int64
	devices, err := batch.Fold(b.Context(), foldSettings(), files, m, func(_ context.Context, cs ...schemas.Cell) error {
		cells.Add(int64(len(cs)))
		return nil
	})
	if err != nil {
		b.Fatal(err)
	}
	if devices == 0 || cells.Load() < devices {
		b.Fatalf("%d cells of %d devices", cells.Load(), devices)
	}
}

// scanOnly reads what the fold reads and does nothing with it.
func scanOnly(b *testing.B, files archive.Files, m *archive.Manifest) {
	b.Helper()
	g, ctx := errgroup.WithContext(b.Context())
	g.SetLimit(runtime.GOMAXPROCS(0))
	var rows atomic.Int64
	var all int64
	for _, spans := range m.Partitions {
		for _, f := range spans {
			all += f.All()
			g.Go(func() error {
				return archive.Scan(ctx, files, f, schemas.FoldColumns(), func(r arrow.Record) error {
					rows.Add(r.NumRows())
					return nil
				})
			})
		}
	}
	if err := g.Wait(); err != nil {
		b.Fatal(err)
	}
	if rows.Load() != all {
		b.Fatalf("scanned %d rows of %d", rows.Load(), all)
	}
}

// openArchive gives an archive of the portal's events in the order of the log,
// as a replay leaves it: within one day, so that its files are full.
func openArchive(b *testing.B) archive.Files {
	b.Helper()
	dir := *archiveDir
	if dir == "" {
		dir = b.TempDir()
	}
	done := filepath.Join(dir, "done")
	_, missing := os.Stat(done)
	files, err := embedded.OpenFiles(filepath.Join(dir, "files"))
	if err != nil {
		b.Fatal(err)
	}
	if missing == nil {
		return files
	}
	fillArchive(b, files)
	if err := os.WriteFile(done, nil, 0o644); err != nil {
		b.Fatal(err)
	}
	return files
}

func fillArchive(b *testing.B, files archive.Files) {
	b.Helper()
	g, ctx := errgroup.WithContext(b.Context())
	lanes := make([]chan []schemas.Record, partitions)
	for p := range lanes {
		lanes[p] = make(chan []schemas.Record, 4)
		w, err := archive.NewWriter(ctx, files, int32(p), archive.Limits{})
		if err != nil {
			b.Fatal(err)
		}
		defer w.Close()
		g.Go(func() error {
			for records := range lanes[p] {
				if err := w.Handle(ctx, records); err != nil {
					return err
				}
			}
			return nil
		})
	}
	g.Go(func() error { return deal(ctx, b, lanes) })
	if err := g.Wait(); err != nil {
		b.Fatal(err)
	}
}

// deal gives each event to its partition, a cut behind the last, and closes the lanes.
func deal(ctx context.Context, b *testing.B, lanes []chan []schemas.Record) error {
	defer func() {
		for _, l := range lanes {
			close(l)
		}
	}()
	var next [partitions]int64
	var wait [partitions][]schemas.Record
	send := func(p int32) error {
		select {
		case lanes[p] <- wait[p]:
			wait[p] = nil
			return nil
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	add := func(p int32, r schemas.Record) {
		r.Partition, r.Offset = p, next[p]
		next[p]++
		wait[p] = append(wait[p], r)
	}
	for e := range taken(travellers(b, *archived)) {
		p := schemas.Partition(e.Device, partitions)
		add(p, schemas.Record{Event: e})
		if len(wait[p]) == 1000 {
			if err := send(p); err != nil {
				return err
			}
		}
	}
	for p := range int32(partitions) {
		add(p, schemas.Record{Cut: 1})
		if err := send(p); err != nil {
			return err
		}
	}
	return nil
}

// memory is the most that was in use at a time, in bytes.
type memory struct{ heap, resident uint64 }

// measured does something and says how long it took and what memory it needed,
// looking every few milliseconds. The heap counts garbage that is not yet swept.
func measured(do func()) (took time.Duration, peak memory) {
	debug.FreeOSMemory()
	stop, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		tick := time.NewTicker(5 * time.Millisecond)
		defer tick.Stop()
		for {
			now := inUse()
			peak.heap, peak.resident = max(peak.heap, now.heap), max(peak.resident, now.resident)
			select {
			case <-stop:
				return
			case <-tick.C:
			}
		}
	}()
	start := time.Now()
	do()
	took = time.Since(start)
	close(stop)
	<-done
	return took, peak
}

func inUse() memory {
	s := []metrics.Sample{{Name: "/memory/classes/heap/objects:bytes"}}
	metrics.Read(s)
	m := memory{heap: s[0].Value.Uint64()}
	statm, err := os.ReadFile("/proc/self/statm") // absent where the system is not Linux: then it is not known
	if err != nil {
		return m
	}
	if fields := strings.Fields(string(statm)); len(fields) > 1 {
		pages, _ := strconv.ParseUint(fields[1], 10, 64) // the kernel writes numbers
		m.resident = pages * uint64(os.Getpagesize())
	}
	return m
}
