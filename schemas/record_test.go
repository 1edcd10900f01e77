package schemas_test

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"

	"fernweh/schemas"

	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"pgregory.net/rapid"
)

const partitions = 3

// least is an event with nothing but what it must have.
func least() *schemas.Event {
	return &schemas.Event{Id: "m", Device: "d", Kind: schemas.Kind_KIND_PAGE, Time: 1, Received: 2}
}

// whole is least with all parts.
func whole() *schemas.Event {
	e := least()
	e.Context, e.Search, e.Offer = new(schemas.Context), new(schemas.Search), new(schemas.Offer)
	e.Order, e.Placement, e.Erasure = new(schemas.Order), new(schemas.Placement), new(schemas.Erasure)
	e.Action = &schemas.Action{Campaign: "c"}
	return e
}

// read reads the bytes of an event in its own partition.
func read(t interface{ Fatal(...any) }, e *schemas.Event, unknown ...byte) schemas.Record {
	b, err := proto.Marshal(e)
	if err != nil {
		t.Fatal(err)
	}
	r := schemas.Record{Partition: schemas.Partition(e.Device, partitions), Offset: 10}
	r.Read(schemas.Message{Value: append(b, unknown...)}, partitions)
	return r
}

// textBounds are the bounds that docs/formats/topics.md states, in bytes.
var textBounds = map[string]int{
	"id": 256, "device": 256, "user": 256, "name": 256, "source": 256, "properties": 262144,
	"context.path": 1024, "context.title": 512, "context.referrer": 256, "context.campaign_source": 256,
	"context.campaign_medium": 256, "context.campaign_name": 256, "context.locale": 64, "context.timezone": 64,
	"context.library": 256, "search.destination": 256, "search.filters": 256, "search.query": 512,
	"offer.id": 256, "offer.destination": 256, "offer.currency": 64, "order.id": 256, "order.currency": 64,
	"order.offers": 256, "placement.slot": 256, "placement.offer": 256, "placement.decision": 256, "placement.arm": 256,
	"erasure.login": 256, "action.campaign": 256, "action.version": 256,
}

// eachField calls fn with every field of an event, those of its parts too.
func eachField(e *schemas.Event, fn func(name string, in protoreflect.Message, f protoreflect.FieldDescriptor)) {
	var walk func(prefix string, m protoreflect.Message)
	walk = func(prefix string, m protoreflect.Message) {
		fields := m.Descriptor().Fields()
		for i := range fields.Len() {
			f := fields.Get(i)
			if f.Message() != nil {
				walk(string(f.Name())+".", m.Mutable(f).Message())
				continue
			}
			fn(prefix+string(f.Name()), m, f)
		}
	}
	walk("", e.ProtoReflect())
}

// TestEveryTextIsBounded steps over each bound: at it an event is taken, at the
// door and from the log; one byte above it is refused by name, and left out.
func TestEveryTextIsBounded(t *testing.T) {
	seen := 0
	eachField(whole(), func(name string, _ protoreflect.Message, field protoreflect.FieldDescriptor) {
		if field.Kind() != protoreflect.StringKind {
			return
		}
		seen++
		most, stated := textBounds[name]
		if !stated {
			t.Errorf("%s has no stated bound", name)
		}
		for _, n := range []int{most, most + 1} {
			e := whole()
			eachField(e, func(other string, in protoreflect.Message, f protoreflect.FieldDescriptor) {
				text := protoreflect.ValueOfString(strings.Repeat("x", n))
				if other == name && f.IsList() {
					in.Mutable(f).List().Append(text)
				} else if other == name {
					in.Set(f, text)
				}
			})
			err, taken := e.Check(), read(t, e).Event != nil
			if taken != (n == most) || (err == nil) != taken {
				t.Errorf("%s of %d bytes: Check says %v, read: %t", name, n, err, taken)
			}
			if err != nil && (!strings.Contains(err.Error(), name) || !strings.Contains(err.Error(), fmt.Sprint(most)) ||
				!strings.Contains(err.Error(), fmt.Sprint(n))) {
				t.Errorf("%s of %d bytes: the error does not say so: %v", name, n, err)
			}
		}
	})
	if seen != len(textBounds) {
		t.Errorf("%d texts, and %d have a stated bound", seen, len(textBounds))
	}
}

// TestListsAreBoundedAsAWhole: 262,144 bytes, each text with one more than it has.
func TestListsAreBoundedAsAWhole(t *testing.T) {
	for _, n := range []int{262144, 262145} {
		list := slices.Repeat([]string{""}, n)
		filters, offers := whole(), whole()
		filters.Search.Filters, offers.Order.Offers = list, list
		for name, e := range map[string]*schemas.Event{"search.filters": filters, "order.offers": offers} {
			err, taken := e.Check(), read(t, e).Event != nil
			if want := n == 262144; taken != want || (err == nil) != want || err != nil && !strings.Contains(err.Error(), name) {
				t.Errorf("%s of %d bytes: Check says %v, read: %t", name, n, err, taken)
			}
		}
	}
}

// TestTextThatIsNotUTF8 is refused by the door and left out by readers.
func TestTextThatIsNotUTF8(t *testing.T) {
	eachField(whole(), func(name string, _ protoreflect.Message, field protoreflect.FieldDescriptor) {
		if field.Kind() != protoreflect.StringKind {
			return
		}
		e := whole()
		eachField(e, func(other string, in protoreflect.Message, f protoreflect.FieldDescriptor) {
			if bad := protoreflect.ValueOfString("a\xff"); other == name && f.IsList() {
				in.Mutable(f).List().Append(bad)
			} else if other == name {
				in.Set(f, bad)
			}
		})
		if err := e.Check(); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: got %v, want an error that names it", name, err)
		}
	})
	var r schemas.Record
	r.Read(schemas.Message{Value: []byte("\x0a\x02a\xff\x12\x01d\x20\x01")}, 1)
	if r.Event != nil {
		t.Error("an id that is not UTF-8 was read")
	}
}

// TestEnumerationsKeepWhatIsKnown walks over all values of a byte and some
// beyond. A value that is not known is as if it were not said; an event of a kind
// that is not known is none, and perhaps one of a later release.
func TestEnumerationsKeepWhatIsKnown(t *testing.T) {
	numbers := []protoreflect.EnumNumber{math.MinInt32, -1, 300, 1 << 20, math.MaxInt32}
	for n := range protoreflect.EnumNumber(256) {
		numbers = append(numbers, n)
	}
	eachField(whole(), func(name string, _ protoreflect.Message, field protoreflect.FieldDescriptor) {
		if field.Enum() == nil || field.IsList() {
			return
		}
		for _, n := range numbers {
			known := field.Enum().Values().ByNumber(n) != nil
			e := whole()
			eachField(e, func(other string, in protoreflect.Message, f protoreflect.FieldDescriptor) {
				if other == name {
					in.Set(f, protoreflect.ValueOfEnum(n))
				}
			})
			get := func(e *schemas.Event) (got protoreflect.EnumNumber) {
				eachField(e, func(other string, in protoreflect.Message, f protoreflect.FieldDescriptor) {
					if other == name {
						got = in.Get(f).Enum()
					}
				})
				return got
			}
			r := read(t, e)
			if name == "kind" {
				if want := known && n > 0; (r.Event != nil) != want || (e.Check() == nil) != want {
					t.Errorf("kind %d: read %t, Check says %v", n, r.Event != nil, e.Check())
				}
				if want := !known && n > 0 && n < 64; r.Later != want {
					t.Errorf("kind %d: may be of a later release: got %t, want %t", n, r.Later, want)
				}
				continue
			}
			want := n
			if !known {
				want = 0
			}
			if r.Event == nil || get(r.Event) != want || r.More != !known {
				t.Errorf("%s %d: reads as %v, more: %t", name, n, r.Event, r.More)
			}
		}
	})
}

// TestNumbersWithinTheirBounds steps over the bounds of every number: what
// cannot be meant is as if it were not said.
func TestNumbersWithinTheirBounds(t *testing.T) {
	bounds := map[string]struct{ least, most, unsaid int64 }{
		"search.depart": {0, 2932896, 0}, "search.nights": {0, 1000, 0}, "search.adults": {0, 1000, 0},
		"search.children": {0, 1000, 0}, "search.results": {-1, 1e9, -1},
		"offer.latitude": {-90e6, 90e6, 0}, "offer.longitude": {-180e6, 180e6, 0}, "offer.stars": {0, 70, 0},
		"offer.price": {0, 2e13, 0}, "offer.quantity": {0, 1e9, 0}, "order.amount": {0, 2e13, 0},
	}
	eachField(whole(), func(name string, _ protoreflect.Message, field protoreflect.FieldDescriptor) {
		var value func(int64) protoreflect.Value
		least, most := int64(math.MinInt64), int64(math.MaxInt64)
		switch field.Kind() {
		case protoreflect.Int64Kind:
			value = func(n int64) protoreflect.Value { return protoreflect.ValueOfInt64(n) }
		case protoreflect.Int32Kind, protoreflect.Sint32Kind:
			value = func(n int64) protoreflect.Value { return protoreflect.ValueOfInt32(int32(n)) }
			least, most = math.MinInt32, math.MaxInt32
		default:
			return
		}
		b, stated := bounds[name]
		if name == "time" || name == "received" || strings.HasPrefix(name, "action.") {
			return // TestEventsThatLackSomething
		}
		if !stated {
			t.Errorf("%s has no stated bounds", name)
		}
		for _, n := range []int64{b.least, b.most, b.least - 1, b.most + 1, least, most} {
			e := whole()
			eachField(e, func(other string, in protoreflect.Message, f protoreflect.FieldDescriptor) {
				if other == name {
					in.Set(f, value(n))
				}
			})
			inside := n >= b.least && n <= b.most
			want := n
			if !inside {
				want = b.unsaid
			}
			r := read(t, e)
			if r.Event == nil {
				t.Fatalf("%s %d: the event is left out", name, n)
			}
			eachField(r.Event, func(other string, in protoreflect.Message, f protoreflect.FieldDescriptor) {
				if other == name && in.Get(f).Int() != want {
					t.Errorf("%s %d: reads as %d, want %d", name, n, in.Get(f).Int(), want)
				}
			})
			if r.More == inside {
				t.Errorf("%s %d: more: got %t", name, n, r.More)
			}
		}
	})
}

func TestEventsThatLackSomething(t *testing.T) {
	tests := map[string]struct {
		change func(*schemas.Event)
		want   string // in the error; empty: it is taken
	}{
		"nothing":              {func(*schemas.Event) {}, ""},
		"device":               {func(e *schemas.Event) { e.Device = "" }, "no device"},
		"id":                   {func(e *schemas.Event) { e.Id = "" }, "no id"},
		"first time":           {func(e *schemas.Event) { e.Time = 0 }, ""},
		"before 1970":          {func(e *schemas.Event) { e.Time = -1 }, "impossible time"},
		"last time":            {func(e *schemas.Event) { e.Time = 253402300799999999 }, ""},
		"year 10000":           {func(e *schemas.Event) { e.Time = 253402300800000000 }, "impossible time"},
		"received before 1970": {func(e *schemas.Event) { e.Received = -1 }, "received"},
		"no campaign":          {func(e *schemas.Event) { e.Kind = 16 }, "no campaign"},
		"cause":                {func(e *schemas.Event) { e.Action = &schemas.Action{Cause: -1} }, "cause -1"},
		"cap":                  {func(e *schemas.Event) { e.Action = &schemas.Action{Cap: -1} }, "cap -1"},
		"again":                {func(e *schemas.Event) { e.Action = &schemas.Action{Again: -1} }, "again after -1"},
		"again year 10000":     {func(e *schemas.Event) { e.Action = &schemas.Action{Again: 253402300800000000} }, "again after"},
		"received year 10000":  {func(e *schemas.Event) { e.Received = 253402300800000000 }, "received"},
	}
	for name, tt := range tests {
		e := least()
		tt.change(e)
		err := e.Check()
		if (err == nil) != (tt.want == "") || err != nil && !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: got %v, want %q", name, err, tt.want)
		}
		if got := read(t, e).Event != nil; got != (tt.want == "") {
			t.Errorf("%s: read: %t", name, got)
		}
	}
}

func TestStylesAscendEachOnce(t *testing.T) {
	tests := []struct {
		name      string
		have, got []schemas.Style
		more      bool
	}{
		{"in order", []schemas.Style{1, 5, 11}, []schemas.Style{1, 5, 11}, false},
		{"out of order", []schemas.Style{5, 1}, []schemas.Style{1, 5}, true},
		{"twice", []schemas.Style{5, 5, 1, 5}, []schemas.Style{1, 5}, true},
		{"of a later release", []schemas.Style{3, 12, 40}, []schemas.Style{3}, true},
		{"what the archive has no bit for", []schemas.Style{2, 31, 32, 33}, []schemas.Style{2}, true},
		{"none, and less than none", []schemas.Style{0, -1, 4}, []schemas.Style{4}, true},
		{"nothing known", []schemas.Style{99}, nil, true},
	}
	for _, tt := range tests {
		e := whole()
		e.Offer.Styles = slices.Clone(tt.have)
		r := read(t, e)
		if r.Event == nil || !slices.Equal(r.Event.Offer.Styles, tt.got) || r.More != tt.more {
			t.Errorf("%s: %v reads as %v, more %t", tt.name, tt.have, r.Event.GetOffer().GetStyles(), r.More)
		}
	}
}

func TestCurrencyIsThreeCapitals(t *testing.T) {
	for have, want := range map[string]string{
		"": "", "EUR": "EUR", "AAA": "AAA", "ZZZ": "ZZZ", "eur": "", "EU": "", "EURO": "", "E R": "", "E1R": "", "@EU": "", "EU[": "", "€": "",
	} {
		e := whole()
		e.Offer.Currency, e.Order.Currency = have, have
		r := read(t, e)
		if r.Event == nil || r.Event.Offer.Currency != want || r.Event.Order.Currency != want || r.More != (have != want) {
			t.Errorf("%q reads as %v, more: %t", have, r.Event, r.More)
		}
	}
}

// TestFieldsOfALaterRelease: an event with a field that this release does not
// know, in any part of it, is taken, and says that there is more in its bytes.
func TestFieldsOfALaterRelease(t *testing.T) {
	unknown := protowire.AppendString(protowire.AppendTag(nil, 900, protowire.BytesType), "of a later release")
	if r := read(t, whole()); r.More || r.Event == nil {
		t.Errorf("an event of this release: got %v, more %t", r.Event, r.More)
	}
	messages := []func(*schemas.Event) proto.Message{func(e *schemas.Event) proto.Message { return e }}
	fields := whole().ProtoReflect().Descriptor().Fields()
	for i := range fields.Len() {
		if f := fields.Get(i); f.Message() != nil {
			messages = append(messages, func(e *schemas.Event) proto.Message { return e.ProtoReflect().Mutable(f).Message().Interface() })
		}
	}
	for _, part := range messages {
		e := whole()
		m := part(e)
		m.ProtoReflect().SetUnknown(unknown)
		r := read(t, e)
		if r.Event == nil || !r.More {
			t.Errorf("unknown field in %s: got %v, more %t", m.ProtoReflect().Descriptor().Name(), r.Event, r.More)
		}
		if !strings.Contains(string(r.Message.Value), "of a later release") {
			t.Errorf("unknown field in %s: the record has lost its bytes", m.ProtoReflect().Descriptor().Name())
		}
	}
}

// oddEvent draws an event as a producer of another make could write it: any
// numbers and values of enumerations, styles in any order.
func oddEvent(t *rapid.T) *schemas.Event {
	e := anyEvent(t)
	eachField(e, func(name string, in protoreflect.Message, f protoreflect.FieldDescriptor) {
		if !rapid.Bool().Draw(t, "odd "+name) {
			return
		}
		switch {
		case f.Enum() != nil && f.IsList():
			for _, n := range rapid.SliceOfN(rapid.Int32Range(-2, 40), 0, 5).Draw(t, name) {
				in.Mutable(f).List().Append(protoreflect.ValueOfEnum(protoreflect.EnumNumber(n)))
			}
		case f.Enum() != nil:
			in.Set(f, protoreflect.ValueOfEnum(protoreflect.EnumNumber(rapid.Int32Range(-2, 300).Draw(t, name))))
		case f.Kind() == protoreflect.Int64Kind && !strings.HasPrefix(name, "action."):
			in.Set(f, protoreflect.ValueOfInt64(rapid.Int64().Draw(t, name)))
		case strings.HasSuffix(name, "currency"):
			in.Set(f, protoreflect.ValueOfString(rapid.StringMatching("[A-Z]{3}").Draw(t, name)))
		}
	})
	e.Id, e.Device = "m"+e.Id, "d"+e.Device
	e.Kind = schemas.Kind(rapid.IntRange(1, len(schemas.Kind_name)-1).Draw(t, "kind"))
	e.Action.Campaign, e.Action.Cause, e.Action.Cap = "c", rapid.Int64Range(0, 9).Draw(t, "cause"), max(e.Action.Cap, 0)
	e.Time, e.Received = rapid.Int64Range(0, schemas.MaxTime).Draw(t, "time"), rapid.Int64Range(0, schemas.MaxTime).Draw(t, "received")
	return e
}

// TestLogAndArchiveReadAlike: what a reader of the log makes of an event of any
// make is what the archive's columns give back, and reading it again changes
// nothing.
func TestLogAndArchiveReadAlike(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		r := read(t, oddEvent(t))
		if r.Event == nil {
			t.Skip("a text over its bound")
		}
		b := schemas.NewRowBuilder()
		defer b.Release()
		b.Append(b.Row(&r))
		batch := b.Batch()
		defer batch.Release()
		var rows schemas.RowReader
		if err := rows.Bind(batch); err != nil {
			t.Fatal(err)
		}
		var archived schemas.Record
		if err := rows.Read(0, &archived); err != nil {
			t.Fatal(err)
		}
		if !proto.Equal(archived.Event, r.Event) {
			t.Fatalf("the log's reader has\n%v\nthe archive's\n%v", r.Event, archived.Event)
		}
		if again := read(t, r.Event); again.More || !proto.Equal(again.Event, r.Event) {
			t.Fatalf("read again\n%v, more %t\nwant\n%v", again.Event, again.More, r.Event)
		}
	})
}

// TestCheckedEventsAreRead: what the door takes, every reader takes.
func TestCheckedEventsAreRead(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		e := oddEvent(t)
		if taken, err := read(t, e).Event != nil, e.Check(); taken != (err == nil) {
			t.Fatalf("Check says %v, read: %t", err, taken)
		}
	})
}
