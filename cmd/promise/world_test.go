package promise_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"time"

	"fernweh/batch"
	"fernweh/batch/archive"
	"fernweh/cmd/promise/generate"
	"fernweh/cmd/promise/judge"
	"fernweh/cmd/promise/oracle"
	"fernweh/model/visitor"
	"fernweh/schemas"
)

// A world is a portal in miniature whose every misfortune is drawn from one
// seed: a log of two partitions, two owners and two archivers for each that die,
// freeze and wake at any call of a store, batch runs that fail or are rolled
// back, and readers that look at any moment.
//
// Only one goroutine moves at a time: an owner that is frozen waits inside a
// call of the store until the world lets it go on, so that a seed tells the
// same story every time.
type world struct {
	rand    *rand.Rand
	law     sabotage
	now     time.Time
	log     [partitions][]schemas.Record
	truth   [partitions]*truth
	witness [partitions]*witness
	judged  judged
	limits  visitor.Limits
	gen     *generate.Events
	open    func() (views, error) // an empty set of views
	views   views
	files   shelf
	owners  [partitions][2]*owner
	keeper  [partitions][2]*archive.Writer
	layer   *batch.Layer
	drawn   int64 // greatest run number drawn
	story   []string
	nested  int
	changed bool    // the views may have changed since they were checked
	frozen  *frozen // a reader; nil: none is

	inForce int64                      // greatest number of a record of campaigns
	actions map[string][]byte          // that were appended, by id
	passed  [partitions]map[int64]bool // offsets that no owner has decided for certain
}

const partitions = 2

func newWorld(seed uint64, law sabotage, open func() (views, error)) (*world, error) {
	views, err := open()
	if err != nil {
		return nil, err
	}
	w := &world{
		rand: rand.New(rand.NewPCG(seed, 1)), law: law, open: open, views: views, files: shelf{law: law, names: map[string][]byte{}},
		now: time.UnixMicro(1_700_000_000_000_000), judged: judged{}, actions: map[string][]byte{},
	}
	w.gen = generate.New(w.rand)
	documented := oracle.Documented
	if seed%4 != 0 { // a portal with limits that a short history goes over
		documented, w.limits = judge.Small, judge.Limits(judge.Small)
	}
	for p := range w.truth {
		w.truth[p], w.witness[p] = newTruth(w.limits), newWitness(documented)
		w.passed[p] = map[int64]bool{}
	}
	w.layer = &batch.Layer{
		Settings: batch.Settings{
			Partitions: partitions, Segments: 2, Restarts: 1, Workers: 1 + w.rand.IntN(3), Memory: []int64{30_000, 1 << 30, 1 << 30}[w.rand.IntN(3)], Sample: 100, ArchiveRows: 40,
			Patience: time.Minute, Grace: time.Minute, Holder: "the world", Limits: w.limits, Set: ours,
		},
		Now:  func() time.Time { return w.now },
		Wait: func(ctx context.Context, _ time.Duration) bool { return ctx.Err() == nil }, // the world has its own clock
	}
	return w, nil
}

func (w *world) close() {
	for p := range w.owners {
		for _, o := range w.owners[p] {
			o.kill()
		}
	}
	w.views.Close()
}

func (w *world) tell(format string, args ...any) {
	w.story = append(w.story, fmt.Sprintf(format, args...))
}

func (w *world) chance(oneIn int) bool { return w.rand.IntN(oneIn) == 0 }

// step lets one thing happen.
func (w *world) step(ctx context.Context) error {
	w.now = w.now.Add(time.Duration(w.rand.IntN(40)) * time.Second)
	switch n := w.rand.IntN(20); {
	case n < 6:
		w.visit()
	case n < 7:
		w.strayCut()
		if w.chance(3) {
			w.campaign()
		}
	case n < 13:
		return w.speed(ctx)
	case n < 16:
		return w.archive(ctx)
	case n < 17 && w.nested == 0:
		return w.run(ctx)
	case n < 18 && w.chance(3):
		return w.rollback(ctx)
	case n < 19 && w.nested == 0 && w.chance(5):
		return w.rebuild(ctx)
	}
	return nil
}

// append puts a record at the end of a partition's log: acknowledged.
func (w *world) append(p int, r schemas.Record) {
	r.Partition, r.Offset, r.At = int32(p), int64(len(w.log[p])), w.now.UnixMicro()
	w.log[p] = append(w.log[p], r)
	w.truth[p].fold(r)
	w.witness[p].hear(r)
}

// visit appends a few events: of few devices, so that they meet; some late, some
// sent again, some of a login, some without consent, now and then an erasure.
func (w *world) visit() {
	for range 1 + w.rand.IntN(4) {
		e := w.gen.Next()
		p := int(schemas.Partition(e.Device, partitions))
		r := schemas.Record{Event: e}
		if w.chance(25) {
			r.Event = nil // bytes that no reader can read
		}
		w.tell("append %d:%d %.9s %.9s %s user=%.9q %s", p, len(w.log[p]), e.Id, e.Device, e.Kind, e.User, time.UnixMicro(e.Time).UTC().Format("15:04:05"))
		w.append(p, r)
	}
}

// strayCut is a cut record that comes late or again, in one partition.
func (w *world) strayCut() {
	if w.drawn == 0 {
		return
	}
	p, run := w.rand.IntN(partitions), 1+w.rand.Int64N(w.drawn)
	w.tell("append %d:%d stray cut %d", p, len(w.log[p]), run)
	w.append(p, schemas.Record{Cut: run})
}

// live lets a world of a seed live, and says what was wrong first.
func live(ctx context.Context, seed uint64, law sabotage, open func() (views, error)) (w *world, err error) {
	w, err = newWorld(seed, law, open)
	if err != nil {
		return nil, err
	}
	defer w.close()
	for range 40 + w.rand.IntN(120) {
		if err := w.step(ctx); err != nil {
			return w, err
		}
		if !w.changed {
			continue // the answers are those of the step before
		}
		w.changed = false
		if err := w.check(ctx); err != nil {
			return w, err
		}
	}
	return w, w.drain(ctx)
}
