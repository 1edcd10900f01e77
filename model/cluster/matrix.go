package cluster

import (
	"fmt"
	"math"
)

// A Matrix holds vectors of one length, row after row.
type Matrix struct {
	Values []float64
	Dims   int // length of a row
}

// Rows is how many vectors there are.
func (m Matrix) Rows() int {
	if m.Dims == 0 {
		return 0
	}
	return len(m.Values) / m.Dims
}

// Row is the i-th vector, shared with the matrix.
func (m Matrix) Row(i int) []float64 { return m.Values[i*m.Dims : (i+1)*m.Dims : (i+1)*m.Dims] }

// Parallel calls work for ranges [from, to) that cover 0 to n once, at the same
// time as far as it likes, and returns when all have returned. It must not
// panic on n = 0. A nil Parallel works in the caller's goroutine.
type Parallel func(n int, work func(from, to int))

// each calls work for every number below n.
func (p Parallel) each(n int, work func(i int)) {
	span := func(from, to int) {
		for i := from; i < to; i++ {
			work(i)
		}
	}
	if p == nil {
		span(0, n)
		return
	}
	p(n, span)
}

// A chunk is the rows from <= i < to.
type chunk struct{ from, to int }

const (
	maxChunks    = 64   // bounds what is held per chunk, and leaves work for as many cores
	minChunkRows = 1024 // below, starting it costs more than it saves
)

// chunks cuts n rows in a way that depends on n alone.
func chunks(n int) []chunk {
	size := max(minChunkRows, (n+maxChunks-1)/maxChunks)
	var cs []chunk
	for from := 0; from < n; from += size {
		cs = append(cs, chunk{from, min(from+size, n)})
	}
	return cs
}

// greatest is the greatest value that is taken: its square, added up over all
// vectors there can be, is still a number.
const greatest = 1e100

// finite checks that every value is a number that can be squared; name gives a
// column's name.
func (m Matrix) finite(p Parallel, name func(column int) string) error {
	cs := chunks(m.Rows())
	bad := make([]int, len(cs))
	p.each(len(cs), func(c int) {
		bad[c] = -1
		for i, x := range m.Values[cs[c].from*m.Dims : cs[c].to*m.Dims] {
			if !(math.Abs(x) <= greatest) { // not so for NaN
				bad[c] = cs[c].from*m.Dims + i
				return
			}
		}
	})
	for _, at := range bad {
		if at >= 0 {
			return fmt.Errorf("row %d has %v as %q", at/m.Dims, m.Values[at], name(at%m.Dims))
		}
	}
	return nil
}

// columnSums adds a term of each value up by column.
func columnSums(m Matrix, p Parallel, term func(column int, x float64) float64) []float64 {
	cs := chunks(m.Rows())
	sums := make([][]float64, len(cs))
	p.each(len(cs), func(c int) {
		sums[c] = make([]float64, m.Dims)
		for i := cs[c].from; i < cs[c].to; i++ {
			for j, x := range m.Row(i) {
				sums[c][j] += term(j, x)
			}
		}
	})
	for _, s := range sums[1:] {
		addTo(sums[0], s)
	}
	return sums[0]
}

// distance2 is the squared Euclidean distance. The conversions keep a compiler
// from fusing products and sums, which would give other bits on other machines.
func distance2(a, b []float64) float64 {
	b = b[:len(a)]
	var s0, s1, s2, s3 float64
	i := 0
	for ; i+4 <= len(a); i += 4 {
		d0, d1, d2, d3 := a[i]-b[i], a[i+1]-b[i+1], a[i+2]-b[i+2], a[i+3]-b[i+3]
		s0 += float64(d0 * d0)
		s1 += float64(d1 * d1)
		s2 += float64(d2 * d2)
		s3 += float64(d3 * d3)
	}
	for ; i < len(a); i++ {
		d := a[i] - b[i]
		s0 += float64(d * d)
	}
	return s0 + s1 + s2 + s3
}

func distance(a, b []float64) float64 { return math.Sqrt(distance2(a, b)) }

// addTo adds b to a.
func addTo(a, b []float64) {
	b = b[:len(a)]
	for i := range a {
		a[i] += b[i]
	}
}

// takeFrom takes b from a.
func takeFrom(a, b []float64) {
	b = b[:len(a)]
	for i := range a {
		a[i] -= b[i]
	}
}
