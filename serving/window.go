package serving

import (
	"context"
	"fmt"
	"slices"

	"fernweh/layer"
	"fernweh/model/kpi"
	"fernweh/schemas"

	"golang.org/x/sync/errgroup"
)

// A Window asks for the panes of some minutes.
type Window struct {
	From, To     int64 // minutes since 1970 UTC: [From, To)
	Bucket       int64 // minutes that a value of the series holds; 0: no series
	Measures     []kpi.Measure
	Destinations bool // also divided by destination
}

// MaxDestinations bounds the memory of one answer: destinations are what the
// pages call them, and nothing stops a page from inventing more.
const MaxDestinations = 10_000

// buckets is the length of the series.
func (w Window) buckets() int64 {
	if w.Bucket == 0 {
		return 0
	}
	return (w.To - w.From + w.Bucket - 1) / w.Bucket
}

// A Series is one measure, total or of one dimension, over a window.
type Series struct {
	Total   Tally
	Batch   kpi.Value // of the total, what the generation holds
	Buckets []Tally
}

// A Tally is a sum of panes. It is live while speed has a part in it.
type Tally struct {
	Value kpi.Value
	Live  bool
}

func (t *Tally) merge(v *kpi.Value, live bool) {
	t.Value.Merge(v)
	t.Live = t.Live || live
}

// A Part names one series of a window.
type Part struct {
	Measure kpi.Measure
	Dim     kpi.Dim
}

// WindowView is what the panes of a window add up to. Each of them holds, of each
// partition, every event within the horizon and none at or beyond Until: panes are
// read one after the other, while speed goes on.
type WindowView struct {
	Horizon Horizon
	Until   []int64 // by partition
	Series  map[Part]*Series
	Left    int      // panes of destinations beyond MaxDestinations, left out
	LeftOut []string // currencies, the most booked first
}

// scansAtOnce is how many measures one window reads at the same time: a remote
// store answers one scan in tens of milliseconds.
const scansAtOnce = 4

// Window reads the panes of a window.
func (r *Reader) Window(ctx context.Context, w Window) (v WindowView, err error) {
	err = r.within(ctx, func(h Horizon) error {
		v = WindowView{Horizon: h, Until: make([]int64, len(h.Positions)), Series: make(map[Part]*Series)}
		for p := range v.Until {
			v.Until[p] = h.Through(int32(p))
		}
		scans := make([]scan, len(w.Measures))
		g, ctx := errgroup.WithContext(ctx)
		g.SetLimit(scansAtOnce)
		for i, m := range w.Measures {
			scans[i] = scan{window: w, horizon: h, until: slices.Clone(v.Until), series: make(map[Part]*Series)}
			g.Go(func() error { return layer.Guard(func() error { return scans[i].read(ctx, r.Views, m) }) })
		}
		if err := g.Wait(); err != nil {
			return err
		}
		for i := range scans {
			v.take(&scans[i])
		}
		return r.narrow(ctx, w, &v)
	})
	return v, err
}

// A scan adds up the panes of one measure. One goroutine owns it.
type scan struct {
	window  Window
	horizon Horizon
	until   []int64 // by partition: no pane that was read holds more
	series  map[Part]*Series
	left    int
	only    []string // currencies; nil: all
}

func (s *scan) read(ctx context.Context, views Views, m kpi.Measure) (err error) {
	if divided(m) && !s.window.Destinations {
		err = s.totals(ctx, views, m)
	} else {
		from, to := schemas.PaneRange(m.String(), s.window.From, s.window.To)
		err = views.Scan(ctx, schemas.TablePanes, from, to, s.add)
	}
	if err != nil {
		return fmt.Errorf("read panes of %s: %w", m, err)
	}
	return nil
}

// divided says whether a measure has panes by destination, which may be many to
// each total.
func divided(m kpi.Measure) bool { return m == kpi.Searches || m == kpi.Views || m == kpi.Bookings }

// rowsAtOnce is how many rows are asked for by key in one call.
const rowsAtOnce = 1024

// totals reads the totals of a divided measure by their keys: a scan would pass
// over every destination of every minute between two of them.
func (s *scan) totals(ctx context.Context, views Views, m kpi.Measure) error {
	for from := s.window.From; from < s.window.To; from += rowsAtOnce {
		var keys []schemas.Key
		for minute := from; minute < min(from+rowsAtOnce, s.window.To); minute++ {
			keys = append(keys, schemas.PaneKey(m.String(), minute, ""))
		}
		rows, err := views.Get(ctx, keys...)
		if err != nil {
			return err
		}
		for _, row := range rows {
			if err := s.add(row); err != nil {
				return err
			}
		}
	}
	return nil
}

// add is called for each pane of the range.
func (s *scan) add(row schemas.Row) error {
	pane, err := kpi.ParseRow(row.Row)
	if err != nil {
		return err
	}
	sums, err := mergePane(s.horizon, row)
	if err != nil || len(sums.picked) == 0 {
		return err
	}
	for _, p := range sums.picked {
		if p.Family == schemas.FamilySpeed {
			s.until[p.Partition] = max(s.until[p.Partition], p.cell.Stamp+1)
		}
	}
	series := s.part(Part{pane.Measure, pane.Dim})
	if series == nil {
		if s.only == nil {
			s.left++
		}
		return nil
	}
	series.Total.merge(&sums.all, sums.live())
	series.Batch.Merge(&sums.batch)
	if len(series.Buckets) > 0 {
		series.Buckets[(pane.Minute-s.window.From)/s.window.Bucket].merge(&sums.all, sums.live())
	}
	return nil
}

// part finds or makes a series; nil where there is no room for another.
func (s *scan) part(p Part) *Series {
	series, currency, most := s.series[p], p.Dim.By == kpi.ByCurrency, MaxDestinations
	if currency {
		most = codes
	}
	if series != nil || len(s.series) > most || currency && s.only != nil && !slices.Contains(s.only, p.Dim.Value) {
		return series
	}
	series = new(Series)
	// A series for each would be no bounded answer.
	if p.Dim.By != kpi.ByDestination && (!currency || len(s.series) < s.window.currencies()) {
		series.Buckets = make([]Tally, s.window.buckets())
	}
	s.series[p] = series
	return series
}
