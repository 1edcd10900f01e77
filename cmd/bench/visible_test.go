package bench_test

import (
	"context"
	"encoding/json"
	"fmt"
	"iter"
	"net/http"
	"sync"
	"testing"
	"time"

	"fernweh/infra/kafka"
	"fernweh/ingest/client"
	"fernweh/schemas"
	"fernweh/serving"

	"golang.org/x/sync/errgroup"
)

const (
	loadTime  = 30 * time.Second
	loadRate  = 2000 // events a second, those of the probes not counted
	loadBatch = 20   // events in a request
	probeRate = 20   // a second of each kind
	pollEvery = 5 * time.Millisecond
)

// BenchmarkVisible sends events at a constant rate, whatever the answers, through
// collector, speed and serving in this process, and measures from the sending of
// an event to the first answer of GET /v1/visitors/{id} that holds it: asked
// again and again, and asked once with what the collector answered as "after".
func BenchmarkVisible(b *testing.B) {
	for b.Loop() {
		d := openDoors(b)
		polled, waited := new(delays), new(delays)
		d.run(b, polled, waited)
		for name, q := range map[string]float64{"p50": .5, "p99": .99} {
			b.ReportMetric(quantile(polled.of, q), name+"-poll-ms")
			b.ReportMetric(quantile(waited.of, q), name+"-after-ms")
		}
	}
}

// doors are where the stack takes events and gives answers.
type doors struct {
	collect, serve string
	http           *http.Client
}

func openDoors(b *testing.B) *doors {
	b.Helper()
	s := openBench(b)
	views := openViews(b)
	publish(b, views)
	during(b, s.speed(views, speedDelay).Run)
	tail := kafka.NewTail(s.kafka, schemas.TopicEvents)
	b.Cleanup(func() { closing(b, tail.Close) })
	server, err := serving.New(serving.Config{Views: views, Partitions: partitions, Log: tail})
	if err != nil {
		b.Fatal(err)
	}
	during(b, server.Run)
	d := &doors{s.collector(b), served(b, server.Handler()),
		&http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 64}}}
	b.Cleanup(d.http.CloseIdleConnections)
	return d
}

// delays are measured by many goroutines.
type delays struct {
	mu sync.Mutex
	of []time.Duration // guarded by mu
}

func (d *delays) add(x time.Duration) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.of = append(d.of, x)
}

// run loads the stack and probes it.
func (d *doors) run(b *testing.B, polled, waited *delays) {
	b.Helper()
	// The first event waits for the partitions to be claimed, which is no delay of
	// an event under way.
	if _, err := d.poll(b.Context(), probe(-1)); err != nil {
		b.Fatal(err)
	}
	g, ctx := errgroup.WithContext(b.Context())
	const requestsEach = time.Second * loadBatch / loadRate
	next, stop := iter.Pull(chunks(travellers(b, int(loadRate*loadTime/time.Second)), loadBatch))
	defer stop()
	g.Go(func() error {
		return paced(ctx, requestsEach, func(int) error {
			es, _ := next()
			body, err := request(es)
			if err != nil {
				return err
			}
			g.Go(func() error {
				_, err := post(d.http, d.collect+"/v1/batch", body)
				return err
			})
			return nil
		})
	})
	for kind, ask := range map[string]func(context.Context, client.Event) (time.Duration, error){
		"poll": d.poll, "wait": d.wait,
	} {
		into := map[string]*delays{"poll": polled, "wait": waited}[kind]
		g.Go(func() error {
			return paced(ctx, time.Second/probeRate, func(i int) error {
				e := probe(i)
				e.Device = kind + e.Device
				e.Id = kind + e.Id
				g.Go(func() error {
					took, err := ask(ctx, e)
					into.add(took)
					return err
				})
				return nil
			})
		})
	}
	if err := g.Wait(); err != nil {
		b.Fatal(err)
	}
}

// paced does something at fixed moments for as long as the load lasts, those
// missed at once.
func paced(ctx context.Context, every time.Duration, do func(i int) error) error {
	start := time.Now()
	for i := range int(loadTime / every) {
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-time.After(time.Until(start.Add(time.Duration(i) * every))):
		}
		if err := do(i); err != nil {
			return err
		}
	}
	return nil
}

// probe is the only event of its device.
func probe(i int) client.Event {
	return client.Event{Event: &schemas.Event{
		Id: fmt.Sprint("probe-id-", i), Device: fmt.Sprint("probe-", i), Kind: schemas.Kind_KIND_PAGE, Name: "probe",
		Time: time.Now().UnixMicro(), Context: &schemas.Context{Path: "/probe"},
	}}
}

// poll asks until the answer holds the event.
func (d *doors) poll(ctx context.Context, e client.Event) (time.Duration, error) {
	return d.visible(ctx, e, func(string) string { return "" })
}

// wait asks with the collector's word on where the event is.
func (d *doors) wait(ctx context.Context, e client.Event) (time.Duration, error) {
	return d.visible(ctx, e, func(after string) string { return "?deadline=5s&after=" + after })
}

// visible sends an event and asks for its device until it is there.
func (d *doors) visible(ctx context.Context, e client.Event, query func(after string) string) (time.Duration, error) {
	body, err := request([]client.Event{e})
	if err != nil {
		return 0, err
	}
	start := time.Now()
	after, err := post(d.http, d.collect+"/v1/batch", body)
	if err != nil {
		return 0, err
	}
	url := d.serve + "/v1/visitors/" + e.Device + query(after)
	for {
		seen, err := d.seen(ctx, url)
		if err != nil || seen {
			return time.Since(start), err
		}
		select {
		case <-ctx.Done():
			return 0, context.Cause(ctx)
		case <-time.After(pollEvery):
		}
	}
}

// seen says whether a visitor is known; a probe's device has one event only.
func (d *doors) seen(ctx context.Context, url string) (bool, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return false, err
	}
	resp, err := d.http.Do(req)
	if err != nil {
		return false, err
	}
	defer resp.Body.Close()
	switch resp.StatusCode {
	case http.StatusNotFound:
		return false, nil
	case http.StatusOK:
		var v serving.Visitor
		if err := json.NewDecoder(resp.Body).Decode(&v); err != nil {
			return false, fmt.Errorf("read %s: %w", url, err)
		}
		return len(v.Units) == 1, nil
	}
	return false, fmt.Errorf("GET %s: %s", url, resp.Status)
}
