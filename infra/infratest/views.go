package infratest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"fernweh/schemas"
)

// ViewStore is a store of tables, rows and stamped cells. A write is durable
// when it returns; one that ended in an error may be repeated.
type ViewStore interface {
	// Get reads one row per key, in their order, each atomically.
	Get(ctx context.Context, keys ...schemas.Key) ([]schemas.Row, error)
	// Put writes cells. The highest stamp stays, among equals the later. Cells
	// of one row that stand side by side are seen together or not at all.
	Put(ctx context.Context, cells ...schemas.Cell) error
	// Scan calls fn with the rows [from, to) of a table, ascending.
	Scan(ctx context.Context, table schemas.Table, from, to string, fn func(schemas.Row) error) error
	// CompareAndSet writes a cell that holds old (nil: that is not there).
	CompareAndSet(ctx context.Context, key schemas.Key, column string, old, value []byte) (bool, error)
	// Delete removes cells whose stamp is not above the one given.
	Delete(ctx context.Context, cells ...schemas.Cell) error
	// Close ends the store; calls after it fail.
	Close() error
}

// Views runs the suite on stores that open gives. Each test opens its own; all
// of them may lie in the same tables, for each test writes under a prefix of
// its own.
func Views(t *testing.T, open func(t *testing.T) ViewStore) {
	tests := []struct {
		name string
		run  func(s viewSuite, t *testing.T)
	}{
		{"what was never written is empty", viewSuite.nothing},
		{"the higher stamp stays whoever comes late", viewSuite.lateWriter},
		{"a replay changes nothing", viewSuite.replay},
		{"columns of a row ascend", viewSuite.columns},
		{"any bytes name a column", viewSuite.anyColumn},
		{"a batch is as if written one by one", viewSuite.batch},
		{"many rows come back in the order of their keys", viewSuite.manyRows},
		{"a row is read whole while it is written", viewSuite.atomicRows},
		{"writers of one cell leave the highest stamp", viewSuite.concurrentWriters},
		{"one of many that swap a cell wins", viewSuite.swapRace},
		{"a counter that is swapped loses no step", viewSuite.swapCounter},
		{"a swap asks for what is there", viewSuite.swap},
		{"a delete goes up to its stamp", viewSuite.deletes},
		{"a delete leaves no older version behind", viewSuite.versions},
		{"a generation is switched, rolled back and pruned", viewSuite.generations},
		{"a scan keeps to its bounds", viewSuite.scanBounds},
		{"a scan goes over many rows", viewSuite.scanPages},
		{"a scan goes over all salts", viewSuite.scanSalts},
		{"a scan sees whole rows while they are written", viewSuite.scanWhole},
		{"the error of a row ends the scan", viewSuite.scanError},
		{"a context that ends ends the scan", viewSuite.scanCanceled},
		{"a row larger than a page is scanned whole", viewSuite.scanLarge},
		{"a row of a megabyte comes back", viewSuite.large},
		{"any bytes name a row", viewSuite.anyBytes},
		{"tables don't mix", viewSuite.tables},
		{"a call whose time is over fails", viewSuite.deadline},
		{"a closed store says so", viewSuite.closed},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			test.run(newViewSuite(t, open(t)), t)
		})
	}
	t.Run("any history ends as in a map", func(t *testing.T) { viewHistories(t, open(t)) })
}

// A viewSuite is one test's store and the prefix of its rows.
type viewSuite struct {
	ViewStore
	prefix string
}

func newViewSuite(t *testing.T, store ViewStore) viewSuite {
	t.Cleanup(func() {
		if err := store.Close(); err != nil {
			t.Errorf("close the store: %v", err)
		}
	})
	return viewSuite{store, fmt.Sprintf("%016x/", rand.Uint64())}
}

// row names a row of this test.
func (s viewSuite) row(name string) schemas.Key {
	return schemas.Key{Table: schemas.TableVisitors, Row: s.prefix + name}
}

// swapped names a row of this test whose value is compared and set.
func (s viewSuite) swapped(name string) schemas.Key {
	return schemas.Key{Table: schemas.TableMeta, Row: s.prefix + name}
}

// cell is a cell of this test in the batch column of generation 1.
func (s viewSuite) cell(row string, stamp int64, value string) schemas.Cell {
	return schemas.Cell{Key: s.row(row), Column: schemas.ColumnBatch(1), Stamp: stamp, Value: []byte(value)}
}

// put writes and expects success.
func (s viewSuite) put(t *testing.T, cells ...schemas.Cell) {
	t.Helper()
	if err := s.Put(t.Context(), cells...); err != nil {
		t.Fatalf("put: %v", err)
	}
}

// one reads one row.
func (s viewSuite) one(t *testing.T, key schemas.Key) schemas.Row {
	t.Helper()
	rows, err := s.Get(t.Context(), key)
	if err != nil || len(rows) != 1 || rows[0].Key != key {
		t.Fatalf("get %q: got %v, %v, want that row", key.Row, rows, err)
	}
	return rows[0]
}

// is expects what cell's place holds: its stamp and value.
func (s viewSuite) is(t *testing.T, want schemas.Cell) {
	t.Helper()
	got, ok := s.one(t, want.Key).Cell(want.Column)
	if !ok || got.Stamp != want.Stamp || !bytes.Equal(got.Value, want.Value) {
		t.Errorf("row %q column %s: got %q stamped %d (there: %t), want %q stamped %d",
			want.Row, want.Column, clip(got.Value), got.Stamp, ok, clip(want.Value), want.Stamp)
	}
}

// scan collects the rows [from, to) of this test.
func (s viewSuite) scan(t *testing.T, from, to string) []schemas.Row {
	t.Helper()
	var rows []schemas.Row
	err := s.Scan(t.Context(), schemas.TableVisitors, s.prefix+from, s.prefix+to, func(r schemas.Row) error {
		rows = append(rows, r)
		return nil
	})
	if err != nil {
		t.Fatalf("scan: %v", err)
	}
	return rows
}

// clip shortens a value for a failure line.
func clip(b []byte) []byte { return b[:min(len(b), 40)] }

func (s viewSuite) nothing(t *testing.T) {
	rows, err := s.Get(t.Context(), s.row("a"), s.row("b"))
	if err != nil || len(rows) != 2 || rows[0].Key != s.row("a") || rows[1].Key != s.row("b") {
		t.Fatalf("get two rows: got %v, %v, want both keys in order", rows, err)
	}
	if n := len(rows[0].Cells) + len(rows[1].Cells); n != 0 {
		t.Errorf("got %d cells of rows that were never written, want none", n)
	}
	if c, ok := s.one(t, s.row(strings.Repeat("x", 100_000))).Cell(schemas.ColumnBatch(1)); ok {
		t.Errorf("got %v of a row whose name no server takes, want nothing", c)
	}
	if rows, err := s.Get(t.Context()); err != nil || len(rows) != 0 {
		t.Errorf("get of no keys: got %v, %v, want nothing", rows, err)
	}
	if rows := s.scan(t, "", "~"); len(rows) != 0 {
		t.Errorf("scan: got %d rows, want none", len(rows))
	}
	s.put(t)
	if err := s.Delete(t.Context(), s.cell("a", 9, "")); err != nil {
		t.Errorf("delete what is not there: %v", err)
	}
	s.put(t, s.cell("empty value", 1, ""))
	s.is(t, s.cell("empty value", 1, ""))
}

func (s viewSuite) lateWriter(t *testing.T) {
	s.put(t, s.cell("mueller", 7, "owner"))
	s.put(t, s.cell("mueller", 5, "frozen owner that woke up"))
	s.is(t, s.cell("mueller", 7, "owner"))
	s.put(t, s.cell("mueller", 7, "same offset, again"))
	s.is(t, s.cell("mueller", 7, "same offset, again"))
	s.put(t, s.cell("mueller", 8, "next"), s.cell("mueller", 6, "older in the same batch"))
	s.is(t, s.cell("mueller", 8, "next"))
	s.put(t, s.cell("first offset", 0, "zero"))
	s.is(t, s.cell("first offset", 0, "zero"))
	s.put(t, s.cell("first offset", 0, "zero, again"))
	s.is(t, s.cell("first offset", 0, "zero, again"))
	s.put(t, s.cell("last offset", math.MaxInt64-1, "far"), s.cell("last offset", 1<<53+1, "beyond a float"))
	s.is(t, s.cell("last offset", math.MaxInt64-1, "far"))
}

func (s viewSuite) replay(t *testing.T) {
	var log []schemas.Cell
	for i := range 20 {
		log = append(log, s.cell(fmt.Sprint("visitor ", i%3), int64(i), fmt.Sprint("state ", i)))
	}
	for _, from := range []int{0, 0, 10, 5} {
		s.put(t, log[from:]...)
	}
	for i := range 3 {
		last := log[17+i]
		s.is(t, last)
	}
}

func (s viewSuite) columns(t *testing.T) {
	names := []string{"s:2", "b:1", "d:now", "s:10", "s:1.3", "b:12"}
	for i, name := range names {
		c := s.cell("mueller", int64(i), name)
		c.Column = name
		s.put(t, c)
	}
	var got []string
	for _, c := range s.one(t, s.row("mueller")).Cells {
		got = append(got, c.Column)
		if string(c.Value) != c.Column || c.Key != s.row("mueller") {
			t.Errorf("column %s: got value %q of row %q", c.Column, c.Value, c.Row)
		}
	}
	slices.Sort(names)
	if !slices.Equal(got, names) {
		t.Errorf("columns: got %q, want %q", got, names)
	}
}

func (s viewSuite) anyColumn(t *testing.T) {
	key := schemas.Key{Table: schemas.TablePersons, Row: s.prefix + "weber"}
	devices := []string{"Müller 旅行 🏝", "", "\x00", "\xff\xff", "a:b", "a\x00b", "a|b.c", strings.Repeat("x", 400)}
	var want []string
	for i, device := range devices {
		column := schemas.ColumnLink(device)
		s.put(t, schemas.Cell{Key: key, Column: column, Stamp: int64(i), Value: []byte(device)})
		want = append(want, column)
	}
	var got []string
	for _, c := range s.one(t, key).Cells {
		got = append(got, c.Column)
		if c.Column != schemas.ColumnLink(string(c.Value)) {
			t.Errorf("column %q: got the value of %q", c.Column, c.Value)
		}
	}
	slices.Sort(want)
	if !slices.Equal(got, want) {
		t.Errorf("columns: got %q, want %q", got, want)
	}
}

// batch: a flush puts a visitor's cell beside the decision on it, which has
// another stamp, and a place may come up twice.
func (s viewSuite) batch(t *testing.T) {
	decision := s.cell("mueller", 3, "said at 3")
	decision.Column = schemas.ColumnDecision
	s.put(t, s.cell("mueller", 9, "nine"), decision, s.cell("weber", 4, "four"),
		s.cell("mueller", 8, "eight"), s.cell("weber", 4, "four, later"), s.cell("mueller", 9, "nine, later"))
	s.is(t, s.cell("mueller", 9, "nine, later"))
	s.is(t, s.cell("weber", 4, "four, later"))
	s.is(t, decision)
	s.put(t, s.cell("mueller", 5, "late"), s.cell("weber", 6, "six"))
	s.is(t, s.cell("mueller", 9, "nine, later"))
	s.is(t, s.cell("weber", 6, "six"))
	if err := s.Delete(t.Context(), s.cell("mueller", 9, ""), decision, s.cell("weber", 5, "")); err != nil {
		t.Fatalf("delete: %v", err)
	}
	s.is(t, s.cell("weber", 6, "six"))
	if cells := s.one(t, s.row("mueller")).Cells; len(cells) != 0 {
		t.Errorf("after the delete of both cells: got %v, want none", cells)
	}
}

func (s viewSuite) manyRows(t *testing.T) {
	const rows = 1500
	var cells []schemas.Cell
	var keys []schemas.Key
	for i := range rows {
		c := s.cell(fmt.Sprint("visitor ", i), int64(i), fmt.Sprint("state ", i))
		cells, keys = append(cells, c), append(keys, c.Key)
	}
	s.put(t, cells...)
	for i := range rows { // asked for in another order, some not there
		j := (i * 7) % rows
		keys[i] = cells[j].Key
		if i%5 == 0 {
			keys[i].Row += " of another life"
		}
	}
	got, err := s.Get(t.Context(), keys...)
	if err != nil || len(got) != rows {
		t.Fatalf("get %d rows: got %d, %v", rows, len(got), err)
	}
	for i, row := range got {
		want := fmt.Sprint("state ", (i*7)%rows)
		if row.Key != keys[i] || (len(row.Cells) == 0) != (i%5 == 0) {
			t.Fatalf("row %d: got %q with %d cells, want %q", i, row.Row, len(row.Cells), keys[i].Row)
		}
		if i%5 != 0 && string(row.Cells[0].Value) != want {
			t.Fatalf("row %d: got %q, want %q", i, row.Cells[0].Value, want)
		}
	}
}

func (s viewSuite) atomicRows(t *testing.T) {
	const writes, columns = 200, 5
	g, ctx := errgroup.WithContext(t.Context())
	var done atomic.Bool
	g.Go(func() error {
		defer done.Store(true)
		for stamp := range int64(writes) {
			var cells []schemas.Cell
			for column := range int64(columns) {
				c := s.cell("pair", stamp, "")
				c.Column = schemas.ColumnSpeed(column)
				cells = append(cells, c, s.cell(fmt.Sprint("other ", column), stamp, ""))
			}
			slices.SortStableFunc(cells, func(a, b schemas.Cell) int { return strings.Compare(a.Row, b.Row) })
			if err := s.Put(ctx, cells...); err != nil {
				return err
			}
		}
		return nil
	})
	for range 2 {
		g.Go(func() error {
			for !done.Load() {
				rows, err := s.Get(ctx, s.row("pair"))
				if err != nil {
					return err
				}
				if cells := rows[0].Cells; len(cells) != 0 &&
					(len(cells) != columns || cells[0].Stamp != cells[columns-1].Stamp) {
					return fmt.Errorf("got %d of %d columns, stamps %v: the row was torn", len(cells), columns, cells)
				}
			}
			return nil
		})
	}
	if err := g.Wait(); err != nil {
		t.Error(err)
	}
}

func (s viewSuite) concurrentWriters(t *testing.T) {
	const writers, each = 8, 25
	g, ctx := errgroup.WithContext(t.Context())
	for w := range writers {
		g.Go(func() error {
			for _, i := range rand.Perm(each) {
				stamp := int64(i*writers + w)
				if err := s.Put(ctx, s.cell("contested", stamp, strconv.FormatInt(stamp, 10))); err != nil {
					return err
				}
			}
			return nil
		})
	}
	if err := g.Wait(); err != nil {
		t.Fatal(err)
	}
	s.is(t, s.cell("contested", writers*each-1, strconv.Itoa(writers*each-1)))
}

func (s viewSuite) swapRace(t *testing.T) {
	const runs = 8
	for round := range 5 {
		var winners atomic.Int64
		key := s.swapped(fmt.Sprint("lease ", round))
		g, ctx := errgroup.WithContext(t.Context())
		for r := range runs {
			g.Go(func() error {
				won, err := s.CompareAndSet(ctx, key, schemas.ColumnValue, nil, fmt.Append(nil, "run ", r))
				if won {
					winners.Add(1)
				}
				return err
			})
		}
		if err := g.Wait(); err != nil {
			t.Fatal(err)
		}
		if got := winners.Load(); got != 1 {
			t.Errorf("of %d that took the lease at once %d got it, want 1", runs, got)
		}
	}
}

func (s viewSuite) swapCounter(t *testing.T) {
	const writers, each = 4, 10
	key := s.swapped("next-run")
	g, ctx := errgroup.WithContext(t.Context())
	for range writers {
		g.Go(func() error {
			for taken := 0; taken < each; {
				rows, err := s.Get(ctx, key)
				if err != nil {
					return err
				}
				old, _ := rows[0].Cell(schemas.ColumnValue)
				n, _ := strconv.Atoi(string(old.Value)) // absent is 0
				won, err := s.CompareAndSet(ctx, key, schemas.ColumnValue, old.Value, strconv.AppendInt(nil, int64(n+1), 10))
				if err != nil {
					return err
				}
				if won {
					taken++
				}
			}
			return nil
		})
	}
	if err := g.Wait(); err != nil {
		t.Fatal(err)
	}
	got, _ := s.one(t, key).Cell(schemas.ColumnValue)
	if want := strconv.Itoa(writers * each); string(got.Value) != want {
		t.Errorf("the counter of run numbers is %q, want %q", got.Value, want)
	}
}

func (s viewSuite) swap(t *testing.T) {
	key := s.swapped("published")
	steps := []struct {
		old, value []byte
		want       bool
	}{
		{[]byte("0"), []byte("1"), false}, // there is none
		{nil, []byte("1"), true},
		{nil, []byte("2"), false}, // there is one
		{[]byte("2"), []byte("3"), false},
		{[]byte("1"), []byte("2"), true},
		{[]byte("1"), []byte("3"), false},
		{[]byte("2"), []byte("3"), true},
	}
	for i, step := range steps {
		got, err := s.CompareAndSet(t.Context(), key, schemas.ColumnValue, step.old, step.value)
		if err != nil || got != step.want {
			t.Errorf("step %d, from %q to %q: got %t, %v, want %t", i, step.old, step.value, got, err, step.want)
		}
	}
	if got, _ := s.one(t, key).Cell(schemas.ColumnValue); string(got.Value) != "3" {
		t.Errorf("after all steps: got %q, want %q", got.Value, "3")
	}
}

func (s viewSuite) deletes(t *testing.T) {
	other := s.cell("mueller", 3, "another column")
	other.Column = schemas.ColumnSpeed(4)
	s.put(t, s.cell("mueller", 5, "old epoch"), other)
	del := func(stamp int64) {
		t.Helper()
		if err := s.Delete(t.Context(), s.cell("mueller", stamp, "")); err != nil {
			t.Fatalf("delete: %v", err)
		}
	}
	del(4)
	s.is(t, s.cell("mueller", 5, "old epoch"))
	del(5)
	if c, ok := s.one(t, s.row("mueller")).Cell(schemas.ColumnBatch(1)); ok {
		t.Errorf("after the delete: got %q stamped %d, want nothing", c.Value, c.Stamp)
	}
	s.is(t, other)
	s.put(t, s.cell("mueller", 6, "written again"))
	s.is(t, s.cell("mueller", 6, "written again"))
	s.put(t, s.cell("weber", 5, "only cell"))
	if err := s.Delete(t.Context(), s.cell("weber", 9, "")); err != nil {
		t.Fatalf("delete: %v", err)
	}
	if rows := s.scan(t, "weber", "weber~"); len(rows) != 0 {
		t.Errorf("scan: got %v of a row whose cells are deleted, want nothing", rows)
	}
}

func (s viewSuite) versions(t *testing.T) {
	for _, stamp := range []int64{3, 7, 5} {
		s.put(t, s.cell("mueller", stamp, fmt.Sprint("state at ", stamp)))
	}
	for _, stamp := range []int64{6, 7} {
		if err := s.Delete(t.Context(), s.cell("mueller", stamp, "")); err != nil {
			t.Fatalf("delete: %v", err)
		}
		if stamp == 6 {
			s.is(t, s.cell("mueller", 7, "state at 7"))
		}
	}
	if cells := s.one(t, s.row("mueller")).Cells; len(cells) != 0 {
		t.Errorf("after the delete of the newest: got %v, want nothing", cells)
	}
	if rows := s.scan(t, "mueller", "mueller~"); len(rows) != 0 {
		t.Errorf("scan after the delete of the newest: got %v, want nothing", rows)
	}
	s.put(t, s.cell("mueller", 8, "state at 8"))
	s.is(t, s.cell("mueller", 8, "state at 8"))
}

// generations: batch writes one beside the other, the switch is one swap, a
// reader merges what belongs together, and what nobody reads any more goes.
func (s viewSuite) generations(t *testing.T) {
	published := s.swapped("published")
	batch := func(generation int64) schemas.Cell {
		return schemas.Cell{Key: s.row("mueller"), Column: schemas.ColumnBatch(generation), Stamp: generation,
			Value: fmt.Appendf(nil, "b%d", generation)}
	}
	speed := func(epoch, offset int64) schemas.Cell {
		return schemas.Cell{Key: s.row("mueller"), Column: schemas.ColumnSpeed(epoch), Stamp: offset,
			Value: fmt.Appendf(nil, "s%d", epoch)}
	}
	switchTo := func(old, next []byte) {
		t.Helper()
		if done, err := s.CompareAndSet(t.Context(), published, schemas.ColumnValue, old, next); err != nil || !done {
			t.Fatalf("switch from %q to %q: got %t, %v", old, next, done, err)
		}
	}
	reads := func(when, want string) {
		t.Helper()
		at, _ := s.one(t, published).Cell(schemas.ColumnValue)
		generation, err := strconv.ParseInt(string(at.Value), 10, 64)
		if err != nil {
			t.Fatalf("%s: published is %q", when, at.Value)
		}
		var got []string
		for _, c := range s.one(t, s.row("mueller")).Since(schemas.Generation{Run: generation}, math.MaxInt64) {
			got = append(got, string(c.Value))
		}
		if strings.Join(got, " ") != want {
			t.Errorf("%s: a reader merges %q, want %q", when, got, want)
		}
	}
	s.put(t, batch(4), speed(4, 100))
	switchTo(nil, []byte("4"))
	reads("at the start", "b4 s4")
	s.put(t, speed(7, 200))
	reads("after the cut of run 7, before it is published", "b4 s4 s7")
	s.put(t, batch(7))
	reads("with generation 7 written", "b4 s4 s7")
	switchTo([]byte("4"), []byte("7"))
	reads("with generation 7 published", "b7 s7")
	switchTo([]byte("7"), []byte("4"))
	reads("rolled back", "b4 s4 s7")
	switchTo([]byte("4"), []byte("7"))
	if err := s.Delete(t.Context(), batch(4), speed(4, 100)); err != nil {
		t.Fatalf("prune: %v", err)
	}
	reads("pruned", "b7 s7")
	s.put(t, speed(7, 150))
	if cells := s.one(t, s.row("mueller")).Cells; len(cells) != 2 {
		t.Errorf("pruned: got %v, want the cells of generation 7 only", cells)
	}
	s.is(t, speed(7, 200))
}

func (s viewSuite) scanBounds(t *testing.T) {
	for _, row := range []string{"b", "a", "ab", "c", "b|x"} {
		s.put(t, s.cell(row, 1, row))
	}
	tests := []struct {
		from, to string
		want     []string
	}{
		{"", "~", []string{"a", "ab", "b", "b|x", "c"}},
		{"a", "c", []string{"a", "ab", "b", "b|x"}},
		{"aa", "b", []string{"ab"}},
		{"b", "b", nil},
		{"b|", "c", []string{"b|x"}},
		{"d", "e", nil},
	}
	for _, test := range tests {
		var got []string
		for _, r := range s.scan(t, test.from, test.to) {
			got = append(got, strings.TrimPrefix(r.Row, s.prefix))
		}
		if !slices.Equal(got, test.want) {
			t.Errorf("rows from %q to %q: got %q, want %q", test.from, test.to, got, test.want)
		}
	}
	last := ""
	err := s.Scan(t.Context(), schemas.TableVisitors, s.prefix+"b|", "", func(r schemas.Row) error {
		last = r.Row
		return errors.New("enough")
	})
	if err == nil || last != s.prefix+"b|x" {
		t.Errorf("open end: got row %q first, want %q", last, s.prefix+"b|x")
	}
}

func (s viewSuite) scanPages(t *testing.T) {
	const rows, columns = 2500, 2
	var cells []schemas.Cell
	for i := range rows {
		for column := range int64(columns) {
			c := s.cell(fmt.Sprintf("%06d", i), int64(i), fmt.Sprint(i))
			c.Column = schemas.ColumnSpeed(column)
			cells = append(cells, c)
		}
	}
	s.put(t, cells...)
	got := s.scan(t, "", "~")
	if len(got) != rows {
		t.Fatalf("got %d rows, want %d", len(got), rows)
	}
	for i, r := range got {
		if want := fmt.Sprintf("%s%06d", s.prefix, i); r.Row != want || len(r.Cells) != columns {
			t.Fatalf("row %d: got %q with %d cells, want %q with %d", i, r.Row, len(r.Cells), want, columns)
		}
		if c := r.Cells[columns-1]; string(c.Value) != fmt.Sprint(i) || c.Stamp != int64(i) {
			t.Fatalf("row %d: got %q stamped %d: kept rows changed", i, c.Value, c.Stamp)
		}
	}
}

// scanSalts: the rows of visitors are spread over a table's regions, and a scan
// without bounds meets each once, in order. Other tests' rows lie between.
func (s viewSuite) scanSalts(t *testing.T) {
	const devices = 600
	want := make(map[string]bool)
	var cells []schemas.Cell
	for i := range devices {
		key := schemas.VisitorKey(fmt.Sprint(s.prefix, i))
		want[key.Row] = true
		cells = append(cells, schemas.Cell{Key: key, Column: schemas.ColumnBatch(1), Value: []byte("x")})
	}
	s.put(t, cells...)
	last, found := "", 0
	err := s.Scan(t.Context(), schemas.TableVisitors, "", "", func(r schemas.Row) error {
		if r.Row <= last {
			return fmt.Errorf("row %q comes after %q", r.Row, last)
		}
		last = r.Row
		if want[r.Row] {
			found++
		}
		return nil
	})
	if err != nil || found != devices {
		t.Errorf("scan of the table: got %d of %d devices, %v", found, devices, err)
	}
}

func (s viewSuite) scanWhole(t *testing.T) {
	const rows, columns, rounds = 40, 3, 15
	g, ctx := errgroup.WithContext(t.Context())
	var done atomic.Bool
	g.Go(func() error {
		defer done.Store(true)
		for stamp := range int64(rounds) {
			var cells []schemas.Cell
			for row := range rows {
				for column := range int64(columns) {
					c := s.cell(fmt.Sprintf("%03d", row), stamp, "")
					c.Column = schemas.ColumnSpeed(column)
					cells = append(cells, c)
				}
			}
			if err := s.Put(ctx, cells...); err != nil {
				return err
			}
		}
		return nil
	})
	g.Go(func() error {
		for !done.Load() {
			err := s.Scan(ctx, schemas.TableVisitors, s.prefix, s.prefix+"~", func(r schemas.Row) error {
				if len(r.Cells) != columns || r.Cells[0].Stamp != r.Cells[columns-1].Stamp {
					return fmt.Errorf("row %q has %d of %d columns, %v: it was torn", r.Row, len(r.Cells), columns, r.Cells)
				}
				return nil
			})
			if err != nil {
				return err
			}
		}
		return nil
	})
	if err := g.Wait(); err != nil {
		t.Error(err)
	}
}

func (s viewSuite) scanCanceled(t *testing.T) {
	s.put(t, s.cell("a", 1, ""), s.cell("b", 1, ""), s.cell("c", 1, ""))
	ctx, cancel := context.WithCancel(t.Context())
	calls := 0
	err := s.Scan(ctx, schemas.TableVisitors, s.prefix, s.prefix+"~", func(schemas.Row) error {
		calls++
		cancel()
		return nil
	})
	if !errors.Is(err, context.Canceled) || calls != 1 {
		t.Errorf("got %v after %d rows, want %v after 1", err, calls, context.Canceled)
	}
}

// scanLarge: servers hand out a scan in pages of a few megabytes.
func (s viewSuite) scanLarge(t *testing.T) {
	const columns = 9
	value := make([]byte, 700<<10)
	for i := range value {
		value[i] = byte(rand.Uint32())
	}
	s.put(t, s.cell("a", 1, "small"), s.cell("c", 1, "small"))
	for column := range int64(columns) {
		c := s.cell("b", column, string(value))
		c.Column = schemas.ColumnSpeed(column)
		s.put(t, c)
	}
	rows := s.scan(t, "", "~")
	if len(rows) != 3 || len(rows[1].Cells) != columns {
		t.Fatalf("got %d rows, want 3, and %d cells in the large one", len(rows), columns)
	}
	for _, c := range rows[1].Cells {
		if !bytes.Equal(c.Value, value) {
			t.Errorf("column %s of the large row: got %d bytes that differ, want the %d written", c.Column, len(c.Value), len(value))
		}
	}
}

func (s viewSuite) scanError(t *testing.T) {
	s.put(t, s.cell("a", 1, ""), s.cell("b", 1, ""))
	stop, calls := errors.New("this row can't be read"), 0
	err := s.Scan(t.Context(), schemas.TableVisitors, s.prefix, s.prefix+"~", func(schemas.Row) error {
		calls++
		return stop
	})
	if !errors.Is(err, stop) || calls != 1 {
		t.Errorf("got %v after %d rows, want %v after 1", err, calls, stop)
	}
}

func (s viewSuite) large(t *testing.T) {
	value := make([]byte, 1<<20)
	for i := range value {
		value[i] = byte(rand.Uint32())
	}
	c := s.cell("long history", 1, string(value))
	s.put(t, c)
	s.is(t, c)
	if rows := s.scan(t, "long", "long~"); len(rows) != 1 || !bytes.Equal(rows[0].Cells[0].Value, value) {
		t.Errorf("scan: got %d rows, want the one of a megabyte", len(rows))
	}
}

func (s viewSuite) anyBytes(t *testing.T) {
	names := []string{
		"Müller 旅行 🏝", "a", "a\x00", "a\x00\x00", "a\x00\x01", "a\x00\x02", "a\x00\xff", "a\x01", "a\xff", "\x00", "\xff\xff",
		"a|b:c", "' OR 1=1", strings.Repeat("x", 400),
	}
	var cells []schemas.Cell
	for i, name := range names {
		cells = append(cells, s.cell(name, int64(i), name))
	}
	s.put(t, cells...)
	for _, c := range cells {
		s.is(t, c)
		if n := len(s.one(t, c.Key).Cells); n != 1 {
			t.Errorf("row %q: got %d cells, want its own only", c.Row, n)
		}
	}
	slices.Sort(names)
	var got []string
	for _, r := range s.scan(t, "", "\xff\xff\xff") {
		got = append(got, strings.TrimPrefix(r.Row, s.prefix))
	}
	if !slices.Equal(got, names) {
		t.Errorf("rows: got %q, want %q", got, names)
	}
}

func (s viewSuite) tables(t *testing.T) {
	cell := func(table schemas.Table) schemas.Cell {
		return schemas.Cell{Key: schemas.Key{Table: table, Row: s.prefix + "x"},
			Column: table.Families()[0] + ":", Stamp: int64(len(table)), Value: []byte(table)}
	}
	for _, table := range schemas.Tables() {
		s.put(t, cell(table))
	}
	for _, table := range schemas.Tables() {
		s.is(t, cell(table))
	}
	if rows := s.scan(t, "", "~"); len(rows) != 1 {
		t.Errorf("scan of one table: got %d rows, want 1", len(rows))
	}
}

func (s viewSuite) deadline(t *testing.T) {
	s.put(t, s.cell("mueller", 1, "before"))
	ctx, cancel := context.WithDeadline(t.Context(), time.Unix(0, 0))
	defer cancel()
	s.fails(t, ctx, context.DeadlineExceeded)
	s.is(t, s.cell("mueller", 1, "before"))
}

func (s viewSuite) closed(t *testing.T) {
	s.put(t, s.cell("mueller", 1, "before"))
	if err := s.Close(); err != nil {
		t.Fatalf("close: %v", err)
	}
	s.fails(t, t.Context(), nil)
}

// fails expects an error of every method: want, unless it is nil.
func (s viewSuite) fails(t *testing.T, ctx context.Context, want error) {
	t.Helper()
	_, get := s.Get(ctx, s.row("mueller"))
	_, swap := s.CompareAndSet(ctx, s.row("mueller"), schemas.ColumnBatch(1), []byte("before"), []byte("after"))
	scan := s.Scan(ctx, schemas.TableVisitors, s.prefix, "", func(schemas.Row) error { return nil })
	for call, err := range map[string]error{
		"get": get, "compare and set": swap, "scan": scan,
		"put":    s.Put(ctx, s.cell("mueller", 2, "after")),
		"delete": s.Delete(ctx, s.cell("mueller", 2, "")),
	} {
		if err == nil || want != nil && !errors.Is(err, want) {
			t.Errorf("%s: got error %v, want %v", call, err, want)
		}
	}
}
