package cluster_test

import (
	"math"
	"math/rand/v2"
	"testing"

	"pgregory.net/rapid"

	"fernweh/model/cluster"
)

func TestSilhouette(t *testing.T) {
	tests := []struct {
		name   string
		values []float64
		labels []int
		want   float64
	}{
		// 0: a 1, b 9.5 -> 8.5/9.5; 1: a 1, b 8.5 -> 7.5/8.5; likewise from the other end.
		{"two pairs", []float64{0, 1, 9, 10}, []int{1, 1, 2, 2}, (8.5/9.5 + 7.5/8.5) / 2},
		{"pairs torn apart", []float64{0, 9, 1, 10}, []int{1, 1, 2, 2}, (-3.5/9 - 4.5/9 - 4.5/9 - 3.5/9) / 4},
		{"one alone counts nothing", []float64{0, 1, 9}, []int{1, 1, 2}, (8.0/9 + 7.0/8) / 3},
		{"one cluster", []float64{0, 1, 9}, []int{3, 3, 3}, 0},
		{"all at one place", []float64{2, 2, 2, 2}, []int{1, 1, 2, 2}, 0},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if got := cluster.Silhouette(column(test.values...), test.labels, 100, 1); !near(got, test.want) {
				t.Errorf("got %v, want %v", got, test.want)
			}
		})
	}
}

func TestSilhouetteOfASampleIsNearThatOfAll(t *testing.T) {
	vectors := crowd(1500, 3, 4, 1, 2)
	m := train(t, vectors, cluster.Options{K: 4})
	labels := make([]int, vectors.Rows())
	for i := range labels {
		labels[i], _ = m.Nearest(vectors.Row(i))
	}
	all, some := cluster.Silhouette(vectors, labels, 1500, 1), cluster.Silhouette(vectors, labels, 400, 1)
	if all < 0.3 || math.Abs(all-some) > 0.05 {
		t.Errorf("got %.3f of a sample, %.3f of all", some, all)
	}
}

func TestAdjustedRand(t *testing.T) {
	tests := []struct {
		name string
		a, b []int
		want float64
	}{
		{"the same under other labels", []int{1, 1, 2, 2, 3}, []int{7, 7, 5, 5, 9}, 1},
		{"crosswise", []int{0, 0, 1, 1}, []int{0, 1, 0, 1}, -0.5},
		{"scikit-learn's example", []int{0, 0, 1, 2}, []int{0, 0, 1, 1}, 0.5714285714285715},
		{"all together against all apart", []int{0, 0, 0, 0}, []int{0, 1, 2, 3}, 0},
		{"all together in both", []int{0, 0, 0}, []int{4, 4, 4}, 1},
		{"all apart in both", []int{0, 1, 2}, []int{4, 5, 6}, 1},
		{"nothing to compare", nil, nil, 1},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if got := cluster.AdjustedRand(test.a, test.b); !near(got, test.want) {
				t.Errorf("got %v, want %v", got, test.want)
			}
		})
	}
}

func TestAdjustedRandOfChanceIsZero(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 1))
	a, b := make([]int, 20000), make([]int, 20000)
	for i := range a {
		a[i], b[i] = random.IntN(5), random.IntN(7)
	}
	if got := cluster.AdjustedRand(a, b); math.Abs(got) > 0.005 {
		t.Errorf("got %v of labels thrown by dice, want about 0", got)
	}
}

func TestAdjustedRandHasNoSide(t *testing.T) {
	labels := rapid.SliceOfN(rapid.IntRange(0, 4), 30, 30)
	rapid.Check(t, func(t *rapid.T) {
		a, b := labels.Draw(t, "a"), labels.Draw(t, "b")
		if x, y := cluster.AdjustedRand(a, b), cluster.AdjustedRand(b, a); !near(x, y) || x > 1+1e-12 {
			t.Errorf("got %v one way, %v the other", x, y)
		}
	})
}

func TestCentroidIndex(t *testing.T) {
	tests := []struct {
		name string
		a, b []float64
		want int
	}{
		{"each finds its own", []float64{0, 10, 20}, []float64{20.1, 0.1, 9.9}, 0},
		{"two share one, one is missed", []float64{0, 1, 10}, []float64{0.5, 10, 20}, 1},
		{"one too few", []float64{0, 20}, []float64{0, 1, 20}, 1},
		{"all in one corner", []float64{0, 0.1, 0.2}, []float64{0, 10, 20}, 2},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			a, b := column(test.a...), column(test.b...)
			if got, back := cluster.CentroidIndex(a, b), cluster.CentroidIndex(b, a); got != test.want || back != test.want {
				t.Errorf("got %d, the other way %d, want %d", got, back, test.want)
			}
		})
	}
}
