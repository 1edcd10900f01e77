package batch_test

import (
	"context"
	"fmt"
	"math"
	"testing"

	"fernweh/schemas"
)

// strict is a log into whose partitions anybody may write cuts: readers take one
// only if its number lies above every cut before it, and at most 2^32 above.
type strict struct{ *portal }

func newStrict(t *testing.T) *strict {
	p := &strict{portal: newPortal(t)}
	p.Log = p
	p.visit(1, 30)
	return p
}

func (s *strict) AppendCut(_ context.Context, run int64) error {
	for i := range s.next {
		s.cutAt(i, run)
	}
	return nil
}

// cutAt writes a cut into one partition, as anybody can who writes into the topic.
func (s *strict) cutAt(partition int, number int64) {
	s.append(int32(partition), schemas.Record{Cut: number})
}

func (s *strict) counter(value string) {
	s.t.Helper()
	rows, err := s.views.Get(s.t.Context(), schemas.KeyNextRun)
	if err != nil {
		s.t.Fatal(err)
	}
	c, there := rows[0].Cell(schemas.ColumnValue)
	if value == "" && there {
		err = s.views.Delete(s.t.Context(), schemas.Cell{Key: schemas.KeyNextRun, Column: schemas.ColumnValue, Stamp: c.Stamp})
	} else if value != "" {
		err = s.views.Put(s.t.Context(), schemas.Cell{Key: schemas.KeyNextRun, Column: schemas.ColumnValue, Stamp: c.Stamp + 1, Value: []byte(value)})
	}
	if err != nil {
		s.t.Fatal(err)
	}
}

// TestNoNumberEndsBatch: whatever stands in the counter or in the log, the next run
// has a cut in every partition and publishes, and so has the one after it.
func TestNoNumberEndsBatch(t *testing.T) {
	const far = int64(1) << 32
	for _, test := range []struct {
		name    string
		counter string // empty: lost
		cuts    map[int][]int64
		want    int64
	}{
		{"the counter is lost", "", nil, 3},
		{"the counter is behind", "1", nil, 3},
		{"5,000 numbers are lost", "5003", nil, 5003},
		{"the counter is no number", "seven", nil, 3},
		{"the counter is below one", "-4", nil, 3},
		{"the counter is the greatest number", fmt.Sprint(int64(math.MaxInt64)), nil, 3},
		{"the counter is as far ahead as the log follows", fmt.Sprint(2 + far), nil, 2 + far},
		{"the counter is further", fmt.Sprint(3 + far), nil, 3},
		{"a cut with the greatest number", "3", map[int][]int64{1: {math.MaxInt64}}, 3},
		{"a cut as far ahead as may be in one partition", "3", map[int][]int64{1: {2 + far}}, 3 + far},
		{"a cut short of it", "3", map[int][]int64{1: {1 + far}}, 2 + far},
		{"a cut further ahead", "3", map[int][]int64{1: {3 + far}}, 3},
		{"one partition three steps ahead, another one", "3", map[int][]int64{1: {2 + far, 2 + 2*far, 2 + 3*far}, 2: {7 + far}}, 3 + 3*far},
	} {
		t.Run(test.name, func(t *testing.T) {
			p := newStrict(t)
			p.run()
			p.run()
			p.counter(test.counter)
			for partition, cuts := range test.cuts {
				for _, n := range cuts {
					p.cutAt(partition, n)
				}
			}
			if got := p.run(); got.Number != test.want {
				t.Errorf("the run is number %d, want %d", got.Number, test.want)
			}
			if got := p.run(); got.Number != test.want+1 || p.published().Current != test.want+1 {
				t.Errorf("the run after it is number %d and %d is published, want %d", got.Number, p.published().Current, test.want+1)
			}
		})
	}
}

// TestANumberIsNeverDrawnTwice: the counter is lost after a run that failed before
// its cut, so that neither log nor archive know its number.
func TestANumberIsNeverDrawnTwice(t *testing.T) {
	p := newPortal(t)
	p.visit(1, 30)
	p.run()
	p.Log = broken{}
	failed, err := p.Layer.Run(t.Context(), nil)
	if err == nil || failed.Number != 2 {
		t.Fatalf("run %d, %v, want run 2 to fail", failed.Number, err)
	}
	s := &strict{portal: p}
	s.counter("")
	p.Log = p
	if got := p.run(); got.Number != 3 {
		t.Errorf("the next run is number %d, want 3", got.Number)
	}
	if r := read[schemas.Run](t, p.views, schemas.RunKey(2)); r.State != schemas.RunFailed {
		t.Errorf("the record of run 2 says %s, want failed", r.State)
	}
}

// broken is a log that takes nothing.
type broken struct{ nowhere }

func (broken) AppendCut(context.Context, int64) error { return errLost }
