// Package cluster puts visitors into segments: vectors in, a Model out, and from
// then on a vector in, its segment out.
//
// Train is k-means with careful seeding and exact acceleration. What it makes is
// a function of the vectors and the seed alone: work is cut into chunks that
// depend on the number of rows only, and their results are added in order, so
// that one core and many come to the same bytes. The package starts no
// goroutine; who has cores to give passes a Parallel.
package cluster
