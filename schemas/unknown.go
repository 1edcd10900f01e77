package schemas

import (
	"bytes"

	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
)

// less is what must be merged into known to get the event of a value back, byte
// for byte, by this release and by any other: fields that this one does not know,
// numbers of enumerations that it does not know, whatever else was normalised
// away. ok is false where there is no such event.
func less(value []byte, known *Event) (rest []byte, ok bool) {
	whole := new(Event)
	if proto.Unmarshal(value, whole) != nil || !ascending(value, whole.ProtoReflect().Descriptor()) {
		return nil, false
	}
	more := new(Event)
	if !subtract(whole.ProtoReflect(), known.ProtoReflect(), more.ProtoReflect()) {
		return nil, false
	}
	rest, err := proto.MarshalOptions{Deterministic: true}.Marshal(more)
	if err != nil {
		return nil, false
	}
	back, err := join(known, rest)
	if err != nil {
		return nil, false
	}
	again, err := proto.MarshalOptions{Deterministic: true}.Marshal(back)
	return rest, err == nil && bytes.Equal(again, value)
}

// join is the event that the columns and what they do not say make together. It
// shares no memory with either.
func join(known *Event, rest []byte) (*Event, error) {
	e := proto.Clone(known).(*Event)
	if err := (proto.UnmarshalOptions{Merge: true}).Unmarshal(rest, e); err != nil {
		return nil, err
	}
	return e, nil
}

// subtract puts into more what whole says and known does not. It fails where
// known says what whole does not, since to merge takes nothing away.
func subtract(whole, known, more protoreflect.Message) (ok bool) {
	more.SetUnknown(whole.GetUnknown())
	ok = true
	known.Range(func(f protoreflect.FieldDescriptor, _ protoreflect.Value) bool {
		ok = whole.Has(f)
		return ok
	})
	whole.Range(func(f protoreflect.FieldDescriptor, v protoreflect.Value) bool {
		ok = ok && subtractField(f, v, known, more)
		return ok
	})
	return ok
}

func subtractField(f protoreflect.FieldDescriptor, v protoreflect.Value, known, more protoreflect.Message) bool {
	switch {
	case f.IsList():
		had := known.Get(f).List()
		if had.Len() > v.List().Len() {
			return false
		}
		for i := range v.List().Len() {
			if x := v.List().Get(i); i >= had.Len() {
				more.Mutable(f).List().Append(x)
			} else if !x.Equal(had.Get(i)) {
				return false
			}
		}
		return true
	case f.Message() != nil:
		part := more.NewField(f).Message()
		if !subtract(v.Message(), known.Get(f).Message(), part) {
			return false
		}
		if part.IsValid() && (!known.Has(f) || !empty(part)) {
			more.Set(f, protoreflect.ValueOfMessage(part))
		}
		return true
	default:
		if !v.Equal(known.Get(f)) {
			more.Set(f, v)
		}
		return true
	}
}

// empty says that a message says nothing.
func empty(m protoreflect.Message) bool {
	said := len(m.GetUnknown()) > 0
	m.Range(func(protoreflect.FieldDescriptor, protoreflect.Value) bool {
		said = true
		return false
	})
	return !said
}

// ascending says that the fields of a message, and of the messages in it, come in
// the order of their numbers: so every release writes them, whatever it knows.
func ascending(b []byte, d protoreflect.MessageDescriptor) bool {
	var last protowire.Number
	ok := true
	err := eachField(b, func(field protowire.Number, v []byte) error {
		ok = ok && field >= last
		last = field
		if f := d.Fields().ByNumber(field); ok && f != nil && f.Message() != nil {
			ok = ascending(v, f.Message())
		}
		return nil
	})
	return err == nil && ok
}
