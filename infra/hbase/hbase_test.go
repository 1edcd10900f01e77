package hbase_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/tsuna/gohbase"
	"github.com/tsuna/gohbase/pb"
	"google.golang.org/protobuf/proto"

	"fernweh/infra/hbase"
	"fernweh/schemas"
)

// schema is a table as the master describes it.
func schema(families map[string]map[string]string) *pb.TableSchema {
	s := new(pb.TableSchema)
	for name, attributes := range families {
		f := &pb.ColumnFamilySchema{Name: []byte(name)}
		for name, value := range attributes {
			f.Attributes = append(f.Attributes, &pb.BytesBytesPair{First: []byte(name), Second: []byte(value)})
		}
		s.ColumnFamilies = append(s.ColumnFamilies, f)
	}
	return s
}

func TestCheckTable(t *testing.T) {
	tests := []struct {
		name   string
		change func(families map[string]map[string]string)
		want   string // "": all is well
	}{
		{"as declared", func(map[string]map[string]string) {}, ""},
		{"a family more", func(f map[string]map[string]string) { f["z"] = nil }, ""},
		{"another compression", func(f map[string]map[string]string) { f["b"]["COMPRESSION"] = "SNAPPY" }, ""},
		{"letters of another case", func(f map[string]map[string]string) { f["b"]["KEEP_DELETED_CELLS"] = "FALSE" }, ""},
		{"forever in letters", func(f map[string]map[string]string) { f["b"]["TTL"] = "FOREVER" }, ""},
		{"the server's default", func(f map[string]map[string]string) { delete(f["b"], "VERSIONS") }, ""},
		{"no family s", func(f map[string]map[string]string) { delete(f, "s") }, "table views_panes has no family s"},
		{"three versions", func(f map[string]map[string]string) { f["s"]["VERSIONS"] = "3" }, "table views_panes, family s: VERSIONS is 3, it should be 1"},
		{"a day to live", func(f map[string]map[string]string) { f["b"]["TTL"] = "86400" }, "family b: TTL is 86400, it should be 2147483647"},
		{"deletes by arrival", func(f map[string]map[string]string) { f["b"]["NEW_VERSION_BEHAVIOR"] = "TRUE" }, "family b: NEW_VERSION_BEHAVIOR is TRUE"},
		{"deleted cells kept", func(f map[string]map[string]string) { f["b"]["KEEP_DELETED_CELLS"] = "TTL" }, "family b: KEEP_DELETED_CELLS is TTL"},
		{"no encoding", func(f map[string]map[string]string) { delete(f["b"], "DATA_BLOCK_ENCODING") }, "family b: DATA_BLOCK_ENCODING is NONE"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			families := hbase.Families(schemas.TablePanes)
			test.change(families)
			err := hbase.CheckTable(schemas.TablePanes, "views_panes", schema(families))
			switch {
			case test.want == "" && err != nil:
				t.Errorf("got error %q, want none", err)
			case test.want != "" && (err == nil || !strings.Contains(err.Error(), test.want)):
				t.Errorf("got error %v, want it to say %q", err, test.want)
			}
		})
	}
}

func TestSplits(t *testing.T) {
	tests := []struct {
		table   schemas.Table
		regions int
		want    string
	}{
		{schemas.TableVisitors, 1, ""},
		{schemas.TableVisitors, 4, "40 80 c0"},
		{schemas.TablePersons, 3, "55 aa"},
		{schemas.TablePanes, 16, ""}, // without a salt
		{schemas.TableMeta, 16, ""},
	}
	for _, test := range tests {
		if got := string(slices.Concat(joined(hbase.Splits(test.table, test.regions))...)); got != test.want {
			t.Errorf("%d regions of %s: got first rows %q, want %q", test.regions, test.table, got, test.want)
		}
	}
	if n := len(hbase.Splits(schemas.TableVisitors, schemas.Salts)); n != schemas.Salts-1 {
		t.Errorf("a region a salt: got %d splits, want %d", n, schemas.Salts-1)
	}
}

// joined puts spaces between keys.
func joined(keys [][]byte) (out [][]byte) {
	for i, key := range keys {
		if i > 0 {
			out = append(out, []byte(" "))
		}
		out = append(out, key)
	}
	return out
}

// TestRowsOfABatch: a row goes out once, and of two cells at one place the one
// that stays.
func TestRowsOfABatch(t *testing.T) {
	cell := func(row, column string, stamp int64, value string) schemas.Cell {
		return schemas.Cell{Key: schemas.VisitorKey(row), Column: column, Stamp: stamp, Value: []byte(value)}
	}
	rows := hbase.Rows([]schemas.Cell{
		cell("mueller", "s:1", 4, "four"), cell("weber", "s:1", 3, "three"), cell("mueller", "d:now", 2, "two"),
		cell("mueller", "s:1", 3, "late"), cell("weber", "s:1", 3, "three, later"),
	})
	var got []string
	for _, row := range rows {
		for _, c := range row.Cells {
			got = append(got, fmt.Sprintf("%s %s@%d %s", schemas.VisitorOf(row.Row), c.Column, c.Stamp, c.Value))
		}
	}
	want := []string{"mueller s:1@4 four", "mueller d:now@2 two", "weber s:1@3 three, later"}
	if !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

// thrown is an error as gohbase hands it on.
func thrown(class, said string) error {
	return fmt.Errorf("HBase Java exception %s:\n%s: %s\n\tat org.apache.hadoop.hbase.Some.method(Some.java:1)\n", class, class, said)
}

func TestErrorsOfTheServer(t *testing.T) {
	const pkg = "org.apache.hadoop.hbase."
	tests := []struct {
		err      error
		hopeless bool
		want     string
	}{
		{gohbase.TableNotFound, true, "the table is not there; it was when the views were opened"},
		{thrown(pkg+"regionserver.NoSuchColumnFamilyException", "Column family x does not exist"), true,
			"the server answers NoSuchColumnFamilyException: Column family x does not exist"},
		{thrown(pkg+"security.AccessDeniedException", "Insufficient permissions"), true,
			"the server answers AccessDeniedException: Insufficient permissions"},
		{thrown(pkg+"DoNotRetryIOException", "Cell with size 10485761 exceeds limit of 10485760 bytes"), true,
			"the server answers DoNotRetryIOException: Cell with size 10485761 exceeds limit of 10485760 bytes"},
		{thrown(pkg+"MultiActionResultTooLarge", "Max size exceeded"), false, "the server answers MultiActionResultTooLarge: Max size exceeded"},
		{thrown(pkg+"PleaseHoldException", "Master is initializing"), false, "the server answers PleaseHoldException: Master is initializing"},
		{thrown("java.io.IOException", "Cannot append; log is closed"), false, "the server answers IOException: Cannot append; log is closed"},
		{errors.New("read tcp 127.0.0.1:1: connection reset by peer"), false, "read tcp 127.0.0.1:1: connection reset by peer"},
	}
	for _, test := range tests {
		if got := hbase.Hopeless(test.err); got != test.hopeless {
			t.Errorf("%q is hopeless: got %t, want %t", test.want, got, test.hopeless)
		}
		if got := hbase.Plain(test.err).Error(); got != test.want {
			t.Errorf("got %q, want %q", got, test.want)
		}
	}
}

// result is a row of an answer to a scan.
func result(row string, partial bool) *pb.Result {
	return &pb.Result{Cell: []*pb.Cell{{Row: []byte(row)}}, Partial: &partial}
}

// TestPages: a scan goes on behind the last whole row, or with the next region.
func TestPages(t *testing.T) {
	tests := []struct {
		name       string
		results    []*pb.Result
		more       bool // in this region
		stop       string
		rows       []string
		torn, next string
		last       bool
		err        string
	}{
		{"more in the region", []*pb.Result{result("b", false), result("c", false)}, true, "m", []string{"b", "c"}, "", "c\x00", false, ""},
		{"the region's end", []*pb.Result{result("b", false)}, false, "m", []string{"b"}, "", "m", false, ""},
		{"an empty region", nil, false, "m", nil, "", "m", false, ""},
		{"the table's end", []*pb.Result{result("b", false)}, false, "", []string{"b"}, "", "", true, ""},
		{"a part of a row", []*pb.Result{result("b", false), result("c", true)}, true, "m", []string{"b"}, "c", "c\x00", false, ""},
		{"a part of a row, the region's last", []*pb.Result{result("c", true)}, false, "", nil, "c", "c\x00", false, ""},
		{"time is over and nothing was found", nil, true, "m", nil, "", "", false, "compact it"},
		{"a row out of order", []*pb.Result{result("c", false), result("b", false)}, true, "m", nil, "", "", false, `row "b" after`},
		{"a row before the span", []*pb.Result{result("0", false)}, true, "m", nil, "", "", false, `row "0" after "a"`},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			answer := &pb.ScanResponse{Results: test.results, MoreResultsInRegion: proto.Bool(test.more)}
			rows, torn, next, last, err := hbase.Page(answer, "a", test.stop)
			if test.err != "" {
				if err == nil || !strings.Contains(err.Error(), test.err) {
					t.Errorf("got error %v, want it to say %q", err, test.err)
				}
				return
			}
			if err != nil || !slices.Equal(rows, test.rows) || torn != test.torn || next != test.next || last != test.last {
				t.Errorf("got rows %q, torn %q, next %q, last %t, %v, want %q, %q, %q, %t",
					rows, torn, next, last, err, test.rows, test.torn, test.next, test.last)
			}
		})
	}
}
