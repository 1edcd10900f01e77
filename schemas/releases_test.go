package schemas_test

import (
	"bytes"
	"reflect"
	"testing"

	"fernweh/schemas"

	"github.com/apache/arrow/go/v15/arrow"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protodesc"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/descriptorpb"
	"google.golang.org/protobuf/types/dynamicpb"
	"pgregory.net/rapid"
)

// An older release knows the kinds below a number, the first so many values of
// any other enumeration, and the first so many fields of each message.
type olderRelease struct {
	kinds, values protoreflect.EnumNumber
	fields        protoreflect.FieldNumber
}

// read is what the older release makes of a message: what it does not know of an
// event is not in it.
func (o olderRelease) read(m schemas.Message, offset int64) schemas.Record {
	r := schemas.Record{Offset: offset, At: offset * 7}
	r.Read(m, 1)
	switch {
	case r.Event == nil:
		r = schemas.Record{Offset: offset, At: r.At, Cut: r.Cut, Message: m}
	case protoreflect.EnumNumber(r.Event.Kind) >= o.kinds:
		r.Event, r.Later = nil, true
	default:
		o.forget(r.Event.ProtoReflect())
	}
	return r
}

// forget takes from a message what the release does not know. What every release
// needs to take it for an event stays.
func (o olderRelease) forget(m protoreflect.Message) {
	m.Range(func(f protoreflect.FieldDescriptor, v protoreflect.Value) bool {
		needed := f.Parent().Name() == "Event" && f.Number() <= 7
		switch {
		case f.Number() > o.fields && !needed:
			m.Clear(f)
		case f.Enum() != nil && f.IsList():
			for i := range v.List().Len() {
				if v.List().Get(i).Enum() >= o.values {
					v.List().Truncate(i)
					break
				}
			}
		case f.Enum() != nil && f.Name() != "kind" && v.Enum() >= o.values:
			m.Clear(f)
		case f.Message() != nil:
			o.forget(v.Message())
		}
		return true
	})
}

// archiveOf is the rows that an archiver makes of records.
func archiveOf(records []schemas.Record) arrow.Record {
	b := schemas.NewRowBuilder()
	defer b.Release()
	for i := range records {
		b.Append(b.Row(&records[i]))
	}
	return b.Batch()
}

// TestWhatAnOlderArchiverDidNotKnowComesBack: an archiver of an older release takes
// what a newer one wrote. To the newer release, which reads the archive later,
// every record is what it is in the log, and its bytes are those of the log.
func TestWhatAnOlderArchiverDidNotKnowComesBack(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		older := olderRelease{
			kinds:  protoreflect.EnumNumber(rapid.IntRange(1, 16).Draw(t, "kinds known")),
			values: protoreflect.EnumNumber(rapid.IntRange(1, 12).Draw(t, "values known")),
			fields: protoreflect.FieldNumber(rapid.IntRange(1, 17).Draw(t, "fields known")),
		}
		var log, taken []schemas.Record
		for i := range rapid.IntRange(1, 5).Draw(t, "records") {
			newer := schemas.Record{Offset: int64(i), At: int64(i) * 7}
			e := oddEvent(t)
			value, err := proto.Marshal(e)
			if err != nil {
				t.Fatal(err)
			}
			m := schemas.Message{Key: []byte(e.Device), Value: value}
			if rapid.IntRange(0, 5).Draw(t, "of another make") == 0 {
				m.Headers = []schemas.Header{{Key: "trace", Value: nil}, {Key: "", Value: []byte{}}}
			}
			newer.Read(m, 1)
			log, taken = append(log, newer), append(taken, older.read(m, int64(i)))
		}
		batch := archiveOf(taken)
		defer batch.Release()
		reader := schemas.RowReader{Partitions: 1}
		if err := reader.Bind(batch); err != nil {
			t.Fatal(err)
		}
		for i, want := range log {
			var got schemas.Record
			if err := reader.Read(i, &got); err != nil {
				t.Fatal(err)
			}
			if got.Offset != want.Offset || got.At != want.At || got.Later != want.Later || !proto.Equal(got.Event, want.Event) {
				t.Fatalf("an archiver that knows %+v: the newer release reads\n%v\nin the log lies\n%v", older, got.Event, want.Event)
			}
			m, err := reader.Message(i)
			if err != nil || !reflect.DeepEqual(m, want.Message) {
				t.Fatalf("an archiver that knows %+v: the message is\n%+v, %v\nwas\n%+v", older, m, err, want.Message)
			}
		}
	})
}

// laterEvent is Event as a release after this one may have it: a field more in the
// event and in its context.
func laterEvent(t *testing.T) protoreflect.MessageDescriptor {
	t.Helper()
	file := protodesc.ToFileDescriptorProto(schemas.File_events_proto)
	for _, m := range file.MessageType {
		if name := m.GetName(); name == "Event" || name == "Context" {
			m.Field = append(m.Field, &descriptorpb.FieldDescriptorProto{
				Name: proto.String("added"), Number: proto.Int32(40), JsonName: proto.String("added"),
				Type: descriptorpb.FieldDescriptorProto_TYPE_STRING.Enum(), Label: descriptorpb.FieldDescriptorProto_LABEL_OPTIONAL.Enum(),
			})
		}
	}
	d, err := protodesc.NewFile(file, nil)
	if err != nil {
		t.Fatal(err)
	}
	return d.Messages().ByName("Event")
}

// TestWhatThisArchiverDoesNotKnowIsKept: a release after this one writes fields,
// values and kinds that this one does not know. In this one's archive they are
// whole, and beside the columns only, not the event a second time.
func TestWhatThisArchiverDoesNotKnowIsKept(t *testing.T) {
	later := laterEvent(t)
	known, err := proto.Marshal(fullEvent())
	if err != nil {
		t.Fatal(err)
	}
	e := dynamicpb.NewMessage(later)
	if err := proto.Unmarshal(known, e); err != nil {
		t.Fatal(err)
	}
	context := e.Mutable(later.Fields().ByName("context")).Message()
	set := func(m protoreflect.Message, field protoreflect.Name, v protoreflect.Value) {
		m.Set(m.Descriptor().Fields().ByName(field), v)
	}
	set(e, "added", protoreflect.ValueOf("in the event"))
	set(context, "added", protoreflect.ValueOf("in its context"))
	set(context, "device_class", protoreflect.ValueOfEnum(77))
	e.Mutable(later.Fields().ByName("offer")).Message().Mutable(
		later.Fields().ByName("offer").Message().Fields().ByName("styles")).List().Append(protoreflect.ValueOfEnum(300))
	value, err := proto.MarshalOptions{Deterministic: true}.Marshal(e)
	if err != nil {
		t.Fatal(err)
	}
	m := schemas.Message{Key: []byte(fullEvent().Device), Value: value}
	var r schemas.Record
	r.Read(m, 1)
	row := schemas.NewRowBuilder().Row(&r)
	if row.Raw != nil || len(row.Unknown) == 0 || len(row.Unknown) > 60 {
		t.Errorf("beside the columns lie %d bytes and %d raw ones, want only what this release does not know", len(row.Unknown), len(row.Raw))
	}
	batch := archiveOf([]schemas.Record{r})
	var reader schemas.RowReader
	if err := reader.Bind(batch); err != nil {
		t.Fatal(err)
	}
	got, err := reader.Message(0)
	if err != nil || !bytes.Equal(got.Value, value) {
		t.Errorf("the later release's event comes back as\n%x, %v\nwas\n%x", got.Value, err, value)
	}
	var read schemas.Record
	if err := reader.Read(0, &read); err != nil || !proto.Equal(read.Event, r.Event) || !read.More {
		t.Errorf("this release reads the row as\n%v, %v\nand the log as\n%v", read.Event, err, r.Event)
	}
}

// TestUnusualBytesAreKeptRaw: a message that no release would write so comes back
// to the byte all the same, and means what it means in the log.
func TestUnusualBytesAreKeptRaw(t *testing.T) {
	canonical, err := proto.MarshalOptions{Deterministic: true}.Marshal(fullEvent())
	if err != nil {
		t.Fatal(err)
	}
	device := []byte(fullEvent().Device)
	field := func(b []byte, n protowire.Number, v string) []byte {
		return protowire.AppendString(protowire.AppendTag(b, n, protowire.BytesType), v)
	}
	tests := []struct {
		name string
		m    schemas.Message
	}{
		{"a field twice", schemas.Message{Key: device, Value: field(bytes.Clone(canonical), 5, "again")}},
		{"fields in another order", schemas.Message{Key: device, Value: append(field(nil, 17, "{}"), canonical...)}},
		{"later fields in another order", schemas.Message{Key: device, Value: field(field(bytes.Clone(canonical), 50, "b"), 40, "a")}},
		{"another key", schemas.Message{Key: []byte("k"), Value: canonical}},
		{"no key", schemas.Message{Value: canonical}},
		{"headers", schemas.Message{Key: device, Value: canonical, Headers: []schemas.Header{{Key: "trace", Value: []byte("1")}, {Key: "null"}}}},
		{"a control record of a later release", schemas.Message{Headers: []schemas.Header{{Key: "fernweh-later", Value: []byte("9")}}, Value: []byte{1}}},
		{"an event of a later kind", schemas.Message{Key: device, Value: protowire.AppendVarint(protowire.AppendTag(bytes.Clone(canonical), 4, protowire.VarintType), 40)}},
		{"no event at all", schemas.Message{Key: []byte{0xff}, Value: []byte("\xff\x00garbage")}},
		{"empty", schemas.Message{Key: []byte{}, Value: []byte{}}},
		{"nothing", schemas.Message{}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			want := schemas.Record{Partition: 3, Offset: 9, At: 5}
			want.Read(tt.m, 1)
			batch := archiveOf([]schemas.Record{want})
			reader := schemas.RowReader{Partition: 3}
			if err := reader.Bind(batch); err != nil {
				t.Fatal(err)
			}
			m, err := reader.Message(0)
			if err != nil || !reflect.DeepEqual(m, tt.m) {
				t.Errorf("comes back as %+v, %v, was %+v", m, err, tt.m)
			}
			var got schemas.Record
			if err := reader.Read(0, &got); err != nil {
				t.Fatal(err)
			}
			at := schemas.Record{Offset: 9, At: 5}
			at.Read(tt.m, 1)
			if !proto.Equal(got.Event, at.Event) || got.Later != at.Later || got.Offset != 9 || got.At != 5 || got.Partition != 3 {
				t.Errorf("reads as %+v, the log as %+v", got, at)
			}
		})
	}
}

// TestRowsAreJudgedAgain: what an archiver of another FoldVersion took for an event
// is judged by today's rules: too long, misplaced, or not in the normal form.
func TestRowsAreJudgedAgain(t *testing.T) {
	long := fullEvent()
	long.Id = string(bytes.Repeat([]byte("x"), schemas.MaxID+1))
	odd := fullEvent()
	odd.Order.Currency = "euro"
	batch := archiveOf([]schemas.Record{{Event: long}, {Event: fullEvent()}, {Event: odd}})
	partition := schemas.Partition(fullEvent().Device, 5)
	for _, tt := range []struct {
		name      string
		again     bool
		partition int32
		want      [3]bool
	}{
		{"archived under today's rules", false, partition, [3]bool{true, true, true}},
		{"archived under others", true, partition, [3]bool{false, true, true}},
		{"of another partition", true, (partition + 1) % 5, [3]bool{}},
	} {
		reader := schemas.RowReader{Partition: tt.partition, Partitions: 5, Again: tt.again}
		if err := reader.Bind(batch); err != nil {
			t.Fatal(err)
		}
		for i, want := range tt.want {
			var r schemas.Record
			if err := reader.Read(i, &r); err != nil {
				t.Fatal(err)
			}
			if (r.Event != nil) != want {
				t.Errorf("%s: row %d is read as %v", tt.name, i, r.Event)
			}
			if i == 2 && tt.again && want && r.Event.Order.Currency != "" {
				t.Errorf("%s: the currency %q is not in the normal form", tt.name, r.Event.Order.Currency)
			}
		}
	}
}
