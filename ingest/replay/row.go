package replay

import (
	"bufio"
	"compress/gzip"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"
)

// A row is one line of a file, by column. The first thing that is wrong with it
// is kept; after that its values mean nothing.
type row struct {
	number int // from 0, without the header
	fields []string
	column map[string]int
	err    error
}

// eachRow reads a file and checks its header.
func eachRow(file string, comma rune, columns []string, each func(*row)) error {
	in, err := os.Open(file)
	if err != nil {
		return err // names the file
	}
	defer in.Close()
	plain, err := unpack(in)
	if err != nil {
		return fmt.Errorf("read %s: %w", file, err)
	}
	if err := rows(plain, comma, columns, each); err != nil {
		return fmt.Errorf("read %s: %w", file, err)
	}
	return nil
}

// unpack unzips what begins as gzip does, whatever it is called.
func unpack(in io.Reader) (io.Reader, error) {
	b := bufio.NewReaderSize(in, 1<<16)
	magic, err := b.Peek(2)
	if err != nil || magic[0] != 0x1f || magic[1] != 0x8b {
		return b, nil // too short for gzip: an empty file has no header either
	}
	return gzip.NewReader(b)
}

// rows reads all rows after the header.
func rows(in io.Reader, comma rune, columns []string, each func(*row)) error {
	c := csv.NewReader(in)
	c.Comma = comma
	c.ReuseRecord = true
	c.LazyQuotes = comma == '\t' // tab-separated files don't quote
	header, err := c.Read()
	if errors.Is(err, io.EOF) {
		return errors.New("line 1: the file is empty, want a header")
	}
	if err != nil {
		return err // names the line
	}
	if err := checkHeader(header, columns); err != nil {
		return fmt.Errorf("line 1: %w", err)
	}
	r := &row{column: make(map[string]int, len(columns))}
	for i, name := range columns {
		r.column[name] = i
	}
	for ; ; r.number++ {
		r.fields, err = c.Read()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if each(r); r.err != nil {
			line, _ := c.FieldPos(0)
			return fmt.Errorf("line %d, %w", line, r.err)
		}
	}
}

// checkHeader says which column is not the one that the format has there.
func checkHeader(got, want []string) error {
	for i, name := range want {
		if i >= len(got) {
			return fmt.Errorf("column %d is missing, want %q", i+1, name)
		}
		if strings.TrimPrefix(got[i], "\ufeff") != name {
			return fmt.Errorf("column %d is %q, want %q", i+1, got[i], name)
		}
	}
	if len(got) > len(want) {
		return fmt.Errorf("column %d is %q, want no more than %d columns", len(want)+1, got[len(want)], len(want))
	}
	return nil
}

// text is the value of a column. The column must be one of the format's.
func (r *row) text(column string) string {
	return r.fields[r.column[column]]
}

// wrong notes that a column is not what would be right.
func (r *row) wrong(column, right string) {
	if r.err == nil {
		r.err = fmt.Errorf("column %s: %q is not %s", column, r.text(column), right)
	}
}

// id is a value that names something: it must not be empty.
func (r *row) id(column string) string {
	v := r.text(column)
	if v == "" {
		r.wrong(column, "an id (want at least one character)")
	}
	return strings.Clone(v) // the reader uses its memory again
}

// whole is a whole number within bounds.
func (r *row) whole(column string, lo, hi int64) int64 {
	n, err := strconv.ParseInt(r.text(column), 10, 64)
	if err != nil || n < lo || n > hi {
		r.wrong(column, fmt.Sprintf("a whole number from %d to %d", lo, hi))
	}
	return n
}

// fixed is a decimal number times 10^places, exactly, within bounds.
func (r *row) fixed(column string, places int, lo, hi int64) int64 {
	n, ok := fixed(r.text(column), places)
	unit := int64(math.Pow10(places))
	if !ok || n < lo || n > hi {
		r.wrong(column, fmt.Sprintf("a decimal number with at most %d places from %d to %d", places, lo/unit, hi/unit))
	}
	return n
}

// fixed reads a decimal number without going through binary fractions.
func fixed(s string, places int) (int64, bool) {
	whole, part, _ := strings.Cut(strings.TrimPrefix(s, "-"), ".")
	if len(part) > places || whole == "" {
		return 0, false
	}
	digits := whole + part + strings.Repeat("0", places-len(part))
	n, err := strconv.ParseUint(digits, 10, 62)
	if err != nil {
		return 0, false
	}
	if strings.HasPrefix(s, "-") {
		return -int64(n), true
	}
	return int64(n), true
}

// degrees is an angle times 1e6, rounded.
func (r *row) degrees(column string, limit float64) int32 {
	x, err := strconv.ParseFloat(r.text(column), 64)
	if err != nil || !(x >= -limit && x <= limit) {
		r.wrong(column, fmt.Sprintf("an angle from -%.0f to %.0f degrees", limit, limit))
		return 0
	}
	return int32(math.Round(x * 1e6))
}

// date is a day.
func (r *row) date(column string) time.Time {
	t, err := time.Parse(time.DateOnly, r.text(column))
	if err != nil || t.Year() < 1990 || t.Year() > 2100 {
		r.wrong(column, "a day like 2016-07-31")
		return time.Unix(0, 0).UTC()
	}
	return t
}

// month is the English name of a month.
func (r *row) month(column string) time.Month {
	for m := time.January; m <= time.December; m++ {
		if r.text(column) == m.String() {
			return m
		}
	}
	r.wrong(column, "a month like July")
	return time.January
}

// one is a value that must be one of some.
func (r *row) one(column string, of ...string) string {
	i := slices.Index(of, r.text(column))
	if i < 0 {
		r.wrong(column, "one of "+strings.Join(of, ", "))
		return ""
	}
	return of[i]
}
