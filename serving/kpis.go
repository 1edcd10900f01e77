package serving

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	"fernweh/model/kpi"
)

// KPIs are the portal's numbers in a window, as the API shows them.
type KPIs struct {
	Waited
	From         time.Time          `json:"from"`
	To           time.Time          `json:"to" doc:"not included"`
	Measures     map[string]Count   `json:"measures"`
	Revenue      []Revenue          `json:"revenue"`
	Rates        map[string]Rate    `json:"rates" doc:"conversion and bounceRate per session, lookToBook in offer views per booking"`
	Destinations []DestinationCount `json:"destinations,omitempty" doc:"with by=destination, the most wanted first"`
	LeftOut      int                `json:"leftOut,omitempty" doc:"panes of destinations beyond ten thousand, left out"`
	Currencies   []string           `json:"currenciesLeftOut,omitempty" doc:"those of least worth, beyond what an answer has room for: in neither revenue nor series; at most a thousand are named"`
	BucketSecs   int64              `json:"bucketSeconds,omitempty"`
	Series       []Timeline         `json:"series,omitempty" doc:"with bucket: a value for each bucket since from"`
	Provenance   Coverage           `json:"provenance"`
}

// A Count is one number.
type Count struct {
	Value int64   `json:"value"`
	State State   `json:"state"`
	Exact *int64  `json:"exact,omitempty" doc:"what batch had counted of it, where the window had ended before the cut and something has come in since that belongs into it"`
	Error float64 `json:"standardError,omitempty" doc:"relative, of distinct counts, which are estimated"`
}

// Revenue is what was booked and cancelled in one currency.
type Revenue struct {
	Money
	State State  `json:"state"`
	Exact *Money `json:"exact,omitempty" doc:"as of a count"`
}

// A Rate is one number divided by another.
type Rate struct {
	Value *float64 `json:"value" nullable:"true" doc:"null: divided by nothing"`
	State State    `json:"state"`
}

// A DestinationCount is the demand for one destination.
type DestinationCount struct {
	Destination
	State State `json:"state"`
}

// A Timeline is one measure by bucket.
type Timeline struct {
	Measure  string  `json:"measure"`
	Currency string  `json:"currency,omitempty"`
	Values   []int64 `json:"values"`
	State    State   `json:"state"`
}

// visitorsError is the relative standard error of a sketch of 4,096 registers.
const visitorsError = 0.01625

const (
	maxWindow     = 31 * 24 * 60 // minutes
	longWindow    = 24 * 60      // minutes; longer ones are read few at once
	windowsAtOnce = 4
	maxBuckets    = 1500
)

type kpisInput struct {
	Wait
	Window   string    `query:"window" doc:"how far back, in whole minutes, up to 744h; 4h unless from and to are given" example:"4h"`
	From     time.Time `query:"from" doc:"instead of window, with to; rounded down to the minute"`
	To       time.Time `query:"to" doc:"not included; rounded down to the minute"`
	Measures []string  `query:"measures" doc:"comma-separated; without it: all"`
	By       string    `query:"by" enum:"destination" doc:"also divide searches, views and bookings"`
	Bucket   string    `query:"bucket" doc:"also give series, in steps of so many whole minutes" example:"1m"`
	Top      int       `query:"top" default:"10" minimum:"1" maximum:"1000" doc:"how many destinations"`
}

type kpisOutput struct{ Body KPIs }

func (s *Server) kpis(ctx context.Context, in *kpisInput) (*kpisOutput, error) {
	return answer(s.readKPIs(ctx, in))
}

func (s *Server) readKPIs(ctx context.Context, in *kpisInput) (*kpisOutput, error) {
	w, err := in.parse(s.config.Now())
	if err != nil {
		return nil, err
	}
	waited, err := s.wait(ctx, in.Wait)
	if err != nil {
		return nil, err
	}
	v, err := s.readWindow(ctx, w)
	if err != nil {
		return nil, err
	}
	out := &kpisOutput{show(w, v, in.Top)}
	out.Body.Waited, out.Body.Provenance = waited, s.watcher.coverageOf(&v)
	return out, nil
}

// readWindow reads a window; a long one may take longer, and waits for its turn.
func (s *Server) readWindow(ctx context.Context, w Window) (WindowView, error) {
	timeout := s.config.Timeout
	if w.To-w.From > longWindow {
		timeout *= 4
	}
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	if w.To-w.From > longWindow {
		select {
		case s.windows <- struct{}{}:
			defer func() { <-s.windows }()
		case <-ctx.Done():
			return WindowView{}, errBusy
		}
	}
	return s.reader.Window(ctx, w)
}

// parse makes a window of the parameters.
func (in *kpisInput) parse(now time.Time) (w Window, err error) {
	if w.From, w.To, err = in.span(now); err != nil {
		return w, err
	}
	if w.Bucket, err = minutes("query.bucket", in.Bucket, "0"); err != nil {
		return w, err
	}
	if w.buckets() > maxBuckets {
		return w, badParam{"query.bucket", in.Bucket, fmt.Sprintf("want at most %d buckets, not %d", maxBuckets, w.buckets())}
	}
	w.Destinations = in.By == "destination"
	for _, name := range in.Measures {
		m, err := kpi.ParseMeasure(name)
		if err != nil {
			return w, badParam{"query.measures", name, err.Error()}
		}
		if !slices.Contains(w.Measures, m) {
			w.Measures = append(w.Measures, m)
		}
	}
	if len(w.Measures) == 0 {
		w.Measures = kpi.Measures()
	}
	return w, nil
}

// span is the window in minutes since 1970; the current minute is in the default.
func (in *kpisInput) span(now time.Time) (from, to int64, err error) {
	if in.From.IsZero() && in.To.IsZero() {
		n, err := minutes("query.window", in.Window, "4h")
		if err == nil && (n < 1 || n > maxWindow) {
			err = badParam{"query.window", in.Window, "want from 1m to 744h"}
		}
		to = now.Unix()/60 + 1
		return to - n, to, err
	}
	if in.Window != "" {
		return 0, 0, badParam{"query.window", in.Window, "give window, or from and to, not both"}
	}
	if in.From.IsZero() || in.To.IsZero() {
		return 0, 0, badParam{"query.from", "", "give both from and to, such as 2026-11-22T12:00:00Z"}
	}
	from, to = in.From.Unix()/60, in.To.Unix()/60
	if from < 0 || to <= from || to-from > maxWindow {
		return 0, 0, badParam{"query.to", in.To.Format(time.RFC3339), "want a time after from, by at most 744h"}
	}
	return from, to, nil
}

// minutes reads a duration of whole minutes.
func minutes(location, value, without string) (int64, error) {
	text := cmp.Or(value, without)
	d, err := time.ParseDuration(text)
	if err != nil || d < 0 || d%time.Minute != 0 {
		return 0, badParam{location, value, "want a duration of whole minutes, such as 90m or 4h"}
	}
	return int64(d / time.Minute), nil
}

// show derives what is shown of a window's sums.
func show(w Window, v WindowView, top int) KPIs {
	g, _ := v.Horizon.generation()
	x := exhibit{window: w, view: v, folded: w.To*60_000_000 <= g.FoldedUntil()}
	out := KPIs{
		From: time.Unix(w.From*60, 0).UTC(), To: time.Unix(w.To*60, 0).UTC(),
		Measures: make(map[string]Count), Revenue: x.revenue(), Rates: x.rates(),
		LeftOut: v.Left, Currencies: v.LeftOut[:min(len(v.LeftOut), namedAtMost)], BucketSecs: w.Bucket * 60,
	}
	for _, m := range w.Measures {
		if m != kpi.Revenue && m != kpi.Refunds { // which have no total over currencies
			out.Measures[m.String()] = x.count(m)
		}
	}
	if w.Bucket > 0 {
		out.Series = x.timelines()
	}
	if w.Destinations {
		all := x.destinations()
		out.Destinations = all[:min(len(all), top)]
	}
	return out
}

// An exhibit is a window that is being shown.
type exhibit struct {
	window Window
	view   WindowView
	folded bool // it had ended when the first of the cuts was appended: what speed has no part in is exact
}

func (x *exhibit) tally(m kpi.Measure, dim kpi.Dim) Tally {
	t := Tally{}
	if s := x.view.Series[Part{m, dim}]; s != nil {
		t = s.Total
	}
	t.Live = t.Live || !x.folded
	return t
}

func (x *exhibit) count(m kpi.Measure) Count {
	t := x.tally(m, kpi.Dim{})
	c := Count{Value: number(m, &t), State: stateOf(t.Live)}
	if x.folded && t.Live {
		exact := number(m, &Tally{Value: x.batch(m, kpi.Dim{})})
		c.Exact = &exact
	}
	if m == kpi.Visitors {
		c.Error = visitorsError
	}
	return c
}

// batch is what the generation holds of a sum.
func (x *exhibit) batch(m kpi.Measure, dim kpi.Dim) kpi.Value {
	if s := x.view.Series[Part{m, dim}]; s != nil {
		return s.Batch
	}
	return kpi.Value{}
}

// number is the sum of a tally, or what its sketch estimates.
func number(m kpi.Measure, t *Tally) int64 {
	if m == kpi.Visitors {
		return int64(t.Value.Devices.Estimate())
	}
	return t.Value.Sum
}

func (x *exhibit) revenue() []Revenue {
	sum := map[string]Revenue{}
	for p := range x.view.Series {
		if p.Dim.By != kpi.ByCurrency {
			continue
		}
		booked, cancelled := x.tally(kpi.Revenue, p.Dim), x.tally(kpi.Refunds, p.Dim)
		r := Revenue{
			Money: Money{p.Dim.Value, booked.Value.Sum, cancelled.Value.Sum}, State: stateOf(booked.Live || cancelled.Live),
		}
		if booked, cancelled := x.batch(kpi.Revenue, p.Dim), x.batch(kpi.Refunds, p.Dim); x.folded && r.State == Live {
			r.Exact = &Money{p.Dim.Value, booked.Sum, cancelled.Sum}
		}
		sum[p.Dim.Value] = r
	}
	return all(sum, func(a, b Revenue) int { return cmp.Compare(a.Currency, b.Currency) })
}

// rates are those whose parts were asked for.
func (x *exhibit) rates() map[string]Rate {
	rates := make(map[string]Rate)
	for _, r := range [...]struct {
		name      string
		part, all kpi.Measure
	}{
		{"conversion", kpi.Bookings, kpi.Sessions},
		{"bounceRate", kpi.Bounces, kpi.Sessions},
		{"lookToBook", kpi.Views, kpi.Bookings},
	} {
		if !slices.Contains(x.window.Measures, r.part) || !slices.Contains(x.window.Measures, r.all) {
			continue
		}
		part, all := x.tally(r.part, kpi.Dim{}), x.tally(r.all, kpi.Dim{})
		rate := Rate{State: stateOf(part.Live || all.Live)}
		if all.Value.Sum > 0 {
			v := float64(part.Value.Sum) / float64(all.Value.Sum)
			rate.Value = &v
		}
		rates[r.name] = rate
	}
	return rates
}

func (x *exhibit) destinations() []DestinationCount {
	sum := map[string]DestinationCount{}
	for p := range x.view.Series {
		if p.Dim.By != kpi.ByDestination {
			continue
		}
		searches, views, bookings := x.tally(kpi.Searches, p.Dim), x.tally(kpi.Views, p.Dim), x.tally(kpi.Bookings, p.Dim)
		if searches.Value.Sum == 0 && views.Value.Sum == 0 && bookings.Value.Sum == 0 {
			continue // all that was done about it was erased
		}
		sum[p.Dim.Value] = DestinationCount{
			Destination{p.Dim.Value, searches.Value.Sum, views.Value.Sum, bookings.Value.Sum},
			stateOf(searches.Live || views.Live || bookings.Live),
		}
	}
	return all(sum, func(a, b DestinationCount) int { return compareDestinations(a.Destination, b.Destination) })
}

// timelines are the series of all totals, and of money by currency.
func (x *exhibit) timelines() []Timeline {
	var out []Timeline
	empty := make([]Tally, x.window.buckets())
	for _, m := range x.window.Measures {
		if m == kpi.Revenue || m == kpi.Refunds {
			for _, r := range x.revenue() {
				out = append(out, x.timeline(m, kpi.Dim{By: kpi.ByCurrency, Value: r.Currency}, empty))
			}
			continue
		}
		out = append(out, x.timeline(m, kpi.Dim{}, empty))
	}
	return out
}

func (x *exhibit) buckets(p Part, empty []Tally) []Tally {
	if s := x.view.Series[p]; s != nil {
		return s.Buckets
	}
	return empty
}

func (x *exhibit) timeline(m kpi.Measure, dim kpi.Dim, empty []Tally) Timeline {
	buckets, whole := x.buckets(Part{m, dim}, empty), x.tally(m, dim)
	t := Timeline{Measure: m.String(), Currency: dim.Value, Values: make([]int64, len(buckets)), State: stateOf(whole.Live)}
	for i := range buckets {
		t.Values[i] = number(m, &buckets[i])
	}
	return t
}
