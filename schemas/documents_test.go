package schemas_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"pgregory.net/rapid"

	"fernweh/schemas"
)

// goldenDocuments are documents of every kind with every field.
func goldenDocuments() map[string]schemas.Document {
	const at = 1_795_378_500_123_456 // 2026-11-22T20:15:00.123456Z
	pane, err := schemas.NewPaneDocument(schemas.PaneKey("visitors", at/60_000_000, "destination=Sylt").Row)
	if err != nil {
		panic(err)
	}
	pane.State, pane.Generation, pane.Value, pane.Distinct = schemas.StateLive, 7, 3, 2
	return map[string]schemas.Document{
		"document-decision.json": (&schemas.Decision{Id: "3-17-segment", Device: "herr-mueller-laptop", Login: "K-1001", Partition: 3,
			Offset: 17, Time: at, Segment: "s2", Distance: 1.25, Model: "segments-7", Epoch: 7}).Document(),
		"document-visitor.json": schemas.VisitorDocument{
			At: at, Device: "herr-mueller-laptop", State: schemas.StateExact, Generation: 7, Consent: "granted", Login: "K-1001",
			Customers: []string{"K-1001", "K-7"}, Segment: "s2", Distance: 1.25, Model: "segments-7", First: at - 4*86_400_000_000, Last: at,
			Sessions: 4, Bounces: 1, Events: 60, Searches: 9, Views: 31, Carts: 2, Bookings: 1, Cancellations: 1,
			Currency: "EUR", Booked: 379_800, Cancelled: 189_900, Party: "couple", Styles: []string{"quiet", "upscale"},
			Destinations: []string{"Sylt", "Föhr"}, Offers: []string{"h1", "h2"},
		}.Document(schemas.IndexVisitorsBatch(7), 7),
		"document-pane.json":     pane.Document(schemas.IndexPanes(7), 7),
		"document-position.json": schemas.PositionDocument{Follower: "index", Partition: 3, Offset: 18, At: at}.Document(),
	}
}

// TestDocumentsGolden: what was ever written under a mapping is what is written
// now, is allowed by the mapping, and has each of its fields.
func TestDocumentsGolden(t *testing.T) {
	for name, doc := range goldenDocuments() {
		t.Run(name, func(t *testing.T) {
			line, err := json.Marshal(struct {
				Index   string          `json:"index"`
				ID      string          `json:"id"`
				Version int64           `json:"version"`
				Body    json.RawMessage `json:"body"`
			}{doc.Index, doc.ID, doc.Version, doc.Body})
			if err != nil {
				t.Fatal(err)
			}
			if want := golden(t, name, append(line, '\n')); !bytes.Equal(bytes.TrimSpace(want), line) {
				t.Errorf("the document is\n%s\nit was\n%s", line, want)
			}
			values, err := doc.Values()
			if err != nil {
				t.Fatal(err)
			}
			mapping, _ := schemas.MappingOf(doc.Index)
			for _, f := range mapping.Fields {
				if !slices.ContainsFunc(values, func(v schemas.FieldValue) bool { return v.Name == f.Name }) {
					t.Errorf("the golden document has no field %s", f.Name)
				}
			}
		})
	}
}

func TestMappingsHaveTheirKeyAndEachFieldOnce(t *testing.T) {
	for _, m := range schemas.Mappings() {
		if key, ok := m.Field(m.Key); !ok || key.Type != schemas.FieldKeyword || key.List {
			t.Errorf("the key of %s is %+v, want a keyword that is no list", m.Kind, key)
		}
		if len(m.Fields) > 64 {
			t.Errorf("%s have %d fields; a reader of bodies has a bit for 64", m.Kind, len(m.Fields))
		}
		seen := map[string]bool{}
		for _, f := range m.Fields {
			if seen[f.Name] {
				t.Errorf("%s have the field %s twice", m.Kind, f.Name)
			}
			seen[f.Name] = true
		}
	}
}

// TestMappingsGolden: an index that was ever made keeps its fields; only new ones
// may be added, and then the golden file is made anew.
func TestMappingsGolden(t *testing.T) {
	var now strings.Builder
	for _, m := range schemas.Mappings() {
		for _, f := range m.Fields {
			fmt.Fprintf(&now, "%s key=%s %s %s list=%t\n", m.Kind, m.Key, f.Name, f.Type, f.List)
		}
	}
	lines := strings.Split(now.String(), "\n")
	for was := range strings.SplitSeq(string(golden(t, "mappings.txt", []byte(now.String()))), "\n") {
		if !slices.Contains(lines, was) {
			t.Errorf("indices have been made with %q: to change or remove it is to make them again", was)
		}
	}
}

func TestDocTimeIsRFC3339(t *testing.T) {
	const layout = "2006-01-02T15:04:05.000Z"
	rapid.Check(t, func(t *rapid.T) {
		micros := rapid.Int64Range(0, 253_402_300_799_999_999).Draw(t, "micros")
		got, want := schemas.DocTime(micros).String(), time.UnixMicro(micros).UTC().Format(layout)
		if got != want {
			t.Fatalf("%d µs are written as %s, want %s", micros, got, want)
		}
		var back schemas.DocTime
		if err := back.UnmarshalText([]byte(got)); err != nil || int64(back) != micros-micros%1000 {
			t.Fatalf("%s reads as %d, %v, want %d", got, back, err, micros-micros%1000)
		}
	})
}

func TestDocTimeReadsNothingElse(t *testing.T) {
	for _, text := range []string{"", "2026-11-22", "2026-11-22T20:15:00Z", "2026-11-22T20:15:00.000+01:00", "2026-02-30T00:00:00.000Z",
		"2026-13-01T00:00:00.000Z", "2026-11-22T24:00:00.000Z", "1969-12-31T23:59:59.999Z", "2026-11-22T20:15:00.000Z ", "+026-11-22T20:15:00.000Z"} {
		var at schemas.DocTime
		if err := at.UnmarshalText([]byte(text)); err == nil {
			t.Errorf("%q reads as %s, want an error", text, at)
		}
	}
}

func TestIndexNames(t *testing.T) {
	day := int64(1_795_378_500_123_456)
	for got, want := range map[string]string{
		schemas.IndexDecisions(day):   "decisions-2026.11.22",
		schemas.IndexVisitorsBatch(7): "visitors-b7",
		schemas.IndexVisitorsSpeed(7): "visitors-s7",
		schemas.IndexPanes(7):         "panes-b7",
		schemas.IndexPositions:        "positions",
	} {
		if got != want || schemas.CheckIndex(got) != nil {
			t.Errorf("index %q (%v), want %q", got, schemas.CheckIndex(got), want)
		}
	}
	for _, bad := range []string{"", "visitors", "visitors-", "offers-b7", "visitors-B7", "visitors-b7,x", "visitors-*", "visitors-" + strings.Repeat("x", 200)} {
		if schemas.CheckIndex(bad) == nil {
			t.Errorf("%q passes as an index", bad)
		}
	}
	for alias, index := range map[string]string{"decisions": "decisions-2026.11.22", "positions": "positions", "visitors-all": "visitors-b7",
		"panes": "visitors-b7", "visitors": "visitors"} {
		if schemas.CheckAlias(alias, index) == nil {
			t.Errorf("%q passes as an alias of %q", alias, index)
		}
	}
}

// TestDocumentIDs: an id is never too long, and no two things share one.
func TestDocumentIDs(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		bytes := rapid.OneOf(rapid.SliceOfN(rapid.Byte(), 1, 1200), rapid.SliceOfN(rapid.SampledFrom([]byte("Föhr")), 440, 520))
		a, b := string(bytes.Draw(t, "a")), string(bytes.Draw(t, "b"))
		ids := [2]string{schemas.DocumentID(a), schemas.DocumentID(b)}
		if (a == b) != (ids[0] == ids[1]) {
			t.Fatalf("%q and %q have the ids %q and %q", a, b, ids[0], ids[1])
		}
		if id := ids[0]; len(id) > schemas.MaxDocumentID || !utf8.ValidString(id) {
			t.Fatalf("id %q has %d bytes (UTF-8: %t)", id, len(id), utf8.ValidString(id))
		}
	})
}

func TestDocumentsThatAreRefused(t *testing.T) {
	tests := []struct {
		name, index, id, body string
		field, says           string
	}{
		{"unknown field", "panes-b7", "a", `{"id":"a","colour":"red"}`, "colour", "does not have it"},
		{"text in a long", "panes-b7", "a", `{"id":"a","value":"7"}`, "value", `"7" is no long`},
		{"fraction in a long", "panes-b7", "a", `{"id":"a","value":7.5}`, "value", "is no long"},
		{"number in a keyword", "panes-b7", "a", `{"id":"a","measure":7}`, "measure", `"7" is no keyword`},
		{"true in a long", "panes-b7", "a", `{"id":"a","value":true}`, "value", "is no long"},
		{"null", "panes-b7", "a", `{"id":"a","value":null}`, "value", "null is no long"},
		{"object", "panes-b7", "a", `{"id":"a","value":{"n":1}}`, "value", "an object is no long"},
		{"list in a field of one", "panes-b7", "a", `{"id":"a","value":[1]}`, "value", "a list is no long"},
		{"list in a list", "visitors-b7", "a", `{"device":"a","styles":[["x"]]}`, "styles", "a list is no keyword"},
		{"date of a day", "panes-b7", "a", `{"id":"a","@timestamp":"2026-11-22"}`, "@timestamp", "want UTC"},
		{"number too great", "decisions-1", "a", `{"id":"a","distance":1e999}`, "distance", "is no double"},
		{"field twice", "panes-b7", "a", `{"id":"a","id":"a"}`, "id", "twice"},
		{"keyword too long", "panes-b7", "a", `{"id":"a","key":"` + strings.Repeat("x", schemas.MaxKeyword+1) + `"}`, "key", "at most 32766"},
		{"no key", "panes-b7", "a", `{"value":7}`, "id", "does not follow"},
		{"another key", "panes-b7", "a", `{"id":"b"}`, "id", "does not follow"},
		{"no object", "panes-b7", "a", `["id"]`, "", "not a JSON object"},
		{"nothing", "panes-b7", "a", ``, "", "not a JSON object"},
		{"cut off", "panes-b7", "a", `{"id":"a"`, "", "not JSON"},
		{"more than one", "panes-b7", "a", `{"id":"a"}{}`, "", "follows its body"},
		{"unknown kind", "offers-b7", "a", `{"id":"a"}`, "", "neither an index nor an alias"},
		{"alias", "panes", "a", `{"id":"a"}`, "", "is an alias"},
		{"no id", "panes-b7", "", `{"id":""}`, "", "id is empty"},
		{"id too long", "panes-b7", strings.Repeat("x", 513), `{}`, "", "want at most 512"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := schemas.Document{Index: tt.index, ID: tt.id, Body: []byte(tt.body)}.Values()
			var refused *schemas.Refused
			if !errors.As(err, &refused) || refused.Field != tt.field || !strings.Contains(err.Error(), tt.says) {
				t.Errorf("got %v, want a refusal of field %q that says %q", err, tt.field, tt.says)
			}
		})
	}
}

func TestDistanceThatIsNoNumberIsLeftOut(t *testing.T) {
	for _, distance := range []float64{math.NaN(), math.Inf(1)} {
		doc := (&schemas.Decision{Id: "0-1-segment", Device: "d", Distance: distance}).Document()
		if _, err := doc.Values(); err != nil {
			t.Errorf("distance %g: %v", distance, err)
		}
	}
}

func TestErasureIsNoDocument(t *testing.T) {
	if doc := (&schemas.Decision{Id: "0-1-segment", Device: "d", Erased: true}).Document(); doc.Body != nil {
		t.Errorf("an erasure would be found as %s", doc.Body)
	}
}

func TestPositionReadsAsWritten(t *testing.T) {
	want := schemas.PositionDocument{Follower: "index", Partition: 3, Offset: 18, At: 1_795_378_500_123_000}
	doc := want.Document()
	got, err := schemas.DecodePosition(doc.Body)
	if err != nil || got != want || doc.ID != schemas.PositionID("index", 3) || doc.Version != 18 {
		t.Errorf("position %s reads as %+v, %v, want %+v", doc.Body, got, err, want)
	}
}

func TestQueriesThatAskForNothing(t *testing.T) {
	ok := schemas.Query{Index: "visitors", Terms: []schemas.Term{{Field: "segment", Values: []string{"s2"}}},
		Ranges: []schemas.Range{{Field: "last", From: 1, To: math.MaxInt64}}, Sort: "booked", Limit: 10,
		Facets: []schemas.Facet{{Field: "party", Sum: "booked", Limit: 3}}}
	if err := ok.Check(); err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		name   string
		change func(*schemas.Query)
		says   string
	}{
		{"unknown index", func(q *schemas.Query) { q.Index = "offers" }, "neither an index nor an alias"},
		{"unknown term", func(q *schemas.Query) { q.Terms[0].Field = "colour" }, `term "colour": visitors have no such field`},
		{"term of a number", func(q *schemas.Query) { q.Terms[0].Field = "views" }, "it is a long"},
		{"term of no values", func(q *schemas.Query) { q.Terms[0].Values = nil }, "want from 1 to"},
		{"range of a keyword", func(q *schemas.Query) { q.Ranges[0].Field = "segment" }, "it is a keyword"},
		{"order of a list", func(q *schemas.Query) { q.Sort = "styles" }, "it is a list"},
		{"unknown order", func(q *schemas.Query) { q.Sort = "colour" }, "no such field"},
		{"facet of a date", func(q *schemas.Query) { q.Facets[0].Field = "last" }, "it is a date"},
		{"sum of a keyword", func(q *schemas.Query) { q.Facets[0].Sum = "party" }, "it is a keyword"},
		{"facet of nothing", func(q *schemas.Query) { q.Facets[0].Limit = 0 }, "want from 1 to"},
		{"page too long", func(q *schemas.Query) { q.Limit = schemas.MaxHits + 1 }, "want from 0 to"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			q := ok
			q.Terms, q.Ranges, q.Facets = slices.Clone(ok.Terms), slices.Clone(ok.Ranges), slices.Clone(ok.Facets)
			tt.change(&q)
			if err := q.Check(); err == nil || !strings.Contains(err.Error(), tt.says) {
				t.Errorf("got %v, want an error that says %q", err, tt.says)
			}
		})
	}
}

func FuzzDocumentValues(f *testing.F) {
	for _, doc := range goldenDocuments() {
		f.Add(doc.Index, doc.ID, doc.Body)
	}
	f.Fuzz(func(t *testing.T, index, id string, body []byte) {
		values, err := schemas.Document{Index: index, ID: id, Body: body}.Values()
		var refused *schemas.Refused
		if err == nil && !json.Valid(body) || err != nil && !errors.As(err, &refused) {
			t.Errorf("%s reads as %v, %v", body, values, fmt.Sprint(err))
		}
	})
}

func BenchmarkDocumentValues(b *testing.B) {
	doc := goldenDocuments()["document-visitor.json"]
	for b.Loop() {
		if _, err := doc.Values(); err != nil {
			b.Fatal(err)
		}
	}
}
