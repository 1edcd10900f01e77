package embedded_test

import (
	"bytes"
	"encoding/hex"
	"flag"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"fernweh/infra/embedded"
	"fernweh/schemas"
)

var update = flag.Bool("update", false, "write testdata/views.golden")

// TestFormatIsForEver compares keys and values with the bytes that stores on
// disk are made of.
func TestFormatIsForEver(t *testing.T) {
	lines := []struct {
		name  string
		bytes []byte
	}{
		{"key of a visitor", embedded.EncodeKey(schemas.Key{Table: "visitors", Row: "a7device"}, "s:12")},
		{"key with zero bytes", embedded.EncodeKey(schemas.Key{Table: "visitors", Row: "a\x00b\x00"}, "b:\x00")},
		{"cell", embedded.EncodePut(258, []byte("value"))},
		{"cell without value", embedded.EncodePut(0, nil)},
	}
	var got strings.Builder
	for _, line := range lines {
		fmt.Fprintf(&got, "%-20s %s\n", line.name, hex.EncodeToString(line.bytes))
	}
	const path = "testdata/views.golden"
	if *update {
		if err := os.WriteFile(path, []byte(got.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if got.String() != string(want) {
		t.Errorf("got\n%swant\n%s", got.String(), want)
	}
}

// rowNames draws names with the bytes that keys give a meaning to.
var rowNames = rapid.StringOfN(rapid.SampledFrom([]rune("a\x00\x01\x02b")), 0, 5, -1)

func TestKeysOrderLikeTableRowColumn(t *testing.T) {
	type cell [3]string
	cells := rapid.Custom(func(rt *rapid.T) cell {
		return cell{rowNames.Draw(rt, "table"), rowNames.Draw(rt, "row"), rowNames.Draw(rt, "column")}
	})
	encode := func(c cell) []byte {
		return embedded.EncodeKey(schemas.Key{Table: schemas.Table(c[0]), Row: c[1]}, c[2])
	}
	rapid.Check(t, func(rt *rapid.T) {
		a, b := cells.Draw(rt, "a"), cells.Draw(rt, "b")
		ka, kb := encode(a), encode(b)
		if got, want := bytes.Compare(ka, kb), slices.Compare(a[:], b[:]); got != want {
			rt.Fatalf("%q against %q: keys compare as %d, want %d", a, b, got, want)
		}
		key, column, err := embedded.DecodeKey(ka)
		if got := (cell{string(key.Table), key.Row, column}); err != nil || got != a {
			rt.Fatalf("key of %q reads as %q, %v", a, got, err)
		}
		pa, pb := ka[:embedded.SplitRow(ka)], kb[:embedded.SplitRow(kb)]
		if same := a[0] == b[0] && a[1] == b[1]; bytes.Equal(pa, pb) != same {
			rt.Fatalf("%q and %q: row parts are equal: %t, want %t", a, b, !same, same)
		}
		after := embedded.Successor(pa)
		if inside := bytes.HasPrefix(kb, pa); (bytes.Compare(kb, after) >= 0) != (bytes.Compare(kb, pa) > 0 && !inside) {
			rt.Fatalf("%q lies wrong to the successor of the row of %q", b, a)
		}
	})
}

// TestWritesJoinInAnyGrouping is what lets the store merge when and what it likes.
func TestWritesJoinInAnyGrouping(t *testing.T) {
	writes := rapid.Custom(func(rt *rapid.T) []byte {
		stamp := rapid.Int64Range(0, 5).Draw(rt, "stamp")
		return embedded.EncodePut(stamp, rapid.SliceOfN(rapid.Byte(), 1, 2).Draw(rt, "value"))
	})
	rapid.Check(t, func(rt *rapid.T) {
		ops := rapid.SliceOfN(writes, 3, 8).Draw(rt, "writes")
		whole, err := embedded.Join(ops...)
		if err != nil {
			rt.Fatal(err)
		}
		i := rapid.IntRange(1, len(ops)-1).Draw(rt, "cut")
		first, err1 := embedded.Join(ops[:i]...)
		second, err2 := embedded.Join(ops[i:]...)
		parts, err3 := embedded.Join(first, second)
		slices.Reverse(ops)
		older, err4 := embedded.JoinOlder(ops...)
		for _, err := range []error{err1, err2, err3, err4} {
			if err != nil {
				rt.Fatal(err)
			}
		}
		if !bytes.Equal(whole, parts) || !bytes.Equal(whole, older) {
			rt.Fatalf("one by one %x, in two parts %x, from the newest down %x: want all equal", whole, parts, older)
		}
	})
}

func FuzzStoredValue(f *testing.F) {
	f.Add(embedded.EncodePut(1, []byte("x")))
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, b []byte) {
		stamp, value, err := embedded.Standing(b)
		if err != nil {
			return
		}
		again, err := embedded.Join(b)
		if err != nil {
			t.Fatalf("%x reads but does not join: %v", b, err)
		}
		s, v, err := embedded.Standing(again)
		if err != nil || s != stamp || !bytes.Equal(v, value) {
			t.Errorf("%x: written again it is %x", b, again)
		}
	})
}

func FuzzStoredKey(f *testing.F) {
	f.Add(embedded.EncodeKey(schemas.Key{Table: "visitors", Row: "a\x00"}, "s:1"))
	f.Add([]byte("no key"))
	f.Fuzz(func(t *testing.T, b []byte) {
		key, column, err := embedded.DecodeKey(b)
		if err != nil {
			return
		}
		again, col, err := embedded.DecodeKey(embedded.EncodeKey(key, column))
		if err != nil || again != key || col != column {
			t.Errorf("%x reads as %q %q, written and read again as %q %q, %v", b, key, column, again, col, err)
		}
	})
}
