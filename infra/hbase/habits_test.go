package hbase_test

import (
	"bytes"
	"errors"
	"fmt"
	"math"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/tsuna/gohbase"
	"github.com/tsuna/gohbase/hrpc"

	"fernweh/infra/hbase"
	"fernweh/schemas"
)

// batchCell is a cell of generation 1.
func batchCell(row string, stamp int64, value string) schemas.Cell {
	return schemas.Cell{Key: schemas.Key{Table: schemas.TableVisitors, Row: row}, Column: schemas.ColumnBatch(1),
		Stamp: stamp, Value: []byte(value)}
}

// cellOf reads one cell.
func cellOf(t *testing.T, v *hbase.Views, key schemas.Key, column string) (schemas.Cell, bool) {
	t.Helper()
	rows, err := v.Get(t.Context(), key)
	if err != nil {
		t.Fatal(err)
	}
	return rows[0].Cell(column)
}

// flushTable writes a table's memory to its files: a table that is disabled and
// enabled has none left.
func flushTable(t *testing.T, cfg hbase.Config, table schemas.Table) {
	t.Helper()
	admin, name := gohbase.NewAdminClient(strings.Join(cfg.Quorum, ",")), []byte(cfg.Prefix+"_"+string(table))
	if err := admin.DisableTable(hrpc.NewDisableTable(t.Context(), name)); err != nil {
		t.Fatal(err)
	}
	if err := admin.EnableTable(hrpc.NewEnableTable(t.Context(), name)); err != nil {
		t.Fatal(err)
	}
}

// TestStampsOutliveTheMemory: versions and deletes meet in memory, in files, and
// between them, and the same cells are seen. The client finds its regions
// again by itself.
func TestStampsOutliveTheMemory(t *testing.T) {
	v, cfg := views(t), config(t)
	put := func(cells ...schemas.Cell) {
		t.Helper()
		if err := v.Put(t.Context(), cells...); err != nil {
			t.Fatal(err)
		}
	}
	is := func(when string, row, want string) {
		t.Helper()
		got := "nothing"
		if c, ok := cellOf(t, v, batchCell(row, 0, "").Key, schemas.ColumnBatch(1)); ok {
			got = fmt.Sprintf("%s at %d", c.Value, c.Stamp)
		}
		if got != want {
			t.Errorf("%s: row %s holds %s, want %s", when, row, got, want)
		}
	}
	put(batchCell("late", 7, "owner"), batchCell("gone", 3, "old"), batchCell("equal", 0, "first"), batchCell("kept", 9, "new"))
	flushTable(t, cfg, schemas.TableVisitors)
	put(batchCell("late", 5, "frozen owner"), batchCell("equal", 0, "second"), batchCell("gone", 7, "new"))
	is("late cell in memory, the right one in a file", "late", "owner at 7")
	is("equal stamps in memory and in a file", "equal", "second at 0")
	if err := v.Delete(t.Context(), batchCell("gone", 7, ""), batchCell("kept", 8, "")); err != nil {
		t.Fatal(err)
	}
	is("delete in memory, one version beside it and one in a file", "gone", "nothing")
	is("delete below the stamp", "kept", "new at 9")
	flushTable(t, cfg, schemas.TableVisitors)
	is("late cell in a younger file", "late", "owner at 7")
	is("equal stamps in two files", "equal", "second at 0")
	is("delete in a younger file", "gone", "nothing")
	is("delete below the stamp in a younger file", "kept", "new at 9")
	put(batchCell("gone", 8, "written again"))
	is("written above the delete", "gone", "written again at 8")
}

// TestSwapIsNotFooledByAValueThatCameBack: a lease is taken and released, and who
// read it before would win a swap that nobody sees.
func TestSwapIsNotFooledByAValueThatCameBack(t *testing.T) {
	v, key := views(t), schemas.Key{Table: schemas.TableMeta, Row: "lease " + t.Name()}
	swap := func(old, value []byte) {
		t.Helper()
		if done, err := v.CompareAndSet(t.Context(), key, schemas.ColumnValue, old, value); err != nil || !done {
			t.Fatalf("swap from %q to %q: got %t, %v", old, value, done, err)
		}
	}
	swap(nil, []byte("free"))
	frozen, err := v.BeginSwap(t.Context(), key, schemas.ColumnValue, []byte("frozen"))
	if err != nil {
		t.Fatal(err)
	}
	swap([]byte("free"), []byte("other"))
	swap([]byte("other"), []byte("free"))
	if done, err := frozen.Send(t.Context()); done || err != nil {
		t.Errorf("swap of one that read the lease before it was taken and released: got %t, %v, want a refusal", done, err)
	}
	c, _ := cellOf(t, v, key, schemas.ColumnValue)
	if string(c.Value) != "free" || c.Stamp != 3 {
		t.Errorf("the lease is %q stamped %d, want free stamped 3", c.Value, c.Stamp)
	}
}

// TestLostSwapIsFoundAgain: the answer to a swap was lost, and asking again is
// refused because it had succeeded.
func TestLostSwapIsFoundAgain(t *testing.T) {
	v, key := views(t), schemas.Key{Table: schemas.TableMeta, Row: "run " + t.Name()}
	begin := func() *hbase.LostSwap {
		t.Helper()
		s, err := v.BeginSwap(t.Context(), key, schemas.ColumnValue, []byte("mine"))
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	mine, late := begin(), begin()
	for i, want := range []bool{true, false} {
		if done, err := mine.Send(t.Context()); done != want || err != nil {
			t.Fatalf("sending %d: got %t, %v, want %t", i+1, done, err, want)
		}
	}
	if done, err := mine.Whose(t.Context()); !done || err != nil {
		t.Errorf("whose swap is it: got %t, %v, want mine", done, err)
	}
	if done, err := v.CompareAndSet(t.Context(), key, schemas.ColumnValue, []byte("mine"), []byte("theirs")); !done || err != nil {
		t.Fatalf("a swap after it: got %t, %v", done, err)
	}
	if done, err := late.Whose(t.Context()); done || !errors.Is(err, hbase.ErrOverwritten) {
		t.Errorf("whose swap was the one before: got %t, %v, want %v", done, err, hbase.ErrOverwritten)
	}
	mine = begin()
	if done, err := v.CompareAndSet(t.Context(), key, schemas.ColumnValue, []byte("theirs"), []byte("faster")); !done || err != nil {
		t.Fatalf("a faster swap: got %t, %v", done, err)
	}
	if done, err := mine.Whose(t.Context()); done || err != nil {
		t.Errorf("whose swap is it: got %t, %v, want the faster one's", done, err)
	}
}

// TestPutCellIsSwapped: what a restore wrote with Put can be swapped from then on.
func TestPutCellIsSwapped(t *testing.T) {
	v := views(t)
	c := schemas.Cell{Key: schemas.Key{Table: schemas.TableMeta, Row: "restored"}, Column: schemas.ColumnValue, Stamp: 40, Value: []byte("7")}
	if err := v.Put(t.Context(), c); err != nil {
		t.Fatal(err)
	}
	for i, step := range []struct {
		old, value string
		want       bool
	}{{"6", "8", false}, {"7", "8", true}, {"7", "9", false}, {"8", "9", true}} {
		done, err := v.CompareAndSet(t.Context(), c.Key, c.Column, []byte(step.old), []byte(step.value))
		if done != step.want || err != nil {
			t.Errorf("step %d from %s to %s: got %t, %v, want %t", i, step.old, step.value, done, err, step.want)
		}
	}
	rows, err := v.Get(t.Context(), c.Key)
	if err != nil || len(rows[0].Cells) != 1 || rows[0].Cells[0].Stamp != 42 {
		t.Errorf("got %v, %v, want the one cell stamped 42", rows, err)
	}
}

// TestRefused: what HBase can't hold is refused before it is sent, for a server
// refuses with it what others sent in the same message.
func TestRefused(t *testing.T) {
	v := views(t)
	tests := []struct {
		name   string
		change func(*schemas.Cell)
		word   string
	}{
		{"no row", func(c *schemas.Cell) { c.Row = "" }, "0 bytes"},
		{"a row too long", func(c *schemas.Cell) { c.Row = strings.Repeat("x", 1<<15) }, "32768 bytes"},
		{"no such table", func(c *schemas.Cell) { c.Table = "hotels" }, `no table "hotels"`},
		{"no such family", func(c *schemas.Cell) { c.Column = "x:1" }, `"x:1" is in no family of table visitors`},
		{"no family", func(c *schemas.Cell) { c.Column = "1" }, `"1" is in no family`},
		{"a negative stamp", func(c *schemas.Cell) { c.Stamp = -1 }, "stamp -1"},
		{"the stamp that means now", func(c *schemas.Cell) { c.Stamp = math.MaxInt64 }, "stamp 9223372036854775807"},
		{"a value too large", func(c *schemas.Cell) { c.Value = make([]byte, 10<<20) }, "10485760 bytes"},
		{"a column of the store", func(c *schemas.Cell) { c.Column = "b:\x00swap:1" }, "the store's own"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			c := batchCell("refused", 1, "x")
			test.change(&c)
			good := batchCell("beside "+test.name, 1, "x")
			err := v.Put(t.Context(), good, c)
			if err == nil || !strings.Contains(err.Error(), test.word) {
				t.Errorf("put: got error %v, want it to say %q", err, test.word)
			}
		})
	}
	if _, err := v.Get(t.Context(), schemas.Key{Table: "hotels", Row: "x"}); err == nil {
		t.Error("get of an unknown table: got no error")
	}
	if err := v.Scan(t.Context(), "hotels", "", "", func(schemas.Row) error { return nil }); err == nil {
		t.Error("scan of an unknown table: got no error")
	}
}

// TestLargeRowsTogether: more than the 100 MB that a server puts into one answer.
func TestLargeRowsTogether(t *testing.T) {
	v := views(t)
	const rows = 60
	value := bytes.Repeat([]byte("0123456789abcdef"), 2<<20/16)
	var cells []schemas.Cell
	var keys []schemas.Key
	for i := range rows {
		c := batchCell(fmt.Sprint("large ", i), int64(i), string(value))
		cells, keys = append(cells, c), append(keys, c.Key)
	}
	if err := v.Put(t.Context(), cells...); err != nil {
		t.Fatal(err)
	}
	got, err := v.Get(t.Context(), keys...)
	if err != nil {
		t.Fatal(err)
	}
	for i, row := range got {
		if c, _ := row.Cell(schemas.ColumnBatch(1)); c.Stamp != int64(i) || !bytes.Equal(c.Value, value) {
			t.Fatalf("row %d: got %d bytes stamped %d, want %d stamped %d", i, len(c.Value), c.Stamp, len(value), i)
		}
	}
	largest := batchCell("largest", 1, strings.Repeat("x", 10<<20-5<<10))
	if err := v.Put(t.Context(), largest); err != nil {
		t.Fatal(err)
	}
	if c, _ := cellOf(t, v, largest.Key, largest.Column); !bytes.Equal(c.Value, largest.Value) {
		t.Errorf("got %d bytes of the largest cell, want %d", len(c.Value), len(largest.Value))
	}
}

// TestTableGone: somebody drops the tables under a running program. It is said
// at once, and not after all patience.
func TestTableGone(t *testing.T) {
	cfg := config(t)
	cfg.Prefix = run() + "_gone"
	v, err := hbase.Open(t.Context(), cfg, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { v.Close() })
	if err := hbase.Drop(t.Context(), cfg); err != nil {
		t.Fatal(err)
	}
	_, err = v.Get(t.Context(), schemas.KeyPublished)
	if err == nil || !strings.Contains(err.Error(), "the table is not there") {
		t.Errorf("get of a dropped table: got %v, want it to say that the table is not there", err)
	}
}

// TestClosedUnderWay: the views are closed while they are used. Every call ends.
func TestClosedUnderWay(t *testing.T) {
	v, err := hbase.Open(t.Context(), config(t), nil)
	if err != nil {
		t.Fatal(err)
	}
	calls := []func(i int64) error{
		func(i int64) error { return v.Put(t.Context(), batchCell("closed", i, "x")) },
		func(int64) error { _, err := v.Get(t.Context(), schemas.KeyPublished, schemas.KeyLease); return err },
		func(int64) error {
			return v.Scan(t.Context(), schemas.TablePersons, "", "", func(schemas.Row) error { return nil })
		},
	}
	begun, ended := make(chan struct{}, 100), make(chan error)
	for _, call := range calls {
		go func() {
			for i := int64(0); ; i++ {
				if err := call(i); err != nil {
					ended <- err
					return
				}
				select {
				case begun <- struct{}{}:
				default:
				}
			}
		}()
	}
	for range 30 {
		<-begun
	}
	if err := v.Close(); err != nil {
		t.Errorf("close: %v", err)
	}
	for range calls {
		if err := <-ended; !errors.Is(err, hbase.ErrClosed) {
			t.Errorf("got error %v, want %v", err, hbase.ErrClosed)
		}
	}
}

// TestFsync: writes that wait for the disks of the log.
func TestFsync(t *testing.T) {
	cfg := config(t)
	cfg.Durability = hbase.DurabilityFsync
	v, err := hbase.Open(t.Context(), cfg, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { v.Close() })
	want := batchCell("on disk", 1, "x")
	if err := v.Put(t.Context(), want); err != nil {
		t.Fatal(err)
	}
	if c, ok := cellOf(t, v, want.Key, want.Column); !ok || string(c.Value) != "x" {
		t.Errorf("got %v, want %v", c, want)
	}
	key := schemas.Key{Table: schemas.TableMeta, Row: "on disk"}
	if done, err := v.CompareAndSet(t.Context(), key, schemas.ColumnValue, nil, []byte("x")); !done || err != nil {
		t.Errorf("swap: got %t, %v", done, err)
	}
	if err := v.Delete(t.Context(), want); err != nil {
		t.Fatal(err)
	}
	if c, ok := cellOf(t, v, want.Key, want.Column); ok {
		t.Errorf("got %v after the delete, want nothing", c)
	}
}

// TestMetrics: every operation is counted and timed, those that fail too, and
// views that are opened again go on counting.
func TestMetrics(t *testing.T) {
	cfg, registry := config(t), prometheus.NewRegistry()
	for range 2 {
		v, err := hbase.Open(t.Context(), cfg, registry)
		if err != nil {
			t.Fatal(err)
		}
		if err := v.Put(t.Context(), batchCell("counted", 1, "x")); err != nil {
			t.Fatal(err)
		}
		if err := v.Put(t.Context(), batchCell("", 1, "x")); err == nil {
			t.Fatal("put of a row without a name: got no error")
		}
		if err := v.Close(); err != nil {
			t.Fatal(err)
		}
	}
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	got := make(map[string]float64)
	for _, family := range families {
		for _, m := range family.GetMetric() {
			name := family.GetName()
			for _, label := range m.GetLabel() {
				name += " " + label.GetValue()
			}
			got[name] = m.GetCounter().GetValue() + m.GetGauge().GetValue() + float64(m.GetHistogram().GetSampleCount())
		}
	}
	for name, want := range map[string]float64{
		"fernweh_hbase_seconds put": 4, "fernweh_hbase_errors_total put": 2, "fernweh_hbase_in_flight": 0,
	} {
		if got[name] != want {
			t.Errorf("%s is %v, want %v", name, got[name], want)
		}
	}
}
