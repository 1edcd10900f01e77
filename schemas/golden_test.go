package schemas_test

import (
	"encoding/hex"
	"flag"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"fernweh/schemas"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
)

var create = flag.Bool("create", false, "write the golden files that are not there yet")

// golden reads a golden file, which must decode for ever: it is never written over.
func golden(t *testing.T, name string, now []byte) []byte {
	t.Helper()
	path := filepath.Join("testdata", name)
	b, err := os.ReadFile(path)
	if os.IsNotExist(err) && *create {
		b, err = now, os.WriteFile(path, now, 0o644)
	}
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// goldenMessages are messages of every type with every field. A field that is
// added to events.proto needs one more file here, for those that are there were
// written without it.
func goldenMessages() map[string]proto.Message {
	return map[string]proto.Message{
		"event-1.hex": &schemas.Event{
			Id: "m-1", Device: "herr-mueller-laptop", User: "K-1001", Kind: schemas.Kind_KIND_BOOKING, Name: "Order Completed",
			Time: 1_700_000_000_000_001, Received: 1_700_000_000_000_002, Source: "website", AssumedConsent: true,
			Choice: schemas.Choice_CHOICE_DENIED,
			Context: &schemas.Context{Path: "/hotel/h1", Title: "Haus am Watt", Referrer: "search.example", CampaignSource: "letter",
				CampaignMedium: "email", CampaignName: "autumn", Locale: "de-DE", Timezone: "Europe/Berlin",
				DeviceClass: schemas.DeviceClass_DEVICE_CLASS_DESKTOP, Library: "analytics.js/2"},
			Search: &schemas.Search{Destination: "Sylt", Depart: 19_700, Nights: 7, Adults: 2, Children: 1,
				Filters: []string{"quiet", "sea view"}, Results: -1, Query: "ruhiges Hotel"},
			Offer: &schemas.Offer{Id: "h1", Kind: schemas.OfferKind_OFFER_KIND_HOTEL, Destination: "Sylt", Latitude: 54_907_000,
				Longitude: -8_310_000, Styles: []schemas.Style{schemas.Style_STYLE_QUIET, schemas.Style_STYLE_UPSCALE}, Stars: 45,
				Price: 189_900, Currency: "EUR", Available: schemas.Choice_CHOICE_GRANTED, Quantity: 2},
			Order:      &schemas.Order{Id: "o-1", Amount: 379_800, Currency: "EUR", Offers: []string{"h1", "i1"}},
			Placement:  &schemas.Placement{Slot: "top", Offer: "h1", Decision: "t-1", Arm: "b"},
			Erasure:    &schemas.Erasure{Login: "K-7"},
			Properties: `{"room":"sea"}`,
		},
		"event-2.hex": &schemas.Event{
			Id: "3-41-17-action-c1", Device: "herr-mueller-laptop", Kind: schemas.Kind_KIND_ACTION, Time: 1, Received: 2, AssumedConsent: true,
			Action: &schemas.Action{Campaign: "c1", Version: "9f", Cause: 41, Cap: 2, Again: 3, ExitOnBooking: true, Control: true},
		},
		"dead-letter-1.hex": &schemas.DeadLetter{Reason: "the event has no type", Original: []byte("{\xff}"), Endpoint: "/v1/batch",
			Source: "website", Received: 1_700_000_000_000_000},
		"decision-1.hex": &schemas.Decision{Id: "3-17-segment", Device: "herr-mueller-laptop", Login: "K-1001", Partition: 3, Offset: 17,
			Time: 1_700_000_000_000_000, Segment: "s2", Distance: 1.25, Model: "segments-7"},
		"decision-2.hex": &schemas.Decision{Id: "3-18-segment", Device: "herr-mueller-laptop", Login: "K-1001", Partition: 3, Offset: 18,
			Time: 1_700_000_000_000_000, Epoch: 7, Erased: true},
		"models-in-force-1.hex":    &schemas.ModelsInForce{Views: "fernweh", Generation: 7, Models: []string{"segments-7", "intent-2"}},
		"campaigns-in-force-1.hex": &schemas.CampaignsInForce{Views: "fernweh", Campaigns: []string{"autumn-1"}},
		"skip-1.hex":               &schemas.Skip{Offset: 4711, Reason: "the fold panics", By: "operations"},
	}
}

// TestMessagesGolden: a message that was ever written reads as what it was.
func TestMessagesGolden(t *testing.T) {
	written := make(map[protoreflect.FullName]bool)
	for name, want := range goldenMessages() {
		now, err := proto.MarshalOptions{Deterministic: true}.Marshal(want)
		if err != nil {
			t.Fatal(err)
		}
		text := golden(t, name, []byte(hex.EncodeToString(now)+"\n"))
		b, err := hex.DecodeString(strings.TrimSpace(string(text)))
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		got := want.ProtoReflect().New()
		if err := proto.Unmarshal(b, got.Interface()); err != nil || !proto.Equal(got.Interface(), want) {
			t.Errorf("%s reads as\n%v, error %v, want\n%v", name, got, err, want)
		}
		noteFields(got, written)
	}
	messages := schemas.File_events_proto.Messages()
	for i := range messages.Len() {
		fields := messages.Get(i).Fields()
		for j := range fields.Len() {
			if f := fields.Get(j).FullName(); !written[f] {
				t.Errorf("no golden file has the field %s", f)
			}
		}
	}
}

// noteFields notes which fields a message has, those of its parts too.
func noteFields(m protoreflect.Message, into map[protoreflect.FullName]bool) {
	m.Range(func(f protoreflect.FieldDescriptor, v protoreflect.Value) bool {
		into[f.FullName()] = true
		if f.Message() != nil && !f.IsList() {
			noteFields(v.Message(), into)
		}
		return true
	})
}

// record holds one JSON record against its golden file.
func record[T any](t *testing.T, name string, want T) {
	t.Helper()
	b := golden(t, name, append(schemas.EncodeJSON(want), '\n'))
	got, err := schemas.DecodeJSON[T](b)
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("%s reads as\n%+v, error %v, want\n%+v", name, got, err, want)
	}
}

// TestRecordsGolden: a record of the view store that was ever written reads as
// what it was.
func TestRecordsGolden(t *testing.T) {
	g := schemas.Generation{Run: 7, Cuts: []int64{100, 0, 231}, At: 1_700_000_000_000_000, Model: "segments-7"}
	record(t, "published.json", schemas.Published{Current: 5, Kept: []schemas.Generation{g, {Run: 5, Cuts: []int64{90, 0, 200}, At: 1}}})
	record(t, "position.json", schemas.Position{Offset: 101, Epoch: 7, At: 1_700_000_000_000_001, Event: 1_700_000_000_000_000})
	models := schemas.InForce{Number: 4, Views: "fernweh", Generation: 7, Names: []string{"segments-7"}}
	control := schemas.ControlState{Cut: 7, Tick: 28_333_333, Skip: 1, Fold: 2, Models: models,
		Campaigns: schemas.InForce{Number: 3, Views: "fernweh", Names: []string{"autumn-1"}}}
	record(t, "control.json", control)
	record(t, "position-2.json", schemas.Position{Offset: 101, Epoch: 7, At: 1, Event: 2, Control: control})
	record(t, "position-3.json", schemas.Position{Offset: 101, Epoch: 7, At: 1, Event: 2, Misplaced: schemas.Misplaced{"website": 3, "": 1}})
	record(t, "generation-2.json", schemas.Generation{Run: 7, Cuts: []int64{100}, At: 1, Model: "segments-7",
		Control: []schemas.ControlState{control}})
	record(t, "origin.json", schemas.Origin{Topic: "q0Zk5Zb3T8yq1yGmQkq3Jg", Partitions: 3, Fold: 1})
	record(t, "link.json", schemas.Link{Linked: true})
	record(t, "run.json", schemas.Run{
		Number: 7, State: schemas.RunFailed, Error: "publish: overtaken by a younger run", Started: 1, Ended: 2,
		Steps:      []schemas.Step{{Name: "fold", Seconds: 1.5, Rows: 331, Note: "12 devices"}, {Name: "publish"}},
		Generation: &g, Metrics: map[string]float64{"segments": 4, "sse": 0.25}, Settings: map[string]string{"seed": "1"},
	})
}
