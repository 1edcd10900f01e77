package embedded_test

import (
	"fmt"
	"testing"

	"fernweh/schemas"
)

// BenchmarkDocuments writes visitors, five hundred at a time, then searches
// among what was written.
func BenchmarkDocuments(b *testing.B) {
	d := documents(b, b.TempDir())
	defer d.Close()
	const batch = 500
	write := func(from int) error {
		docs := make([]schemas.Document, batch)
		for i := range docs {
			n := from + i
			docs[i] = schemas.VisitorDocument{
				Device: fmt.Sprintf("device-%07d", n%100_000), State: schemas.StateExact, Generation: int64(n), Segment: fmt.Sprint("s", n%7),
				Last: schemas.DocTime(n) * 1e6, Views: int64(n % 41), Booked: int64(n), Styles: []string{"quiet", "upscale"},
			}.Document(schemas.IndexVisitorsBatch(1), int64(n))
		}
		return d.Write(b.Context(), docs...)
	}
	n := 0
	b.Run("write", func(b *testing.B) {
		written := 0
		for b.Loop() {
			if err := write(n); err != nil {
				b.Fatal(err)
			}
			n, written = n+batch, written+batch
		}
		b.ReportMetric(float64(written)/b.Elapsed().Seconds(), "documents/s")
	})
	b.Run("search", func(b *testing.B) {
		q := schemas.Query{Index: schemas.IndexVisitorsBatch(1), Sort: "views", Limit: 10, Facets: []schemas.Facet{{Field: "segment", Sum: "booked", Limit: 10}}}
		var total int64
		for b.Loop() {
			hits, err := d.Search(b.Context(), q)
			if err != nil {
				b.Fatal(err)
			}
			total = hits.Total
		}
		b.ReportMetric(float64(total), "documents")
	})
}
