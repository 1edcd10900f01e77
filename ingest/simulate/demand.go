package simulate

import (
	"math/rand/v2"
	"slices"
	"time"
)

// demand is when visitors first come, and of which persona: a persona comes
// when the months it wants to travel in are its lead time away.
type demand struct {
	days []time.Time // midnights of the history
	pull [][]float64 // by day and persona: demand up to and with this persona
	sums []float64   // demand up to the end of each day
}

// newDemand sums the demand of each day of the history.
func newDemand(ps []persona, s Settings) *demand {
	d := &demand{}
	sum := 0.0
	for day := midnight(s.From, s.Zone); day.Before(s.To); day = day.AddDate(0, 0, 1) {
		pull := make([]float64, len(ps))
		total := 0.0
		for i, p := range ps {
			total += p.share * p.trip.pull(day)
			pull[i] = total
		}
		sum += total * weekday(day.Weekday())
		d.days = append(d.days, day)
		d.pull = append(d.pull, pull)
		d.sums = append(d.sums, sum)
	}
	return d
}

// midnight is the beginning of the day of t.
func midnight(t time.Time, zone *time.Location) time.Time {
	y, m, d := t.In(zone).Date()
	return time.Date(y, m, d, 0, 0, 0, 0, zone)
}

// weekday is how many more or fewer begin to dream on a day.
func weekday(d time.Weekday) float64 {
	return [...]float64{1.35, 1.1, 1, .95, .9, .8, .9}[d]
}

// pull is how strongly one thinks of departing on a day: the wish for the days
// that are a lead time away.
func (t trip) pull(day time.Time) float64 {
	const samples = 5
	sum := 0.0
	for i := range samples {
		lead := t.lead[0] + (t.lead[1]-t.lead[0])*i/(samples-1)
		sum += t.wish(day.AddDate(0, 0, lead))
	}
	return sum / samples
}

// wish is how much one wants to depart on a day, 1 on average over the year.
func (t trip) wish(day time.Time) float64 {
	sum := 0.0
	for _, w := range t.months {
		sum += w
	}
	return 12 * t.months[day.Month()-1] / sum
}

// day is the number of the day on which the visitor comes who has a share q of
// all visitors before him.
func (d *demand) day(q float64) int {
	i, _ := slices.BinarySearch(d.sums, q*d.sums[len(d.sums)-1])
	return min(i, d.last())
}

// last is the number of the last day.
func (d *demand) last() int { return len(d.days) - 1 }

// persona draws who comes on a day.
func (d *demand) persona(rng *rand.Rand, day int) int {
	pull := d.pull[day]
	i, _ := slices.BinarySearch(pull, rng.Float64()*pull[len(pull)-1])
	return min(i, len(pull)-1)
}
