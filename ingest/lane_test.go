package ingest_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"google.golang.org/protobuf/proto"

	"fernweh/ingest"
	"fernweh/ingest/spool"
	"fernweh/schemas"
)

// deviceOf is a device of each partition.
func deviceOf() (devices [partitions]string) {
	for i := 0; slices.Contains(devices[:], ""); i++ {
		d := fmt.Sprint("d", i)
		if p := schemas.Partition(d, partitions); devices[p] == "" {
			devices[p] = d
		}
	}
	return devices
}

// run runs a collector until the test's end or stop.
func run(t *testing.T, c *ingest.Collector) (stop func()) {
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- c.Run(ctx) }()
	return func() {
		cancel()
		want(t, "Run", <-done, nil)
	}
}

// set changes a kafka that is in use.
func (k *kafka) set(change func()) {
	k.mu.Lock()
	defer k.mu.Unlock()
	change()
}

// of is the ids of one device in the log.
func (k *kafka) of(device string) (ids []string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	for _, e := range k.events {
		if e.Device == device {
			ids = append(ids, e.Id)
		}
	}
	return ids
}

// told is what the collector reports.
type told struct {
	mu sync.Mutex
	by map[string]string
}

func (r *told) Down(what string, why error)    { r.tell(what, "down: "+why.Error()) }
func (r *told) Limited(what string, why error) { r.tell(what, "limited: "+why.Error()) }
func (r *told) Up(what string)                 { r.tell(what, "") }

func (r *told) tell(what, how string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.by == nil {
		r.by = map[string]string{}
	}
	if r.by[what] = how; how == "" {
		delete(r.by, what)
	}
}

func (r *told) String() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return fmt.Sprint(r.by)
}

// health is what /healthz answers.
func health(c *ingest.Collector) string {
	w := httptest.NewRecorder()
	c.ServeHTTP(w, httptest.NewRequest("GET", "/healthz", nil))
	return strings.TrimSpace(w.Body.String())
}

// TestOnePartitionWithoutLeaderStopsItsOwnDevices: all others go on past it, in
// the same requests too, and its own come in order when it is back.
func TestOnePartitionWithoutLeaderStopsItsOwnDevices(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := deviceOf()
		k := &kafka{leaderless: map[int32]bool{2: true}}
		var r told
		c := start(t, k, func(cfg *ingest.Config) { cfg.Health = &r })
		stop := run(t, c)
		wanted := map[string][]string{}
		for i := range 20 {
			var calls []string
			for _, device := range d {
				calls = append(calls, page(device, fmt.Sprint(i)))
				wanted[device] = append(wanted[device], fmt.Sprint(i))
			}
			want(t, "mixed", post(t, c, calls...).statuses(), []string{"accepted", "accepted", "spooled", "accepted"})
			time.Sleep(time.Second) // of the bubble: the drain tries again and again
		}
		want(t, "health names it", strings.Contains(health(c), `"status":"spooling"`) &&
			strings.Contains(health(c), `"waiting":[{"partition":2,"records":20,`), true)
		want(t, "reported", strings.Contains(r.String(), "collector partition 2:limited: append spooled events: "+errNoLeader.Error()), true)
		k.set(func() { k.leaderless = nil })
		time.Sleep(time.Second)
		for _, device := range d {
			want(t, "in the log of "+device, k.of(device), wanted[device])
		}
		want(t, "directly again", post(t, c, page(d[2], "x")).statuses(), []string{"accepted"})
		want(t, "reported in the end", r.String(), "map[]")
		stop()
	})
}

// TestFullSpoolOfOnePartitionLeavesTheOthersTheirs fills it, and then takes the
// whole log away.
func TestFullSpoolOfOnePartitionLeavesTheOthersTheirs(t *testing.T) {
	d := deviceOf()
	k := &kafka{leaderless: map[int32]bool{2: true}}
	var r told
	c := start(t, k, func(cfg *ingest.Config) { cfg.Spool.MaxBytes, cfg.Health = 100<<10, &r })
	n := 0
	for post(t, c, page(d[2], fmt.Sprint(n))).status == 200 {
		n++
	}
	a := post(t, c, page(d[2], "one more"))
	want(t, "its own", says(a.status, a.header.Get("Retry-After"), strings.Contains(a.Error, "partition 2")), "429 2 true")
	want(t, "reported", strings.Contains(r.String(), "collector partition 2:limited: neither the log nor the spool") &&
		!strings.Contains(r.String(), "down"), true)
	want(t, "another partition", post(t, c, page(d[1], "1")).statuses(), []string{"accepted"})
	k.become(away)
	for p, device := range d {
		if p != 2 {
			want(t, "the log is away too", post(t, c, page(device, "2")).statuses(), []string{"spooled"})
		}
	}
	k.become(nil)
	k.leaderless = nil
	for drained := true; drained; {
		var err error
		if drained, err = ingest.Step(c, t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	want(t, "events of it", len(k.of(d[2])), n)
	want(t, "room again", post(t, c, page(d[2], "again")).status, 200)
}

// TestDeadLettersNeverStopEvents: their topic refuses, or hangs, for longer than
// there is room for letters.
func TestDeadLettersNeverStopEvents(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := &kafka{noLetters: errors.New("not authorized")}
		registry := prometheus.NewRegistry()
		var r told
		c := start(t, k, func(cfg *ingest.Config) {
			cfg.Limits.LetterBytes, cfg.Metrics, cfg.Health = 64<<10, registry, &r
		})
		stop := run(t, c)
		bad := `{"x":"` + strings.Repeat("x", 10<<10) + `"}`
		for i := range 20 {
			a := post(t, c, page("a", fmt.Sprint(i)), bad)
			want(t, "beside a letter", a.statuses(), []string{"accepted", "rejected"})
			time.Sleep(time.Second)
		}
		k.mu.Lock()
		want(t, "letters in their topic", len(k.letters), 0)
		k.mu.Unlock()
		got := gather(t, registry)
		waiting, dropped := got["fernweh_ingest_letters_waiting"], got["fernweh_ingest_letters_dropped_total"]
		want(t, "each letter waits or is counted", says(waiting+dropped, waiting > 0, dropped > 0), "20 true true")
		want(t, "health", strings.Contains(health(c), fmt.Sprintf(`"deadLetters":{"waiting":%v,"dropped":%v}`, waiting, dropped)), true)
		want(t, "events spool", strings.Contains(health(c), `"status":"ok"`), true)
		want(t, "reported", strings.Contains(r.String(), "collector dead letters:limited: "), true)
		want(t, "a body that is none", send(t, c, request("/v1/batch", "{", "X-API-Key", "WK")).status, 400)
		k.set(func() { k.noLetters = nil })
		time.Sleep(time.Second)
		k.mu.Lock()
		want(t, "letters when it takes them", len(k.letters) >= int(waiting), true)
		k.mu.Unlock()
		stop()
	})
}

// TestCollectorStartsWhileTheLogIsAway: the door is open, the spool takes the
// events, and who asks is told why. They come in order when the log is there.
func TestCollectorStartsWhileTheLogIsAway(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := new(kafka)
		var asked atomic.Int64
		ready := make(chan struct{})
		var r told
		c := start(t, k, func(cfg *ingest.Config) {
			cfg.Health = &r
			cfg.Prepare = func(context.Context) error {
				asked.Add(1)
				select {
				case <-ready:
					return nil
				default:
					return errAway
				}
			}
		})
		want(t, "before it was asked", strings.Contains(health(c), `"log":"the topics have not been checked yet"`), true)
		stop := run(t, c)
		for i := range 3 {
			want(t, "while it is away", post(t, c, page("a", fmt.Sprint(i)), page("b", fmt.Sprint(i)), "{}").statuses(),
				[]string{"spooled", "spooled", "rejected"})
			time.Sleep(time.Minute)
		}
		want(t, "appends", len(k.calls), 0)
		want(t, "asked again and again", asked.Load() > 10, true)
		want(t, "health", strings.Contains(health(c), `"status":"spooling"`) && strings.Contains(health(c), `"log":"connection refused"`), true)
		want(t, "reported", r.String(), "map[collector log:limited: all events go to the spool: connection refused]")
		close(ready)
		time.Sleep(time.Second)
		want(t, "drained", says(k.of("a"), k.of("b"), len(k.letters)), "[0 1 2] [0 1 2] 3")
		want(t, "then", post(t, c, page("a", "3")).statuses(), []string{"accepted"})
		want(t, "health then", strings.Contains(health(c), `"status":"ok"`), true)
		want(t, "reported then", r.String(), "map[]")
		stop()
	})
}

// rowOf fills a directory as an earlier release did: one row for all partitions
// and the letters.
func rowOf(t *testing.T, dir string, n int) {
	s, err := spool.Open(spool.Options{Dir: dir, SegmentBytes: 1000})
	if err != nil {
		t.Fatal(err)
	}
	for i := range n {
		var rs []spool.Record
		for _, device := range deviceOf() {
			b, err := proto.Marshal(&schemas.Event{Id: fmt.Sprint(i), Device: device, Kind: schemas.Kind_KIND_PAGE, Time: 1e15, Received: 1e15})
			if err != nil {
				t.Fatal(err)
			}
			rs = append(rs, spool.Record{Kind: 1, Data: b})
		}
		b, err := proto.Marshal(&schemas.DeadLetter{Reason: fmt.Sprint(i)})
		if err != nil {
			t.Fatal(err)
		}
		if err := s.Append(append(rs, spool.Record{Kind: 2, Data: b})); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
}

// TestSpoolOfAnEarlierReleaseIsDrained: also when one of its partitions is away,
// and when the first start dies while it divides it.
func TestSpoolOfAnEarlierReleaseIsDrained(t *testing.T) {
	const n = 300
	for _, dies := range []bool{false, true} {
		dir := t.TempDir()
		rowOf(t, dir, n)
		k := &kafka{leaderless: map[int32]bool{1: true}}
		here := func(cfg *ingest.Config) { cfg.Spool.Dir = dir }
		if dies {
			cfg := config(t)
			here(&cfg)
			files := 0
			cfg.Spool.Create = func(path string) (spool.File, error) {
				if files++; files > 2 {
					return nil, errDiskFull
				}
				return os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY|os.O_APPEND, 0o600)
			}
			if _, err := ingest.New(cfg, k, k); !errors.Is(err, errDiskFull) || !strings.Contains(err.Error(), "earlier release") {
				t.Fatalf("start on a full disk: %v, want an error that says what it was at", err)
			}
		}
		c := start(t, k, here)
		d := deviceOf()
		want(t, "behind it", post(t, c, page(d[0], "new")).statuses(), []string{"spooled"})
		k.leaderless = nil
		for drained := true; drained; {
			var err error
			if drained, err = ingest.Step(c, t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		for p, device := range d {
			own := slices.DeleteFunc(slices.Clone(k.events), func(e *schemas.Event) bool { return e.Device != device })
			ids := filter(own)
			if p == 0 {
				want(t, "the last", ids[len(ids)-1], "new")
				ids = ids[:n]
			}
			for i := range n {
				if i >= len(ids) || ids[i] != fmt.Sprint(i) {
					t.Fatalf("dies %v: of partition %d got %v, want 0 to %d in order", dies, p, ids, n-1)
				}
			}
		}
		want(t, "letters", len(k.letters) >= n, true)
		left, err := filepath.Glob(filepath.Join(dir, "*.spool"))
		want(t, "files of the row", says(len(left), err), "0 <nil>")
	}
}

// TestSpoolOfMorePartitionsIsRefused, for its events would be forgotten.
func TestSpoolOfMorePartitionsIsRefused(t *testing.T) {
	k := &kafka{fail: away}
	cfg := config(t)
	c, err := ingest.New(cfg, k, k)
	if err != nil {
		t.Fatal(err)
	}
	d := deviceOf()
	post(t, c, page(d[3], "1"))
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	cfg.Partitions = 3
	if _, err := ingest.New(cfg, k, k); err == nil || !strings.Contains(err.Error(), "p0003 holds events of partition 3, and the topic has 3") {
		t.Errorf("start with fewer partitions: %v, want an error that names the directory and both numbers", err)
	}
	cfg.Partitions = 4
	if c, err = ingest.New(cfg, k, k); err != nil {
		t.Fatalf("start as before: %v, want none: nothing was left locked", err)
	}
	defer c.Close()
	want(t, "it waits", strings.Contains(health(c), `"waiting":[{"partition":3,"records":1,`), true)
}

// TestSpooledEventThatNobodyReadsIsALetter, and the events behind it go on.
func TestSpooledEventThatNobodyReadsIsALetter(t *testing.T) {
	dir := t.TempDir()
	s, err := spool.Open(spool.Options{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	var rs []spool.Record
	for _, e := range []*schemas.Event{
		{Id: "odd", Device: "a", Kind: 9999, Time: 1, Received: 1, Source: "web"},
		{Id: "good", Device: "a", Kind: schemas.Kind_KIND_PAGE, Time: 1e15, Received: 1e15},
	} {
		b, _ := proto.Marshal(e)
		rs = append(rs, spool.Record{Kind: 1, Data: b})
	}
	if err := errors.Join(s.Append(rs), s.Close()); err != nil {
		t.Fatal(err)
	}
	k := new(kafka)
	c := start(t, k, func(cfg *ingest.Config) { cfg.Spool.Dir = dir })
	for drained := true; drained; {
		if drained, err = ingest.Step(c, t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	want(t, "in the log", k.ids(), []string{"good"})
	want(t, "letter", says(len(k.letters), k.letters[0].Source, bytes.Equal(k.letters[0].Original, rs[0].Data)), "1 web true")
}

// TestHealthyLanesLeaveNoFiles: a spool is made when it is needed.
func TestHealthyLanesLeaveNoFiles(t *testing.T) {
	dir := t.TempDir()
	c := start(t, new(kafka), func(cfg *ingest.Config) { cfg.Spool.Dir = dir })
	post(t, c, page("a", "1"), "{}")
	var names []string
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		names = append(names, filepath.Base(path))
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	want(t, "files", names[1:], []string{"delivered", "lock"})
}
