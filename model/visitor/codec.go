package visitor

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"

	"fernweh/model/kpi"
	"fernweh/schemas"
)

// cellVersion is the first byte of every cell. A new layout gets a new number,
// and the old one stays readable.
const cellVersion = 1

// AppendBinary appends the canonical bytes of the cell: equal states are equal
// bytes, whatever way they came about (docs/formats/visitor-cell.md).
func (c *Cell) AppendBinary(b []byte) ([]byte, error) {
	b = append(b, cellVersion)
	b = c.Filter.append(b)
	b = appendBool(b, c.Forgot.All)
	b = appendUint(b, len(c.Forgot.Logins))
	for _, l := range c.Forgot.Logins {
		b = appendString(b, l)
	}
	b = appendUint(b, len(c.Units))
	for i := range c.Units {
		b = appendString(b, c.Units[i].Login)
		b = c.Units[i].History.append(b)
	}
	b = appendUint(b, len(c.Decided))
	for i := range c.Decided {
		b = c.Decided[i].append(b)
	}
	return b, nil
}

// UnmarshalBinary reads what AppendBinary wrote. The cell shares nothing with b.
func (c *Cell) UnmarshalBinary(b []byte) error {
	*c = Cell{}
	r := reader{b: b}
	if v := r.byte(); r.err == nil && v != cellVersion {
		return fmt.Errorf("decode visitor cell: version %d, this program knows %d", v, cellVersion)
	}
	c.Filter.read(&r)
	c.Forgot.All = r.bool()
	for range r.count() {
		c.Forgot.Logins = append(c.Forgot.Logins, r.string())
	}
	c.Units = make(Units, r.count())
	for i := range c.Units {
		c.Units[i].Login = r.string()
		c.Units[i].History.read(&r)
	}
	for range r.count() {
		var d Decided
		d.read(&r)
		c.Decided = append(c.Decided, d)
	}
	if r.err == nil && len(r.b) > 0 {
		r.err = fmt.Errorf("%d bytes too many", len(r.b))
	}
	if r.err != nil {
		*c = Cell{}
		return fmt.Errorf("decode visitor cell: %w", r.err)
	}
	return nil
}

func (f *Filter) append(b []byte) []byte {
	b = appendUint(b, len(f.IDs))
	for _, id := range f.IDs {
		b = binary.LittleEndian.AppendUint64(b, id)
	}
	b = appendString(b, f.Login)
	b = appendString(b, f.FirstLogin)
	b = append(b, byte(f.Choice))
	b = binary.AppendVarint(b, f.Erased)
	b = appendUint(b, len(f.ErasedLogins))
	for _, e := range f.ErasedLogins {
		b = binary.AppendVarint(appendString(b, e.Login), e.At)
	}
	return b
}

func (f *Filter) read(r *reader) {
	if n := r.count(); n > 0 {
		f.IDs = make([]uint64, n, max(n, 16))
		for i := range f.IDs {
			f.IDs[i] = r.fixed64()
		}
	}
	f.Login, f.FirstLogin = r.string(), r.string()
	f.Choice = schemas.Choice(r.byte())
	f.Erased = r.varint()
	for range r.count() {
		f.ErasedLogins = append(f.ErasedLogins, ErasedLogin{r.string(), r.varint()})
	}
}

func (h *History) append(b []byte) []byte {
	b = binary.AppendVarint(b, h.First)
	b = binary.AppendVarint(b, h.Last-h.First)
	b = h.Counters.append(b)
	b = appendUint(b, len(h.Minutes))
	var before int64
	for i := range h.Minutes {
		m := &h.Minutes[i]
		b = binary.AppendVarint(b, m.Minute-before)
		b = m.append(b)
		before = m.Minute
	}
	b = appendUint(b, len(h.Offers))
	for _, o := range h.Offers {
		b = appendString(b, o.ID)
		b = appendUint(b, int(o.Views))
		b = appendUint(b, int(o.Bookings))
		b = binary.AppendVarint(b, o.Last-h.First)
	}
	return b
}

func (h *History) read(r *reader) {
	h.First = r.varint()
	h.Last = h.First + r.varint()
	h.Counters.read(r)
	if n := r.count(); n > 0 {
		h.Minutes = make([]Minute, n)
	}
	var before int64
	for i := range h.Minutes {
		m := &h.Minutes[i]
		m.Minute = before + r.varint()
		m.read(r)
		before = m.Minute
	}
	if n := r.count(); n > 0 {
		h.Offers = make([]Offer, n)
	}
	for i := range h.Offers {
		h.Offers[i] = Offer{r.string(), r.uint16(), r.uint16(), h.First + r.varint()}
	}
}

// append writes the counters that are not zero, each with its distance from the
// one before.
func (c *Counters) append(b []byte) []byte {
	set := 0
	for _, n := range c {
		if n > 0 {
			set++
		}
	}
	b = appendUint(b, set)
	before := 0
	for i, n := range c {
		if n > 0 {
			b = appendUint(b, i-before)
			b = appendUint(b, int(n))
			before = i
		}
	}
	return b
}

func (c *Counters) read(r *reader) {
	i := 0
	for range r.count() {
		i += int(r.uint(counters))
		if i >= counters {
			r.fail(fmt.Errorf("counter %d of %d", i, counters))
			return
		}
		c[i] = uint32(r.uint(math.MaxUint32))
	}
}

func (m *Minute) append(b []byte) []byte {
	b = appendUint(b, int(m.First-m.Minute*microsPerMinute))
	b = appendUint(b, int(m.Last-m.First))
	var mask uint64
	for k, n := range m.Kinds {
		if n > 0 {
			mask |= 1 << k
		}
	}
	b = binary.AppendUvarint(b, mask)
	for _, n := range m.Kinds {
		if n > 0 {
			b = appendUint(b, int(n))
		}
	}
	b = appendUint(b, len(m.Places))
	for _, p := range m.Places {
		b = appendString(b, p.Destination)
		b = appendUint(b, int(p.Searches))
		b = appendUint(b, int(p.Views))
		b = appendUint(b, int(p.Bookings))
	}
	b = appendUint(b, len(m.Money))
	for _, x := range m.Money {
		b = appendString(b, x.Currency)
		b = binary.AppendVarint(b, x.Booked)
		b = binary.AppendVarint(b, x.Cancelled)
	}
	return b
}

func (m *Minute) read(r *reader) {
	m.First = m.Minute*microsPerMinute + int64(r.uint(microsPerMinute))
	m.Last = m.First + int64(r.uint(microsPerMinute))
	mask := r.uint(1<<kinds - 1)
	for k := range m.Kinds {
		if mask&(1<<k) != 0 {
			m.Kinds[k] = r.uint16()
		}
	}
	for range r.count() {
		m.Places = append(m.Places, Place{r.string(), r.uint16(), r.uint16(), r.uint16()})
	}
	for range r.count() {
		m.Money = append(m.Money, Money{r.string(), r.varint(), r.varint()})
	}
}

func (d *Decided) append(b []byte) []byte {
	b = binary.AppendVarint(b, d.Offset)
	b = appendUint(b, len(d.Panes))
	for _, p := range d.Panes {
		b = append(b, byte(p.Measure), byte(p.Dim.By))
		b = appendString(b, p.Dim.Value)
		b = binary.AppendVarint(b, p.Minute)
		b = binary.AppendVarint(b, p.N)
	}
	b = appendUint(b, len(d.Links))
	for _, l := range d.Links {
		b = appendBool(appendString(b, l.Login), l.Linked)
	}
	b = appendBool(b, d.Segment != nil)
	if s := d.Segment; s != nil {
		b = appendString(b, s.ID)
		b = binary.LittleEndian.AppendUint64(b, math.Float64bits(s.Distance))
		b = appendString(b, s.Model)
		b = appendString(b, s.Login)
	}
	return b
}

func (d *Decided) read(r *reader) {
	d.Offset = r.varint()
	for range r.count() {
		var p kpi.Delta
		p.Measure, p.Dim.By, p.Dim.Value = kpi.Measure(r.byte()), kpi.By(r.byte()), r.string()
		p.Minute, p.N = r.varint(), r.varint()
		d.Panes = append(d.Panes, p)
	}
	for range r.count() {
		d.Links = append(d.Links, LinkChange{r.string(), r.bool()})
	}
	if r.bool() {
		d.Segment = &Segment{ID: r.string(), Distance: math.Float64frombits(r.fixed64()), Model: r.string(), Login: r.string()}
	}
}

func appendUint(b []byte, n int) []byte { return binary.AppendUvarint(b, uint64(n)) }

func appendString(b []byte, s string) []byte { return append(appendUint(b, len(s)), s...) }

func appendBool(b []byte, v bool) []byte {
	if v {
		return append(b, 1)
	}
	return append(b, 0)
}

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
