package hbase_test

import (
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/tsuna/gohbase"
	"github.com/tsuna/gohbase/hrpc"
	"golang.org/x/sync/errgroup"

	"fernweh/schemas"
)

// What the benchmarks write and read: of a visitor's usual size, by as many
// callers as a busy collector and its portal have.
const (
	benchCallers = 64
	benchBytes   = 500
	benchRows    = 4000 // a turn
)

func benchRow(i int) schemas.Key { return schemas.VisitorKey(fmt.Sprint("bench ", i)) }

// bare is a client of gohbase's alone, as its authors would use it.
func bare(b *testing.B) gohbase.Client {
	b.Helper()
	c := gohbase.NewClient(strings.Join(server(b), ","), gohbase.FlushInterval(2*time.Millisecond))
	b.Cleanup(c.Close)
	return c
}

// turn shares a turn's rows among the callers.
func turn(b *testing.B, call func(row int) error) time.Duration {
	b.Helper()
	var next atomic.Int64
	var g errgroup.Group
	begun := time.Now()
	for range benchCallers {
		g.Go(func() error {
			for {
				row := int(next.Add(1)) - 1
				if row >= benchRows {
					return nil
				}
				if err := call(row); err != nil {
					return err
				}
			}
		})
	}
	if err := g.Wait(); err != nil {
		b.Fatal(err)
	}
	return time.Since(begun)
}

// beside lets one client and the other take turns, so that both see the same
// server and the same machine, and compares them.
func beside(b *testing.B, views, bare, atOnce func() time.Duration) {
	views() // a turn to warm up
	bare()
	var spent [3]time.Duration
	b.ResetTimer()
	for i := range b.N {
		for j := range spent {
			j = (i + j) % len(spent)
			spent[j] += []func() time.Duration{views, bare, atOnce}[j]()
		}
	}
	perSecond := func(d time.Duration) float64 { return float64(b.N) * benchRows / d.Seconds() }
	b.ReportMetric(perSecond(spent[0]), "rows/s")
	b.ReportMetric(perSecond(spent[1]), "gohbase-rows/s")
	b.ReportMetric(100*perSecond(spent[0])/perSecond(spent[1]), "%-of-gohbase")
	b.ReportMetric(perSecond(spent[2]), "rows-in-one-call/s")
}

// BenchmarkPutBesideGohbase: one row a call, as each of 64 callers writes it, and
// all rows in one call, as speed and batch do.
func BenchmarkPutBesideGohbase(b *testing.B) {
	v, client, value, stamp := views(b), bare(b), make([]byte, benchBytes), int64(0)
	table := []byte(config(b).Prefix + "_" + string(schemas.TableVisitors))
	cell := func(row int) schemas.Cell {
		return schemas.Cell{Key: benchRow(row), Column: schemas.ColumnSpeed(1), Stamp: stamp, Value: value}
	}
	beside(b, func() time.Duration {
		stamp++
		return turn(b, func(row int) error { return v.Put(b.Context(), cell(row)) })
	}, func() time.Duration {
		stamp++
		return turn(b, func(row int) error {
			put, err := hrpc.NewPut(b.Context(), table, []byte(benchRow(row).Row),
				map[string]map[string][]byte{"s": {"1": value}}, hrpc.TimestampUint64(uint64(stamp)), hrpc.Durability(hrpc.SyncWal))
			if err == nil {
				_, err = client.Put(put)
			}
			return err
		})
	}, func() time.Duration {
		stamp++
		cells := make([]schemas.Cell, benchRows)
		for row := range cells {
			cells[row] = cell(row)
		}
		begun := time.Now()
		if err := v.Put(b.Context(), cells...); err != nil {
			b.Fatal(err)
		}
		return time.Since(begun)
	})
}

// BenchmarkGetBesideGohbase: one row a call, and all rows in one.
func BenchmarkGetBesideGohbase(b *testing.B) {
	v, client := views(b), bare(b)
	table := []byte(config(b).Prefix + "_" + string(schemas.TableVisitors))
	cells, keys := make([]schemas.Cell, benchRows), make([]schemas.Key, benchRows)
	for row := range cells {
		keys[row] = benchRow(row)
		cells[row] = schemas.Cell{Key: keys[row], Column: schemas.ColumnSpeed(1), Stamp: 1, Value: make([]byte, benchBytes)}
	}
	if err := v.Put(b.Context(), cells...); err != nil {
		b.Fatal(err)
	}
	beside(b, func() time.Duration {
		return turn(b, func(row int) error {
			rows, err := v.Get(b.Context(), keys[row])
			if err == nil && len(rows[0].Cells) == 0 {
				err = fmt.Errorf("row %d is empty", row)
			}
			return err
		})
	}, func() time.Duration {
		return turn(b, func(row int) error {
			get, err := hrpc.NewGet(b.Context(), table, []byte(benchRow(row).Row))
			if err != nil {
				return err
			}
			found, err := client.Get(get)
			if err == nil && len(found.Cells) == 0 {
				err = fmt.Errorf("row %d is empty", row)
			}
			return err
		})
	}, func() time.Duration {
		begun := time.Now()
		if _, err := v.Get(b.Context(), keys...); err != nil {
			b.Fatal(err)
		}
		return time.Since(begun)
	})
}
