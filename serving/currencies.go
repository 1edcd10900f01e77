package serving

import (
	"cmp"
	"context"
	"slices"

	"fernweh/model/kpi"
)

// Currencies are what the pages call them, so nothing but these bounds an answer:
// it has room for so many values of series, and for so many currencies at all.
const (
	maxPoints     = 40_000
	maxCurrencies = 200    // ISO 4217 has fewer
	codes         = 20_000 // more than three letters make: all are seen before some are left out
	namedAtMost   = 1000   // of those that are left out
)

func isMoney(m kpi.Measure) bool { return m == kpi.Revenue || m == kpi.Refunds }

// currencies is how many currencies the answer has room for. It is known before
// anything is read.
func (w Window) currencies() int {
	var money, others int64
	for _, m := range w.Measures {
		if isMoney(m) {
			money++
		} else {
			others++
		}
	}
	if money == 0 || w.buckets() == 0 {
		return maxCurrencies
	}
	free := maxPoints - others*w.buckets()
	return int(min(max(free/(money*w.buckets()), 1), maxCurrencies))
}

// worth ranks the currencies of a window, the most booked and cancelled first. Of
// amounts in different currencies that is no order of value, and the only one there
// is without rates.
func (v *WindowView) worth() []string {
	sums := map[string]int64{}
	for p, series := range v.Series {
		if p.Dim.By == kpi.ByCurrency {
			sums[p.Dim.Value] += series.Total.Value.Sum
		}
	}
	names := make([]string, 0, len(sums))
	for name := range sums {
		names = append(names, name)
	}
	slices.SortFunc(names, func(a, b string) int { return cmp.Or(cmp.Compare(sums[b], sums[a]), cmp.Compare(a, b)) })
	return names
}

// narrow leaves out the currencies that the answer has no room for, and reads the
// series of the others, which had none while it was not known which these are.
func (r *Reader) narrow(ctx context.Context, w Window, v *WindowView) error {
	names := v.worth()
	room := w.currencies()
	if len(names) <= room {
		return nil
	}
	kept := names[:room]
	v.LeftOut = names[room:]
	for p := range v.Series {
		if p.Dim.By == kpi.ByCurrency {
			delete(v.Series, p)
		}
	}
	for _, m := range w.Measures {
		if !isMoney(m) {
			continue
		}
		s := scan{window: w, horizon: v.Horizon, until: slices.Clone(v.Until), series: make(map[Part]*Series), only: kept}
		if err := s.read(ctx, r.Views, m); err != nil {
			return err
		}
		v.take(&s)
	}
	return nil
}

// take adds what a scan has read.
func (v *WindowView) take(s *scan) {
	for p, series := range s.series {
		v.Series[p] = series
	}
	v.Left += s.left
	for p := range v.Until {
		v.Until[p] = max(v.Until[p], s.until[p])
	}
}
