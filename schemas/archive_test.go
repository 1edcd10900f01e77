package schemas_test

import (
	"fmt"
	"testing"

	"fernweh/schemas"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"pgregory.net/rapid"
)

// anyEvent draws an event with any of its fields and parts set, by reflection,
// so that a field that is added to events.proto is drawn without a change here.
func anyEvent(t *rapid.T) *schemas.Event {
	e := new(schemas.Event)
	drawMessage(t, e.ProtoReflect())
	return e
}

func drawMessage(t *rapid.T, m protoreflect.Message) {
	fields := m.Descriptor().Fields()
	for i := range fields.Len() {
		f := fields.Get(i)
		if !rapid.Bool().Draw(t, string(f.Name())+"?") {
			continue
		}
		if f.IsList() {
			drawList(t, f, m.Mutable(f).List())
		} else if f.Message() != nil {
			drawMessage(t, m.Mutable(f).Message())
		} else {
			m.Set(f, drawValue(t, f))
		}
	}
}

// drawList keeps the contract of events.proto for styles: ascending, each once.
func drawList(t *rapid.T, f protoreflect.FieldDescriptor, list protoreflect.List) {
	if f.Enum() == nil {
		for _, s := range rapid.SliceOfN(rapid.String(), 0, 3).Draw(t, string(f.Name())) {
			list.Append(protoreflect.ValueOf(s))
		}
		return
	}
	for n := 1; n < f.Enum().Values().Len(); n++ {
		if rapid.Bool().Draw(t, fmt.Sprint(f.Name(), n)) {
			list.Append(protoreflect.ValueOfEnum(protoreflect.EnumNumber(n)))
		}
	}
}

func drawValue(t *rapid.T, f protoreflect.FieldDescriptor) protoreflect.Value {
	name := string(f.Name())
	switch f.Kind() {
	case protoreflect.StringKind:
		return protoreflect.ValueOf(rapid.String().Draw(t, name))
	case protoreflect.BoolKind:
		return protoreflect.ValueOf(rapid.Bool().Draw(t, name))
	case protoreflect.Int64Kind:
		return protoreflect.ValueOf(rapid.Int64Range(0, schemas.MaxTime).Draw(t, name))
	case protoreflect.Int32Kind, protoreflect.Sint32Kind:
		return protoreflect.ValueOf(rapid.Int32().Draw(t, name))
	case protoreflect.EnumKind:
		return protoreflect.ValueOfEnum(protoreflect.EnumNumber(rapid.IntRange(0, f.Enum().Values().Len()-1).Draw(t, name)))
	}
	t.Fatalf("no values for field %s of kind %s", f.FullName(), f.Kind())
	return protoreflect.Value{}
}

// TestArchivedEventIsTheEvent: every field of every event survives the columns.
func TestArchivedEventIsTheEvent(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		b := schemas.NewRowBuilder()
		defer b.Release()
		var want []schemas.Record
		for i := range rapid.IntRange(1, 5).Draw(t, "events") {
			r := schemas.Record{Offset: int64(i), At: int64(i) * 7, Event: anyEvent(t)}
			b.Append(b.Row(&r))
			want = append(want, r)
		}
		batch := b.Batch()
		defer batch.Release()
		var rows schemas.RowReader
		if err := rows.Bind(batch); err != nil {
			t.Fatal(err)
		}
		for i, w := range want {
			var got schemas.Record
			if err := rows.Read(i, &got); err != nil {
				t.Fatal(err)
			}
			if got.Offset != w.Offset || got.At != w.At || !proto.Equal(got.Event, w.Event) {
				t.Fatalf("row %d:\ngot  %d %v\nwant %d %v", i, got.Offset, got.Event, w.Offset, w.Event)
			}
		}
	})
}

func TestSpanAccountsForEveryOffset(t *testing.T) {
	tests := []struct {
		name string
		span schemas.Span
		ok   bool
	}{
		{"events only", schemas.Span{First: 10, Next: 15, Rows: 5}, true},
		{"events and a cut", schemas.Span{First: 10, Next: 15, Rows: 4, Skipped: 1, Cut: 3}, true},
		{"a row for each offset, some of no event", schemas.Span{First: 10, Next: 15, Rows: 3, Raw: 2, Cut: 3, Bytes: 700, Fold: 1}, true},
		{"events, raw rows and offsets of v0.1.0 without a row", schemas.Span{First: 10, Next: 15, Rows: 2, Raw: 1, Skipped: 2}, true},
		{"a raw row too many", schemas.Span{First: 10, Next: 15, Rows: 5, Raw: 1}, false},
		{"a hole in spite of raw rows", schemas.Span{First: 10, Next: 15, Rows: 2, Raw: 2}, false},
		{"less than no rows", schemas.Span{First: 10, Next: 15, Rows: 6, Raw: -1}, false},
		{"a hole", schemas.Span{First: 10, Next: 15, Rows: 4}, false},
		{"too many rows", schemas.Span{First: 10, Next: 15, Rows: 6}, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			keys, values := tt.span.Footer()
			got, err := schemas.ParseSpan(func(key string) *string {
				for i := range keys {
					if keys[i] == key {
						return &values[i]
					}
				}
				return nil
			})
			if got != tt.span || (err == nil) != tt.ok {
				t.Errorf("footer of %+v reads as %+v, error %v", tt.span, got, err)
			}
		})
	}
}

// TestPartitionIsKafkas compares with the values that the tests of Kafka's Java
// client state for murmur2 (UtilsTest.testMurmur2).
func TestPartitionIsKafkas(t *testing.T) {
	hashes := map[string]int32{
		"21": -973932308, "foobar": -790332482, "a-little-bit-long-string": -985981536,
		"a-little-bit-longer-string": -1486304829, "lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8": -58897971, "abc": 479470107,
	}
	for device, hash := range hashes {
		const partitions = 1000003
		if got, want := schemas.Partition(device, partitions), (hash&0x7fffffff)%partitions; got != want {
			t.Errorf("device %q lies in partition %d, Kafka's client says %d", device, got, want)
		}
	}
}
