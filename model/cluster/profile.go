package cluster

import (
	"cmp"
	"math"
	"slices"
	"strings"
)

// A Profile is a segment as a person wants to see it.
type Profile struct {
	ID          string       `json:"id"`
	Name        string       `json:"name"`
	Size        int          `json:"size"`
	Share       float64      `json:"share"`       // of all vectors of training
	Differences []Difference `json:"differences"` // the greatest first
}

// A Difference is how far a segment is from everybody in one feature.
type Difference struct {
	Feature string  `json:"feature"`
	Segment float64 `json:"segment"` // mean, in the feature's own unit
	Overall float64 `json:"overall"` // mean of all, likewise
	Spreads float64 `json:"spreads"` // between the two, in the feature's spreads; above 0: the segment has more
}

// Profiles are the segments with at most top differences each.
func (m *Model) Profiles(top int) []Profile {
	mean := m.mean()
	profiles := make([]Profile, len(m.Segments))
	for i, s := range m.Segments {
		ds := m.differences(s, mean)
		profiles[i] = Profile{
			ID: s.ID, Name: s.Name, Size: s.Size,
			Share:       float64(s.Size) / float64(max(m.Vectors, 1)),
			Differences: ds[:min(max(top, 0), len(ds))],
		}
	}
	return profiles
}

// mean is the mean of all vectors: that of the centroids, weighted by size.
func (m *Model) mean() []float64 {
	mean := make([]float64, len(m.Features))
	for _, s := range m.Segments {
		for j, x := range s.Centroid {
			mean[j] += float64(x * (float64(s.Size) / float64(max(m.Vectors, 1))))
		}
	}
	return mean
}

func (m *Model) differences(s Segment, mean []float64) []Difference {
	ds := make([]Difference, len(m.Features))
	for j, f := range m.Features {
		ds[j] = Difference{f.Name, m.Features.raw(j, s.Centroid[j]), m.Features.raw(j, mean[j]), s.Centroid[j] - mean[j]}
	}
	slices.SortStableFunc(ds, func(a, b Difference) int {
		return cmp.Or(cmp.Compare(math.Abs(b.Spreads), math.Abs(a.Spreads)), cmp.Compare(a.Feature, b.Feature))
	})
	return ds
}

const (
	telling   = 0.3 // spreads; a smaller difference is no name
	nameWords = 3
	separator = " · "
	nothing   = "average"
)

// name gives every segment a name of its own, the larger ones first.
func (m *Model) name() {
	mean, taken := m.mean(), map[string]bool{}
	for i := range m.Segments {
		s := &m.Segments[i]
		s.Name = freeName(m.differences(*s, mean), taken)
		if taken[s.Name] {
			s.Name += " (" + s.ID + ")"
		}
		taken[s.Name] = true
	}
}

// freeName is made of what a segment has more of, or else less of, and of as
// many words as it needs not to be taken yet.
func freeName(ds []Difference, taken map[string]bool) string {
	more, less := words(ds)
	all := append(more, less...)
	if len(all) == 0 {
		return nothing
	}
	n := max(1, min(nameWords, len(more)))
	for n < len(all) && taken[strings.Join(all[:n], separator)] {
		n++
	}
	return strings.Join(all[:n], separator)
}

// words are what a segment may be named after, the most telling first: what it
// has more of, one word for each group of features, and what it has less of.
func words(ds []Difference) (more, less []string) {
	said := map[string]bool{}
	for _, d := range ds {
		group, word, _ := strings.Cut(d.Feature, ":")
		word = cmp.Or(word, d.Feature)
		switch {
		case math.Abs(d.Spreads) < telling:
		case d.Spreads < 0:
			less = append(less, "less "+word)
		case !said[group] && !slices.Contains(more, word): // a style and a party may share a word
			said[group] = true
			more = append(more, word)
		}
	}
	return more, less
}
