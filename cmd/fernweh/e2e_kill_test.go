package main_test

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"fernweh/batch/archive"
	"fernweh/infra/embedded"
	"fernweh/schemas"

	"github.com/apache/arrow/go/v15/arrow"
	"google.golang.org/protobuf/proto"
)

// A deed is what one message id stands for.
type deed struct {
	device string
	kind   string // as the API names it
	cents  int64  // of a booking
}

// calls invents what a portal's visitors do. Each has a fixed message id; some
// are sent twice.
type calls struct {
	random *rand.Rand
	from   time.Time // everything happens in the hour after it
	deeds  map[string]deed
	ids    []string
}

// newCalls draws calls by a seed. They begin two hours ago.
func newCalls(seed uint64) *calls {
	return &calls{
		random: rand.New(rand.NewPCG(seed, 1)), deeds: map[string]deed{},
		from: time.Now().Add(-2 * time.Hour).Truncate(time.Hour),
	}
}

const devices = 150

// The prober is one of the devices: it opens a page now and then, beside the
// calls, to see whether an event comes through.
const prober, proberID = "device-000", "prober-"

// kinds are the calls of Segment's e-commerce spec, and what they count as.
var kinds = []struct{ event, kind string }{
	{"Product Viewed", "offer_view"}, {"Product Viewed", "offer_view"}, {"Products Searched", "search"},
	{"Product Added", "cart"}, {"Order Completed", "booking"}, {"", "page"}, {"", "identify"},
}

// next is one line for the client: a new call, or, one time in twenty, an old one.
func (c *calls) next() []byte {
	id := fmt.Sprintf("m-%06d", len(c.ids))
	if len(c.ids) > 20 && c.random.IntN(20) == 0 {
		id = c.ids[len(c.ids)-1-c.random.IntN(20)]
	} else {
		k := kinds[c.random.IntN(len(kinds))]
		d := deed{device: fmt.Sprintf("device-%03d", c.random.IntN(devices)), kind: k.kind}
		if d.kind == "booking" {
			d.cents = 10_000 + c.random.Int64N(1_000_000)
		}
		c.deeds[id] = d
		c.ids = append(c.ids, id)
	}
	return c.line(id)
}

// line is a call as the client's methods take it.
func (c *calls) line(id string) []byte {
	d := c.deeds[id]
	call := map[string]any{
		"messageId": id, "anonymousId": d.device,
		"timestamp": c.from.Add(time.Duration(c.random.Int64N(int64(time.Hour)))).UTC(),
	}
	switch d.kind {
	case "page":
		call["type"], call["name"] = "page", "Angebote"
	case "identify":
		call["type"], call["userId"] = "identify", "customer-of-"+d.device
	default:
		call["type"] = "track"
		call["properties"] = map[string]any{"product_id": "hotel-" + id, "category": "hotel", "destination": "Sylt"}
		for _, k := range kinds {
			if k.kind == d.kind {
				call["event"] = k.event
			}
		}
	}
	if d.kind == "booking" {
		euros := json.Number(fmt.Sprintf("%d.%02d", d.cents/100, d.cents%100))
		call["properties"] = map[string]any{"order_id": "order-" + id, "revenue": euros, "currency": "EUR"}
	}
	b, err := json.Marshal(call)
	if err != nil {
		panic(err) // maps of texts and numbers always marshal
	}
	return append(b, '\n')
}

// A sender is the client's process, and what it was told.
type sender struct {
	in    io.WriteCloser
	wait  func() error
	mu    sync.Mutex
	told  map[string]bool // guarded by mu: by message id, whether it is safe
	fails []string        // guarded by mu
}

// newSender starts the Segment client from npm.
func newSender(t *testing.T, collector string) *sender {
	t.Helper()
	const dir = "testdata/e2e"
	node, err := exec.LookPath("node")
	if err != nil {
		t.Fatal("node is missing: install it (Debian: apt-get install nodejs npm)")
	}
	if _, err := os.Stat(filepath.Join(dir, "node_modules", "@segment", "analytics-node")); err != nil {
		if out, err := exec.CommandContext(t.Context(), "npm", "ci", "--prefix", dir).CombinedOutput(); err != nil {
			t.Fatalf("the Segment client is missing and npm ci --prefix cmd/fernweh/%s does not bring it: %v: %s", dir, err, out)
		}
	}
	c := exec.CommandContext(t.Context(), node, "send.mjs", collector, "demo")
	c.Dir = dir
	complaints := new(transcript)
	c.Stderr = complaints
	in, err := c.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := c.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	s := &sender{in: in, told: map[string]bool{}}
	heard := make(chan struct{})
	go func() {
		s.hear(out)
		close(heard)
	}()
	s.wait = func() error {
		<-heard
		if err := c.Wait(); err != nil {
			return fmt.Errorf("%w: %s", err, complaints)
		}
		return nil
	}
	return s
}

// hear notes what the client is told.
func (s *sender) hear(out io.Reader) {
	for lines := bufio.NewScanner(out); lines.Scan(); {
		var told struct {
			ID, Error string
			OK        bool
		}
		if err := json.Unmarshal(lines.Bytes(), &told); err != nil {
			told.Error = "not understood: " + lines.Text()
		}
		s.mu.Lock()
		if told.OK {
			s.told[told.ID] = true
		} else {
			s.fails = append(s.fails, told.ID+": "+told.Error)
		}
		s.mu.Unlock()
	}
}

// drip sends so many calls a second, in fives, until the context is done; then the
// client finishes what it has.
func (s *sender) drip(ctx context.Context, c *calls, perSecond int) error {
	pace := time.NewTicker(5 * time.Second / time.Duration(perSecond))
	defer pace.Stop()
	for {
		select {
		case <-ctx.Done():
			return s.in.Close()
		case <-pace.C:
		}
		for range 5 {
			if _, err := s.in.Write(c.next()); err != nil {
				return err
			}
		}
	}
}

// seed is FERNWEH_E2E_SEED, or another one each time; it is printed.
func seed(t *testing.T) uint64 {
	t.Helper()
	s := rand.Uint64()
	if text := os.Getenv("FERNWEH_E2E_SEED"); text != "" {
		var err error
		if s, err = strconv.ParseUint(text, 10, 64); err != nil {
			t.Fatalf("FERNWEH_E2E_SEED: %v", err)
		}
	}
	t.Logf("FERNWEH_E2E_SEED=%d", s)
	return s
}

// TestNothingAcknowledgedIsLost kills the portal twenty times, at any moment of
// its life, while the Segment client sends, and then counts.
func TestNothingAcknowledgedIsLost(t *testing.T) {
	p := newPortal(t, "--archive-rows", "150")
	s := seed(t)
	c := newCalls(s)
	p.up()
	segment := newSender(t, "http://"+p.doors[0])
	ctx, enough := context.WithCancel(t.Context())
	sent := make(chan error, 1)
	go func() { sent <- segment.drip(ctx, c, 500) }()
	witness := c.witness(ctx, p, rand.New(rand.NewPCG(s, 3)))
	published, cutOff := p.killAgainAndAgain(rand.New(rand.NewPCG(s, 2)), 20)
	p.up()
	enough()
	if err := <-sent; err != nil {
		t.Fatalf("send: %v", err)
	}
	if err := segment.wait(); err != nil {
		t.Fatalf("the client ended: %v", err)
	}
	t.Logf("%d calls, %d of them known to be safe, %d unknown; batch runs in between: %d published, %d cut off",
		len(c.ids), len(segment.told), len(segment.fails), published, cutOff)
	if published == 0 || cutOff == 0 || len(segment.told) < 1000 {
		t.Errorf("that shows too little")
	}

	c.probe(p)
	live := c.answers(p)
	run := p.batch()
	exact := c.answers(p)
	p.stop()

	there := c.archived(p, run)
	for id := range segment.told {
		if !there.ids[id] {
			t.Errorf("%s was acknowledged and is not in the archive", id)
		}
	}
	want := c.count(there.ids)
	compare(t, "speed and batch together", live, want)
	compare(t, "the last batch run", exact, want)
	(<-witness).holds(t, there)
}

// killAgainAndAgain starts and kills the portal. One life in four ends soon after
// the start, often before it is ready; in every other one, batch is asked for a
// run, which is let finish, and for another, which is cut off.
func (p *portal) killAgainAndAgain(random *rand.Rand, times int) (published, cutOff int) {
	p.Helper()
	moment := func(most time.Duration) { time.Sleep(time.Duration(random.Int64N(int64(most)))) }
	for life := range times {
		if life%4 == 1 {
			p.start()
			moment(300 * time.Millisecond)
			p.kill()
			continue
		}
		if life > 0 {
			p.up()
		}
		moment(600 * time.Millisecond)
		if life%2 == 0 && p.twoRuns() {
			published++
			cutOff++
			moment(200 * time.Millisecond)
		}
		p.kill()
	}
	return published, cutOff
}

// twoRuns lets one batch run finish and begins another. After a run that was cut
// off no other can begin for a while: then there are none.
func (p *portal) twoRuns() bool {
	p.Helper()
	run, err := p.begin()
	if statusOf(err) == http.StatusConflict {
		return false
	}
	if err != nil {
		p.Fatalf("begin a batch run: %v", err)
	}
	if run = p.finished(run.Number); run.State != "published" {
		p.Fatalf("run %d: %s: %s", run.Number, run.State, run.Error)
	}
	p.until("the next batch run begins", 10*time.Second, func() error {
		_, err := p.begin()
		return err
	})
	return true
}

// probe sends one more call to every partition and waits until it is in the
// answers: then all that came before is, too.
func (c *calls) probe(p *portal) {
	p.Helper()
	p.until("the spool is empty", 20*time.Second, func() error {
		b, _, err := send("GET", "http://"+p.doors[0]+"/healthz", nil, demo)
		if err == nil && !strings.Contains(string(b), `"spoolRecords":0,`) {
			err = fmt.Errorf("%s", b)
		}
		return err
	})
	var lines []string
	sofar := len(c.ids) // a later probe's events are others: after minutes they would not be known as duplicates
	for seen, i := map[int32]bool{}, 0; len(seen) < partitions; i++ {
		id := fmt.Sprintf("probe-%d-%d", sofar, i)
		d := deed{device: fmt.Sprintf("device-%03d", i), kind: "page"}
		seen[schemas.Partition(d.device, partitions)] = true
		c.deeds[id] = d
		c.ids = append(c.ids, id)
		lines = append(lines, strings.TrimSpace(string(c.line(id))))
	}
	answer, after, err := p.post(`{"batch":[` + strings.Join(lines, ",") + `]}`)
	if err != nil || strings.Count(after, ":") != partitions {
		p.Fatalf("probe every partition: after %q, %v: %s", after, err, answer)
	}
	p.until("speed has counted everything", 20*time.Second, func() error {
		w := read[window](p, "/v1/kpis?window=1m&deadline=1s&after="+url.QueryEscape(after))
		if w.Stale {
			return fmt.Errorf("behind %s", after)
		}
		return nil
	})
}

// A tally is what is known by counting: of the portal, and of each device.
type tally struct {
	portal  map[string]int64
	devices map[string]map[string]int64
}

func (t *tally) add(device, what string, n int64) {
	if n == 0 {
		return
	}
	t.portal[what] += n
	if t.devices[device] == nil {
		t.devices[device] = map[string]int64{}
	}
	t.devices[device][what] += n
}

// count counts each of the ids once.
func (c *calls) count(ids map[string]bool) *tally {
	t := &tally{map[string]int64{}, map[string]map[string]int64{}}
	for id := range ids {
		d := c.deeds[id]
		t.add(d.device, "events", 1)
		t.add(d.device, d.kind, 1)
		t.add(d.device, "EUR", d.cents)
	}
	return t
}

// answers asks the portal for everything that count counts.
func (c *calls) answers(p *portal) *tally {
	p.Helper()
	t := &tally{map[string]int64{}, map[string]map[string]int64{}}
	for i := range devices {
		device := fmt.Sprintf("device-%03d", i)
		v := read[person](p, "/v1/visitors/"+device)
		t.add(device, "events", v.Totals.Events)
		for kind, n := range v.Totals.Kinds {
			t.add(device, kind, n)
		}
		for _, m := range v.Totals.Money {
			t.add(device, m.Currency, m.Booked)
		}
	}
	w := read[window](p, c.numbersPath())
	t.portal = map[string]int64{"identify": t.portal["identify"]} // of which there is no measure
	for measure, kind := range map[string]string{"events": "events", "views": "offer_view", "searches": "search", "carts": "cart",
		"bookings": "booking", "pages": "page"} {
		t.portal[kind] = w.Measures[measure].Value
	}
	for _, r := range w.Revenue {
		t.portal[r.Currency] = r.Booked
	}
	return t
}

func compare(t *testing.T, who string, got, want *tally) {
	t.Helper()
	for what, n := range want.portal {
		if got.portal[what] != n {
			t.Errorf("%s count %d %s of the portal, want %d", who, got.portal[what], what, n)
		}
	}
	for device, counts := range want.devices {
		if g := got.devices[device]; fmt.Sprint(g) != fmt.Sprint(counts) {
			t.Errorf("%s count of %s: %v, want %v", who, device, g, counts)
		}
	}
	if len(got.devices) != len(want.devices) {
		t.Errorf("%s know %d devices, want %d", who, len(got.devices), len(want.devices))
	}
}

// archived reads the archive up to a run's cut, checks that the files are a
// chain that has every offset once, and returns what is in it.
func (c *calls) archived(p *portal, run int64) *ledger {
	p.Helper()
	files, err := embedded.OpenFiles(filepath.Join(p.dir, "archive"))
	if err != nil {
		p.Fatal(err)
	}
	log := &ledger{ids: map[string]bool{}, records: map[int32][]schemas.Record{}}
	var rows, number int64
	for partition := range int32(partitions) {
		names, err := files.List(p.Context(), fmt.Sprintf("events/p%04d/", partition))
		if err != nil {
			p.Fatal(err)
		}
		next, ended := int64(0), false
		for _, name := range names {
			span, err := archive.ReadSpan(p.Context(), files, name)
			if err != nil {
				p.Fatal(err)
			}
			if span.Partition != partition || span.First != next || ended {
				p.Fatalf("%s holds partition %d from offset %d; the chain goes on at %d (ended: %v)", name, span.Partition, span.First, next, ended)
			}
			rows += c.scan(p, files, archive.FileSpan{Name: name, Span: span}, log)
			next, ended = span.Next, span.Cut == run
			number++
		}
		if !ended {
			p.Errorf("the chain of partition %d does not reach cut %d", partition, run)
		}
	}
	p.Logf("the archive has %d rows of %d ids in %d files", rows, len(log.ids), number)
	if rows == int64(len(log.ids)) {
		p.Error("no call is twice in the log: that shows too little")
	}
	return log
}

// scan reads one file: offsets ascend within its span, and each id is what was
// sent under it.
func (c *calls) scan(p *portal, files archive.Files, f archive.FileSpan, log *ledger) (rows int64) {
	p.Helper()
	last := f.First - 1
	var reader schemas.RowReader
	err := archive.Scan(p.Context(), files, f, schemas.AllColumns(), func(batch arrow.Record) error {
		if err := reader.Bind(batch); err != nil {
			return err
		}
		for i := range int(batch.NumRows()) {
			var r schemas.Record
			if err := reader.Read(i, &r); err != nil {
				return err
			}
			if r.Event == nil { // a cut
				last = r.Offset
				continue
			}
			d, known := c.deeds[r.Event.Id]
			if strings.HasPrefix(r.Event.Id, proberID) {
				d, known = deed{device: prober, kind: "page"}, true
				c.deeds[r.Event.Id] = d
			}
			if r.Offset <= last || r.Offset >= f.Next {
				return fmt.Errorf("offset %d comes after %d in a file up to %d", r.Offset, last, f.Next)
			}
			if !known || r.Event.Device != d.device || r.Event.GetOrder().GetAmount() != d.cents {
				return fmt.Errorf("offset %d: id %q of %s with %d cents; sent was %+v", r.Offset, r.Event.Id, r.Event.Device,
					r.Event.GetOrder().GetAmount(), d)
			}
			last = r.Offset
			log.ids[r.Event.Id] = true
			r.Partition, r.Event = f.Partition, proto.Clone(r.Event).(*schemas.Event)
			log.records[r.Partition] = append(log.records[r.Partition], r)
			rows++
		}
		return nil
	})
	if err != nil {
		p.Fatal(err)
	}
	return rows
}
