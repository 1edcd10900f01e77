package main_test

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"net/http"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"fernweh/batch/archive"
	"fernweh/infra/embedded"
	"fernweh/infra/native"
	"fernweh/schemas"

	"github.com/apache/arrow/go/v15/arrow"
)

var outage = flag.Duration("outage", 15*time.Second, "how long TestRealOutages takes Kafka away; the others 15 s")

// A queue sends events of one device one after the other, and again what was
// refused: what a website behind it sees.
type queue struct {
	device         string
	sent           int // acknowledged: the events 0 to sent-1
	spooled        int // of them: without a place in the log yet
	refused        int // answers 429
	retryAfter     string
	longest        time.Duration // between two acknowledgements
	unexpected     error
	lastAcceptance time.Time
}

// keepSending sends until ctx is done.
func (q *queue) keepSending(ctx context.Context, c *cluster) {
	padding := strings.Repeat("x", 3000)
	q.lastAcceptance = time.Now()
	for ctx.Err() == nil {
		_, h, err := send("POST", "http://"+c.doors[0]+"/v1/batch", fmt.Appendf(nil,
			`{"batch":[{"type":"page","messageId":"%s-%06d","anonymousId":"%s","properties":{"n":%d,"padding":"%s"}}]}`,
			q.device, q.sent, q.device, q.sent, padding), demo)
		switch {
		case err == nil:
			q.longest = max(q.longest, time.Since(q.lastAcceptance))
			q.lastAcceptance = time.Now()
			q.sent++
			if h.Get("Fernweh-After") == "" {
				q.spooled++
			}
			time.Sleep(5 * time.Millisecond) // as fast as it can, it would take the cores that a start needs
		case statusOf(err) == http.StatusTooManyRequests:
			q.refused++
			q.retryAfter = h.Get("Retry-After")
			time.Sleep(50 * time.Millisecond)
		default:
			q.unexpected = err
			return
		}
	}
}

// away keeps senders at work while a server is down for the outage, calls
// meanwhile shortly before it comes back, and returns the queues when the server
// is back.
func (c *cluster) away(k native.Kind, outage time.Duration, meanwhile func()) []*queue {
	c.Helper()
	ctx, cancel := context.WithCancel(c.Context())
	defer cancel()
	queues := make([]*queue, 4)
	var sending sync.WaitGroup
	for i := range queues {
		queues[i] = &queue{device: fmt.Sprintf("away-%s-%d", k, i)}
		sending.Go(func() { queues[i].keepSending(ctx, c) })
	}
	if err := c.servers[k].Kill(); err != nil {
		c.Fatal(err)
	}
	time.Sleep(outage)
	meanwhile()
	if err := c.servers[k].Start(c.Context()); err != nil {
		c.Fatal(err)
	}
	began := time.Now()
	c.sees(string(k) + " is back")
	c.Logf("%s was away for %v; an event was in the answers %.1f s after it served again", k, outage, time.Since(began).Seconds())
	cancel()
	sending.Wait()
	for _, q := range queues {
		c.Logf("%s: %d acknowledged, %d of them spooled, %d times 429 (Retry-After %q), at most %.1f s without an acknowledgement",
			q.device, q.sent, q.spooled, q.refused, q.retryAfter, q.longest.Seconds())
		if q.unexpected != nil || q.sent == 0 {
			c.Errorf("%s sent %d events, then: %v", q.device, q.sent, q.unexpected)
		}
	}
	return queues
}

// TestRealOutages takes each server away under traffic.
func TestRealOutages(t *testing.T) {
	needServers(t)
	c := newCluster(t)
	c.layers["ingest"].args = append(c.layers["ingest"].args, "--ingest-spool-size", "4MiB")
	c.up()
	c.sees("the first start")
	var all []*queue
	const short = 15 * time.Second

	queues := c.away(native.Kafka, *outage, func() {})
	for _, q := range queues {
		if q.spooled == 0 || q.refused == 0 || q.retryAfter == "" {
			t.Errorf("while Kafka was away %s had %d events spooled and %d refused (Retry-After %q), want the spool first, then 429",
				q.device, q.spooled, q.refused, q.retryAfter)
		}
	}
	all = append(all, queues...)

	queues = c.away(native.HBase, short, func() {
		if _, err := c.ask("GET", "/v1/visitors/nobody-has-cached-this", nil); statusOf(err) == http.StatusOK {
			t.Error("while HBase is away an answer pretends to know")
		}
	})
	for _, q := range queues {
		if q.spooled+q.refused > 0 {
			t.Errorf("while HBase was away %s had %d events spooled and %d refused: ingest does not need it", q.device, q.spooled, q.refused)
		}
	}
	all = append(all, queues...)

	c.batch()
	queues = c.away(native.Elastic, short, func() {
		c.sees("while Elasticsearch is away")
	})
	all = append(all, queues...)
	c.finds("after Elasticsearch was away")

	for _, q := range all {
		v := read[person](c.portal, "/v1/visitors/"+q.device)
		if v.Totals.Events != int64(q.sent) {
			t.Errorf("the answer knows %d events of %s, want %d", v.Totals.Events, q.device, q.sent)
		}
	}
	run := c.batch()
	c.layers["archive"].stop()
	c.inOrder(run, all)
}

// inOrder expects the events of each queue in the archive, each once, in the
// order in which they were sent.
func (c *cluster) inOrder(run int64, queues []*queue) {
	c.Helper()
	files, err := embedded.OpenSharedFiles(filepath.Join(c.dir, "archive"))
	if err != nil {
		c.Fatal(err)
	}
	m, err := archive.ReadManifest(c.Context(), files, run)
	if err != nil {
		c.Fatal(err)
	}
	next := map[string]int{}
	for _, partition := range m.Partitions {
		for _, f := range partition {
			var reader schemas.RowReader
			err := archive.Scan(c.Context(), files, f, schemas.AllColumns(), func(batch arrow.Record) error {
				if err := reader.Bind(batch); err != nil {
					return err
				}
				for i := range int(batch.NumRows()) {
					var r schemas.Record
					if err := reader.Read(i, &r); err != nil {
						return err
					}
					if r.Event == nil { // a cut
						continue
					}
					device := r.Event.Device
					number, ok := strings.CutPrefix(r.Event.Id, device+"-")
					if !ok || !strings.HasPrefix(device, "away-") {
						continue
					}
					n, err := strconv.Atoi(number)
					if err != nil {
						return err
					}
					if want := next[device]; n > want {
						return fmt.Errorf("event %d of %s follows where %d should", n, device, want)
					} else if n == want {
						next[device]++
					} // else it came twice, as an event whose answer was lost may
				}
				return nil
			})
			if err != nil {
				c.Fatal(errors.Join(fmt.Errorf("read %s", f.Name), err))
			}
		}
	}
	for _, q := range queues {
		if got := next[q.device]; got < q.sent {
			c.Errorf("the archive has %d events of %s in order, want %d", got, q.device, q.sent)
		}
	}
}
