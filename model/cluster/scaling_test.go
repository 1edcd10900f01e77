package cluster_test

import (
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"fernweh/model/cluster"
)

// column is a matrix of one feature.
func column(values ...float64) cluster.Matrix { return cluster.Matrix{Values: values, Dims: 1} }

func fit(t testing.TB, m cluster.Matrix) cluster.Scaling {
	t.Helper()
	s, err := cluster.FitScaling(m, names(m.Dims), nil)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestScalingIsMeanAndDeviationOfTheBody(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 1))
	var m cluster.Matrix
	m.Dims = 2
	for range 100_000 {
		m.Values = append(m.Values, 1000+5*random.NormFloat64(), random.Float64())
	}
	s := fit(t, m)
	// Pulling the outer twentieths in takes a tenth off a normal deviation.
	if f := s[0]; math.Abs(f.Centre-1000) > 0.1 || math.Abs(f.Spread-4.5) > 0.1 {
		t.Errorf("normal: got centre %v, spread %v, want about 1000 and 4.5", f.Centre, f.Spread)
	}
	if f := s[1]; math.Abs(f.Centre-0.5) > 0.01 || math.Abs(f.Spread-0.28) > 0.01 {
		t.Errorf("uniform: got centre %v, spread %v, want about 0.5 and 0.28", f.Centre, f.Spread)
	}
}

func TestScalingHeedsNoOutlier(t *testing.T) {
	usual := make([]float64, 1000)
	for i := range usual {
		usual[i] = float64(i % 10)
	}
	want := fit(t, column(usual...))[0]
	usual[17], usual[500] = 1e12, -1e12 // a bot, a broken clock
	got := fit(t, column(usual...))[0]
	if math.Abs(got.Centre-want.Centre) > 0.05 || math.Abs(got.Spread-want.Spread) > 0.05 {
		t.Errorf("two visitors of a thousand moved it from %+v to %+v", want, got)
	}
}

func TestScalingKeepsTheScaleOfWhatHardlyAnybodyDoes(t *testing.T) {
	rare := make([]float64, 1000)
	rare[3], rare[700] = 0.5, 0.9
	if f := fit(t, column(rare...))[0]; f.Centre != 0 || f.Spread != 1 {
		t.Errorf("two of a thousand do it: got %+v, want centre 0, spread 1", f)
	}
	if f := fit(t, column(0.1, 0.1, 0.1))[0]; f.Centre != 0.1 || f.Spread != 1 {
		t.Errorf("all alike: got %+v, want centre 0.1, spread 1", f)
	}
	if f := fit(t, column(7))[0]; f.Centre != 7 || f.Spread != 1 {
		t.Errorf("one visitor: got %+v, want centre 7, spread 1", f)
	}
}

func TestScalingDoesNotDependOnUnits(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		vectors := anyCrowd(t)
		unit := rapid.SampledFrom([]float64{0.5, 4, 1024}).Draw(t, "unit") // powers of two: exact
		other := cluster.Matrix{Values: slices.Clone(vectors.Values), Dims: vectors.Dims}
		for i := range other.Values {
			other.Values[i] *= unit
		}
		a, err := cluster.FitScaling(vectors, names(vectors.Dims), nil)
		if err != nil {
			t.Fatal(err)
		}
		b, err := cluster.FitScaling(other, names(vectors.Dims), nil)
		if err != nil {
			t.Fatal(err)
		}
		for j := range a {
			if a[j].Spread != 1 && (!near(a[j].Centre*unit, b[j].Centre) || !near(a[j].Spread*unit, b[j].Spread)) {
				t.Errorf("feature %d times %v: got %+v, before %+v", j, unit, b[j], a[j])
			}
		}
	})
}

func TestScalingRefuses(t *testing.T) {
	tests := []struct {
		name    string
		vectors cluster.Matrix
		names   []string
		want    string
	}{
		{"NaN", cluster.Matrix{Values: []float64{1, 2, 3, math.NaN()}, Dims: 2}, []string{"a", "b"}, `row 1 has NaN as "b"`},
		{"infinite", column(1, math.Inf(1)), []string{"a"}, `row 1 has +Inf as "a"`},
		{"no rows", cluster.Matrix{Dims: 1}, []string{"a"}, "0 rows"},
		{"a name missing", cluster.Matrix{Values: []float64{1, 2}, Dims: 2}, []string{"a"}, "2 values, 1 names"},
		{"a name empty", column(1), []string{""}, "feature 0 has no name"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			_, err := cluster.FitScaling(test.vectors, test.names, nil)
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("got %v, want an error with %q", err, test.want)
			}
		})
	}
}

func TestScalingNamesTheFirstBadRowWhoeverFindsIt(t *testing.T) {
	m := column(make([]float64, 50_000)...)
	m.Values[40_000], m.Values[20_000] = math.NaN(), math.Inf(1)
	_, err := cluster.FitScaling(m, []string{"a"}, cores)
	if err == nil || !strings.Contains(err.Error(), "row 20000 has +Inf") {
		t.Errorf("got %v, want row 20000", err)
	}
}

func BenchmarkFitScaling(b *testing.B) {
	m := crowd(100_000, 60, 8, 1, 1)
	for b.Loop() {
		fit(b, m)
	}
}
