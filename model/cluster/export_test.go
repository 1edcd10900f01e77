package cluster

// From is k-means from given vectors as first centroids, which may be worse ones
// than seeding would ever choose.
func From(vectors Matrix, first []int, iterations int) (centroids Matrix, sizes []int, sse float64) {
	s := newSearch(vectors, nil)
	for _, i := range first {
		s.plant(i)
	}
	s.seeded()
	s.converge(iterations, 0)
	s.finish()
	return s.centroids, s.counts, s.sse
}
