package schemas

import (
	"bytes"

	"github.com/apache/arrow/go/v15/arrow"
	"github.com/apache/arrow/go/v15/arrow/array"
	"github.com/apache/arrow/go/v15/arrow/memory"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
)

// An ArchiveRow is a record as the archive keeps it. Nothing of the record is lost: what
// the columns do not say of an event lies in Unknown, and where even that does
// not give the bytes back as they lay in the log, and for whatever is no event,
// the record lies in Raw as a whole.
type ArchiveRow struct {
	Record  *Record
	Unknown []byte // an Event of what the columns do not say, in protobuf; nil: they say all
	Raw     []byte // the record's message; nil: the columns and Unknown give it back
	Size    int64  // in bytes, of all columns
}

// A RowBuilder collects records as rows of the archive, and columns of them. Only
// one goroutine may use it.
type RowBuilder struct {
	columns *array.RecordBuilder
	known   scratch
	bytes   []byte
}

// NewRowBuilder makes a builder without rows.
func NewRowBuilder() *RowBuilder {
	return &RowBuilder{columns: array.NewRecordBuilder(memory.DefaultAllocator, ArchiveSchema())}
}

// nothing is what the columns of an event say of a record that is none.
var nothing = new(Event)

// Row says how a record is kept. It is good until the next call.
func (b *RowBuilder) Row(r *Record) ArchiveRow {
	row := ArchiveRow{Record: r}
	if r.Event == nil {
		row.Raw = appendMessage(nil, r.message(), r.Gap)
		row.Record = &Record{Partition: r.Partition, Offset: r.Offset, At: r.At, Event: nothing}
	} else {
		row.Unknown, row.Raw = b.rest(r)
	}
	texts := len(row.Record.Event.GetSearch().GetFilters()) + len(row.Record.Event.GetOrder().GetOffers())
	const perText = 4 // of a list, beside its bytes: where it ends
	row.Size = rowBytes + int64(proto.Size(row.Record.Event)+texts*perText+len(row.Unknown)+len(row.Raw))
	return row
}

// Append appends a row.
func (b *RowBuilder) Append(row ArchiveRow) {
	for i := range columns {
		columns[i].append(b.columns.Field(i), row.Record)
	}
	for i, bytes := range [][]byte{row.Unknown, row.Raw} {
		if to := b.columns.Field(len(columns) + i).(*array.BinaryBuilder); bytes == nil {
			to.AppendNull()
		} else {
			to.Append(bytes)
		}
	}
}

// Batch gives what was appended, and begins anew.
func (b *RowBuilder) Batch() arrow.Record { return b.columns.NewRecord() }

// Release lets go of the builder's memory.
func (b *RowBuilder) Release() { b.columns.Release() }

// rest is what of an event's message its columns do not say.
func (b *RowBuilder) rest(r *Record) (unknown, raw []byte) {
	b.project(r)
	known, err := proto.MarshalOptions{Deterministic: true}.MarshalAppend(b.bytes[:0], &b.known.Event)
	b.bytes = known
	m := r.message()
	if err == nil && bytes.Equal(known, m.Value) && m.plain(r.Event.Device) {
		return nil, nil
	}
	if m.plain(r.Event.Device) {
		if unknown, ok := less(m.Value, &b.known.Event); ok {
			return unknown, nil
		}
	}
	return nil, appendMessage(nil, m, false)
}

// project is what a reader gets back of the columns.
func (b *RowBuilder) project(r *Record) {
	b.known = scratch{}
	to := Record{Event: b.known.whole()}
	for i := range columns {
		columns[i].copy(r, &to)
	}
}

// message is the message that the record was read from; for one that was not read
// from the log, the one that it is written as.
func (r *Record) message() Message {
	m := r.Message
	switch {
	case m.Value != nil || m.Key != nil || m.Headers != nil:
	case r.Event != nil:
		// Text that is not UTF-8 cannot be marshalled, and is in no event of the log.
		m.Key = []byte(r.Event.Device)
		m.Value, _ = proto.MarshalOptions{Deterministic: true}.Marshal(r.Event)
	case r.Cut > 0:
		m.Headers = []Header{{HeaderCut, FormatNumber(r.Cut)}}
	case r.Control != nil:
		// One that is too large to be written was never in the log.
		m, _ = r.Control.Message()
	}
	return m
}

// plain says that there is nothing in the message beside the value of an event of
// the device.
func (m *Message) plain(device string) bool {
	return len(m.Headers) == 0 && string(m.Key) == device
}

// Fields of the raw column, a protobuf message: key 1, value 2, headers 3 (each
// key 1, value 2), gap 4. What is null is left out.
const (
	rawKey     protowire.Number = 1
	rawValue   protowire.Number = 2
	rawHeaders protowire.Number = 3
	rawGap     protowire.Number = 4
)

func appendMessage(b []byte, m Message, gap bool) []byte {
	b = appendBytes(b, rawKey, m.Key)
	b = appendBytes(b, rawValue, m.Value)
	for _, h := range m.Headers {
		header := appendBytes(nil, rawKey, []byte(h.Key))
		b = appendBytes(b, rawHeaders, appendBytes(header, rawValue, h.Value))
	}
	if gap {
		b = protowire.AppendVarint(protowire.AppendTag(b, rawGap, protowire.VarintType), 1)
	}
	if b == nil {
		return []byte{} // a record without anything is kept, too
	}
	return b
}

func appendBytes(b []byte, field protowire.Number, v []byte) []byte {
	if v == nil {
		return b
	}
	return protowire.AppendBytes(protowire.AppendTag(b, field, protowire.BytesType), v)
}

// parseMessage reads what appendMessage wrote. Fields of a later release are left out.
func parseMessage(b []byte) (m Message, gap bool, err error) {
	err = eachField(b, func(field protowire.Number, v []byte) error {
		switch field {
		case rawKey:
			m.Key = bytes.Clone(v)
		case rawValue:
			m.Value = bytes.Clone(v)
		case rawGap:
			gap = true
		case rawHeaders:
			var h Header
			m.Headers = append(m.Headers, h)
			last := &m.Headers[len(m.Headers)-1]
			return eachField(v, func(field protowire.Number, v []byte) error {
				switch field {
				case rawKey:
					last.Key = string(v)
				case rawValue:
					last.Value = bytes.Clone(v)
				}
				return nil
			})
		}
		return nil
	})
	return m, gap, err
}

// eachField calls take with each field of a protobuf message; v is the content
// of a field of bytes, else what stands there.
func eachField(b []byte, take func(field protowire.Number, v []byte) error) error {
	for len(b) > 0 {
		field, typ, n := protowire.ConsumeTag(b)
		if n < 0 {
			return protowire.ParseError(n)
		}
		b = b[n:]
		n = protowire.ConsumeFieldValue(field, typ, b)
		if n < 0 {
			return protowire.ParseError(n)
		}
		v := b[:n]
		if typ == protowire.BytesType {
			v, _ = protowire.ConsumeBytes(v)
		}
		if err := take(field, v); err != nil {
			return err
		}
		b = b[n:]
	}
	return nil
}
