package batch_test

import (
	"slices"
	"testing"

	"fernweh/schemas"

	"google.golang.org/protobuf/proto"
)

// older makes of a record what an archiver of an older release would, one without
// identify events and the fields of an offer but its id.
func older(r *schemas.Record) {
	if r.Event == nil {
		return
	}
	value, err := proto.Marshal(r.Event)
	if err != nil {
		panic(err) // the events of these tests are in UTF-8
	}
	r.Message = schemas.Message{Key: []byte(r.Event.Device), Value: value}
	switch e := proto.Clone(r.Event).(*schemas.Event); {
	case e.Kind == schemas.Kind_KIND_IDENTIFY:
		r.Event, r.Later = nil, true
	case e.Offer != nil:
		e.Offer = &schemas.Offer{Id: e.Offer.Id}
		r.Event = e
	}
}

// TestWhatAnOlderArchiverKeptIsFolded: an archiver that was not upgraded keeps what
// it does not know, and an upgraded batch layer folds it: the views are the same
// to the byte, however the fold is divided.
func TestWhatAnOlderArchiverKeptIsFolded(t *testing.T) {
	want := viewsAfter(t, 1<<30, 1)
	for _, memory := range []int64{1 << 30, 10_000} {
		p := newPortal(t)
		p.read, p.Memory, p.Workers = older, memory, 1
		p.visit(2, 80)
		p.run()
		if got := p.cells(); !slices.EqualFunc(got, want, sameCell) {
			t.Errorf("%d bytes of memory: an older archiver changes the views: %d cells, want %d", memory, len(got), len(want))
		}
	}
}

// TestWhatLiesWrongIsFoldedByNobody: a record in another partition than its
// device's lies in the archive, and in no view.
func TestWhatLiesWrongIsFoldedByNobody(t *testing.T) {
	want := viewsAfter(t, 1<<30, 1)
	p := newPortal(t)
	p.Memory, p.Workers = 1<<30, 1
	stray := &schemas.Event{Id: "stray", Device: "stray", Kind: schemas.Kind_KIND_PAGE, Time: 1, AssumedConsent: true}
	wrong := (schemas.Partition("stray", partitions) + 1) % partitions
	value, err := proto.Marshal(stray)
	if err != nil {
		t.Fatal(err)
	}
	r := schemas.Record{Partition: wrong}
	r.Read(schemas.Message{Key: []byte("stray"), Value: value}, partitions)
	if r.Event != nil || r.Misplaced == nil {
		t.Fatalf("the record is read as %+v, want it misplaced", r)
	}
	p.append(wrong, r)
	p.visit(2, 80)
	p.run()
	// Links are stamped with the cut, which lies one further: all else is the same.
	same := func(a, b schemas.Cell) bool {
		return sameCell(a, b) || a.Key == b.Key && a.Column == b.Column && a.Stamp == b.Stamp+1
	}
	if got := p.cells(); !slices.EqualFunc(got, want, same) {
		t.Errorf("a misplaced event changes the views: %d cells, want %d", len(got), len(want))
	}
}
