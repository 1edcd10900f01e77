package schemas_test

import (
	"encoding/binary"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"fernweh/schemas"

	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"pgregory.net/rapid"
)

// What follows reads a record by docs/formats/topics.md and by the wire format of
// protobuf alone: it shares with what it judges neither the generated code nor a
// table.

// A said field is how one field of events.proto is written and what of it is kept.
type said struct {
	name  string // of the field, behind its part
	form  byte   // t text, i number, z zigzag number, e enumeration, b yes or no, p part
	many  bool
	least int64 // number: what can be meant; enumeration: 0
	most  int64 // number: what can be meant; enumeration: the last that is known; text: bytes
	none  int64 // number: what stands for one that cannot be meant
}

func text(name string, most int64) said { return said{name: name, form: 't', most: most} }

var saidFields = map[string]map[uint64]said{
	"": {
		1: text("id", 256), 2: text("device", 256), 3: text("user", 256), 4: {name: "kind", form: 'e', most: 16},
		5: text("name", 256), 6: {name: "time", form: 'i', most: 253402300799999999},
		7: {name: "received", form: 'i', most: 253402300799999999}, 8: text("source", 256),
		9: {name: "assumed_consent", form: 'b'}, 10: {name: "choice", form: 'e', most: 2},
		11: {name: "context", form: 'p'}, 12: {name: "search", form: 'p'}, 13: {name: "offer", form: 'p'},
		14: {name: "order", form: 'p'}, 15: {name: "placement", form: 'p'}, 16: {name: "erasure", form: 'p'},
		17: text("properties", 262144), 18: {name: "action", form: 'p'},
	},
	"context.": {
		1: text("path", 1024), 2: text("title", 512), 3: text("referrer", 256), 4: text("campaign_source", 256),
		5: text("campaign_medium", 256), 6: text("campaign_name", 256), 7: text("locale", 64), 8: text("timezone", 64),
		9: {name: "device_class", form: 'e', most: 4}, 10: text("library", 256),
	},
	"search.": {
		1: text("destination", 256), 2: {name: "depart", form: 'i', most: 2932896}, 3: {name: "nights", form: 'i', most: 1000},
		4: {name: "adults", form: 'i', most: 1000}, 5: {name: "children", form: 'i', most: 1000},
		6: {name: "filters", form: 't', many: true, most: 256}, 7: {name: "results", form: 'i', least: -1, most: 1e9, none: -1},
		8: text("query", 512),
	},
	"offer.": {
		1: text("id", 256), 2: {name: "kind", form: 'e', most: 6}, 3: text("destination", 256),
		4: {name: "latitude", form: 'z', least: -90e6, most: 90e6}, 5: {name: "longitude", form: 'z', least: -180e6, most: 180e6},
		6: {name: "styles", form: 'e', many: true, most: 11}, 7: {name: "stars", form: 'i', most: 70},
		8: {name: "price", form: 'i', most: 2e13}, 9: text("currency", 64), 10: {name: "available", form: 'e', most: 2},
		11: {name: "quantity", form: 'i', most: 1e9},
	},
	"order.": {
		1: text("id", 256), 2: {name: "amount", form: 'i', most: 2e13}, 3: text("currency", 64),
		4: {name: "offers", form: 't', many: true, most: 256},
	},
	"placement.": {1: text("slot", 256), 2: text("offer", 256), 3: text("decision", 256), 4: text("arm", 256)},
	"erasure.":   {1: text("login", 256)},
	"action.": {
		1: text("campaign", 256), 2: text("version", 256), 3: {name: "cause", form: 'i', most: 1<<63 - 1},
		4: {name: "cap", form: 'i', most: 1<<31 - 1}, 5: {name: "again", form: 'i', most: 253402300799999999},
		6: {name: "exit_on_booking", form: 'b'}, 7: {name: "control", form: 'b'},
	},
}

// wide are the numbers of 64 bits; all others have 32.
var wide = []string{"time", "received", "offer.price", "order.amount", "action.cause", "action.again"}

// A telling is what a message says: texts, numbers by the name of their field, a
// part's presence under its own name.
type telling struct {
	texts   map[string][]string
	numbers map[string][]int64
	more    bool // a field that is not known
}

// tell reads a message; not ok: it is none.
func (m *telling) tell(part string, b []byte) (ok bool) {
	for len(b) > 0 {
		number, typ, n := protowire.ConsumeTag(b)
		if n < 0 {
			return false
		}
		b = b[n:]
		f, known := saidFields[part][uint64(number)]
		if !known || !f.fits(typ) {
			n := protowire.ConsumeFieldValue(number, typ, b)
			if n < 0 {
				return false
			}
			m.more, b = true, b[n:]
			continue
		}
		if typ == protowire.VarintType {
			v, n := protowire.ConsumeVarint(b)
			if n < 0 {
				return false
			}
			m.number(part, f, v)
			b = b[n:]
			continue
		}
		v, n := protowire.ConsumeBytes(b)
		if n < 0 || !m.bytes(part, f, v) {
			return false
		}
		b = b[n:]
	}
	return true
}

func (f said) fits(typ protowire.Type) bool {
	if f.form == 't' || f.form == 'p' {
		return typ == protowire.BytesType
	}
	return typ == protowire.VarintType || f.many && typ == protowire.BytesType
}

func (m *telling) bytes(part string, f said, v []byte) bool {
	name := part + f.name
	switch f.form {
	case 'p':
		m.numbers[name] = []int64{1}
		return m.tell(f.name+".", v)
	case 't':
		if !f.many {
			m.texts[name] = nil
		}
		m.texts[name] = append(m.texts[name], string(v))
		return utf8.Valid(v)
	}
	for len(v) > 0 { // a packed list
		x, n := binary.Uvarint(v)
		if n <= 0 {
			return false
		}
		m.number(part, f, x)
		v = v[n:]
	}
	return true
}

func (m *telling) number(part string, f said, v uint64) {
	name, n := part+f.name, int64(v)
	switch {
	case f.form == 'b':
		n = 0
		if v != 0 {
			n = 1
		}
	case f.form == 'z':
		n = int64(int32(uint32(v)>>1) ^ -int32(v&1))
	case !slices.Contains(wide, name):
		n = int64(int32(v))
	}
	if !f.many {
		m.numbers[name] = nil
	}
	m.numbers[name] = append(m.numbers[name], n)
}

// judge applies the rules of the page: whether the event is taken, and what is
// left of what it says.
func (m *telling) judge(partition int32, offset int64) (taken bool) {
	one := func(name string) int64 { return append(m.numbers[name], 0)[0] }
	if len(m.texts["id"]) == 0 || m.texts["id"][0] == "" || len(m.texts["device"]) == 0 || m.texts["device"][0] == "" ||
		one("kind") < 1 || one("kind") > 16 || one("time") < 0 || one("time") > 253402300799999999 ||
		one("received") < 0 || one("received") > 253402300799999999 {
		return false
	}
	if one("action.cause") < 0 || one("action.cap") < 0 || one("action.again") < 0 || one("action.again") > 253402300799999999 {
		return false
	}
	if one("kind") == 16 && (one("action.cause") >= offset || len(m.texts["action.campaign"]) == 0 || m.texts["action.campaign"][0] == "") {
		return false
	}
	for part, fields := range saidFields {
		for _, f := range fields {
			room := 0
			for _, s := range m.texts[part+f.name] {
				room += len(s) + 1
				if int64(len(s)) > f.most {
					return false
				}
			}
			if f.many && room > 262144 {
				return false
			}
		}
	}
	if schemas.Partition(m.texts["device"][0], partitions) != partition { // TestPartitionIsKafkas
		return false
	}
	for part, fields := range saidFields {
		for _, f := range fields {
			m.keep(part, f)
		}
	}
	return true
}

func (m *telling) keep(part string, f said) {
	name := part + f.name
	if strings.HasSuffix(name, "currency") {
		if s := m.texts[name]; len(s) > 0 && s[0] != "" && (len(s[0]) != 3 || strings.ContainsFunc(s[0], func(r rune) bool { return r < 'A' || r > 'Z' })) {
			m.texts[name], m.more = nil, true
		}
	}
	if f.form == 't' || f.form == 'p' || f.form == 'b' {
		return
	}
	values := slices.Clone(m.numbers[name])
	for i, n := range values {
		if n < f.least || n > f.most {
			values[i] = f.none
		}
	}
	if f.many {
		slices.Sort(values)
		values = slices.DeleteFunc(slices.Compact(values), func(n int64) bool { return n == 0 })
	}
	m.more = m.more || !slices.Equal(values, m.numbers[name])
	m.numbers[name] = values
}

// told is what an event holds, in the same form.
func told(e *schemas.Event) *telling {
	m := &telling{texts: map[string][]string{}, numbers: map[string][]int64{}}
	var walk func(part string, x protoreflect.Message)
	walk = func(part string, x protoreflect.Message) {
		x.Range(func(f protoreflect.FieldDescriptor, v protoreflect.Value) bool {
			name := part + string(f.Name())
			each := func(v protoreflect.Value) {
				switch f.Kind() {
				case protoreflect.StringKind:
					m.texts[name] = append(m.texts[name], v.String())
				case protoreflect.EnumKind:
					m.numbers[name] = append(m.numbers[name], int64(v.Enum()))
				case protoreflect.BoolKind:
					m.numbers[name] = append(m.numbers[name], 1)
				case protoreflect.MessageKind:
					m.numbers[name] = []int64{1}
					walk(string(f.Name())+".", v.Message())
				default:
					m.numbers[name] = append(m.numbers[name], v.Int())
				}
			}
			if !f.IsList() {
				each(v)
				return true
			}
			for i := range v.List().Len() {
				each(v.List().Get(i))
			}
			return true
		})
	}
	walk("", e.ProtoReflect())
	return m
}

// tidy drops what says nothing, which protobuf does not write.
func (m *telling) tidy() *telling {
	maps.DeleteFunc(m.texts, func(name string, s []string) bool {
		return len(s) == 0 || len(s) == 1 && s[0] == "" && !strings.HasSuffix(name, "s")
	})
	maps.DeleteFunc(m.numbers, func(_ string, n []int64) bool { return len(n) == 0 || len(n) == 1 && n[0] == 0 })
	return m
}

// FuzzReadRecord holds Read against a second reader, which knows the
// documented rules and the wire format only.
func FuzzReadRecord(f *testing.F) {
	odd := whole()
	odd.Choice, odd.Context.DeviceClass, odd.Offer.Kind = 9, 77, 99
	odd.Offer.Styles, odd.Offer.Latitude, odd.Search.Results = []schemas.Style{40, 3, 3, 1, -1}, -91e6, -2
	odd.Order.Currency, odd.Order.Amount, odd.Search.Filters = "eur", -1, []string{"", "quiet"}
	far := least()
	far.Kind, far.User = 40, strings.Repeat("x", 257)
	for _, e := range []*schemas.Event{least(), whole(), odd, far} {
		b, _ := proto.Marshal(e)
		f.Add("", []byte(nil), b)
		f.Add("trace", []byte("1"), append(b, b...))
		f.Add("fernweh-cut", []byte("17"), b)
	}
	f.Add("fernweh-cut", []byte("-1"), []byte("x"))
	f.Add("fernweh-moon", []byte("1"), []byte(nil))
	f.Add("", []byte(nil), []byte("\x0a\x01m\x12\x01d\x20\x01\x98\x38\x01"))
	f.Fuzz(func(t *testing.T, header string, number, value []byte) {
		m := schemas.Message{Value: value}
		if header != "" {
			m.Headers = []schemas.Header{{Key: header, Value: number}}
		}
		for partition := range int32(partitions) {
			r := schemas.Record{Partition: partition, Offset: 10}
			r.Read(m, partitions)
			if err := differs(&r, header, number, value); err != nil {
				t.Fatalf("partition %d, header %q %q, value %x: %v", partition, header, number, value, err)
			}
		}
	})
}

// TestReadersAgree is the fuzz test's for bytes that mostly are events.
func TestReadersAgree(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		value, err := proto.Marshal(oddEvent(t))
		if err != nil {
			t.Fatal(err)
		}
		if rapid.IntRange(0, 9).Draw(t, "damage") == 0 {
			value[rapid.IntRange(0, len(value)-1).Draw(t, "at")] = rapid.Byte().Draw(t, "byte")
		}
		r := schemas.Record{Partition: rapid.Int32Range(0, partitions-1).Draw(t, "partition"), Offset: 10}
		r.Read(schemas.Message{Value: value}, partitions)
		if err := differs(&r, "", nil, value); err != nil {
			t.Fatalf("value %x: %v", value, err)
		}
	})
}

// differs says where a record is not what the page says of its bytes.
func differs(r *schemas.Record, header string, number, value []byte) error {
	if strings.HasPrefix(header, "fernweh-") {
		var cut int64
		if _, err := fmt.Sscanf(string(number), "%d", &cut); err != nil || fmt.Sprint(cut) != string(number) || cut < 0 || header != "fernweh-cut" {
			cut = 0
		}
		if r.Event != nil || r.Cut != cut {
			return fmt.Errorf("a control record reads as event %v, cut %d, want cut %d", r.Event, r.Cut, cut)
		}
		return nil
	}
	want := &telling{texts: map[string][]string{}, numbers: map[string][]int64{}}
	taken := want.tell("", value) && want.judge(r.Partition, r.Offset)
	if taken != (r.Event != nil) || r.Cut != 0 || r.Control != nil {
		return fmt.Errorf("taken: got %t, want %t", r.Event != nil, taken)
	}
	if !taken {
		return nil
	}
	want.tidy()
	if got := told(r.Event).tidy(); !maps.EqualFunc(got.texts, want.texts, slices.Equal) || !maps.EqualFunc(got.numbers, want.numbers, slices.Equal) {
		return fmt.Errorf("reads as\n%v\n%v\nwant\n%v\n%v", got.texts, got.numbers, want.texts, want.numbers)
	}
	if r.More != want.more {
		return fmt.Errorf("more than the event holds: got %t, want %t", r.More, want.more)
	}
	return nil
}
