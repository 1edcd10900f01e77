package serving

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"fernweh/layer"
	"fernweh/schemas"
)

// Log says where the event topic ends. It may be called from any goroutine.
type Log interface {
	// Ends are the offsets that the next records will get, by partition.
	Ends(ctx context.Context) ([]int64, error)
}

const (
	lookEvery  = 200 * time.Millisecond // a switch of generation is seen within
	hurryEvery = 5 * time.Millisecond   // while somebody waits for speed
	endsEvery  = time.Second            // the log is asked where it ends
	lookLimit  = 2 * time.Second        // for one look at the store
	readyFor   = 3 * time.Second        // without a look that succeeded
)

// A snapshot is what the last look found; it is never changed, only replaced,
// so that generation and model always belong together.
type snapshot struct {
	Horizon
	model    *segments // nil: none is published, or it cannot be read
	modelErr error     // why it cannot be read

	modelSince time.Time // when that was first seen
}

// A watcher looks what is published and how far speed is. Requests take what it
// saw last, so that none of them decodes a model.
type watcher struct {
	views      Views
	log        Log // may be nil
	partitions int32
	now        func() time.Time

	began time.Time // of this process

	seen atomic.Pointer[snapshot]
	ends atomic.Pointer[[]int64]
	fail atomic.Pointer[error] // of the last look; nil: it succeeded

	hurry   chan struct{} // holds one word at most: somebody has begun to wait
	mu      sync.Mutex
	waiting map[*waiter]struct{} // guarded by mu
}

// A waiter waits until speed has come as far as it needs.
type waiter struct {
	after Offsets
	done  chan struct{} // closed by the watcher
}

// Run looks until ctx is done. A look that fails is no reason to stop: the store
// comes back, and until then readiness says that it is away.
func (w *watcher) Run(ctx context.Context) error {
	var asked time.Time
	for {
		if err := layer.Guard(func() error { w.look(ctx); return nil }); err != nil {
			w.fail.Store(&err)
		}
		if w.log != nil && w.now().Sub(asked) >= endsEvery {
			asked = w.now()
			w.lookAtLog(ctx)
		}
		pause := time.NewTimer(w.release())
		select {
		case <-ctx.Done():
			pause.Stop()
			return ctx.Err()
		case <-w.hurry:
			pause.Stop()
		case <-pause.C:
		}
	}
}

func (w *watcher) look(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, lookLimit)
	defer cancel()
	h, err := ReadHorizon(ctx, w.views, w.partitions, w.now())
	if err != nil {
		w.fail.Store(&err)
		return
	}
	w.fail.Store(nil)
	next := &snapshot{Horizon: h}
	g, _ := h.generation()
	before := w.seen.Load()
	if before != nil && before.modelErr == nil && before.modelID() == g.Model {
		next.model = before.model
	} else {
		next.model, next.modelErr = readModel(ctx, w.views, g.Model)
		next.modelSince = w.now()
		if before != nil && before.modelErr != nil && before.modelID() == g.Model {
			next.modelSince = before.modelSince
		}
	}
	w.seen.Store(next)
}

// modelID is the model that the generation names, whether it can be read or not.
func (s *snapshot) modelID() string {
	g, _ := s.generation()
	return g.Model
}

func (w *watcher) lookAtLog(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, lookLimit)
	defer cancel()
	ends, err := w.log.Ends(ctx)
	if err != nil || len(ends) != int(w.partitions) {
		w.ends.Store(nil) // an unknown lag is shown as such
		return
	}
	w.ends.Store(&ends)
}

// release wakes those whose wait is over and says how long to pause.
func (w *watcher) release() time.Duration {
	w.mu.Lock()
	defer w.mu.Unlock()
	s := w.seen.Load()
	for waiter := range w.waiting {
		if s != nil && s.reached(waiter.after) {
			close(waiter.done)
			delete(w.waiting, waiter)
		}
	}
	if len(w.waiting) > 0 {
		return hurryEvery
	}
	return lookEvery
}

// reached says whether everything below the offsets is within the horizon.
func (h Horizon) reached(after Offsets) bool {
	for _, o := range after {
		if h.Through(o.Partition) < o.Offset {
			return false
		}
	}
	return true
}

// await waits for speed until the deadline and says whether it came so far.
func (w *watcher) await(ctx context.Context, after Offsets, deadline time.Duration) bool {
	if s := w.seen.Load(); len(after) == 0 || s != nil && s.reached(after) {
		return true
	}
	ctx, cancel := context.WithTimeout(ctx, deadline)
	defer cancel()
	me := &waiter{after, make(chan struct{})}
	w.mu.Lock()
	w.waiting[me] = struct{}{}
	w.mu.Unlock()
	select {
	case w.hurry <- struct{}{}:
	default: // the word is out already
	}
	select {
	case <-me.done:
		return true
	case <-ctx.Done():
		w.mu.Lock()
		defer w.mu.Unlock()
		delete(w.waiting, me)
		return false
	}
}

// horizon is the last one seen, or a fresh one if the watcher has fallen behind.
func (w *watcher) horizon(ctx context.Context) (Horizon, error) {
	if s := w.seen.Load(); s != nil && w.now().Sub(s.Read) < readyFor {
		return s.Horizon, nil
	}
	return ReadHorizon(ctx, w.views, w.partitions, w.now())
}

// ready says why nothing can be answered, or nil.
func (w *watcher) ready() error {
	s, failure := w.seen.Load(), w.fail.Load()
	switch {
	case s != nil && w.now().Sub(s.Read) < readyFor:
		return nil
	case failure != nil:
		return *failure
	case s == nil:
		return errNotReady
	}
	return errBlind
}

// blindSince is when a look succeeded last.
func (w *watcher) blindSince() time.Time {
	if s := w.seen.Load(); s != nil {
		return s.Read
	}
	return w.began
}

// lag is how many records of a partition are not within the horizon; ok is false
// when the log does not say.
func (w *watcher) lag(h Horizon, partition int32) (records int64, ok bool) {
	ends := w.ends.Load()
	if ends == nil {
		return 0, false
	}
	return max(0, (*ends)[partition]-h.Through(partition)), true
}

// current is the segment model in force; nil where there is none.
func (w *watcher) current() *segments {
	if s := w.seen.Load(); s != nil {
		return s.model
	}
	return nil
}

// readModel reads the model that a generation names.
func readModel(ctx context.Context, views Views, id string) (*segments, error) {
	if id == "" {
		return nil, nil
	}
	rows, err := views.Get(ctx, schemas.ModelKey(id))
	if err != nil {
		return nil, fmt.Errorf("read model %s: %w", id, err)
	}
	artefact, ok := rows[0].Cell(schemas.ColumnValue)
	if !ok {
		return nil, fmt.Errorf("read model %s: it is published but not there", id)
	}
	return decodeSegments(id, artefact.Value)
}
