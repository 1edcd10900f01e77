package infratest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"fernweh/schemas"
)

// DocumentStore is a store of documents by index, and of what they are found by.
// A write is durable when it returns; one that ended in an error may be
// repeated. All of it may be called from any number of goroutines.
type DocumentStore interface {
	// Write writes whole documents. The highest version stays, an equal one is the
	// same again, an older one is silently left out. An index is made at its
	// first document. A document that can never be written is named by a
	// schemas.Refused in the error, which errors.As finds; the others of the call
	// are written all the same.
	Write(ctx context.Context, docs ...schemas.Document) error
	// Delete removes documents, unless a higher version is there; bodies don't
	// matter. One that is not there is no error. For an hour at least, while its index
	// is there, a deletion keeps out what is written late under a lower version.
	Delete(ctx context.Context, docs ...schemas.Document) error
	// Get reads what was written last, found or not. An index that is not there
	// has no documents.
	Get(ctx context.Context, index, id string) (doc schemas.Document, found bool, err error)
	// Refresh makes all that was written to some indices or aliases be found by Search.
	Refresh(ctx context.Context, indices ...string) error
	// Search finds documents. An index or alias that is not there has none.
	Search(ctx context.Context, q schemas.Query) (schemas.Hits, error)
	// Alias makes a name of schemas.CheckAlias mean exactly some indices, from one
	// moment to the next: no search sees neither or both. One that is not there
	// is made, empty. The alias schemas.KindDecisions keeps itself.
	Alias(ctx context.Context, name string, indices ...string) error
	// Indices lists the indices whose names begin with prefix, ascending.
	Indices(ctx context.Context, prefix string) ([]string, error)
	// Drop removes indices with all that is in them; aliases lose them. One that is not there is no error.
	Drop(ctx context.Context, indices ...string) error
	// Close ends the store; calls after it fail.
	Close() error
}

// Documents runs the suite on stores that open gives. Each test opens its own,
// which must be empty: aliases are named after what they mean, so no two tests
// can share one.
func Documents(t *testing.T, open func(t *testing.T) DocumentStore) {
	tests := []struct {
		name string
		run  func(s documentSuite, t *testing.T)
	}{
		{"what was never written is not found", documentSuite.nothing},
		{"a document comes back at once as it was written", documentSuite.roundTrip},
		{"the higher version stays whoever comes late", documentSuite.lateWriter},
		{"a replay changes nothing", documentSuite.replay},
		{"writers of one document leave the highest version", documentSuite.concurrentWriters},
		{"a delete goes up to its version", documentSuite.deletes},
		{"a deletion keeps out who comes late", documentSuite.lateAfterDelete},
		{"a bad document is named and the good ones are written", documentSuite.refusals},
		{"an index follows the kind of its name", documentSuite.foreignIndex},
		{"what is written is found by its fields", documentSuite.terms},
		{"a range keeps to its bounds", documentSuite.ranges},
		{"an order holds in both directions", documentSuite.orders},
		{"pages go over thousands and miss none", documentSuite.pages},
		{"pages go on over what lacks the field", documentSuite.pagesOfMissing},
		{"facets count and sum everything found", documentSuite.facets},
		{"a query of an unknown field is an error", documentSuite.unknownField},
		{"large documents come back", documentSuite.large},
		{"any text names a document", documentSuite.anyText},
		{"an alias goes over and comes back at once", documentSuite.aliasSwitch},
		{"an alias makes what it means", documentSuite.aliasCreates},
		{"decisions are found by their alias", documentSuite.decisions},
		{"a dropped index is gone, from its alias too", documentSuite.drops},
		{"indices don't mix", documentSuite.indices},
		{"a call whose time is over fails", documentSuite.deadline},
		{"a closed store says so", documentSuite.closed},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) { test.run(newDocumentSuite(t, open(t)), t) })
	}
	t.Run("any history is found as in a map", func(t *testing.T) { documentHistories(t, newDocumentSuite(t, open(t))) })
}

// A documentSuite is one test's store.
type documentSuite struct{ DocumentStore }

func newDocumentSuite(t *testing.T, store DocumentStore) documentSuite {
	t.Cleanup(func() {
		if err := store.Close(); err != nil {
			t.Errorf("close the store: %v", err)
		}
	})
	return documentSuite{store}
}

// suiteIndex is where most tests write.
var suiteIndex = schemas.IndexVisitorsBatch(7)

// looked is a visitor of the suite, whose views are its version.
func looked(device string, version int64) schemas.Document {
	return schemas.VisitorDocument{Device: device, State: schemas.StateExact, Generation: 7, Views: version}.Document(suiteIndex, version)
}

func (s documentSuite) write(t *testing.T, docs ...schemas.Document) {
	t.Helper()
	if err := s.Write(t.Context(), docs...); err != nil {
		t.Fatalf("write: %v", err)
	}
}

func (s documentSuite) refresh(t *testing.T, indices ...string) {
	t.Helper()
	if err := s.Refresh(t.Context(), indices...); err != nil {
		t.Fatalf("refresh: %v", err)
	}
}

func (s documentSuite) alias(t *testing.T, name string, indices ...string) {
	t.Helper()
	if err := s.Alias(t.Context(), name, indices...); err != nil {
		t.Fatalf("set alias: %v", err)
	}
}

// is expects a document to be there as it is.
func (s documentSuite) is(t *testing.T, want schemas.Document) {
	t.Helper()
	got, found, err := s.Get(t.Context(), want.Index, want.ID)
	if err != nil || !found || got.Index != want.Index || got.ID != want.ID || got.Version != want.Version || !bytes.Equal(got.Body, want.Body) {
		t.Errorf("document %q: got %s version %d (found: %t, %v), want %s version %d",
			clip([]byte(want.ID)), clip(got.Body), got.Version, found, err, clip(want.Body), want.Version)
	}
}

// absent expects a document not to be there.
func (s documentSuite) absent(t *testing.T, index, id string) {
	t.Helper()
	if got, found, err := s.Get(t.Context(), index, id); err != nil || found {
		t.Errorf("document %q of %s: got version %d (found: %t, %v), want none", id, index, got.Version, found, err)
	}
}

// search expects a query to be answered.
func (s documentSuite) search(t *testing.T, q schemas.Query) schemas.Hits {
	t.Helper()
	hits, err := s.Search(t.Context(), q)
	if err != nil {
		t.Fatalf("search: %v", err)
	}
	return hits
}

// finds expects a query to find documents by their ids, in order.
func (s documentSuite) finds(t *testing.T, q schemas.Query, want ...string) {
	t.Helper()
	q.Limit = 100
	hits := s.search(t, q)
	if got := idsOf(hits); !slices.Equal(got, want) || hits.Total != int64(len(want)) {
		t.Errorf("search of %s, terms %v, ranges %v, sort %q: got %q of %d, want %q", q.Index, q.Terms, q.Ranges, q.Sort, got, hits.Total, want)
	}
}

func idsOf(hits schemas.Hits) []string {
	ids := make([]string, len(hits.Documents))
	for i, d := range hits.Documents {
		ids[i] = d.ID
	}
	return ids
}

// term asks that a field is one of some values.
func term(field string, values ...string) []schemas.Term {
	return []schemas.Term{{Field: field, Values: values}}
}

func (s documentSuite) nothing(t *testing.T) {
	s.absent(t, suiteIndex, "a")
	s.finds(t, schemas.Query{Index: suiteIndex})
	s.finds(t, schemas.Query{Index: schemas.KindVisitors, Terms: term("device", "a"), Sort: "last"})
	s.refresh(t, suiteIndex)
	s.write(t)
	if err := s.Delete(t.Context(), looked("a", 1)); err != nil {
		t.Errorf("delete what is not there: %v", err)
	}
	if err := s.Drop(t.Context(), suiteIndex); err != nil {
		t.Errorf("drop what is not there: %v", err)
	}
	if got, err := s.Indices(t.Context(), ""); err != nil || len(got) != 0 {
		t.Errorf("indices of an empty store: got %q, %v, want none", got, err)
	}
}

func (s documentSuite) roundTrip(t *testing.T) {
	docs := []schemas.Document{
		looked("a", 0), looked("b", math.MaxInt64/2),
		{Index: suiteIndex, ID: "c", Version: 3, Body: []byte(`{"device" : "c", "events":9007199254740993,"customers":[]}`)},
		schemas.PositionDocument{Follower: "suite", Partition: 3, Offset: 17, At: 1}.Document(),
	}
	s.write(t, docs...)
	for _, d := range docs {
		s.is(t, d)
	}
	s.absent(t, suiteIndex, "d")
	s.refresh(t, suiteIndex)
	hits := s.search(t, schemas.Query{Index: suiteIndex, Limit: 10})
	if len(hits.Documents) != 3 || !bytes.Equal(hits.Documents[2].Body, docs[2].Body) || hits.Documents[1].Version != docs[1].Version {
		t.Errorf("search gives %+v, want the documents as they were written", hits.Documents)
	}
}

func (s documentSuite) lateWriter(t *testing.T) {
	s.write(t, looked("a", 5))
	s.write(t, looked("a", 3), looked("b", 1))
	s.is(t, looked("a", 5))
	s.is(t, looked("b", 1))
	s.write(t, looked("a", 7), looked("a", 6))
	s.is(t, looked("a", 7))
	s.refresh(t, suiteIndex)
	s.finds(t, schemas.Query{Index: suiteIndex, Ranges: []schemas.Range{{Field: "views", From: 2, To: 8}}}, "a")
	s.finds(t, schemas.Query{Index: suiteIndex, Ranges: []schemas.Range{{Field: "views", From: 2, To: 7}}})
}

func (s documentSuite) replay(t *testing.T) {
	var docs []schemas.Document
	for i := range 300 {
		docs = append(docs, looked(fmt.Sprintf("v%03d", i%100), int64(i)))
	}
	s.write(t, docs...)
	for range 2 {
		s.write(t, docs[150:]...)
		s.write(t, docs...)
	}
	s.refresh(t, suiteIndex)
	if hits := s.search(t, schemas.Query{Index: suiteIndex}); hits.Total != 100 || len(hits.Documents) != 0 {
		t.Errorf("after replays: got %d documents and %d of them, want 100 and none", hits.Total, len(hits.Documents))
	}
	for _, d := range docs[200:] {
		s.is(t, d)
	}
}

func (s documentSuite) concurrentWriters(t *testing.T) {
	const writers, versions = 8, 25
	g, ctx := errgroup.WithContext(t.Context())
	for w := range writers {
		g.Go(func() error {
			for _, v := range rand.Perm(versions) {
				if err := s.Write(ctx, looked("a", int64(v*writers+w)), looked(fmt.Sprint("own", w), int64(v))); err != nil {
					return err
				}
			}
			return nil
		})
	}
	if err := g.Wait(); err != nil {
		t.Fatal(err)
	}
	s.is(t, looked("a", writers*versions-1))
	for w := range writers {
		s.is(t, looked(fmt.Sprint("own", w), versions-1))
	}
	s.refresh(t, suiteIndex)
	if hits := s.search(t, schemas.Query{Index: suiteIndex}); hits.Total != writers+1 {
		t.Errorf("found %d documents, want %d", hits.Total, writers+1)
	}
}

func (s documentSuite) deletes(t *testing.T) {
	s.write(t, looked("a", 5), looked("b", 5), looked("c", 5))
	if err := s.Delete(t.Context(), looked("a", 4), looked("b", 5), looked("c", 6), looked("d", 6)); err != nil {
		t.Fatal(err)
	}
	s.is(t, looked("a", 5))
	s.absent(t, suiteIndex, "b")
	s.absent(t, suiteIndex, "c")
	s.refresh(t, suiteIndex)
	s.finds(t, schemas.Query{Index: suiteIndex}, "a")
	s.write(t, looked("b", 6), looked("c", 7))
	s.is(t, looked("b", 6))
	s.refresh(t, suiteIndex)
	s.finds(t, schemas.Query{Index: suiteIndex}, "a", "b", "c")
}

func (s documentSuite) lateAfterDelete(t *testing.T) {
	s.write(t, looked("a", 5), looked("other", 1))
	for range 2 {
		if err := s.Delete(t.Context(), looked("a", 8), looked("never", 8)); err != nil {
			t.Fatal(err)
		}
		s.write(t, looked("a", 5), looked("a", 7), looked("never", 3))
		s.absent(t, suiteIndex, "a")
		s.absent(t, suiteIndex, "never")
	}
	s.refresh(t, suiteIndex)
	hits := s.search(t, schemas.Query{Index: suiteIndex, Limit: 1, Facets: []schemas.Facet{{Field: "device", Limit: 10}}})
	if hits.Total != 1 || len(hits.Facets[0]) != 1 {
		t.Errorf("deleted documents are counted: %+v", hits)
	}
	s.write(t, looked("a", 9))
	s.is(t, looked("a", 9))
}

func (s documentSuite) refusals(t *testing.T) {
	bad := func(id, body string) schemas.Document {
		return schemas.Document{Index: suiteIndex, ID: id, Version: 1, Body: []byte(body)}
	}
	tests := []struct {
		name  string
		doc   schemas.Document
		field string
	}{
		{"an unknown field", bad("x", `{"device":"x","colour":"red"}`), "colour"},
		{"text in a long", bad("x", `{"device":"x","views":"7"}`), "views"},
		{"a list where one is wanted", bad("x", `{"device":"x","login":["a","b"]}`), "login"},
		{"an id that does not follow", bad("x", `{"device":"y"}`), "device"},
		{"no object", bad("x", `7`), ""},
		{"an id that is too long", bad(strings.Repeat("x", 513), `{}`), ""},
		{"a version below zero", schemas.Document{Index: suiteIndex, ID: "x", Version: -1, Body: []byte(`{"device":"x"}`)}, ""},
	}
	for i, test := range tests {
		before, after := looked(fmt.Sprint("before", i), 1), looked(fmt.Sprint("after", i), 1)
		err := s.Write(t.Context(), before, test.doc, after)
		var refused *schemas.Refused
		if !errors.As(err, &refused) || refused.ID != test.doc.ID || refused.Index != suiteIndex || refused.Field != test.field {
			t.Errorf("%s: got %v, want a refusal of field %q of document %q", test.name, err, test.field, clip([]byte(test.doc.ID)))
			continue
		}
		if !strings.Contains(err.Error(), test.field) || len(schemas.RefusedIn(err)) != 1 {
			t.Errorf("%s: %v refuses %d documents, want one, with its field named", test.name, err, len(schemas.RefusedIn(err)))
		}
		s.is(t, before)
		s.is(t, after)
	}
	s.absent(t, suiteIndex, "x")
}

func (s documentSuite) foreignIndex(t *testing.T) {
	for _, index := range []string{"offers-b7", schemas.KindVisitors, "visitors-B7", "visitors-*", ""} {
		doc := looked("a", 1)
		doc.Index = index
		if err := s.Write(t.Context(), doc); err == nil {
			t.Errorf("a document was written to index %q", index)
		}
		if err := s.Drop(t.Context(), index); err == nil {
			t.Errorf("index %q was dropped", index)
		}
	}
	for alias, index := range map[string]string{schemas.KindDecisions: "decisions-2026.11.22", schemas.KindVisitors: "panes-b7", "portal": suiteIndex} {
		if err := s.Alias(t.Context(), alias, index); err == nil {
			t.Errorf("alias %q was set to %s", alias, index)
		}
	}
}

// portal writes a few visitors that queries tell apart.
func (s documentSuite) portal(t *testing.T) {
	t.Helper()
	visitor := func(device, segment, party string, views, booked int64, last schemas.DocTime, styles ...string) schemas.Document {
		return schemas.VisitorDocument{Device: device, State: schemas.StateLive, Generation: 7, Segment: segment, Party: party,
			Views: views, Booked: booked, Last: last, Styles: styles, Distance: float64(views) / 8}.Document(suiteIndex, 1)
	}
	s.write(t,
		visitor("anna", "s1", "family", 5, 900, 1_700_000_000_001_000, "beach", "family"),
		visitor("bert", "s2", "couple", 40, 0, 1_700_000_000_002_000, "quiet", "upscale"),
		visitor("cleo", "s2", "couple", 9, 700, 1_700_000_000_003_999, "quiet"),
		visitor("dora", "", "", 100, 0, 0),
		visitor("Emil", "s1", "solo", 9, -50, 1_600_000_000_000_000, "city"),
	)
	s.refresh(t, suiteIndex)
}

func (s documentSuite) terms(t *testing.T) {
	s.portal(t)
	for _, test := range []struct {
		terms []schemas.Term
		want  []string
	}{
		{nil, []string{"Emil", "anna", "bert", "cleo", "dora"}},
		{term("segment", "s2"), []string{"bert", "cleo"}},
		{term("segment", "S2"), nil},
		{term("segment", "s"), nil},
		{term("segment", "s1", "s2", "s3"), []string{"Emil", "anna", "bert", "cleo"}},
		{term("styles", "quiet", "upscale"), []string{"bert", "cleo"}},
		{slices.Concat(term("styles", "quiet"), term("styles", "upscale")), []string{"bert"}},
		{slices.Concat(term("segment", "s1"), term("party", "couple")), nil},
	} {
		s.finds(t, schemas.Query{Index: suiteIndex, Terms: test.terms}, test.want...)
	}
}

func (s documentSuite) ranges(t *testing.T) {
	s.portal(t)
	for _, test := range []struct {
		field    string
		from, to int64
		want     []string
	}{
		{"views", 9, 40, []string{"Emil", "cleo"}},
		{"views", 9, 41, []string{"Emil", "bert", "cleo"}},
		{"views", math.MinInt64, 9, []string{"anna"}},
		{"views", 41, math.MaxInt64, []string{"dora"}},
		{"booked", -50, 0, []string{"Emil"}},
		{"views", 20, 20, nil},
		{"last", 1_700_000_000_001_000, 1_700_000_000_003_000, []string{"anna", "bert"}},
		{"last", 1_700_000_000_003_000, 1_700_000_000_004_000, []string{"cleo"}},
		{"last", 1_700_000_000_003_500, math.MaxInt64, []string{"cleo"}},
		{"last", math.MinInt64, 1_700_000_000_002_000, []string{"Emil", "anna"}},
		{"last", math.MinInt64, math.MaxInt64, []string{"Emil", "anna", "bert", "cleo"}},
	} {
		s.finds(t, schemas.Query{Index: suiteIndex, Ranges: []schemas.Range{{Field: test.field, From: test.from, To: test.to}}}, test.want...)
	}
}

func (s documentSuite) orders(t *testing.T) {
	s.portal(t)
	for _, test := range []struct {
		sort string
		desc bool
		want string
	}{
		{"", false, "Emil anna bert cleo dora"},
		{"", true, "dora cleo bert anna Emil"},
		{"device", true, "dora cleo bert anna Emil"},
		{"views", false, "anna Emil cleo bert dora"},
		{"views", true, "dora bert Emil cleo anna"},
		{"distance", true, "dora bert Emil cleo anna"},
		{"last", false, "Emil anna bert cleo dora"},
		{"last", true, "cleo bert anna Emil dora"},
		{"segment", false, "Emil anna bert cleo dora"},
		{"segment", true, "bert cleo Emil anna dora"},
		{"booked", false, "Emil cleo anna bert dora"},
	} {
		q := schemas.Query{Index: suiteIndex, Sort: test.sort, Descending: test.desc}
		s.finds(t, q, strings.Fields(test.want)...)
		var paged []string
		for q.Limit = 2; ; {
			hits := s.search(t, q)
			paged = append(paged, idsOf(hits)...)
			if q.After = hits.Next; hits.Next == "" || len(paged) > 5 {
				break
			}
		}
		if got := strings.Join(paged, " "); got != test.want {
			t.Errorf("by %q (descending: %t), two a page: got %s, want %s", test.sort, test.desc, got, test.want)
		}
	}
}

func (s documentSuite) pages(t *testing.T) {
	const documents, page = 5000, 700
	other := schemas.IndexVisitorsSpeed(7)
	var docs []schemas.Document
	for i := range documents {
		d := looked(fmt.Sprintf("v%04d", i), int64(i%50))
		if i%2 == 1 {
			d.Index = other
		}
		docs = append(docs, d)
	}
	twin := looked("v0000", 0) // in both indices
	twin.Index = other
	s.write(t, append(docs, twin)...)
	s.alias(t, schemas.KindVisitors, suiteIndex, other)
	s.refresh(t, schemas.KindVisitors)
	for _, desc := range []bool{false, true} {
		q := schemas.Query{Index: schemas.KindVisitors, Sort: "views", Descending: desc, Limit: page}
		got := make(map[string]bool)
		for pages := 0; pages <= documents/page+2; pages++ {
			hits := s.search(t, q)
			if hits.Total != documents+1 {
				t.Fatalf("total %d, want %d", hits.Total, documents+1)
			}
			for _, d := range hits.Documents {
				if key := d.Index + "/" + d.ID; got[key] {
					t.Errorf("%s came twice", key)
				} else {
					got[key] = true
				}
			}
			if q.After = hits.Next; hits.Next == "" {
				break
			}
		}
		if len(got) != documents+1 {
			t.Errorf("descending %t: the pages have %d documents, want %d", desc, len(got), documents+1)
		}
	}
}

func (s documentSuite) pagesOfMissing(t *testing.T) {
	var want []string
	var docs []schemas.Document
	for i := range 30 {
		d := schemas.VisitorDocument{Device: fmt.Sprintf("v%02d", i)}
		if i < 3 {
			d.Last, d.Party, d.Booked = schemas.DocTime(1_700_000_000_000_000+int64(i)*1_000_000), fmt.Sprint("p", i), int64(i+1)
		}
		docs, want = append(docs, d.Document(suiteIndex, 1)), append(want, d.Device)
	}
	s.write(t, docs...)
	s.refresh(t, suiteIndex)
	for _, sort := range []string{"last", "party", "booked"} {
		q := schemas.Query{Index: suiteIndex, Sort: sort, Limit: 4}
		var got []string
		for range len(want) {
			hits := s.search(t, q)
			got = append(got, idsOf(hits)...)
			if q.After = hits.Next; hits.Next == "" {
				break
			}
		}
		if !slices.Equal(got, want) {
			t.Errorf("by %s, four a page: got %q, want %q", sort, got, want)
		}
	}
	if _, err := s.Search(t.Context(), schemas.Query{Index: suiteIndex, Limit: 1, After: "no place"}); err == nil {
		t.Error("a page begins after what no page gave")
	}
}

func (s documentSuite) facets(t *testing.T) {
	s.portal(t)
	hits := s.search(t, schemas.Query{Index: suiteIndex, Facets: []schemas.Facet{
		{Field: "segment", Limit: 10}, {Field: "styles", Limit: 2}, {Field: "party", Sum: "booked", Limit: 2}, {Field: "party", Sum: "views", Limit: 9},
	}})
	want := [][]schemas.Bucket{
		{{Value: "s1", Count: 2}, {Value: "s2", Count: 2}},
		{{Value: "quiet", Count: 2}, {Value: "beach", Count: 1}},
		{{Value: "family", Count: 1, Sum: 900}, {Value: "couple", Count: 2, Sum: 700}},
		{{Value: "couple", Count: 2, Sum: 49}, {Value: "solo", Count: 1, Sum: 9}, {Value: "family", Count: 1, Sum: 5}},
	}
	if hits.Total != 5 || !slices.EqualFunc(hits.Facets, want, slices.Equal[[]schemas.Bucket]) {
		t.Errorf("facets of %d: got %v, want %v of 5", hits.Total, hits.Facets, want)
	}
	hits = s.search(t, schemas.Query{Index: suiteIndex, Terms: term("segment", "s2"), Limit: 1, Facets: []schemas.Facet{{Field: "party", Sum: "views", Limit: 9}}})
	if want := []schemas.Bucket{{Value: "couple", Count: 2, Sum: 49}}; !slices.Equal(hits.Facets[0], want) || len(hits.Documents) != 1 {
		t.Errorf("facet of a segment: got %v, want %v, of all that was found and not of the page", hits.Facets, want)
	}
	hits = s.search(t, schemas.Query{Index: suiteIndex, Terms: term("segment", "none"), Facets: []schemas.Facet{{Field: "party", Limit: 9}}})
	if len(hits.Facets) != 1 || len(hits.Facets[0]) != 0 {
		t.Errorf("facet of nothing: got %v, want one without values", hits.Facets)
	}
}

func (s documentSuite) unknownField(t *testing.T) {
	s.portal(t)
	for _, q := range []schemas.Query{
		{Index: suiteIndex, Terms: term("colour", "red")},
		{Index: suiteIndex, Sort: "colour"},
		{Index: suiteIndex, Facets: []schemas.Facet{{Field: "colour", Limit: 1}}},
		{Index: suiteIndex, Ranges: []schemas.Range{{Field: "colour", To: 1}}},
	} {
		if hits, err := s.Search(t.Context(), q); err == nil || !strings.Contains(err.Error(), "colour") {
			t.Errorf("search of a field that no document has: got %+v, %v, want an error that names it", hits, err)
		}
	}
	if _, err := s.Search(t.Context(), schemas.Query{Index: "offers"}); err == nil {
		t.Error("search of an index of no kind: got no error")
	}
}

func (s documentSuite) large(t *testing.T) {
	v := schemas.VisitorDocument{Device: "large"}
	for i := range 40_000 {
		v.Customers = append(v.Customers, fmt.Sprintf("customer-%020d", i))
	}
	docs := []schemas.Document{v.Document(suiteIndex, 1), looked("small", 1)}
	for i := range 3 {
		v.Device = fmt.Sprint("more", i)
		docs = append(docs, v.Document(suiteIndex, 1))
	}
	s.write(t, docs...)
	for _, d := range docs {
		s.is(t, d)
	}
	s.refresh(t, suiteIndex)
	s.finds(t, schemas.Query{Index: suiteIndex, Terms: term("customers", "customer-00000000000000039999")}, "large", "more0", "more1", "more2")
	longest := schemas.VisitorDocument{Device: "longest", Segment: strings.Repeat("x", schemas.MaxKeyword)}.Document(suiteIndex, 1)
	s.write(t, longest)
	s.is(t, longest)
	tooLarge := looked("too large", 1)
	tooLarge.Body = append(tooLarge.Body, bytes.Repeat([]byte(" "), schemas.MaxDocument)...)
	var refused *schemas.Refused
	if err := s.Write(t.Context(), tooLarge); !errors.As(err, &refused) {
		t.Errorf("write a document of %d bytes: got %v, want a refusal", len(tooLarge.Body), err)
	}
}

func (s documentSuite) anyText(t *testing.T) {
	devices := []string{"Ünï-çødé/日本?a=b#c %20", `"quoted" \ back`, "two\nlines\ttab", "*", ".", "..", "_all", " leading", "_mapping", "a,b", "😀",
		"\u2028\u0001", "<&>", strings.Repeat("d", schemas.MaxDocumentID), strings.Repeat("long", 300), strings.Repeat("long", 300) + "!"}
	var docs []schemas.Document
	for _, device := range devices {
		docs = append(docs, looked(device, 1))
	}
	s.write(t, docs...)
	s.refresh(t, suiteIndex)
	for i, d := range docs {
		s.is(t, d)
		s.finds(t, schemas.Query{Index: suiteIndex, Terms: term("device", devices[i])}, d.ID)
	}
	if hits := s.search(t, schemas.Query{Index: suiteIndex}); hits.Total != int64(len(devices)) {
		t.Errorf("%d documents, want %d", hits.Total, len(devices))
	}
	if err := s.Delete(t.Context(), docs...); err != nil {
		t.Fatal(err)
	}
	for _, d := range docs {
		s.absent(t, d.Index, d.ID)
	}
}

// aliasSwitch has readers look all the time: a generation has thirty documents,
// so any other number is a moment with none or two.
func (s documentSuite) aliasSwitch(t *testing.T) {
	const documents, switches = 30, 20
	generations := []string{schemas.IndexVisitorsBatch(1), schemas.IndexVisitorsBatch(2)}
	for g, index := range generations {
		var docs []schemas.Document
		for i := range documents {
			d := looked(fmt.Sprint("v", i), int64(g))
			d.Index = index
			docs = append(docs, d)
		}
		s.write(t, docs...)
		s.refresh(t, index)
	}
	s.alias(t, schemas.KindVisitors, generations[0])
	var stop atomic.Bool
	looks := make([]int, 3)
	g, ctx := errgroup.WithContext(t.Context())
	for r := range looks {
		g.Go(func() error {
			for !stop.Load() {
				hits, err := s.Search(ctx, schemas.Query{Index: schemas.KindVisitors, Facets: []schemas.Facet{{Field: "device", Limit: 100}}})
				if err != nil {
					return err
				}
				if hits.Total != documents || len(hits.Facets[0]) != documents {
					return fmt.Errorf("a reader found %d documents of %d visitors, want %d: neither or both generations", hits.Total, len(hits.Facets[0]), documents)
				}
				looks[r]++
			}
			return nil
		})
	}
	for i := range switches {
		s.alias(t, schemas.KindVisitors, generations[(i+1)%2])
	}
	stop.Store(true)
	if err := g.Wait(); err != nil {
		t.Error(err)
	}
	if slices.Min(looks) == 0 {
		t.Errorf("readers looked %v times, want each at least once", looks)
	}
	hits := s.search(t, schemas.Query{Index: schemas.KindVisitors, Limit: 1})
	if len(hits.Documents) != 1 || hits.Documents[0].Index != generations[0] {
		t.Errorf("after the rollback the alias gives %+v, want documents of %s", hits.Documents, generations[0])
	}
}

func (s documentSuite) aliasCreates(t *testing.T) {
	next := schemas.IndexVisitorsSpeed(8)
	s.alias(t, schemas.KindVisitors, suiteIndex, next)
	if got, err := s.Indices(t.Context(), "visitors-"); err != nil || !slices.Equal(got, []string{suiteIndex, next}) {
		t.Errorf("indices: got %q, %v, want both that the alias means", got, err)
	}
	s.write(t, looked("a", 1))
	s.refresh(t, schemas.KindVisitors)
	s.finds(t, schemas.Query{Index: schemas.KindVisitors}, "a")
	s.alias(t, schemas.KindVisitors, next)
	s.alias(t, schemas.KindVisitors, next)
	s.finds(t, schemas.Query{Index: schemas.KindVisitors})
	s.alias(t, schemas.KindVisitors)
	s.alias(t, schemas.KindPanes)
	s.finds(t, schemas.Query{Index: schemas.KindVisitors})
	s.finds(t, schemas.Query{Index: suiteIndex}, "a")
}

func (s documentSuite) decisions(t *testing.T) {
	const day = 86_400_000_000
	var docs []schemas.Document
	for i := range int64(3) {
		docs = append(docs, (&schemas.Decision{Id: fmt.Sprintf("0-%d-segment", i), Device: "a", Offset: i, Time: 1_795_378_500_000_000 + i*day}).Document())
	}
	s.write(t, docs...)
	s.refresh(t, schemas.KindDecisions)
	all := schemas.Query{Index: schemas.KindDecisions, Terms: term("device", "a"), Sort: "@timestamp", Descending: true}
	s.finds(t, all, "0-2-segment", "0-1-segment", "0-0-segment")
	if err := s.Drop(t.Context(), docs[0].Index); err != nil {
		t.Fatal(err)
	}
	s.finds(t, all, "0-2-segment", "0-1-segment")
}

func (s documentSuite) drops(t *testing.T) {
	next := looked("b", 1)
	next.Index = schemas.IndexVisitorsBatch(8)
	s.write(t, looked("a", 5), next)
	s.alias(t, schemas.KindVisitors, suiteIndex, next.Index)
	s.refresh(t, schemas.KindVisitors)
	s.finds(t, schemas.Query{Index: schemas.KindVisitors}, "a", "b")
	if err := s.Drop(t.Context(), suiteIndex, schemas.IndexVisitorsBatch(99)); err != nil {
		t.Fatal(err)
	}
	s.absent(t, suiteIndex, "a")
	s.finds(t, schemas.Query{Index: schemas.KindVisitors}, "b")
	if got, err := s.Indices(t.Context(), ""); err != nil || !slices.Equal(got, []string{next.Index}) {
		t.Errorf("indices: got %q, %v, want %s alone", got, err, next.Index)
	}
	s.write(t, looked("a", 1)) // of a new index: nothing is remembered of the old one
	s.is(t, looked("a", 1))
	s.refresh(t, schemas.KindVisitors)
	s.finds(t, schemas.Query{Index: schemas.KindVisitors}, "b")
}

func (s documentSuite) indices(t *testing.T) {
	other := looked("a", 3)
	other.Index = schemas.IndexVisitorsSpeed(7)
	pane, err := schemas.NewPaneDocument(schemas.PaneKey("views", 28_333_333, "destination=Sylt").Row)
	if err != nil {
		t.Fatal(err)
	}
	s.write(t, looked("a", 5), other, pane.Document(schemas.IndexPanes(7), 7))
	s.is(t, looked("a", 5))
	s.is(t, other)
	for prefix, want := range map[string][]string{
		"":            {schemas.IndexPanes(7), suiteIndex, other.Index},
		"visitors-":   {suiteIndex, other.Index},
		"visitors-b":  {suiteIndex},
		"visitors-b8": nil,
		"pan":         {schemas.IndexPanes(7)},
	} {
		if got, err := s.Indices(t.Context(), prefix); err != nil || !slices.Equal(got, want) {
			t.Errorf("indices %q: got %q, %v, want %q", prefix, got, err, want)
		}
	}
}

func (s documentSuite) deadline(t *testing.T) {
	over, cancel := context.WithDeadline(t.Context(), time.Unix(1, 0))
	defer cancel()
	calls := map[string]func() error{
		"write":   func() error { return s.Write(over, looked("a", 1)) },
		"delete":  func() error { return s.Delete(over, looked("a", 1)) },
		"get":     func() error { _, _, err := s.Get(over, suiteIndex, "a"); return err },
		"refresh": func() error { return s.Refresh(over, suiteIndex) },
		"search":  func() error { _, err := s.Search(over, schemas.Query{Index: suiteIndex}); return err },
		"alias":   func() error { return s.Alias(over, schemas.KindVisitors, suiteIndex) },
		"indices": func() error { _, err := s.Indices(over, ""); return err },
		"drop":    func() error { return s.Drop(over, suiteIndex) },
	}
	for name, call := range calls {
		if err := call(); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("%s after its deadline: got %v, want %v", name, err, context.DeadlineExceeded)
		}
	}
	s.absent(t, suiteIndex, "a")
}

func (s documentSuite) closed(t *testing.T) {
	s.write(t, looked("a", 1))
	for range 2 {
		if err := s.Close(); err != nil {
			t.Fatalf("close: %v", err)
		}
	}
	calls := map[string]func() error{
		"write":   func() error { return s.Write(t.Context(), looked("a", 1)) },
		"delete":  func() error { return s.Delete(t.Context(), looked("a", 1)) },
		"get":     func() error { _, _, err := s.Get(t.Context(), suiteIndex, "a"); return err },
		"refresh": func() error { return s.Refresh(t.Context(), suiteIndex) },
		"search":  func() error { _, err := s.Search(t.Context(), schemas.Query{Index: suiteIndex}); return err },
		"alias":   func() error { return s.Alias(t.Context(), schemas.KindVisitors, suiteIndex) },
		"indices": func() error { _, err := s.Indices(t.Context(), ""); return err },
		"drop":    func() error { return s.Drop(t.Context(), suiteIndex) },
	}
	for name, call := range calls {
		if call() == nil {
			t.Errorf("%s on a closed store: got no error", name)
		}
	}
}
