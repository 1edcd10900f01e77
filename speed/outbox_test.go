package speed_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"fernweh/schemas"
	"fernweh/speed"

	"google.golang.org/protobuf/proto"
)

var errLost = errors.New("the connection is lost")

// A breaker counts writes to store and topic, and breaks one of them, before or
// after it has happened, and all behind it.
type breaker struct {
	*fixture
	left int // writes until the one that breaks; negative: none does
	done bool
}

// write lets a write happen or not.
func (b *breaker) write(do func() error) error {
	if b.left--; b.left >= 0 || b.left < -1_000_000 {
		return do()
	}
	if b.left == -1 && b.done {
		if err := do(); err != nil {
			return err
		}
	}
	return errLost
}

func (b *breaker) Get(ctx context.Context, keys ...schemas.Key) ([]schemas.Row, error) {
	return b.views.Get(ctx, keys...)
}

func (b *breaker) Put(ctx context.Context, cells ...schemas.Cell) error {
	return b.write(func() error { return b.views.Put(ctx, cells...) })
}

func (b *breaker) AppendDecisions(ctx context.Context, ds []*schemas.Decision) error {
	return b.write(func() error { return b.said.AppendDecisions(ctx, ds) })
}

// handle reads the log from the stored position with the model that is published.
func (b *breaker) handle(t *testing.T) error {
	t.Helper()
	m, err := speed.LoadModel(t.Context(), b.views)
	if err != nil {
		t.Fatal(err)
	}
	s := b.stores()
	s.Views, s.Decisions, s.Model = b, b, func() *speed.Model { return m }
	p, err := speed.Open(t.Context(), s, 0)
	if err != nil {
		t.Fatal(err)
	}
	return p.Handle(t.Context(), b.log[p.Start():])
}

// TestOneContentAnID is the law of messages: an owner dies at any write, and who
// follows has another model in force. What was said once has one content under its
// id, nothing is lost, and the row's latest decision is the topic's.
func TestOneContentAnID(t *testing.T) {
	for left := range 5 {
		for _, done := range []bool{false, true} {
			t.Run(fmt.Sprintf("dies at write %d, done %v", left, done), func(t *testing.T) {
				b := &breaker{newFixture(t), left, done}
				b.publish(t, twoSegments(t))
				quiet := &schemas.Offer{Id: "h1", Styles: []schemas.Style{schemas.Style_STYLE_QUIET}}
				for i := range 40 {
					b.append(&schemas.Event{Device: fmt.Sprint("d", i%2), User: "ann", Kind: schemas.Kind_KIND_OFFER_VIEW, Offer: quiet, Time: 60_000_000})
				}
				if err := b.handle(t); !errors.Is(err, errLost) {
					t.Fatalf("the first owner ended with %v, want it to die", err)
				}
				b.left = -2_000_000
				b.publishNext(t)
				if err := b.handle(t); err != nil {
					t.Fatal(err)
				}
				b.checkSaid(t)
			})
		}
	}
}

// publishNext publishes another model, which calls the same segments otherwise.
func (f *fixture) publishNext(t *testing.T) {
	t.Helper()
	artefact := []byte(string(twoSegments(t)))
	for _, change := range [][2]string{{`"id":"m1"`, `"id":"m2"`}, {`"id":"s1"`, `"id":"t1"`}, {`"id":"s2"`, `"id":"t2"`}} {
		artefact = []byte(replaceOnce(t, string(artefact), change[0], change[1]))
	}
	cells := []schemas.Cell{
		{Key: schemas.ModelKey("m2"), Column: schemas.ColumnValue, Stamp: 1, Value: artefact},
		{Key: schemas.KeyPublished, Column: schemas.ColumnValue, Stamp: 2,
			Value: schemas.EncodeJSON(schemas.Published{}.With(schemas.Generation{Run: 1, Cuts: []int64{0}, Model: "m2"}))},
	}
	if err := f.views.Put(t.Context(), cells...); err != nil {
		t.Fatal(err)
	}
}

// checkSaid checks that each id has one content, and each device's row the last.
func (b *breaker) checkSaid(t *testing.T) {
	t.Helper()
	contents, last := map[string]*schemas.Decision{}, map[string]*schemas.Decision{}
	for _, d := range b.said {
		if before := contents[d.Id]; before != nil && !proto.Equal(before, d) {
			t.Errorf("%s says\n%v and\n%v", d.Id, before, d)
		}
		contents[d.Id] = d
		if last[d.Device] == nil || last[d.Device].Offset <= d.Offset {
			last[d.Device] = d
		}
	}
	if len(last) != 2 {
		t.Fatalf("decisions on %d devices, want both", len(last))
	}
	for device, d := range last {
		rows, err := b.views.Get(t.Context(), schemas.VisitorKey(device))
		if err != nil {
			t.Fatal(err)
		}
		cell, _ := rows[0].Cell(schemas.ColumnDecision)
		var now schemas.Decision
		if err := proto.Unmarshal(cell.Value, &now); err != nil || !proto.Equal(&now, d) {
			t.Errorf("the row of %s says %v (%v), the topic %v", device, &now, err, d)
		}
	}
	offsets := slices.Collect(func(yield func(int64) bool) {
		for _, d := range contents {
			if !yield(d.Offset) {
				return
			}
		}
	})
	if first := slices.Min(offsets); first > 2 {
		t.Errorf("the first decision is that of offset %d, want one of the first events", first)
	}
}

func replaceOnce(t *testing.T, text, old, new string) string {
	t.Helper()
	if n := strings.Count(text, old); n != 1 {
		t.Fatalf("%s stands %d times in the model", old, n)
	}
	return strings.Replace(text, old, new, 1)
}
