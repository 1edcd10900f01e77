package elastic

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"math"
	"strconv"

	"github.com/elastic/go-elasticsearch/v8/esapi"

	"fernweh/schemas"
)

// Get reads what was written last, refreshed or not. An index that is not there
// has no documents.
func (d *Documents) Get(ctx context.Context, index, id string) (doc schemas.Document, found bool, err error) {
	if doc, found, err = d.get(ctx, index, id); err != nil {
		return doc, false, fmt.Errorf("get document %q of %q: %w", clip(id), index, err)
	}
	return doc, found, nil
}

func (d *Documents) get(ctx context.Context, index, id string) (doc schemas.Document, found bool, err error) {
	if err := d.enter(ctx); err != nil {
		return doc, false, err
	}
	defer d.calls.Done()
	if err := schemas.CheckIndex(index); err != nil {
		return doc, false, err
	}
	// The id stands in the body: in a path some bytes would mean something else.
	body, err := json.Marshal(struct {
		IDs []string `json:"ids"`
	}{[]string{id}})
	if err != nil {
		return doc, false, err
	}
	var answer struct {
		Docs []struct {
			Found   bool
			Version int64           `json:"_version"`
			Source  json.RawMessage `json:"_source"`
			Error   *struct{ Type, Reason string }
		}
	}
	err = d.call(ctx, "get", func() request {
		return esapi.MgetRequest{Index: d.name(index), Body: bytes.NewReader(body)}
	}, &answer)
	if err != nil || len(answer.Docs) == 0 {
		return doc, false, err
	}
	got := answer.Docs[0]
	if got.Error != nil && got.Error.Type != typeNoIndex {
		return doc, false, fmt.Errorf("%s: %s", got.Error.Type, got.Error.Reason)
	}
	return schemas.Document{Index: index, ID: id, Version: got.Version, Body: got.Source}, got.Found, nil
}

// A dsl is a piece of Elasticsearch's query language, whose keys are the names
// of fields and of what is asked of them.
type dsl map[string]any

// A searchBody is a search as the server takes it.
type searchBody struct {
	Query       dsl             `json:"query"`
	Size        int             `json:"size"`
	Sort        []dsl           `json:"sort,omitempty"`
	SearchAfter json.RawMessage `json:"search_after,omitempty"`
	Aggs        dsl             `json:"aggs,omitempty"`
	Version     bool            `json:"version"`
	Total       bool            `json:"track_total_hits"`
}

// Search finds documents of an index or alias. One that is not there has none.
func (d *Documents) Search(ctx context.Context, q schemas.Query) (schemas.Hits, error) {
	hits, err := d.search(ctx, q)
	if err != nil {
		return schemas.Hits{}, fmt.Errorf("search %q: %w", q.Index, err)
	}
	return hits, nil
}

func (d *Documents) search(ctx context.Context, q schemas.Query) (hits schemas.Hits, err error) {
	if err := d.enter(ctx); err != nil {
		return hits, err
	}
	defer d.calls.Done()
	if err := q.Check(); err != nil {
		return hits, err
	}
	s, err := translate(q)
	if err != nil {
		return hits, err
	}
	body, err := json.Marshal(s)
	if err != nil {
		return hits, err
	}
	yes, no := true, false
	var answer searchAnswer
	err = d.call(ctx, "search", func() request {
		return esapi.SearchRequest{
			Index: []string{d.name(q.Index)}, Body: bytes.NewReader(body),
			IgnoreUnavailable: &yes, AllowNoIndices: &yes, AllowPartialSearchResults: &no,
		}
	}, &answer)
	if err == nil {
		err = answer.err()
	}
	if err != nil {
		return hits, err
	}
	return d.read(q, answer), nil
}

// translate puts a query into the server's words.
func translate(q schemas.Query) (searchBody, error) {
	s := searchBody{Query: dsl{"match_all": dsl{}}, Size: q.Limit, Version: true, Total: true}
	m, err := schemas.MappingOf(q.Index)
	if err != nil {
		return s, err
	}
	if filters := filters(m, q); len(filters) > 0 {
		s.Query = dsl{"bool": dsl{"filter": filters}}
	}
	if q.Limit > 0 {
		s.Sort = order(m, q)
	}
	if q.After != "" {
		var place []json.RawMessage
		if json.Unmarshal([]byte(q.After), &place) != nil || len(place) != len(s.Sort) {
			return s, fmt.Errorf("after %q: want Hits.Next of the page before", clip(q.After))
		}
		s.SearchAfter = json.RawMessage(q.After)
	}
	s.Aggs = facets(q.Facets)
	return s, nil
}

// filters are the conditions of a query.
func filters(m schemas.Mapping, q schemas.Query) (all []dsl) {
	for _, t := range q.Terms {
		all = append(all, dsl{"terms": dsl{t.Field: t.Values}})
	}
	for _, r := range q.Ranges {
		bounds := dsl{}
		f, _ := m.Field(r.Field)
		if r.From != math.MinInt64 {
			bounds["gte"] = bound(f, r.From)
		}
		if r.To != math.MaxInt64 {
			bounds["lt"] = bound(f, r.To)
		}
		all = append(all, dsl{"range": dsl{r.Field: bounds}})
	}
	return all
}

// bound is one end of a range.
func bound(f schemas.Field, n int64) any {
	if f.Type == schemas.FieldDate {
		return schemas.DocTime(n).String()
	}
	return n
}

// order sorts by a field, then by what no two documents of an index share, then by the index.
func order(m schemas.Mapping, q schemas.Query) []dsl {
	var by []dsl
	if q.Sort != "" && q.Sort != m.Key {
		by = append(by, dsl{q.Sort: dsl{"order": direction(q.Descending), "missing": "_last"}})
		return append(by, dsl{m.Key: "asc"}, dsl{"_index": "asc"})
	}
	return append(by, dsl{m.Key: direction(q.Descending)}, dsl{"_index": "asc"})
}

func direction(descending bool) string {
	if descending {
		return "desc"
	}
	return "asc"
}

// perShard is up to how many values of a facet on one shard its counts are exact.
const perShard = 10_000

// facets asks for the counts and sums of a query.
func facets(all []schemas.Facet) dsl {
	aggs := dsl{}
	for i, f := range all {
		order := []dsl{{"_count": "desc"}, {"_key": "asc"}}
		facet := dsl{}
		if f.Sum != "" {
			order[0] = dsl{"sum": "desc"}
			facet["aggs"] = dsl{"sum": dsl{"sum": dsl{"field": f.Sum}}}
		}
		facet["terms"] = dsl{"field": f.Field, "size": f.Limit, "shard_size": perShard, "order": order}
		aggs[strconv.Itoa(i)] = facet
	}
	return aggs
}

// A searchAnswer is what the server found.
type searchAnswer struct {
	shards
	TimedOut bool `json:"timed_out"`
	Hits     struct {
		Total struct{ Value int64 }
		Hits  []struct {
			Index   string          `json:"_index"`
			ID      string          `json:"_id"`
			Version int64           `json:"_version"`
			Source  json.RawMessage `json:"_source"`
			Sort    json.RawMessage
		}
	}
	Aggregations map[string]struct {
		Buckets []struct {
			Key   string
			Count int64 `json:"doc_count"`
			Sum   struct{ Value float64 }
		}
	}
}

func (a searchAnswer) err() error {
	if a.TimedOut {
		return fmt.Errorf("the server gave up before it had all")
	}
	return a.shards.err()
}

// read is the answer in our words.
func (d *Documents) read(q schemas.Query, a searchAnswer) schemas.Hits {
	hits := schemas.Hits{Total: a.Hits.Total.Value}
	for _, h := range a.Hits.Hits {
		hits.Documents = append(hits.Documents, schemas.Document{
			Index: d.unname(h.Index), ID: h.ID, Version: h.Version, Body: h.Source,
		})
	}
	if n := len(a.Hits.Hits); n > 0 && n == q.Limit {
		hits.Next = string(a.Hits.Hits[n-1].Sort)
	}
	for i := range q.Facets {
		var buckets []schemas.Bucket
		for _, b := range a.Aggregations[strconv.Itoa(i)].Buckets {
			buckets = append(buckets, schemas.Bucket{Value: b.Key, Count: b.Count, Sum: int64(math.Round(b.Sum.Value))})
		}
		hits.Facets = append(hits.Facets, buckets)
	}
	return hits
}
