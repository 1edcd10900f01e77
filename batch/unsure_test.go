package batch_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"fernweh/batch"
	"fernweh/batch/archive"
	"fernweh/schemas"
)

// lossy are views that lose what is said of the first swaps of one key: the word on
// its way to the store, or its answer.
type lossy struct {
	batch.Views
	key     schemas.Key
	asked   int    // calls that never come to the store
	answers int    // calls that do, and whose answers never come back
	then    func() // after an answer was lost
	instead func() // of a call that was lost
}

var errLost = errors.New("the connection broke")

func (l *lossy) CompareAndSet(ctx context.Context, k schemas.Key, column string, old, value []byte) (bool, error) {
	switch {
	case k != l.key:
	case l.asked > 0:
		l.asked--
		if l.instead != nil {
			l.instead()
		}
		return false, errLost
	case l.answers > 0:
		l.answers--
		if done, err := l.Views.CompareAndSet(ctx, k, column, old, value); err != nil || !done {
			return done, err
		}
		if l.then != nil {
			l.then()
		}
		return false, errLost
	}
	return l.Views.CompareAndSet(ctx, k, column, old, value)
}

// TestAnUnsureSwitchIsLookedUp: a run whose publication was written is published,
// whatever became of the answer; one whose was not is written again.
func TestAnUnsureSwitchIsLookedUp(t *testing.T) {
	for _, test := range []struct {
		name           string
		asked, answers int
	}{
		{"the answer is lost", 0, 1},
		{"the call is lost", 1, 0},
		{"a call is lost, then an answer", 1, 1},
		{"the store is away for a while", 5, 0},
	} {
		for _, key := range []schemas.Key{schemas.KeyPublished, schemas.KeyLease} {
			t.Run(test.name+" of "+key.Row, func(t *testing.T) {
				p := newPortal(t)
				p.visit(1, 30)
				p.Layer.Views = &lossy{Views: p.views, key: key, asked: test.asked, answers: test.answers}
				run, err := p.Layer.Run(t.Context(), nil)
				if err != nil || run.State != schemas.RunPublished || run.Generation == nil {
					t.Fatalf("run %+v, %v, want it published", run, err)
				}
				if got := p.published(); got.Current != 1 || len(got.Kept) != 1 {
					t.Errorf("published is %+v, want generation 1 once", got)
				}
				if stored := read[schemas.Run](t, p.views, schemas.RunKey(1)); stored.State != schemas.RunPublished {
					t.Errorf("the record says %s: %s, want published", stored.State, stored.Error)
				}
				p.Layer.Views = p.views
				p.run() // and the lease is free
			})
		}
	}
}

// TestALeaseThatAnotherHasTakenIsNotOurs: between the lost call and the look another
// process was faster.
func TestALeaseThatAnotherHasTakenIsNotOurs(t *testing.T) {
	p := newPortal(t)
	p.visit(1, 30)
	other := *p.Layer
	other.Holder = "another"
	p.Layer.Views = &lossy{Views: p.views, key: schemas.KeyLease, asked: 1, instead: func() { other.Hold(t) }}
	var busy *batch.Busy
	if run, err := p.Layer.Run(t.Context(), nil); !errors.As(err, &busy) || run.Number != 0 {
		t.Errorf("run %+v, %v, want that the lease is another's", run, err)
	}
}

// TestASwitchThatANextOneReplacedIsKnown: between the lost answer and the look
// another run has published.
func TestASwitchThatANextOneReplacedIsKnown(t *testing.T) {
	p := newPortal(t)
	p.visit(1, 30)
	p.Layer.Views = &lossy{Views: p.views, key: schemas.KeyPublished, answers: 1, then: func() {
		now := p.published()
		next := now.With(schemas.Generation{Run: 2, Cuts: now.Kept[0].Cuts})
		if done, err := p.views.CompareAndSet(t.Context(), schemas.KeyPublished, schemas.ColumnValue,
			schemas.EncodeJSON(now), schemas.EncodeJSON(next)); err != nil || !done {
			t.Errorf("publish generation 2: %t, %v", done, err)
		}
	}}
	if run, err := p.Layer.Run(t.Context(), nil); err != nil || run.State != schemas.RunPublished {
		t.Errorf("run %+v, %v, want it published, though a younger one is current by now", run, err)
	}
}

// TestASwitchThatIsNeverAnsweredIsSettledByTheNextRun: while nobody can say, the
// record must not; the next run knows.
func TestASwitchThatIsNeverAnsweredIsSettledByTheNextRun(t *testing.T) {
	p := newPortal(t)
	p.visit(1, 30)
	views := &lossy{Views: p.views, key: schemas.KeyPublished, answers: 1}
	p.Layer.Views = &blind{Views: views, after: views}
	run, err := p.Layer.Run(t.Context(), nil)
	if !errors.Is(err, errLost) || run.State != schemas.RunFailed || !strings.Contains(run.Error, "not known") {
		t.Fatalf("run %+v, %v, want a failure that says what is not known", run, err)
	}
	p.Layer.Views = p.views
	p.run()
	stored := read[schemas.Run](t, p.views, schemas.RunKey(1))
	if stored.State != schemas.RunPublished || stored.Error != "" || stored.Generation == nil || stored.Generation.Run != 1 {
		t.Errorf("the record says %+v, want that it is published: it was", stored)
	}
}

// blind are views that cannot be read for what is published once an answer was lost.
type blind struct {
	batch.Views
	after *lossy
}

func (b *blind) Get(ctx context.Context, keys ...schemas.Key) ([]schemas.Row, error) {
	if len(keys) == 1 && keys[0] == schemas.KeyPublished && b.after.answers == 0 {
		return nil, errLost
	}
	return b.Views.Get(ctx, keys...)
}

// TestARenewalWhoseAnswerIsLostHoldsTheLease: the lease outlives what one lost
// answer would take of it.
func TestARenewalWhoseAnswerIsLostHoldsTheLease(t *testing.T) {
	p := newPortal(t)
	p.visit(1, 30)
	views := &lossy{Views: p.views, key: schemas.KeyLease}
	p.Layer.Views = views
	held := p.Layer.Hold(t)
	views.answers = 1
	for range 3 {
		p.now = p.now.Add(5 * time.Second)
		held.Renew(t.Context())
	}
	p.now = p.now.Add(12 * time.Second) // 27 s after it was taken, 12 s after it was renewed
	var busy *batch.Busy
	if _, err := p.Layer.Run(t.Context(), nil); !errors.As(err, &busy) {
		t.Errorf("a run while the lease is renewed: %v, want that it is held", err)
	}
}

// TestTheArchiveIsLookedAtEverLessOften counts how often a run lists the archive
// while that is behind, and what it asks for again.
func TestTheArchiveIsLookedAtEverLessOften(t *testing.T) {
	p := newPortal(t)
	p.visit(1, 30)
	files := &counted{Files: p.Files, listed: map[string]int{}}
	p.Files = files
	late := p.Log
	p.Log = nowhere{}
	var waited []time.Duration
	p.Wait = func(_ context.Context, d time.Duration) bool {
		waited = append(waited, d)
		if len(waited) == 12 { // the archive comes to the cut of one partition at a time
			p.append(0, schemas.Record{Cut: 1})
		}
		if len(waited) == 20 {
			p.append(1, schemas.Record{Cut: 1})
		}
		if len(waited) == 30 {
			p.append(2, schemas.Record{Cut: 1})
		}
		return true
	}
	if _, err := p.Layer.Run(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	p.Log = late
	if last := waited[len(waited)-1]; len(waited) != 30 || last != time.Second {
		t.Errorf("%d waits, the last of %v, want 30 that grow to a second", len(waited), last)
	}
	var all int
	for _, n := range files.listed {
		all += n
	}
	// The head once, each partition once for the youngest cut, and each look the one that is behind.
	if most := 1 + partitions + len(waited) + partitions; all > most {
		t.Errorf("the archive was listed %d times %v, want at most %d", all, files.listed, most)
	}
}

// counted is an archive that counts what is asked of it.
type counted struct {
	archive.Files
	listed map[string]int
}

func (c *counted) List(ctx context.Context, prefix string) ([]string, error) {
	c.listed[prefix]++
	return c.Files.List(ctx, prefix)
}
