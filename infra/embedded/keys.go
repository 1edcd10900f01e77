package embedded

import (
	"bytes"
	"fmt"

	"github.com/cockroachdb/pebble/v2"

	"fernweh/schemas"
)

// A key is escape(table) end escape(row) end column. Bytes compare as the
// tables, rows and columns do, for any bytes in them; docs/formats/views.md
// draws it.
const (
	zero    = 0x00
	ended   = 0x01 // after zero: the part ends here
	beyond  = 0x02 // after zero: greater than the end, smaller than anything longer
	escaped = 0xff // after zero: the part has a zero byte here
)

// appendPart appends a table's or a row's name so that its end can be seen.
func appendPart(dst []byte, s string) []byte {
	for i := range len(s) {
		dst = append(dst, s[i])
		if s[i] == zero {
			dst = append(dst, escaped)
		}
	}
	return append(dst, zero, ended)
}

// appendRow appends what the keys of all cells of a row begin with.
func appendRow(dst []byte, key schemas.Key) []byte {
	return appendPart(appendPart(dst, string(key.Table)), key.Row)
}

// appendCell appends the key of one cell.
func appendCell(dst []byte, key schemas.Key, column string) []byte {
	return append(appendRow(dst, key), column...)
}

// bounds is the range of keys of the rows [from, to) of a table.
func bounds(table schemas.Table, from, to string) (lower, upper []byte) {
	lower = appendRow(nil, schemas.Key{Table: table, Row: from})
	if to != "" {
		return lower, appendRow(nil, schemas.Key{Table: table, Row: to})
	}
	return lower, successor(nil, appendPart(nil, string(table)))
}

// endOfPart is where the part that begins at from ends, behind its mark; -1: it doesn't.
func endOfPart(key []byte, from int) int {
	for {
		i := bytes.IndexByte(key[from:], zero)
		if i < 0 || from+i+1 >= len(key) {
			return -1
		}
		from += i + 2
		if key[from-1] == ended {
			return from
		}
	}
}

// splitRow is the length of what a key shares with all cells of its row. A
// bound, which is no full key, stands for itself.
func splitRow(key []byte) int {
	table := endOfPart(key, 0)
	if table < 0 {
		return len(key)
	}
	if row := endOfPart(key, table); row >= 0 {
		return row
	}
	return len(key)
}

// successor appends the smallest key that is greater than every key that begins with prefix.
func successor(dst, prefix []byte) []byte {
	dst = append(dst, prefix...)
	if n := len(dst); n >= 2 && dst[n-2] == zero && dst[n-1] == ended {
		dst[n-1] = beyond
		return dst
	}
	return append(dst, zero)
}

// parsePart takes the name of a part back out of its bytes, which end with its mark.
func parsePart(part []byte) string {
	return string(bytes.ReplaceAll(part[:len(part)-2], []byte{zero, escaped}, []byte{zero}))
}

// parseRow reads the part of a key that splitRow found.
func parseRow(prefix []byte) (schemas.Key, error) {
	table := endOfPart(prefix, 0)
	if table < 0 || endOfPart(prefix, table) != len(prefix) {
		return schemas.Key{}, fmt.Errorf("read key %q: it is not table, row, column", prefix)
	}
	return schemas.Key{Table: schemas.Table(parsePart(prefix[:table])), Row: parsePart(prefix[table:])}, nil
}

// comparer orders keys by their bytes and tells Pebble where the row ends, so
// that one bloom filter entry a row answers for rows that are not there.
func comparer() *pebble.Comparer {
	c := *pebble.DefaultComparer
	c.Name = "fernweh.row.1"
	c.Split = splitRow
	c.ImmediateSuccessor = successor
	return &c
}
