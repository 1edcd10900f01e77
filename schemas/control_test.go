package schemas_test

import (
	"math"
	"reflect"
	"slices"
	"strings"
	"testing"

	"fernweh/schemas"

	"google.golang.org/protobuf/proto"
)

func TestControlRecords(t *testing.T) {
	skip := &schemas.Skip{Offset: 17, Reason: "panics", By: "ops"}
	models := &schemas.ModelsInForce{Views: "fernweh", Generation: 7, Models: []string{"a", "b"}}
	campaigns := &schemas.CampaignsInForce{Views: "fernweh", Campaigns: []string{"c"}}
	for _, want := range []schemas.Control{
		{Kind: schemas.ControlSkip, Number: 1, Skip: skip},
		{Kind: schemas.ControlModels, Number: 8, Models: models},
		{Kind: schemas.ControlCampaigns, Number: math.MaxInt64, Campaigns: campaigns},
		{Kind: schemas.ControlFold, Number: 2},
		{Kind: schemas.ControlTick, Number: 7},
	} {
		m, err := want.Message()
		if err != nil {
			t.Fatal(err)
		}
		r := schemas.Record{At: 3*60_000_000 + 59_999_999}
		r.Read(m, partitions)
		if r.Control == nil || r.Cut != 0 || r.Event != nil || r.Later {
			t.Errorf("%s: reads as %+v", want.Kind, r)
			continue
		}
		got := *r.Control
		if want.Kind == schemas.ControlTick {
			want.Number = 3 // the minute of its append time, whatever number it has
		}
		if got.Kind != want.Kind || got.Number != want.Number || !proto.Equal(got.Skip, want.Skip) ||
			!proto.Equal(got.Models, want.Models) || !proto.Equal(got.Campaigns, want.Campaigns) {
			t.Errorf("got %+v, want %+v", got, want)
		}
	}
}

// TestForeignControlRecords: a record with a header of ours is never an event.
func TestForeignControlRecords(t *testing.T) {
	event, _ := proto.Marshal(least())
	long, _ := proto.Marshal(&schemas.Skip{Reason: strings.Repeat("x", 513)})
	negative, _ := proto.Marshal(&schemas.Skip{Offset: -1})
	header := func(name, value string) []schemas.Header { return []schemas.Header{{Key: name, Value: []byte(value)}} }
	tests := []struct {
		name    string
		message schemas.Message
		cut     int64
		later   bool
	}{
		{"a cut", schemas.Message{Headers: header("fernweh-cut", "7")}, 7, false},
		{"a cut with a value", schemas.Message{Headers: header("fernweh-cut", "7"), Value: event}, 7, false},
		{"a cut behind a foreign header", schemas.Message{Headers: append(header("trace", "1"), header("fernweh-cut", "7")...)}, 7, false},
		{"two of them: the first", schemas.Message{Headers: append(header("fernweh-cut", "7"), header("fernweh-cut", "8")...)}, 7, false},
		{"the largest number", schemas.Message{Headers: header("fernweh-cut", "9223372036854775807")}, math.MaxInt64, false},
		{"a larger one", schemas.Message{Headers: header("fernweh-cut", "9223372036854775808")}, 0, false},
		{"no number", schemas.Message{Headers: header("fernweh-cut", "seven"), Value: event}, 0, false},
		{"nothing", schemas.Message{Headers: header("fernweh-cut", ""), Value: event}, 0, false},
		{"none", schemas.Message{Headers: header("fernweh-cut", "0")}, 0, false},
		{"negative", schemas.Message{Headers: header("fernweh-cut", "-7")}, 0, false},
		{"a sign", schemas.Message{Headers: header("fernweh-cut", "+7")}, 0, false},
		{"leading zero", schemas.Message{Headers: header("fernweh-cut", "07")}, 0, false},
		{"of a later release", schemas.Message{Headers: header("fernweh-moon", "1"), Value: event}, 0, true},
		{"a skip without a value that can be", schemas.Message{Headers: header("fernweh-skip", "1"), Value: []byte("\xff")}, 0, false},
		{"a skip with a long reason", schemas.Message{Headers: header("fernweh-skip", "1"), Value: long}, 0, false},
		{"a skip of no offset", schemas.Message{Headers: header("fernweh-skip", "1"), Value: negative}, 0, false},
		{"models of no set of views", schemas.Message{Headers: header("fernweh-model", "1")}, 0, false},
	}
	for _, tt := range tests {
		var r schemas.Record
		r.Read(tt.message, 1)
		if r.Event != nil || r.Control != nil || r.Cut != tt.cut || r.Later != tt.later {
			t.Errorf("%s: reads as %+v", tt.name, r)
		}
	}
	var r schemas.Record
	r.Read(schemas.Message{Headers: header("trace", "1"), Value: event}, 1)
	if r.Event == nil {
		t.Error("an event with a foreign header is none")
	}
}

// TestNumbersThatCount: only above all of its kind before it, and no further
// above than 2^32, so that no number ends a kind and 5,000 lost ones block none.
func TestNumbersThatCount(t *testing.T) {
	const step = 1 << 32
	kinds := map[string]func(n int64) schemas.Record{
		"cut":  func(n int64) schemas.Record { return schemas.Record{Cut: n} },
		"fold": func(n int64) schemas.Record { return control(schemas.Control{Kind: schemas.ControlFold, Number: n}) },
		"skip": func(n int64) schemas.Record {
			return control(schemas.Control{Kind: schemas.ControlSkip, Number: n, Skip: &schemas.Skip{Offset: 8}})
		},
		"models": func(n int64) schemas.Record {
			return control(schemas.Control{Kind: schemas.ControlModels, Number: n, Models: &schemas.ModelsInForce{Views: "v"}})
		},
		"campaigns": func(n int64) schemas.Record {
			return control(schemas.Control{Kind: schemas.ControlCampaigns, Number: n, Campaigns: &schemas.CampaignsInForce{Views: "w"}})
		},
	}
	for kind, record := range kinds {
		var s schemas.ControlState
		for _, tt := range []struct {
			number int64
			counts bool
		}{
			{math.MaxInt64, false}, {step + 1, false}, {1, true}, {1, false}, {5001, true}, {5000, false},
			{5001 + step + 1, false}, {5002, true}, {5002 + step, true}, {5003, false}, {math.MaxInt64, false}, {5002 + step + 1, true},
		} {
			before := string(schemas.EncodeJSON(s))
			r := record(tt.number)
			r.Offset = 9
			if got := s.Apply(&r, "v"); got != tt.counts {
				t.Errorf("%s %d: counts: got %t, want %t", kind, tt.number, got, tt.counts)
			}
			if after := string(schemas.EncodeJSON(s)); (after != before) != tt.counts {
				t.Errorf("%s %d: the state was %s and is %s", kind, tt.number, before, after)
			}
		}
	}
}

func control(c schemas.Control) schemas.Record { return schemas.Record{Control: &c} }

// TestWhatIsInForce walks over one partition.
func TestWhatIsInForce(t *testing.T) {
	models := func(n int64, views string, names ...string) schemas.Record {
		return control(schemas.Control{Kind: schemas.ControlModels, Number: n,
			Models: &schemas.ModelsInForce{Views: views, Generation: n * 10, Models: names}})
	}
	log := []schemas.Record{
		{Event: least()},
		{Cut: 3},
		models(1, "v", "a"),
		models(9, "w", "z"), // of another set of views
		models(2, "v", "b", "c"),
		control(schemas.Control{Kind: schemas.ControlCampaigns, Number: 4, Campaigns: &schemas.CampaignsInForce{Views: "w", Campaigns: []string{"k"}}}),
		control(schemas.Control{Kind: schemas.ControlTick, Number: 30_000_000}),
		control(schemas.Control{Kind: schemas.ControlTick, Number: 29_999_999}),                         // a clock that went back
		control(schemas.Control{Kind: schemas.ControlSkip, Number: 1, Skip: &schemas.Skip{Offset: 99}}), // before the record it names
		control(schemas.Control{Kind: schemas.ControlSkip, Number: 1, Skip: &schemas.Skip{Offset: 0}}),
		{Later: true}, {Gap: true}, {},
	}
	counted := []int{1, 2, 4, 5, 6, 9}
	var s schemas.ControlState
	for i := range log {
		log[i].Offset = int64(i)
		if got, want := s.Apply(&log[i], "v"), slices.Contains(counted, i); got != want {
			t.Errorf("record %d counts: got %t, want %t", i, got, want)
		}
	}
	want := schemas.ControlState{
		Cut: 3, Tick: 30_000_000, Skip: 1,
		Models:    schemas.InForce{Number: 2, Views: "v", Generation: 20, Names: []string{"b", "c"}},
		Campaigns: schemas.InForce{Number: 4, Views: "w", Names: []string{"k"}},
	}
	if !reflect.DeepEqual(s, want) {
		t.Errorf("got %+v, want %+v", s, want)
	}
	again, err := schemas.DecodeJSON[schemas.ControlState](schemas.EncodeJSON(s))
	if err != nil || !reflect.DeepEqual(again, s) {
		t.Errorf("read again: %+v, %v", again, err)
	}
}
