package main_test

import (
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"fernweh/infra/native"
	"fernweh/schemas"
)

// post sends so many calls of the portal's visitors to the collector.
func (c *calls) post(p *portal, n int) {
	p.Helper()
	for ; n > 0; n -= min(n, 100) {
		var lines []string
		for range min(n, 100) {
			lines = append(lines, strings.TrimSpace(string(c.next())))
		}
		if _, _, err := p.post(`{"batch":[` + strings.Join(lines, ",") + `]}`); err != nil {
			p.Fatalf("post calls: %v", err)
		}
	}
}

// TestRebuildGivesTheSameAnswers makes another set of views from the archive and
// the log while the portal goes on, and then goes on with that.
func TestRebuildGivesTheSameAnswers(t *testing.T) {
	p := newPortal(t)
	p.up()
	c := newCalls(seed(t))
	c.post(p, 1500)
	c.probe(p)
	p.batch()
	c.post(p, 500) // speed alone knows of these
	c.probe(p)
	before := c.answers(p)
	compare(t, "before the rebuild, the answers", before, c.count(c.all()))

	rebuild := &portal{T: t, args: []string{"rebuild", "--data-dir", p.dir, "--views", "second", "--partitions", fmt.Sprint(partitions)}}
	for range 2 {
		rebuild.start()
		<-rebuild.gone
		if !rebuild.process.ProcessState.Success() {
			break // the second time: there is one already
		}
	}
	if said := rebuild.said.String(); rebuild.process.ProcessState.Success() || !strings.Contains(said, "has been made already: name another one") {
		t.Errorf("a second rebuild of the same name: %v, %s; want it refused", rebuild.process.ProcessState, said)
	}
	c.post(p, 300) // the portal has gone on meanwhile
	c.probe(p)
	compare(t, "after the rebuild, the set before", c.answers(p), c.count(c.all()))
	p.stop()

	p.args = append(p.args, "--views", "second")
	p.up()
	c.probe(p)
	compare(t, "the rebuilt set", c.answers(p), c.count(c.all()))
	p.batch()
	compare(t, "the rebuilt set after a batch run", c.answers(p), c.count(c.all()))
}

// all are the ids of all calls.
func (c *calls) all() map[string]bool {
	ids := map[string]bool{}
	for id := range c.deeds {
		ids[id] = true
	}
	return ids
}

// TestRealRebuild loses HBase and Elasticsearch with all that is in them, while
// the collector goes on taking events.
func TestRealRebuild(t *testing.T) {
	needServers(t)
	c := newCluster(t)
	c.up()
	calls := newCalls(seed(t))
	calls.post(c.portal, 3000)
	calls.probe(c.portal)
	c.batch()
	calls.post(c.portal, 500) // now there is a model, and decisions
	calls.probe(c.portal)
	c.batch()
	c.finds("before")
	compare(t, "before, the answers", calls.answers(c.portal), calls.count(calls.all()))
	before := c.found()

	derived := []string{"speed", "index", "serve"}
	for _, name := range derived {
		c.layers[name].kill()
	}
	for _, k := range []native.Kind{native.HBase, native.Elastic} {
		s := c.servers[k]
		if err := s.Kill(); err != nil {
			t.Fatal(err)
		}
		if err := os.RemoveAll(s.Dir()); err != nil {
			t.Fatal(err)
		}
		if err := s.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	c.strangers(500)
	began := time.Now()
	p := &portal{T: t, args: slices.Concat([]string{"rebuild"}, c.sets)}
	p.start()
	c.strangers(300)
	<-p.gone
	if !p.process.ProcessState.Success() {
		t.Fatalf("rebuild: %s", tailOf(p.said.String()))
	}
	t.Logf("rebuilt in %.1f s: %s", time.Since(began).Seconds(), tailOf(p.said.String()))
	for _, name := range derived {
		c.layers[name].start()
	}
	for _, name := range derived {
		c.layers[name].awaits()
	}
	c.sees("after the rebuild")
	want := calls.count(calls.all())
	want.add(prober, "events", 1)
	want.add(prober, "page", 1)
	want.portal = nil // strangers count there, too
	compare(t, "after the rebuild, the answers", calls.answers(c.portal), want)
	c.finds("after the rebuild")
	c.sameDocuments(before, c.found())
}

// strangers are visitors of now who send while the stores are away.
func (c *cluster) strangers(n int) {
	c.Helper()
	for i := range n {
		if _, _, err := c.post(fmt.Sprintf(`{"batch":[{"type":"page","anonymousId":"stranger-%d"}]}`, i)); err != nil {
			c.Fatalf("a stranger's event while the stores are away: %v", err)
		}
	}
}

// found are all documents of the portal by kind and id, without what a generation
// or a model calls itself.
func (c *cluster) found() map[string]string {
	c.Helper()
	store, err := c.documents(c.Context())
	if err != nil {
		c.Fatal(err)
	}
	defer store.Close()
	found := map[string]string{}
	for _, kind := range []string{schemas.KindDecisions, schemas.KindVisitors, schemas.KindPanes} {
		indices, err := store.Indices(c.Context(), kind+"-")
		if err == nil {
			err = store.Refresh(c.Context(), indices...)
		}
		if err != nil {
			c.Fatal(err)
		}
		q := schemas.Query{Index: kind, Limit: 1000}
		for {
			hits, err := store.Search(c.Context(), q)
			if err != nil {
				c.Fatal(err)
			}
			for _, d := range hits.Documents {
				var fields map[string]any
				if err := json.Unmarshal(d.Body, &fields); err != nil {
					c.Fatal(err)
				}
				if kind != schemas.KindDecisions {
					if fields["state"] == schemas.StateLive {
						continue // of epochs: batch has replaced them
					}
					for _, name := range []string{"generation", "segment", "distance", "model"} {
						delete(fields, name)
					}
				}
				body, err := json.Marshal(fields)
				if err != nil {
					c.Fatal(err)
				}
				found[kind+" "+d.ID] = string(body)
			}
			if q.After = hits.Next; hits.Next == "" {
				break
			}
		}
	}
	return found
}

// sameDocuments expects every document of before again, as it was: strangers have
// come since, and they came in other minutes.
func (c *cluster) sameDocuments(before, after map[string]string) {
	c.Helper()
	counts, wrong := map[string]int{}, 0
	for id, body := range before {
		kind, _, _ := strings.Cut(id, " ")
		counts[kind]++
		got, ok := after[id]
		if ok && got == body {
			continue
		}
		if wrong++; wrong > 3 {
			continue
		}
		if !ok {
			c.Errorf("after the rebuild there is no document %s", id)
		} else {
			c.Errorf("after the rebuild %s is %s, before it was %s", id, got, body)
		}
	}
	c.Logf("documents before: %v, of which %d are others now; after: %d", counts, wrong, len(after))
	for _, kind := range []string{schemas.KindDecisions, schemas.KindVisitors, schemas.KindPanes} {
		if counts[kind] == 0 {
			c.Errorf("before the rebuild there were no documents of %s: that shows too little", kind)
		}
	}
}
