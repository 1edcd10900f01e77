package infratest

import (
	"cmp"
	"fmt"
	"maps"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"fernweh/schemas"
)

// A spot is where one document lies.
type spot struct{ index, device string }

// A versioned visitor, or, without one, the deletion of it.
type versioned struct {
	version int64
	visitor *schemas.VisitorDocument
}

// A documentModel is what the store must hold of one history, as a map.
type documentModel struct {
	history string // the value of the field model in each of its documents
	at      map[spot]versioned
}

// set is Write and Delete: the highest version stays, of equals the later.
func (m documentModel) set(at spot, v versioned) {
	if v.version >= m.at[at].version {
		m.at[at] = v
	}
}

// documentHistories compares a store with the model after random writes and
// deletions, of two indices and of their alias, by random queries.
func documentHistories(t *testing.T, store documentSuite) {
	indices := []string{schemas.IndexVisitorsBatch(1), schemas.IndexVisitorsSpeed(1)}
	store.alias(t, schemas.KindVisitors, indices...)
	run, histories := rand.Uint64(), 0
	rapid.Check(t, func(rt *rapid.T) {
		histories++
		m := documentModel{fmt.Sprintf("%x/%d", run, histories), make(map[spot]versioned)}
		for range rapid.IntRange(1, 5).Draw(rt, "steps") {
			var docs []schemas.Document
			deletes := rapid.IntRange(0, 3).Draw(rt, "kind") == 0
			for range rapid.IntRange(1, 8).Draw(rt, "documents") {
				docs = append(docs, m.draw(rt, rapid.SampledFrom(indices).Draw(rt, "index"), deletes))
			}
			act, name := store.Write, "write"
			if deletes {
				act, name = store.Delete, "delete"
			}
			if err := act(rt.Context(), docs...); err != nil {
				rt.Fatalf("%s: %v", name, err)
			}
			m.compareGets(rt, store, docs)
		}
		if err := store.Refresh(rt.Context(), schemas.KindVisitors); err != nil {
			rt.Fatalf("refresh: %v", err)
		}
		for range 3 {
			m.compareSearch(rt, store, m.query(rt, append(indices, schemas.KindVisitors)))
		}
	})
}

// draw draws a document, or the deletion of one, that the model takes too.
func (m documentModel) draw(rt *rapid.T, index string, deletes bool) schemas.Document {
	v := schemas.VisitorDocument{
		Device: m.history + "/" + rapid.SampledFrom([]string{"a", "B", "ä", "日", "a b"}).Draw(rt, "device"), Model: m.history,
		Segment:    rapid.SampledFrom([]string{"", "s1", "s2"}).Draw(rt, "segment"),
		Generation: rapid.SampledFrom([]int64{0, 1, 2, -1, 1 << 53, 1<<53 + 1, math.MaxInt64, math.MinInt64}).Draw(rt, "generation"),
		Booked:     rapid.Int64Range(-2, 2).Draw(rt, "booked"),
		Last:       schemas.DocTime(rapid.Int64Range(0, 3).Draw(rt, "last") * 1000),
		Styles:     rapid.SliceOfN(rapid.SampledFrom([]string{"city", "quiet"}), 0, 2).Draw(rt, "styles"),
	}
	version := rapid.Int64Range(0, 4).Draw(rt, "version")
	doc := v.Document(index, version)
	if deletes {
		m.set(spot{index, v.Device}, versioned{version, nil})
		doc.Body = nil
	} else {
		m.set(spot{index, v.Device}, versioned{version, &v})
	}
	return doc
}

// compareGets reads documents and compares them with the model.
func (m documentModel) compareGets(rt *rapid.T, store DocumentStore, docs []schemas.Document) {
	for _, d := range docs {
		got, found, err := store.Get(rt.Context(), d.Index, d.ID)
		if err != nil {
			rt.Fatalf("get: %v", err)
		}
		want := m.at[spot{d.Index, d.ID}]
		if found != (want.visitor != nil) {
			rt.Fatalf("document %s of %s: found: %t, want %t", d.ID, d.Index, found, want.visitor != nil)
		}
		if !found {
			continue
		}
		if body := want.visitor.Document(d.Index, 0).Body; got.Version != want.version || string(got.Body) != string(body) {
			rt.Fatalf("document %s of %s: got version %d %s, want version %d %s", d.ID, d.Index, got.Version, got.Body, want.version, body)
		}
	}
}

// query draws a query for documents of the history.
func (m documentModel) query(rt *rapid.T, names []string) schemas.Query {
	q := schemas.Query{
		Index: rapid.SampledFrom(names).Draw(rt, "name"), Terms: term("model", m.history), Limit: rapid.IntRange(1, 4).Draw(rt, "limit"),
		Sort:       rapid.SampledFrom([]string{"", "segment", "generation", "booked", "last"}).Draw(rt, "sort"),
		Descending: rapid.Bool().Draw(rt, "descending"),
		Facets:     []schemas.Facet{{Field: "styles", Limit: 5}, {Field: "segment", Sum: "booked", Limit: 1}},
	}
	if rapid.Bool().Draw(rt, "term?") {
		q.Terms = append(q.Terms, schemas.Term{Field: "segment", Values: []string{"s1"}})
	}
	if rapid.Bool().Draw(rt, "range?") {
		q.Ranges = []schemas.Range{{
			Field: rapid.SampledFrom([]string{"generation", "booked"}).Draw(rt, "ranged"),
			From:  rapid.SampledFrom([]int64{math.MinInt64, -1, 0, 1 << 53}).Draw(rt, "from"),
			To:    rapid.SampledFrom([]int64{math.MaxInt64, 2, 0, 1<<53 + 1}).Draw(rt, "to"),
		}}
	}
	return q
}

// compareSearch goes through all pages and compares them with the model.
func (m documentModel) compareSearch(rt *rapid.T, store DocumentStore, q schemas.Query) {
	want := m.find(q)
	var got []spot
	for {
		hits, err := store.Search(rt.Context(), q)
		if err != nil {
			rt.Fatalf("search %+v: %v", q, err)
		}
		if hits.Total != int64(len(want)) {
			rt.Fatalf("search %+v: total %d, want %d", q, hits.Total, len(want))
		}
		if facets := m.facets(q, want); fmt.Sprint(hits.Facets) != fmt.Sprint(facets) {
			rt.Fatalf("search %+v: facets %v, want %v", q, hits.Facets, facets)
		}
		for _, d := range hits.Documents {
			got = append(got, spot{d.Index, d.ID})
		}
		if q.After = hits.Next; hits.Next == "" || len(got) > len(want) {
			break
		}
	}
	if !slices.Equal(got, want) {
		rt.Fatalf("search %+v: got %s\nwant %s", q, m.list(got), m.list(want))
	}
}

// find is the model's answer, in order.
func (m documentModel) find(q schemas.Query) []spot {
	var all []spot
	for at, v := range m.at {
		if v.visitor != nil && (at.index == q.Index || q.Index == schemas.KindVisitors) && meets(v.visitor, q) {
			all = append(all, at)
		}
	}
	slices.SortFunc(all, func(a, b spot) int {
		return cmp.Or(compareBy(m.at[a].visitor, m.at[b].visitor, q), strings.Compare(a.device, b.device), strings.Compare(a.index, b.index))
	})
	return all
}

// meets says whether a visitor meets the terms and ranges that query draws.
func meets(v *schemas.VisitorDocument, q schemas.Query) bool {
	if len(q.Terms) > 1 && v.Segment != "s1" {
		return false
	}
	for _, r := range q.Ranges {
		n := v.Generation
		if r.Field == "booked" {
			if n = v.Booked; n == 0 {
				return false // the field is left out
			}
		}
		if n < r.From && r.From != math.MinInt64 || n >= r.To && r.To != math.MaxInt64 {
			return false
		}
	}
	return true
}

// compareBy orders by the field alone. What is zero in most fields is left out,
// and comes last.
func compareBy(a, b *schemas.VisitorDocument, q schemas.Query) int {
	var order int
	missing := func(v *schemas.VisitorDocument) bool { return false }
	switch q.Sort {
	case "segment":
		order = strings.Compare(a.Segment, b.Segment)
		missing = func(v *schemas.VisitorDocument) bool { return v.Segment == "" }
	case "generation":
		order = cmp.Compare(a.Generation, b.Generation)
	case "booked":
		order = cmp.Compare(a.Booked, b.Booked)
		missing = func(v *schemas.VisitorDocument) bool { return v.Booked == 0 }
	case "last":
		order = cmp.Compare(a.Last, b.Last)
		missing = func(v *schemas.VisitorDocument) bool { return v.Last == 0 }
	default:
		order = strings.Compare(a.Device, b.Device)
	}
	if missing(a) != missing(b) {
		if missing(a) {
			return 1
		}
		return -1
	}
	if q.Descending {
		return -order
	}
	return order
}

// facets is the model's answer to the facets that query draws.
func (m documentModel) facets(q schemas.Query, found []spot) [][]schemas.Bucket {
	styles, segments := map[string]schemas.Bucket{}, map[string]schemas.Bucket{}
	for _, at := range found {
		v := m.at[at].visitor
		for _, style := range slices.Compact(slices.Sorted(slices.Values(v.Styles))) {
			styles[style] = schemas.Bucket{Value: style, Count: styles[style].Count + 1}
		}
		if v.Segment != "" {
			b := segments[v.Segment]
			segments[v.Segment] = schemas.Bucket{Value: v.Segment, Count: b.Count + 1, Sum: b.Sum + v.Booked}
		}
	}
	list := func(of map[string]schemas.Bucket, limit int, most func(schemas.Bucket) int64) []schemas.Bucket {
		all := slices.SortedFunc(maps.Values(of), func(a, b schemas.Bucket) int {
			return cmp.Or(cmp.Compare(most(b), most(a)), strings.Compare(a.Value, b.Value))
		})
		return all[:min(len(all), limit)]
	}
	return [][]schemas.Bucket{
		list(styles, q.Facets[0].Limit, func(b schemas.Bucket) int64 { return b.Count }),
		list(segments, q.Facets[1].Limit, func(b schemas.Bucket) int64 { return b.Sum }),
	}
}

// list shows documents of the model, a line each.
func (m documentModel) list(all []spot) string {
	var b strings.Builder
	for _, at := range all {
		fmt.Fprintf(&b, "\n%s: %s", at.index, m.at[at].visitor.Document(at.index, 0).Body)
	}
	return b.String()
}
