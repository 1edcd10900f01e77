package speed_test

import (
	"context"
	"testing"

	"fernweh/model/visitor"
	"fernweh/schemas"
	"fernweh/speed"
)

// TestWhatWasSaidIsNotSaidAgain: an owner that takes over knows what was last said
// of a visitor.
func TestWhatWasSaidIsNotSaidAgain(t *testing.T) {
	f := newFixture(t)
	f.publish(t, twoSegments(t))
	view := func() {
		f.append(&schemas.Event{Device: "d", Kind: schemas.Kind_KIND_OFFER_VIEW, Time: 60_000_000,
			Offer: &schemas.Offer{Id: "h1", Styles: []schemas.Style{schemas.Style_STYLE_QUIET}}})
	}
	for range 30 {
		view()
	}
	p := f.open(t)
	if err := p.Handle(t.Context(), f.log[p.Start():]); err != nil {
		t.Fatal(err)
	}
	before := len(f.said)
	view()
	p = f.open(t)
	if err := p.Handle(t.Context(), f.log[p.Start():]); err != nil {
		t.Fatal(err)
	}
	if before == 0 || len(f.said) != before {
		t.Errorf("%d decisions before the owner changed, %d after one like event more; want some, and none more", before, len(f.said))
	}
}

// A pruner publishes and prunes before the rows of visitors are read.
type pruner struct {
	speed.Views
	before func()
}

func (p *pruner) Get(ctx context.Context, keys ...schemas.Key) ([]schemas.Row, error) {
	if keys[0].Table == schemas.TableVisitors && p.before != nil {
		p.before()
		p.before = nil
	}
	return p.Views.Get(ctx, keys...)
}

// TestAGenerationThatIsPrunedMeanwhileIsNotWorkedOn: an owner that was frozen before it
// read a row works on a generation whose cells are still there.
func TestAGenerationThatIsPrunedMeanwhileIsNotWorkedOn(t *testing.T) {
	f := newFixture(t)
	put := func(key schemas.Key, column string, stamp int64, value []byte) {
		t.Helper()
		if err := f.views.Put(t.Context(), schemas.Cell{Key: key, Column: column, Stamp: stamp, Value: value}); err != nil {
			t.Fatal(err)
		}
	}
	publish := func(stamp int64, runs ...int64) {
		p := schemas.Published{Current: runs[0], Dropped: true}
		for _, r := range runs {
			p.Kept = append(p.Kept, schemas.Generation{Run: r, Cuts: []int64{0}})
		}
		put(schemas.KeyPublished, schemas.ColumnValue, stamp, schemas.EncodeJSON(p))
	}
	event := &schemas.Event{Id: "known", Device: "d", Kind: schemas.Kind_KIND_PAGE, Time: 60_000_000, AssumedConsent: true}
	known := visitor.Cell{Filter: visitor.Filter{IDs: []uint64{visitor.HashID(event.Id)}}}
	b, err := known.AppendBinary(nil)
	if err != nil {
		t.Fatal(err)
	}
	publish(1, 2)
	put(schemas.KeyPosition(0), schemas.ColumnValue, 9, schemas.EncodeJSON(schemas.Position{Offset: 9, Epoch: 3}))
	stores := f.stores()
	stores.Views = &pruner{f.views, func() {
		put(schemas.VisitorKey("d"), schemas.ColumnBatch(3), 3, b)
		publish(2, 5, 4, 3)
	}}
	p, err := speed.Open(t.Context(), stores, 0)
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Handle(t.Context(), []schemas.Record{{Offset: 9, Event: event}}); err != nil {
		t.Fatal(err)
	}
	rows, err := f.views.Get(t.Context(), schemas.PaneKey("pages", 1, ""))
	if err != nil {
		t.Fatal(err)
	}
	if len(rows[0].Cells) > 0 {
		t.Errorf("the event counts again: what generation 3 knows of its device was not read")
	}
}

// TestALinkIsBrokenWhereItsUnitGoes: a person's row says of a device whether it has a
// unit of that login.
func TestALinkIsBrokenWhereItsUnitGoes(t *testing.T) {
	f := newFixture(t)
	f.publish(t, twoSegments(t))
	linked := func() bool {
		t.Helper()
		p := f.open(t)
		if err := p.Handle(t.Context(), f.log[p.Start():]); err != nil {
			t.Fatal(err)
		}
		rows, err := f.views.Get(t.Context(), schemas.PersonKey("mueller"))
		if err != nil {
			t.Fatal(err)
		}
		c, _ := rows[0].Cell(schemas.ColumnLink("d"))
		l, err := schemas.DecodeJSON[schemas.Link](c.Value)
		if err != nil {
			t.Fatal(err)
		}
		return l.Linked
	}
	f.append(&schemas.Event{Device: "d", User: "mueller", Kind: schemas.Kind_KIND_IDENTIFY, Received: 1})
	if !linked() {
		t.Error("after the login there is no link")
	}
	f.append(&schemas.Event{Device: "d", Kind: schemas.Kind_KIND_ERASURE, Received: 2, Erasure: &schemas.Erasure{Login: "mueller"}})
	if linked() {
		t.Error("after the erasure the link stands")
	}
}
