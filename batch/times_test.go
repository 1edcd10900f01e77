package batch_test

import (
	"context"
	"slices"
	"testing"
	"time"

	"fernweh/schemas"
)

// slow is a log that takes a second for each partition's cut, and goes on taking
// events behind it.
type slow struct{ *portal }

func (s slow) AppendCut(_ context.Context, run int64) error {
	for i := range s.next {
		s.now = s.now.Add(time.Second)
		s.append(int32(i), schemas.Record{Cut: run})
		s.append(int32(i), schemas.Record{Cut: run}) // repeated: no cut
	}
	s.now = s.now.Add(time.Minute)
	return nil
}

// TestAGenerationKnowsWhenItsCutsWereAppended: not when it was published, nor when
// the run began.
func TestAGenerationKnowsWhenItsCutsWereAppended(t *testing.T) {
	p := newPortal(t)
	p.Log = slow{p}
	p.visit(1, 30)
	run := p.run()
	var want []int64
	for i := range partitions {
		want = append(want, p.now.Add(-time.Minute-time.Duration(partitions-1-i)*time.Second).UnixMicro())
	}
	g, ok := p.published().Generation(run.Number)
	if !ok || !slices.Equal(g.CutTimes, want) || g.FoldedUntil() != want[0] {
		t.Errorf("the cuts were appended at %v, folded until %d, want %v", g.CutTimes, g.FoldedUntil(), want)
	}
}
