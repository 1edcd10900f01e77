package schemas

import (
	"fmt"

	"github.com/apache/arrow/go/v15/arrow"
	"github.com/apache/arrow/go/v15/arrow/array"
	"google.golang.org/protobuf/proto"
)

// A RowReader puts rows of a record batch into records, as today's release reads
// them: whatever the archiver understood of them, what it kept is read anew. What
// it fills it overwrites with the next row: nothing of the event may be kept but
// its strings.
type RowReader struct {
	Partition  int32 // of the file
	Partitions int32 // of the topic; 0: not known, and every device lies where it should
	Again      bool  // the archiver was of another FoldVersion: what it took for an event is judged again

	set          []func(i int, r *Record)
	parts        bool // the batch says which parts an event has
	unknown, raw *array.Binary
	event        scratch
}

// scratch is an event with all its parts.
type scratch struct {
	Event
	context   Context
	search    Search
	offer     Offer
	order     Order
	placement Placement
	erasure   Erasure
	action    Action
}

// whole is the event with all its parts.
func (s *scratch) whole() *Event {
	s.Context, s.Search, s.Offer = &s.context, &s.search, &s.offer
	s.Order, s.Placement, s.Erasure, s.Action = &s.order, &s.placement, &s.erasure, &s.action
	return &s.Event
}

// Bind makes the reader read the columns of a batch, found by name. Columns that
// the batch lacks leave their fields empty, whatever was read before.
func (rr *RowReader) Bind(batch arrow.Record) (err error) {
	rr.set = rr.set[:0]
	rr.event = scratch{}
	rr.parts = len(batch.Schema().FieldIndices(columnParts)) > 0
	for i := range columns {
		at := batch.Schema().FieldIndices(columns[i].name)
		if len(at) == 0 {
			continue
		}
		set := columns[i].bind(batch.Column(at[0]))
		if set == nil {
			return fmt.Errorf("column %s is %s, want %s", columns[i].name, batch.Column(at[0]).DataType(), columns[i].typ)
		}
		rr.set = append(rr.set, set)
	}
	if rr.unknown, err = binary(batch, ColumnUnknown); err != nil {
		return err
	}
	rr.raw, err = binary(batch, ColumnRaw)
	return err
}

// binary is a column of bytes; nil: the batch lacks it.
func binary(batch arrow.Record, name string) (*array.Binary, error) {
	at := batch.Schema().FieldIndices(name)
	if len(at) == 0 {
		return nil, nil
	}
	column, ok := batch.Column(at[0]).(*array.Binary)
	if !ok {
		return nil, fmt.Errorf("column %s is %s, want %s", name, batch.Column(at[0]).DataType(), arrow.BinaryTypes.Binary)
	}
	return column, nil
}

// at is the bytes in row i, if there are any: they may be empty.
func at(column *array.Binary, i int) (b []byte, there bool) {
	if column == nil || column.IsNull(i) {
		return nil, false
	}
	return column.Value(i), true
}

// columns fills r with what the columns of the event say.
func (rr *RowReader) columns(i int, r *Record) {
	*r = Record{Partition: rr.Partition, Event: rr.event.whole()}
	for _, set := range rr.set {
		set(i, r)
	}
	if !rr.parts {
		takeParts(r.Event, 0)
	}
}

// Read fills r with row i. r.Event stays the reader's own; it is nil where the row
// is no event to today's release.
func (rr *RowReader) Read(i int, r *Record) error {
	rr.columns(i, r)
	raw, whole := at(rr.raw, i)
	unknown, more := at(rr.unknown, i)
	switch {
	case whole:
		m, gap, err := parseMessage(raw)
		if err != nil {
			return fmt.Errorf("offset %d: column %s: %w", r.Offset, ColumnRaw, err)
		}
		*r = Record{Partition: r.Partition, Offset: r.Offset, At: r.At, Gap: gap}
		rr.judge(r, func(partitions int32) { r.Read(m, partitions) })
	case more:
		e, err := join(r.Event, unknown)
		if err != nil {
			return fmt.Errorf("offset %d: column %s: %w", r.Offset, ColumnUnknown, err)
		}
		rr.judge(r, func(partitions int32) { r.Take(e, partitions) })
	case rr.Again:
		rr.judge(r, func(partitions int32) { r.Take(r.Event, partitions) })
	}
	return nil
}

// judge lets a record be read; where the number of partitions is not known, as if
// there were one.
func (rr *RowReader) judge(r *Record, read func(partitions int32)) {
	if rr.Partitions > 0 {
		read(rr.Partitions)
		return
	}
	partition := r.Partition
	r.Partition = 0
	read(1)
	r.Partition = partition
}

// Message is the record of row i as it lay in the log, if the batch has all columns.
func (rr *RowReader) Message(i int) (Message, error) {
	if raw, whole := at(rr.raw, i); whole {
		m, _, err := parseMessage(raw)
		return m, err
	}
	var r Record
	rr.columns(i, &r)
	e := r.Event
	if unknown, more := at(rr.unknown, i); more {
		var err error
		if e, err = join(e, unknown); err != nil {
			return Message{}, err
		}
	}
	value, err := proto.MarshalOptions{Deterministic: true}.Marshal(e)
	return Message{Key: []byte(e.Device), Value: value}, err
}
