package infratest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"

	"fernweh/schemas"
)

// A store is what readers of a log keep: how far each partition is durable, and
// what was seen of it, in the order of the log. One partition of it is in trouble
// until it is told.
type store struct {
	mu      sync.Mutex
	ill     int32
	trouble func(attempt int, where string) error // guarded by mu; nil: none any more
	attempt int                                   // guarded by mu: how often the ill one was opened
	next    []int64                               // guarded by mu
	records map[int32][]schemas.Record            // guarded by mu
	opens   map[int32]int                         // guarded by mu
	changed chan struct{}                         // holds a word when something has happened
}

func newStore(starts []int64, ill int32, trouble func(attempt int, where string) error) *store {
	return &store{
		ill: ill, trouble: trouble, next: slices.Clone(starts),
		records: map[int32][]schemas.Record{}, opens: map[int32]int{}, changed: make(chan struct{}, 1),
	}
}

// fails asks the trouble, which may panic, outside of the lock.
func (s *store) fails(partition int32, where string) error {
	s.mu.Lock()
	trouble, attempt := s.trouble, s.attempt
	s.mu.Unlock()
	if partition != s.ill || trouble == nil {
		return nil
	}
	return trouble(attempt, where)
}

// open is what readers do: they begin at the stored position, and store it with
// what they did.
func (s *store) open(_ context.Context, partition int32) (int64, func(context.Context, []schemas.Record) error, error) {
	s.mu.Lock()
	s.opens[partition]++
	if partition == s.ill {
		s.attempt++
	}
	next := s.next[partition]
	s.mu.Unlock()
	s.changes()
	if err := s.fails(partition, "open"); err != nil {
		return 0, nil, err
	}
	broken := false
	return next, func(ctx context.Context, records []schemas.Record) error {
		if broken {
			return errors.New("a handler that has failed was called again")
		}
		if err := s.fails(partition, "handle"); err != nil {
			broken = true
			return err
		}
		return s.take(ctx, partition, records)
	}, nil
}

func (s *store) take(ctx context.Context, partition int32, records []schemas.Record) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if records[0].Offset != s.next[partition] {
		return fmt.Errorf("partition %d: offset %d comes where %d should", partition, records[0].Offset, s.next[partition])
	}
	s.next[partition] += int64(len(records))
	s.records[partition] = append(s.records[partition], records...)
	s.changes()
	return nil
}

// changes says that something has happened.
func (s *store) changes() {
	select {
	case s.changed <- struct{}{}:
	default: // the word is out already
	}
}

// reaches waits until the store says so.
func (s *store) reaches(ctx context.Context, t *testing.T, what string, ok func() bool) {
	t.Helper()
	for {
		s.mu.Lock()
		there := ok()
		s.mu.Unlock()
		if there {
			return
		}
		select {
		case <-s.changed:
		case <-ctx.Done():
			t.Fatalf("%s: not reached", what)
		}
	}
}

// mend ends the trouble.
func (s *store) mend() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.trouble = nil
}

// run consumes until the test's part is over, and expects no end but that.
func (s logSuite) run(t *testing.T, group string, open Open, part func(ctx context.Context)) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	ended := make(chan error, 1)
	go func() { ended <- s.Consume(ctx, group, open) }()
	part(ctx)
	cancel()
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Errorf("consume: got %v, want it to go on until it is told to end", err)
	}
}

// partitionFails lets one partition fail in every way while the others read on:
// they are neither read again nor wait.
func (s logSuite) partitionFails(t *testing.T) {
	e := s.event("mueller", 1)
	ill := s.partition(e)
	troubles := map[string]func(attempt int, where string) error{
		"open": func(_ int, where string) error {
			if where == "open" {
				return errors.New("the store is away")
			}
			return nil
		},
		"handle": func(_ int, where string) error {
			if where == "handle" {
				return errors.New("the store is away")
			}
			return nil
		},
		"a panic": func(attempt int, where string) error {
			if where == "handle" || attempt%2 == 0 {
				panic("assignment to entry in nil map")
			}
			return nil
		},
	}
	for name, trouble := range troubles {
		t.Run(name, func(t *testing.T) {
			starts, err := s.Ends(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			store := newStore(starts, ill, trouble)
			s.run(t, s.mark+name, store.open, func(ctx context.Context) {
				for round := range 3 {
					s.append(t, []*schemas.Event{e})
					s.append(t, s.events(60))
					ends, err := s.Ends(ctx)
					if err != nil {
						t.Fatal(err)
					}
					store.reaches(ctx, t, fmt.Sprint("the others are at the end of round ", round), func() bool {
						for p, end := range ends {
							if int32(p) != ill && store.next[p] < end {
								return false
							}
						}
						return true
					})
				}
				store.mu.Lock()
				if store.next[ill] != starts[ill] {
					t.Errorf("the one that fails is at %d, want %d", store.next[ill], starts[ill])
				}
				store.mu.Unlock()
				ends, err := s.Ends(ctx)
				if err != nil {
					t.Fatal(err)
				}
				store.mend()
				store.reaches(ctx, t, "the one that failed has caught up", func() bool { return store.next[ill] == ends[ill] })
			})
			for p, n := range store.opens {
				if p != ill && n != 1 || p == ill && n < 2 {
					t.Errorf("partition %d was opened %d times; one (%d) was in trouble", p, n, ill)
				}
			}
			gapless(t, store.records, starts)
		})
	}
}

// partitionGoesBack is of a reader whose position lies further back than what it
// was given last, as that of one who writes large files.
func (s logSuite) partitionGoesBack(t *testing.T) {
	const each = 5 * MaxLogBatch
	device := s.mark + "mueller"
	var events []*schemas.Event
	for n := range each {
		e := s.event("mueller", n)
		e.Device = device
		events = append(events, e)
	}
	offsets := s.append(t, events)
	ill := s.partition(events[0])
	done := make(chan []int64, 1) // offsets that the last reader had seen
	opens := 0
	open := func(_ context.Context, partition int32) (int64, func(context.Context, []schemas.Record) error, error) {
		if partition != ill {
			return s.before[partition], func(context.Context, []schemas.Record) error { return nil }, nil
		}
		opens++
		attempt := opens
		var seen []int64 // in memory only, like rows of a file that is not written yet
		return s.before[ill], func(_ context.Context, records []schemas.Record) error {
			for _, r := range records {
				seen = append(seen, r.Offset)
			}
			if attempt < 4 && len(seen) > attempt*MaxLogBatch {
				return errors.New("the disk is full")
			}
			if len(seen) >= each {
				select {
				case done <- seen:
				default:
				}
			}
			return nil
		}, nil
	}
	s.run(t, s.mark, open, func(ctx context.Context) {
		select {
		case seen := <-done:
			if !slices.Equal(seen[:each], offsets) {
				t.Errorf("the reader that did it saw offsets from %d to %d, want each from %d to %d once",
					seen[0], seen[len(seen)-1], offsets[0], offsets[each-1])
			}
		case <-ctx.Done():
			t.Fatal("the partition never came to its end")
		}
	})
}

// committed looks at what the group has committed when its reader, which had
// handled more, had to go back.
func (s logSuite) committed(t *testing.T) {
	s.append(t, s.events(40))
	ends, err := s.Ends(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	all := newStore(s.before, -1, nil)
	s.run(t, s.mark, all.open, func(ctx context.Context) {
		all.reaches(ctx, t, "all is handled", func() bool { return slices.Equal(all.next, ends) })
	})
	ill := s.partition(s.event("device-0", 0))
	store := newStore(s.before, ill, func(_ int, where string) error {
		if where == "handle" {
			return errors.New("the store is away")
		}
		return nil
	})
	s.run(t, s.mark, store.open, func(ctx context.Context) {
		store.reaches(ctx, t, "the others have handled all", func() bool {
			for p, end := range ends {
				if int32(p) != ill && store.next[p] < end {
					return false
				}
			}
			return store.attempt > 1
		})
	})
	got, err := s.Committed(t.Context(), s.mark)
	if err != nil {
		t.Fatal(err)
	}
	for p, offset := range got {
		if offset > store.next[p] {
			t.Errorf("partition %d: the group has committed %d, and durable is what lies below %d", p, offset, store.next[p])
		}
	}
}
