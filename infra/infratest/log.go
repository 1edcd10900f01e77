package infratest

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"fernweh/schemas"
)

// An Open begins with a partition: where to start, and who handles its records.
type Open = func(ctx context.Context, partition int32) (start int64,
	handle func(ctx context.Context, records []schemas.Record) error, err error)

// EventLog is the event topic, written and read.
type EventLog interface {
	// Append writes events to the partitions of their devices, and says where.
	Append(ctx context.Context, events []*schemas.Event) (offsets []int64, err error)
	// AppendCut writes the cut of a run into every partition.
	AppendCut(ctx context.Context, run int64) error
	// Ends is the offset of the next record by partition.
	Ends(ctx context.Context) ([]int64, error)
	// Consume reads as a member of a group, batches of at most MaxLogBatch
	// records, until ctx is done or the log is not what it should be.
	Consume(ctx context.Context, group string, open Open) error
	// Committed is what a group has committed, by partition; negative: nothing.
	Committed(ctx context.Context, group string) ([]int64, error)
	// Close ends the writing; the reading ends with its ctx.
	Close() error
}

// MaxLogBatch is the size of batch that the suite expects of Consume.
const MaxLogBatch = 100

// Log runs the suite on the logs that open gives. They may share one topic of at
// least two partitions, empty or not; nobody else may write to it meanwhile.
func Log(t *testing.T, open func(t *testing.T) EventLog) {
	tests := []struct {
		name string
		run  func(s logSuite, t *testing.T)
	}{
		{"events come back where they were said to be", logSuite.roundTrip},
		{"a cut lies in every partition", logSuite.cuts},
		{"many appenders keep each device's order", logSuite.appenders},
		{"a reader begins at its own position", logSuite.ownPosition},
		{"members share the partitions and miss nothing", logSuite.members},
		{"an offset that is not there stops the reader", logSuite.outOfRange},
		{"a partition that fails begins again, and the others go on", logSuite.partitionFails},
		{"a partition that goes back reads all of it again", logSuite.partitionGoesBack},
		{"what is committed is never beyond what is durable", logSuite.committed},
		{"a call whose time is over fails", logSuite.deadline},
		{"devices have any name, and events any size that fits", logSuite.shapes},
		{"a batch larger than a request keeps its order", logSuite.largeBatch},
		{"what is too large is refused, and nothing behind it", logSuite.tooLarge},
		{"the oldest record that is kept is a start too", logSuite.oldest},
		{"nothing to read is no error", logSuite.nothing},
		{"two groups read the same", logSuite.groups},
		{"a repeated cut is there twice", logSuite.repeatedCut},
		{"a closed log says so", logSuite.closed},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			log := open(t)
			ends, err := log.Ends(t.Context())
			if err != nil || len(ends) < 2 {
				t.Fatalf("ends: got %v, %v, want at least two partitions", ends, err)
			}
			test.run(logSuite{log, fmt.Sprintf("%016x", rand.Uint64()), ends}, t)
		})
	}
}

// A logSuite is one test's log, the mark on its devices and groups, and where
// the log ended when it began.
type logSuite struct {
	EventLog
	mark   string
	before []int64
}

// event is the n-th event of a device of this test.
func (s logSuite) event(device string, n int) *schemas.Event {
	return &schemas.Event{
		Id: fmt.Sprintf("%s-%s-%d", s.mark, device, n), Device: s.mark + device,
		Kind: schemas.Kind_KIND_PAGE, Name: "Wellnesshotel Müller", Time: 1717236000000000 + int64(n), Received: 1717236000500000,
	}
}

// events are n events, spread over devices.
func (s logSuite) events(n int) []*schemas.Event {
	events := make([]*schemas.Event, n)
	for i := range events {
		events[i] = s.event(fmt.Sprint("device-", i%7), i)
	}
	return events
}

// partition is where a device's events go.
func (s logSuite) partition(e *schemas.Event) int32 {
	return schemas.Partition(e.Device, int32(len(s.before)))
}

func (s logSuite) append(t *testing.T, events []*schemas.Event) []int64 {
	t.Helper()
	offsets, err := s.Append(t.Context(), events)
	if err != nil || len(offsets) != len(events) {
		t.Fatalf("append %d events: got %d offsets, %v", len(events), len(offsets), err)
	}
	return offsets
}

// A seen collects what readers handled, by partition.
type seen struct {
	mu      sync.Mutex
	records map[int32][]schemas.Record // guarded by mu
	enough  func(map[int32][]schemas.Record) bool
	done    context.CancelFunc
}

// take notes a batch and ends the reading when there is enough.
func (s *seen) take(partition int32, records []schemas.Record) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.records[partition] = append(s.records[partition], records...)
	if s.enough(s.records) {
		s.done()
	}
}

// patience bounds how long the suite waits for a log to come along.
const patience = time.Minute

// read consumes from the starts given until there is enough.
func (s logSuite) read(
	t *testing.T, group string, starts []int64, enough func(map[int32][]schemas.Record) bool,
) map[int32][]schemas.Record {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	got := &seen{records: map[int32][]schemas.Record{}, enough: enough, done: cancel}
	err := s.Consume(ctx, s.mark+group, func(_ context.Context, partition int32) (int64,
		func(context.Context, []schemas.Record) error, error) {
		return starts[partition], func(_ context.Context, records []schemas.Record) error {
			if len(records) == 0 || len(records) > MaxLogBatch {
				t.Errorf("got a batch of %d records, want 1 to %d", len(records), MaxLogBatch)
			}
			got.take(partition, records)
			return nil
		}, nil
	})
	if !errors.Is(err, context.Canceled) {
		t.Fatalf("consume: got %v, want to end when told to", err)
	}
	return got.records
}

// total says whether that many records of the test's range have come.
func total(n int) func(map[int32][]schemas.Record) bool {
	return func(records map[int32][]schemas.Record) bool {
		got := 0
		for _, rs := range records {
			got += len(rs)
		}
		return got >= n
	}
}

// gapless expects the offsets from start on, one after the other.
func gapless(t *testing.T, records map[int32][]schemas.Record, starts []int64) {
	t.Helper()
	for partition, rs := range records {
		for i, r := range rs {
			if want := starts[partition] + int64(i); r.Offset != want || r.Partition != partition {
				t.Fatalf("partition %d: got partition %d offset %d, want offset %d", partition, r.Partition, r.Offset, want)
			}
		}
	}
}

func (s logSuite) roundTrip(t *testing.T) {
	events := s.events(250)
	offsets := s.append(t, events)
	records := s.read(t, "", s.before, total(len(events)))
	gapless(t, records, s.before)
	for i, e := range events {
		p := s.partition(e)
		got := records[p][offsets[i]-s.before[p]]
		if got.Event == nil || got.Cut != 0 || got.Event.String() != e.String() {
			t.Fatalf("event %d at %d:%d: got %v, want %v", i, p, offsets[i], got.Event, e)
		}
		if at := time.UnixMicro(got.At); time.Since(at).Abs() > time.Hour {
			t.Errorf("event %d was appended at %v, want a time of now", i, at)
		}
	}
	if offsets, err := s.Append(t.Context(), nil); err != nil || len(offsets) != 0 {
		t.Errorf("append nothing: got %v, %v", offsets, err)
	}
}

func (s logSuite) cuts(t *testing.T) {
	s.append(t, s.events(20))
	run := rand.Int64N(1<<50) + 1
	if err := s.AppendCut(t.Context(), run); err != nil {
		t.Fatalf("append cut: %v", err)
	}
	after := s.events(20)
	s.append(t, after)
	records := s.read(t, "", s.before, total(40+len(s.before)))
	gapless(t, records, s.before)
	for partition := range s.before {
		cuts, events := 0, 0
		for _, r := range records[int32(partition)] {
			switch {
			case r.Cut == run && r.Event == nil:
				cuts++
			case r.Cut != 0 || r.Event == nil:
				t.Errorf("partition %d: got cut %d and event %v, want cut %d or an event", partition, r.Cut, r.Event, run)
			default:
				events++
			}
		}
		if cuts != 1 {
			t.Errorf("partition %d: got %d cuts among %d events, want 1", partition, cuts, events)
		}
	}
}

func (s logSuite) appenders(t *testing.T) {
	const appenders, each = 8, 30
	g, ctx := errgroup.WithContext(t.Context())
	for a := range appenders {
		g.Go(func() error {
			last := int64(-1)
			for n := range each {
				offsets, err := s.Append(ctx, []*schemas.Event{s.event(fmt.Sprint("visitor-", a), n)})
				if err != nil {
					return err
				}
				if offsets[0] <= last {
					return fmt.Errorf("event %d of visitor %d is at %d, behind the one before at %d", n, a, offsets[0], last)
				}
				last = offsets[0]
			}
			return nil
		})
	}
	if err := g.Wait(); err != nil {
		t.Fatal(err)
	}
	next := map[string]int64{}
	for _, rs := range s.read(t, "", s.before, total(appenders*each)) {
		for _, r := range rs {
			if want := 1717236000000000 + next[r.Event.Device]; r.Event.Time != want {
				t.Fatalf("device %s: got event of %d, want of %d", r.Event.Device, r.Event.Time, want)
			}
			next[r.Event.Device]++
		}
	}
}

func (s logSuite) ownPosition(t *testing.T) {
	s.append(t, s.events(60))
	count := total(60)
	gapless(t, s.read(t, "", s.before, count), s.before)
	// The group has committed the end; the reader asks for less, then for more.
	gapless(t, s.read(t, "", s.before, count), s.before)
	ends, err := s.Ends(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	middle, left := make([]int64, len(ends)), 0
	for p := range ends {
		middle[p] = (s.before[p] + ends[p]) / 2
		left += int(ends[p] - middle[p])
	}
	gapless(t, s.read(t, "fresh", middle, total(left)), middle)
	more := s.events(14)
	s.append(t, more)
	gapless(t, s.read(t, "", ends, total(len(more))), ends)
}

// members lets one member read, then two, then the other alone. Each goes on
// from where the partition's last owner was, as readers of a store do.
func (s logSuite) members(t *testing.T) {
	shared := &positions{next: append([]int64(nil), s.before...), seen: map[string]int{}, owner: map[int32]int{}}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	first, firstLeaves := context.WithCancel(ctx)
	second, secondLeaves := context.WithCancel(ctx)
	defer firstLeaves()
	defer secondLeaves()
	g, gctx := errgroup.WithContext(ctx)
	join := func(member int, ctx context.Context) {
		g.Go(func() error {
			err := s.Consume(ctx, s.mark, shared.open(member))
			if errors.Is(err, context.Canceled) {
				return nil
			}
			return err
		})
	}
	step := func(what string, n int, reached func() bool) {
		t.Helper()
		s.append(t, s.events(n))
		shared.wait(gctx, reached)
		if gctx.Err() != nil {
			t.Fatalf("%s: not reached: %v", what, errors.Join(gctx.Err(), g.Wait()))
		}
	}
	join(1, first)
	step("one member has all", 50, func() bool { return shared.owners() == "1" && len(shared.seen) == 50 })
	join(2, second)
	shared.wait(gctx, func() bool { return shared.owners() == "12" })
	s.mark += "+" // events of other devices
	step("two members share", 50, func() bool { return len(shared.seen) == 100 })
	firstLeaves()
	s.mark += "+"
	step("the other has all", 50, func() bool { return shared.owners() == "2" && len(shared.seen) == 150 })
	secondLeaves()
	if err := g.Wait(); err != nil {
		t.Errorf("a member failed: %v", err)
	}
}

// positions are how far each partition was read, by whoever owned it.
type positions struct {
	mu    sync.Mutex
	next  []int64        // guarded by mu
	seen  map[string]int // guarded by mu: event ids, how often
	owner map[int32]int  // guarded by mu: the member that opened it last
}

func (p *positions) open(member int) Open {
	return func(_ context.Context, partition int32) (int64, func(context.Context, []schemas.Record) error, error) {
		p.mu.Lock()
		defer p.mu.Unlock()
		p.owner[partition] = member
		return p.next[partition], func(ctx context.Context, records []schemas.Record) error {
			p.mu.Lock()
			defer p.mu.Unlock()
			if ctx.Err() != nil {
				return ctx.Err() // the partition is another's
			}
			for _, r := range records {
				p.next[partition] = max(p.next[partition], r.Offset+1)
				if r.Event != nil {
					p.seen[r.Event.Id]++
				}
			}
			return nil
		}, nil
	}
}

// owners names the members that have a partition. The caller holds mu.
func (p *positions) owners() string {
	var has [3]bool
	for _, member := range p.owner {
		has[member] = true
	}
	var names strings.Builder
	for member, ok := range has {
		if ok {
			fmt.Fprint(&names, member)
		}
	}
	return names.String()
}

// wait asks again and again until reached or ctx is done.
func (p *positions) wait(ctx context.Context, reached func() bool) {
	for ctx.Err() == nil {
		p.mu.Lock()
		ok := reached()
		p.mu.Unlock()
		if ok {
			return
		}
		select {
		case <-time.After(5 * time.Millisecond):
		case <-ctx.Done():
		}
	}
}

func (s logSuite) outOfRange(t *testing.T) {
	s.append(t, s.events(10))
	ends, err := s.Ends(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, start := range []int64{-1, ends[0] + 1, ends[0] + 1000} {
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		err := s.Consume(ctx, s.mark, func(_ context.Context, partition int32) (int64,
			func(context.Context, []schemas.Record) error, error) {
			if partition == 0 {
				return start, nil, nil
			}
			return ends[partition], func(context.Context, []schemas.Record) error { return nil }, nil
		})
		cancel()
		if !errors.Is(err, schemas.ErrOutOfRange) {
			t.Fatalf("start at %d of a log from 0 to %d: got %v, want %v", start, ends[0], err, schemas.ErrOutOfRange)
		}
		for _, want := range []string{".events", "partition 0", fmt.Sprint(start)} {
			if !strings.Contains(err.Error(), want) {
				t.Errorf("start at %d: got %q, want %q in it", start, err, want)
			}
		}
	}
}

func (s logSuite) deadline(t *testing.T) {
	ctx, cancel := context.WithDeadline(t.Context(), time.Unix(0, 0))
	defer cancel()
	_, appended := s.Append(ctx, s.events(1))
	_, ends := s.Ends(ctx)
	for call, err := range map[string]error{
		"append": appended, "cut": s.AppendCut(ctx, 1), "ends": ends,
		"consume": s.Consume(ctx, s.mark, func(context.Context, int32) (int64,
			func(context.Context, []schemas.Record) error, error) {
			return 0, nil, errors.New("opened a partition")
		}),
	} {
		if !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("%s: got %v, want %v", call, err, context.DeadlineExceeded)
		}
	}
}

// shapes writes what no portal of one country would.
func (s logSuite) shapes(t *testing.T) {
	events := []*schemas.Event{
		s.event("Jürgen Müller", 0), s.event("北京", 1), s.event("👩‍👩‍👧", 2), s.event("a\x00b\n", 3), s.event(" ", 4),
		s.event(strings.Repeat("ü", 110), 5), s.event("u:kunde@example.org", 6), s.event("../../x", 7),
	}
	for i, size := range []int{0, 1, 1_000, 100_000, schemas.MaxProperties} {
		e := s.event("large", 8+i)
		e.Properties = strings.Repeat("ß", size/2)
		events = append(events, e)
	}
	offsets := s.append(t, events)
	records := s.read(t, "", s.before, total(len(events)))
	gapless(t, records, s.before)
	for i, e := range events {
		p := s.partition(e)
		if got := records[p][offsets[i]-s.before[p]].Event; got.String() != e.String() {
			t.Errorf("event %d of device %.20q at %d:%d: got one of device %.20q, %d bytes", i, e.Device, p, offsets[i],
				got.GetDevice(), len(got.GetProperties()))
		}
	}
}

// largeBatch appends more at once than goes into a request.
func (s logSuite) largeBatch(t *testing.T) {
	events := s.events(300)
	for _, e := range events {
		e.Properties = strings.Repeat("x", 20_000)
	}
	offsets := s.append(t, events)
	last := map[string]int64{}
	for i, e := range events {
		if before, ok := last[e.Device]; ok && offsets[i] <= before {
			t.Fatalf("event %d of %s is at %d, the one before at %d", i, e.Device, offsets[i], before)
		}
		last[e.Device] = offsets[i]
	}
	gapless(t, s.read(t, "", s.before, total(len(events))), s.before)
}

func (s logSuite) tooLarge(t *testing.T) {
	giant := s.event("giant", 0)
	giant.Properties = strings.Repeat("x", 3_000_000)
	if offsets, err := s.Append(t.Context(), []*schemas.Event{giant}); err == nil {
		t.Fatalf("an event of 3 MB: got offsets %v and no error", offsets)
	}
	s.append(t, s.events(5))
	for partition, rs := range s.read(t, "", s.before, total(5)) {
		for _, r := range rs {
			if r.Event == nil || r.Event.Device == giant.Device {
				t.Errorf("partition %d offset %d: got %.100v, want only what was acknowledged", partition, r.Offset, r.Event)
			}
		}
	}
}

// oldest begins where the log does, which it asks of the log.
func (s logSuite) oldest(t *testing.T) {
	s.append(t, s.events(10))
	ends, err := s.Ends(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	starts, reached := make([]int64, len(ends)), func(records map[int32][]schemas.Record) bool {
		for partition, end := range ends {
			rs := records[int32(partition)]
			if end > 0 && (len(rs) == 0 || rs[len(rs)-1].Offset < end-1) {
				return false
			}
		}
		return true
	}
	for partition := range starts {
		starts[partition] = schemas.Oldest
	}
	first := make([]int64, len(ends)) // nothing is old enough to have been dropped
	gapless(t, s.read(t, "", starts, reached), first)
}

// nothing reads a log that has no more, and is told to stop once it is open.
func (s logSuite) nothing(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	opened := make(chan struct{}, len(s.before))
	ended := make(chan error, 1)
	go func() {
		ended <- s.Consume(ctx, s.mark, func(_ context.Context, partition int32) (int64,
			func(context.Context, []schemas.Record) error, error) {
			opened <- struct{}{}
			return s.before[partition], func(_ context.Context, records []schemas.Record) error {
				return fmt.Errorf("got %d records of an empty range", len(records))
			}, nil
		})
	}()
	for range s.before {
		select {
		case <-opened:
		case err := <-ended:
			t.Fatalf("consume ended with %v, want it to wait", err)
		}
	}
	cancel()
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want to end when told to", err)
	}
}

func (s logSuite) groups(t *testing.T) {
	s.append(t, s.events(40))
	one := s.read(t, "one", s.before, total(40))
	other := s.read(t, "other", s.before, total(40))
	for partition := range s.before {
		a, b := one[int32(partition)], other[int32(partition)]
		if len(a) != len(b) {
			t.Fatalf("partition %d: one group got %d records, the other %d", partition, len(a), len(b))
		}
		for i := range a {
			if a[i].Offset != b[i].Offset || a[i].At != b[i].At || a[i].Event.GetId() != b[i].Event.GetId() {
				t.Errorf("partition %d: one group got %v, the other %v", partition, a[i], b[i])
			}
		}
	}
}

// repeatedCut writes a cut as a run does that got no answer: what it means is
// the reader's to say.
func (s logSuite) repeatedCut(t *testing.T) {
	run := rand.Int64N(1<<50) + 1
	for range 2 {
		if err := s.AppendCut(t.Context(), run); err != nil {
			t.Fatal(err)
		}
	}
	for partition, rs := range s.read(t, "", s.before, total(2*len(s.before))) {
		if len(rs) != 2 || rs[0].Cut != run || rs[1].Cut != run {
			t.Errorf("partition %d: got %v, want the cut %d twice", partition, rs, run)
		}
	}
}

func (s logSuite) closed(t *testing.T) {
	s.append(t, s.events(3))
	if err := s.Close(); err != nil {
		t.Fatalf("close: %v", err)
	}
	if _, err := s.Append(t.Context(), s.events(1)); err == nil {
		t.Error("append to a closed log: got no error")
	}
	if err := s.AppendCut(t.Context(), 1); err == nil {
		t.Error("append a cut to a closed log: got no error")
	}
	if err := s.Close(); err != nil {
		t.Errorf("close it again: %v", err)
	}
	gapless(t, s.read(t, "", s.before, total(3)), s.before)
}
