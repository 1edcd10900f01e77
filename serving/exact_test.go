package serving_test

import (
	"fmt"
	"testing"
	"time"

	"fernweh/model/kpi"
	"fernweh/schemas"
	"fernweh/serving"
)

// TestExactMeansFolded: a window is exact only up to the first of the cuts, however
// much later the generation was published, and only where that is known.
func TestExactMeansFolded(t *testing.T) {
	p := newPortal(t, 2)
	begin := p.clock().Truncate(time.Minute)
	p.happens(page("anna"))
	p.passes(time.Hour)
	p.runs("")
	cut := begin.Add(90 * time.Minute)
	s := serve(t, p, nil)
	published := func(times ...time.Time) {
		g := &p.published.Kept[0]
		g.CutTimes, g.At = nil, begin.Add(3*time.Hour).UnixMicro()
		for _, at := range times {
			g.CutTimes = append(g.CutTimes, at.UnixMicro())
		}
		g.Run++ // so that the server sees that it is another one
		p.put(schemas.PaneKey(kpi.Pages.String(), begin.Unix()/60, ""), schemas.ColumnBatch(g.Run), g.Run, p.bytes(&kpi.Value{Sum: 1}))
		p.published.Current = g.Run
		p.announce()
		until(t, "the generation is seen", func() bool { return read[serving.Status](t, s, "/v1/status").Generation == g.Run })
	}
	for _, test := range []struct {
		name  string
		cuts  []time.Time
		to    time.Time
		state serving.State
	}{
		{"it ended at the first cut", []time.Time{cut.Add(time.Hour), cut}, cut, serving.Exact},
		{"it ended a minute later", []time.Time{cut.Add(time.Hour), cut}, cut.Add(time.Minute), serving.Live},
		{"the cut came within its last minute", []time.Time{cut.Add(-time.Microsecond), cut}, cut, serving.Live},
		{"it ended before the publication", []time.Time{cut, cut}, begin.Add(3 * time.Hour), serving.Live},
		{"of one partition it is not known", []time.Time{cut, time.UnixMicro(0)}, begin.Add(time.Minute), serving.Live},
		{"of none it is known", nil, begin.Add(time.Minute), serving.Live},
	} {
		published(test.cuts...)
		k := read[serving.KPIs](t, s, fmt.Sprintf("/v1/kpis?measures=pages&bucket=1m&from=%s&to=%s", begin.Format(time.RFC3339), test.to.Format(time.RFC3339)))
		if got, want := k.Measures["pages"], (serving.Count{Value: 1, State: test.state}); got != want {
			t.Errorf("%s: got %+v, want %+v", test.name, got, want)
		}
		if got := k.Series[0].State; got != test.state {
			t.Errorf("%s: its series is %s, want %s", test.name, got, test.state)
		}
		if known, told := test.cuts != nil && test.cuts[1].UnixMicro() > 0, k.Provenance.ExactUntil; (told != nil) != known || known && !told.Equal(earliest(test.cuts)) {
			t.Errorf("%s: exact until %v, want the earliest of %v", test.name, told, test.cuts)
		}
	}
}

func earliest(times []time.Time) time.Time {
	first := times[0]
	for _, at := range times {
		if at.Before(first) {
			first = at
		}
	}
	return first
}

// TestALateEventIsCountedLiveBesideWhatWasExact: who reported a number yesterday sees
// by how much it has changed since the cut.
func TestALateEventIsCountedLiveBesideWhatWasExact(t *testing.T) {
	p := newPortal(t, 2)
	early := p.clock()
	p.happens(page("anna"))
	p.happens(booking("anna", "h1", "Sylt", 310_000))
	p.passes(2 * time.Hour)
	p.runs("")
	s := serve(t, p, nil)
	path := "/v1/kpis?by=destination&from=" + early.Format(time.RFC3339) + "&to=" + early.Add(time.Hour).Format(time.RFC3339)
	k := read[serving.KPIs](t, s, path)
	if r := k.Revenue[0]; r.State != serving.Exact || r.Exact != nil || k.Measures["bookings"] != (serving.Count{Value: 1, State: serving.Exact}) {
		t.Fatalf("before: revenue %+v, bookings %+v, want both exact, and only that", r, k.Measures["bookings"])
	}

	late := booking("bert", "h1", "Sylt", 90_000)
	late.Time = early.UnixMicro()
	p.happens(late)
	p.happens(page("clara")) // of now: not in the window
	k = read[serving.KPIs](t, s, path)
	got := k.Measures["bookings"]
	if got.Value != 2 || got.State != serving.Live || got.Exact == nil || *got.Exact != 1 {
		t.Errorf("bookings: got %+v, want 2, live, of which 1 was exact", got)
	}
	if got := k.Measures["pages"]; got != (serving.Count{Value: 1, State: serving.Exact}) {
		t.Errorf("pages: got %+v, want 1, exact: the late event was none", got)
	}
	want := serving.Money{Currency: "EUR", Booked: 310_000}
	if r := k.Revenue[0]; r.Booked != 400_000 || r.State != serving.Live || r.Exact == nil || *r.Exact != want {
		t.Errorf("revenue: got %+v with %+v, want 400,000 live, of which %+v was exact", r, r.Exact, want)
	}
	if got := k.Measures["visitors"]; got.Value != 2 || got.Exact == nil || *got.Exact != 1 {
		t.Errorf("visitors: got %+v, want 2, of which 1 was exact", got)
	}
	if got := read[serving.KPIs](t, s, "/v1/kpis").Measures["pages"]; got.Exact != nil {
		t.Errorf("pages of a window that the cut does not reach: got %+v, want no word of what was exact", got)
	}
	p.runs("") // and the next run makes it exact again
	until(t, "the generation is seen", func() bool { return read[serving.Status](t, s, "/v1/status").Generation == 2 })
	if got := read[serving.KPIs](t, s, path).Measures["bookings"]; got != (serving.Count{Value: 2, State: serving.Exact}) {
		t.Errorf("bookings after the next run: got %+v, want 2, exact", got)
	}
}

// TestOnePrefixBoundsAPage: panes are read while speed goes on, so that one may hold
// more than another. The answer says what each holds at least, and none more than.
func TestOnePrefixBoundsAPage(t *testing.T) {
	p := newPortal(t, 2)
	minute := p.clock().Unix() / 60
	p.happens(page("anna"))
	p.runs("")
	partition, offset := p.happens(page("anna"))
	s := serve(t, p, nil)
	other := 1 - partition
	ahead := func(m kpi.Measure, of int32, stamp int64) {
		p.put(schemas.PaneKey(m.String(), minute, ""), schemas.ColumnSpeedPane(1, of), stamp, p.bytes(&kpi.Value{Sum: 9}))
	}
	ahead(kpi.Searches, partition, offset+7) // its position is not written yet
	ahead(kpi.Bookings, partition, offset+3)
	ahead(kpi.Views, other, 40)
	all := read[serving.KPIs](t, s, "/v1/kpis?bucket=1m").Provenance
	if got := all.Partitions[partition]; got.Through != offset+1 || got.Until != offset+8 {
		t.Errorf("partition %d: through %d until %d, want %d and %d", partition, got.Through, got.Until, offset+1, offset+8)
	}
	if got := all.Partitions[other]; got.Through != got.Cut+1 || got.Until != 41 {
		t.Errorf("partition %d: through %d until %d, want %d and 41", other, got.Through, got.Until, got.Cut+1)
	}
	some := read[serving.KPIs](t, s, "/v1/kpis?measures=bookings").Provenance.Partitions[partition]
	if some.Until != offset+4 {
		t.Errorf("bookings alone: until %d, want %d", some.Until, offset+4)
	}
	one := read[serving.Visitor](t, s, "/v1/visitors/anna").Provenance
	if one.Until != one.Through || one.Through != offset+1 {
		t.Errorf("a device: through %d until %d, want one prefix", one.Through, one.Until)
	}
}

// TestAPartitionWithoutEventsSinceTheCutIsExact: the cut itself is no event.
func TestAPartitionWithoutEventsSinceTheCutIsExact(t *testing.T) {
	p := newPortal(t, 2)
	p.happens(page("anna"))
	p.runs("")
	partition, _ := p.happens(page("anna"))
	s := serve(t, p, nil)
	for i, got := range read[serving.Status](t, s, "/v1/status").Coverage.Partitions {
		want := serving.Exact
		if int32(i) == partition {
			want = serving.Live
		}
		if got.State != want {
			t.Errorf("partition %d is %s, want %s", i, got.State, want)
		}
	}
}
