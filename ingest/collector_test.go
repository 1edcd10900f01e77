package ingest_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"fernweh/ingest"
	"fernweh/ingest/spool"
	"fernweh/schemas"
)

const partitions = 4

var (
	errAway     = errors.New("connection refused")
	errNoLeader = errors.New("the partition has no leader")
)

// A kafka is a log and its dead letters in memory. fail may make an append fail
// after having stored the first n events; so does each to a partition without leader.
type kafka struct {
	mu         sync.Mutex
	events     []*schemas.Event
	letters    []*schemas.DeadLetter
	calls      []int // events a call
	next       [partitions]int64
	fail       func(events int) (stored int, err error)
	block      bool // until the caller's patience ends
	leaderless map[int32]bool
	noLetters  error // of their topic
}

func (k *kafka) Append(ctx context.Context, events []*schemas.Event) (offsets []int64, err error) {
	if k.block {
		<-ctx.Done()
		return nil, ctx.Err()
	}
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	k.calls = append(k.calls, len(events))
	stored := len(events)
	if k.fail != nil {
		stored, err = k.fail(len(events))
	}
	for _, e := range events {
		if k.leaderless[schemas.Partition(e.Device, partitions)] {
			stored, err = 0, errNoLeader
		}
	}
	for _, e := range events[:stored] {
		p := schemas.Partition(e.Device, partitions)
		offsets = append(offsets, k.next[p])
		k.next[p]++
		k.events = append(k.events, e)
	}
	if err != nil {
		return nil, err
	}
	return offsets, nil
}

func (k *kafka) AppendDeadLetters(_ context.Context, letters []*schemas.DeadLetter) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.fail != nil {
		if _, err := k.fail(0); err != nil {
			return err
		}
	}
	if k.noLetters != nil {
		return k.noLetters
	}
	k.letters = append(k.letters, letters...)
	return nil
}

// become changes how appends fail while the collector runs.
func (k *kafka) become(fail func(int) (int, error)) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.fail = fail
}

func (k *kafka) ids() (ids []string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	for _, e := range k.events {
		ids = append(ids, e.Id)
	}
	return ids
}

func away(int) (int, error) { return 0, errAway }

// received is the clock of every collector here.
var received = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)

func config(t testing.TB) ingest.Config {
	return ingest.Config{
		Partitions: partitions,
		Keys:       map[string]string{"web": ingest.HashKey("WK"), "app": ingest.HashKey("AK")},
		Spool:      spool.Options{Dir: t.TempDir()},
		Now:        func() time.Time { return received },
		Logger:     slog.New(slog.DiscardHandler),
	}
}

func start(t testing.TB, k *kafka, change ...func(*ingest.Config)) *ingest.Collector {
	t.Helper()
	cfg := config(t)
	for _, c := range change {
		c(&cfg)
	}
	c, err := ingest.New(cfg, k, k)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

// answer is what a client gets to read.
type answer struct {
	status  int
	header  http.Header
	Success bool
	Error   string
	Events  []struct {
		ID, Status, Reason string
		Partition          *int32
		Offset             *int64
	}
}

// statuses of the events, in order.
func (a answer) statuses() (all []string) {
	for _, e := range a.Events {
		all = append(all, e.Status)
	}
	return all
}

func send(t tester, c http.Handler, r *http.Request) answer {
	t.Helper()
	w := httptest.NewRecorder()
	c.ServeHTTP(w, r)
	a := answer{status: w.Code, header: w.Header()}
	if w.Body.Len() > 0 {
		if err := json.Unmarshal(w.Body.Bytes(), &a); err != nil {
			t.Fatalf("answer %q: %v", w.Body, err)
		}
	}
	return a
}

func request(path, body string, headers ...string) *http.Request {
	r := httptest.NewRequest("POST", path, strings.NewReader(body))
	for i := 0; i < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	return r
}

// post sends a batch with the key of the web.
func post(t tester, c http.Handler, calls ...string) answer {
	t.Helper()
	return send(t, c, request("/v1/batch", `{"batch":[`+strings.Join(calls, ",")+`]}`, "X-API-Key", "WK"))
}

func page(device, id string) string {
	return fmt.Sprintf(`{"type":"page","anonymousId":%q,"messageId":%q}`, device, id)
}

func want[T any](t testing.TB, what string, got, want T) {
	t.Helper()
	if g, w := fmt.Sprintf("%+v", got), fmt.Sprintf("%+v", want); g != w {
		t.Errorf("%s\n got %s\nwant %s", what, g, w)
	}
}

// says is some values with spaces between them.
func says(values ...any) string { return strings.TrimSpace(fmt.Sprintln(values...)) }

func TestEveryEndpointOfTheProtocol(t *testing.T) {
	for path, kind := range map[string]string{
		"/v1/track": "KIND_OFFER_VIEW", "/v1/t": "KIND_OFFER_VIEW", "/v1/identify": "KIND_IDENTIFY", "/v1/i/": "KIND_IDENTIFY",
		"/v1/page/": "KIND_PAGE", "/v1/p": "KIND_PAGE", "/v1/screen": "KIND_PAGE", "/v1/s": "KIND_PAGE",
		"/v1/group": "KIND_CUSTOM", "/v1/g": "KIND_CUSTOM", "/v1/alias": "KIND_IDENTIFY", "/v1/a": "KIND_IDENTIFY",
	} {
		k := new(kafka)
		a := send(t, start(t, k), request(path, `{"event":"Product Viewed","anonymousId":"d","userId":"u","writeKey":"WK"}`))
		want(t, path, says(a.status, a.Success, a.statuses(), k.events[0].Kind), "200 true [accepted] "+kind)
	}
	for _, path := range []string{"/v1/batch", "/v1/b", "/v1/import", "/v1/batch/"} {
		a := send(t, start(t, new(kafka)), request(path, `{"batch":[`+page("a", "1")+`,`+page("b", "2")+`],"writeKey":"WK"}`))
		want(t, path, a.statuses(), []string{"accepted", "accepted"})
	}
}

func TestWriteKeyWhereverClientsPutIt(t *testing.T) {
	basic := func(key string) func(*http.Request) {
		return func(r *http.Request) { r.SetBasicAuth(key, "") }
	}
	tests := []struct {
		name, path, inBody string
		change             func(*http.Request)
		source             string // empty: 401
	}{
		{"Basic user", "/v1/p", "", basic("WK"), "web"},
		{"body", "/v1/p", "AK", nil, "app"},
		{"header", "/v1/p", "", func(r *http.Request) { r.Header.Set("X-API-Key", "AK") }, "app"},
		{"query", "/v1/p?writeKey=WK", "", nil, "web"},
		{"wrong outside, right inside", "/v1/p", "AK", basic("nonsense"), "app"},
		{"none", "/v1/p", "", nil, ""},
		{"wrong", "/v1/p", "WKx", basic("wk"), ""},
		{"the hash is no key", "/v1/p", ingest.HashKey("WK"), nil, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			k := new(kafka)
			r := request(tt.path, `{"anonymousId":"a","writeKey":"`+tt.inBody+`"}`)
			if tt.change != nil {
				tt.change(r)
			}
			a := send(t, start(t, k), r)
			if tt.source == "" {
				want(t, "status", a.status, 401)
				want(t, "says why", strings.Contains(a.Error, "write key"), true)
				want(t, "events and letters", len(k.events)+len(k.letters), 0)
				return
			}
			want(t, "status", a.status, 200)
			want(t, "source", k.events[0].Source, tt.source)
		})
	}
}

func TestJSONWhateverTheHeadersSay(t *testing.T) {
	body := `{"batch":[` + page("a", "1") + `],"writeKey":"WK"}`
	var packed bytes.Buffer
	z := gzip.NewWriter(&packed)
	io.WriteString(z, body)
	z.Close()
	for name, r := range map[string]*http.Request{
		"json":                     request("/v1/batch", body, "Content-Type", "application/json; charset=utf-8"),
		"text":                     request("/v1/batch", body, "Content-Type", "text/plain"),
		"form":                     request("/v1/batch", body, "Content-Type", "application/x-www-form-urlencoded"),
		"no type":                  request("/v1/batch", body),
		"gzip":                     request("/v1/batch", packed.String(), "Content-Encoding", "gzip"),
		"gzip that nobody said":    request("/v1/batch", packed.String()),
		"unpacked, says it's gzip": request("/v1/batch", body, "Content-Encoding", "gzip"),
	} {
		if a := send(t, start(t, new(kafka)), r); a.status != 200 || len(a.Events) != 1 {
			t.Errorf("%s: %+v, want 200 with one event", name, a)
		}
	}
}

func TestAnswerSaysWhatBecameOfEachCall(t *testing.T) {
	k := new(kafka)
	c := start(t, k, func(cfg *ingest.Config) { cfg.AssumedConsent = true })
	post(t, c, page("a", "0"))
	a := post(t, c, page("a", "1"), `{"type":"page","messageId":"nobody\u0022s"}`, page("c", "2"), page("a", "3"))
	want(t, "statuses", a.statuses(), []string{"accepted", "rejected", "accepted", "accepted"})
	pa, pc := schemas.Partition("a", partitions), schemas.Partition("c", partitions)
	want(t, "place of the first", says(*a.Events[0].Partition, *a.Events[0].Offset), says(pa, 1))
	want(t, "rejected", says(a.Events[1].ID, a.Events[1].Reason), `nobody"s neither anonymousId nor userId`)
	after := []string{fmt.Sprintf("%d:3", pa), fmt.Sprintf("%d:1", pc)}
	slices.Sort(after)
	want(t, "Fernweh-After", a.header.Get("Fernweh-After"), strings.Join(after, ","))
	want(t, "assumed consent", k.events[0].AssumedConsent, true)
	l := k.letters[0]
	want(t, "letter", says(string(l.Original), l.Reason, l.Endpoint, l.Source, l.Received),
		says(`{"type":"page","messageId":"nobody\u0022s"}`, "neither anonymousId nor userId", "/v1/batch", "web", received.UnixMicro()))
}

// unsure is a log that doesn't always say where.
type unsure struct{ *kafka }

func (u unsure) Append(ctx context.Context, events []*schemas.Event) ([]int64, error) {
	offsets, err := u.kafka.Append(ctx, events)
	offsets[0] = -1
	return offsets, err
}

func TestOffsetThatTheLogDidNotSay(t *testing.T) {
	c, err := ingest.New(config(t), unsure{new(kafka)}, new(kafka))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	a := post(t, c, page("a", "1"), page("a", "2"))
	want(t, "statuses", a.statuses(), []string{"accepted", "accepted"})
	want(t, "offset of the first", a.Events[0].Offset == nil, true)
	want(t, "Fernweh-After", a.header.Get("Fernweh-After"), says(schemas.Partition("a", partitions))+":2")
}

func TestBodiesThatCannotBeTaken(t *testing.T) {
	bomb := func() string {
		var b bytes.Buffer
		z := gzip.NewWriter(&b)
		z.Write(make([]byte, 5<<20))
		z.Close()
		return b.String()
	}()
	tests := []struct {
		name, body string
		status     int
		says       string
		buried     int
	}{
		{"malformed", `{"batch":[{"type":}]}`, 400, "at byte 18: invalid character '}'", 1},
		{"empty", ``, 400, "body is empty", 1},
		{"no batch", `[]`, 400, "neither an object", 1},
		{"broken gzip", bomb[:20], 400, "not gzip", 1},
		{"10 MB", `{"batch":["` + strings.Repeat("x", 10<<20) + `"]}`, 413, "larger than 4194304 bytes", 0},
		{"gzip bomb", bomb, 413, "larger than 4194304 bytes", 0},
		{"too many", `{"batch":[` + strings.Repeat("1,", 10_000) + `1]}`, 413, "10001 events, at most 10000", 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			k := new(kafka)
			c := start(t, k)
			a := send(t, c, request("/v1/batch", tt.body, "X-API-Key", "WK"))
			if a.status != tt.status || a.Success || !strings.Contains(a.Error, tt.says) {
				t.Errorf("answer %d %q, want %d that says %q", a.status, a.Error, tt.status, tt.says)
			}
			want(t, "letters", len(k.letters), tt.buried)
			if tt.buried > 0 {
				want(t, "original", string(k.letters[0].Original), tt.body)
			}
			want(t, "next request", post(t, c, page("a", "1")).status, 200)
		})
	}
	k := new(kafka)
	a := send(t, start(t, k), request("/v1/batch", `{"writeKey":"WK","batch":[`))
	want(t, "malformed from nobody", says(a.status, len(k.letters)), "400 0")
}

func TestLargeCallIsRejectedAlone(t *testing.T) {
	k := new(kafka)
	large := page("a", strings.Repeat("x", 600<<10))
	a := post(t, start(t, k), page("a", "1"), large, page("a", "2"))
	want(t, "statuses", a.statuses(), []string{"accepted", "rejected", "accepted"})
	want(t, "bytes kept", len(k.letters[0].Original), 512<<10)
	want(t, "says so", strings.Contains(k.letters[0].Reason, fmt.Sprintf("the first 524288 of %d bytes", len(large))), true)
}

func TestFloorOfTheProtocolIsTaken(t *testing.T) {
	var calls []string
	for i := range 15 { // 32 KB an event, 500 KB a batch
		calls = append(calls, fmt.Sprintf(`{"type":"track","event":"X","anonymousId":"a","messageId":"%d","properties":{"x":%q}}`,
			i, strings.Repeat("x", 32<<10)))
	}
	a := post(t, start(t, new(kafka)), calls...)
	want(t, "accepted", says(a.status, strings.Count(says(a.statuses()), "accepted")), "200 15")
}

func TestBrowsersOfTheSiteMaySend(t *testing.T) {
	c := start(t, new(kafka), func(cfg *ingest.Config) { cfg.Origins = []string{"https://reise.example"} })
	for origin, allowed := range map[string]string{"https://reise.example": "https://reise.example", "https://evil.example": ""} {
		r := httptest.NewRequest("OPTIONS", "/v1/t", nil)
		r.Header.Set("Origin", origin)
		r.Header.Set("Access-Control-Request-Method", "POST")
		a := send(t, c, r)
		want(t, "preflight of "+origin, says(a.status, a.header.Get("Access-Control-Allow-Origin")), says(204, allowed))
	}
	a := send(t, c, request("/v1/t", `}`, "Origin", "https://reise.example"))
	want(t, "errors can be read too", a.header.Get("Access-Control-Allow-Origin"), "https://reise.example")
	anyone := start(t, new(kafka), func(cfg *ingest.Config) { cfg.Origins = []string{"*"} })
	a = send(t, anyone, request("/v1/t", `}`, "Origin", "https://any.example"))
	want(t, "any origin", a.header.Get("Access-Control-Allow-Origin"), "https://any.example")
}

func TestScriptAndHealthAreServed(t *testing.T) {
	c := start(t, new(kafka))
	for path, part := range map[string]string{"/fernweh.js": "window.fernweh", "/healthz": `"status":"ok"`} {
		w := httptest.NewRecorder()
		c.ServeHTTP(w, httptest.NewRequest("GET", path, nil))
		if w.Code != 200 || !strings.Contains(w.Body.String(), part) {
			t.Errorf("GET %s is %d %.80q, want 200 with %q", path, w.Code, w.Body, part)
		}
	}
}

// TestOutage: while the log is away events are spooled; they and what comes
// later reach it in order, also what comes when the log is back but the spool
// is not yet empty.
func TestOutage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := &kafka{fail: away}
		c := start(t, k)
		a := post(t, c, page("a", "1"), `{}`, page("b", "2"))
		want(t, "during the outage", a.statuses(), []string{"spooled", "rejected", "spooled"})
		want(t, "Fernweh-After", a.header.Get("Fernweh-After"), "")
		k.become(nil)
		want(t, "behind the spool", post(t, c, page("a", "3")).statuses(), []string{"spooled"})
		want(t, "appends by requests", len(k.calls), 1)

		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error)
		go func() { done <- c.Run(ctx) }()
		synctest.Wait()
		want(t, "drained", k.ids(), []string{"1", "2", "3"})
		want(t, "letters", len(k.letters), 1)
		want(t, "directly again", post(t, c, page("a", "4")).statuses(), []string{"accepted"})

		k.become(away)
		post(t, c, page("a", "5"))
		time.Sleep(10 * time.Second) // of the bubble: the drain tries again and again
		k.become(nil)
		time.Sleep(time.Second)
		want(t, "after a second outage", k.ids(), []string{"1", "2", "3", "4", "5"})
		cancel()
		want(t, "Run", <-done, nil)
	})
}

func TestLogThatHangsIsAnOutage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := &kafka{block: true}
		c := start(t, k)
		begin := time.Now()
		want(t, "statuses", post(t, c, page("a", "1")).statuses(), []string{"spooled"})
		want(t, "patience", time.Since(begin), 3*time.Second)
		post(t, c, page("a", "2"))
		want(t, "patience while the spool has events", time.Since(begin), 3*time.Second)
	})
}

// TestHealthAfterAFullDisk: when there is room again it says so, though nobody
// has come since he was refused.
func TestHealthAfterAFullDisk(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := &disk{durable: map[string]int64{}}
		k := &kafka{fail: away}
		var r told
		c := start(t, k, func(cfg *ingest.Config) { cfg.Spool.Create, cfg.Health = d.create, &r })
		stop := run(t, c)
		d.set(true)
		want(t, "refused", post(t, c, page("a", "1")).status, 429)
		time.Sleep(time.Hour)
		want(t, "while it is full", strings.Contains(r.String(), "collector door:down") && strings.Contains(health(c), "refusing"), true)
		d.set(false)
		time.Sleep(time.Second)
		want(t, "when there is room", says(r.String(), strings.Contains(health(c), `"status":"ok"`)), "map[] true")
		stop()
	})
}

// A slowToTell frees the disk before it tells of a refusal, which takes it a while.
type slowToTell struct {
	*told
	disk *disk
}

func (r slowToTell) Limited(what string, why error) {
	if strings.Contains(why.Error(), "neither the log nor the spool") {
		r.disk.set(false)
		time.Sleep(time.Minute)
	}
	r.told.Limited(what, why)
}

// TestHealthAfterADiskThatIsFreeAtOnce: room that comes while the refusal is being
// told is no earlier word on it.
func TestHealthAfterADiskThatIsFreeAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := &disk{durable: map[string]int64{}}
		k := &kafka{fail: away}
		var r told
		c := start(t, k, func(cfg *ingest.Config) { cfg.Spool.Create, cfg.Health = d.create, slowToTell{&r, d} })
		stop := run(t, c)
		d.set(true)
		want(t, "refused", post(t, c, page("a", "1")).status, 429)
		time.Sleep(time.Hour)
		want(t, "long after", says(r.String(), strings.Contains(health(c), `"status":"ok"`)), "map[] true")
		stop()
	})
}

// TestHealthAfterDroppedLetters: the letter that was dropped last is no trouble for
// ever either.
func TestHealthAfterDroppedLetters(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := &disk{durable: map[string]int64{}}
		k := &kafka{fail: away}
		var r told
		c := start(t, k, func(cfg *ingest.Config) { cfg.Spool.Create, cfg.Health = d.create, &r })
		stop := run(t, c)
		d.set(true)
		post(t, c, `{"batch":[{"type":}]}`)
		time.Sleep(time.Hour)
		want(t, "while it is full", strings.Contains(r.String(), "collector dead letters:limited: they are dropped"), true)
		d.set(false)
		time.Sleep(time.Minute)
		want(t, "when there is room", r.String(), "map[]")
		stop()
	})
}

func TestClientThatHangsUpIsNoOutage(t *testing.T) {
	k := new(kafka)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	r := request("/v1/batch", `{"batch":[`+page("a", "1")+`]}`, "X-API-Key", "WK").WithContext(ctx)
	want(t, "statuses", send(t, start(t, k), r).statuses(), []string{"accepted"})
}

func TestFullSpoolAsksClientsToWait(t *testing.T) {
	k := &kafka{fail: away}
	c := start(t, k, func(cfg *ingest.Config) { cfg.Spool.MaxBytes = 4000 })
	taken := 0
	for ; ; taken++ {
		a := post(t, c, page("a", fmt.Sprint(taken)), page("b", fmt.Sprint(taken)))
		if a.status == 200 {
			continue
		}
		want(t, "refusal", says(a.status, a.header.Get("Retry-After"), len(a.Events)), "429 2 0")
		break
	}
	k.fail = nil
	if _, err := ingest.Step(c, t.Context()); err != nil {
		t.Fatal(err)
	}
	want(t, "drained", len(k.ids()), 2*taken)
	want(t, "room again", post(t, c, page("a", "x")).statuses(), []string{"accepted"})
}

// TestFullDisk: the log is away and the disk takes nothing. It is logged once,
// not by every request.
func TestFullDisk(t *testing.T) {
	var logged bytes.Buffer
	var r told
	d := &disk{durable: map[string]int64{}, full: true}
	k := &kafka{fail: away}
	c := start(t, k, func(cfg *ingest.Config) {
		cfg.Spool.Create, cfg.Health = d.create, &r
		cfg.Logger = slog.New(slog.NewTextHandler(&logged, nil))
	})
	for range 3 {
		a := post(t, c, page("a", "1"))
		want(t, "refusal", says(a.status, a.header.Get("Retry-After")), "429 2")
	}
	want(t, "errors logged", strings.Count(logged.String(), "level=ERROR"), 1)
	want(t, "names the cause", strings.Contains(logged.String(), errDiskFull.Error()), true)
	w := httptest.NewRecorder()
	c.ServeHTTP(w, httptest.NewRequest("GET", "/healthz", nil))
	want(t, "health", strings.Contains(w.Body.String(), `"refusing"`), true)
	want(t, "reported", strings.Contains(r.String(), "collector door:down: neither"), true)
	d.full = false
	want(t, "when there is room", post(t, c, page("a", "1")).statuses(), []string{"spooled"})
}

// TestUnknownOutcomeIsWithinTheFiltersMemory: no request brings, and no append
// of the drain holds, more events of a device than its filter can recognise when
// they come again.
func TestUnknownOutcomeIsWithinTheFiltersMemory(t *testing.T) {
	batch := func(from, n int) (calls, ids []string) {
		for i := range n {
			calls = append(calls, page("busy", fmt.Sprint(from+i)))
			ids = append(ids, fmt.Sprint(from+i))
		}
		return calls, ids
	}
	k := new(kafka)
	k.fail = func(n int) (int, error) {
		if len(k.calls) < 4 {
			return n / 2, errAway // unknown: a part is in
		}
		return n, nil
	}
	c := start(t, k)
	first, ids := batch(0, ingest.MaxOfDevice)
	want(t, "as many as are taken", strings.Count(says(post(t, c, first...).statuses()), "spooled"), ingest.MaxOfDevice)
	second, more := batch(ingest.MaxOfDevice, ingest.MaxOfDevice)
	over := append(second, page("busy", "over"), page("other", "0"))
	a := post(t, c, over...)
	want(t, "the last that is taken", a.Events[ingest.MaxOfDevice-1].Status, "spooled")
	want(t, "one more", says(a.Events[ingest.MaxOfDevice].Status, a.Events[ingest.MaxOfDevice].Reason), fmt.Sprintf(
		"rejected event %d of its device in one request, at most %d are taken: send it in the next", ingest.MaxOfDevice+1, ingest.MaxOfDevice))
	want(t, "another device's", a.Events[ingest.MaxOfDevice+1].Status, "spooled")
	for drained := true; drained; {
		var err error
		if drained, err = ingest.Step(c, t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	want(t, "most in an append", slices.Max(k.calls) <= ingest.MaxOfDevice+1, true)
	busy := slices.DeleteFunc(slices.Clone(k.events), func(e *schemas.Event) bool { return e.Device != "busy" })
	want(t, "after the filter", filter(busy), append(ids, more...))
	want(t, "of both devices", len(filter(k.events)), 2*ingest.MaxOfDevice+1)
	want(t, "letter", len(k.letters), 1)
}

func TestMetrics(t *testing.T) {
	registry := prometheus.NewRegistry()
	c := start(t, new(kafka), func(cfg *ingest.Config) { cfg.Metrics = registry })
	post(t, c, page("a", "1"), `{}`, page("a", "2"))
	send(t, c, request("/v1/p", page("a", "3"), "X-API-Key", "WK", "X-Retry-Count", "2"))
	send(t, c, request("/v1/p", page("a", "3"), "X-API-Key", "WK", "X-Retry-Count", "0"))
	got := gather(t, registry)
	for name, v := range map[string]float64{
		"fernweh_ingest_client_retries_total": 1, "fernweh_ingest_events_total accepted": 4,
		"fernweh_ingest_events_total rejected": 1, "fernweh_ingest_request_seconds 200": 3,
		"fernweh_ingest_append_seconds ok": 4, "fernweh_ingest_spool_bytes": 0, "fernweh_ingest_spool_oldest_seconds": 0,
	} {
		if g, ok := got[name]; !ok || g != v {
			t.Errorf("%s is %v, want %v; all: %v", name, g, v, got)
		}
	}
}

// gather is each metric by name and label: its value, or how many it observed.
func gather(t *testing.T, registry *prometheus.Registry) map[string]float64 {
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]float64{}
	for _, f := range families {
		for _, m := range f.Metric {
			name := f.GetName()
			for _, l := range m.Label {
				name += " " + l.GetValue()
			}
			all[name] = m.GetCounter().GetValue() + m.GetGauge().GetValue() + float64(m.GetHistogram().GetSampleCount())
		}
	}
	return all
}

func TestImpossibleSettingsAreNamed(t *testing.T) {
	for name, change := range map[string]func(*ingest.Config){
		"partitions":              func(c *ingest.Config) { c.Partitions = 0 },
		"write key of web":        func(c *ingest.Config) { c.Keys = map[string]string{"web": "WK"} },
		"make spool directory":    func(c *ingest.Config) { c.Spool.Dir = "/dev/null/spool" },
		"0000000000000001.spool ": func(c *ingest.Config) { corrupt(t, c.Spool.Dir) },
	} {
		cfg := config(t)
		change(&cfg)
		if _, err := ingest.New(cfg, new(kafka), new(kafka)); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("error %v, want one that names %q", err, name)
		}
	}
}

// corrupt leaves a segment whose first frame is broken and whose second is not.
func corrupt(t testing.TB, dir string) {
	s, err := spool.Open(spool.Options{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := s.Append([]spool.Record{{Kind: 1, Data: []byte("x")}}); err != nil {
			t.Fatal(err)
		}
	}
	s.Close()
	path := filepath.Join(dir, "0000000000000001.spool")
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	b[22]++
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
}

// A tester is a test or a property.
type tester interface {
	Helper()
	Fatalf(format string, args ...any)
}
