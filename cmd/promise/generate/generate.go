// Package generate makes events of every shape from a seed.
//
// It fills the fields of an event by reflection, so that a field which is added to
// the schema is filled from the day it is there, and draws numbers and times mostly
// from beside the bounds at which something changes.
package generate

import (
	"fmt"
	"math/rand/v2"
	"strings"

	"fernweh/schemas"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
)

// Events makes the events of a portal, one after the other. A source of randomness
// makes the same ones each time.
type Events struct {
	Rand    *rand.Rand
	Devices []string
	Logins  []string

	calm  int // of so many erasures that could be, one is
	made  []*schemas.Event
	clock int64 // what the collector's clock says, UTC microseconds
	last  int64 // time of the event before
}

// New makes events of one to five devices and of a few logins, some with long names;
// in some portals much is erased, in most little.
func New(r *rand.Rand) *Events {
	devices := []string{"d0", "a device=with|" + strings.Repeat("ä", 120), "d2", "d3", "d4"}
	return &Events{
		Rand: r, clock: 1_700_000_000_000_000, last: 1_699_990_000_000_000 + r.Int64N(400*day),
		Devices: devices[:1+r.IntN(len(devices))],
		Logins:  []string{"ann", "bob", "cem", "K-" + strings.Repeat("7", 200)},
		calm:    pick(r, 1, 4, 9),
	}
}

const (
	minute = 60_000_000 // microseconds
	day    = 24 * 60 * minute
)

func (g *Events) chance(oneIn int) bool { return g.Rand.IntN(oneIn) == 0 }

func pick[T any](r *rand.Rand, of ...T) T { return of[r.IntN(len(of))] }

// Next makes an event, or gives one that was made before once more.
func (g *Events) Next() *schemas.Event {
	if len(g.made) > 0 && g.chance(7) {
		before := g.made[g.Rand.IntN(len(g.made))]
		if g.chance(2) {
			before = g.made[len(g.made)-1-g.Rand.IntN(min(len(g.made), 9))]
		}
		return proto.Clone(before).(*schemas.Event)
	}
	e := new(schemas.Event)
	g.fill(e.ProtoReflect())
	g.clock += pick(g.Rand, int64(0), 0, 1, 2, 1_000_000)
	e.Id, e.Device = g.id(), pick(g.Rand, g.Devices...)
	e.Time, e.Received = g.time(), g.clock-pick(g.Rand, int64(0), 0, 0, 1, 2, 5)
	e.User = pick(g.Rand, append([]string{"", "", "", "", ""}, g.Logins...)...)
	e.AssumedConsent = !g.chance(8)
	e.Kind = g.kind()
	switch e.Kind {
	case schemas.Kind_KIND_IDENTIFY:
		e.User = pick(g.Rand, append([]string{""}, g.Logins...)...)
	case schemas.Kind_KIND_CONSENT:
		e.Choice = pick(g.Rand, schemas.Choice_CHOICE_UNSPECIFIED, schemas.Choice_CHOICE_GRANTED, schemas.Choice_CHOICE_GRANTED,
			schemas.Choice_CHOICE_GRANTED, schemas.Choice_CHOICE_DENIED)
	case schemas.Kind_KIND_ERASURE:
		e.Erasure = &schemas.Erasure{Login: pick(g.Rand, append([]string{"", ""}, g.Logins...)...)}
		e.Received = g.clock - pick(g.Rand, int64(0), 0, 1, 3, 1_000_000, 10_000_000) // not always sent in order
	case schemas.Kind_KIND_ACTION:
		e.Action = &schemas.Action{
			Campaign: pick(g.Rand, "c1", "c1", "c2", "c3"), Cause: int64(len(g.made)) - g.Rand.Int64N(9), Cap: pick(g.Rand, int32(0), 1, 2),
			Again: pick(g.Rand, 0, 30*minute, int64(day)), ExitOnBooking: g.chance(2), Control: g.chance(9),
		}
	}
	g.near(e)
	g.made = append(g.made, e)
	return proto.Clone(e).(*schemas.Event)
}

// id is a new message id, now and then a long one.
func (g *Events) id() string {
	id := fmt.Sprint("m", len(g.made))
	if g.chance(9) {
		id += strings.Repeat("x", 240)
	}
	return id
}

// time is mostly beside the event before: at the ends of a minute, of a session's
// silence, of a day; now and then far away, before or after.
func (g *Events) time() int64 {
	switch g.Rand.IntN(12) {
	case 0:
		g.last += pick(g.Rand, int64(-1), 1) * g.Rand.Int64N(40*day)
	case 1:
		g.last = g.last/day*day + pick(g.Rand, int64(0), 6, 12, 18, 24)*60*minute - pick(g.Rand, int64(0), 1)
	case 2:
		g.last = g.last/minute*minute + pick(g.Rand, int64(0), minute-1, minute)
	default:
		step := pick(g.Rand, 0, 1, minute, 7*minute, 30*minute-1, 30*minute, 30*minute+1, 31*minute, g.Rand.Int64N(20*minute))
		g.last += pick(g.Rand, int64(-1), 1, 1) * step
	}
	g.last = min(max(g.last, 0), 4_000_000_000_000_000)
	return g.last
}

// kind is each kind of the schema alike, but for few erasures.
func (g *Events) kind() schemas.Kind {
	kinds := schemas.Kind(0).Descriptor().Values()
	k := schemas.Kind(kinds.Get(1 + g.Rand.IntN(kinds.Len()-1)).Number())
	if k == schemas.Kind_KIND_ERASURE && !g.chance(g.calm) {
		k = schemas.Kind_KIND_OFFER_VIEW
	}
	return k
}

// near moves what is measured against something else to where it makes a difference.
func (g *Events) near(e *schemas.Event) {
	if s := e.Search; s != nil && s.Depart != 0 && !g.chance(4) {
		s.Depart = int32(e.Time/day) + pick(g.Rand, int32(-1), 0, 1, 6, 7, 29, 30, 89, 90, 179, 180, 400)
	}
}

// fill sets fields of a message: about two thirds of them.
func (g *Events) fill(m protoreflect.Message) {
	fields := m.Descriptor().Fields()
	for i := range fields.Len() {
		f := fields.Get(i)
		switch {
		case g.chance(3):
		case f.IsList():
			list := m.Mutable(f).List()
			for _, v := range g.list(f) {
				list.Append(v)
			}
		case f.Message() != nil:
			g.fill(m.Mutable(f).Message())
		default:
			m.Set(f, g.value(f))
		}
	}
}

// list gives up to three values, enumerated ones ascending as the log has them.
func (g *Events) list(f protoreflect.FieldDescriptor) (vs []protoreflect.Value) {
	if f.Enum() == nil {
		for range g.Rand.IntN(4) {
			vs = append(vs, g.value(f))
		}
		return vs
	}
	for i := 1; i < f.Enum().Values().Len(); i++ {
		if g.chance(4) {
			vs = append(vs, protoreflect.ValueOfEnum(f.Enum().Values().Get(i).Number()))
		}
	}
	return vs
}

// value is one value of a field, by its type and in some cases its name.
func (g *Events) value(f protoreflect.FieldDescriptor) protoreflect.Value {
	switch f.Kind() {
	case protoreflect.EnumKind:
		return protoreflect.ValueOfEnum(f.Enum().Values().Get(g.Rand.IntN(f.Enum().Values().Len())).Number())
	case protoreflect.BoolKind:
		return protoreflect.ValueOfBool(g.chance(2))
	case protoreflect.StringKind:
		return protoreflect.ValueOfString(g.text(string(f.Name())))
	case protoreflect.Int32Kind, protoreflect.Sint32Kind:
		return protoreflect.ValueOfInt32(pick(g.Rand, small(f)...))
	case protoreflect.Int64Kind:
		return protoreflect.ValueOfInt64(pick(g.Rand, 1, 99, 100, 4999, 5000, 9999, 10_000, 19_999, 20_000, 39_999, 40_000, 79_999, 80_000,
			159_999, 160_000, 319_999, 320_000, g.Rand.Int64N(1_000_000_000_000)))
	case protoreflect.BytesKind:
		return protoreflect.ValueOfBytes([]byte{byte(g.Rand.IntN(256))})
	case protoreflect.DoubleKind:
		return protoreflect.ValueOfFloat64(g.Rand.Float64())
	}
	panic(fmt.Sprintf("no event has had a field like %s: say here how to fill it", f.FullName()))
}

func small(f protoreflect.FieldDescriptor) []int32 {
	switch f.Name() {
	case "stars":
		return []int32{1, 19, 20, 29, 30, 39, 40, 49, 50, 51, 70}
	case "nights":
		return []int32{1, 3, 4, 6, 7, 9, 10, 13, 14, 400}
	case "adults", "children":
		return []int32{0, 1, 1, 2, 2, 3, 9}
	case "latitude", "longitude":
		return []int32{-179_999_999, -1, 0, 54_907_000}
	}
	return []int32{1, 2, 30, 20_000, 2_000_000_000}
}

func (g *Events) text(field string) string {
	switch {
	case field == "currency":
		return pick(g.Rand, "EUR", "EUR", "CHF", "JPY")
	case strings.HasSuffix(field, "destination"):
		return pick(g.Rand, "Sylt", "Wien", "Südtirol=a|b")
	case field == "id" || field == "offer" || field == "offers":
		return pick(g.Rand, "h1", "h2", "h3", strings.Repeat("h", 250))
	case field == "properties":
		return `{"room":"sea"}`
	}
	return pick(g.Rand, "x", field, strings.Repeat(field, 9))
}
