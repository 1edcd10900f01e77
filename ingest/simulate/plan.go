package simulate

import "time"

// plan decides when a visitor comes again, and says whether he does. A trip that
// was booked may be cancelled or followed by another; one that was only dreamt
// of ends when the plan runs out.
func (p *Portal) plan(v *visitor, now int64) bool {
	who := &p.personas[v.persona]
	t := time.UnixMicro(now).In(p.settings.Zone)
	today := midnight(t, p.settings.Zone)
	switch {
	case v.number == 0:
		v.at = evening(today.AddDate(0, 0, 1)).UnixMicro() + v.rng.Int64N(30*60e6)
	case v.left > 0:
		v.at = v.again(p, t, today)
	case v.bought != nil: // regrets before half of the time to departure is over
		v.left = 1
		days := max(1, int(v.wish.depart-date(t))/2)
		v.at = v.hour(p, today.AddDate(0, 0, 1+v.rng.IntN(days)))
	case v.wish.books && v.chance(who.mind.returns):
		first := today.AddDate(0, 0, 20+v.rng.IntN(100))
		v.dream(p, first)
		v.at = v.hour(p, first)
	}
	return v.left > 0
}

// again is the next visit for the same trip: in some days, or, if that were
// after departure, for the last time in some hours.
func (v *visitor) again(p *Portal, now, today time.Time) int64 {
	gap := 7/p.personas[v.persona].habit.visits - .5
	day := today.AddDate(0, 0, int(v.rng.ExpFloat64()*gap+.5))
	at := v.hour(p, day)
	if least := now.Add(40 * time.Minute).UnixMicro(); at < least {
		at = v.hour(p, today.AddDate(0, 0, 1))
		at = max(at, least)
	}
	if date(time.UnixMicro(at).In(p.settings.Zone)) > v.wish.depart {
		v.left = 1
		at = now.Add(time.Duration(60+v.rng.IntN(120)) * time.Minute).UnixMicro()
	}
	return at
}

// chance is true with a probability.
func (v *visitor) chance(p float64) bool { return v.rng.Float64() < p }
