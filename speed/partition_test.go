package speed_test

import (
	"context"
	"errors"
	"fmt"
	"math"
	"strings"
	"testing"
	"time"

	"fernweh/infra/embedded"
	"fernweh/model/cluster"
	"fernweh/model/visitor"
	"fernweh/schemas"
	"fernweh/speed"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/prometheus/client_golang/prometheus"
	"google.golang.org/protobuf/proto"
)

// A said sink keeps decisions.
type said []*schemas.Decision

func (s *said) AppendDecisions(_ context.Context, ds []*schemas.Decision) error {
	*s = append(*s, ds...)
	return nil
}

// A log of one partition that ends when it has been read.
type oneLog []schemas.Record

func (l oneLog) Consume(ctx context.Context, open func(context.Context, int32) (int64, func(context.Context, []schemas.Record) error, error)) error {
	start, handle, err := open(ctx, 0)
	if err != nil {
		return err
	}
	if err := handle(ctx, l[start:]); err != nil {
		return err
	}
	return fmt.Errorf("read to the end: %w", schemas.ErrOutOfRange) // ends the layer
}

type fixture struct {
	views *embedded.Views
	said  said
	log   oneLog
}

func newFixture(t *testing.T) *fixture {
	t.Helper()
	views, err := embedded.OpenViewsIn(vfs.NewMem(), "views")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { views.Close() })
	return &fixture{views: views}
}

func (f *fixture) stores() speed.Stores {
	return speed.Stores{Views: f.views, Decisions: &f.said, Now: time.Now, MaxVisitors: 10,
		Metrics: speed.NewMetrics(prometheus.NewRegistry()), Model: func() *speed.Model { return nil }}
}

// append puts an event at the end of the log, whose first record is the cut of
// the published generation.
func (f *fixture) append(e *schemas.Event) {
	if len(f.log) == 0 {
		f.log = append(f.log, schemas.Record{Cut: 1})
	}
	e.Id, e.AssumedConsent = fmt.Sprint("m", len(f.log)), true
	f.log = append(f.log, schemas.Record{Offset: int64(len(f.log)), Event: e})
}

// publish publishes a generation with a model of two segments: those who look at
// quiet offers, and the others.
func (f *fixture) publish(t *testing.T, artefact []byte) {
	t.Helper()
	put := func(key schemas.Key, value []byte) {
		c := schemas.Cell{Key: key, Column: schemas.ColumnValue, Stamp: 1, Value: value}
		if err := f.views.Put(t.Context(), c); err != nil {
			t.Fatal(err)
		}
	}
	if artefact != nil {
		put(schemas.ModelKey("m1"), artefact)
	}
	put(schemas.KeyPublished, schemas.EncodeJSON(schemas.Published{}.With(schemas.Generation{Run: 1, Cuts: []int64{0}, Model: "m1"})))
}

func twoSegments(t *testing.T) []byte {
	t.Helper()
	names := visitor.Features()
	quiet, other := make([]float64, len(names)), make([]float64, len(names))
	for i, n := range names {
		if n == "style:quiet" {
			quiet[i] = 5
		}
	}
	m := &cluster.Model{ID: "m1", Wanted: 2, Vectors: 2, Features: cluster.Unscaled(names), Segments: []cluster.Segment{
		{ID: "s1", Name: "other", Size: 1, Centroid: other}, {ID: "s2", Name: "quiet", Size: 1, Centroid: quiet},
	}}
	b, err := m.Encode()
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// run lets a layer read the whole log, with the model in force.
func (f *fixture) run(t *testing.T) {
	t.Helper()
	l := speed.New(f.log, f.stores())
	if err := l.Run(t.Context()); !errors.Is(err, schemas.ErrOutOfRange) {
		t.Fatalf("the layer ended with %v", err)
	}
}

func TestDecisionsSayOnlyWhatIsNew(t *testing.T) {
	f := newFixture(t)
	f.publish(t, twoSegments(t))
	quiet := &schemas.Offer{Id: "h1", Styles: []schemas.Style{schemas.Style_STYLE_QUIET}}
	for range 40 {
		f.append(&schemas.Event{Device: "d", Kind: schemas.Kind_KIND_OFFER_VIEW, Offer: quiet, Time: 60_000_000})
	}
	f.append(&schemas.Event{Device: "d", Kind: schemas.Kind_KIND_ERASURE, Received: 1})
	p := f.open(t)
	if err := p.Handle(t.Context(), f.log[p.Start():]); err != nil {
		t.Fatal(err)
	}
	if n := len(f.said); n == 0 || n > 4 {
		t.Fatalf("%d decisions of 40 like events and an erasure, want one a change", n)
	}
	if last := f.said[len(f.said)-1]; last.Segment != "" || last.Id != "0-41-segment" {
		t.Errorf("after the erasure the last word is %v, want it taken back", last)
	}
	rows, err := f.views.Get(t.Context(), schemas.VisitorKey("d"))
	if err != nil {
		t.Fatal(err)
	}
	now, _ := rows[0].Cell(schemas.ColumnDecision)
	var d schemas.Decision
	if err := proto.Unmarshal(now.Value, &d); err != nil || d.Segment != "" || now.Stamp != 41 {
		t.Errorf("the row says %v as of %d (%v), want nothing as of 41", &d, now.Stamp, err)
	}
}

// open opens the partition as a layer does that has loaded the published model.
func (f *fixture) open(t *testing.T) *speed.Partition {
	t.Helper()
	m, err := speed.LoadModel(t.Context(), f.views)
	if err != nil {
		t.Fatal(err)
	}
	s := f.stores()
	s.Model = func() *speed.Model { return m }
	p, err := speed.Open(t.Context(), s, 0)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestModelThatCannotBeUsedIsRefused(t *testing.T) {
	good := string(twoSegments(t))
	tests := []struct {
		name     string
		artefact []byte
		want     string
	}{
		{"missing", nil, "model m1 of generation 1 is missing"},
		{"cut off", []byte(good[:len(good)/2]), "model m1"},
		{"of other features", []byte(strings.Replace(good, "style:quiet", "style:loud", 1)), "style:loud"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			f := newFixture(t)
			f.publish(t, tt.artefact)
			if _, err := speed.LoadModel(t.Context(), f.views); err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("error %v, want one that says %q", err, tt.want)
			}
		})
	}
}

// TestEventsGoOnWithoutAModel: a published model that is not there costs the
// segment and nothing else.
func TestEventsGoOnWithoutAModel(t *testing.T) {
	f := newFixture(t)
	f.publish(t, nil)
	for range 3 {
		f.append(&schemas.Event{Device: "d", Kind: schemas.Kind_KIND_PAGE, Time: 1})
	}
	f.run(t)
	rows, err := f.views.Get(t.Context(), schemas.VisitorKey("d"))
	if err != nil {
		t.Fatal(err)
	}
	var c visitor.Cell
	cells := rows[0].Since(schemas.Generation{Run: 1}, math.MaxInt64)
	if len(cells) != 1 || c.UnmarshalBinary(cells[0].Value) != nil || c.Units.Unit("").Events() != 3 {
		t.Errorf("the row has the cells %v, want one of three events", cells)
	}
	if len(f.said) != 0 {
		t.Errorf("%d decisions without a model", len(f.said))
	}
}

// TestCutsThatCount: a cut opens an epoch where its number lies above the last
// one's, at most 2^32 above; any other is left out.
func TestCutsThatCount(t *testing.T) {
	const step = 1 << 32
	f := newFixture(t)
	for _, n := range []int64{1, math.MaxInt64, 1 + step + 1, 5000, 4999, 5000 + step, 5001 + 2*step} {
		f.log = append(f.log, schemas.Record{Offset: int64(len(f.log)), Cut: n})
		f.append(&schemas.Event{Device: "d", Kind: schemas.Kind_KIND_PAGE, Time: 1})
	}
	p := f.open(t)
	if err := p.Handle(t.Context(), f.log); err != nil {
		t.Fatal(err)
	}
	rows, err := f.views.Get(t.Context(), schemas.VisitorKey("d"))
	if err != nil {
		t.Fatal(err)
	}
	var epochs []string
	for _, c := range rows[0].Since(schemas.Generation{}, math.MaxInt64) {
		epochs = append(epochs, c.Column)
	}
	if got, want := fmt.Sprint(epochs), "[s:1 s:5000 s:4294972296]"; got != want {
		t.Errorf("the visitor has cells of %s, want %s", got, want)
	}
}

// TestPositionCarriesWhatIsInForce: a layer that begins again knows what the
// control records before its position have put in force, and so does one that
// finds a generation only.
func TestPositionCarriesWhatIsInForce(t *testing.T) {
	f := newFixture(t)
	models := func(n int64, set string, names ...string) {
		f.log = append(f.log, schemas.Record{Offset: int64(len(f.log)), Control: &schemas.Control{
			Kind: schemas.ControlModels, Number: n, Models: &schemas.ModelsInForce{Views: set, Models: names}}})
	}
	f.append(&schemas.Event{Device: "d", Kind: schemas.Kind_KIND_PAGE, Time: 1})
	models(1, "mine", "a")
	models(7, "another's", "z")
	f.append(&schemas.Event{Device: "d", Kind: schemas.Kind_KIND_PAGE, Time: 1})
	models(2, "mine", "b")
	models(1, "mine", "late")
	stores := f.stores()
	stores.Set = "mine"
	for next := range len(f.log) { // a layer a record
		p, err := speed.Open(t.Context(), stores, 0)
		if err != nil {
			t.Fatal(err)
		}
		if p.Start() != int64(next) {
			t.Fatalf("it begins at %d, want %d", p.Start(), next)
		}
		if err := p.Handle(t.Context(), f.log[next:next+1]); err != nil {
			t.Fatal(err)
		}
	}
	rows, err := f.views.Get(t.Context(), schemas.KeyPosition(0))
	if err != nil {
		t.Fatal(err)
	}
	c, _ := rows[0].Cell(schemas.ColumnValue)
	position, err := schemas.DecodeJSON[schemas.Position](c.Value)
	if err != nil {
		t.Fatal(err)
	}
	in := position.Control.Models
	if in.Number != 2 || fmt.Sprint(in.Names) != "[b]" || in.Views != "mine" || position.Control.Cut != 1 {
		t.Errorf("at the end %+v is in force, want the second record's models, and cut 1", position.Control)
	}
}

// TestMisplacedEventsAreCountedBySource, once each, also by a layer that begins again.
func TestMisplacedEventsAreCountedBySource(t *testing.T) {
	f := newFixture(t)
	f.append(&schemas.Event{Device: "d", Kind: schemas.Kind_KIND_PAGE, Time: 1})
	for i := range 5 {
		stray := &schemas.Event{Id: "x", Device: "e", Kind: schemas.Kind_KIND_PAGE, Time: 1, AssumedConsent: true, Source: []string{"app", ""}[i%2]}
		f.log = append(f.log, schemas.Record{Offset: int64(len(f.log)), Misplaced: stray})
		p := f.open(t)
		if err := p.Handle(t.Context(), f.log[p.Start():]); err != nil {
			t.Fatal(err)
		}
	}
	rows, err := f.views.Get(t.Context(), schemas.KeyPosition(0), schemas.VisitorKey("e"))
	if err != nil {
		t.Fatal(err)
	}
	c, _ := rows[0].Cell(schemas.ColumnValue)
	position, err := schemas.DecodeJSON[schemas.Position](c.Value)
	if err != nil || position.Misplaced["app"] != 3 || position.Misplaced[""] != 2 || len(rows[1].Cells) != 0 {
		t.Errorf("the position counts %v (%v) and the device has %d cells, want 3 of app, 2 of none, no cell", position.Misplaced, err, len(rows[1].Cells))
	}
}
