package layer_test

import (
	"context"
	"errors"
	"reflect"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"fernweh/layer"
)

// A clock stands still until it is told.
type clock struct{ t time.Time }

func (c *clock) now() time.Time { return c.t }

func newClock() *clock { return &clock{time.Date(2026, 11, 27, 9, 0, 0, 0, time.UTC)} }

var full = errors.New("no space left on device")

func TestHealthKeepsWhatDoesNotWorkUntilItDoes(t *testing.T) {
	c := newClock()
	h := layer.NewHealth(c.now)
	if got := h.Troubles(); len(got) != 0 {
		t.Fatalf("at first: got %v, want nothing", got)
	}
	began := c.t
	h.Down("speed partition 3", errors.New("offset 17"))
	c.t = c.t.Add(time.Hour)
	h.Down("speed partition 3", errors.New("offset 18"))
	h.Limited("collector", full)
	want := []layer.Trouble{
		{Component: "collector", Since: c.t, Reason: full.Error(), Attempts: 1},
		{Component: "speed partition 3", Down: true, Since: began, Reason: "offset 18", Attempts: 2},
	}
	if got := h.Troubles(); !reflect.DeepEqual(got, want) {
		t.Errorf("two troubles: got %v, want %v", got, want)
	}
	h.Up("speed partition 3")
	h.Up("nobody")
	if got := h.Troubles(); !reflect.DeepEqual(got, want[:1]) {
		t.Errorf("one of them works again: got %v, want %v", got, want[:1])
	}
}

// TestHealthTellsFromWhenItStandsStill: who spooled for an hour and refuses now
// refuses since now.
func TestHealthTellsFromWhenItStandsStill(t *testing.T) {
	c := newClock()
	h := layer.NewHealth(c.now)
	h.Limited("collector", errors.New("events wait in the spool"))
	c.t = c.t.Add(time.Hour)
	h.Down("collector", full)
	want := []layer.Trouble{{Component: "collector", Down: true, Since: c.t, Reason: full.Error(), Attempts: 1}}
	if got := h.Troubles(); !reflect.DeepEqual(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

// measured is what a registry gives: value by name and labels.
func measured(t *testing.T, r prometheus.Gatherer) map[string]float64 {
	t.Helper()
	families, err := r.Gather()
	if err != nil {
		t.Fatal(err)
	}
	got := make(map[string]float64)
	for _, f := range families {
		for _, m := range f.GetMetric() {
			key := f.GetName()
			for _, l := range m.GetLabel() {
				key += " " + l.GetName() + "=" + l.GetValue()
			}
			got[key] = m.GetGauge().GetValue()
		}
	}
	return got
}

func TestHealthIsMeasured(t *testing.T) {
	c := newClock()
	h := layer.NewHealth(c.now)
	r := prometheus.NewPedanticRegistry()
	r.MustRegister(h)
	h.Limited("collector", full)
	h.Down("documents", full)
	h.Down("documents", full)
	c.t = c.t.Add(90 * time.Second)
	want := map[string]float64{
		"fernweh_ready": 0,
		"fernweh_trouble_failures component=collector state=limited": 1,
		"fernweh_trouble_failures component=documents state=down":    2,
		"fernweh_trouble_seconds component=collector state=limited":  90,
		"fernweh_trouble_seconds component=documents state=down":     90,
	}
	if got := measured(t, r); !reflect.DeepEqual(got, want) {
		t.Errorf("in trouble: got %v, want %v", got, want)
	}
	h.Up("documents")
	if got := measured(t, r)["fernweh_ready"]; got != 1 {
		t.Errorf("with less, but at work: ready is %v, want 1", got)
	}
	h.Up("collector")
	if got, want := measured(t, r), map[string]float64{"fernweh_ready": 1}; !reflect.DeepEqual(got, want) {
		t.Errorf("all works again: got %v, want %v", got, want)
	}
}

func TestAgainBearsFailuresAndPanics(t *testing.T) {
	h := layer.NewHealth(time.Now)
	var seen []string
	calls := 0
	err := layer.Again(t.Context(), h, "documents", func(context.Context) error {
		calls++
		for _, trouble := range h.Troubles() {
			seen = append(seen, trouble.Reason)
		}
		switch calls {
		case 1:
			return full
		case 2:
			panic("assignment to entry in nil map")
		}
		return nil
	})
	want := []string{full.Error(), "panic: assignment to entry in nil map"}
	if err != nil || calls != 3 || !reflect.DeepEqual(seen, want) {
		t.Errorf("got %v after %d calls that saw %q, want none after 3 that saw %q", err, calls, seen, want)
	}
}

func TestAgainEndsWhereGoingOnWouldLose(t *testing.T) {
	end := errors.New("out of range")
	calls := 0
	err := layer.Again(t.Context(), layer.NewHealth(time.Now), "archive", func(context.Context) error {
		calls++
		return end
	}, end)
	if !errors.Is(err, end) || calls != 1 {
		t.Errorf("got %v after %d calls, want %v after 1", err, calls, end)
	}
}

func TestBackoffGrowsAndIsBounded(t *testing.T) {
	var b layer.Backoff
	before := time.Duration(0)
	for range 100 {
		wait := b.Next()
		if wait > 6250*time.Millisecond {
			t.Fatalf("waits %v, want at most five seconds and a quarter", wait)
		}
		before = max(before, wait)
	}
	if before < 4*time.Second {
		t.Errorf("after a hundred failures it waited %v at most, want about five seconds", before)
	}
	b.Reset()
	if wait := b.Next(); wait > 100*time.Millisecond {
		t.Errorf("after a success it waits %v, want it to begin anew", wait)
	}
}
