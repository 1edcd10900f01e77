package ingest_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"sync"
	"testing"

	"pgregory.net/rapid"

	"fernweh/ingest"
	"fernweh/ingest/spool"
	"fernweh/model/visitor"
	"fernweh/schemas"
)

var errDiskFull = errors.New("no space left on device")

// filter is what the filter of the log's readers lets through: the ids of events
// that are not among the last visitor.Remembered accepted of their device.
func filter(events []*schemas.Event) (ids []string) {
	known := map[string][]string{}
	for _, e := range events {
		k := known[e.Device]
		if slices.Contains(k[max(0, len(k)-visitor.Remembered):], e.Id) {
			continue
		}
		known[e.Device] = append(k, e.Id)
		ids = append(ids, e.Id)
	}
	return ids
}

// A world is a collector that crashes, between a log and a disk that fail, and a
// client that sends one request after the other and repeats what was refused.
type world struct {
	kafka   *kafka
	disk    *disk
	config  ingest.Config
	door    *ingest.Collector
	sent    map[string]int      // events by device
	acked   map[string][]string // ids by device
	refused []string            // the request to repeat
	device  string              // that it is of
}

func (w *world) open(t *rapid.T) {
	var err error
	if w.door, err = ingest.New(w.config, w.kafka, w.kafka); err != nil {
		t.Fatal(err)
	}
}

// post sends events of one device, or the refused ones again.
func (w *world) post(t *rapid.T) {
	ids := w.refused
	if ids == nil {
		w.device = rapid.SampledFrom([]string{"a", "b", "c", "d", "e"}).Draw(t, "device")
		for range rapid.SampledFrom([]int{1, 2, 5, ingest.MaxOfDevice}).Draw(t, "events") {
			ids = append(ids, fmt.Sprint(w.device, w.sent[w.device]))
			w.sent[w.device]++
		}
	}
	var calls []string
	for _, id := range ids {
		calls = append(calls, page(w.device, id))
	}
	if rapid.Bool().Draw(t, "one that is no event") {
		calls = append(calls, `{}`)
	}
	a := post(t, w.door, calls...)
	switch {
	case a.status == 429:
		w.refused = ids
	default:
		w.refused = nil
		w.acked[w.device] = append(w.acked[w.device], ids...)
	}
}

// drain works until the log fails, or crashes after an append: before the spool
// has heard of it.
func (w *world) drain(t *rapid.T) {
	steps := rapid.IntRange(1, 3).Draw(t, "steps")
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	fail := w.kafka.fail
	w.kafka.fail = func(n int) (int, error) {
		if steps--; steps == 0 || fail != nil || len(w.kafka.leaderless) > 0 || w.kafka.noLetters != nil {
			cancel()
		}
		if fail != nil {
			return fail(n)
		}
		return n, nil
	}
	defer func() { w.kafka.fail = fail }()
	for drained := true; drained; {
		var err error
		if drained, err = ingest.Step(w.door, ctx); err != nil {
			if !errors.Is(err, context.Canceled) {
				t.Fatal(err)
			}
			w.crash(t)
			return
		}
	}
}

func (w *world) crash(t *rapid.T) {
	w.door.Close()
	w.disk.crash(t, rapid.Uint64().Draw(t, "torn"))
	w.open(t)
}

// TestAcknowledgedEventsReachTheLog: under random outages, unknown outcomes,
// full disks, partitions without leader, refused letters and crashes each acknowledged event comes out of the filter once, in
// the order of its device.
func TestAcknowledgedEventsReachTheLog(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		w := &world{kafka: &kafka{leaderless: map[int32]bool{}}, disk: &disk{durable: map[string]int64{}}, config: config(t),
			sent: map[string]int{}, acked: map[string][]string{}}
		w.config.Spool.Create, w.config.Spool.SegmentBytes = w.disk.create, 2000
		w.open(rt)
		defer func() { w.door.Close() }()
		rt.Repeat(map[string]func(*rapid.T){
			"post": w.post,
			"log": func(rt *rapid.T) {
				w.kafka.fail = rapid.SampledFrom([]func(int) (int, error){nil, away,
					func(n int) (int, error) { return n / 2, errAway },
					func(n int) (int, error) { return n, errAway }}).Draw(rt, "state")
			},
			"leader": func(rt *rapid.T) {
				p := rapid.Int32Range(0, partitions-1).Draw(rt, "partition")
				if w.kafka.leaderless[p] = !w.kafka.leaderless[p]; !w.kafka.leaderless[p] {
					delete(w.kafka.leaderless, p)
				}
			},
			"letters": func(rt *rapid.T) {
				w.kafka.noLetters = nil
				if rapid.Bool().Draw(rt, "refused") {
					w.kafka.noLetters = errAway
				}
			},
			"disk":  func(rt *rapid.T) { w.disk.full = rapid.Bool().Draw(rt, "full") },
			"drain": w.drain,
			"crash": w.crash,
		})
		w.kafka.fail, w.disk.full, w.kafka.noLetters = nil, false, nil
		clear(w.kafka.leaderless)
		for drained := true; drained; {
			var err error
			if drained, err = ingest.Step(w.door, rt.Context()); err != nil {
				rt.Fatal(err)
			}
		}
		if w.refused != nil {
			w.post(rt)
		}
		w.check(rt)
	})
}

func (w *world) check(t *rapid.T) {
	got := map[string][]string{}
	for _, id := range filter(w.kafka.events) {
		got[id[:1]] = append(got[id[:1]], id)
	}
	for device, ids := range w.acked {
		if !slices.Equal(got[device], ids) {
			t.Fatalf("device %s\n got %v\nwant %v", device, got[device], ids)
		}
	}
}

// A disk fails when it is full, in the middle of a write, and knows how much of a
// file an fsync has made durable.
type disk struct {
	mu      sync.Mutex
	full    bool             // guarded by mu
	durable map[string]int64 // guarded by mu
}

func (d *disk) create(path string) (spool.File, error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY|os.O_APPEND, 0o600)
	d.made(path, 0)
	return &diskFile{File: f, disk: d}, err
}

// set changes whether a disk in use is full.
func (d *disk) set(full bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.full = full
}

func (d *disk) isFull() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.full
}

// made notes how much of a file is durable.
func (d *disk) made(path string, durable int64) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.durable[path] = durable
}

// crash leaves of every file what was durable and a random part of the rest.
func (d *disk) crash(t rapid.TB, seed uint64) {
	random := rand.New(rand.NewPCG(seed, 1))
	for path, durable := range d.durable {
		info, err := os.Stat(path)
		if err != nil {
			continue // drained and removed
		}
		if err := os.Truncate(path, durable+random.Int64N(info.Size()-durable+1)); err != nil {
			t.Fatal(err)
		}
	}
	clear(d.durable)
}

type diskFile struct {
	*os.File
	disk *disk
}

func (f *diskFile) Write(p []byte) (int, error) {
	if f.disk.isFull() {
		n, _ := f.File.Write(p[:len(p)/2])
		return n, errDiskFull
	}
	return f.File.Write(p)
}

func (f *diskFile) Sync() error {
	if f.disk.isFull() {
		return errDiskFull
	}
	info, err := f.Stat()
	if err != nil {
		return err
	}
	f.disk.made(f.Name(), info.Size())
	return nil
}
