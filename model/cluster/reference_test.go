package cluster_test

import (
	"bufio"
	"compress/gzip"
	"encoding/csv"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"fernweh/model/cluster"
)

// folder is where the recorded data sets with known answers lie.
func folder() string {
	root := filepath.Join("..", "..")
	path := os.Getenv("FERNWEH_DATA")
	switch {
	case path == "":
		path = filepath.Join(root, "..", "shared", "data")
	case !filepath.IsAbs(path):
		path = filepath.Join(root, path)
	}
	return filepath.Join(path, "clustering")
}

// numbers reads blank-separated numbers, line after line.
func numbers(t *testing.T, file string) cluster.Matrix {
	t.Helper()
	f, err := os.Open(filepath.Join(folder(), "data", file))
	if err != nil {
		t.Fatalf("recorded data (set FERNWEH_DATA): %v", err)
	}
	defer f.Close()
	plain, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	var m cluster.Matrix
	lines := bufio.NewScanner(plain)
	for lines.Scan() {
		fields := strings.Fields(lines.Text())
		if len(fields) == 0 {
			continue
		}
		m.Dims = len(fields)
		for _, field := range fields {
			x, err := strconv.ParseFloat(field, 64)
			if err != nil {
				t.Fatalf("%s: %v", file, err)
			}
			m.Values = append(m.Values, x)
		}
	}
	if lines.Err() != nil || m.Rows() == 0 {
		t.Fatalf("%s: %d rows, error %v", file, m.Rows(), lines.Err())
	}
	return m
}

// A known set has a true partition and what a good k-means makes of it.
type known struct {
	name    string
	file    string
	k       int
	sse     float64
	ari     float64
	index   int
	vectors cluster.Matrix
	truth   []int // 0: noise
}

// knownSets reads reference.csv and the sets it names.
func knownSets(t *testing.T) []known {
	t.Helper()
	f, err := os.Open(filepath.Join(folder(), "reference.csv"))
	if err != nil {
		t.Fatalf("recorded data (set FERNWEH_DATA): %v", err)
	}
	defer f.Close()
	lines, err := csv.NewReader(f).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	column := map[string]int{}
	for i, name := range lines[0] {
		column[name] = i
	}
	var sets []known
	for _, line := range lines[1:] {
		number := func(name string) float64 {
			x, err := strconv.ParseFloat(line[column[name]], 64)
			if err != nil {
				t.Fatal(err)
			}
			return x
		}
		set := known{
			name: line[column["set"]], file: line[column["battery"]] + "_" + line[column["set"]],
			k: int(number("k")), sse: number("ours_kmeans_SSE"), ari: number("ours_kmeans_ARI"),
			index: int(number("ours_kmeans_centroid_index")),
		}
		set.vectors = numbers(t, set.file+".data.gz")
		for _, label := range numbers(t, set.file+".labels0.gz").Values {
			set.truth = append(set.truth, int(label))
		}
		sets = append(sets, set)
	}
	return sets
}

// scored are the rows that are no noise, with their cluster by a model and in truth.
func (s known) scored(m *cluster.Model) (rows cluster.Matrix, found, truth []int) {
	rows.Dims = s.vectors.Dims
	for i, label := range s.truth {
		if label == 0 {
			continue
		}
		segment, _ := m.Nearest(s.vectors.Row(i))
		rows.Values = append(rows.Values, s.vectors.Row(i)...)
		found, truth = append(found, segment), append(truth, label)
	}
	return rows, found, truth
}

// means are the centroids of a partition.
func means(rows cluster.Matrix, labels []int) cluster.Matrix {
	at := map[int]int{}
	m := cluster.Matrix{Dims: rows.Dims}
	var counts []float64
	for i, label := range labels {
		a, ok := at[label]
		if !ok {
			a = len(counts)
			at[label] = a
			m.Values, counts = append(m.Values, make([]float64, rows.Dims)...), append(counts, 0)
		}
		counts[a]++
		for j, x := range rows.Row(i) {
			m.Values[a*m.Dims+j] += x
		}
	}
	for i := range m.Values {
		m.Values[i] /= counts[i/m.Dims]
	}
	return m
}

func centroids(m *cluster.Model) cluster.Matrix {
	c := cluster.Matrix{Dims: len(m.Features)}
	for _, s := range m.Segments {
		c.Values = append(c.Values, s.Centroid...)
	}
	return c
}

// The reference's sums of squares are on the values as they are.
func TestKMeansReachesTheReference(t *testing.T) {
	must := map[string]bool{"s1": true, "s2": true, "a1": true, "hepta": true, "tetra": true, "iris": true, "wine": true}
	never := map[string]bool{"chainlink": true, "atom": true}
	seen := 0
	for _, set := range knownSets(t) {
		t.Run(set.name, func(t *testing.T) {
			m, err := cluster.Train(set.vectors, cluster.Unscaled(names(set.vectors.Dims)),
				cluster.Options{K: set.k, Restarts: 30, Seed: 1, Parallel: cores})
			if err != nil {
				t.Fatal(err)
			}
			rows, found, truth := set.scored(m)
			ari := cluster.AdjustedRand(found, truth)
			index := cluster.CentroidIndex(centroids(m), means(rows, truth))
			t.Logf("n %d, k %d: SSE %.6g (reference %.6g), ARI %.3f (%.3f), centroid index %d (%d), silhouette %.3f",
				set.vectors.Rows(), set.k, m.SSE, set.sse, ari, set.ari, index, set.index,
				cluster.Silhouette(rows, found, 500, 1))
			if m.SSE > set.sse*1.001 {
				t.Errorf("got SSE %g, want at most %g + 0.1%%", m.SSE, set.sse)
			}
			if must[set.name] && index != 0 {
				t.Errorf("got centroid index %d, want 0", index)
			}
			if never[set.name] && ari > 0.5 {
				t.Errorf("got ARI %.3f: k-means can't see these rings", ari)
			}
		})
		if must[set.name] || never[set.name] {
			seen++
		}
	}
	if seen != len(must)+len(never) {
		t.Errorf("%d of the sets are there, want %d", seen, len(must)+len(never))
	}
}
