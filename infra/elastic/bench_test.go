//go:build bare

// The bare client pulls in some 850 packages of generated types, which take
// minutes to compile: only who measures pays for it (go test -tags bare).

package elastic_test

import (
	"bytes"
	"context"
	"fmt"
	"strconv"
	"sync/atomic"
	"testing"

	"github.com/elastic/go-elasticsearch/v8"
	"github.com/elastic/go-elasticsearch/v8/esutil"

	"fernweh/schemas"
)

// benchDocuments are as many visitors as a follower writes at once.
func benchDocuments(index string, version int64) []schemas.Document {
	docs := make([]schemas.Document, 20_000)
	for i := range docs {
		docs[i] = schemas.VisitorDocument{
			At: schemas.DocTime(1_700_000_000_000_000 + version*1000), Device: fmt.Sprintf("device-%08d", i), State: schemas.StateExact,
			Generation: version, Segment: "s" + strconv.Itoa(i%7), Model: "segments-7", Distance: float64(i%100) / 30, Consent: "granted",
			Sessions: int64(i % 13), Events: int64(i % 97), Searches: int64(i % 11), Views: int64(i % 41), Currency: "EUR", Booked: int64(i) * 100,
			Party: "couple", Styles: []string{"quiet", "upscale"}, Destinations: []string{"Sylt", "Föhr"},
		}.Document(index, version)
	}
	return docs
}

// BenchmarkWriteBesideBulkIndexer writes the same documents through the adapter and
// through the client's own BulkIndexer, with as many workers and bytes a
// request, in turns, into an index each.
func BenchmarkWriteBesideBulkIndexer(b *testing.B) {
	config := settings(b)
	d := open(b, config)
	for _, round := range []string{"1", "2", "3"} {
		b.Run("adapter/"+round, func(b *testing.B) {
			written(b, func(docs []schemas.Document) error { return d.Write(b.Context(), docs...) }, schemas.IndexVisitorsBatch(1))
		})
		b.Run("bare/"+round, func(b *testing.B) {
			written(b, func(docs []schemas.Document) error { return bare(b.Context(), config.Addresses, config.Prefix, docs) }, schemas.IndexVisitorsBatch(2))
		})
	}
}

// versions keeps every run's documents newer than the last one's.
var versions atomic.Int64

// written measures documents a second.
func written(b *testing.B, write func([]schemas.Document) error, index string) {
	n := 0
	for b.Loop() {
		b.StopTimer()
		docs := benchDocuments(index, versions.Add(1))
		b.StartTimer()
		if err := write(docs); err != nil {
			b.Fatal(err)
		}
		n += len(docs)
	}
	b.ReportMetric(float64(n)/b.Elapsed().Seconds(), "documents/s")
}

// bare writes with the client alone.
func bare(ctx context.Context, addresses []string, prefix string, docs []schemas.Document) error {
	client, err := elasticsearch.NewClient(elasticsearch.Config{Addresses: addresses})
	if err != nil {
		return err
	}
	var failed atomic.Int64
	indexer, err := esutil.NewBulkIndexer(esutil.BulkIndexerConfig{Client: client, NumWorkers: 2, FlushBytes: 2 << 20})
	if err != nil {
		return err
	}
	for _, doc := range docs {
		err := indexer.Add(ctx, esutil.BulkIndexerItem{
			Action: "index", Index: prefix + "-" + doc.Index, DocumentID: doc.ID, Version: &doc.Version, VersionType: "external_gte",
			Body:      bytes.NewReader(doc.Body),
			OnFailure: func(context.Context, esutil.BulkIndexerItem, esutil.BulkIndexerResponseItem, error) { failed.Add(1) },
		})
		if err != nil {
			return err
		}
	}
	if err := indexer.Close(ctx); err != nil {
		return err
	}
	if n := failed.Load(); n > 0 {
		return fmt.Errorf("%d documents failed", n)
	}
	return nil
}
