package batch

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"fernweh/schemas"
)

// A Schedule says when runs begin by themselves: at the set hours of the portal's
// day, and for an hour that no published run has served, again and again until the
// next. So a run that fails, and an hour that passed while no process was there,
// cost minutes and not half a day. What happened it takes from the records of runs:
// a process that dies in every run begins no more of them for being started again.
type Schedule struct {
	Hours []Clock
	Zone  *time.Location
	// Quiet are the hours in which no run is tried again, nor a missed one caught
	// up: others want the machine then. They wait for its end. A set hour is no
	// such try. Equal ends are no quiet hours at all.
	QuietFrom, QuietTo Clock
	// Retry is how long after a failure the next try begins, twice as long each
	// time, an hour at most; 0: there is none, and no missed hour is caught up.
	Retry time.Duration
}

// A Clock is a time of day.
type Clock struct{ Hour, Minute int }

const (
	longestRetry = time.Hour
	// nearHour is how short before the next set hour no try begins: a run folds
	// everything, and the one at the hour would fold it again.
	nearHour = time.Hour
	// atTheHour is how much clocks of two processes may differ, and how late a
	// process may look, for a run to be that of the hour.
	atTheHour = time.Minute
)

// Follow does the runs of the schedule until ctx is done, or returns at once where
// it has no hours.
func (l *Layer) Follow(ctx context.Context, s Schedule) error {
	var failed failures
	var told time.Time
	for len(s.Hours) > 0 && ctx.Err() == nil {
		runs, err := l.records(ctx)
		if err != nil {
			if ctx.Err() == nil {
				slog.WarnContext(ctx, "the records of runs, by which the schedule goes, cannot be read", "error", err, "again in", atTheHour)
			}
			l.wait(ctx, atTheHour)
			continue
		}
		now := l.Now().In(s.Zone)
		at := s.next(now, runs, failed)
		if at.After(now) {
			if !at.Equal(told) {
				slog.InfoContext(ctx, "the next batch run is set", "at", at)
				told = at
			}
			l.until(ctx, at)
			continue
		}
		if !failed.hour.Equal(s.before(now)) {
			failed = failures{hour: s.before(now)}
		}
		_, err = l.Run(ctx, nil)
		if err == nil || ctx.Err() != nil {
			continue
		}
		failed.n, failed.last = failed.n+1, l.Now()
		if busy := new(Busy); errors.As(err, &busy) {
			slog.InfoContext(ctx, "the scheduled run waits for another", "holder", busy.Holder)
		} else {
			slog.ErrorContext(ctx, "batch run failed; what is published stays", "error", err)
		}
	}
	return nil
}

// until waits in short pieces: a machine that slept goes by its clock at once.
func (l *Layer) until(ctx context.Context, at time.Time) {
	for {
		left := at.Sub(l.Now())
		if left <= 0 || !l.wait(ctx, min(left, time.Minute)) {
			return
		}
	}
}

// failures are the tries for one set hour that came to nothing.
type failures struct {
	hour time.Time
	n    int
	last time.Time
}

// add counts one more, that was last in work at a time.
func (f *failures) add(last time.Time) {
	f.n++
	if last.After(f.last) {
		f.last = last
	}
}

// next is when the next run begins; not after now: it is time. Failed are the tries
// of this process, of which not all have a record.
func (s Schedule) next(now time.Time, runs []schemas.Run, failed failures) time.Time {
	hour, next := s.before(now), s.after(now)
	tried, served := failuresSince(hour, runs)
	if failed.hour.Equal(hour) && failed.n > tried.n {
		tried.n = failed.n
	}
	if failed.hour.Equal(hour) && failed.last.After(tried.last) {
		tried.last = failed.last
	}
	switch {
	case served:
		return next
	case tried.n == 0 && now.Sub(hour) < atTheHour:
		return now
	case s.Retry <= 0, tried.n == 0 && len(runs) == 0: // a new portal has missed nothing
		return next
	}
	at := now
	if again := tried.last.Add(s.backoff(tried.n)); tried.n > 0 && again.After(now) {
		at = again.In(now.Location())
	}
	if at = s.loud(at); next.Sub(at) < nearHour {
		return next
	}
	return at
}

// failuresSince are the runs since an hour that have published nothing; served says
// that one has.
func failuresSince(hour time.Time, runs []schemas.Run) (f failures, served bool) {
	for _, r := range runs {
		began := time.UnixMicro(r.Started)
		if began.Before(hour.Add(-atTheHour)) {
			continue
		}
		if r.State == schemas.RunPublished {
			served = true
			continue
		}
		f.add(time.UnixMicro(max(r.Started, r.Ended)))
	}
	return f, served
}

// backoff is the wait after so many failures.
func (s Schedule) backoff(n int) time.Duration {
	wait := s.Retry
	for ; n > 1 && wait < longestRetry; n-- {
		wait *= 2
	}
	return min(wait, max(longestRetry, s.Retry))
}

// before is the last of the set hours that is not after now.
func (s Schedule) before(now time.Time) (last time.Time) {
	for day := -1; day <= 0; day++ {
		for _, h := range s.Hours {
			if at := h.on(now, day); !at.After(now) && at.After(last) {
				last = at
			}
		}
	}
	return last
}

// after is the first of the set hours after now.
func (s Schedule) after(now time.Time) (first time.Time) {
	for day := 0; day <= 2; day++ { // a clock that is put forward may leave out an hour
		for _, h := range s.Hours {
			if at := h.on(now, day); at.After(now) && (first.IsZero() || at.Before(first)) {
				first = at
			}
		}
	}
	return first
}

// loud is the first moment from at on that is not within the quiet hours.
func (s Schedule) loud(at time.Time) time.Time {
	from, to, minute := s.QuietFrom.minutes(), s.QuietTo.minutes(), Clock{at.Hour(), at.Minute()}.minutes()
	switch {
	case from == to:
	case from < to && from <= minute && minute < to, from > to && minute < to:
		return s.QuietTo.on(at, 0)
	case from > to && minute >= from:
		return s.QuietTo.on(at, 1)
	}
	return at
}

func (c Clock) minutes() int { return 60*c.Hour + c.Minute }

// on is the time of day on the day of a time, or so many days after it.
func (c Clock) on(day time.Time, days int) time.Time {
	return time.Date(day.Year(), day.Month(), day.Day()+days, c.Hour, c.Minute, 0, 0, day.Location())
}
