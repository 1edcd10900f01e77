package main_test

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"maps"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"text/tabwriter"
	"time"

	"fernweh/infra/elastic"
	"fernweh/infra/kafka"
	"fernweh/infra/native"
	"fernweh/schemas"

	"golang.org/x/sync/errgroup"
)

var realRounds = flag.Int("real-rounds", 10, "times that TestRealNothingAcknowledgedIsLost kills each server and each layer")

// A cluster is a portal as it runs in production: real servers, and each layer a
// process of its own. It is a portal to the tests that count.
type cluster struct {
	*portal
	servers map[native.Kind]*native.Server
	layers  map[string]*layer
	sets    []string // settings that all layers share
	probes  int

	published int64 // by the last batch run
}

// A layer is one process of a cluster.
type layer struct {
	*portal
	health string // where it tells that it runs
}

// needServers skips a test where there are to be no servers.
func needServers(t *testing.T) {
	t.Helper()
	for _, name := range []string{"FERNWEH_TEST_KAFKA", "FERNWEH_TEST_HBASE", "FERNWEH_TEST_ELASTIC"} {
		if os.Getenv(name) == "" {
			t.Skipf("%s is not set: make test-real runs this test, on servers that it starts itself", name)
		}
	}
}

// startServers starts servers of the test's own, all at once.
func startServers(t *testing.T) map[native.Kind]*native.Server {
	t.Helper()
	servers := map[native.Kind]*native.Server{}
	var mu sync.Mutex
	var g errgroup.Group
	dir := t.TempDir()
	for _, k := range native.Kinds() {
		ports, err := native.FreePorts(k)
		if err != nil {
			t.Fatal(err)
		}
		g.Go(func() error {
			s, err := native.Start(t.Context(), k, native.Options{Dir: filepath.Join(dir, string(k)), Ports: ports})
			if s != nil {
				mu.Lock()
				servers[k] = s
				mu.Unlock()
			}
			return err
		})
	}
	err := g.Wait()
	t.Cleanup(func() {
		for _, s := range servers {
			_ = s.Kill()
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	return servers
}

// newCluster starts the servers and prepares the layers; none of them runs yet.
func newCluster(t *testing.T, args ...string) *cluster {
	t.Helper()
	c := &cluster{
		portal:  &portal{T: t, dir: filepath.Join(t.TempDir(), "data"), doors: [2]string{door(t), door(t)}},
		servers: startServers(t), layers: map[string]*layer{},
	}
	log := []string{"--kafka-brokers", c.servers[native.Kafka].Addr(), "--partitions", fmt.Sprint(partitions), "--data-dir", c.dir, "--log-level", "warn"}
	views := []string{"--hbase-quorum", c.servers[native.HBase].Addr()}
	documents := []string{"--elastic-urls", c.servers[native.Elastic].Addr()}
	c.sets = slices.Concat(log, views, documents)
	for name, own := range map[string][]string{
		"ingest": {"--ingest-addr", c.doors[0]}, "speed": views, "archive": {"--archive-rows", "500"},
		"index": slices.Concat(views, documents), "serve": append([]string{"--serve-addr", c.doors[1]}, views...),
	} {
		admin := door(t)
		p := &portal{T: t, args: slices.Concat([]string{name}, log, []string{"--admin-addr", admin}, own, args)}
		c.layers[name] = &layer{p, "http://" + admin + "/readyz"}
		t.Cleanup(func() {
			p.kill()
			if t.Failed() && p.said != nil {
				t.Logf("%s said last:\n%s", name, tailOf(p.said.String()))
			}
		})
	}
	return c
}

// names are the layers in the order in which they are started.
func (c *cluster) names() []string { return slices.Sorted(maps.Keys(c.layers)) }

// up starts every layer and waits for it.
func (c *cluster) up() {
	c.Helper()
	for _, name := range c.names() {
		c.layers[name].start()
	}
	for _, name := range c.names() {
		c.layers[name].awaits()
	}
}

// awaits waits until the layer runs. One that gave up because a server was away
// is started again, as every supervisor does.
func (l *layer) awaits() {
	l.Helper()
	l.until("the layer "+l.args[0]+" runs", 3*time.Minute, func() error {
		select {
		case <-l.gone:
			l.start()
		default:
		}
		_, _, err := send("GET", l.health, nil, http.Header{})
		if err != nil {
			time.Sleep(100 * time.Millisecond)
		}
		return err
	})
}

var publishedLine = regexp.MustCompile(`generation (\d+) is published`)

// run does one batch run in a process of its own, which archives what is missing.
func (c *cluster) run() (generation int64, err error) {
	p := &portal{T: c.T, args: slices.Concat([]string{"batch", "run"}, c.batchSets())}
	p.start()
	select {
	case <-p.gone:
	case <-time.After(4 * time.Minute):
		p.kill()
		return 0, fmt.Errorf("after four minutes the run is not done: %s", tailOf(p.said.String()))
	}
	said := p.said.String()
	result := publishedLine.FindStringSubmatch(said)
	if !p.process.ProcessState.Success() || result == nil {
		return 0, errors.New(tailOf(said))
	}
	return strconv.ParseInt(result[1], 10, 64)
}

func (c *cluster) batchSets() []string {
	sets := slices.Clone(c.sets)
	return slices.Delete(sets, slices.Index(sets, "--elastic-urls"), slices.Index(sets, "--elastic-urls")+2)
}

// batch makes a generation and returns its number. A run that was killed holds
// its lease for a while.
func (c *cluster) batch() (generation int64) {
	c.Helper()
	c.until("a batch run is done", 5*time.Minute, func() (err error) {
		generation, err = c.run()
		return err
	})
	c.published = generation
	return generation
}

// sees waits until an event that is posted now is in the answers.
func (c *cluster) sees(what string) {
	c.Helper()
	var after string
	c.until(what+": an event is taken", 3*time.Minute, func() (err error) {
		c.probes++
		_, after, err = c.post(fmt.Sprintf(`{"batch":[{"type":"page","messageId":"%s%d","anonymousId":"%s"}]}`, proberID, c.probes, prober))
		if err == nil && after == "" {
			err = errors.New("it waits in the spool")
			time.Sleep(200 * time.Millisecond)
		}
		return err
	})
	c.until(what+": an event is seen", 3*time.Minute, func() error {
		b, err := c.ask("GET", "/v1/visitors/"+prober+"?deadline=1s&after="+after, nil)
		var v person
		if err == nil {
			err = json.Unmarshal(b, &v)
		}
		if err == nil && v.Stale {
			err = errors.New("the answer is stale")
		}
		return err
	})
}

// finds waits until the documents have followed every decision that was made, and
// what is published.
func (c *cluster) finds(what string) {
	c.Helper()
	c.until(what+": the documents have followed", 3*time.Minute, func() error {
		ctx, cancel := context.WithTimeout(c.Context(), 10*time.Second)
		defer cancel()
		tail := kafka.NewTail(kafka.Config{Brokers: []string{c.servers[native.Kafka].Addr()}, ClientID: "test"}, schemas.TopicDecisions)
		defer tail.Close()
		ends, err := tail.Ends(ctx)
		if err != nil {
			return err
		}
		store, err := c.documents(ctx)
		if err != nil {
			return err
		}
		defer store.Close()
		for p, end := range ends {
			doc, _, err := store.Get(ctx, schemas.IndexPositions, schemas.PositionID("decisions", int32(p)))
			if err != nil {
				return err
			}
			var at schemas.PositionDocument
			if doc.Body != nil {
				if at, err = schemas.DecodePosition(doc.Body); err != nil {
					return err
				}
			}
			if at.Offset < end {
				return fmt.Errorf("partition %d: at %d of %d decisions", p, at.Offset, end)
			}
		}
		b, err := c.ask("GET", "/v1/status", nil)
		var status struct{ Generation int64 }
		if err == nil {
			err = json.Unmarshal(b, &status)
		}
		if err != nil || status.Generation == 0 && c.published == 0 {
			return err
		}
		if status.Generation < c.published {
			return fmt.Errorf("answers are of generation %d, published is %d", status.Generation, c.published)
		}
		mark := schemas.PositionID(fmt.Sprintf("generation-%d", status.Generation), 0)
		switch _, found, err := store.Get(ctx, schemas.IndexPositions, mark); {
		case err != nil:
			return err
		case !found:
			return fmt.Errorf("generation %d is not in the documents", status.Generation)
		}
		return nil
	})
}

func (c *cluster) documents(ctx context.Context) (*elastic.Documents, error) {
	return elastic.Open(ctx, elastic.Config{Addresses: []string{c.servers[native.Elastic].Addr()}, Prefix: "fernweh"}, nil)
}

// A victim is something to kill, and how it is known to be back.
type victim struct {
	name  string
	kill  func()
	start func()
	back  func()
}

func (c *cluster) victims() []victim {
	var vs []victim
	seen := func(name string) func() {
		if name == "index" || name == "elastic" {
			return func() { c.finds(name) }
		}
		return func() { c.sees(name) }
	}
	for _, k := range native.Kinds() {
		s := c.servers[k]
		vs = append(vs, victim{string(k), func() {
			if err := s.Kill(); err != nil {
				c.Error(err)
			}
		}, func() {
			if err := s.Start(c.Context()); err != nil {
				c.Error(err)
			}
		}, seen(string(k))})
	}
	for _, name := range c.names() {
		l := c.layers[name]
		back := seen(name)
		vs = append(vs, victim{name, l.kill, func() { l.start(); l.awaits() }, back})
	}
	return vs
}

// TestRealNothingAcknowledgedIsLost kills each server and each layer ten times
// while the Segment client sends: in the first rounds one after the other, with
// the time until an event is in the answers again, then all servers at once and
// the layers meanwhile. Then it counts.
func TestRealNothingAcknowledgedIsLost(t *testing.T) {
	needServers(t)
	c := newCluster(t)
	s := seed(t)
	calls := newCalls(s)
	c.up()
	calls.post(c.portal, 3000)
	calls.probe(c.portal)
	c.batch() // from here on there is a model, and speed decides
	segment := newSender(t, "http://"+c.doors[0])
	ctx, enough := context.WithCancel(t.Context())
	defer enough()
	sent := make(chan error, 1)
	go func() { sent <- segment.drip(ctx, calls, 200) }() // more would take the cores that the starts need
	witness := calls.witness(ctx, c.portal, rand.New(rand.NewPCG(s, 3)))

	random := rand.New(rand.NewPCG(s, 2))
	const alone = 2
	times := map[string][]time.Duration{}
	published := 1
	for round := range *realRounds {
		vs := c.victims()
		random.Shuffle(len(vs), func(i, j int) { vs[i], vs[j] = vs[j], vs[i] })
		if round < alone {
			for _, v := range vs {
				began := time.Now()
				v.kill()
				v.start()
				v.back()
				times[v.name] = append(times[v.name], time.Since(began))
			}
		} else {
			c.killTogether(vs, random)
		}
		if round%3 == 1 { // and a batch run that dies
			p := &portal{T: t, args: slices.Concat([]string{"batch", "run"}, c.batchSets())}
			p.start()
			time.Sleep(time.Duration(random.Int64N(int64(4 * time.Second))))
			p.kill()
		}
		if round%3 == 2 {
			c.batch()
			published++
		}
		if t.Failed() {
			t.Fatalf("in round %d", round+1)
		}
	}
	enough()
	if err := <-sent; err != nil {
		t.Fatalf("send: %v", err)
	}
	if err := segment.wait(); err != nil {
		t.Fatalf("the client ended: %v", err)
	}
	t.Logf("%d calls, %d of them known to be safe, %d unknown; %d batch runs published in between",
		len(calls.ids), len(segment.told), len(segment.fails), published)
	t.Logf("seconds from the kill to the next event in the answers (index, elastic: to the last decision in the documents)\n%s", table(times))
	(<-witness).holds(t, c.counts(calls, segment))
}

// killTogether kills all servers at once, starts them together, and kills layers
// while they come up.
func (c *cluster) killTogether(vs []victim, random *rand.Rand) {
	c.Helper()
	var g errgroup.Group
	for _, v := range vs {
		pause := time.Duration(random.Int64N(int64(5 * time.Second)))
		g.Go(func() error {
			time.Sleep(pause)
			v.kill()
			v.start()
			return nil
		})
	}
	_ = g.Wait() // the victims fail the test themselves
	c.sees("after all were killed")
	c.finds("after all were killed")
}

// counts holds the archive, the merged answers and the documents against what
// was sent, and gives the archive.
func (c *cluster) counts(calls *calls, segment *sender) *ledger {
	c.Helper()
	calls.probe(c.portal)
	live := calls.answers(c.portal)
	run := c.batch()
	exact := calls.answers(c.portal)
	c.finds("the end")
	c.noDecisionIsDoubled()
	c.layers["archive"].stop()
	there := calls.archived(c.portal, run)
	for id := range segment.told {
		if !there.ids[id] {
			c.Errorf("%s was acknowledged and is not in the archive", id)
		}
	}
	want := calls.count(there.ids)
	compare(c.T, "speed and batch together", live, want)
	compare(c.T, "the last batch run", exact, want)
	return there
}

// noDecisionIsDoubled: of every decision there is one document, however often it
// was made again.
func (c *cluster) noDecisionIsDoubled() {
	c.Helper()
	tail := kafka.NewTail(kafka.Config{Brokers: []string{c.servers[native.Kafka].Addr()}, ClientID: "test"}, schemas.TopicDecisions)
	defer tail.Close()
	ends, err := tail.Ends(c.Context())
	if err != nil {
		c.Fatal(err)
	}
	left := int64(0)
	for _, end := range ends {
		left += end
	}
	ids := map[string]bool{}
	var mu sync.Mutex
	ctx, cancel := context.WithTimeout(c.Context(), 2*time.Minute)
	defer cancel()
	all := left
	reader := kafka.NewDecisions(kafka.Config{Brokers: []string{c.servers[native.Kafka].Addr()}, ClientID: "test"},
		kafka.LogOptions{Group: "fernweh-counting", MaxBatch: 1000, Linger: 10 * time.Millisecond})
	err = reader.Consume(ctx, func(context.Context, int32) (int64, func(context.Context, []schemas.DecisionRecord) error, error) {
		return schemas.Oldest, func(_ context.Context, records []schemas.DecisionRecord) error {
			mu.Lock()
			defer mu.Unlock()
			for _, r := range records {
				if r.Decision != nil {
					ids[r.Decision.Id] = true
				}
			}
			if left -= int64(len(records)); left <= 0 {
				cancel()
			}
			return nil
		}, nil
	})
	if left > 0 {
		c.Fatalf("read the decisions: %v, %d of %d are missing", err, left, all)
	}
	store, err := c.documents(c.Context())
	if err != nil {
		c.Fatal(err)
	}
	defer store.Close()
	indices, err := store.Indices(c.Context(), schemas.KindDecisions+"-")
	if err == nil {
		err = store.Refresh(c.Context(), indices...)
	}
	if err != nil {
		c.Fatal(err)
	}
	hits, err := store.Search(c.Context(), schemas.Query{Index: schemas.KindDecisions})
	if err != nil || hits.Total != int64(len(ids)) || len(ids) == 0 {
		c.Errorf("there are %d documents of decisions, %v, want one for each of the %d ids (%d records)", hits.Total, err, len(ids), all)
	}
	c.Logf("%d decisions were made, %d again after a crash; there are %d documents", len(ids), all-int64(len(ids)), hits.Total)
}

// table shows times by name.
func table(times map[string][]time.Duration) string {
	var b strings.Builder
	w := tabwriter.NewWriter(&b, 0, 0, 2, ' ', tabwriter.AlignRight)
	for _, name := range slices.Sorted(maps.Keys(times)) {
		fmt.Fprintf(w, "%s\t", name)
		for _, d := range times[name] {
			fmt.Fprintf(w, "%.1f\t", d.Seconds())
		}
		fmt.Fprintln(w)
	}
	w.Flush()
	return b.String()
}
