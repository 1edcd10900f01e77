package cluster

import (
	"cmp"
	"math"
	"slices"
)

// A search is one start of k-means on its way.
//
// It is Lloyd's algorithm with Hamerly's bounds (2010): of every vector it knows
// a distance that its own centroid is not farther than, and one that no other is
// nearer than. Most vectors are left alone by a look at the two; of the others
// only those centroids are measured that lie near enough to their own (after
// Newling and Fleuret 2016). The result is Lloyd's.
type search struct {
	vectors  Matrix
	parallel Parallel
	chunks   []chunk
	parts    []part // by chunk

	centroids Matrix
	labels    []int32   // by vector: the nearest centroid
	upper     []float64 // by vector: its own centroid is no farther than this; squared while seeding
	lower     []float64 // by vector: no other centroid is nearer than this; squared while seeding
	sums      Matrix    // by centroid: of its vectors
	counts    []int     // by centroid: of its vectors
	shifts    []float64 // by centroid: how far it went in the last move
	sse       float64
}

// A part is what one chunk adds to the whole.
type part struct {
	sum    float64
	moved  int // vectors that went to another centroid
	sums   Matrix
	counts []int
}

func newSearch(vectors Matrix, p Parallel) *search {
	n := vectors.Rows()
	s := &search{vectors: vectors, parallel: p, chunks: chunks(n)}
	s.parts = make([]part, len(s.chunks))
	s.labels = make([]int32, n)
	s.upper, s.lower = make([]float64, n), make([]float64, n)
	for i := range n {
		s.upper[i], s.lower[i] = math.Inf(1), math.Inf(1)
	}
	s.centroids.Dims = vectors.Dims
	return s
}

func (s *search) k() int { return s.centroids.Rows() }

// chunked calls work for every chunk with its own part.
func (s *search) chunked(work func(c int, p *part)) {
	s.parallel.each(len(s.chunks), func(c int) { work(c, &s.parts[c]) })
}

// sum adds the chunks' sums in order.
func (s *search) sum() (total float64) {
	for _, p := range s.parts {
		total += p.sum
	}
	return total
}

// clear makes room in the part for k centroids, with nothing in it.
func (p *part) clear(k, dims int) {
	if len(p.counts) != k {
		p.sums, p.counts = Matrix{make([]float64, k*dims), dims}, make([]int, k)
	}
	clear(p.sums.Values)
	clear(p.counts)
	p.moved = 0
}

// gather adds what the chunks have to the sums and counts, in order.
func (s *search) gather() (moved int) {
	for _, p := range s.parts {
		if p.moved == 0 {
			continue
		}
		moved += p.moved
		addTo(s.sums.Values, p.sums.Values)
		for a, n := range p.counts {
			s.counts[a] += n
		}
	}
	return moved
}

// recount takes sums and counts anew from the labels, without the rounding that
// many small changes leave.
func (s *search) recount() {
	s.sums = Matrix{make([]float64, len(s.centroids.Values)), s.vectors.Dims}
	s.counts = make([]int, s.k())
	s.chunked(func(c int, p *part) {
		p.clear(s.k(), s.vectors.Dims)
		for i := s.chunks[c].from; i < s.chunks[c].to; i++ {
			p.counts[s.labels[i]]++
			addTo(p.sums.Row(int(s.labels[i])), s.vectors.Row(i))
			p.moved++
		}
	})
	s.gather()
}

// converge assigns and moves until no vector changes its centroid, the centroids
// move no more than enough (mean square), or the iterations are used up. One
// move was made by seeding.
func (s *search) converge(iterations int, enough float64) {
	for range iterations - 1 {
		moved := s.assign()
		s.move()
		if s.fillEmpty() {
			s.move()
			continue
		}
		if moved == 0 || s.meanShift() <= enough {
			return
		}
	}
}

// move puts every centroid into the mean of its vectors.
func (s *search) move() {
	s.shifts = make([]float64, s.k())
	mean := make([]float64, s.vectors.Dims)
	for a, n := range s.counts {
		if n == 0 {
			continue // fillEmpty comes to it
		}
		for j, x := range s.sums.Row(a) {
			mean[j] = x / float64(n)
		}
		s.shifts[a] = distance(mean, s.centroids.Row(a))
		copy(s.centroids.Row(a), mean)
	}
}

func (s *search) meanShift() float64 {
	var sum float64
	for _, shift := range s.shifts {
		sum += shift * shift
	}
	return sum / float64(len(s.centroids.Values))
}

// A neighbour of a centroid is another one at a distance.
type neighbour struct {
	centroid int32
	distance float64
}

// neighbours are, by centroid, all others, the nearest first.
func (s *search) neighbours() [][]neighbour {
	near := make([][]neighbour, s.k())
	for a := range near {
		near[a] = make([]neighbour, 0, s.k()-1)
		for b := range near {
			if b != a {
				near[a] = append(near[a], neighbour{int32(b), distance(s.centroids.Row(a), s.centroids.Row(b))})
			}
		}
		slices.SortFunc(near[a], func(x, y neighbour) int {
			return cmp.Or(cmp.Compare(x.distance, y.distance), cmp.Compare(x.centroid, y.centroid))
		})
	}
	return near
}

// farthestOthers is, by centroid, how far any other went in the last move.
func (s *search) farthestOthers() []float64 {
	others := make([]float64, s.k())
	for a := range others {
		for b, shift := range s.shifts {
			if b != a {
				others[a] = max(others[a], shift)
			}
		}
	}
	return others
}

// assign gives every vector to its nearest centroid and returns how many changed.
func (s *search) assign() (moved int) {
	near, others := s.neighbours(), s.farthestOthers()
	s.chunked(func(c int, p *part) {
		p.clear(s.k(), s.vectors.Dims)
		for i := s.chunks[c].from; i < s.chunks[c].to; i++ {
			from := s.labels[i]
			s.upper[i] += s.shifts[from]
			s.lower[i] -= others[from]
			if s.settled(i, near[from]) {
				continue
			}
			s.scan(i, near[from])
			if to := s.labels[i]; to != from {
				p.moved++
				p.counts[from]--
				p.counts[to]++
				takeFrom(p.sums.Row(int(from)), s.vectors.Row(i))
				addTo(p.sums.Row(int(to)), s.vectors.Row(i))
			}
		}
	})
	return s.gather()
}

// settled says that vector i can't be nearer to another centroid than to its own.
func (s *search) settled(i int, near []neighbour) bool {
	if len(near) == 0 {
		return true
	}
	bound := max(s.lower[i], near[0].distance/2)
	if s.upper[i] <= bound {
		return true
	}
	s.upper[i] = distance(s.vectors.Row(i), s.centroids.Row(int(s.labels[i])))
	return s.upper[i] <= bound
}

// scan finds the nearest centroid of vector i, whose distance from its present
// one is known. A centroid at distance d from that one is at least d - own away.
func (s *search) scan(i int, near []neighbour) {
	row, own := s.vectors.Row(i), s.upper[i]
	best, least, second := s.labels[i], own, math.Inf(1)
	for _, n := range near {
		if atLeast := n.distance - own; atLeast >= min(own, second) {
			second = min(second, atLeast)
			break
		}
		d := distance(row, s.centroids.Row(int(n.centroid)))
		if d < least {
			best, least, second = n.centroid, d, least
		} else if d < second {
			second = d
		}
	}
	s.labels[i], s.upper[i], s.lower[i] = best, least, second
}

// fillEmpty gives the first centroid without vectors, if there is one, the vector
// that is farthest from its own, which lowers the sum of squares most surely.
// The bounds are then as exact as the centroids are. A second empty one waits for
// the next iteration: the same vector may be there twice.
func (s *search) fillEmpty() (filled bool) {
	a := slices.Index(s.counts, 0)
	if a < 0 {
		return false
	}
	for i := range s.upper {
		s.upper[i] = distance(s.vectors.Row(i), s.centroids.Row(int(s.labels[i])))
	}
	clear(s.lower) // the centroid that jumps may come near to any vector
	i := s.farthest()
	from, row := int(s.labels[i]), s.vectors.Row(i)
	if s.upper[i] == 0 || s.counts[from] == 1 {
		return false // too few vectors differ
	}
	takeFrom(s.sums.Row(from), row)
	addTo(s.sums.Row(a), row)
	s.counts[from]--
	s.counts[a]++
	copy(s.centroids.Row(a), row)
	s.labels[i], s.upper[i] = int32(a), 0
	return true
}

// farthest is the first vector with the greatest upper bound.
func (s *search) farthest() int {
	at := 0
	for i, d := range s.upper {
		if d > s.upper[at] {
			at = i
		}
	}
	return at
}

// finish takes the centroids anew without rounding's traces and measures every
// vector against them: sizes and sum of squares are then those of the model's
// own answers.
func (s *search) finish() {
	s.recount()
	s.move()
	s.chunked(func(c int, p *part) {
		p.clear(s.k(), s.vectors.Dims)
		p.sum = 0
		for i := s.chunks[c].from; i < s.chunks[c].to; i++ {
			a, d := nearest(s.centroids, s.vectors.Row(i))
			p.counts[a]++
			p.sum += d
			p.moved++
		}
	})
	clear(s.counts)
	s.gather()
	s.sse = s.sum()
}

// nearest is the centroid at the least squared distance from a vector, of equal
// ones the first.
func nearest(centroids Matrix, vector []float64) (centroid int, squared float64) {
	centroid, squared = -1, math.Inf(1)
	for a := range centroids.Rows() {
		if d := distance2(vector, centroids.Row(a)); d < squared {
			centroid, squared = a, d
		}
	}
	return centroid, squared
}
