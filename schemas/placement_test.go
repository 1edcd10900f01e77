package schemas_test

import (
	"fmt"
	"math"
	"testing"

	"fernweh/schemas"

	"google.golang.org/protobuf/proto"
)

// TestCauseLiesBeforeItsAction: one that does not would be above every later
// cause, and end what the campaign does about the device.
func TestCauseLiesBeforeItsAction(t *testing.T) {
	for cause, want := range map[int64]bool{0: true, 9: true, 10: false, 11: false, math.MaxInt64: false} {
		e := whole()
		e.Kind, e.Action.Cause = schemas.Kind_KIND_ACTION, cause
		if r := read(t, e); (r.Event != nil) != want {
			t.Errorf("action at offset 10 of cause %d: taken %t, want %t", cause, r.Event != nil, want)
		}
	}
}

// TestWrongPartition: only in the partition of its device is an event one.
func TestWrongPartition(t *testing.T) {
	for device := range 50 {
		e := least()
		e.Device, e.Source = fmt.Sprint("d", device), "foreign"
		b, _ := proto.Marshal(e)
		for p := range int32(partitions) {
			r := schemas.Record{Partition: p}
			r.Read(schemas.Message{Value: b}, partitions)
			if right := p == schemas.Partition(e.Device, partitions); (r.Event != nil) != right || (r.Misplaced != nil) == right {
				t.Errorf("device %s in partition %d: event %v, misplaced %v", e.Device, p, r.Event, r.Misplaced)
			}
			if r.Misplaced != nil && r.Misplaced.Source != "foreign" {
				t.Errorf("misplaced event of source %q, want its own", r.Misplaced.Source)
			}
		}
	}
}

// TestMisplacedIsBounded: a producer that makes up sources makes no position grow.
func TestMisplacedIsBounded(t *testing.T) {
	var m schemas.Misplaced
	for i := range 40 {
		for range 2 {
			want := fmt.Sprint("s", i)
			if i >= 32 {
				want = "(others)"
			}
			if got := m.Add(fmt.Sprint("s", i)); got != want {
				t.Errorf("source %d counts under %q, want %q", i, got, want)
			}
		}
	}
	if len(m) != 33 || m["s31"] != 2 || m["(others)"] != 16 {
		t.Errorf("got %v, want 32 sources of 2 and 16 of others", m)
	}
}

// TestAppendTimeIsBounded: the archive names files by the day of it.
func TestAppendTimeIsBounded(t *testing.T) {
	for have, want := range map[int64]int64{
		math.MinInt64: 0, -1: 0, 0: 0, 5: 5, schemas.MaxTime: schemas.MaxTime, schemas.MaxTime + 1: schemas.MaxTime,
	} {
		r := schemas.Record{At: have}
		r.Read(schemas.Message{}, partitions)
		if r.At != want {
			t.Errorf("append time %d reads as %d, want %d", have, r.At, want)
		}
	}
}
