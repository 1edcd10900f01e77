package cluster

import (
	"cmp"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strconv"
)

// Options say how to train. All but K may be left zero.
type Options struct {
	K             int     // segments wanted; there are fewer where fewer vectors differ
	Restarts      int     // times to start anew, the best is kept; 0: 5
	MaxIterations int     // of each start; 0: 300
	Tolerance     float64 // mean movement of centroids at which a start ends, in shares of the mean variance; 0: none moves
	Seed          uint64
	Parallel      Parallel
}

// defaults fills what was left zero.
func (o Options) defaults() Options {
	o.Restarts = cmp.Or(o.Restarts, 5)
	o.MaxIterations = cmp.Or(o.MaxIterations, 300)
	return o
}

// Train finds the segments of vectors that scaling was applied to already; the
// model keeps it for the vectors it will be asked about. Of all starts it keeps
// the one with the least sum of squared distances. Segments come in descending
// size as s1, s2, ... with names made of what sets them apart.
func Train(vectors Matrix, scaling Scaling, o Options) (*Model, error) {
	o = o.defaults()
	if err := checkTraining(vectors, scaling, o); err != nil {
		return nil, fmt.Errorf("train segments: %w", err)
	}
	var enough float64
	if o.Tolerance > 0 {
		enough = o.Tolerance * meanVariance(vectors, o.Parallel)
	}
	var best *search
	for start := range o.Restarts {
		s := newSearch(vectors, o.Parallel)
		s.seed(o.K, rand.New(rand.NewPCG(o.Seed, uint64(start))))
		s.converge(o.MaxIterations, enough)
		s.finish()
		if best == nil || s.sse < best.sse {
			best = s
		}
	}
	m := &Model{Wanted: o.K, Vectors: vectors.Rows(), SSE: best.sse, Features: scaling, Segments: best.segments()}
	m.name()
	if err := m.Check(); err != nil {
		return nil, fmt.Errorf("train segments: %w", err)
	}
	return m, nil
}

func checkTraining(vectors Matrix, scaling Scaling, o Options) error {
	switch {
	case o.K < 1 || o.Restarts < 1 || o.MaxIterations < 1:
		return fmt.Errorf("%d segments, %d restarts, %d iterations: each must be 1 at least",
			o.K, o.Restarts, o.MaxIterations)
	case o.Tolerance < 0 || !isFinite(o.Tolerance):
		return fmt.Errorf("tolerance %v is not 0 or more", o.Tolerance)
	case vectors.Rows() == 0:
		return fmt.Errorf("no vectors")
	case len(vectors.Values)%vectors.Dims != 0:
		return fmt.Errorf("%d values are no rows of %d", len(vectors.Values), vectors.Dims)
	case len(scaling) != vectors.Dims:
		return fmt.Errorf("vectors have %d values, the scaling %d", vectors.Dims, len(scaling))
	}
	if err := scaling.check(); err != nil {
		return err
	}
	return vectors.finite(o.Parallel, func(column int) string { return scaling[column].Name })
}

// meanVariance is the features' variance on average.
func meanVariance(vectors Matrix, p Parallel) float64 {
	n := float64(vectors.Rows())
	mean := columnSums(vectors, p, func(_ int, x float64) float64 { return x })
	for j := range mean {
		mean[j] /= n
	}
	var sum float64
	for _, squares := range columnSums(vectors, p, func(j int, x float64) float64 {
		return (x - mean[j]) * (x - mean[j])
	}) {
		sum += squares
	}
	return sum / n / float64(vectors.Dims)
}

// segments are the clusters found, in descending size.
func (s *search) segments() []Segment {
	segments := make([]Segment, s.k())
	for a := range segments {
		segments[a] = Segment{Size: s.counts[a], Centroid: s.centroids.Row(a)}
	}
	slices.SortFunc(segments, func(a, b Segment) int {
		return cmp.Or(cmp.Compare(b.Size, a.Size), slices.Compare(a.Centroid, b.Centroid))
	})
	for i := range segments {
		segments[i].ID = "s" + strconv.Itoa(i+1)
	}
	return segments
}

// seed chooses up to k of the vectors as first centroids by greedy k-means++
// (Arthur and Vassilvitskii 2007): each next one is drawn with a chance that
// grows with its squared distance from those that are there, and of a few drawn
// the one is taken that leaves the least. It ends early when every vector is a
// centroid, and leaves each vector's nearest centroid and bounds behind.
func (s *search) seed(k int, random *rand.Rand) {
	total := s.plant(random.IntN(s.vectors.Rows()))
	trials := 2 + int(math.Log(float64(k)))
	for s.k() < k && total > 0 {
		candidates := make([]int, trials)
		for t := range candidates {
			candidates[t] = s.draw(random.Float64() * total)
		}
		total = s.plant(s.leavesLeast(candidates))
	}
	s.seeded()
}

// seeded makes bounds of what planting measured, and the first move.
func (s *search) seeded() {
	for i := range s.upper {
		s.upper[i], s.lower[i] = math.Sqrt(s.upper[i]), math.Sqrt(s.lower[i])
	}
	s.recount()
	s.move()
}

// plant makes a vector the next centroid and returns the sum of squared
// distances that it leaves.
func (s *search) plant(vector int) float64 {
	a := int32(s.k())
	centroid := s.vectors.Row(vector)
	s.centroids.Values = append(s.centroids.Values, centroid...)
	s.chunked(func(c int, part *part) {
		part.sum = 0
		for i := s.chunks[c].from; i < s.chunks[c].to; i++ {
			d := distance2(s.vectors.Row(i), centroid)
			if d < s.upper[i] {
				s.lower[i], s.upper[i], s.labels[i] = s.upper[i], d, a
			} else if d < s.lower[i] {
				s.lower[i] = d
			}
			part.sum += s.upper[i]
		}
	})
	return s.sum()
}

// draw is the vector at which the running sum of squared distances passes a
// target below the whole sum; never one that is a centroid.
func (s *search) draw(target float64) int {
	for c, part := range s.parts {
		if target >= part.sum {
			target -= part.sum
			continue
		}
		for i := s.chunks[c].from; i < s.chunks[c].to; i++ {
			if target < s.upper[i] {
				return i
			}
			target -= s.upper[i]
		}
	}
	return s.farthest() // rounding let the target slip past the end
}

// leavesLeast is the candidate that would leave the least sum of squares.
func (s *search) leavesLeast(candidates []int) int {
	left := make([][]float64, len(s.chunks))
	s.parallel.each(len(s.chunks), func(c int) {
		left[c] = make([]float64, len(candidates))
		for i := s.chunks[c].from; i < s.chunks[c].to; i++ {
			row := s.vectors.Row(i)
			for t, candidate := range candidates {
				left[c][t] += min(s.upper[i], distance2(row, s.vectors.Row(candidate)))
			}
		}
	})
	for _, l := range left[1:] {
		addTo(left[0], l)
	}
	return candidates[slices.Index(left[0], slices.Min(left[0]))]
}
