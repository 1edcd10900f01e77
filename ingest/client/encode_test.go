package client_test

import (
	"encoding/json"
	"flag"
	"os"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"fernweh/ingest/client"
	"fernweh/schemas"
)

var update = flag.Bool("update", false, "write testdata/events.jsonl from what is sent")

// when is an evening of the fixture.
const when = 1_795_464_000_000_000

// villa is the hotel of the fixture.
var villa = &schemas.Offer{
	Id: "hotel-17", Kind: schemas.OfferKind_OFFER_KIND_HOTEL, Destination: "Lake Garda",
	Latitude: 45_604_700, Longitude: -10_635_100,
	Styles: []schemas.Style{schemas.Style_STYLE_QUIET, schemas.Style_STYLE_UPSCALE},
	Stars:  45, Price: 289_50, Currency: "EUR", Available: schemas.Choice_CHOICE_GRANTED,
}

// everything is one event of each kind.
func everything() []*schemas.Event {
	asked := &schemas.Search{
		Destination: "Lake Garda", Depart: 20_636, Nights: 7, Adults: 2, Children: 1,
		Filters: []string{"quiet", "adults only"}, Results: 12, Query: "lake \"garda\"",
	}
	trip := &schemas.Search{Destination: "Lake Garda", Depart: 20_636, Nights: 7, Adults: 2, Children: 1, Results: -1}
	seat := &schemas.Context{
		Path: "/hotels/17", Title: "Villa Serena", Referrer: "search.example", CampaignSource: "newsletter",
		CampaignMedium: "email", CampaignName: "summer", Locale: "de-DE", Timezone: "Europe/Berlin",
		DeviceClass: schemas.DeviceClass_DEVICE_CLASS_DESKTOP,
	}
	slot := &schemas.Placement{Slot: "home-teaser", Offer: "hotel-17", Decision: "d-1", Arm: "A"}
	sold := &schemas.Order{Id: "o-1", Amount: 2_026_50, Currency: "EUR", Offers: []string{"hotel-17", "flight-2"}}
	return []*schemas.Event{
		{Kind: schemas.Kind_KIND_PAGE, Name: "Hotel", Context: seat, Properties: `{"scroll":80}`},
		{Kind: schemas.Kind_KIND_SEARCH, Search: asked},
		{Kind: schemas.Kind_KIND_LIST_VIEW, Search: &schemas.Search{Destination: "Crete", Results: -1}, Properties: `{"list_id":"summer"}`},
		{Kind: schemas.Kind_KIND_OFFER_VIEW, Offer: villa},
		{Kind: schemas.Kind_KIND_CART, Offer: villa},
		{Kind: schemas.Kind_KIND_CHECKOUT},
		{Kind: schemas.Kind_KIND_CHECKOUT, Name: "Checkout Step Completed", Properties: `{"step":2}`},
		{Kind: schemas.Kind_KIND_BOOKING, User: "mueller", Order: sold, Offer: villa, Search: trip},
		{Kind: schemas.Kind_KIND_CANCELLATION, Order: &schemas.Order{Id: "o-1", Amount: -6_38, Currency: "EUR"}},
		{Kind: schemas.Kind_KIND_IDENTIFY, User: "mueller"},
		{Kind: schemas.Kind_KIND_CONSENT, Choice: schemas.Choice_CHOICE_GRANTED},
		{Kind: schemas.Kind_KIND_CONSENT, Choice: schemas.Choice_CHOICE_DENIED},
		{Kind: schemas.Kind_KIND_PLACEMENT_SHOWN, Placement: slot},
		{Kind: schemas.Kind_KIND_PLACEMENT_CLICKED, Placement: slot},
		{Kind: schemas.Kind_KIND_NEWSLETTER},
		{Kind: schemas.Kind_KIND_CUSTOM, Name: "Map Opened"},
	}
}

// TestEveryKindOnTheWire compares with what Segment's own clients would send
// for the same, kept in testdata.
func TestEveryKindOnTheWire(t *testing.T) {
	var lines strings.Builder
	for _, e := range everything() {
		e.Id, e.Device, e.Time = "m-1", "laptop", when
		b, err := (&client.Event{Event: e}).AppendJSON(nil)
		if err != nil {
			t.Fatal(err)
		}
		if !json.Valid(b) {
			t.Errorf("%v: %s is no JSON", e.Kind, b)
		}
		lines.Write(append(b, '\n'))
	}
	if *update {
		if err := os.WriteFile("testdata/events.jsonl", []byte(lines.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile("testdata/events.jsonl")
	if err != nil {
		t.Fatal(err)
	}
	if got := lines.String(); got != string(want) {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

// TestWordsSurviveTheWire holds for any text and any amount.
func TestWordsSurviveTheWire(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		text := string(rapid.SliceOf(rapid.Byte()).Draw(t, "text"))
		cents := rapid.Int64Range(-1e15, 1e15).Draw(t, "cents")
		e := client.Event{Event: &schemas.Event{
			Id: text, Device: text, Kind: schemas.Kind_KIND_BOOKING, Time: when,
			Order: &schemas.Order{Id: text, Amount: cents},
		}, Skew: time.Second}
		b, err := e.AppendJSON(nil)
		if err != nil {
			t.Fatal(err)
		}
		var got struct {
			MessageID, AnonymousID string
			Timestamp              time.Time
			Properties             struct {
				OrderID string `json:"order_id"`
				Total   json.Number
			}
		}
		if err := json.Unmarshal(b, &got); err != nil {
			t.Fatalf("decode %s: %v", b, err)
		}
		want := strings.ToValidUTF8(text, "")
		for _, s := range []string{got.MessageID, got.AnonymousID, got.Properties.OrderID} {
			if strings.ReplaceAll(s, "\ufffd", "") != strings.ReplaceAll(want, "\ufffd", "") {
				t.Errorf("%q became %q", text, s)
			}
		}
		if got := centsOf(t, got.Properties.Total.String()); got != cents {
			t.Errorf("%d cents became %d", cents, got)
		}
		if at := got.Timestamp.UnixMicro(); at != when+1e6 {
			t.Errorf("the device's clock said %d, want %d", at, int64(when+1e6))
		}
	})
}

// centsOf reads an amount digit by digit.
func centsOf(t *rapid.T, s string) int64 {
	sign := int64(1)
	if strings.HasPrefix(s, "-") {
		sign, s = -1, s[1:]
	}
	whole, part, _ := strings.Cut(s, ".")
	var n int64
	for _, c := range whole + (part + "00")[:2] {
		n = n*10 + int64(c-'0')
	}
	if len(part) > 2 {
		t.Errorf("%s has more than two places", s)
	}
	return sign * n
}

func BenchmarkAppendJSON(b *testing.B) {
	all := everything()
	for _, e := range all {
		e.Id, e.Device, e.Time = "m-1", "laptop", when
		e.Context = all[0].Context
	}
	buf := make([]byte, 0, 4096)
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		e := client.Event{Event: all[i%len(all)]}
		var err error
		if buf, err = e.AppendJSON(buf[:0]); err != nil {
			b.Fatal(err)
		}
	}
}
