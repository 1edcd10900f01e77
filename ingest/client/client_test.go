package client_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"fernweh/ingest/client"
	"fernweh/model/visitor"
	"fernweh/schemas"
)

// A collector takes batches as the real one does, after it has answered what
// moods says to the first requests.
type collector struct {
	mu     sync.Mutex
	moods  []http.HandlerFunc // answers instead, one a request; guarded by mu
	bodies []body             // what was taken; guarded by mu
}

// body is a request as the protocol has it.
type body struct {
	Batch []struct {
		Type, Event, MessageID, AnonymousID string
		Timestamp                           time.Time
	}
	SentAt   time.Time
	received time.Time
}

func (c *collector) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.moods) > 0 {
		mood := c.moods[0]
		c.moods = c.moods[1:]
		mood(w, r)
		return
	}
	if key, _, _ := r.BasicAuth(); key != "portal" {
		http.Error(w, "unknown write key", http.StatusUnauthorized)
		return
	}
	b := body{received: time.Now()}
	if err := json.NewDecoder(r.Body).Decode(&b); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	c.bodies = append(c.bodies, b)
	verdicts := []map[string]any{}
	for i, e := range b.Batch {
		verdicts = append(verdicts, map[string]any{"id": e.MessageID, "status": status(e.MessageID), "offset": i})
	}
	json.NewEncoder(w).Encode(map[string]any{"success": true, "events": verdicts})
}

// status makes some events spooled and some rejected.
func status(id string) string {
	switch {
	case strings.HasSuffix(id, "-3"):
		return "spooled"
	case strings.HasSuffix(id, "-7"):
		return "rejected"
	}
	return "accepted"
}

// start serves c and makes a client of it.
func start(t *testing.T, c http.Handler, s client.Settings, report func(client.Event, client.Verdict)) *client.Client {
	t.Helper()
	srv := httptest.NewServer(c)
	t.Cleanup(srv.Close)
	s.URL = srv.URL
	if s.Key == "" {
		s.Key = "portal"
	}
	return client.New(s, report)
}

// visits are n page views of each of some devices, in turns, at times that the
// log keeps to the microsecond.
func visits(devices, n int) []client.Event {
	var all []client.Event
	for i := range n {
		for d := range devices {
			all = append(all, client.Event{Event: &schemas.Event{
				Id:     fmt.Sprintf("%d-%d", d, i),
				Device: fmt.Sprintf("device-%d", d),
				Kind:   schemas.Kind_KIND_PAGE,
				Name:   "Home",
				Time:   1_700_000_000_123_456 + int64(i),
			}})
		}
	}
	return all
}

// TestRequestsKeepToWhatIsTakenOfADevice sends more events of one device than a
// collector takes in a request, among others.
func TestRequestsKeepToWhatIsTakenOfADevice(t *testing.T) {
	c := new(collector)
	const n = 2*visitor.Remembered + 10
	client := start(t, c, client.Settings{Lanes: 1, Batch: 4 * n, Linger: time.Hour}, nil)
	if _, err := client.Send(t.Context(), slices.Values(visits(2, n))); err != nil {
		t.Fatal(err)
	}
	sent := map[string]int{}
	for _, b := range c.bodies {
		in := map[string]int{}
		for _, e := range b.Batch {
			in[e.AnonymousID]++
			sent[e.AnonymousID]++
		}
		for device, n := range in {
			if n > visitor.Remembered {
				t.Errorf("a request has %d events of %s, want at most %d", n, device, visitor.Remembered)
			}
		}
	}
	if len(c.bodies) != 3 || sent["device-0"] != n || sent["device-1"] != n {
		t.Errorf("%d requests with %v, want 3 with %d of each", len(c.bodies), sent, n)
	}
}

func TestEventsOfADeviceArriveInOrder(t *testing.T) {
	refuse := func(w http.ResponseWriter, _ *http.Request) {
		http.Error(w, "the spool is full", http.StatusTooManyRequests)
	}
	broken := func(w http.ResponseWriter, _ *http.Request) {
		http.Error(w, "no broker", http.StatusServiceUnavailable)
	}
	hangUp := func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }
	moods := []http.HandlerFunc{refuse, hangUp, broken, refuse, hangUp}

	for _, batch := range []int{1, 7, 500} {
		t.Run(fmt.Sprintf("batches of %d", batch), func(t *testing.T) {
			stub := &collector{moods: moods}
			want := visits(9, 40)
			reported := map[string][]string{}
			c := start(t, stub, client.Settings{Batch: batch, Lanes: 3}, func(e client.Event, v client.Verdict) {
				if e.Id != v.ID {
					t.Errorf("verdict on %s was reported for event %s", v.ID, e.Id)
				}
				reported[e.Device] = append(reported[e.Device], v.ID)
			})
			counts, err := c.Send(t.Context(), slices.Values(want))
			if err != nil {
				t.Fatal(err)
			}
			if counts.Retries != int64(len(moods)) {
				t.Errorf("got %d retries, want one for each of %d failures", counts.Retries, len(moods))
			}
			if got := counts.Accepted + counts.Spooled + counts.Rejected; got != int64(len(want)) || counts.Spooled != 9 || counts.Rejected != 9 {
				t.Errorf("got %+v, want %d verdicts, 9 spooled, 9 rejected", counts, len(want))
			}
			arrived := stub.arrived()
			for d := range 9 {
				device := fmt.Sprintf("device-%d", d)
				var ids []string
				for i := range 40 {
					ids = append(ids, fmt.Sprintf("%d-%d", d, i))
				}
				if !slices.Equal(arrived[device], ids) {
					t.Errorf("%s: arrived %v, want each once and in order", device, arrived[device])
				}
				if !slices.Equal(reported[device], ids) {
					t.Errorf("%s: reported %v, want each once and in order", device, reported[device])
				}
			}
		})
	}
}

// arrived are the ids that were taken, by device.
func (c *collector) arrived() map[string][]string {
	ids := map[string][]string{}
	for _, b := range c.bodies {
		for _, e := range b.Batch {
			ids[e.AnonymousID] = append(ids[e.AnonymousID], e.MessageID)
		}
	}
	return ids
}

func TestEventTimeSurvivesTheClockOfTheDevice(t *testing.T) {
	stub := new(collector)
	events := visits(3, 20)
	for i := range events {
		events[i].Skew = []time.Duration{0, 2 * time.Hour, -time.Hour}[i%3]
	}
	if _, err := start(t, stub, client.Settings{}, nil).Send(t.Context(), slices.Values(events)); err != nil {
		t.Fatal(err)
	}
	want := map[string]int64{}
	for _, e := range events {
		want[e.Id] = e.Time
	}
	for _, b := range stub.bodies {
		for _, e := range b.Batch {
			at := e.Timestamp // a collector's rule: received - (sentAt - timestamp)
			if e.AnonymousID != "device-0" {
				at = b.received.Add(-b.SentAt.Sub(e.Timestamp))
			} else if !b.SentAt.IsZero() {
				t.Errorf("%s has no skew, but its batch was sent at %s by its clock", e.MessageID, b.SentAt)
			}
			off := at.Sub(time.UnixMicro(want[e.MessageID]))
			if limit := time.Minute; off.Abs() > limit || e.AnonymousID == "device-0" && off != 0 {
				t.Errorf("%s of %s: event time is off by %s", e.MessageID, e.AnonymousID, off)
			}
		}
	}
}

func TestSendingTimeIsSaidAnewOnEveryTry(t *testing.T) {
	var asked time.Time
	stub := &collector{moods: []http.HandlerFunc{func(w http.ResponseWriter, r *http.Request) {
		asked = time.Now()
		io.Copy(io.Discard, r.Body)
		w.Header().Set("Retry-After", "1")
		w.WriteHeader(http.StatusTooManyRequests)
	}}}
	events := visits(1, 1)
	events[0].Skew = time.Hour
	if _, err := start(t, stub, client.Settings{}, nil).Send(t.Context(), slices.Values(events)); err != nil {
		t.Fatal(err)
	}
	b := stub.bodies[0]
	if waited := b.received.Sub(asked); waited < time.Second {
		t.Errorf("came back after %s, want the second that Retry-After asked for", waited)
	}
	if sent := b.SentAt.Add(-time.Hour); sent.Before(asked.Add(time.Second)) {
		t.Errorf("the second try says it was sent at %s, before it was made (%s)", sent, b.received)
	}
}

func TestRefusedForGoodIsAnError(t *testing.T) {
	tests := []struct {
		name string
		key  string
		mood http.HandlerFunc
		want string
	}{
		{"wrong key", "guess", nil, "401 Unauthorized: unknown write key"},
		{"answer that is no JSON", "portal", func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "<html>") },
			"read answer"},
		{"verdicts on other events", "portal",
			func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, `{"events":[{},{}]}`) },
			"2 verdicts on 1 events"},
		{"word that means nothing", "portal",
			func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, `{"events":[{"status":"perhaps"}]}`) },
			`unknown status "perhaps"`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			stub := new(collector)
			if tt.mood != nil {
				stub.moods = []http.HandlerFunc{tt.mood}
			}
			_, err := start(t, stub, client.Settings{Key: tt.key}, nil).Send(t.Context(), slices.Values(visits(1, 1)))
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got error %v, want one that says %q", err, tt.want)
			}
		})
	}
}

func TestCollectorWithoutVerdictsHasAcceptedAll(t *testing.T) {
	segment := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, `{"success":true}`) })
	counts, err := start(t, segment, client.Settings{}, nil).Send(t.Context(), slices.Values(visits(2, 5)))
	if err != nil || counts.Accepted != 10 {
		t.Errorf("got %+v, %v, want 10 accepted", counts, err)
	}
}

func TestSendEndsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	down := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		cancel()
		w.Header().Set("Retry-After", "3600")
		w.WriteHeader(http.StatusTooManyRequests)
	})
	if _, err := start(t, down, client.Settings{}, nil).Send(ctx, slices.Values(visits(1, 1))); err == nil {
		t.Error("sending to a collector that is full ended without error")
	}
	future := visits(1, 1)
	future[0].Due = time.Now().Add(time.Hour).UnixMicro()
	stub := new(collector)
	if _, err := start(t, stub, client.Settings{}, nil).Send(ctx, slices.Values(future)); err == nil || len(stub.bodies) > 0 {
		t.Errorf("an event that is due in an hour: error %v, %d requests, want to be waited for", err, len(stub.bodies))
	}
}

func TestRateIsNotExceeded(t *testing.T) {
	events := visits(1, 60)
	begin := time.Now()
	if _, err := start(t, new(collector), client.Settings{Rate: 400}, nil).Send(t.Context(), slices.Values(events)); err != nil {
		t.Fatal(err)
	}
	if took, least := time.Since(begin), 140*time.Millisecond; took < least {
		t.Errorf("60 events at 400 a second took %s, want at least %s", took, least)
	}
}

func TestErasureIsNotAClientsToSend(t *testing.T) {
	events := visits(1, 1)
	events[0].Kind = schemas.Kind_KIND_ERASURE
	_, err := start(t, new(collector), client.Settings{}, nil).Send(t.Context(), slices.Values(events))
	if err == nil || !strings.Contains(err.Error(), "KIND_ERASURE") {
		t.Errorf("got error %v, want one that names the kind", err)
	}
}

// BenchmarkSend is the client's share of an event: encoding, the request, and
// reading the verdict. The stub costs little beside it: it answers each batch
// with the same bytes.
func BenchmarkSend(b *testing.B) {
	events := visits(1000, 1)
	verdict := `{"id":"42-0","status":"accepted","partition":3,"offset":123456}`
	answer := []byte(`{"success":true,"events":[` + strings.Repeat(verdict+",", 499) + verdict + "]}")
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		io.Copy(io.Discard, r.Body)
		w.Write(answer)
	}))
	defer srv.Close()
	n := 0
	c := client.New(client.Settings{URL: srv.URL, Lanes: 1, Linger: time.Minute}, nil)
	b.ReportAllocs()
	b.ResetTimer()
	_, err := c.Send(b.Context(), func(yield func(client.Event) bool) {
		for ; n < (b.N+499)/500*500 && yield(events[n%len(events)]); n++ {
		}
	})
	if err != nil {
		b.Fatal(err)
	}
}

// FuzzAnswer lets a collector answer anything: either every event has a verdict
// or there is an error.
func FuzzAnswer(f *testing.F) {
	f.Add([]byte(`{"success":true}`))
	f.Add([]byte(`{"success":true,"events":[{"id":"0-0","status":"accepted","partition":3,"offset":17}]}`))
	f.Add([]byte(`{"events":[{"id":"0-0","status":"rejected","reason":"no device"}]}`))
	f.Add([]byte(`{"events":[]}`))
	f.Add([]byte(`{"events":null}`))
	f.Add([]byte(`[`))
	f.Fuzz(func(t *testing.T, answer []byte) {
		says := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.Write(answer) })
		reported := 0
		c := start(t, says, client.Settings{Linger: time.Microsecond}, func(client.Event, client.Verdict) { reported++ })
		counts, err := c.Send(t.Context(), slices.Values(visits(1, 1)))
		if (err == nil) != (reported == 1) || counts.Accepted+counts.Spooled+counts.Rejected != int64(reported) {
			t.Errorf("answer %q: %d verdicts reported, %+v, error %v", answer, reported, counts, err)
		}
	})
}
