package serving_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"

	"fernweh/schemas"
	"fernweh/serving"
	"fernweh/serving/access"
)

var theKey = access.NewKey()

// onlyKey is the one key that there is; its name is admin.
type onlyKey string

func (k onlyKey) Find(key string) (string, bool) { return "admin", key == string(k) }

// keyed lets act who has the key.
func keyed() serving.Access { return serving.Access{Keys: onlyKey(theKey), Audit: new(audit)} }

// audit keeps records in memory.
type audit struct {
	mu   sync.Mutex
	rs   []access.Record
	fail error
}

func (a *audit) Append(r access.Record) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.fail == nil {
		a.rs = append(a.rs, r)
	}
	return a.fail
}

func (a *audit) records() []access.Record {
	a.mu.Lock()
	defer a.mu.Unlock()
	return slices.Clone(a.rs)
}

func (a *audit) breaks(err error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.fail = err
}

// deeds is everything that a server may be asked to change, and says what was
// done, and what the audit held at that moment.
type deeds struct {
	audit *audit
	mu    sync.Mutex
	done  []string
	held  []access.Record
}

func (d *deeds) do(what string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.done = append(d.done, what)
	d.held = d.audit.records()
}

func (d *deeds) all() []string {
	d.mu.Lock()
	defer d.mu.Unlock()
	return slices.Clone(d.done)
}

func (d *deeds) Run(_ context.Context, progress func(schemas.Run)) (schemas.Run, error) {
	d.do("run")
	run := schemas.Run{Number: 9, State: schemas.RunPublished}
	progress(run)
	return run, nil
}

func (d *deeds) Rollback(context.Context, int64) error { d.do("rollback"); return nil }

func (d *deeds) Append(_ context.Context, events []*schemas.Event) ([]int64, error) {
	d.do("erase " + events[0].Device)
	return make([]int64, len(events)), nil
}

// acts are the ways to change something: what is asked for, and what the audit
// must hold of it before it is done.
var acts = []struct{ method, path, body, act, target, done string }{
	{"DELETE", "/v1/visitors/mueller-laptop", "", "erase-visitor", access.Hash("device", "mueller-laptop"), "erase mueller-laptop"},
	{"DELETE", "/v1/persons/4711", "", "erase-person", access.Hash("customer", "4711"), "erase mueller-laptop"},
	{"POST", "/v1/runs", "", "start-run", "", "run"},
	{"POST", "/v1/rebuilds", `{"views":"summer"}`, "rebuild", "views summer", "rebuild summer"},
	{"POST", "/v1/generations/rollback", `{"to":1}`, "rollback", "generation 1", "rollback"},
}

// guarded runs a server that can do everything, over a portal with Herr Mueller.
func guarded(t *testing.T, a serving.Access) (*httptest.Server, *deeds, *portal) {
	t.Helper()
	p := newPortal(t, 2)
	mueller(p)
	p.runs("")
	p.runs("")
	record := new(audit)
	d := &deeds{audit: record}
	a.Keys, a.Audit = onlyKey(theKey), record
	rebuild := func(_ context.Context, views string) (schemas.Run, error) {
		d.do("rebuild " + views)
		return schemas.Run{Number: 10}, nil
	}
	s := run(t, serving.Config{
		Views: p, Partitions: p.partitions, Log: p, Now: p.clock, Runs: d, Rebuild: rebuild, Events: d, Access: a,
	}, nil)
	return s, d, p
}

func request(t *testing.T, s *httptest.Server, method, path, body string, header http.Header) reply {
	t.Helper()
	req, err := http.NewRequest(method, s.URL+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header = header.Clone()
	if req.Header == nil {
		req.Header = http.Header{}
	}
	req.Host = req.Header.Get("Host")
	req.Header.Set("Content-Type", "application/json")
	return send(t, s, req)
}

func bearer(key string) http.Header { return http.Header{"Authorization": {"Bearer " + key}} }

// TestEveryActAsksForAKey goes through everything that the API's description has
// and that is no read, so that an act that is added later is asked as well.
func TestEveryActAsksForAKey(t *testing.T) {
	s, d, _ := guarded(t, serving.Access{})
	var api struct {
		Paths map[string]map[string]struct {
			OperationID string
			Security    []map[string][]string
		}
		Components struct {
			SecuritySchemes map[string]struct{ Type, Scheme string }
		}
	}
	if err := json.Unmarshal(get(t, s, "/openapi.json").body, &api); err != nil {
		t.Fatal(err)
	}
	if got := api.Components.SecuritySchemes["adminKey"]; got.Type != "http" || got.Scheme != "bearer" {
		t.Errorf("security scheme: got %+v, want a bearer key", got)
	}
	tried := 0
	for path, operations := range api.Paths {
		for method, op := range operations {
			if method == "get" {
				continue
			}
			tried++
			if !slices.ContainsFunc(acts, func(a struct{ method, path, body, act, target, done string }) bool { return a.act == op.OperationID }) {
				t.Errorf("%s %s is not among the acts of this test", method, path)
			}
			if len(op.Security) != 1 || op.Security[0]["adminKey"] == nil {
				t.Errorf("%s %s: its description asks for %v, want the key", method, path, op.Security)
			}
		}
	}
	if tried != len(acts) {
		t.Errorf("the description has %d acts, want %d", tried, len(acts))
	}
	for _, a := range acts {
		for name, header := range map[string]http.Header{
			"no key": nil, "a wrong key": bearer(access.NewKey()), "half a key": bearer(theKey[:20]), "Basic": {"Authorization": {"Basic " + theKey}},
			"an empty key": bearer(""), "the key in a cookie": {"Cookie": {"Authorization=Bearer " + theKey}},
		} {
			r := request(t, s, a.method, a.path, a.body, header)
			if r.status != 401 && r.status != 429 || !strings.HasPrefix(r.header.Get("WWW-Authenticate"), "Bearer") {
				t.Errorf("%s %s with %s: got %d, WWW-Authenticate %q, want 401 and Bearer", a.method, a.path, name, r.status, r.header.Get("WWW-Authenticate"))
			}
		}
	}
	if done := d.all(); len(done) != 0 {
		t.Errorf("without a key was done: %v", done)
	}
}

func TestAnActIsNamedBeforeItIsDoneAndItsEndAfter(t *testing.T) {
	for _, a := range acts {
		s, d, _ := guarded(t, serving.Access{})
		if r := request(t, s, a.method, a.path, a.body, bearer(theKey)); r.status >= 300 {
			t.Errorf("%s %s with the key: got %d %s", a.method, a.path, r.status, r.body)
		}
		if done := d.all(); !slices.Equal(done, []string{a.done}) {
			t.Errorf("%s: done was %v, want %s", a.act, done, a.done)
		}
		if len(d.held) != 1 || d.held[0].What != access.Begun || d.held[0].Act != a.act || d.held[0].Target != a.target {
			t.Errorf("%s: as it was done the audit held %+v, want that it begins on %q", a.act, d.held, a.target)
		}
		rs := d.audit.records()
		if len(rs) != 2 || rs[1].What != access.Done || rs[1].ID != rs[0].ID || rs[1].By != "admin" || rs[1].From != "127.0.0.1" || rs[1].Detail == "" {
			t.Errorf("%s: got %+v, want its end, who did it and from where", a.act, rs)
		}
		if text := fmt.Sprint(rs); strings.Contains(text, "mueller") || strings.Contains(text, "4711") || strings.Contains(text, theKey) {
			t.Errorf("%s: a person or a key stands in the audit: %s", a.act, text)
		}
	}
}

func TestWhatTheAuditCannotKeepIsNotDone(t *testing.T) {
	s, d, _ := guarded(t, serving.Access{})
	d.audit.breaks(errors.New("the disk is full"))
	for _, a := range acts {
		if r := request(t, s, a.method, a.path, a.body, bearer(theKey)); r.status != 503 {
			t.Errorf("%s: got %d %s, want 503", a.act, r.status, r.body)
		}
	}
	if done := d.all(); len(done) != 0 {
		t.Errorf("without an audit was done: %v", done)
	}
}

func TestWhatFailsAndWhatIsRefusedHasALine(t *testing.T) {
	s, d, _ := guarded(t, serving.Access{})
	header := func(more ...string) http.Header {
		h := bearer(theKey)
		for i := 0; i < len(more); i += 2 {
			h.Set(more[i], more[i+1])
		}
		return h
	}
	for _, c := range []struct {
		method, path, body string
		header             http.Header
		status             int
		act                string
		what               access.What
	}{
		{"DELETE", "/v1/persons/nobody", "", header(), 404, "erase-person", access.Failed},
		{"POST", "/v1/generations/rollback", `{"to":77}`, header(), 422, "rollback", access.Failed},
		{"POST", "/v1/generations/rollback", `{"to":"x"}`, header(), 422, "rollback", access.Refused},
		{"DELETE", "/v1/visitors/mueller%2Flaptop", "", nil, 401, "erase-visitor", access.Refused},
		{"DELETE", "/v1/visitors/mueller", "", header("Origin", "https://evil.example"), 403, "DELETE /v1/visitors/{id}", access.Refused},
		{"DELETE", "/v1/visitors/a%2Fmueller", "", header("Host", "evil.example"), 421, "DELETE /v1/visitors/{id}", access.Refused},
	} {
		before := len(d.audit.records())
		r := request(t, s, c.method, c.path, c.body, c.header)
		rs := d.audit.records()[before:]
		if r.status != c.status || len(rs) == 0 || rs[len(rs)-1].What != c.what || rs[len(rs)-1].Act != c.act {
			t.Errorf("%s %s: got %d and %+v, want %d, %s %s", c.method, c.path, r.status, rs, c.status, c.act, c.what)
		}
		if strings.Contains(fmt.Sprint(rs), "mueller") || strings.Contains(fmt.Sprint(rs), "nobody") {
			t.Errorf("%s %s: a person stands in the audit: %+v", c.method, c.path, rs)
		}
	}
	if done := d.all(); len(done) != 0 {
		t.Errorf("done was %v, want nothing", done)
	}
}

func TestAFloodOfGuessesIsAnsweredBrieflyAndKeepsNobodyOut(t *testing.T) {
	s, d, p := guarded(t, serving.Access{})
	statuses := map[int]int{}
	for range 300 {
		r := request(t, s, "POST", "/v1/runs", "", bearer(access.NewKey()))
		statuses[r.status]++
		if r.status == 429 && r.header.Get("Retry-After") == "" {
			t.Fatal("a 429 without Retry-After")
		}
	}
	if statuses[401] > 20 || statuses[401]+statuses[429] != 300 {
		t.Errorf("300 wrong keys: got %v, want some 401, then 429", statuses)
	}
	lines := d.audit.records()
	if len(lines) > 60 {
		t.Errorf("300 wrong keys: got %d lines, want a bounded number", len(lines))
	}
	p.passes(serving.LineEvery)
	request(t, s, "POST", "/v1/runs", "", bearer(access.NewKey()))
	all := int64(0)
	for _, r := range d.audit.records() {
		all += 1 + r.Left
	}
	if all != 301 {
		t.Errorf("the lines stand for %d refusals, want 301", all)
	}
	if r := request(t, s, "POST", "/v1/runs", "", bearer(theKey)); r.status != 202 {
		t.Errorf("the right key after the flood: got %d %s, want 202", r.status, r.body)
	}
}

func TestPersonalAnswersAskForAKeyWhereOthersReachThem(t *testing.T) {
	personal := []string{"/v1/visitors/mueller-laptop", "/v1/persons/4711", "/v1/visitors/nobody"}
	public := []string{"/", "/dashboard/app.js", "/openapi.json", "/metrics", "/v1/status", "/v1/kpis", "/v1/segments", "/v1/runs", "/v1/health/live", "/v1/health/ready"}
	for _, exposed := range []bool{false, true} {
		s, _, _ := guarded(t, serving.Access{Exposed: exposed})
		for _, path := range personal {
			r := request(t, s, "GET", path, "", nil)
			if (r.status == 401) != exposed {
				t.Errorf("exposed %v: GET %s without a key: got %d", exposed, path, r.status)
			}
			if exposed && (strings.Contains(string(r.body), "Sylt") || request(t, s, "GET", path, "", bearer(access.NewKey())).status != 401) {
				t.Errorf("GET %s: without the right key something is told: %s", path, r.body)
			}
			if r = request(t, s, "GET", path, "", bearer(theKey)); r.status != 200 && r.status != 404 {
				t.Errorf("exposed %v: GET %s with the key: got %d", exposed, path, r.status)
			}
			if r.header.Get("Cache-Control") != "no-store" || r.header.Get("X-Content-Type-Options") != "nosniff" {
				t.Errorf("GET %s: got %v, want no-store and nosniff", path, r.header)
			}
		}
		for _, path := range public {
			if r := request(t, s, "GET", path, "", nil); r.status != 200 {
				t.Errorf("exposed %v: GET %s without a key: got %d, want 200", exposed, path, r.status)
			}
		}
	}
}

// TestEveryReadIsPublicOrPersonal: an answer that is added later and is in neither
// list asks for a key, and must be put into one of them.
func TestEveryReadIsPublicOrPersonal(t *testing.T) {
	s, _, _ := guarded(t, serving.Access{Exposed: true})
	var api struct {
		Paths map[string]struct {
			Get *struct{ Security []map[string][]string }
		}
	}
	if err := json.Unmarshal(get(t, s, "/openapi.json").body, &api); err != nil {
		t.Fatal(err)
	}
	public := []string{"/v1/segments", "/v1/kpis", "/v1/runs", "/v1/runs/{number}", "/v1/status", "/v1/health/live", "/v1/health/ready"}
	for path, o := range api.Paths {
		if o.Get != nil && (len(o.Get.Security) == 0) != slices.Contains(public, path) {
			t.Errorf("GET %s: its description asks for %v; public are only %v", path, o.Get.Security, public)
		}
	}
}

func TestAForeignNameOfThisMachineGetsNoAnswer(t *testing.T) {
	hosts, err := access.NewHosts("portal.example.com")
	if err != nil {
		t.Fatal(err)
	}
	s, d, _ := guarded(t, serving.Access{Hosts: hosts})
	for _, path := range []string{"/", "/dashboard/app.js", "/openapi.json", "/metrics", "/v1/status", "/v1/visitors/mueller-laptop", "/v1/nothing"} {
		for _, host := range []string{"evil.example", "127.0.0.1.evil.example:80", "localhost.evil.example"} {
			r := request(t, s, "GET", path, "", http.Header{"Host": {host}})
			if r.status != 421 || strings.Contains(string(r.body), "Sylt") {
				t.Errorf("GET %s of host %s: got %d, want 421", path, host, r.status)
			}
		}
		if r := request(t, s, "GET", path, "", http.Header{"Host": {"portal.example.com"}}); r.status == 421 {
			t.Errorf("GET %s of a host that was allowed: got 421", path)
		}
	}
	for _, a := range acts {
		h := bearer(theKey)
		h.Set("Host", "evil.example")
		h.Set("Origin", "http://evil.example") // the page's own origin, as its browser sees it
		h.Set("Sec-Fetch-Site", "same-origin")
		if r := request(t, s, a.method, a.path, a.body, h); r.status != 421 {
			t.Errorf("%s from a rebound page: got %d, want 421", a.act, r.status)
		}
	}
	if done := d.all(); len(done) != 0 {
		t.Errorf("a rebound page did %v", done)
	}
}

func TestThePagesOriginMayActAndNoOther(t *testing.T) {
	for origin, want := range map[string]int{"": 202, "http://127.0.0.1": 403, "https://evil.example": 403, "null": 403} {
		s, _, _ := guarded(t, serving.Access{})
		h := bearer(theKey)
		if origin != "" {
			h.Set("Origin", origin)
		}
		if r := request(t, s, "POST", "/v1/runs", "", h); r.status != want {
			t.Errorf("origin %q: got %d, want %d", origin, r.status, want)
		}
		h.Set("Origin", s.URL)
		if r := request(t, s, "POST", "/v1/generations/rollback", `{"to":1}`, h); r.status != 200 {
			t.Errorf("the page's own origin: got %d %s, want 200", r.status, r.body)
		}
	}
}

func TestTheOwnersDoorNeedsNoKeyAndIsInTheAudit(t *testing.T) {
	p, record := newPortal(t, 1), new(audit)
	d := &deeds{audit: record}
	s, err := serving.New(serving.Config{Views: p, Partitions: 1, Events: d, Access: serving.Access{Audit: record, Exposed: true}})
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		handler http.Handler
		want    int
	}{{s.Handler(), 401}, {s.OwnerHandler("owner"), 202}} {
		handler, want := c.handler, c.want
		w := httptest.NewRecorder()
		r := httptest.NewRequest("DELETE", "/v1/visitors/anna?force=true", nil)
		r.Host = "127.0.0.1"
		handler.ServeHTTP(w, r)
		if w.Code != want {
			t.Errorf("got %d %s, want %d", w.Code, w.Body, want)
		}
	}
	rs := record.records()
	if n := len(rs); n != 3 || rs[n-1].By != "owner" || rs[n-1].What != access.Done {
		t.Errorf("got %+v, want the refusal, and the owner's act with its end", rs)
	}
}
