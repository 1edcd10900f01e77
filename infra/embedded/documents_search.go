package embedded

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/blevesearch/bleve/v2/numeric"
	"github.com/blevesearch/bleve/v2/search"
	"github.com/blevesearch/bleve/v2/search/searcher"
	index "github.com/blevesearch/bleve_index_api"

	"fernweh/schemas"
)

// Get reads what was written last. An index that is not there has no documents.
func (d *Documents) Get(ctx context.Context, name, id string) (doc schemas.Document, found bool, err error) {
	doc = schemas.Document{Index: name, ID: id}
	if found, err = d.get(ctx, &doc); err != nil {
		return doc, false, fmt.Errorf("get document %q of %q: %w", id, name, err)
	}
	return doc, found, nil
}

func (d *Documents) get(ctx context.Context, doc *schemas.Document) (found bool, err error) {
	if err := schemas.CheckIndex(doc.Index); err != nil {
		return false, err
	}
	if err := d.enter(ctx); err != nil {
		return false, err
	}
	defer d.set.RUnlock()
	err = d.look([]string{doc.Index}, func(all []source) error {
		if len(all) == 0 {
			return nil
		}
		at, err := all[0].reader.InternalID(doc.ID)
		if err != nil || at == nil {
			return err
		}
		found, err = all[0].read(at, doc)
		return err
	})
	return found, err
}

// A source is one index at the moment of a search.
type source struct {
	name   string
	reader index.IndexReader
}

// look lends readers of the indices that are there.
func (d *Documents) look(names []string, do func([]source) error) (err error) {
	var all []source
	for _, name := range names {
		s := d.shelves[name]
		if s == nil {
			continue
		}
		i, err := d.desk.borrow(s, d.analysts)
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, d.desk.give(s)) }()
		r, err := i.Reader()
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, r.Close()) }()
		all = append(all, source{name, r})
	}
	return do(all)
}

// read reads a document's body and version; found is false for a deletion.
func (s source) read(at index.IndexInternalID, doc *schemas.Document) (found bool, err error) {
	versions, err := s.reader.DocValueReader([]string{fieldVersion})
	if err != nil {
		return false, err
	}
	if doc.Version, err = readVersion(versions, at); err != nil {
		return false, err
	}
	held, err := s.reader.Document(doc.ID)
	if err != nil || held == nil {
		return false, err
	}
	held.VisitFields(func(f index.Field) {
		if f.Name() == fieldBody {
			doc.Body, found = bytes.Clone(f.Value()), true
		}
	})
	return found, nil
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
	if err := q.Check(); err != nil {
		return hits, err
	}
	f, err := newFinding(q)
	if err != nil {
		return hits, err
	}
	if err := d.enter(ctx); err != nil {
		return hits, err
	}
	defer d.set.RUnlock()
	err = d.look(d.means(q.Index), func(all []source) error {
		for i := range all {
			if err := f.in(ctx, &all[i]); err != nil {
				return fmt.Errorf("index %s: %w", all[i].name, err)
			}
		}
		hits, err = f.result()
		return err
	})
	return hits, err
}

// A place is where a document stands in an order: no two of an alias share one.
type place struct {
	Missing bool   `json:"missing,omitempty"` // the field that is sorted by: then it comes last
	By      []byte `json:"by,omitempty"`      // the field's value as Bleve orders it
	Key     string `json:"key"`
	Index   string `json:"index"`
}

// A hit is a document that was found.
type hit struct {
	place
	from *source
	at   index.IndexInternalID
}

// A finding is a search under way.
type finding struct {
	schemas.Query
	mapping schemas.Mapping
	after   *place
	looked  []string // fields that are looked at in each document
	total   int64
	hits    []hit
	facets  []map[string]*schemas.Bucket
}

func newFinding(q schemas.Query) (*finding, error) {
	m, err := schemas.MappingOf(q.Index)
	if err != nil {
		return nil, err
	}
	f := &finding{Query: q, mapping: m, facets: make([]map[string]*schemas.Bucket, len(q.Facets))}
	f.Sort = cmp.Or(q.Sort, m.Key)
	if q.After != "" {
		f.after = new(place)
		if err := json.Unmarshal([]byte(q.After), f.after); err != nil {
			return nil, fmt.Errorf("after %q: want Hits.Next of the page before", q.After)
		}
	}
	if q.Limit > 0 {
		f.looked = append(f.looked, f.Sort, m.Key)
	}
	for i, facet := range q.Facets {
		f.facets[i] = make(map[string]*schemas.Bucket)
		f.looked = append(f.looked, facet.Field)
		if facet.Sum != "" {
			f.looked = append(f.looked, facet.Sum)
		}
	}
	slices.Sort(f.looked)
	f.looked = slices.Compact(f.looked)
	return f, nil
}

// compare orders places.
func (f *finding) compare(a, b place) int {
	if a.Missing != b.Missing {
		if a.Missing {
			return 1
		}
		return -1
	}
	by := bytes.Compare(a.By, b.By)
	if f.Descending {
		by = -by
	}
	return cmp.Or(by, strings.Compare(a.Key, b.Key), strings.Compare(a.Index, b.Index))
}

// in goes over what one index has for the query.
func (f *finding) in(ctx context.Context, s *source) (err error) {
	found, err := f.searcher(ctx, s.reader)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, found.Close()) }()
	values, err := s.reader.DocValueReader(f.looked)
	if err != nil {
		return err
	}
	pool := &search.SearchContext{
		DocumentMatchPool: search.NewDocumentMatchPool(found.DocumentMatchPoolSize()+1, 0), IndexReader: s.reader,
	}
	const look = 1024 // at the clock, every so many documents
	seen := terms{mapping: f.mapping, of: make(map[string][][]byte, len(f.looked))}
	for n := 1; ; n++ {
		match, err := found.Next(pool)
		if err != nil || match == nil {
			return err
		}
		if n%look == 0 && ctx.Err() != nil {
			return ctx.Err()
		}
		f.total++
		if len(f.looked) > 0 {
			if err := seen.read(values, match.IndexInternalID); err != nil {
				return err
			}
			if err := f.note(&seen, s, match.IndexInternalID); err != nil {
				return err
			}
		}
		pool.DocumentMatchPool.Put(match)
	}
}

// terms are the values of one document as Bleve orders them, by field.
type terms struct {
	mapping schemas.Mapping
	of      map[string][][]byte
}

// read takes the place of what was read before. Of a number Bleve also holds
// coarser steps, which make ranges quick and are no values.
func (t *terms) read(from index.DocValueReader, at index.IndexInternalID) error {
	for field, terms := range t.of {
		t.of[field] = terms[:0]
	}
	return from.VisitDocValues(at, func(name string, term []byte) {
		f, _ := t.mapping.Field(name)
		if f.Type != schemas.FieldKeyword && (len(term) == 0 || term[0] != numeric.ShiftStartInt64) {
			return
		}
		t.of[name] = append(t.of[name], bytes.Clone(term))
	})
}

// note takes a document into the page and the facets.
func (f *finding) note(t *terms, s *source, at index.IndexInternalID) error {
	for i, facet := range f.Facets {
		if err := count(f.facets[i], facet, t); err != nil {
			return err
		}
	}
	if f.Limit == 0 {
		return nil
	}
	h := hit{place: place{Index: s.name}, from: s}
	if key := t.of[f.mapping.Key]; len(key) > 0 {
		h.Key = string(key[0])
	}
	if by := t.of[f.Sort]; len(by) > 0 {
		h.By = by[0]
	} else {
		h.Missing = true
	}
	if f.after != nil && f.compare(h.place, *f.after) <= 0 {
		return nil
	}
	h.at = bytes.Clone(at)
	f.hits = append(f.hits, h)
	if len(f.hits) >= 2*f.Limit+1000 { // now and then, so that it costs little
		f.page()
	}
	return nil
}

// count adds a document to a facet.
func count(buckets map[string]*schemas.Bucket, facet schemas.Facet, t *terms) error {
	var n int64
	if numbers := t.of[facet.Sum]; len(numbers) > 0 {
		var err error
		if n, err = numeric.PrefixCoded(numbers[0]).Int64(); err != nil {
			return err
		}
	}
	for _, value := range t.of[facet.Field] {
		b := buckets[string(value)]
		if b == nil {
			b = &schemas.Bucket{Value: string(value)}
			buckets[b.Value] = b
		}
		b.Count, b.Sum = b.Count+1, b.Sum+n
	}
	return nil
}

// page sorts the hits and keeps those of the page.
func (f *finding) page() {
	slices.SortFunc(f.hits, func(a, b hit) int { return f.compare(a.place, b.place) })
	f.hits = f.hits[:min(len(f.hits), f.Limit)]
}

// result reads the documents of the page.
func (f *finding) result() (schemas.Hits, error) {
	hits := schemas.Hits{Total: f.total}
	f.page()
	for _, h := range f.hits {
		id, err := h.from.reader.ExternalID(h.at)
		if err != nil {
			return hits, err
		}
		doc := schemas.Document{Index: h.Index, ID: id}
		if _, err := h.from.read(h.at, &doc); err != nil {
			return hits, fmt.Errorf("read document %q of %q: %w", id, h.Index, err)
		}
		hits.Documents = append(hits.Documents, doc)
	}
	if n := len(f.hits); n > 0 && n == f.Limit {
		next, err := json.Marshal(f.hits[n-1].place)
		if err != nil {
			return hits, err
		}
		hits.Next = string(next)
	}
	for i, facet := range f.Facets {
		hits.Facets = append(hits.Facets, first(f.facets[i], facet))
	}
	return hits, nil
}

// first are the buckets with the highest sums or counts.
func first(buckets map[string]*schemas.Bucket, facet schemas.Facet) []schemas.Bucket {
	var all []schemas.Bucket
	for _, b := range buckets {
		all = append(all, *b)
	}
	slices.SortFunc(all, func(a, b schemas.Bucket) int {
		most := cmp.Compare(b.Count, a.Count)
		if facet.Sum != "" {
			most = cmp.Compare(b.Sum, a.Sum)
		}
		return cmp.Or(most, strings.Compare(a.Value, b.Value))
	})
	return all[:min(len(all), facet.Limit)]
}

// searcher finds what is no deletion and meets all terms and ranges.
func (f *finding) searcher(ctx context.Context, r index.IndexReader) (search.Searcher, error) {
	unscored := search.SearcherOptions{Score: "none"}
	living, err := searcher.NewTermSearcher(ctx, r, live, fieldLive, weight, unscored)
	if err != nil {
		return nil, err
	}
	all := []search.Searcher{living}
	add := func(s search.Searcher, err error) error {
		if err == nil {
			all = append(all, s)
		}
		return err
	}
	for _, t := range f.Terms {
		err = errors.Join(err, add(searcher.NewMultiTermSearcher(ctx, r, t.Values, t.Field, weight, unscored, false)))
	}
	for _, b := range f.Ranges {
		first, last, some := f.bounds(b)
		if !some {
			err = errors.Join(err, add(searcher.NewMatchNoneSearcher(r)))
			continue
		}
		err = errors.Join(err, add(within(ctx, r, b.Field, first, last, unscored)))
	}
	if err != nil {
		for _, s := range all {
			err = errors.Join(err, s.Close())
		}
		return nil, err
	}
	if len(all) == 1 {
		return living, nil
	}
	return searcher.NewConjunctionSearcher(ctx, r, all, unscored)
}

// bounds are the least and the greatest number in a range; some is false where
// there is none. Dates lie there in whole milliseconds.
func (f *finding) bounds(r schemas.Range) (first, last int64, some bool) {
	from, to := r.From, r.To
	if field, _ := f.mapping.Field(r.Field); field.Type == schemas.FieldDate {
		const milli = 1000
		from = max(from, 0) / milli * milli
		if to != math.MaxInt64 {
			to = max(to, 0) / milli * milli
		}
	}
	if to == math.MaxInt64 { // open
		return from, to, true
	}
	return from, to - 1, from < to
}
