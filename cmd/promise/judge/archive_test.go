package judge_test

import (
	"context"
	"math/rand/v2"
	"testing"

	"fernweh/batch"
	"fernweh/batch/archive"
	"fernweh/cmd/promise/generate"
	"fernweh/cmd/promise/judge"
	"fernweh/cmd/promise/oracle"
	"fernweh/infra/embedded"
	"fernweh/model/visitor"
	"fernweh/schemas"
)

// TestArchiveFoldsAsDocumented holds what batch makes of Parquet files against the
// documents: every field that the fold needs comes out of its column.
func TestArchiveFoldsAsDocumented(t *testing.T) {
	for seed := range uint64(6) {
		files, err := embedded.OpenFiles(t.TempDir())
		if err != nil {
			t.Fatal(err)
		}
		w, err := archive.NewWriter(t.Context(), files, 0, archive.Limits{Rows: 50})
		if err != nil {
			t.Fatal(err)
		}
		g := generate.New(rand.New(rand.NewPCG(seed, 3)))
		events := map[string][]*schemas.Event{}
		records := make([]schemas.Record, 120, 121)
		for i := range records {
			e := g.Next()
			events[e.Device] = append(events[e.Device], e)
			records[i] = schemas.Record{Offset: int64(i), At: 1_700_000_000_000_000, Event: e}
		}
		records = append(records, schemas.Record{Offset: int64(len(records)), At: 1_700_000_000_000_000, Cut: 1})
		if err := w.Handle(t.Context(), records); err != nil {
			t.Fatal(err)
		}
		m, err := archive.NewChain(files, 1).Manifest(t.Context(), 1)
		if err == nil {
			m, err = archive.Pin(t.Context(), files, m)
		}
		if err != nil {
			t.Fatal(err)
		}
		put := func(_ context.Context, cells ...schemas.Cell) error {
			for _, c := range cells {
				if c.Table != schemas.TableVisitors {
					continue
				}
				var cell visitor.Cell
				if err := cell.UnmarshalBinary(c.Value); err != nil {
					return err
				}
				device := schemas.VisitorOf(c.Row)
				if err := judge.Cell(&cell, oracle.Fold(judge.Small, events[device]...)); err != nil {
					t.Errorf("log %d, device %.20q: %v", seed, device, err)
				}
				delete(events, device)
			}
			return nil
		}
		if _, err := batch.Fold(t.Context(), batch.Settings{Workers: 1, Memory: 1 << 30, Sample: 10, Limits: judge.Limits(judge.Small)}, files, m, put); err != nil {
			t.Fatal(err)
		}
		for device, left := range events {
			if len(left) > 0 {
				t.Errorf("log %d: device %.20q has %d events and no cell", seed, device, len(left))
			}
		}
	}
}
