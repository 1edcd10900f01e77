package hbase_test

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"fernweh/infra/hbase"
	"fernweh/infra/native"
	"fernweh/schemas"
)

// ownServer starts an HBase of the test's own, which it may kill.
func ownServer(t *testing.T) *native.Server {
	t.Helper()
	server(t)
	ports, err := native.FreePorts(native.HBase)
	if err != nil {
		t.Fatal(err)
	}
	s, err := native.Start(t.Context(), native.HBase, native.Options{Dir: t.TempDir(), Ports: ports})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Kill(); err != nil {
			t.Error(err)
		}
	})
	return s
}

// Traffic is of so many writers, each with rows of its own.
const (
	writers = 8
	rowsOf  = 25
)

// traffic writes, reads, scans and swaps until it is told to stop, and checks
// what it is given against what was acknowledged.
type traffic struct {
	views *hbase.Views
	stop  atomic.Bool
	acked [writers][rowsOf]atomic.Int64 // highest stamp that was acknowledged; 0: none
	puts  [writers]atomic.Int64         // that were acknowledged
	reads atomic.Int64                  // rows that were read and compared
	scans atomic.Int64                  // that went over the whole table

	swaps, unknown atomic.Int64 // swaps that were acknowledged, and that ended in an error
}

func trafficRow(writer, row int) schemas.Key {
	return schemas.VisitorKey(fmt.Sprintf("writer %d row %d", writer, row))
}

// write puts two columns of a row at a time, in ascending stamps, and now and
// then an older one, as a frozen owner that wakes.
func (tr *traffic) write(ctx context.Context, writer int) error {
	for stamp := int64(1); !tr.stop.Load(); stamp++ {
		row := int(stamp) % rowsOf
		if err := tr.views.Put(ctx, trafficCells(writer, row, stamp)...); err != nil {
			return fmt.Errorf("writer %d, stamp %d: %w", writer, stamp, err)
		}
		tr.acked[writer][row].Store(stamp)
		tr.puts[writer].Add(1)
		if late := stamp - 2*rowsOf; stamp%7 == 0 && late > 0 {
			if err := tr.views.Put(ctx, trafficCells(writer, row, late)...); err != nil {
				return fmt.Errorf("writer %d, late stamp %d: %w", writer, late, err)
			}
		}
	}
	return nil
}

func trafficCells(writer, row int, stamp int64) []schemas.Cell {
	cells := make([]schemas.Cell, 2)
	for epoch := range cells {
		cells[epoch] = schemas.Cell{Key: trafficRow(writer, row), Column: schemas.ColumnSpeed(int64(epoch)),
			Stamp: stamp, Value: fmt.Appendf(nil, "state at %d", stamp)}
	}
	return cells
}

// holds compares a row with what was acknowledged before it was asked for.
func holds(row schemas.Row, acked int64) error {
	if acked == 0 && len(row.Cells) == 0 {
		return nil
	}
	if len(row.Cells) != 2 || row.Cells[0].Stamp != row.Cells[1].Stamp {
		return fmt.Errorf("row %q has cells %v, of two that are written at once", row.Row, row.Cells)
	}
	for _, c := range row.Cells {
		if c.Stamp < acked || string(c.Value) != fmt.Sprint("state at ", c.Stamp) {
			return fmt.Errorf("row %q column %s holds %q stamped %d; %d was acknowledged", row.Row, c.Column, c.Value, c.Stamp, acked)
		}
	}
	return nil
}

// read reads all rows of a writer at a time.
func (tr *traffic) read(ctx context.Context) error {
	for i := 0; !tr.stop.Load(); i++ {
		if err := tr.readOnce(ctx, i%writers); err != nil {
			return err
		}
	}
	return nil
}

func (tr *traffic) readOnce(ctx context.Context, writer int) error {
	var keys [rowsOf]schemas.Key
	var acked [rowsOf]int64
	for row := range rowsOf {
		keys[row], acked[row] = trafficRow(writer, row), tr.acked[writer][row].Load()
	}
	rows, err := tr.views.Get(ctx, keys[:]...)
	if err != nil {
		return err
	}
	for i, row := range rows {
		if err := holds(row, acked[i]); err != nil {
			return err
		}
		tr.reads.Add(1)
	}
	return nil
}

// scan goes over the table: a row that was acknowledged before may not be missing.
func (tr *traffic) scan(ctx context.Context) error {
	for !tr.stop.Load() {
		want := make(map[string]int64)
		for writer := range writers {
			for row := range rowsOf {
				if acked := tr.acked[writer][row].Load(); acked > 0 {
					want[trafficRow(writer, row).Row] = acked
				}
			}
		}
		err := tr.views.Scan(ctx, schemas.TableVisitors, "", "", func(row schemas.Row) error {
			acked := want[row.Row]
			delete(want, row.Row)
			return holds(row, acked)
		})
		if err != nil {
			return err
		}
		if len(want) > 0 {
			return fmt.Errorf("a scan ended without an error and missed %d rows that were acknowledged", len(want))
		}
		tr.scans.Add(1)
	}
	return nil
}

var counterKey = schemas.Key{Table: schemas.TableMeta, Row: "counter"}

// count draws numbers. A swap that ends in an error may have been written.
func (tr *traffic) count(ctx context.Context) error {
	for !tr.stop.Load() {
		rows, err := tr.views.Get(ctx, counterKey)
		if err != nil {
			return err
		}
		old, _ := rows[0].Cell(schemas.ColumnValue)
		n, _ := strconv.Atoi(string(old.Value)) // absent is 0
		done, err := tr.views.CompareAndSet(ctx, counterKey, schemas.ColumnValue, old.Value, strconv.AppendInt(nil, int64(n+1), 10))
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case err != nil:
			tr.unknown.Add(1)
		case done:
			tr.swaps.Add(1)
		}
	}
	return nil
}

// await waits until cond holds.
func await(t *testing.T, what string, cond func() bool) {
	t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	limit := time.After(3 * time.Minute)
	for !cond() {
		select {
		case <-tick.C:
		case <-limit:
			t.Fatalf("still waiting for %s", what)
		}
	}
}

// moves waits until every writer was acknowledged so many times more, and swaps
// and scans went on.
func (tr *traffic) moves(t *testing.T, when string, puts int64) {
	t.Helper()
	var last [writers]int64
	for writer := range writers {
		last[writer] = tr.puts[writer].Load()
	}
	swaps, scans := tr.swaps.Load(), tr.scans.Load()
	await(t, "every writer to go on "+when, func() bool {
		for writer := range writers {
			if tr.puts[writer].Load() < last[writer]+puts {
				return false
			}
		}
		return tr.swaps.Load() > swaps && tr.scans.Load() > scans+1
	})
}

// written counts the puts that were acknowledged.
func (tr *traffic) written() (n int64) {
	for writer := range writers {
		n += tr.puts[writer].Load()
	}
	return n
}

// run keeps the traffic going while during runs, then checks the end.
func (tr *traffic) run(t *testing.T, during func()) {
	t.Helper()
	g, ctx := errgroup.WithContext(t.Context())
	for writer := range writers {
		g.Go(func() error { return tr.write(ctx, writer) })
	}
	for range 2 {
		g.Go(func() error { return tr.read(ctx) })
		g.Go(func() error { return tr.count(ctx) })
	}
	g.Go(func() error { return tr.scan(ctx) })
	var ended sync.WaitGroup
	ended.Go(func() {
		if err := g.Wait(); err != nil {
			t.Errorf("traffic: %v", err)
		}
	})
	defer func() {
		tr.stop.Store(true)
		ended.Wait()
		for writer := range writers {
			if err := tr.readOnce(t.Context(), writer); err != nil {
				t.Errorf("in the end: %v", err)
			}
		}
		tr.counted(t)
	}()
	during()
}

// counted compares the counter with the swaps.
func (tr *traffic) counted(t *testing.T) {
	t.Helper()
	c, _ := cellOf(t, tr.views, counterKey, schemas.ColumnValue)
	n, _ := strconv.ParseInt(string(c.Value), 10, 64)
	if swaps, unknown := tr.swaps.Load(), tr.unknown.Load(); n < swaps || n > swaps+unknown {
		t.Errorf("the counter is at %d after %d swaps that were acknowledged and %d that are not known", n, swaps, unknown)
	}
}

// TestKilledServer: kill -9 in mid-traffic and a start on the same data. No write
// that was acknowledged is lost, none that was overtaken comes back, none
// ends in an error, and the same client goes on.
func TestKilledServer(t *testing.T) {
	s := ownServer(t)
	v, err := hbase.Open(t.Context(), hbase.Config{Quorum: []string{s.Addr()}, Regions: 4, Patience: s.Patience()}, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { v.Close() })
	tr := &traffic{views: v}
	tr.run(t, func() {
		for kill := range 2 {
			tr.moves(t, fmt.Sprint("before kill ", kill+1), 10*rowsOf)
			before := tr.written()
			if err := s.Kill(); err != nil {
				t.Fatal(err)
			}
			killed := time.Now()
			if err := s.Start(t.Context()); err != nil {
				t.Fatal(err)
			}
			started := time.Now()
			tr.moves(t, fmt.Sprint("after kill ", kill+1), 1)
			t.Logf("kill %d after %d puts: the server serves after %s, every writer, swaps and scans go on %s later",
				kill+1, before, started.Sub(killed).Round(100*time.Millisecond), time.Since(started).Round(100*time.Millisecond))
		}
		tr.moves(t, "in the end", rowsOf)
	})
	t.Logf("%d puts acknowledged, %d rows compared, %d scans, %d swaps and %d not known",
		tr.written(), tr.reads.Load(), tr.scans.Load(), tr.swaps.Load(), tr.unknown.Load())
}

// TestFrozenServer: the machine hangs with all connections open. A caller's
// deadline holds all the same, and when it wakes the traffic goes on.
func TestFrozenServer(t *testing.T) {
	s := ownServer(t)
	v, err := hbase.Open(t.Context(), hbase.Config{Quorum: []string{s.Addr()}, Regions: 4, Deadline: time.Second}, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { v.Close() })
	tr := &traffic{views: v}
	tr.run(t, func() {
		tr.moves(t, "before the server freezes", rowsOf)
		if err := s.Freeze(); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
		defer cancel()
		large := batchCell("large", 1, string(make([]byte, 8<<20)))
		_, swap := v.CompareAndSet(ctx, schemas.KeyLease, schemas.ColumnValue, nil, []byte("mine"))
		_, get := v.Get(ctx, schemas.KeyPublished)
		for call, err := range map[string]error{
			"swap": swap, "get": get, "put": v.Put(ctx, large),
			"scan": v.Scan(ctx, schemas.TablePanes, "", "", func(schemas.Row) error { return nil }),
		} {
			if !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("%s with a deadline, the server frozen: got %v, want %v", call, err, context.DeadlineExceeded)
			}
		}
		if err := s.Thaw(); err != nil {
			t.Fatal(err)
		}
		thawed := time.Now()
		tr.moves(t, "after the server woke", 1)
		t.Logf("traffic goes on %s after the server woke", time.Since(thawed).Round(100*time.Millisecond))
	})
}

// TestAbsentServer: with nobody there, patience ends, and the error says what is wrong.
func TestAbsentServer(t *testing.T) {
	s := ownServer(t)
	v, err := hbase.Open(t.Context(), hbase.Config{
		Quorum: []string{s.Addr()}, Regions: 1, Deadline: time.Second, Patience: 2 * time.Second,
	}, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { v.Close() })
	if err := s.Kill(); err != nil {
		t.Fatal(err)
	}
	for call, do := range map[string]func() error{
		"put": func() error { return v.Put(t.Context(), batchCell("x", 1, "x")) },
		"get": func() error { _, err := v.Get(t.Context(), schemas.KeyPublished); return err },
	} {
		err := do()
		for _, word := range []string{"given up after", "no ZooKeeper of the quorum " + s.Addr() + " can be reached"} {
			if err == nil || !strings.Contains(err.Error(), word) {
				t.Errorf("%s: got error %v, want it to say %q", call, err, word)
			}
		}
	}
}
