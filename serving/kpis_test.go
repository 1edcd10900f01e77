package serving_test

import (
	"bytes"
	"context"
	"math"
	"testing"
	"time"

	"fernweh/model/kpi"
	"fernweh/model/visitor"
	"fernweh/schemas"
	"fernweh/serving"

	"pgregory.net/rapid"
)

func TestTheLastFourHoursAreOneNumberOfBatchAndSpeed(t *testing.T) {
	p := newPortal(t, 4)
	p.happens(booking("early", "h0", "Rom", 1)) // five hours ago: not in the window
	p.passes(time.Hour + time.Minute)
	crowd(p)
	p.runs("")
	p.passes(20 * time.Minute)
	p.happens(view("couple0", "h2", "Sylt")) // goes on with its session
	p.happens(booking("couple0", "h2", "Sylt", 90_000))
	p.happens(&schemas.Event{Device: "family0", Kind: schemas.Kind_KIND_CANCELLATION,
		Order: &schemas.Order{Id: "o", Amount: 310_000, Currency: "EUR"}})
	p.passes(3*time.Hour + 38*time.Minute)
	s := serve(t, p, nil)

	k := read[serving.KPIs](t, s, "/v1/kpis?by=destination&bucket=5m&top=1")
	for name, want := range map[string]int64{
		"sessions": 60, "bounces": 20, "searches": 40, "views": 60, "bookings": 6, "cancellations": 1, "pages": 20, "events": 127,
	} {
		if got := k.Measures[name]; got.Value != want {
			t.Errorf("%s: got %+v, want %d", name, got, want)
		}
	}
	if got := k.Measures["visitors"]; math.Abs(float64(got.Value)-60) > 2 || got.Error == 0 {
		t.Errorf("visitors: got %+v, want about 60 and its error", got)
	}
	want := serving.Money{Currency: "EUR", Booked: 5*310_000 + 90_000, Cancelled: 310_000}
	if len(k.Revenue) != 1 || k.Revenue[0].Money != want || k.Revenue[0].State != serving.Live {
		t.Errorf("revenue: got %+v, want %+v, live", k.Revenue, want)
	}
	for name, want := range map[string]float64{"conversion": 0.1, "bounceRate": 1. / 3, "lookToBook": 10} {
		if got := k.Rates[name].Value; got == nil || math.Abs(*got-want) > 1e-9 {
			t.Errorf("%s: got %v, want %v", name, got, want)
		}
	}
	if len(k.Destinations) != 1 || k.Destinations[0].Destination.Destination != "Mallorca" || k.Destinations[0].Searches != 20 {
		t.Errorf("first destination: got %+v, want Mallorca with 20 searches", k.Destinations)
	}
	if k.To.Sub(k.From) != 4*time.Hour || k.Provenance.Generation != 1 || len(k.Provenance.Partitions) != 4 {
		t.Errorf("window, provenance: got %s to %s, %+v, want 4 h, generation 1, 4 partitions", k.From, k.To, k.Provenance)
	}
	for _, line := range k.Series {
		if got, want := sum(line.Values), k.Measures[line.Measure].Value; line.Currency == "" && line.Measure != "visitors" && got != want {
			t.Errorf("series of %s: sums to %d, want %d", line.Measure, got, want)
		}
		if len(line.Values) != 48 {
			t.Errorf("series of %s: got %d values, want 48", line.Measure, len(line.Values))
		}
	}
}

func sum(values []int64) (total int64) {
	for _, v := range values {
		total += v
	}
	return total
}

func TestAWindowBeforeTheRunIsExactUntilALateEventComes(t *testing.T) {
	p := newPortal(t, 2)
	early := p.clock()
	p.happens(page("anna"))
	p.passes(2 * time.Hour)
	p.runs("")
	s := serve(t, p, nil)
	path := "/v1/kpis?measures=pages,bookings,sessions&from=" + early.Format(time.RFC3339) + "&to=" + early.Add(time.Hour).Format(time.RFC3339)
	k := read[serving.KPIs](t, s, path)
	if got, want := k.Measures["pages"], (serving.Count{Value: 1, State: serving.Exact}); got != want {
		t.Errorf("pages: got %+v, want %+v", got, want)
	}
	if rate := k.Rates["conversion"]; rate.Value == nil || *rate.Value != 0 || len(k.Rates) != 1 {
		t.Errorf("rates: got %+v, want a conversion of 0 only", k.Rates)
	}
	if got, want := read[serving.KPIs](t, s, "/v1/kpis").Measures["pages"], (serving.Count{Value: 1, State: serving.Live}); got != want {
		t.Errorf("pages of a window that has not ended: got %+v, want %+v", got, want)
	}
	late := page("bert")
	late.Time = early.UnixMicro()
	p.happens(late)
	got := read[serving.KPIs](t, s, path).Measures["pages"]
	if got.Value != 2 || got.State != serving.Live || got.Exact == nil || *got.Exact != 1 {
		t.Errorf("pages after a late event: got %+v, want 2, live, of which 1 was exact", got)
	}
}

func TestARateOverNothingIsNull(t *testing.T) {
	s := serve(t, newPortal(t, 1), nil)
	if got := read[serving.KPIs](t, s, "/v1/kpis?window=1m").Rates["conversion"]; got.Value != nil {
		t.Errorf("conversion without sessions: got %v, want null", *got.Value)
	}
}

func TestAMonthIsReadInOnePiece(t *testing.T) {
	p := newPortal(t, 2)
	for range 30 {
		p.happens(page("anna"))
		p.passes(24 * time.Hour)
	}
	s := serve(t, p, nil)
	k := read[serving.KPIs](t, s, "/v1/kpis?window=744h&bucket=24h&measures=pages")
	if got := k.Measures["pages"].Value; got != 30 || len(k.Series[0].Values) != 31 {
		t.Errorf("a month: got %d pages in %d days, want 30 in 31", got, len(k.Series[0].Values))
	}
}

// However the portal's days are cut into generations, every number of a window is
// what all histories together say, and every visitor is its own whole history.
func TestMergedViewsAreTheWholeHistories(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		p := newPortal(t, int32(rapid.IntRange(1, 3).Draw(rt, "partitions")))
		start := p.clock()
		for range rapid.IntRange(0, 40).Draw(rt, "steps") {
			device := rapid.SampledFrom([]string{"anna", "bert", "carl"}).Draw(rt, "device")
			e := rapid.SampledFrom([]*schemas.Event{page(device), search(device, "Sylt", 2, 0), view(device, "h1", "Rom"),
				booking(device, "h1", "Rom", 100), login(device, "4711")}).Draw(rt, "event")
			switch rapid.IntRange(0, 9).Draw(rt, "what") {
			case 0:
				p.runs("")
				continue
			case 1:
				e = &schemas.Event{Device: device, Kind: schemas.Kind_KIND_ERASURE, Erasure: &schemas.Erasure{}}
			}
			p.passes(time.Duration(rapid.IntRange(0, 50).Draw(rt, "minutes")) * time.Minute)
			p.happens(e)
		}
		p.agrees(rt, serving.Window{From: start.Unix() / 60, To: p.clock().Unix()/60 + 1, Measures: kpi.Measures(),
			Destinations: rapid.Bool().Draw(rt, "destinations")})
	})
}

// agrees holds what is read against what the portal knows itself.
func (p *portal) agrees(t *rapid.T, w serving.Window) {
	r := serving.Reader{Views: p, Now: p.clock, Horizon: func(ctx context.Context) (serving.Horizon, error) {
		return serving.ReadHorizon(ctx, p, p.partitions, p.clock())
	}}
	for device, whole := range p.devices {
		v, err := r.Visitor(context.Background(), device)
		if err != nil {
			t.Fatal(err)
		}
		if got, want := p.bytes(&visitor.Cell{Units: v.Merged.Units}), p.bytes(&visitor.Cell{Units: whole.Whole}); !bytes.Equal(got, want) {
			t.Errorf("units of %s: got %+v, want %+v", device, v.Merged.Units, whole.Whole)
		}
		if last := p.offsets[v.Partition]; v.Through != last {
			t.Errorf("%s holds all below %d, want %d", device, v.Through, last)
		}
	}
	want := map[serving.Part]int64{}
	for pane, value := range p.whole {
		if pane.Dim.By == kpi.ByDestination && !w.Destinations {
			continue
		}
		want[serving.Part{Measure: pane.Measure, Dim: pane.Dim}] += value.Sum
	}
	v, err := r.Window(context.Background(), w)
	if err != nil {
		t.Fatal(err)
	}
	if got, want := len(v.Series), len(want); got != want {
		t.Errorf("series: got %d, want %d", got, want)
	}
	for part, total := range want {
		if got := v.Series[part]; got == nil || got.Total.Value.Sum != total {
			t.Errorf("%s %s: got %+v, want %d", part.Measure, part.Dim, got, total)
		}
	}
}
