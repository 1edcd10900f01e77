package embedded_test

import (
	"bytes"
	"math"
	"testing"

	"github.com/blevesearch/bleve/v2/numeric"
	"pgregory.net/rapid"

	"fernweh/infra/embedded"
	"fernweh/infra/infratest"
)

// documents opens a store in a directory of the test.
func documents(t testing.TB, dir string) *embedded.Documents {
	t.Helper()
	d, err := embedded.OpenDocuments(dir)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func TestDocuments(t *testing.T) {
	infratest.Documents(t, func(t *testing.T) infratest.DocumentStore { return documents(t, t.TempDir()) })
}

// TestRangesAreCovered: of the terms of a range exactly one stands for a number
// in it and none for any other, and they are few wherever it lies.
func TestRangesAreCovered(t *testing.T) {
	numbers := rapid.OneOf(rapid.Int64(), rapid.Int64Range(-300, 300), rapid.Custom(func(t *rapid.T) int64 {
		edge := rapid.SampledFrom([]int64{math.MinInt64, math.MaxInt64 - 600, 1<<28 - 300, 1<<56 - 300, -1<<35 - 300}).Draw(t, "edge")
		return edge + rapid.Int64Range(0, 600).Draw(t, "off")
	}))
	rapid.Check(t, func(t *rapid.T) {
		first, last, n := numbers.Draw(t, "first"), numbers.Draw(t, "last"), numbers.Draw(t, "n")
		terms := embedded.Cover(first, last)
		if len(terms) > 480 {
			t.Fatalf("%d terms for the numbers from %d to %d, want at most 480", len(terms), first, last)
		}
		stand := 0
		for _, term := range terms {
			shift, err := term.Shift()
			if err != nil {
				t.Fatal(err)
			}
			if bytes.Equal(term, numeric.MustNewPrefixCodedInt64(n, shift)) {
				stand++
			}
		}
		want := 0
		if first <= n && n <= last {
			want = 1
		}
		if stand != want {
			t.Fatalf("%d terms from %d to %d stand for %d, want %d", stand, first, last, n, want)
		}
	})
}
