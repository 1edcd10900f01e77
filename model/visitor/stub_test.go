package visitor_test

import (
	"bytes"
	"fmt"
	"maps"
	"testing"

	"fernweh/model/kpi"
	"fernweh/model/visitor"
	"fernweh/schemas"

	"pgregory.net/rapid"
)

// TestStubsRebuildTheFilter: what an erasure names may become stubs, before it and
// behind it in the log, and the fold of what is left is the fold of the whole log.
func TestStubsRebuildTheFilter(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		l := rapid.SampledFrom([]visitor.Limits{{}, {Erasures: 1}, {Remembered: 4, Cap: 12}, {Bytes: 500}}).Draw(t, "limits")
		log := aLog(t, "log")
		for i := range log {
			if log[i].Kind == schemas.Kind_KIND_CUSTOM { // now and then an action
				log[i] = proposed(log[i], int64(rapid.IntRange(0, i).Draw(t, "cause")), rapid.Int32Range(0, 2).Draw(t, "cap"))
			}
		}
		var want visitor.Cell
		whole, left := sums{}, sums{}
		verdicts := make([]visitor.Verdict, len(log))
		stubs := make([]bool, len(log))
		for i, e := range log {
			before := want.Filter
			verdicts[i] = want.Fold(l, e, visitor.HashID(e.Id), 7, whole.emit)
			if verdicts[i] == visitor.Reset {
				erases(log[:i], verdicts, stubs, e.GetErasure().GetLogin(), before.FirstLogin)
			}
			stubs[i] = verdicts[i] == visitor.Erased
		}
		var got visitor.Cell
		for i, e := range log {
			if stubs[i] {
				got.FoldStub(l, visitor.HashID(e.Id), 7, visitor.StubOf(verdicts[i], e), left.emit)
			} else {
				got.Fold(l, e, visitor.HashID(e.Id), 7, left.emit)
			}
		}
		want.Units.Measure(whole.emit)
		got.Units.Measure(left.emit)
		if !maps.Equal(whole.nonZero(), left.nonZero()) {
			t.Fatalf("with stubs the panes are\n%v, without\n%v", left.nonZero(), whole.nonZero())
		}
		got.Beyond, want.Beyond = visitor.Beyond{}, visitor.Beyond{} // the rows are gone
		a, _ := got.AppendBinary(nil)
		b, _ := want.AppendBinary(nil)
		if !bytes.Equal(a, b) {
			t.Fatalf("with stubs the log folds to\n%+v, without to\n%+v", got, want)
		}
	})
}

// sums are panes, and of visitors whether a device was there.
type sums map[kpi.Pane]int64

func (s sums) emit(p kpi.Pane, n int64) {
	if p.Measure == kpi.Visitors {
		s[p] = n
		return
	}
	s[p] += n
}

func (s sums) nonZero() sums {
	maps.DeleteFunc(s, func(_ kpi.Pane, n int64) bool { return n == 0 })
	return s
}

// proposed is an action in the place of an event.
func proposed(e *schemas.Event, cause int64, limit int32) *schemas.Event {
	a := visitor.Proposal{Campaign: "c", Cap: limit}
	return a.Event(fmt.Sprint(e.Id, "-action"), e, e.User, cause)
}

// erases marks what an erasure takes from the log before it: the events of the
// login, and of the device before its first one if it is that.
func erases(log []*schemas.Event, verdicts []visitor.Verdict, stubs []bool, login, first string) {
	current := ""
	for i, e := range log {
		owner := e.User
		if owner == "" && e.Kind != schemas.Kind_KIND_ACTION {
			owner = current
		}
		if verdicts[i] == visitor.Accepted || verdicts[i] == visitor.Automatic {
			current = owner
		}
		if verdicts[i] == visitor.Reset {
			if l := e.GetErasure().GetLogin(); l == "" {
				current = ""
			} else if l == current {
				current = "\x00"
			}
			continue
		}
		if login == "" || owner == login || owner == "" && login == first {
			stubs[i] = true
		}
	}
}
