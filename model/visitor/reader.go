package visitor

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
)

// reader takes values off the front of b; after the first error it gives zeros.
type reader struct {
	b   []byte
	err error
}

var errCut = errors.New("cut off")

func (r *reader) fail(err error) {
	if r.err == nil {
		r.err = err
	}
	r.b = nil
}

func (r *reader) take(n int) []byte {
	if n > len(r.b) {
		r.fail(errCut)
		return nil
	}
	v := r.b[:n]
	r.b = r.b[n:]
	return v
}

func (r *reader) byte() byte {
	if v := r.take(1); v != nil {
		return v[0]
	}
	return 0
}

func (r *reader) bool() bool { return r.byte() != 0 }

func (r *reader) fixed64() uint64 {
	if v := r.take(8); v != nil {
		return binary.LittleEndian.Uint64(v)
	}
	return 0
}

func (r *reader) varint() int64 {
	v, n := binary.Varint(r.b)
	if n <= 0 {
		r.fail(errCut)
		return 0
	}
	r.b = r.b[n:]
	return v
}

// uint reads a number that is at most limit.
func (r *reader) uint(limit uint64) uint64 {
	v, n := binary.Uvarint(r.b)
	if n <= 0 {
		r.fail(errCut)
		return 0
	}
	if v > limit {
		r.fail(fmt.Errorf("%d where at most %d can stand", v, limit))
		return 0
	}
	r.b = r.b[n:]
	return v
}

func (r *reader) uint16() uint16 { return uint16(r.uint(math.MaxUint16)) }

// count reads the length of a list, each member of which takes a byte at least.
func (r *reader) count() int { return int(r.uint(uint64(len(r.b)))) }

func (r *reader) string() string { return string(r.take(r.count())) }

func (r *reader) bytes() []byte { return bytes.Clone(r.take(r.count())) }

// hashes reads a list of hashes, with room for so many at least if there are any.
func (r *reader) hashes(room int) (hashes []uint64) {
	if n := r.count(); n > 0 {
		hashes = make([]uint64, n, max(n, room))
	}
	for i := range hashes {
		hashes[i] = r.fixed64()
	}
	return hashes
}

func (r *reader) minutes() (ms []Minute) {
	if n := r.count(); n > 0 {
		ms = make([]Minute, n)
	}
	var before int64
	for i := range ms {
		ms[i].Minute = before + r.varint()
		ms[i].read(r)
		before = ms[i].Minute
	}
	return ms
}

func (r *reader) money() (ms []Money) {
	for range r.count() {
		ms = append(ms, Money{r.string(), r.varint(), r.varint()})
	}
	return ms
}
