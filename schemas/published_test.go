package schemas_test

import (
	"slices"
	"testing"

	"fernweh/schemas"
)

func runs(p schemas.Published) (runs []int64) {
	for _, g := range p.Kept {
		runs = append(runs, g.Run)
	}
	return runs
}

// TestWhatIsKept: three generations are, the youngest first; a rollback gives up those
// that are younger; the empty generation 0 stays until a fourth comes.
func TestWhatIsKept(t *testing.T) {
	var p schemas.Published
	for run := int64(1); run <= 5; run++ {
		_, zero := p.Generation(0)
		if want := run <= 4; zero != want {
			t.Errorf("before generation %d: generation 0 is kept: %v, want %v", run, zero, want)
		}
		if g, ok := p.Base(0); ok != (run <= 4) || g.Run != 0 {
			t.Errorf("before generation %d: epoch 0 works on %d, %v", run, g.Run, ok)
		}
		p = p.With(schemas.Generation{Run: run})
	}
	if got := runs(p); p.Current != 5 || !slices.Equal(got, []int64{5, 4, 3}) || p.Oldest().Run != 3 {
		t.Errorf("after five generations %d of %v is published, the oldest %d, want 5 of 5, 4, 3", p.Current, got, p.Oldest().Run)
	}
	for epoch, want := range map[int64]int64{3: 3, 4: 4, 5: 5, 9: 5} {
		if g, ok := p.Base(epoch); !ok || g.Run != want {
			t.Errorf("epoch %d works on generation %d, %v, want %d", epoch, g.Run, ok, want)
		}
	}
	if g, ok := p.Base(2); ok {
		t.Errorf("epoch 2, older than all, works on generation %d", g.Run)
	}
	back, err := p.Without(4)
	if got := runs(back); err != nil || back.Current != 4 || !slices.Equal(got, []int64{4, 3}) {
		t.Errorf("rolled back to 4: %d of %v, %v, want 4 of 4, 3", back.Current, got, err)
	}
	if _, zero := back.Generation(0); zero {
		t.Error("a rollback brings generation 0 back, whose cells are gone")
	}
	if _, err := back.Without(5); err == nil {
		t.Error("rolled back to a generation that was given up")
	}
}
