package embedded

import (
	"context"
	"errors"

	"github.com/blevesearch/bleve/v2/numeric"
	"github.com/blevesearch/bleve/v2/search"
	"github.com/blevesearch/bleve/v2/search/searcher"
	index "github.com/blevesearch/bleve_index_api"
)

// step is by how many bits each of the coarser terms that Bleve holds of a
// number drops more than the one before.
const step = 4

// cover gives the terms under which lie exactly the numbers from first to last,
// both included: at most 30 a step. Bleve's own search for a range counts from one term to
// the next byte by byte, though only seven bits of each are in use, and
// does not come to an end where many of them carry over, as from -1 to 0.
func cover(first, last int64, term func(numeric.PrefixCoded)) {
	const (
		sign  = 1 << 63 // with it flipped, numbers order like unsigned ones
		below = 1<<step - 1
	)
	low, high := uint64(first)^sign, uint64(last)^sign
	for shift := uint(0); low <= high; shift += step {
		top := shift+step >= 64
		give := func(n uint64) { term(numeric.MustNewPrefixCodedInt64(int64(n<<shift^sign), shift)) }
		for ; top || low&below != 0; low++ {
			give(low)
			if low == high {
				return
			}
		}
		for ; high&below != below; high-- {
			give(high)
			if high == low {
				return
			}
		}
		low, high = low>>step, high>>step
	}
}

// within finds the documents of which a field is a number from first to last.
func within(ctx context.Context, r index.IndexReader, field string, first, last int64, how search.SearcherOptions) (found search.Searcher, err error) {
	contains := func([]byte) (bool, error) { return true, nil }
	if quick, ok := r.(index.IndexReaderContains); ok {
		dict, err := quick.FieldDictContains(field)
		if err != nil {
			return nil, err
		}
		contains = dict.Contains
		if closer, ok := dict.(index.FieldDict); ok {
			defer func() { err = errors.Join(err, closer.Close()) }()
		}
	}
	var terms [][]byte
	cover(first, last, func(t numeric.PrefixCoded) {
		there, e := contains(t)
		err = errors.Join(err, e)
		if there {
			terms = append(terms, t)
		}
	})
	if err != nil {
		return nil, err
	}
	if len(terms) == 0 {
		return searcher.NewMatchNoneSearcher(r)
	}
	return searcher.NewMultiTermSearcherBytes(ctx, r, terms, field, weight, how, false)
}

// weight is that of every term: nothing is scored.
const weight = 1
