package serving_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"math"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"fernweh/layer"
	"fernweh/model/visitor"
	"fernweh/schemas"
	"fernweh/serving"
)

// serve runs a server over the portal until the test ends, and waits until it is
// ready.
func serve(t testing.TB, p *portal, runs serving.Runs) *httptest.Server {
	t.Helper()
	c := serving.Config{Views: p, Partitions: p.partitions, Log: p, Runs: runs, Now: p.clock}
	if p.health != nil {
		c.Health = p.health
	}
	return run(t, c, nil)
}

// run runs a server until the test ends, behind a listener if one is given.
func run(t testing.TB, c serving.Config, behind net.Listener) *httptest.Server {
	t.Helper()
	if c.Access.Keys == nil {
		c.Access.Keys, c.Access.Audit = onlyKey(theKey), new(audit)
	}
	c.Version, c.Timeout = "test", time.Second
	s, err := serving.New(c)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error)
	go func() { done <- s.Run(ctx) }()
	server := httptest.NewUnstartedServer(s.Handler())
	if behind != nil {
		server.Listener.Close()
		server.Listener = behind
	}
	server.Start()
	t.Cleanup(func() {
		server.CloseClientConnections() // some tests leave readers that never read
		server.Close()
		cancel()
		if err := <-done; err != nil {
			t.Errorf("serving ended with %v, want nil", err)
		}
	})
	until(t, "the server is ready", func() bool { return get(t, server, "/v1/health/ready").status == 200 })
	return server
}

// until waits for what comes by itself within moments.
func until(t testing.TB, what string, come func() bool) {
	t.Helper()
	for end := time.Now().Add(10 * time.Second); !come(); {
		if time.Now().After(end) {
			t.Fatalf("waited 10 s in vain until %s", what)
		}
	}
}

type reply struct {
	status int
	header http.Header
	body   []byte
}

func get(t testing.TB, s *httptest.Server, path string) reply {
	t.Helper()
	return do(t, s, "GET", path, "")
}

func do(t testing.TB, s *httptest.Server, method, path, body string) reply {
	t.Helper()
	req, err := http.NewRequest(method, s.URL+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	if body != "" {
		req.Header.Set("Content-Type", "application/json")
	}
	if method != "GET" {
		req.Header.Set("Authorization", "Bearer "+theKey)
	}
	return send(t, s, req)
}

// send makes one request as it stands.
func send(t testing.TB, s *httptest.Server, req *http.Request) reply {
	t.Helper()
	res, err := s.Client().Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return reply{res.StatusCode, res.Header, b}
}

// read decodes an answer that must be a success.
func read[T any](t testing.TB, s *httptest.Server, path string) (v T) {
	t.Helper()
	r := get(t, s, path)
	if r.status != http.StatusOK {
		t.Fatalf("GET %s: got %d %s, want 200", path, r.status, r.body)
	}
	if err := json.Unmarshal(r.body, &v); err != nil {
		t.Fatalf("GET %s: %v in %s", path, err, r.body)
	}
	return v
}

// mueller looks at quiet, upscale hotels for three evenings, and logs in.
func mueller(p *portal) {
	for range 3 {
		p.happens(search("mueller-laptop", "Sylt", 2, 0))
		for _, offer := range []string{"h1", "h2", "h1"} {
			p.happens(view("mueller-laptop", offer, "Sylt", schemas.Style_STYLE_QUIET, schemas.Style_STYLE_UPSCALE))
		}
		p.passes(24 * time.Hour)
	}
	p.happens(login("mueller-laptop", "4711"))
	p.happens(page("mueller-laptop"))
}

func TestHerrMuellerIsOneTruthOfBatchAndSpeed(t *testing.T) {
	p := newPortal(t, 4)
	mueller(p)
	g := p.runs("")
	partition, offset := p.happens(view("mueller-laptop", "h3", "Sylt", schemas.Style_STYLE_QUIET))
	p.says(&schemas.Decision{Id: "0-1-segment", Device: "mueller-laptop", Segment: "s1", Model: "m1", Offset: offset})
	p.passes(2 * time.Second)
	s := serve(t, p, nil)

	v := read[serving.Visitor](t, s, "/v1/visitors/mueller-laptop")
	if got, want := v.Totals.Kinds, map[string]uint32{"search": 3, "offer_view": 10, "identify": 1, "page": 1}; !maps.Equal(got, want) {
		t.Errorf("kinds: got %v, want %v", got, want)
	}
	if v.Totals.Sessions != 4 {
		t.Errorf("sessions: got %d, want three evenings and the one with the login", v.Totals.Sessions)
	}
	if got, want := v.Totals.Destinations, []serving.Destination{{Destination: "Sylt", Searches: 3, Views: 10}}; !slices.Equal(got, want) {
		t.Errorf("destinations: got %v, want %v", got, want)
	}
	if len(v.Units) != 2 || v.Units[0].Login != "" || v.Units[1].Login != "4711" {
		t.Errorf("units: got %+v, want those before the login and of 4711", v.Units)
	}
	if v.Totals.Offers[0].ID != "h3" {
		t.Errorf("latest offer: got %s, want h3", v.Totals.Offers[0].ID)
	}
	from := v.Provenance
	if from.State != serving.Live || from.Generation != g.Run || !slices.Equal(from.Epochs, []int64{1}) ||
		from.Partition != partition || from.Cut != g.Cut(partition) || from.Through != offset+1 {
		t.Errorf("provenance: got %+v, want live, generation 1, epoch 1, through %d", from, offset+1)
	}
	if from.Age == nil || *from.Age != 2 || from.Behind == nil || *from.Behind != 0 {
		t.Errorf("age, behind: got %v, %v, want 2 s, 0 records", from.Age, from.Behind)
	}
	if v.Segment != nil || v.Decision == nil || v.Decision.Segment != "s1" {
		t.Errorf("segment, decision: got %v, %v, want none without a model, s1", v.Segment, v.Decision)
	}
}

func TestWhatBatchAloneCountedIsExact(t *testing.T) {
	p := newPortal(t, 2)
	mueller(p)
	p.runs("")
	s := serve(t, p, nil)
	v := read[serving.Visitor](t, s, "/v1/visitors/mueller-laptop")
	if v.Provenance.State != serving.Exact || len(v.Provenance.Epochs) != 0 {
		t.Errorf("provenance: got %+v, want exact, without epochs", v.Provenance)
	}
}

func TestWhoIsUnknownIsNotFound(t *testing.T) {
	p := newPortal(t, 2)
	p.happens(page("anna"))
	p.happens(&schemas.Event{Device: "anna", Kind: schemas.Kind_KIND_ERASURE, Erasure: &schemas.Erasure{}})
	s := serve(t, p, nil)
	for path, want := range map[string]string{
		"/v1/visitors/nobody": "find visitor nobody: nothing is known of it",
		"/v1/visitors/anna":   "find visitor anna: nothing is known of it", // erased
		"/v1/persons/4711":    "find customer 4711: nothing is known of it",
		"/v1/runs/7":          "find run 7: nothing is known of it",
		"/v1/nothing":         "there is no /v1/nothing; what there is stands in /openapi.json",
	} {
		r := get(t, s, path)
		problem := problemOf(t, r)
		if r.status != 404 || problem.Status != 404 || problem.Detail != want {
			t.Errorf("GET %s: got %d %s, want 404 %s", path, r.status, r.body, want)
		}
	}
}

// A problem is an error of the API, as RFC 9457 shapes it.
type problem struct {
	Type, Title, Detail string
	Status              int
	Errors              []struct{ Location, Message string }
}

func problemOf(t testing.TB, r reply) (p problem) {
	t.Helper()
	if got := r.header.Get("Content-Type"); got != "application/problem+json" {
		t.Errorf("content type of status %d: got %s, want application/problem+json", r.status, got)
	}
	if err := json.Unmarshal(r.body, &p); err != nil {
		t.Errorf("body of status %d: %v in %s", r.status, err, r.body)
	}
	return p
}

func TestADeviceMayHaveAnyName(t *testing.T) {
	p := newPortal(t, 2)
	s := serve(t, p, nil)
	for _, device := range []string{"u:4711", "a/b", "ä ö", "100%", "a?b=c", "..", "\"'<>"} {
		p.happens(page(device))
		if got := read[serving.Visitor](t, s, "/v1/visitors/"+url.PathEscape(device)).Device; got != device {
			t.Errorf("device: got %q, want %q", got, device)
		}
	}
}

func TestAPersonIsDevicesSideBySide(t *testing.T) {
	p := newPortal(t, 4)
	mueller(p)
	p.happens(page("kiosk")) // of somebody else
	p.happens(login("kiosk", "0815"))
	p.happens(login("kiosk", "4711"))
	p.happens(booking("kiosk", "h1", "Sylt", 250_000))
	p.happens(login("phone", "4711"))
	p.happens(&schemas.Event{Device: "phone", Kind: schemas.Kind_KIND_ERASURE, Erasure: &schemas.Erasure{Login: "4711"}})
	s := serve(t, p, nil)

	v := read[serving.Person](t, s, "/v1/persons/4711")
	if len(v.Devices) != 2 || v.Devices[0].Device != "kiosk" || v.Devices[1].Device != "mueller-laptop" {
		t.Fatalf("devices: got %+v, want kiosk and mueller-laptop", v.Devices)
	}
	if kiosk := v.Devices[0]; kiosk.Before != nil || kiosk.Unit.Events != 2 {
		t.Errorf("kiosk: got %d events and %v before the login, want 2 and nothing: its first login was another", kiosk.Unit.Events, kiosk.Before)
	}
	if laptop := v.Devices[1]; laptop.Before == nil || laptop.Before.Kinds["offer_view"] != 9 || laptop.Unit.Events != 2 {
		t.Errorf("laptop: got %d events and %+v before the login, want 2 and 9 views", laptop.Unit.Events, laptop.Before)
	}
	if got, want := v.Totals.Money, []serving.Money{{Currency: "EUR", Booked: 250_000}}; !slices.Equal(got, want) {
		t.Errorf("money: got %v, want %v", got, want)
	}
	if v.Totals.Events != 2+2+12 {
		t.Errorf("events: got %d, want 16", v.Totals.Events)
	}
}

// crowd lets three kinds of travellers come, so that there is something to learn.
func crowd(p *portal) {
	for i := range 20 {
		couple, family, bounce := fmt.Sprint("couple", i), fmt.Sprint("family", i), fmt.Sprint("bounce", i)
		p.happens(search(couple, "Sylt", 2, 0))
		p.happens(view(couple, "h1", "Sylt", schemas.Style_STYLE_QUIET, schemas.Style_STYLE_UPSCALE))
		p.happens(search(family, "Mallorca", 2, 2))
		for n := range 1 + i%3 {
			p.happens(view(family, fmt.Sprint("m", n), "Mallorca", schemas.Style_STYLE_FAMILY, schemas.Style_STYLE_BEACH))
		}
		if i%4 == 0 {
			p.happens(booking(family, "m0", "Mallorca", 310_000))
		}
		p.happens(page(bounce))
	}
}

func TestTheModelNamesTheSegment(t *testing.T) {
	p := newPortal(t, 2)
	s := serve(t, p, nil)
	if none := read[serving.Segments](t, s, "/v1/segments"); none.Model != "" || none.Problem != "" || none.Segments == nil {
		t.Errorf("segments before any run: got %+v, want none and no problem", none)
	}
	crowd(p)
	mueller(p)
	p.runs("model-1")
	until(t, "the generation is seen", func() bool { return read[serving.Segments](t, s, "/v1/segments").Model == "model-1" })

	all := read[serving.Segments](t, s, "/v1/segments")
	var size int
	var share float64
	for _, x := range all.Segments {
		size, share = size+x.Size, share+x.Share
		if x.Name == "" || len(x.Differences) == 0 {
			t.Errorf("segment %s: got name %q and differences %v, want what sets it apart", x.ID, x.Name, x.Differences)
		}
	}
	if size != all.Visitors || math.Abs(share-1) > 1e-9 {
		t.Errorf("sizes, shares: got %d, %v, want %d, 1", size, share, all.Visitors)
	}
	couple := read[serving.Visitor](t, s, "/v1/visitors/couple3").Segment
	same := read[serving.Visitor](t, s, "/v1/visitors/couple4").Segment
	family := read[serving.Visitor](t, s, "/v1/visitors/family3").Segment
	if couple == nil || family == nil || couple.ID != same.ID || couple.ID == family.ID || couple.Model != "model-1" {
		t.Errorf("segments: got couples %+v and %+v, family %+v, want one of couples and another", couple, same, family)
	}
	if couple.State != serving.Exact {
		t.Errorf("state of a segment that batch alone knows: got %s, want exact", couple.State)
	}
	person := read[serving.Person](t, s, "/v1/persons/4711")
	if got := person.Devices[0].Segment; got == nil || got.Login != "4711" {
		t.Errorf("segment of the person on the laptop: got %+v, want one of the login 4711", got)
	}
}

func TestWhoDoesNotWantToBeProfiledIsNot(t *testing.T) {
	p := newPortal(t, 2)
	crowd(p)
	p.happens(&schemas.Event{Device: "couple0", Kind: schemas.Kind_KIND_CONSENT, Choice: schemas.Choice_CHOICE_DENIED})
	p.runs("model-1")
	s := serve(t, p, nil)
	v := read[serving.Visitor](t, s, "/v1/visitors/couple0")
	if v.Segment != nil || v.Consent != "denied" {
		t.Errorf("segment, consent: got %v, %s, want none, denied", v.Segment, v.Consent)
	}
}

func TestAModelThatIsMissingIsSaidAndTheRestIsAnswered(t *testing.T) {
	p := newPortal(t, 2)
	mueller(p)
	p.runs("")
	p.published.Kept[0].Model = "lost"
	p.announce()
	s := serve(t, p, nil)
	const want = "read model lost: it is published but not there"
	if got := read[serving.Segments](t, s, "/v1/segments").Problem; got != want {
		t.Errorf("problem: got %q, want %q", got, want)
	}
	got := read[serving.Status](t, s, "/v1/status")
	if d := got.Degraded; !got.Ready || len(d) != 1 || d[0].Component != "model" || d[0].State != "limited" || d[0].Reason != want {
		t.Errorf("status: got ready %t and %v, want ready, and the model limited for %q", got.Ready, d, want)
	}
	if v := read[serving.Visitor](t, s, "/v1/visitors/mueller-laptop"); v.Totals.Events != 14 || v.Segment != nil {
		t.Errorf("visitor: got %d events, segment %v, want 14, none", v.Totals.Events, v.Segment)
	}
}

// TestWhatTheOthersLackIsInStatusAndReadiness: the answer knows no layer but its
// own, and says what all of its process say of themselves.
func TestWhatTheOthersLackIsInStatusAndReadiness(t *testing.T) {
	p := newPortal(t, 2)
	mueller(p)
	p.health = layer.NewHealth(p.clock)
	s := serve(t, p, nil)
	since := p.clock()
	p.health.Limited("documents", errors.New("room is short"))
	p.health.Down("collector", errors.New("no space left on device"))
	p.passes(time.Second)
	p.health.Down("collector", errors.New("no space left on device"))

	got := read[serving.Status](t, s, "/v1/status")
	want := []serving.Trouble{
		{Component: "collector", State: "down", Since: since, Reason: "no space left on device", Failures: 2},
		{Component: "documents", State: "limited", Since: since, Reason: "room is short", Failures: 1},
	}
	if got.Ready || !reflect.DeepEqual(got.Degraded, want) {
		t.Errorf("status: got ready %t and %v, want not ready and %v", got.Ready, got.Degraded, want)
	}
	r := get(t, s, "/v1/health/ready")
	if r.status != 503 || !strings.Contains(string(r.body), "collector") || strings.Contains(string(r.body), "room is short") {
		t.Errorf("readiness: got %d %s, want 503 and the collector, which alone stands still", r.status, r.body)
	}
	if r := get(t, s, "/v1/health/live"); r.status != 200 {
		t.Errorf("liveness: got %d, want 200: a restart would not help", r.status)
	}
	if v := read[serving.Visitor](t, s, "/v1/visitors/mueller-laptop"); v.Totals.Events != 14 {
		t.Errorf("visitor: got %d events, want 14: what works goes on", v.Totals.Events)
	}
	p.health.Up("collector")
	if got := read[serving.Status](t, s, "/v1/status"); !got.Ready || get(t, s, "/v1/health/ready").status != 200 {
		t.Errorf("with less, but all at work: got %v, want ready", got.Degraded)
	}
}

func TestASwitchAndARollbackAreSeen(t *testing.T) {
	p := newPortal(t, 2)
	mueller(p)
	s := serve(t, p, nil)
	generation := func(want int64) func() bool {
		return func() bool { return read[serving.Status](t, s, "/v1/status").Generation == want }
	}
	p.runs("")
	p.happens(page("mueller-laptop"))
	until(t, "generation 1 is seen", generation(1))
	p.runs("")
	until(t, "generation 2 is seen", generation(2))
	before := read[serving.Visitor](t, s, "/v1/visitors/mueller-laptop")

	back, err := p.published.Without(1)
	if err != nil {
		t.Fatal(err)
	}
	p.put(schemas.KeyPublished, schemas.ColumnValue, 3, schemas.EncodeJSON(back))
	until(t, "the rollback is seen", generation(1))
	after := read[serving.Visitor](t, s, "/v1/visitors/mueller-laptop")
	if after.Provenance.Generation != 1 || !slices.Equal(after.Provenance.Epochs, []int64{1}) || after.Totals.Events != before.Totals.Events {
		t.Errorf("after the rollback: got %+v with %d events, want generation 1, epoch 1, %d events",
			after.Provenance, after.Totals.Events, before.Totals.Events)
	}
}

func TestARequestReadsItsOwnWrites(t *testing.T) {
	p := newPortal(t, 1)
	p.happens(page("anna"))
	s := serve(t, p, nil)
	answered := make(chan serving.Visitor)
	go func() { answered <- read[serving.Visitor](t, s, "/v1/visitors/anna?after=0:2&deadline=5s") }()
	p.happens(page("anna"))
	if v := <-answered; v.Stale || v.Totals.Events != 2 {
		t.Errorf("after the second event: got stale %t, %d events, want both", v.Stale, v.Totals.Events)
	}
	v := read[serving.Visitor](t, s, "/v1/visitors/anna?after=0:9&deadline=1ms")
	if !v.Stale || v.WaitedFor != "0:9" || v.Totals.Events != 2 || v.Provenance.Through != 2 {
		t.Errorf("beyond the log: got stale %t for %q through %d, want stale for 0:9 through 2", v.Stale, v.WaitedFor, v.Provenance.Through)
	}
	lagging := schemas.Published{Current: 4, Kept: []schemas.Generation{{Run: 4, Cuts: []int64{50}}}}
	p.put(schemas.KeyPublished, schemas.ColumnValue, 4, schemas.EncodeJSON(lagging))
	p.put(schemas.VisitorKey("anna"), schemas.ColumnBatch(4), 4, p.bytes(&visitor.Cell{Units: p.devices["anna"].Whole}))
	if v := read[serving.Visitor](t, s, "/v1/visitors/anna?after=0:50&deadline=5s"); v.Stale || v.Provenance.Through != 51 {
		t.Errorf("below the cut, speed lagging: got stale %t through %d, want through 51", v.Stale, v.Provenance.Through)
	}
	if v := read[serving.Visitor](t, s, "/v1/visitors/anna?after=0:52&deadline=1ms"); !v.Stale {
		t.Errorf("beyond the cut, speed lagging: got fresh, want stale")
	}
}

func TestAStoreThatFailsDegradesAndComesBack(t *testing.T) {
	p := newPortal(t, 2)
	mueller(p)
	s := serve(t, p, nil)
	p.breaks(errors.New("the disk is full"))
	p.passes(time.Minute)
	until(t, "the failure is seen", func() bool {
		return strings.Contains(string(get(t, s, "/v1/health/ready").body), "the disk is full")
	})
	for _, path := range []string{"/v1/visitors/mueller-laptop", "/v1/persons/4711", "/v1/kpis", "/v1/runs", "/v1/runs/1", "/v1/health/ready"} {
		r := get(t, s, path)
		problem := problemOf(t, r)
		if r.status != 503 || r.header.Get("Retry-After") == "" || problem.Type != serving.TypeDegraded || !strings.Contains(problem.Detail, "the disk is full") {
			t.Errorf("GET %s: got %d %s, want 503, Retry-After and the reason", path, r.status, r.body)
		}
	}
	for _, path := range []string{"/v1/health/live", "/v1/status", "/v1/segments", "/metrics", "/"} {
		if r := get(t, s, path); r.status != 200 {
			t.Errorf("GET %s: got %d, want 200 while the store is away", path, r.status)
		}
	}
	p.breaks(nil)
	until(t, "the server is ready again", func() bool { return get(t, s, "/v1/health/ready").status == 200 })
	if v := read[serving.Visitor](t, s, "/v1/visitors/mueller-laptop"); v.Totals.Events != 14 {
		t.Errorf("events when the store is back: got %d, want 14", v.Totals.Events)
	}
}

func TestAStoreThatHangsDoesNotHangTheAnswer(t *testing.T) {
	p := newPortal(t, 2)
	p.hangs = true
	s, err := serving.New(serving.Config{Views: p, Partitions: 2, Timeout: 20 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{"/v1/visitors/anna", "/v1/kpis?window=744h", "/v1/runs"} {
		w := httptest.NewRecorder()
		s.Handler().ServeHTTP(w, httptest.NewRequest("GET", "http://127.0.0.1"+path, nil))
		if w.Code != 503 {
			t.Errorf("GET %s: got %d %s, want 503", path, w.Code, w.Body)
		}
	}
}

func TestABadParameterIsNamed(t *testing.T) {
	s := serve(t, newPortal(t, 4), nil)
	for _, test := range []struct{ path, location, want string }{
		{"/v1/kpis?window=yesterday", "query.window", "want a duration of whole minutes, such as 90m or 4h"},
		{"/v1/kpis?window=90s", "query.window", "want a duration of whole minutes, such as 90m or 4h"},
		{"/v1/kpis?window=745h", "query.window", "want from 1m to 744h"},
		{"/v1/kpis?window=4h&from=2026-11-22T12:00:00Z&to=2026-11-22T13:00:00Z", "query.window", "give window, or from and to, not both"},
		{"/v1/kpis?from=2026-11-22T12:00:00Z", "query.from", "give both from and to, such as 2026-11-22T12:00:00Z"},
		{"/v1/kpis?from=2026-11-22T12:00:00Z&to=2026-11-22T12:00:00Z", "query.to", "want a time after from, by at most 744h"},
		{"/v1/kpis?from=noon", "query.from", ""},
		{"/v1/kpis?measures=views,profit", "query.measures", ""},
		{"/v1/kpis?by=mood", "query.by", ""},
		{"/v1/kpis?bucket=7s", "query.bucket", "want a duration of whole minutes, such as 90m or 4h"},
		{"/v1/kpis?window=744h&bucket=1m", "query.bucket", "want at most 1500 buckets, not 44640"},
		{"/v1/kpis?top=0", "query.top", ""},
		{"/v1/kpis?windw=4h", "query.windw", ""},
		{"/v1/visitors/anna?after=4:1", "query.after", "want partition:offset, the partition from 0 to 3"},
		{"/v1/visitors/anna?after=1:x", "query.after", "want partition:offset, as the header Fernweh-After had it"},
		{"/v1/visitors/anna?deadline=1h", "query.deadline", "want a duration from 0s to 5s, such as 250ms"},
		{"/v1/runs/minus", "path.number", ""},
		{"/v1/runs?limit=-1", "query.limit", ""},
	} {
		r := get(t, s, test.path)
		problem := problemOf(t, r)
		if r.status != 422 || len(problem.Errors) != 1 || problem.Errors[0].Location != test.location {
			t.Errorf("GET %s: got %d %s, want 422 and %s named", test.path, r.status, r.body, test.location)
			continue
		}
		if got := problem.Errors[0].Message; test.want != "" && got != test.want {
			t.Errorf("GET %s: got %q, want %q", test.path, got, test.want)
		}
	}
}

// batch is a batch layer that runs when told.
type batch struct {
	p    *portal
	end  chan error // a word for each run: how it ends
	gone chan bool  // and when it has let go of everything
	back []int64
}

func (b *batch) Run(ctx context.Context, progress func(schemas.Run)) (schemas.Run, error) {
	run := schemas.Run{Number: 1, State: schemas.RunRunning, Steps: []schemas.Step{{Name: "cut"}}}
	b.p.put(schemas.RunKey(1), schemas.ColumnValue, 1, schemas.EncodeJSON(run))
	progress(run)
	run.Steps = append(run.Steps, schemas.Step{Name: "fold"})
	progress(run)
	select {
	case err := <-b.end:
		run.State = schemas.RunPublished
		if err != nil {
			run.State, run.Error = schemas.RunFailed, err.Error()
		}
		b.p.put(schemas.RunKey(1), schemas.ColumnValue, 2, schemas.EncodeJSON(run))
		select {
		case <-b.gone:
		case <-ctx.Done():
		}
		return run, err
	case <-ctx.Done():
		return run, ctx.Err()
	}
}

func (b *batch) Rollback(_ context.Context, to int64) error {
	b.back = append(b.back, to)
	return nil
}

func TestARunIsStartedOnceAndFollowed(t *testing.T) {
	p := newPortal(t, 2)
	b := &batch{p: p, end: make(chan error), gone: make(chan bool)}
	s := serve(t, p, b)
	r := do(t, s, "POST", "/v1/runs", "")
	if r.status != 202 || r.header.Get("Location") != "/v1/runs/1" {
		t.Fatalf("POST /v1/runs: got %d %s at %s, want 202 at /v1/runs/1", r.status, r.body, r.header.Get("Location"))
	}
	if again := do(t, s, "POST", "/v1/runs", ""); again.status != 409 {
		t.Errorf("POST /v1/runs while one runs: got %d, want 409", again.status)
	}
	until(t, "the run's progress is shown", func() bool { return len(read[schemas.Run](t, s, "/v1/runs/1").Steps) == 2 })
	if run := read[serving.Status](t, s, "/v1/status").Run; run == nil || run.Number != 1 {
		t.Errorf("run in the status: got %v, want number 1", run)
	}
	b.end <- errors.New("gate: largest share")
	until(t, "the record says that the run has failed", func() bool {
		row, err := p.Get(t.Context(), schemas.RunKey(1))
		return err == nil && strings.Contains(string(row[0].Cells[0].Value), "gate")
	})
	if state := read[schemas.Run](t, s, "/v1/runs/1").State; state != schemas.RunRunning {
		t.Errorf("a run that holds its lease yet: got %q, want running, as no other can begin", state)
	}
	b.gone <- true
	until(t, "the run has failed", func() bool { return read[schemas.Run](t, s, "/v1/runs/1").State == schemas.RunFailed })
	if next := do(t, s, "POST", "/v1/runs", ""); next.status != 202 {
		t.Errorf("POST /v1/runs as soon as the run before has ended: got %d %s, want 202", next.status, next.body)
	}
	b.end <- nil
	b.gone <- true
	until(t, "the list shows it", func() bool {
		runs := read[struct{ Runs []schemas.Run }](t, s, "/v1/runs?limit=1").Runs
		return len(runs) == 1 && runs[0].State == schemas.RunPublished
	})
}

func TestRunsAreListedLatestFirst(t *testing.T) {
	p := newPortal(t, 1)
	for n := int64(1); n <= 25; n++ {
		p.put(schemas.RunKey(n), schemas.ColumnValue, n, schemas.EncodeJSON(schemas.Run{Number: n, State: schemas.RunPublished}))
	}
	s := serve(t, p, nil)
	var got []int64
	for _, run := range read[struct{ Runs []schemas.Run }](t, s, "/v1/runs?limit=3").Runs {
		got = append(got, run.Number)
	}
	if want := []int64{25, 24, 23}; !slices.Equal(got, want) {
		t.Errorf("runs: got %v, want %v", got, want)
	}
}

func TestARollbackGoesOnlyToWhatIsKept(t *testing.T) {
	p := newPortal(t, 2)
	b := &batch{p: p}
	p.runs("")
	p.runs("")
	s := serve(t, p, b)
	r := do(t, s, "POST", "/v1/generations/rollback", `{"to":7}`)
	if problem := problemOf(t, r); r.status != 422 || problem.Errors[0].Message != "roll back to generation 7: it is not kept; kept are [2 1]" {
		t.Errorf("rollback to 7: got %d %s, want 422 and what is kept", r.status, r.body)
	}
	r = do(t, s, "POST", "/v1/generations/rollback", `{"to":1}`)
	var after schemas.Published
	if err := json.Unmarshal(r.body, &after); r.status != 200 || err != nil || after.Current != 1 || !slices.Equal(b.back, []int64{1}) {
		t.Errorf("rollback to 1: got %d %s, asked batch for %v, want generation 1", r.status, r.body, b.back)
	}
}

func TestWhoCannotRunBatchSaysSo(t *testing.T) {
	s := serve(t, newPortal(t, 1), nil)
	for path, body := range map[string]string{"/v1/runs": "", "/v1/generations/rollback": `{"to":1}`} {
		if r := do(t, s, "POST", path, body); r.status != 501 {
			t.Errorf("POST %s: got %d %s, want 501", path, r.status, r.body)
		}
	}
}

func TestAForeignPageStartsNoRun(t *testing.T) {
	p := newPortal(t, 1)
	s := serve(t, p, &batch{p: p})
	req, err := http.NewRequest("POST", s.URL+"/v1/runs", nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Origin", "https://elsewhere.example")
	res, err := s.Client().Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if res.StatusCode != 403 {
		t.Errorf("POST /v1/runs from another origin: got %d, want 403", res.StatusCode)
	}
}

func TestMetricsKnowRoutesAndLag(t *testing.T) {
	p := newPortal(t, 2)
	p.happens(page("anna"))
	p.append(0, 5) // records that speed has not seen
	s := serve(t, p, nil)
	read[serving.Visitor](t, s, "/v1/visitors/anna")
	body := string(get(t, s, "/metrics").body)
	for _, want := range []string{
		`fernweh_serving_request_seconds_count{code="200",method="GET",route="/v1/visitors/{id}"} 1`,
		`fernweh_serving_lag_records{partition="0"} 5`,
		`fernweh_serving_lag_records{partition="1"} 0`,
		`fernweh_serving_generation 0`, `fernweh_serving_ready 1`,
	} {
		if !strings.Contains(body, want+"\n") {
			t.Errorf("metrics lack %s:\n%s", want, body)
		}
	}
}

func TestThePageMayAskNoOtherHost(t *testing.T) {
	s := serve(t, newPortal(t, 1), nil)
	for path, kind := range map[string]string{"/": "text/html", "/dashboard/app.js": "text/javascript",
		"/dashboard/words.js": "text/javascript", "/dashboard/style.css": "text/css", "/dashboard/icon.svg": "image/svg+xml"} {
		r := get(t, s, path)
		if got := r.header.Get("Content-Type"); r.status != 200 || !strings.HasPrefix(got, kind) {
			t.Errorf("GET %s: got %d %s, want 200 %s", path, r.status, got, kind)
		}
		policy := r.header.Get("Content-Security-Policy")
		if !strings.HasPrefix(policy, "default-src 'none'") || strings.Contains(policy, "unsafe") || strings.Contains(policy, "//") {
			t.Errorf("policy of %s: got %q, want nothing but this host", path, policy)
		}
	}
}

func BenchmarkVisitor(b *testing.B) {
	p := newPortal(b, 4)
	mueller(p)
	p.runs("")
	crowd(p)
	p.runs("model-1")
	mueller(p)
	s := serve(b, p, nil)
	req := httptest.NewRequest("GET", "/v1/visitors/mueller-laptop", nil)
	b.ReportAllocs()
	for b.Loop() {
		w := httptest.NewRecorder()
		s.Config.Handler.ServeHTTP(w, req)
		if w.Code != 200 {
			b.Fatalf("got %d %s, want 200", w.Code, w.Body)
		}
	}
}
