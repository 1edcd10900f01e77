package serving_test

import (
	"testing"

	"fernweh/model/kpi"
	"fernweh/model/visitor"
	"fernweh/schemas"
	"fernweh/serving"
)

// TestOffersAreSummedByWhatWasDone: a view is a view and a booking a booking.
func TestOffersAreSummedByWhatWasDone(t *testing.T) {
	var h visitor.History
	for i, kind := range []schemas.Kind{schemas.Kind_KIND_OFFER_VIEW, schemas.Kind_KIND_OFFER_VIEW, schemas.Kind_KIND_BOOKING} {
		h.Add(&schemas.Event{Kind: kind, Time: at(int64(i)), Offer: &schemas.Offer{Id: "h1"}})
	}
	s := serving.Summarize(&h)
	if len(s.Offers) != 1 || s.Offers[0].Views != 2 || s.Offers[0].Bookings != 1 {
		t.Errorf("of two views and a booking the summary says %+v", s.Offers)
	}
}

// TestAPaneTakesColumnsWithAPartition: a speed cell of a pane is of one partition;
// another column there means nothing.
func TestAPaneTakesColumnsWithAPartition(t *testing.T) {
	value := func(n int64) []byte {
		b, err := (&kpi.Value{Sum: n}).AppendBinary(nil)
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	row := schemas.Row{Key: schemas.PaneKey("pages", 1, ""), Cells: []schemas.Cell{
		{Column: "b:3", Stamp: 3, Value: value(5)}, {Column: "s:3", Stamp: 59, Value: value(100)}, {Column: "s:3.0", Stamp: 58, Value: value(2)},
	}}
	v, err := serving.MergePane(horizon(schemas.Position{Offset: 60, Epoch: 3}, generation(3, 50)), row)
	if err != nil || v.Value.Sum != 7 {
		t.Errorf("the pane is %d, %v, want 7", v.Value.Sum, err)
	}
}
