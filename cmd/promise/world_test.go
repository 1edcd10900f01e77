package promise_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	"fernweh/batch"
	"fernweh/batch/archive"
	"fernweh/infra/embedded"
	"fernweh/model/kpi"
	"fernweh/model/visitor"
	"fernweh/schemas"
	"fernweh/serving"
	"fernweh/speed"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/prometheus/client_golang/prometheus"
	"google.golang.org/protobuf/proto"
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
	rand   *rand.Rand
	law    sabotage
	now    time.Time
	log    [partitions][]schemas.Record
	truth  [partitions]*truth
	views  *embedded.Views
	files  shelf
	owners [partitions][2]*owner
	keeper [partitions][2]*archive.Writer
	layer  *batch.Layer
	drawn  int64 // greatest run number drawn
	events []*schemas.Event
	story  []string
	nested int
}

const partitions = 2

// sabotage breaks one law on purpose.
type sabotage string

const (
	lawful           sabotage = ""
	forgetFilter     sabotage = "law 1: the filter begins anew at a cut"
	halfHistory      sabotage = "law 2: differences of the history since the cut only"
	shiftedCut       sabotage = "law 3: speed takes a cut where the log has none"
	everyCutCounts   sabotage = "law 3: an overtaken cut counts in one partition"
	lastWriteWins    sabotage = "law 4: the store keeps the last write"
	decideTwice      sabotage = "law 4: what was decided is not kept"
	overwriteFiles   sabotage = "law 5: an archive file is written over"
	skipOnFailure    sabotage = "law 6: a failing store skips events"
	erasureIsADelete sabotage = "law 6: an erasure removes the cells and is forgotten"
)

func newWorld(seed uint64, law sabotage) (*world, error) {
	views, err := embedded.OpenViewsIn(vfs.NewMem(), "views")
	if err != nil {
		return nil, err
	}
	w := &world{
		rand: rand.New(rand.NewPCG(seed, 1)), law: law, views: views, files: shelf{law: law, names: map[string][]byte{}},
		now: time.UnixMicro(1_700_000_000_000_000),
	}
	for p := range w.truth {
		w.truth[p] = newTruth()
	}
	w.layer = &batch.Layer{
		Settings: batch.Settings{
			Partitions: partitions, Segments: 2, Restarts: 1, Workers: 1, Memory: 1 << 30, Sample: 100, ArchiveRows: 20,
			Patience: time.Minute, Grace: time.Minute, Holder: "the world",
		},
		Now: func() time.Time { return w.now },
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
	case n < 13:
		return w.speed(ctx)
	case n < 16:
		return w.archive(ctx)
	case n < 17 && w.nested == 0:
		return w.run(ctx)
	case n < 18 && w.chance(3):
		return w.rollback(ctx)
	}
	return nil
}

// append puts a record at the end of a partition's log: acknowledged.
func (w *world) append(p int, r schemas.Record) {
	r.Partition, r.Offset, r.At = int32(p), int64(len(w.log[p])), w.now.UnixMicro()
	w.log[p] = append(w.log[p], r)
	w.truth[p].fold(r)
}

// visit appends a few events: of few devices, so that they meet; some late, some
// sent again, some of a login, some without consent, now and then an erasure.
func (w *world) visit() {
	for range 1 + w.rand.IntN(4) {
		e := w.event()
		p := int(schemas.Partition(e.Device, partitions))
		r := schemas.Record{Event: e}
		if w.chance(25) {
			r.Event = nil // bytes that no reader can read
		}
		w.tell("append %d:%d %s %s %s user=%q %s", p, len(w.log[p]), e.Id, e.Device, e.Kind, e.User, time.UnixMicro(e.Time).UTC().Format("15:04:05"))
		w.append(p, r)
	}
}

func (w *world) event() *schemas.Event {
	if len(w.events) > 0 && w.chance(6) {
		return w.events[w.rand.IntN(len(w.events))] // sent again, now or much later
	}
	minutes := w.rand.IntN(200)
	e := &schemas.Event{
		Id: fmt.Sprintf("m%d", len(w.events)), Device: fmt.Sprintf("d%d", w.rand.IntN(5)),
		User:           []string{"", "", "", "", "ann", "bob"}[w.rand.IntN(6)],
		Kind:           schemas.Kind(1 + w.rand.IntN(14)),
		Time:           1_699_990_000_000_000 + int64(minutes)*60_000_000 + int64(w.rand.IntN(60_000_000)),
		Received:       w.now.UnixMicro() - int64(w.rand.IntN(60_000_000)),
		AssumedConsent: !w.chance(8),
	}
	switch e.Kind {
	case schemas.Kind_KIND_CONSENT:
		e.Choice = schemas.Choice(1 + w.rand.IntN(2))
	case schemas.Kind_KIND_IDENTIFY:
		e.User = []string{"ann", "bob"}[w.rand.IntN(2)]
	case schemas.Kind_KIND_SEARCH:
		e.Search = &schemas.Search{Destination: []string{"Sylt", "Wien"}[w.rand.IntN(2)], Adults: 2}
	case schemas.Kind_KIND_OFFER_VIEW:
		e.Offer = &schemas.Offer{Id: fmt.Sprint("h", w.rand.IntN(3)), Destination: "Sylt", Styles: []schemas.Style{schemas.Style_STYLE_QUIET}}
	case schemas.Kind_KIND_BOOKING, schemas.Kind_KIND_CANCELLATION:
		e.Order = &schemas.Order{Id: "o", Amount: int64(w.rand.IntN(100_000)), Currency: "EUR"}
	case schemas.Kind_KIND_CUSTOM:
		if w.chance(3) {
			e.Kind = schemas.Kind_KIND_ERASURE
			e.Erasure = &schemas.Erasure{Login: []string{"", "ann", "bob"}[w.rand.IntN(3)]}
		}
	}
	w.events = append(w.events, e)
	return e
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

// An owner is one process that owns a partition, or believes to.
type owner struct {
	partition *speed.Partition
	gate      *gate
	done      chan error // of the call that is in work; nil: none is
}

// A gate stands before the store of an owner. It lets the world decide at every
// call what becomes of it.
type gate struct {
	*world
	arrived chan struct{} // the owner waits in a call
	verdict chan fate
}

// fate is what happens to a call of the store.
type fate struct {
	cells int // written before err; -1: all
	err   error
	stop  bool // freeze after cells, before the rest
}

var errFault = errors.New("the store failed")
var errKilled = errors.New("killed")

func (g *gate) ask() fate {
	g.arrived <- struct{}{}
	return <-g.verdict
}

func (g *gate) Get(ctx context.Context, keys ...schemas.Key) ([]schemas.Row, error) {
	if f := g.ask(); f.err != nil {
		return nil, f.err
	}
	rows, err := g.views.Get(ctx, keys...)
	for i := range rows {
		g.spoil(&rows[i])
	}
	return rows, err
}

// spoil breaks laws 1 and 2 in what speed reads of visitors.
func (g *gate) spoil(row *schemas.Row) {
	if row.Table != schemas.TableVisitors || g.law != forgetFilter && g.law != halfHistory {
		return
	}
	for i := range row.Cells {
		var c visitor.Cell
		if c.UnmarshalBinary(row.Cells[i].Value) != nil {
			continue
		}
		if g.law == forgetFilter {
			c.Filter = visitor.Filter{}
		} else if strings.HasPrefix(row.Cells[i].Column, "b:") {
			c.Units = nil
		}
		row.Cells[i].Value, _ = c.AppendBinary(nil)
	}
}

// Put writes row by row, each atomically, as far as fate lets it.
func (g *gate) Put(ctx context.Context, cells ...schemas.Cell) error {
	f := g.ask()
	for len(cells) > 0 {
		n := 1
		for n < len(cells) && cells[n].Key == cells[0].Key {
			n++
		}
		if f.cells == 0 {
			if f.stop {
				f = g.ask()
				continue
			}
			return f.err
		}
		f.cells--
		if err := g.put(ctx, cells[:n]); err != nil {
			return err
		}
		cells = cells[n:]
	}
	if f.stop {
		f = g.ask()
	}
	return f.err
}

func (w *world) put(ctx context.Context, cells []schemas.Cell) error {
	for i := range cells {
		if err := w.spoilWrite(ctx, &cells[i]); err != nil {
			return err
		}
	}
	return w.views.Put(ctx, cells...)
}

// spoilWrite breaks law 4 in what speed writes.
func (w *world) spoilWrite(ctx context.Context, c *schemas.Cell) error {
	switch {
	case w.law == lastWriteWins:
		rows, err := w.views.Get(ctx, c.Key)
		if err != nil {
			return err
		}
		if old, ok := rows[0].Cell(c.Column); ok {
			c.Stamp = max(c.Stamp, old.Stamp)
		}
	case w.law == decideTwice && c.Table == schemas.TableVisitors && strings.HasPrefix(c.Column, "s:"):
		var cell visitor.Cell
		if err := cell.UnmarshalBinary(c.Value); err != nil {
			return err
		}
		for i := range cell.Decided {
			cell.Decided[i].Panes = nil
		}
		c.Value, _ = cell.AppendBinary(nil)
	case w.law == erasureIsADelete && c.Table == schemas.TableVisitors && strings.HasPrefix(c.Column, "s:"):
		var cell visitor.Cell
		if err := cell.UnmarshalBinary(c.Value); err != nil {
			return err
		}
		cell.Forgot = visitor.Forgotten{}
		c.Value, _ = cell.AppendBinary(nil)
	}
	return nil
}

// AppendDecisions takes decisions; there are none without a model.
func (g *gate) AppendDecisions(context.Context, []*schemas.Decision) error { return nil }

// begin lets the owner work in a goroutine until its first call of the store.
func (o *owner) begin(work func() error) {
	o.done = make(chan error, 1)
	go func() { o.done <- work() }()
}

// wait waits until the owner is in a call of the store, or done.
func (o *owner) wait() (done bool, err error) {
	select {
	case <-o.gate.arrived:
		return false, nil
	case err := <-o.done:
		o.done = nil
		return true, err
	}
}

// kill ends an owner, wherever it is.
func (o *owner) kill() {
	for o != nil && o.done != nil {
		o.gate.verdict <- fate{err: errKilled}
		if done, _ := o.wait(); done {
			return
		}
	}
}

// speed lets one of the owners of a partition go on: open, take some records,
// or wake. How far it comes is drawn.
func (w *world) speed(ctx context.Context) error {
	p, slot := w.rand.IntN(partitions), w.rand.IntN(2)
	o := w.owners[p][slot]
	if o != nil && w.chance(10) {
		w.tell("kill owner %d/%d", p, slot)
		o.kill()
		w.owners[p][slot] = nil
		return nil
	}
	if o == nil {
		o = &owner{gate: &gate{world: w, arrived: make(chan struct{}), verdict: make(chan fate)}}
		w.owners[p][slot] = o
	}
	return w.drive(ctx, p, slot, o, false)
}

// drive moves an owner on; with healthy nothing happens to it, and it works
// until it is done.
func (w *world) drive(ctx context.Context, p, slot int, o *owner, healthy bool) error {
	if o.done == nil {
		if !w.assign(ctx, p, slot, o) {
			return nil
		}
	} else {
		w.tell("owner %d/%d wakes", p, slot)
		o.gate.verdict <- w.fate(healthy)
	}
	for {
		done, err := o.wait()
		if done {
			return w.finished(p, slot, err)
		}
		if !healthy && w.chance(12) {
			w.tell("owner %d/%d freezes", p, slot)
			return nil
		}
		o.gate.verdict <- w.fate(healthy)
	}
}

// assign gives an owner its next piece of work; false if there is none.
func (w *world) assign(ctx context.Context, p, slot int, o *owner) bool {
	if o.partition == nil {
		w.tell("owner %d/%d opens", p, slot)
		o.begin(func() error {
			opened, err := speed.Open(ctx, speed.Stores{
				Views: o.gate, Decisions: o.gate, Model: func() *speed.Model { return nil }, MaxVisitors: 3,
				Now: func() time.Time { return w.now }, Metrics: speed.NewMetrics(prometheus.NewRegistry()),
			}, int32(p))
			o.partition = opened
			return err
		})
		return true
	}
	from := int(o.partition.Start())
	if from >= len(w.log[p]) {
		return false
	}
	to := min(len(w.log[p]), from+1+w.rand.IntN(12))
	records := w.seen(p, w.log[p][from:to])
	w.tell("owner %d/%d takes %d to %d", p, slot, from, to-1)
	o.begin(func() error { return o.partition.Handle(ctx, records) })
	return true
}

// seen is how speed sees records, with law 3 broken on purpose or not.
func (w *world) seen(p int, records []schemas.Record) []schemas.Record {
	records = slices.Clone(records)
	for i := range records {
		r := &records[i]
		switch {
		case w.law == shiftedCut && p == 1 && r.Cut > 0:
			r.Cut = 0
		case w.law == everyCutCounts && p == 1 && r.Cut > 0:
			r.Cut += 1000 * r.Offset
		}
	}
	return records
}

// fate draws what becomes of a call of the store.
func (w *world) fate(healthy bool) fate {
	switch n := w.rand.IntN(30); {
	case healthy || n > 3:
		return fate{cells: -1}
	case n == 0:
		return fate{err: errFault} // nothing written
	case n == 1:
		return fate{cells: -1, err: errFault} // all written, and it looks like a failure
	case n == 2:
		return fate{cells: w.rand.IntN(4), err: errFault}
	}
	return fate{cells: w.rand.IntN(4), stop: true}
}

// finished deals with what an owner's piece of work came to.
func (w *world) finished(p, slot int, err error) error {
	o := w.owners[p][slot]
	switch {
	case err == nil:
		return nil
	case errors.Is(err, errFault) || errors.Is(err, errKilled) || errors.Is(err, speed.ErrSuperseded):
		w.tell("owner %d/%d gives up: %v", p, slot, err)
		w.owners[p][slot] = nil
		if w.law == skipOnFailure && o.partition != nil {
			w.skip(p, o)
		}
		return nil
	}
	return fmt.Errorf("owner %d/%d: %w", p, slot, err)
}

// skip breaks law 6: the failed owner's successor goes on behind the failure.
func (w *world) skip(p int, o *owner) {
	cell := schemas.Cell{Key: schemas.KeyPosition(int32(p)), Column: schemas.ColumnValue, Stamp: o.partition.Start()}
	rows, _ := w.views.Get(context.Background(), cell.Key)
	old, _ := rows[0].Cell(schemas.ColumnValue)
	position, _ := schemas.DecodeJSON[schemas.Position](old.Value)
	position.Offset = cell.Stamp
	cell.Value = schemas.EncodeJSON(position)
	w.views.Put(context.Background(), cell)
}

// archive lets one of the archivers of a partition go on. One that holds records
// in memory and does nothing is frozen.
func (w *world) archive(ctx context.Context) error {
	p, slot := w.rand.IntN(partitions), w.rand.IntN(2)
	if w.chance(8) {
		w.tell("kill archiver %d/%d", p, slot)
		w.keeper[p][slot] = nil
		return nil
	}
	return w.keep(ctx, p, slot, 1+w.rand.IntN(12))
}

func (w *world) keep(ctx context.Context, p, slot, most int) error {
	a := w.keeper[p][slot]
	if a == nil {
		var err error
		if a, err = archive.NewWriter(ctx, &w.files, int32(p), w.layer.ArchiveRows); err != nil {
			return fmt.Errorf("open archiver: %w", err)
		}
		w.keeper[p][slot] = a
	}
	from := int(a.Start())
	to := min(len(w.log[p]), from+most)
	if from >= to {
		return nil
	}
	w.tell("archiver %d/%d takes %d to %d", p, slot, from, to-1)
	w.files.faulty = w.nested == 0 && w.chance(10)
	err := a.Handle(ctx, w.log[p][from:to])
	w.files.faulty = false
	if errors.Is(err, archive.ErrOvertaken) || errors.Is(err, errFault) {
		w.tell("archiver %d/%d gives up: %v", p, slot, err)
		w.keeper[p][slot] = nil
		return nil
	}
	return err
}

// run lets a batch run happen, whose every call of a store may fail, and during
// which the world goes on.
func (w *world) run(ctx context.Context) error {
	w.nested++
	defer func() { w.nested-- }()
	d := &desk{world: w, failIn: -1}
	if w.chance(3) {
		d.failIn = w.rand.IntN(25)
	}
	w.layer.Views, w.layer.Log, w.layer.Files = d, d, d
	record, err := w.layer.Run(ctx, nil)
	w.tell("run %d %s: %v", record.Number, record.State, err)
	var busy *batch.Busy
	switch {
	case d.broken != nil:
		return d.broken
	case err == nil, errors.Is(err, errFault), errors.Is(err, archive.ErrNoCut), errors.As(err, &busy):
		return nil
	}
	return err
}

// A desk is what a batch run works with.
type desk struct {
	*world
	failIn int   // calls until one fails; negative: none does
	broken error // what went wrong in the world meanwhile
}

func (d *desk) fail() error {
	if d.failIn--; d.failIn == -1 {
		return errFault
	}
	return nil
}

// meanwhile lets the world go on during a run.
func (d *desk) meanwhile(ctx context.Context) {
	ctx = context.WithoutCancel(ctx) // what begins now may outlive the run
	for range d.rand.IntN(3) {
		if err := d.step(ctx); err != nil && d.broken == nil {
			d.broken = err
		}
	}
}

func (d *desk) Get(ctx context.Context, keys ...schemas.Key) ([]schemas.Row, error) {
	if err := d.fail(); err != nil {
		return nil, err
	}
	return d.views.Get(ctx, keys...)
}

func (d *desk) Put(ctx context.Context, cells ...schemas.Cell) error {
	if err := d.fail(); err != nil {
		if half := len(cells) / 2; half > 0 {
			d.views.Put(ctx, cells[:half]...)
		}
		return err
	}
	d.meanwhile(ctx)
	return d.views.Put(ctx, cells...)
}

func (d *desk) CompareAndSet(ctx context.Context, key schemas.Key, column string, old, new []byte) (bool, error) {
	if key == schemas.KeyNextRun {
		d.drawn++
	}
	if key == schemas.KeyLease {
		return d.views.CompareAndSet(ctx, key, column, old, new)
	}
	err := d.fail()
	if err != nil && d.rand.IntN(2) == 0 {
		return false, err
	}
	done, failed := d.views.CompareAndSet(ctx, key, column, old, new)
	return done, errors.Join(err, failed) // it may have been done, and look like a failure
}

func (d *desk) Scan(ctx context.Context, table schemas.Table, from, to string, take func(schemas.Row) error) error {
	return d.views.Scan(ctx, table, from, to, take)
}

func (d *desk) Delete(ctx context.Context, cells ...schemas.Cell) error {
	if err := d.fail(); err != nil {
		return err
	}
	return d.views.Delete(ctx, cells...)
}

// AppendCut writes the cut into the partitions in any order, with events between,
// and may fail after some of them.
func (d *desk) AppendCut(ctx context.Context, run int64) error {
	for _, p := range d.rand.Perm(partitions) {
		if err := d.fail(); err != nil {
			return err
		}
		d.tell("append %d:%d cut %d", p, len(d.log[p]), run)
		d.append(p, schemas.Record{Cut: run})
		d.meanwhile(ctx)
	}
	return nil
}

func (d *desk) Announce(context.Context, string, []byte) error { return nil }

func (d *desk) Create(ctx context.Context, name string, write func(io.Writer) error) (bool, error) {
	return d.files.Create(ctx, name, write)
}

func (d *desk) Open(ctx context.Context, name string, read func(io.ReaderAt, int64) error) error {
	return d.files.Open(ctx, name, read)
}

// List brings the archive up to date first, so that a run need not wait.
func (d *desk) List(ctx context.Context, prefix string) ([]string, error) {
	for p := range d.log {
		for int(d.end(p)) < len(d.log[p]) {
			if err := d.keep(ctx, p, d.rand.IntN(2), len(d.log[p])); err != nil {
				d.broken = err
				return nil, err
			}
			if k := d.keeper[p]; k[0] != nil && int(k[0].Start()) == len(d.log[p]) || k[1] != nil && int(k[1].Start()) == len(d.log[p]) {
				break
			}
		}
	}
	return d.files.List(ctx, prefix)
}

// end is how far an archiver of the partition has read.
func (w *world) end(p int) int64 {
	var end int64
	for _, a := range w.keeper[p] {
		if a != nil {
			end = max(end, a.Start())
		}
	}
	return end
}

func (w *world) rollback(ctx context.Context) error {
	d := &desk{world: w, failIn: -1}
	w.layer.Views, w.layer.Log = d, d
	h, err := serving.ReadHorizon(ctx, w.views, partitions, w.now)
	if err != nil {
		return err
	}
	if len(h.Published.Kept) < 2 {
		return nil
	}
	to := h.Published.Kept[w.rand.IntN(len(h.Published.Kept))].Run
	w.tell("roll back to %d", to)
	return w.layer.Rollback(ctx, to)
}

// A shelf is an archive in memory.
type shelf struct {
	law    sabotage
	faulty bool
	names  map[string][]byte
}

// Create fails, if it is faulty, before or after the file is there.
func (s *shelf) Create(_ context.Context, name string, write func(io.Writer) error) (bool, error) {
	var b bytes.Buffer
	if err := write(&b); err != nil {
		return false, err
	}
	if _, taken := s.names[name]; taken && s.law != overwriteFiles {
		return false, nil
	}
	if s.faulty && b.Len()%2 == 0 {
		return false, errFault
	}
	s.names[name] = b.Bytes()
	if s.faulty {
		return false, errFault
	}
	return true, nil
}

func (s *shelf) Open(_ context.Context, name string, read func(io.ReaderAt, int64) error) error {
	b, ok := s.names[name]
	if !ok {
		return fmt.Errorf("open %s: %w", name, fs.ErrNotExist)
	}
	return read(bytes.NewReader(b), int64(len(b)))
}

func (s *shelf) List(_ context.Context, prefix string) ([]string, error) {
	var names []string
	for n := range s.names {
		if strings.HasPrefix(n, prefix) {
			names = append(names, n)
		}
	}
	slices.Sort(names)
	return names, nil
}

// truth is the fold of every prefix of one partition, by the plain definition.
type truth struct {
	cells    map[string]*visitor.Cell
	visitors map[string][]version[[]byte]
	panes    map[kpi.Pane][]version[kpi.Value]
}

// A version is a value from the fold of the events below an offset on.
type version[T any] struct {
	from  int64
	value T
}

// at is the version at a prefix; the zero value before the first.
func at[T any](vs []version[T], through int64) (v T) {
	for _, x := range vs {
		if x.from > through {
			break
		}
		v = x.value
	}
	return v
}

func newTruth() *truth {
	return &truth{map[string]*visitor.Cell{}, map[string][]version[[]byte]{}, map[kpi.Pane][]version[kpi.Value]{}}
}

// fold takes the next record. A pane moves by the full measure of the device
// after the event less the full measure before it.
func (t *truth) fold(r schemas.Record) {
	if r.Event == nil {
		return
	}
	e := proto.Clone(r.Event).(*schemas.Event)
	c := t.cells[e.Device]
	if c == nil {
		c = new(visitor.Cell)
		t.cells[e.Device] = c
	}
	changes := map[kpi.Pane]*kpi.Value{}
	add := func(p kpi.Pane, n int64) {
		if changes[p] == nil {
			changes[p] = new(kpi.Value)
		}
		changes[p].Add(kpi.Delta{Pane: p, N: n})
	}
	less := func(p kpi.Pane, n int64) { add(p, -n) }
	for i := range c.Units {
		c.Units[i].Measure(less)
	}
	c.Fold(e, visitor.HashID(e.Id), visitor.HashDevice(e.Device), add)
	for i := range c.Units {
		c.Units[i].Measure(add)
	}
	b, _ := c.AppendBinary(nil)
	t.visitors[e.Device] = append(t.visitors[e.Device], version[[]byte]{r.Offset + 1, b})
	for p, change := range changes {
		v := at(t.panes[p], r.Offset+1)
		sum := kpi.Value{Sum: v.Sum}
		sum.Devices.Merge(&v.Devices)
		sum.Merge(change)
		t.panes[p] = append(t.panes[p], version[kpi.Value]{r.Offset + 1, sum})
	}
}

// check holds every view against the fold of the prefix that it names.
func (w *world) check(ctx context.Context) error {
	h, err := serving.ReadHorizon(ctx, w.views, partitions, w.now)
	if err != nil {
		return err
	}
	for p := range partitions {
		for device := range w.truth[p].visitors {
			if err := w.checkVisitor(ctx, h, device, p); err != nil {
				return err
			}
		}
	}
	if err := w.checkLinks(ctx, h); err != nil {
		return err
	}
	return w.checkPanes(ctx, h)
}

func (w *world) checkVisitor(ctx context.Context, h serving.Horizon, device string, p int) error {
	rows, err := w.views.Get(ctx, schemas.VisitorKey(device))
	if err != nil {
		return err
	}
	v, err := serving.MergeVisitor(h, rows[0])
	if err != nil {
		return err
	}
	want := at(w.truth[p].visitors[device], v.Through)
	if want == nil {
		want, _ = new(visitor.Cell).AppendBinary(nil)
	}
	got, err := v.Merged.AppendBinary(nil)
	if err != nil {
		return err
	}
	if !bytes.Equal(got, want) {
		var exact visitor.Cell
		exact.UnmarshalBinary(want)
		return fmt.Errorf("visitor %s of generation %d and epochs %v is not the fold of %d:[0,%d):\ngot  %+v\nwant %+v",
			device, v.Generation.Run, v.Epochs, p, v.Through, *v.Merged, exact)
	}
	return nil
}

// checkLinks: whoever is a unit of a device at the horizon is found from its person.
func (w *world) checkLinks(ctx context.Context, h serving.Horizon) error {
	for p := range partitions {
		for device, versions := range w.truth[p].visitors {
			var c visitor.Cell
			b := at(versions, h.Through(int32(p)))
			if b == nil {
				continue
			}
			if err := c.UnmarshalBinary(b); err != nil {
				return err
			}
			for _, u := range c.Units {
				if u.Login == "" {
					continue
				}
				rows, err := w.views.Get(ctx, schemas.PersonKey(u.Login))
				if err != nil {
					return err
				}
				l, ok := rows[0].Cell(schemas.ColumnLink(device))
				link, _ := schemas.DecodeJSON[schemas.Link](l.Value)
				if erased := l.Stamp >= h.Through(int32(p)); (!ok || !link.Linked) && !erased {
					return fmt.Errorf("device %s has a unit of %s at %d:%d, and the person no link to it", device, u.Login, p, h.Through(int32(p)))
				}
			}
		}
	}
	return nil
}

func (w *world) checkPanes(ctx context.Context, h serving.Horizon) error {
	seen := map[kpi.Pane]bool{}
	err := w.views.Scan(ctx, schemas.TablePanes, "", "", func(row schemas.Row) error {
		v, err := serving.MergePane(h, row)
		if err != nil {
			return err
		}
		seen[v.Pane] = true
		return w.samePane(v.Pane, &v.Value, v.Through)
	})
	if err != nil {
		return err
	}
	through := make([]int64, partitions)
	for p := range through {
		through[p] = h.Through(int32(p))
	}
	for p := range w.truth {
		for pane := range w.truth[p].panes {
			if !seen[pane] {
				if err := w.samePane(pane, new(kpi.Value), through); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

func (w *world) samePane(pane kpi.Pane, got *kpi.Value, through []int64) error {
	var want kpi.Value
	for p, t := range w.truth {
		v := at(t.panes[pane], through[p])
		want.Merge(&v)
	}
	a, _ := got.AppendBinary(nil)
	b, _ := want.AppendBinary(nil)
	if !bytes.Equal(a, b) {
		return fmt.Errorf("pane %s %d %q is %d (%d devices), the fold of the prefix %v says %d (%d devices)", pane.Measure, pane.Minute,
			pane.Dim, got.Sum, got.Devices.Estimate(), through, want.Sum, want.Devices.Estimate())
	}
	return nil
}

// drain lets everything come to an end, and then every view must be the fold of
// all that was acknowledged.
func (w *world) drain(ctx context.Context) error {
	for p := range partitions {
		for slot := range w.owners[p] {
			if o := w.owners[p][slot]; o != nil && o.done != nil {
				if err := w.drive(ctx, p, slot, o, true); err != nil {
					return err
				}
			}
		}
		if err := w.check(ctx); err != nil {
			return fmt.Errorf("after the frozen woke: %w", err)
		}
		if err := w.catchUp(ctx, p); err != nil {
			return err
		}
	}
	if err := w.complete(ctx); err != nil {
		return err
	}
	w.now = w.now.Add(time.Hour)
	w.nested++
	d := &desk{world: w, failIn: -1}
	w.layer.Views, w.layer.Log, w.layer.Files = quiet{d}, d, d
	if _, err := w.layer.Run(ctx, nil); err != nil && !errors.Is(err, archive.ErrNoCut) {
		return fmt.Errorf("last run: %w", err)
	}
	if d.broken != nil {
		return d.broken
	}
	return w.check(ctx)
}

// quiet is a desk at which nothing happens meanwhile.
type quiet struct{ *desk }

func (q quiet) Put(ctx context.Context, cells ...schemas.Cell) error {
	return q.views.Put(ctx, cells...)
}

// catchUp lets one owner read its partition to the end.
func (w *world) catchUp(ctx context.Context, p int) error {
	for range 1000 {
		o := w.owners[p][0]
		if o == nil {
			o = &owner{gate: &gate{world: w, arrived: make(chan struct{}), verdict: make(chan fate)}}
			w.owners[p][0] = o
		}
		if o.partition != nil && int(o.partition.Start()) >= len(w.log[p]) {
			return nil
		}
		if err := w.drive(ctx, p, 0, o, true); err != nil {
			return err
		}
	}
	return fmt.Errorf("owner %d/0 does not get to the end of its partition", p)
}

// complete checks that the views name the whole log.
func (w *world) complete(ctx context.Context) error {
	h, err := serving.ReadHorizon(ctx, w.views, partitions, w.now)
	if err != nil {
		return err
	}
	for p := range w.log {
		if got := h.Through(int32(p)); got != int64(len(w.log[p])) {
			return fmt.Errorf("drained, the views hold %d:[0,%d), the log has %d records", p, got, len(w.log[p]))
		}
	}
	return w.check(ctx)
}

// live lets a world of a seed live, and says what was wrong first.
func live(ctx context.Context, seed uint64, law sabotage) (w *world, err error) {
	w, err = newWorld(seed, law)
	if err != nil {
		return nil, err
	}
	defer w.close()
	for range 40 + w.rand.IntN(120) {
		if err := w.step(ctx); err != nil {
			return w, err
		}
		if err := w.check(ctx); err != nil {
			return w, err
		}
	}
	return w, w.drain(ctx)
}
