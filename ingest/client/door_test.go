package client_test

import (
	"fmt"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"

	"fernweh/ingest/client"
	"fernweh/ingest/segment"
	"fernweh/ingest/simulate"
	"fernweh/schemas"
)

// TestWhatIsSentIsWhatArrives sends every event of some travellers through the
// door's own reading of the protocol.
func TestWhatIsSentIsWhatArrives(t *testing.T) {
	to := time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)
	portal, err := simulate.New(simulate.Settings{Seed: 1, Visitors: 600, From: to.AddDate(0, -3, 0), To: to})
	if err != nil {
		t.Fatal(err)
	}
	kinds := map[schemas.Kind]bool{}
	for e := range portal.Events() {
		e.Skew = 0
		kinds[e.Kind] = true
		arrives(t, e)
		if t.Failed() {
			break
		}
	}
	if len(kinds) != 14 {
		t.Errorf("the travellers sent events of %d kinds, want all 14 that a website sends", len(kinds))
	}
	for _, e := range everything() {
		e.Id, e.Device, e.Time = "m-1", "laptop", when
		if e.Order.GetAmount() < 0 {
			continue // the door refuses it
		}
		arrives(t, client.Event{Event: e})
	}
}

// arrives compares an event with what the door makes of it.
func arrives(t *testing.T, e client.Event) {
	t.Helper()
	b, err := e.AppendJSON([]byte(`{"batch":[`))
	if err != nil {
		t.Fatal(err)
	}
	body, err := segment.Parse(append(b, "]}"...), 10_000)
	if err != nil {
		t.Fatal(err)
	}
	item := body.Items(segment.Request{Received: e.Time + 1, MaxEvent: 32 << 10})[0]
	if item.Event == nil {
		t.Errorf("%v was rejected: %s\n%s", e.Kind, item.Reason, b)
		return
	}
	if e.Choice == schemas.Choice_CHOICE_DENIED && e.Kind == schemas.Kind_KIND_CONSENT {
		if got := item.Event; got.Device != e.Device || got.Choice != e.Choice || got.User != "" || proto.Size(got.Context) > 0 {
			t.Errorf("a refusal arrived as %v, want its device and choice alone", got)
		}
		return
	}
	want := proto.CloneOf(e.Event)
	want.Received = e.Time + 1
	if want.Name == "" {
		want.Name = item.Event.Name // the protocol's word for the kind
	}
	if want.Context == nil {
		want.Context = new(schemas.Context)
	} else {
		want.Context.Library = "fernweh-client/1"
	}
	if len(e.Order.GetOffers()) > 1 {
		want.Properties = item.Event.Properties // the door keeps the list of products
	}
	if got := item.Event; !proto.Equal(got, want) {
		t.Errorf("sent    %v\narrived %v", fmt.Sprint(want), got)
	}
}
