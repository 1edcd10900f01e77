package oracle

import (
	"encoding/binary"
	"maps"
	"math/bits"
	"slices"

	"fernweh/schemas"

	"github.com/cespare/xxhash/v2"
)

// A Pane names a measure in a minute; Of is empty, "destination=Sylt" or "currency=EUR".
type Pane struct {
	Measure string
	Minute  int64
	Of      string
}

// Panes are numbers by pane.
type Panes map[Pane]int64

func (ps Panes) add(measure string, minute int64, of string, n int64) {
	ps[Pane{measure, minute, of}] += n
}

// counted says which measure a kind counts in beside events.
var counted = map[schemas.Kind]string{
	schemas.Kind_KIND_PAGE: "pages", schemas.Kind_KIND_SEARCH: "searches", schemas.Kind_KIND_LIST_VIEW: "lists",
	schemas.Kind_KIND_OFFER_VIEW: "views", schemas.Kind_KIND_CART: "carts", schemas.Kind_KIND_CHECKOUT: "checkouts",
	schemas.Kind_KIND_BOOKING: "bookings", schemas.Kind_KIND_CANCELLATION: "cancellations",
	schemas.Kind_KIND_PLACEMENT_SHOWN: "impressions", schemas.Kind_KIND_PLACEMENT_CLICKED: "clicks",
	schemas.Kind_KIND_NEWSLETTER: "newsletters",
}

// Count adds to ps what the device counts in panes, but for visitors.
func (d *Device) Count(ps Panes) {
	for _, e := range slices.Concat(d.Anonymous, d.Unkept, d.All()) {
		ps.event(e)
	}
	for _, s := range Sessions(d.All()) {
		start := minuteOf(s.Events[0])
		ps.add("sessions", start, "", 1)
		if s.Bounce {
			ps.add("bounces", start, "", 1)
		}
	}
}

func (ps Panes) event(e *schemas.Event) {
	at := minuteOf(e)
	ps.add("events", at, "", 1)
	if m := counted[e.Kind]; m != "" {
		ps.add(m, at, "", 1)
		if destination, _ := place(e); destination != "" {
			ps.add(m, at, "destination="+destination, 1)
		}
	}
	if currency, m := money(e); currency != "" {
		ps.add("revenue", at, "currency="+currency, m.Booked)
		ps.add("refunds", at, "currency="+currency, m.Cancelled)
	}
}

// Sketch is the sketch of a set of devices as docs/formats/sketch.md lays it out.
func Sketch(devices map[string]bool) []byte {
	ranks := map[uint64]byte{}
	for device := range devices {
		hash := xxhash.Sum64String(device)
		register, rest := hash>>52, hash&(1<<52-1)
		rank := byte(52-bits.Len64(rest)) + 1
		ranks[register] = max(ranks[register], rank)
	}
	if len(ranks) > 512 {
		return allRanks(ranks)
	}
	out := []byte{1}
	for _, register := range slices.Sorted(maps.Keys(ranks)) {
		three := binary.BigEndian.AppendUint32(nil, uint32(register)<<6|uint32(ranks[register]))
		out = append(out, three[1:]...)
	}
	return out
}

// allRanks writes six bits for each register, the first one highest.
func allRanks(ranks map[uint64]byte) []byte {
	out := make([]byte, 1+4096*6/8)
	out[0] = 2
	for register := range uint64(4096) {
		for bit := range uint64(6) {
			at := register*6 + bit
			if ranks[register]>>(5-bit)&1 == 1 {
				out[1+at/8] |= 0x80 >> (at % 8)
			}
		}
	}
	return out
}

// Hash is how ids and devices are known where a document says "hash of".
func Hash(text string) uint64 { return xxhash.Sum64String(text) }
