package schemas

import (
	"errors"
	"fmt"
	"strconv"

	"google.golang.org/protobuf/proto"
)

// HeaderCut is the header that makes a record of the event topic a cut: its
// value is the number of the batch run in decimal, the record itself is empty.
const HeaderCut = "fernweh-cut"

// A Record is one record of the event topic as every reader sees it: an event,
// a cut (Cut > 0), or, with neither, bytes that all readers leave out.
type Record struct {
	Partition int32
	Offset    int64
	At        int64  // when the broker appended it, UTC microseconds
	Cut       int64  // number of the run that wrote this cut; 0: no cut
	Event     *Event // nil: a cut, or unreadable
}

// Read fills in what the bytes of a record mean. It is a pure function
// of them, so that every reader leaves out the same records: those that are
// neither a cut nor an event with device, id, kind and a time that is not
// before 1970.
func (r *Record) Read(cut, value []byte) {
	if cut != nil {
		n, err := strconv.ParseInt(string(cut), 10, 64)
		if err == nil && n > 0 {
			r.Cut = n
		}
		return
	}
	e := new(Event)
	if proto.Unmarshal(value, e) == nil && e.Check() == nil {
		r.Event = e
	}
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

// FormatCut is the value of the header HeaderCut for a run.
func FormatCut(run int64) []byte {
	return strconv.AppendInt(nil, run, 10)
}

// Check says what an event lacks to be folded.
func (e *Event) Check() error {
	switch {
	case e.Device == "":
		return fmt.Errorf("event %q has no device", e.Id)
	case e.Id == "":
		return fmt.Errorf("event of device %q has no id", e.Device)
	case e.Kind <= Kind_KIND_UNSPECIFIED || e.Kind > Kind_KIND_ERASURE:
		return fmt.Errorf("event %q has the unknown kind %d", e.Id, e.Kind)
	case e.Time < 0 || e.Time > MaxTime:
		return fmt.Errorf("event %q has the impossible time %d µs", e.Id, e.Time)
	case e.Received < 0 || e.Received > MaxTime:
		return fmt.Errorf("event %q was received at the impossible time %d µs", e.Id, e.Received)
	}
	return nil
}

// MaxTime bounds every time in the log: the end of the year 9999 in UTC microseconds.
const MaxTime = 253402300799999999

// ErrOutOfRange says that the log no longer holds, or does not yet hold, the
// offset that a reader must go on from. A reader stops: going on elsewhere would
// skip events.
var ErrOutOfRange = errors.New("offset out of range of the log")
