package schemas

import (
	"errors"

	"google.golang.org/protobuf/proto"
)

// A Message is a record's bytes as the log has them.
type Message struct {
	Key, Value []byte
	Headers    []Header
}

// A Header is one header of a message.
type Header struct {
	Key   string
	Value []byte
}

// A Record is one record of the event topic as every reader sees it: an event,
// a cut (Cut > 0), another control record, or, with none of them, bytes that all
// readers leave out.
type Record struct {
	Partition int32
	Offset    int64
	At        int64    // when the broker appended it, UTC microseconds
	Cut       int64    // number of the run that wrote this cut; 0: no cut
	Control   *Control // another control record than a cut
	Event     *Event   // in its normal form; nil: none, or not to be read

	Misplaced *Event  // an event that lies in another partition than its device's: all leave it out
	Later     bool    // left out: a release after this one may understand it
	More      bool    // the value says more than Event holds: of a later release, or normalised away
	Gap       bool    // no record: a marker of a transaction stands at this offset
	Message   Message // as it was read; empty where the record was not read from the log
}

// Read fills in what a message in r.Partition, one of so many, means. It is a
// pure function of its bytes, of when the broker appended it, and of the
// partition, so that every reader leaves out the same records: those that are
// neither a control record nor an event that Check lets through, and events that
// lie in another partition than their device's.
func (r *Record) Read(m Message, partitions int32) {
	r.Message = m
	r.At = min(max(r.At, 0), MaxTime)
	if name, value, is := controlHeader(m.Headers); is {
		r.readControl(name, value, m.Value)
		return
	}
	e := new(Event)
	if proto.Unmarshal(m.Value, e) == nil {
		r.Take(e, partitions)
	}
}

// Take judges an event that was decoded from the log or from the archive, and
// makes it the record's, in its normal form, if it is to be read. It changes e.
func (r *Record) Take(e *Event, partitions int32) {
	r.Event = nil
	switch {
	case e.Kind > Kind_KIND_UNSPECIFIED && e.Kind < Kinds && !known(Kind_name, e.Kind):
		r.Later = true
	case e.check() != nil:
	case e.Kind == Kind_KIND_ACTION && e.Action.Cause >= r.Offset: // it would end all that the campaign does later
	case Partition(e.Device, partitions) != r.Partition:
		r.Misplaced = e
	default:
		r.More = e.normalise() || e.unknown()
		r.Event = e
	}
}

// Readable says that the record means something to a reader of this release.
func (r *Record) Readable() bool {
	return r.Event != nil || r.Cut > 0 || r.Control != nil || r.Gap
}

// A DecisionRecord is one record of the topic of decisions as every reader sees it.
type DecisionRecord struct {
	Partition int32
	Offset    int64     // in the topic of decisions
	At        int64     // when the broker appended it, UTC microseconds
	Decision  *Decision // nil: unreadable, and left out by all readers
}

// Read fills in what the bytes of a record mean, by them alone: a decision with
// an id and a device, or nothing.
func (r *DecisionRecord) Read(value []byte) {
	d := new(Decision)
	if proto.Unmarshal(value, d) == nil && d.Id != "" && d.Device != "" {
		r.Decision = d
	}
}

// Oldest, as the offset that a reader starts at, is the first one that the log
// still keeps. Only who rebuilds from whatever is left may ask for it: any other
// start below the first offset is an error.
const Oldest int64 = -2

// ErrOutOfRange says that the log no longer holds, or does not yet hold, the
// offset that a reader must go on from. A reader stops: going on elsewhere would
// skip events.
var ErrOutOfRange = errors.New("offset out of range of the log")
