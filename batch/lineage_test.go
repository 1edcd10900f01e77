package batch_test

import (
	"fmt"
	"maps"
	"slices"
	"testing"
	"time"

	"fernweh/model/kpi"
	"fernweh/schemas"
)

// columns are the columns of each row of a table.
func (p *portal) columns(table schemas.Table) map[string][]string {
	p.t.Helper()
	rows := map[string][]string{}
	err := p.views.Scan(p.t.Context(), table, "", "", func(row schemas.Row) error {
		for _, c := range row.Cells {
			rows[row.Row] = append(rows[row.Row], c.Column)
		}
		return nil
	})
	if err != nil {
		p.t.Fatal(err)
	}
	return rows
}

// page is a page view of a device, so many minutes after the story begins.
func (p *portal) page(device string, minutes int64) {
	e := &schemas.Event{Id: fmt.Sprint(device, minutes), Device: device, AssumedConsent: true, Kind: schemas.Kind_KIND_PAGE,
		Time: (28_000_000 + minutes) * 60_000_000, Received: p.now.UnixMicro()}
	p.append(schemas.Partition(device, partitions), schemas.Record{Event: e})
}

func (p *portal) erase(device string) {
	e := &schemas.Event{Id: "erase " + device, Device: device, Kind: schemas.Kind_KIND_ERASURE, Received: p.now.UnixMicro() + 1}
	p.append(schemas.Partition(device, partitions), schemas.Record{Event: e})
}

// TestOnlyWhatChangedIsWritten: a run leaves rows and panes as they are that say
// the same as in the generation before, and readers find them there.
func TestOnlyWhatChangedIsWritten(t *testing.T) {
	p := newPortal(t)
	p.page("anna", 0)
	p.page("bert", 1)
	p.run()
	p.page("anna", 100)
	if g := p.run().Generation; !slices.Equal(g.Lineage, []int64{1}) {
		t.Errorf("the second generation descends from %v, want from the first", g.Lineage)
	}
	p.erase("bert")
	if g := p.run().Generation; !slices.Equal(g.Lineage, []int64{2, 1}) {
		t.Errorf("the third generation descends from %v, want from the second and the first", g.Lineage)
	}
	visitors := p.columns(schemas.TableVisitors)
	want := map[string][]string{schemas.VisitorKey("anna").Row: {"b:1", "b:2"}, schemas.VisitorKey("bert").Row: {"b:1", "b:3"}}
	if !maps.EqualFunc(visitors, want, slices.Equal) {
		t.Errorf("visitors have the columns %v, want %v", visitors, want)
	}
	panes := p.columns(schemas.TablePanes)
	for minute, want := range map[int64][]string{0: {"b:1"}, 1: {"b:1", "b:3"}, 100: {"b:2"}} {
		if got := panes[schemas.PaneKey("pages", 28_000_000+minute, "").Row]; !slices.Equal(got, want) {
			t.Errorf("the pane of minute %d has the columns %v, want %v", minute, got, want)
		}
	}
	rows, err := p.views.Get(t.Context(), schemas.PaneKey("pages", 28_000_001, ""))
	if err != nil {
		t.Fatal(err)
	}
	c, _ := rows[0].Batch(*p.run().Generation)
	var v kpi.Value
	if err := v.UnmarshalBinary(c.Value); err != nil || !v.Zero() {
		t.Errorf("what was erased is %v in the pane, %v, want nothing", v, err)
	}
}

// TestEachSixteenthGenerationIsWhole: a lineage ends, so that what is kept for
// readers does not grow for ever; what no kept generation reads goes.
func TestEachSixteenthGenerationIsWhole(t *testing.T) {
	p := newPortal(t)
	p.page("anna", 0)
	var whole []int64
	for n := range int64(20) {
		p.page("bert", n)
		if g := p.run().Generation; len(g.Lineage) == 0 {
			whole = append(whole, g.Run)
		}
	}
	if want := []int64{1, 17}; !slices.Equal(whole, want) {
		t.Errorf("the generations %v are whole, want %v", whole, want)
	}
	visitors := p.columns(schemas.TableVisitors)
	// Run 20 deleted, before it published, what no one of the three kept then reads.
	want := map[string][]string{schemas.VisitorKey("anna").Row: {"b:17"}, schemas.VisitorKey("bert").Row: {"b:17", "b:18", "b:19", "b:20"}}
	if !maps.EqualFunc(visitors, want, slices.Equal) {
		t.Errorf("visitors have the columns %v, want %v", visitors, want)
	}
}

// TestARunWhoseParentIsRolledBackIsNotPublished: the cells that it did not write may
// be deleted by then.
func TestARunWhoseParentIsRolledBackIsNotPublished(t *testing.T) {
	p := newPortal(t)
	for n := range int64(2) {
		p.page("anna", n)
		p.run()
	}
	p.page("anna", 2)
	run, err := p.Layer.Run(t.Context(), func(r schemas.Run, _, _ int64) {
		if step := r.Steps[len(r.Steps)-1]; step.Name == "panes" && p.published().Current == 2 {
			if err := p.Rollback(t.Context(), 1); err != nil {
				t.Error(err)
			}
		}
	})
	if err == nil || run.State != schemas.RunFailed || p.published().Current != 1 {
		t.Errorf("the run is %s, %v, and generation %d published; want it failed and generation 1", run.State, err, p.published().Current)
	}
	if g := p.run().Generation; !slices.Equal(g.Lineage, []int64{1}) {
		t.Errorf("the next generation descends from %v, want from the one that is published", g.Lineage)
	}
}

// TestPruningWaitsForReaders: a reader may work with what was published until a moment
// ago, so nothing is deleted before the grace is over.
func TestPruningWaitsForReaders(t *testing.T) {
	p := newPortal(t)
	for n := range int64(5) {
		p.page("anna", n)
		p.run()
	}
	again := func() []string {
		t.Helper()
		if _, err := p.Layer.Run(t.Context(), nil); err != nil {
			t.Fatal(err)
		}
		return p.columns(schemas.TableVisitors)[schemas.VisitorKey("anna").Row]
	}
	before := p.columns(schemas.TableVisitors)[schemas.VisitorKey("anna").Row]
	p.now = time.UnixMicro(p.published().Kept[0].At).Add(p.Grace - 1)
	if now := again(); !slices.Equal(now, before) {
		t.Errorf("within the grace the columns %v become %v", before, now)
	}
	p.now = time.UnixMicro(p.published().Kept[0].At).Add(p.Grace)
	if now := again(); slices.Contains(now, before[0]) {
		t.Errorf("after the grace the columns %v become %v, want the first one gone", before, now)
	}
}

// TestAProgramThatKnowsOtherKindsWritesEverything: it may read a record below the
// parent's cut that the parent left out.
func TestAProgramThatKnowsOtherKindsWritesEverything(t *testing.T) {
	p := newPortal(t)
	p.page("anna", 0)
	p.run()
	before := p.published()
	old := schemas.EncodeJSON(before)
	before.Kept[0].Kinds--
	if done, err := p.views.CompareAndSet(t.Context(), schemas.KeyPublished, schemas.ColumnValue, old, schemas.EncodeJSON(before)); err != nil || !done {
		t.Fatal(done, err)
	}
	if g := p.run().Generation; len(g.Lineage) > 0 {
		t.Errorf("the generation descends from %v, which another program made", g.Lineage)
	}
}

// TestABatchLinkLiesBelowTheCut: what speed says of a link behind the cut outweighs it.
func TestABatchLinkLiesBelowTheCut(t *testing.T) {
	p := newPortal(t)
	device := "anna"
	partition := schemas.Partition(device, partitions)
	p.append(partition, schemas.Record{Event: &schemas.Event{Id: "i", Device: device, User: "mueller", AssumedConsent: true,
		Kind: schemas.Kind_KIND_IDENTIFY, Time: p.now.UnixMicro(), Received: 1}})
	g := p.run().Generation
	rows, err := p.views.Get(t.Context(), schemas.PersonKey("mueller"))
	if err != nil {
		t.Fatal(err)
	}
	c, ok := rows[0].Cell(schemas.ColumnLink(device))
	if !ok || c.Stamp != g.Cut(partition)-1 {
		t.Errorf("the link is there: %v, stamped %d; want it stamped below the cut at %d", ok, c.Stamp, g.Cut(partition))
	}
}
