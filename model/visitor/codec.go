package visitor

import (
	"encoding/binary"
	"fmt"
	"math"

	"fernweh/model/kpi"
	"fernweh/schemas"
)

// cellVersion is the first byte of every cell. A layout that means the same gets
// a new number, and the old one stays readable; another meaning of the fold gets
// another schemas.FoldVersion, and then every view is made again. Version 1 was
// that of fold 1.
const cellVersion = 2

// An Aspect is a part of a cell that a later release adds: something that it
// folds beside the units. A program that does not know it carries it along as it
// is. It holds the events of the device in the offsets [From, Through): the program
// that knows it takes it for absent where they do not reach the cell's stamp.
type Aspect struct {
	ID, Version   uint64
	From, Through int64
	Bytes         []byte
}

// AppendBinary appends the canonical bytes of the cell: equal states are equal
// bytes, whatever way they came about (docs/formats/visitor-cell.md).
func (c *Cell) AppendBinary(b []byte) ([]byte, error) {
	b = append(b, cellVersion)
	b = c.Filter.append(b)
	b = c.Forgot.append(b)
	b = c.Units.append(b)
	b = c.Beyond.append(b)
	b = appendUint(b, len(c.Aspects))
	for i := range c.Aspects {
		b = c.Aspects[i].append(b)
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
	c.Forgot.read(&r)
	c.Units.read(&r)
	c.Beyond.read(&r)
	for range r.count() {
		c.Aspects = append(c.Aspects, Aspect{
			ID: r.uint(math.MaxUint64), Version: r.uint(math.MaxUint64), From: r.varint(), Through: r.varint(), Bytes: r.bytes(),
		})
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

func (a *Aspect) append(b []byte) []byte {
	b = binary.AppendUvarint(b, a.ID)
	b = binary.AppendUvarint(b, a.Version)
	b = binary.AppendVarint(b, a.From)
	b = binary.AppendVarint(b, a.Through)
	return append(appendUint(b, len(a.Bytes)), a.Bytes...)
}

// Bits of the filter's flags.
const (
	flagNobody = 1 << iota
	flagFirstGone
	allFlags = flagNobody | flagFirstGone
)

func (f *Filter) append(b []byte) []byte {
	b = appendHashes(b, f.IDs)
	b = appendString(b, f.Login)
	b = appendString(b, f.FirstLogin)
	var flags byte
	if f.Nobody {
		flags |= flagNobody
	}
	if f.FirstGone {
		flags |= flagFirstGone
	}
	b = append(b, flags, byte(f.Choice))
	b = binary.AppendUvarint(b, uint64(f.Events))
	b = binary.AppendUvarint(b, uint64(f.Bytes))
	b = binary.AppendVarint(b, f.Booked)
	b = appendUint(b, len(f.Campaigns))
	for _, c := range f.Campaigns {
		b = binary.LittleEndian.AppendUint64(b, c.ID)
		b = binary.AppendVarint(b, c.Cause)
		b = binary.AppendUvarint(b, uint64(c.Accepted))
		b = binary.AppendVarint(b, c.At)
	}
	b = binary.AppendVarint(b, f.Erased)
	b = binary.AppendVarint(b, f.ErasedUnnamed)
	b = binary.AppendVarint(b, f.ErasedOthers)
	b = appendUint(b, len(f.ErasedLogins))
	for _, e := range f.ErasedLogins {
		b = binary.AppendVarint(binary.LittleEndian.AppendUint64(b, e.Login), e.At)
	}
	return b
}

func (f *Filter) read(r *reader) {
	f.IDs = r.hashes(16) // with room for the next ones
	f.Login, f.FirstLogin = r.string(), r.string()
	flags := r.byte()
	if flags > allFlags {
		r.fail(fmt.Errorf("flags %x of the filter, this program knows %x", flags, allFlags))
	}
	f.Nobody, f.FirstGone = flags&flagNobody != 0, flags&flagFirstGone != 0
	f.Choice = schemas.Choice(r.byte())
	f.Events = int64(r.uint(math.MaxInt64))
	f.Bytes = int64(r.uint(math.MaxInt64))
	f.Booked = r.varint()
	for range r.count() {
		f.Campaigns = append(f.Campaigns, Campaign{r.fixed64(), r.varint(), int64(r.uint(math.MaxInt64)), r.varint()})
	}
	f.Erased, f.ErasedUnnamed, f.ErasedOthers = r.varint(), r.varint(), r.varint()
	for range r.count() {
		f.ErasedLogins = append(f.ErasedLogins, ErasedLogin{r.fixed64(), r.varint()})
	}
}

func (f *Forgotten) append(b []byte) []byte {
	b = appendBool(appendBool(b, f.All), f.Before)
	return appendHashes(b, f.Logins)
}

func (f *Forgotten) read(r *reader) {
	f.All, f.Before = r.bool(), r.bool()
	f.Logins = r.hashes(0)
}

// append writes the shared history only where there is one.
func (us *Units) append(b []byte) []byte {
	b = appendHashes(b, us.Known)
	b = appendUint(b, len(us.Named))
	for i := range us.Named {
		b = appendString(b, us.Named[i].Login)
		b = us.Named[i].History.append(b)
	}
	shared := us.Shared.Events() > 0
	if b = appendBool(b, shared); shared {
		b = us.Shared.append(b)
	}
	return b
}

func (us *Units) read(r *reader) {
	us.Known = r.hashes(0)
	if n := r.count(); n > 0 {
		us.Named = make([]Unit, n)
	}
	for i := range us.Named {
		us.Named[i].Login = r.string()
		us.Named[i].History.read(r)
	}
	if r.bool() {
		us.Shared.read(r)
	}
}

// append writes nothing but a zero where there is nothing.
func (x *Beyond) append(b []byte) []byte {
	some := x.Events() > 0
	if b = appendBool(b, some); !some {
		return b
	}
	b = x.Counters.append(b)
	b = appendMoney(b, x.Money)
	b = binary.AppendVarint(b, x.Others.Booked)
	return binary.AppendVarint(b, x.Others.Cancelled)
}

func (x *Beyond) read(r *reader) {
	if !r.bool() {
		return
	}
	x.Counters.read(r)
	x.Money = r.money()
	x.Others.Booked, x.Others.Cancelled = r.varint(), r.varint()
}

func (h *History) append(b []byte) []byte {
	b = binary.AppendVarint(b, h.First)
	b = binary.AppendVarint(b, h.Last-h.First)
	b = h.Counters.append(b)
	b = appendMinutes(b, h.Minutes)
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
	h.Minutes = r.minutes()
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
	return appendMoney(b, m.Money)
}

func appendMinutes(b []byte, ms []Minute) []byte {
	b = appendUint(b, len(ms))
	var before int64
	for i := range ms {
		b = binary.AppendVarint(b, ms[i].Minute-before)
		b = ms[i].append(b)
		before = ms[i].Minute
	}
	return b
}

func appendMoney(b []byte, ms []Money) []byte {
	b = appendUint(b, len(ms))
	for _, x := range ms {
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
	m.Money = r.money()
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
	b = appendMinutes(b, d.Reversed)
	b = appendUint(b, len(d.Links))
	for _, l := range d.Links {
		b = appendBool(appendString(b, l.Login), l.Linked)
	}
	b = appendUint(b, len(d.Said))
	for _, s := range d.Said {
		b = appendString(b, s.ID)
		b = binary.LittleEndian.AppendUint64(b, math.Float64bits(s.Distance))
		b = appendString(b, s.Model)
		b = appendString(b, s.Login)
	}
	b = appendUint(b, len(d.Proposed))
	for _, p := range d.Proposed {
		b = appendString(appendString(b, p.Campaign), p.Version)
		b = binary.AppendVarint(b, int64(p.Cap))
		b = binary.AppendVarint(b, p.Again)
		b = appendBool(appendBool(b, p.ExitOnBooking), p.Control)
	}
	return appendString(b, d.Login)
}

func (d *Decided) read(r *reader) {
	d.Offset = r.varint()
	for range r.count() {
		var p kpi.Delta
		p.Measure, p.Dim.By, p.Dim.Value = kpi.Measure(r.byte()), kpi.By(r.byte()), r.string()
		p.Minute, p.N = r.varint(), r.varint()
		d.Panes = append(d.Panes, p)
	}
	d.Reversed = r.minutes()
	for range r.count() {
		d.Links = append(d.Links, LinkChange{r.string(), r.bool()})
	}
	for range r.count() {
		d.Said = append(d.Said, Segment{ID: r.string(), Distance: math.Float64frombits(r.fixed64()), Model: r.string(), Login: r.string()})
	}
	for range r.count() {
		d.Proposed = append(d.Proposed, Proposal{r.string(), r.string(), int32(r.varint()), r.varint(), r.bool(), r.bool()})
	}
	d.Login = r.string()
}

func appendUint(b []byte, n int) []byte { return binary.AppendUvarint(b, uint64(n)) }

func appendHashes(b []byte, hashes []uint64) []byte {
	b = appendUint(b, len(hashes))
	for _, h := range hashes {
		b = binary.LittleEndian.AppendUint64(b, h)
	}
	return b
}

func appendString(b []byte, s string) []byte { return append(appendUint(b, len(s)), s...) }

func appendBool(b []byte, v bool) []byte {
	if v {
		return append(b, 1)
	}
	return append(b, 0)
}
