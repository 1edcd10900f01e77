package cluster

import (
	"math"
	"math/rand/v2"
	"slices"
)

// Silhouette is how much nearer vectors are to their own cluster than to the
// next one, on average, from -1 to 1 (Rousseeuw 1987), on a sample of the rows:
// its cost grows with the square of the sample. A vector alone in its cluster
// counts 0, and so does all where there is one cluster only.
func Silhouette(vectors Matrix, labels []int, sample int, seed uint64) float64 {
	rows := rand.New(rand.NewPCG(seed, 0)).Perm(vectors.Rows())
	rows = rows[:min(max(sample, 0), len(rows))]
	slices.Sort(rows)
	sizes := map[int]int{}
	for _, i := range rows {
		sizes[labels[i]]++
	}
	if len(sizes) < 2 {
		return 0
	}
	var sum float64
	for _, i := range rows {
		sum += silhouetteOf(vectors, labels, rows, i, sizes)
	}
	return sum / float64(len(rows))
}

func silhouetteOf(vectors Matrix, labels, rows []int, i int, sizes map[int]int) float64 {
	own := labels[i]
	if sizes[own] == 1 {
		return 0
	}
	to := make(map[int]float64, len(sizes)) // sum of distances by cluster
	for _, j := range rows {
		to[labels[j]] += distance(vectors.Row(i), vectors.Row(j))
	}
	within, other := to[own]/float64(sizes[own]-1), math.Inf(1)
	for label, d := range to {
		if label != own {
			other = min(other, d/float64(sizes[label]))
		}
	}
	if within == other {
		return 0 // also where both are 0
	}
	return (other - within) / max(within, other)
}

// AdjustedRand is how far two partitions of the same things agree: 1 where they
// are the same but for the labels, about 0 where they have nothing to do with
// each other (Hubert and Arabie 1985).
func AdjustedRand(a, b []int) float64 {
	cells, as, bs := map[[2]int]int{}, map[int]int{}, map[int]int{}
	for i := range a {
		cells[[2]int{a[i], b[i]}]++
		as[a[i]]++
		bs[b[i]]++
	}
	both, inA, inB, all := pairs(cells), pairs(as), pairs(bs), pairs(map[int]int{0: len(a)})
	if all == 0 {
		return 1
	}
	chance, most := inA*inB/all, (inA+inB)/2
	if most == chance {
		return 1 // both put all together, or both all apart
	}
	return (both - chance) / (most - chance)
}

// pairs is how many pairs of things lie together.
func pairs[K comparable](counts map[K]int) (n float64) {
	for _, c := range counts {
		n += float64(c) * float64(c-1) / 2 // whole numbers: the order of the map changes nothing
	}
	return n
}

// CentroidIndex is how many clusters of one set of centroids have none of their
// own in the other (Fränti, Rezaei and Zhao 2014): 0 where each finds its own.
func CentroidIndex(a, b Matrix) int { return max(orphans(a, b), orphans(b, a)) }

// orphans is how many centroids of b are nearest to none of a.
func orphans(a, b Matrix) int {
	found := map[int]bool{}
	for i := range a.Rows() {
		to, _ := nearest(b, a.Row(i))
		found[to] = true
	}
	return b.Rows() - len(found)
}
