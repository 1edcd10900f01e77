package schemas

import (
	"fmt"
	"strings"
)

// A Query finds documents of one index or alias that meet all of its terms and
// ranges. The zero value of everything but Index finds all, and gives their
// number alone.
type Query struct {
	Index      string // or an alias
	Terms      []Term
	Ranges     []Range
	Sort       string // a field; empty: the mapping's key. Documents without it come last
	Descending bool
	Limit      int    // how many documents; 0: none
	After      string // Hits.Next of the page before; the rest of the query must be the same
	Facets     []Facet
}

// A Term asks that a keyword field is one of some values.
type Term struct {
	Field  string
	Values []string
}

// A Range asks that a long field, or a date in UTC microseconds, lies in
// [From, To). Dates have milliseconds: what a bound has beyond them does not count.
type Range struct {
	Field    string
	From, To int64 // math.MinInt64 and math.MaxInt64 are open
}

// A Facet counts what was found by the values of a keyword field. Of a list
// each value counts.
type Facet struct {
	Field string
	Sum   string // a long field that is summed up; empty: none
	Limit int    // how many values: those with the highest sums, or, without Sum, counts
}

// A Bucket is one value of a facet.
type Bucket struct {
	Value string
	Count int64
	Sum   int64 // exact up to 2^53
}

// Hits is what a query found.
type Hits struct {
	Total     int64      // all that was found, exact
	Documents []Document // at most Query.Limit, by Query.Sort, then by key and index
	Next      string     // for Query.After; empty: there are no more documents. After a full page there may be none
	Facets    [][]Bucket // of everything found, by Query.Facets; of equals the lesser value comes first. Exact up to 10,000 values
}

// Bounds of a query.
const (
	MaxHits    = 10_000 // documents of one page
	MaxBuckets = 1_000  // values of one facet
	MaxTerms   = 1_000  // values of one term
)

// Check says what is wrong with a query. To ask for a field that no document has
// is an error, not an empty answer.
func (q Query) Check() error {
	if err := q.check(); err != nil {
		return fmt.Errorf("query of %q: %w", q.Index, err)
	}
	return nil
}

func (q Query) check() error {
	m, err := MappingOf(q.Index)
	if err != nil {
		return err
	}
	if strings.Contains(q.Index, "-") {
		if err := CheckIndex(q.Index); err != nil {
			return err
		}
	}
	if q.Limit < 0 || q.Limit > MaxHits {
		return fmt.Errorf("limit %d: want from 0 to %d", q.Limit, MaxHits)
	}
	for _, t := range q.Terms {
		if err := m.want("term", t.Field, FieldKeyword); err != nil {
			return err
		}
		if len(t.Values) == 0 || len(t.Values) > MaxTerms {
			return fmt.Errorf("term %q: %d values, want from 1 to %d", t.Field, len(t.Values), MaxTerms)
		}
	}
	for _, r := range q.Ranges {
		if err := m.want("range", r.Field, FieldLong, FieldDate); err != nil {
			return err
		}
	}
	if err := m.checkSort(q.Sort); err != nil {
		return err
	}
	return m.checkFacets(q.Facets)
}

// checkSort refuses a list: it has no one place in an order.
func (m Mapping) checkSort(field string) error {
	if field == "" {
		return nil
	}
	if err := m.want("sort", field, FieldKeyword, FieldLong, FieldDouble, FieldDate); err != nil {
		return err
	}
	if f, _ := m.Field(field); f.List {
		return fmt.Errorf("sort %q: it is a list", field)
	}
	return nil
}

func (m Mapping) checkFacets(facets []Facet) error {
	for _, f := range facets {
		if err := m.want("facet", f.Field, FieldKeyword); err != nil {
			return err
		}
		if f.Sum != "" {
			if err := m.want("sum of facet", f.Sum, FieldLong); err != nil {
				return err
			}
		}
		if f.Limit < 1 || f.Limit > MaxBuckets {
			return fmt.Errorf("facet %q: limit %d, want from 1 to %d", f.Field, f.Limit, MaxBuckets)
		}
	}
	return nil
}

// want expects a field of one of some types.
func (m Mapping) want(use, name string, types ...FieldType) error {
	f, ok := m.Field(name)
	if !ok {
		return fmt.Errorf("%s %q: %s have no such field; they have %s", use, name, m.Kind, m.names())
	}
	for _, t := range types {
		if f.Type == t {
			return nil
		}
	}
	return fmt.Errorf("%s %q: it is a %s, want %v", use, name, f.Type, types)
}
