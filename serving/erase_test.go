package serving_test

import (
	"context"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"fernweh/schemas"
	"fernweh/serving"
)

// pen is a log that keeps what was appended.
type pen struct {
	*portal
	written []*schemas.Event
}

func (p *pen) Append(_ context.Context, events []*schemas.Event) ([]int64, error) {
	p.written = append(p.written, events...)
	return make([]int64, len(events)), nil
}

// TestAnErasureOfNobodyIsNoSuccess: a mistyped name must not look as if somebody had
// been forgotten, and what the views do not know yet must be erasable all the same.
func TestAnErasureOfNobodyIsNoSuccess(t *testing.T) {
	p := &pen{portal: newPortal(t, 2)}
	p.happens(page("anna"))
	p.happens(login("ben", "K-1"))
	p.happens(page("gone"))
	p.happens(&schemas.Event{Device: "gone", Kind: schemas.Kind_KIND_ERASURE, Erasure: &schemas.Erasure{}})
	s, err := serving.New(serving.Config{Views: p, Partitions: 2, Events: p, Now: p.clock, Access: keyed()})
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(s.Handler())
	t.Cleanup(server.Close)
	for _, test := range []struct {
		path    string
		status  int
		devices string
		says    string
	}{
		{"/v1/visitors/anna", 202, "anna", ""},
		{"/v1/visitors/gone", 202, "gone", ""}, // its filter is known: late events may come
		{"/v1/visitors/ana", 404, "", "erase device ana: nothing is known of it"},
		{"/v1/visitors/ana?force=false", 404, "", "force=true"},
		{"/v1/visitors/ana?force=true", 202, "ana", ""},
		{"/v1/persons/K-1", 202, "ben", ""},
		{"/v1/persons/K-2", 404, "", "find customer K-2: nothing is known of it"},
		{"/v1/persons/anna", 404, "", "nothing is known of it"},
	} {
		p.written = nil
		r := do(t, server, "DELETE", test.path, "")
		var devices []string
		for _, e := range p.written {
			devices = append(devices, e.Device)
		}
		if r.status != test.status || strings.Join(devices, ",") != test.devices {
			t.Errorf("DELETE %s: %d with erasures of %v, want %d with %q: %s", test.path, r.status, devices, test.status, test.devices, r.body)
		}
		if test.status == 404 && !strings.Contains(problemOf(t, r).Detail, test.says) {
			t.Errorf("DELETE %s: %s, want %q in it", test.path, r.body, test.says)
		}
	}
}

// TestAnErasureIsForcedWhileTheViewsAreAway: what the views know is not asked.
func TestAnErasureIsForcedWhileTheViewsAreAway(t *testing.T) {
	p := &pen{portal: newPortal(t, 2)}
	s, err := serving.New(serving.Config{Views: away{}, Partitions: 2, Events: p, Now: p.clock, Access: keyed()})
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(s.Handler())
	t.Cleanup(server.Close)
	if r := do(t, server, "DELETE", "/v1/visitors/anna", ""); r.status != 503 || len(p.written) > 0 {
		t.Errorf("an erasure while the views are away: %d %s, %d records, want 503 and none", r.status, r.body, len(p.written))
	}
	if r := do(t, server, "DELETE", "/v1/visitors/anna?force=true", ""); r.status != 202 || len(p.written) != 1 {
		t.Errorf("a forced one: %d %s, %d records, want 202 and one", r.status, r.body, len(p.written))
	}
}

// away is a store that answers nothing.
type away struct{}

func (away) Get(context.Context, ...schemas.Key) ([]schemas.Row, error) {
	return nil, context.DeadlineExceeded
}

func (away) Scan(context.Context, schemas.Table, string, string, func(schemas.Row) error) error {
	return context.DeadlineExceeded
}

// TestAnErasureIsLaterThanTheOneBefore: whatever clock that was stamped by, what came
// since is forgotten too.
func TestAnErasureIsLaterThanTheOneBefore(t *testing.T) {
	p := &pen{portal: newPortal(t, 2)}
	hour := p.clock().Add(time.Hour).UnixMicro() // by the clock of another server
	p.happens(login("dora", "K-9"))
	p.happens(&schemas.Event{Device: "dora", Kind: schemas.Kind_KIND_ERASURE, Received: hour, Erasure: &schemas.Erasure{Login: "K-9"}})
	again := login("dora", "K-9")
	again.Received = hour + 1
	p.happens(again)
	s, err := serving.New(serving.Config{Views: p, Partitions: 2, Events: p, Now: p.clock, Access: keyed()})
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(s.Handler())
	t.Cleanup(server.Close)
	if r := do(t, server, "DELETE", "/v1/persons/K-9", ""); r.status != 202 || len(p.written) != 1 || p.written[0].Received <= hour {
		t.Errorf("the erasure is %v (%d), want it received after %d", p.written, r.status, hour)
	}
}

// TestAnErasedDestinationIsNotListed: what only the erased have looked for is no
// longer named, not even with a zero.
func TestAnErasedDestinationIsNotListed(t *testing.T) {
	p := newPortal(t, 2)
	p.happens(search("anna", "Anna's secret island", 2, 0))
	p.happens(search("ben", "Sylt", 2, 0))
	p.happens(&schemas.Event{Device: "anna", Kind: schemas.Kind_KIND_ERASURE, Erasure: &schemas.Erasure{}})
	s, err := serving.New(serving.Config{Views: p, Partitions: 2, Now: p.clock, Access: keyed()})
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(s.Handler())
	t.Cleanup(server.Close)
	r := do(t, server, "GET", "/v1/kpis?window=4h&by=destination", "")
	if r.status != 200 || !strings.Contains(string(r.body), "Sylt") || strings.Contains(string(r.body), "secret") {
		t.Errorf("the answer is %d %s, want Sylt and nothing of the erased", r.status, r.body)
	}
}
