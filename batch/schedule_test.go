package batch_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"fernweh/batch"
	"fernweh/schemas"
)

func portalHours(t *testing.T) batch.Schedule {
	t.Helper()
	zone, err := time.LoadLocation("Europe/Berlin")
	if err != nil {
		t.Fatal(err)
	}
	return batch.Schedule{
		Hours: []batch.Clock{{Hour: 10, Minute: 30}, {Hour: 19, Minute: 30}}, Zone: zone,
		QuietFrom: batch.Clock{Hour: 22}, QuietTo: batch.Clock{Hour: 10}, Retry: 5 * time.Minute,
	}
}

// TestNextRun: by what has been, the next run is at a set hour, or sooner where one
// was not served.
func TestNextRun(t *testing.T) {
	s := portalHours(t)
	at := func(text string) time.Time {
		t.Helper()
		day, clock, found := strings.Cut(text, " ")
		if !found {
			day, clock = "2026-11-27", text
		}
		moment, err := time.ParseInLocation("2006-01-02 15:04:05", day+" "+(clock + ":00")[:8], s.Zone)
		if err != nil {
			t.Fatal(err)
		}
		return moment
	}
	run := func(state schemas.RunState, began, ended string) schemas.Run {
		r := schemas.Run{State: state, Started: at(began).UnixMicro()}
		if ended != "" {
			r.Ended = at(ended).UnixMicro()
		}
		return r
	}
	const ok, failed, running = schemas.RunPublished, schemas.RunFailed, schemas.RunRunning
	yesterday := run(ok, "2026-11-26 19:30", "2026-11-26 19:40")
	morning := run(ok, "10:30", "10:40")
	for _, test := range []struct {
		name string
		now  string
		runs []schemas.Run
		want string
	}{
		{"a new portal waits for its first hour", "14:00", nil, "19:30"},
		{"a new portal at its hour", "19:30", nil, "19:30"},
		{"the hour was served", "14:00", []schemas.Run{morning}, "19:30"},
		{"the hour was served from another process, whose clock is behind", "14:00", []schemas.Run{run(ok, "10:29:20", "10:40")}, "19:30"},
		{"it is the hour", "10:30", []schemas.Run{yesterday}, "10:30"},
		{"it is the hour, seen late", "10:30:40", []schemas.Run{yesterday}, "10:30:40"},
		{"a run before the hour does not serve it", "10:30", []schemas.Run{run(ok, "10:28", "10:29")}, "10:30"},
		{"a run by hand behind the hour serves it", "12:00", []schemas.Run{yesterday, run(failed, "10:30", "10:31"), run(ok, "10:33", "10:34")}, "19:30"},
		{"the first failure", "10:31", []schemas.Run{yesterday, run(failed, "10:30", "10:31")}, "10:36"},
		{"the time to try again is over", "10:50", []schemas.Run{yesterday, run(failed, "10:30", "10:31")}, "10:50"},
		{"the third failure", "10:50", []schemas.Run{yesterday, run(failed, "10:30", "10:31"), run(failed, "10:36", "10:37"), run(failed, "10:47", "10:48")}, "11:08"},
		{"one an hour at most", "15:00", slices.Concat([]schemas.Run{yesterday}, slices.Repeat([]schemas.Run{run(failed, "14:50", "14:55")}, 40)), "15:55"},
		{"a process that died in the run", "10:40", []schemas.Run{yesterday, run(running, "10:38", "")}, "10:43"},
		{"failures before the hour do not count", "10:30", []schemas.Run{yesterday, run(failed, "2026-11-26 21:30", "2026-11-26 21:31")}, "10:30"},
		{"failed ever since the portal is there", "10:32", []schemas.Run{run(failed, "10:30", "10:31")}, "10:36"},
		{"the process was down at the hour", "13:17", []schemas.Run{yesterday}, "13:17"},
		{"the process was down for days", "13:17", []schemas.Run{run(ok, "2026-11-20 10:30", "2026-11-20 10:40")}, "13:17"},
		{"down at the hour, and the next is near", "18:31", []schemas.Run{yesterday}, "19:30"},
		{"down at the hour, and the next is not quite near", "18:30", []schemas.Run{yesterday}, "18:30"},
		{"a try that would come near the next hour", "17:40", []schemas.Run{yesterday, run(failed, "17:30", "17:40"), run(failed, "17:30", "17:40"), run(failed, "17:30", "17:40"), run(failed, "17:30", "17:40"), run(failed, "17:30", "17:40")}, "19:30"},
		{"the evening failed until the night", "21:50", []schemas.Run{morning, run(failed, "19:30", "21:40"), run(failed, "21:45", "21:49"), run(failed, "21:45", "21:49")}, "2026-11-28 10:30"},
		{"the last minute before the night", "21:59", []schemas.Run{morning}, "21:59"},
		{"missed, and it is night", "22:00", []schemas.Run{morning}, "2026-11-28 10:30"},
		{"missed, and it is early", "2026-11-28 06:00", []schemas.Run{morning}, "2026-11-28 10:30"},
		{"an hour of the day before summer time", "2026-03-29 01:30", []schemas.Run{run(ok, "2026-03-28 19:30", "2026-03-28 19:40")}, "2026-03-29 10:30"},
	} {
		t.Run(test.name, func(t *testing.T) {
			if got, want := s.Next(at(test.now), test.runs), at(test.want); !got.Equal(want) {
				t.Errorf("at %s the next run is set at %s, want %s", test.now, got.Format("2006-01-02 15:04:05"), want.Format("2006-01-02 15:04:05"))
			}
		})
	}

	t.Run("the night ends long before the first hour", func(t *testing.T) {
		s := s
		s.QuietTo = batch.Clock{Hour: 6}
		if got, want := s.Next(at("23:00"), []schemas.Run{morning}), at("2026-11-28 06:00"); !got.Equal(want) {
			t.Errorf("got %s, want %s, when the night is over", got, want)
		}
	})
	t.Run("a set hour within the night is one", func(t *testing.T) {
		s := s
		s.Hours = []batch.Clock{{Hour: 3}}
		if got, want := s.Next(at("03:00"), []schemas.Run{yesterday}), at("03:00"); !got.Equal(want) {
			t.Errorf("got %s, want %s", got, want)
		}
		if got, want := s.Next(at("03:20"), []schemas.Run{yesterday, run(failed, "03:00", "03:10")}), at("10:00"); !got.Equal(want) {
			t.Errorf("after it failed: got %s, want %s, when the night is over", got, want)
		}
	})
	t.Run("no retries", func(t *testing.T) {
		s := s
		s.Retry = 0
		if got, want := s.Next(at("10:32"), []schemas.Run{yesterday, run(failed, "10:30", "10:31")}), at("19:30"); !got.Equal(want) {
			t.Errorf("got %s, want %s", got, want)
		}
		if got, want := s.Next(at("10:30"), []schemas.Run{yesterday}), at("10:30"); !got.Equal(want) {
			t.Errorf("at the hour: got %s, want %s", got, want)
		}
	})
}

// TestAScheduledRunThatFailsIsTriedAgain lives through a day by the portal's own
// clock: the log is away in the morning, and the process at the evening's hour.
func TestAScheduledRunThatFailsIsTriedAgain(t *testing.T) {
	s := portalHours(t)
	p := newPortal(t)
	p.visit(1, 30)
	p.now = time.Date(2026, 11, 27, 10, 29, 30, 0, s.Zone)
	var began []string
	p.cutting = func(int64) error {
		began = append(began, p.now.In(s.Zone).Format("15:04:05"))
		if len(began) <= 3 {
			return errors.New("the log is away")
		}
		return nil
	}
	follow := func(until time.Time) {
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		p.Wait = func(ctx context.Context, d time.Duration) bool {
			if p.now = p.now.Add(d); p.now.After(until) {
				cancel()
			}
			return ctx.Err() == nil
		}
		if err := p.Follow(ctx, s); err != nil {
			t.Fatal(err)
		}
	}
	follow(time.Date(2026, 11, 27, 19, 0, 0, 0, s.Zone))
	if want := []string{"10:30:00", "10:35:00", "10:45:00", "11:05:00"}; !slices.Equal(began, want) {
		t.Fatalf("runs began at %v, want %v: three failed", began, want)
	}
	p.now = time.Date(2026, 11, 27, 20, 15, 0, 0, s.Zone) // nobody was there meanwhile
	began = began[:0]
	p.cutting = func(int64) error {
		began = append(began, p.now.In(s.Zone).Format("15:04:05"))
		return nil
	}
	follow(time.Date(2026, 11, 28, 11, 0, 0, 0, s.Zone))
	if want := []string{"20:15:00", "10:30:00"}; !slices.Equal(began, want) {
		t.Errorf("runs began at %v, want %v: the missed one at once, and that of the next morning", began, want)
	}
}

// TestAFailureWithoutARecordIsTriedAgainLater: the store is away, or another process
// holds the lease, and nothing is written of the try.
func TestAFailureWithoutARecordIsTriedAgainLater(t *testing.T) {
	s := portalHours(t)
	p := newPortal(t)
	p.visit(1, 30)
	p.now = time.Date(2026, 11, 27, 10, 30, 0, 0, s.Zone)
	views := &lossy{Views: p.views, key: schemas.KeyNextRun, asked: 2}
	p.Layer.Views = views
	var began []string
	p.cutting = func(int64) error {
		began = append(began, p.now.In(s.Zone).Format("15:04:05"))
		return nil
	}
	ctx, cancel := context.WithCancel(t.Context())
	waits := 0
	p.Wait = func(_ context.Context, d time.Duration) bool {
		p.now = p.now.Add(d)
		if waits++; waits > 40 {
			cancel()
		}
		return ctx.Err() == nil
	}
	if err := p.Follow(ctx, s); err != nil {
		t.Fatal(err)
	}
	if want := []string{"10:45:00"}; !slices.Equal(began, want) {
		t.Errorf("a run came as far as its cut at %v, want %v, behind two that drew no number", began, want)
	}
}
