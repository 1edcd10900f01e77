package cluster_test

import (
	"bytes"
	"fmt"
	"math"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"

	"pgregory.net/rapid"

	"fernweh/model/cluster"
)

// cores is a Parallel with as many goroutines as there are pieces.
func cores(n int, work func(from, to int)) {
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() { work(i, i+1) })
	}
	wg.Wait()
}

func names(dims int) []string {
	ns := make([]string, dims)
	for j := range ns {
		ns[j] = fmt.Sprintf("style:f%d", j)
	}
	return ns
}

// crowd is n travellers of some persons, spread about them.
func crowd(n, dims, persons int, spread float64, seed uint64) cluster.Matrix {
	random := rand.New(rand.NewPCG(seed, 1))
	centres := make([]float64, persons*dims)
	for i := range centres {
		centres[i] = random.Float64() * 10
	}
	m := cluster.Matrix{Dims: dims, Values: make([]float64, 0, n*dims)}
	for range n {
		p := random.IntN(persons)
		for j := range dims {
			m.Values = append(m.Values, centres[p*dims+j]+spread*random.NormFloat64())
		}
	}
	return m
}

// anyCrowd draws a crowd in which vectors often coincide, which is where ties
// and empty clusters come from.
func anyCrowd(t *rapid.T) cluster.Matrix {
	dims := rapid.IntRange(1, 7).Draw(t, "dims")
	n := rapid.IntRange(1, 120).Draw(t, "n")
	value := rapid.OneOf(rapid.SampledFrom([]float64{0, 1, 2, 5}), rapid.Map(rapid.IntRange(-100_000, 100_000),
		func(i int) float64 { return float64(i) / 1000 }))
	return cluster.Matrix{Dims: dims, Values: rapid.SliceOfN(value, n*dims, n*dims).Draw(t, "values")}
}

func train(t testing.TB, vectors cluster.Matrix, o cluster.Options) *cluster.Model {
	t.Helper()
	m, err := cluster.Train(vectors, cluster.Unscaled(names(vectors.Dims)), o)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// sumOfSquares is the model's SSE by its own answers, added up the plain way.
func sumOfSquares(m *cluster.Model, vectors cluster.Matrix) (sum float64, sizes []int) {
	sizes = make([]int, len(m.Segments))
	for i := range vectors.Rows() {
		segment, d := m.Nearest(vectors.Row(i))
		sizes[segment]++
		sum += d * d
	}
	return sum, sizes
}

func near(a, b float64) bool { return math.Abs(a-b) <= 1e-9*(1+math.Abs(a)+math.Abs(b)) }

func TestTrainedModelIsSound(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		vectors := anyCrowd(t)
		k := rapid.IntRange(1, 12).Draw(t, "k")
		m, err := cluster.Train(vectors, cluster.Unscaled(names(vectors.Dims)),
			cluster.Options{K: k, Restarts: 2, Seed: rapid.Uint64().Draw(t, "seed")})
		if err != nil {
			t.Fatal(err)
		}
		if err := (cluster.Gate{}).Judge(m); err != nil {
			t.Error(err)
		}
		distinct := map[string]bool{}
		for i := range vectors.Rows() {
			distinct[fmt.Sprint(vectors.Row(i))] = true
		}
		if want := min(k, len(distinct)); len(m.Segments) != want {
			t.Errorf("got %d segments, want %d: %d wanted, %d vectors differ", len(m.Segments), want, k, len(distinct))
		}
		sse, sizes := sumOfSquares(m, vectors)
		if !near(m.SSE, sse) {
			t.Errorf("got SSE %v, by the model's own answers %v", m.SSE, sse)
		}
		for i, s := range m.Segments {
			if s.Size != sizes[i] || s.ID != fmt.Sprintf("s%d", i+1) || i > 0 && s.Size > m.Segments[i-1].Size {
				t.Errorf("segment %d is %s with %d vectors, by its own answers %d", i, s.ID, s.Size, sizes[i])
			}
		}
	})
}

func TestMoreIterationsAreNeverWorse(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		vectors := anyCrowd(t)
		o := cluster.Options{K: rapid.IntRange(1, 12).Draw(t, "k"), Restarts: 1, Seed: rapid.Uint64().Draw(t, "seed")}
		last := math.Inf(1)
		for o.MaxIterations = 1; o.MaxIterations < 15; o.MaxIterations++ {
			m, err := cluster.Train(vectors, cluster.Unscaled(names(vectors.Dims)), o)
			if err != nil {
				t.Fatal(err)
			}
			if m.SSE > last && !near(m.SSE, last) {
				t.Errorf("SSE grew from %v to %v in iteration %d", last, m.SSE, o.MaxIterations)
			}
			last = m.SSE
		}
	})
}

// lloyd is the textbook's algorithm from given centroids to its end.
func lloyd(vectors, c cluster.Matrix) (sse float64) {
	for labels := make([]int, vectors.Rows()); ; {
		moved := false
		sse = 0
		for i := range labels {
			best, least := 0, math.Inf(1)
			for a := range c.Rows() {
				var d float64
				for j, x := range c.Row(a) {
					d += (vectors.Row(i)[j] - x) * (vectors.Row(i)[j] - x)
				}
				if d < least {
					best, least = a, d
				}
			}
			moved = moved || labels[i] != best
			labels[i] = best
			sse += least
		}
		if !moved {
			return sse
		}
		c = meansOf(vectors, labels, c)
	}
}

func meansOf(vectors cluster.Matrix, labels []int, c cluster.Matrix) cluster.Matrix {
	sums, counts := make([]float64, len(c.Values)), make([]float64, c.Rows())
	for i, a := range labels {
		counts[a]++
		for j, x := range vectors.Row(i) {
			sums[a*c.Dims+j] += x
		}
	}
	for i := range sums {
		sums[i] /= counts[i/c.Dims]
	}
	return cluster.Matrix{Values: sums, Dims: c.Dims}
}

// From the same first step on, the bounds must lead where the textbook leads.
func TestAccelerationIsExact(t *testing.T) {
	for seed := range uint64(30) {
		vectors := crowd(1500, 1+int(seed%9), 6, 2.5, seed)
		first := rand.New(rand.NewPCG(seed, 0)).Perm(1500)[:2+seed%11]
		step, _, _ := cluster.From(vectors, first, 1)
		want := lloyd(vectors, step)
		if _, _, got := cluster.From(vectors, first, 10000); math.Abs(got-want) > 1e-9*want {
			t.Errorf("seed %d, k %d: got SSE %.9f, the textbook's %.9f", seed, len(first), got, want)
		}
	}
}

// Starts may coincide, and then all but one of them have nobody.
func TestEmptyClustersAreFilledAndNothingGetsWorse(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		vectors := anyCrowd(t)
		first := rapid.SliceOfN(rapid.IntRange(0, vectors.Rows()-1), 1, 8).Draw(t, "first")
		distinct := map[string]bool{}
		for i := range vectors.Rows() {
			distinct[fmt.Sprint(vectors.Row(i))] = true
		}
		last := math.Inf(1)
		for iterations := 1; iterations < 40; iterations++ {
			_, _, sse := cluster.From(vectors, first, iterations)
			if sse > last && !near(sse, last) {
				t.Errorf("SSE grew from %v to %v in iteration %d", last, sse, iterations)
			}
			last = sse
		}
		_, sizes, _ := cluster.From(vectors, first, 1000)
		full := 0
		for _, n := range sizes {
			full += min(n, 1)
		}
		if want := min(len(first), len(distinct)); full != want {
			t.Errorf("got %d clusters with vectors %v, want %d", full, sizes, want)
		}
	})
}

// A cluster that was filled with one vector must draw in all that are nearer to
// it than to their own: the textbook finds nothing left to do.
func TestFilledClusterDrawsItsNeighboursIn(t *testing.T) {
	for seed := range uint64(20) {
		vectors := crowd(1500, 3, 6, 1, seed)
		c, sizes, got := cluster.From(vectors, []int{7, 7, 7, 8, 8, 9}, 10000)
		if want := lloyd(vectors, c); math.Abs(got-want) > 1e-9*want {
			t.Errorf("seed %d: got SSE %.9f in clusters of %v, the textbook goes on to %.9f", seed, got, sizes, want)
		}
	}
}

// The centroids that one textbook step leads from converged ones must be they.
func TestTrainingEndsWhereNothingMoves(t *testing.T) {
	vectors := crowd(5000, 6, 5, 1.5, 3)
	m := train(t, vectors, cluster.Options{K: 7, Seed: 1})
	labels := make([]int, vectors.Rows())
	for i := range labels {
		labels[i], _ = m.Nearest(vectors.Row(i))
	}
	c := centroids(m)
	for i, x := range meansOf(vectors, labels, c).Values {
		if !near(x, c.Values[i]) {
			t.Errorf("segment %d, feature %d: centroid %v, mean of its vectors %v", i/c.Dims, i%c.Dims, c.Values[i], x)
		}
	}
}

func TestOneCoreAndManyComeToTheSameBytes(t *testing.T) {
	for _, n := range []int{10, 5000, 70001} {
		encoded := func(p cluster.Parallel) []byte {
			vectors := crowd(n, 5, 4, 2, 9)
			s, err := cluster.FitScaling(vectors, names(5), p)
			if err != nil {
				t.Fatal(err)
			}
			s.Apply(vectors, p)
			m, err := cluster.Train(vectors, s, cluster.Options{K: 6, Restarts: 2, Seed: 4, Parallel: p, Tolerance: 1e-6})
			if err != nil {
				t.Fatal(err)
			}
			b, err := m.Encode()
			if err != nil {
				t.Fatal(err)
			}
			return b
		}
		if one, many := encoded(nil), encoded(cores); !bytes.Equal(one, many) {
			t.Errorf("%d vectors: one core made\n%s\nmany\n%s", n, one, many)
		}
	}
}

func TestOtherSeedsMayComeToOtherModels(t *testing.T) {
	vectors := crowd(400, 2, 20, 3, 1)
	found := map[float64]bool{}
	for seed := range uint64(10) {
		found[train(t, vectors, cluster.Options{K: 15, Restarts: 1, Seed: seed}).SSE] = true
	}
	if len(found) < 2 {
		t.Error("ten seeds came to the same model where there are many: the seed is not used")
	}
}

func TestMoreRestartsAreNeverWorse(t *testing.T) {
	vectors := crowd(400, 2, 20, 3, 1)
	once := train(t, vectors, cluster.Options{K: 15, Restarts: 1, Seed: 2}).SSE
	often := train(t, vectors, cluster.Options{K: 15, Restarts: 20, Seed: 2}).SSE
	if often >= once {
		t.Errorf("got SSE %v of twenty starts, %v of the first alone", often, once)
	}
}

func TestToleranceEndsEarly(t *testing.T) {
	vectors := crowd(20000, 4, 10, 4, 5)
	o := cluster.Options{K: 12, Restarts: 1, Seed: 1}
	exact := train(t, vectors, o).SSE
	o.Tolerance = 1e-3
	rough := train(t, vectors, o).SSE
	if rough <= exact || rough > 1.05*exact {
		t.Errorf("got SSE %v with tolerance, %v without, want it a little greater", rough, exact)
	}
}

func TestTrainRefuses(t *testing.T) {
	two := cluster.Matrix{Values: []float64{1, 2, 3, 4}, Dims: 2}
	tests := []struct {
		name    string
		vectors cluster.Matrix
		scaling cluster.Scaling
		options cluster.Options
		want    string
	}{
		{"no segments", two, cluster.Unscaled(names(2)), cluster.Options{}, "0 segments"},
		{"no vectors", cluster.Matrix{Dims: 2}, cluster.Unscaled(names(2)), cluster.Options{K: 2}, "no vectors"},
		{"half a row", cluster.Matrix{Values: []float64{1, 2, 3}, Dims: 2}, cluster.Unscaled(names(2)), cluster.Options{K: 2}, "no rows of 2"},
		{"other features", two, cluster.Unscaled(names(3)), cluster.Options{K: 2}, "the scaling 3"},
		{"NaN", cluster.Matrix{Values: []float64{1, 2, 3, math.NaN()}, Dims: 2}, cluster.Unscaled(names(2)), cluster.Options{K: 2}, `row 1 has NaN as "style:f1"`},
		{"infinite", cluster.Matrix{Values: []float64{1, 2, math.Inf(-1), 4}, Dims: 2}, cluster.Unscaled(names(2)), cluster.Options{K: 2}, `row 1 has -Inf as "style:f0"`},
		{"too far apart to be squared", cluster.Matrix{Values: []float64{1e300, -1e300, 0, 5}, Dims: 1}, cluster.Unscaled(names(1)), cluster.Options{K: 2}, `row 0 has 1e+300 as "style:f0"`},
		{"tolerance", two, cluster.Unscaled(names(2)), cluster.Options{K: 2, Tolerance: -1}, "tolerance -1"},
		{"scaling without spread", two, cluster.Scaling{{Name: "a", Spread: 1}, {Name: "b"}}, cluster.Options{K: 2}, `feature "b"`},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			m, err := cluster.Train(test.vectors, test.scaling, test.options)
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("got %v, error %v, want an error with %q", m, err, test.want)
			}
		})
	}
}

func BenchmarkTrain(b *testing.B) {
	vectors := crowd(100_000, 20, 12, 4, 1)
	for name, p := range map[string]cluster.Parallel{"serial": nil, "cores": cores} {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				m := train(b, vectors, cluster.Options{K: 12, Restarts: 1, Seed: 1, Parallel: p})
				b.ReportMetric(m.SSE, "SSE")
			}
		})
	}
}

func BenchmarkNearest(b *testing.B) {
	vectors := crowd(2000, 60, 12, 1, 1)
	s, err := cluster.FitScaling(vectors, names(60), nil)
	if err != nil {
		b.Fatal(err)
	}
	scaled := cluster.Matrix{Values: append([]float64(nil), vectors.Values...), Dims: 60}
	s.Apply(scaled, nil)
	m, err := cluster.Train(scaled, s, cluster.Options{K: 12, Seed: 1})
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		m.Nearest(vectors.Row(i % vectors.Rows()))
	}
}

// TestFewExtremesMakeNoSegment: what hardly anybody does must not outweigh all
// else that a visitor does.
func TestFewExtremesMakeNoSegment(t *testing.T) {
	const n = 2000
	m := cluster.Matrix{Dims: 3}
	r := rand.New(rand.NewPCG(7, 7))
	for i := range n {
		group := float64(i % 2)
		rare := 0.0
		if i%18 == 0 { // just enough of them to have a tiny spread
			rare = 0.001 * float64(i%5)
		}
		if i < 20 {
			rare = 500
		}
		m.Values = append(m.Values, 10*group+r.NormFloat64(), -10*group+r.NormFloat64(), rare)
	}
	s, err := cluster.FitScaling(m, []string{"style:quiet", "party:couple", "style:couple"}, nil)
	if err != nil {
		t.Fatal(err)
	}
	s.Apply(m, nil)
	model, err := cluster.Train(m, s, cluster.Options{K: 2, Seed: 1})
	if err != nil {
		t.Fatal(err)
	}
	if least := model.Segments[1].Size; least < n/3 {
		t.Errorf("segments of %d and %d visitors: the twenty extremes won over the two groups", model.Segments[0].Size, least)
	}
}
