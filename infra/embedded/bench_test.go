package embedded_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"golang.org/x/sync/errgroup"

	"fernweh/infra/embedded"
	"fernweh/infra/kafka"
	"fernweh/schemas"
)

// BenchmarkViewsPut writes batches of 2,000 visitors of 500 bytes, each batch
// with one sync. The devices come again, as they do.
func BenchmarkViewsPut(b *testing.B) {
	v, err := embedded.OpenViews(b.TempDir())
	if err != nil {
		b.Fatal(err)
	}
	defer v.Close()
	const rows, devices = 2000, 200_000
	value := []byte(strings.Repeat("0123456789", 50))
	stamp := int64(0)
	for b.Loop() {
		cells := make([]schemas.Cell, rows)
		for i := range cells {
			stamp++
			cells[i] = schemas.Cell{Key: schemas.VisitorKey(fmt.Sprint("device-", stamp*7919%devices)),
				Column: schemas.ColumnSpeed(3), Stamp: stamp, Value: value}
		}
		if err := v.Put(b.Context(), cells...); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(rows*b.N)/b.Elapsed().Seconds(), "rows/s")
}

// filled is a store of 500,000 visitors of 500 bytes, flushed as far as Pebble likes.
func filled(b *testing.B) *embedded.Views {
	b.Helper()
	v, err := embedded.OpenViews(b.TempDir())
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { v.Close() })
	value := []byte(strings.Repeat("0123456789", 50))
	for n := int64(0); n < 500_000; {
		cells := make([]schemas.Cell, 5000)
		for i := range cells {
			n++
			cells[i] = schemas.Cell{Key: schemas.VisitorKey(fmt.Sprint("device-", n)),
				Column: schemas.ColumnBatch(1), Stamp: n, Value: value}
		}
		if err := v.Put(b.Context(), cells...); err != nil {
			b.Fatal(err)
		}
	}
	return v
}

// BenchmarkViewsGet reads 100 rows a call: visitors that were never seen, and
// visitors that are there.
func BenchmarkViewsGet(b *testing.B) {
	v := filled(b)
	for _, bench := range []struct{ name, format string }{
		{"absent", "nobody-%d"}, {"present", "device-%d"},
	} {
		b.Run(bench.name, func(b *testing.B) {
			const rows = 100
			keys, n := make([]schemas.Key, rows), 0
			for b.Loop() {
				for i := range keys {
					n++
					keys[i] = schemas.VisitorKey(fmt.Sprintf(bench.format, 1+n*7919%500_000))
				}
				if _, err := v.Get(b.Context(), keys...); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(rows*b.N)/b.Elapsed().Seconds(), "rows/s")
		})
	}
}

// BenchmarkViewsScan goes over all visitors.
func BenchmarkViewsScan(b *testing.B) {
	v := filled(b)
	rows := 0
	for b.Loop() {
		err := v.Scan(b.Context(), schemas.TableVisitors, "", "", func(schemas.Row) error { rows++; return nil })
		if err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(rows)/b.Elapsed().Seconds(), "rows/s")
}

// search is an event as the portal sends them, about 300 bytes.
func search(n int) *schemas.Event {
	return &schemas.Event{
		Id: fmt.Sprintf("ajs-next-1795319834614-%08x", n), Device: fmt.Sprintf("41c8196c-%d", n*7919%50_000),
		Kind: schemas.Kind_KIND_OFFER_VIEW, Name: "Product Viewed", Time: 1717236000000000 + int64(n), Received: 1717236000500000,
		Source: "portal",
		Context: &schemas.Context{Path: "/hotels/wellnesshotel-mueller", Title: "Wellnesshotel Müller", Referrer: "www.example.org",
			Locale: "de-DE", Timezone: "Europe/Berlin", Library: "analytics-node/3.1.0"},
		Offer: &schemas.Offer{Id: fmt.Sprint("hotel-", n%3000), Kind: schemas.OfferKind_OFFER_KIND_HOTEL, Destination: "Südtirol",
			Latitude: 46_670_000, Longitude: 11_160_000, Stars: 45, Price: 89900, Currency: "EUR",
			Styles: []schemas.Style{schemas.Style_STYLE_QUIET, schemas.Style_STYLE_UPSCALE}},
	}
}

// logBroker runs a broker with topics of four partitions.
func logBroker(b *testing.B) (kafka.Config, *kafka.Producer) {
	b.Helper()
	broker, err := embedded.OpenBroker(b.TempDir(), 0)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { broker.Close() })
	cfg := kafka.Config{Brokers: []string{broker.Addr()}, ClientID: "bench"}
	if err := kafka.EnsureTopics(b.Context(), cfg, schemas.Topics(4), 1); err != nil {
		b.Fatal(err)
	}
	p, err := kafka.NewProducer(cfg, 4)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { p.Close() })
	return cfg, p
}

// BenchmarkAppend appends events, acknowledged and synced, by so many callers in
// batches of so many.
func BenchmarkAppend(b *testing.B) {
	for _, bench := range []struct{ callers, batch int }{{1, 1}, {16, 100}, {64, 100}, {64, 1}} {
		b.Run(fmt.Sprintf("callers=%d/batch=%d", bench.callers, bench.batch), func(b *testing.B) {
			_, p := logBroker(b)
			var next atomic.Int64
			b.ResetTimer()
			g, ctx := errgroup.WithContext(b.Context())
			for range bench.callers {
				g.Go(func() error {
					for {
						n := next.Add(1)
						if n > int64(b.N) {
							return nil
						}
						events := make([]*schemas.Event, bench.batch)
						for i := range events {
							events[i] = search(int(n)*bench.batch + i)
						}
						if _, err := p.Append(ctx, events); err != nil {
							return err
						}
					}
				})
			}
			if err := g.Wait(); err != nil {
				b.Fatal(err)
			}
			b.ReportMetric(float64(b.N*bench.batch)/b.Elapsed().Seconds(), "events/s")
		})
	}
}

// BenchmarkConsume reads a log of 400,000 events.
func BenchmarkConsume(b *testing.B) {
	cfg, p := logBroker(b)
	const total = 400_000
	for n := 0; n < total; n += 2000 {
		events := make([]*schemas.Event, 2000)
		for i := range events {
			events[i] = search(n + i)
		}
		if _, err := p.Append(b.Context(), events); err != nil {
			b.Fatal(err)
		}
	}
	for b.Loop() {
		ctx, done := context.WithCancel(b.Context())
		var read atomic.Int64
		log := kafka.NewLog(cfg, partitions, kafka.LogOptions{Group: "bench", MaxBatch: 2000})
		_ = log.Consume(ctx, func(context.Context, int32) (int64, kafka.Handle, error) { // it ends when done is called
			return 0, func(_ context.Context, records []schemas.Record) error {
				if read.Add(int64(len(records))) == total {
					done()
				}
				return nil
			}, nil
		})
		done()
		if got := read.Load(); got != total {
			b.Fatalf("read %d events, want %d", got, total)
		}
	}
	b.ReportMetric(float64(total*b.N)/b.Elapsed().Seconds(), "events/s")
}

// BenchmarkCheckLog checks a log as a start does, in bytes a second.
func BenchmarkCheckLog(b *testing.B) {
	dir := b.TempDir()
	broker, err := embedded.OpenBroker(dir, 0)
	if err != nil {
		b.Fatal(err)
	}
	cfg := kafka.Config{Brokers: []string{broker.Addr()}, ClientID: "bench"}
	if err := kafka.EnsureTopics(b.Context(), cfg, schemas.Topics(4), 1); err != nil {
		b.Fatal(err)
	}
	p, err := kafka.NewProducer(cfg, 4)
	if err != nil {
		b.Fatal(err)
	}
	for n := 0; n < 400_000; n += 2000 {
		events := make([]*schemas.Event, 2000)
		for i := range events {
			events[i] = search(n + i)
		}
		if _, err := p.Append(b.Context(), events); err != nil {
			b.Fatal(err)
		}
	}
	if err := errors.Join(p.Close(), broker.Close()); err != nil {
		b.Fatal(err)
	}
	var size int64
	segments, _ := filepath.Glob(filepath.Join(dir, "partitions", "*", "*.dat")) // the pattern is a good one
	for _, path := range segments {
		info, err := os.Stat(path)
		if err != nil {
			b.Fatal(err)
		}
		size += info.Size()
	}
	b.SetBytes(size)
	for b.Loop() {
		if err := embedded.CheckLog(dir, 32<<20); err != nil {
			b.Fatal(err)
		}
	}
}
