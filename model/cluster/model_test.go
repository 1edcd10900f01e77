package cluster_test

import (
	"bytes"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"fernweh/model/cluster"
)

// portal is a small model with three kinds of traveller.
func portal() *cluster.Model {
	return &cluster.Model{
		ID: "segments-7", Wanted: 3, Vectors: 100, SSE: 12.25,
		Features: cluster.Scaling{
			{Name: "style:quiet", Centre: 0.25, Spread: 0.125},
			{Name: "party:couple", Centre: 0.5, Spread: 0.25},
			{Name: "volume:events", Centre: 2, Spread: 1},
		},
		Segments: []cluster.Segment{
			{ID: "s1", Name: "events", Size: 60, Centroid: []float64{-1, -0.5, 1}},
			{ID: "s2", Name: "quiet · couple", Size: 30, Centroid: []float64{2, 1, 0}},
			{ID: "s3", Name: "less events", Size: 10, Centroid: []float64{0, 0, -6}},
		},
	}
}

func TestNearest(t *testing.T) {
	tests := []struct {
		name     string
		vector   []float64
		segment  int
		distance float64
	}{
		{"in the middle of the quiet couples", []float64{0.5, 0.75, 2}, 1, 0},
		{"three and four spreads away from them", []float64{0.875, 1.75, 2}, 1, 5},
		{"nothing known of them", []float64{0.25, 0.5, 2}, 0, 1.5},
		{"NaN belongs to nobody", []float64{math.NaN(), 0, 0}, -1, math.NaN()},
		{"neither does infinity", []float64{0, math.Inf(1), 0}, -1, math.NaN()},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			segment, distance := portal().Nearest(test.vector)
			same := distance == test.distance || math.IsNaN(distance) && math.IsNaN(test.distance)
			if segment != test.segment || !same {
				t.Errorf("got segment %d at %v, want %d at %v", segment, distance, test.segment, test.distance)
			}
		})
	}
}

func TestNearestAllocatesNothing(t *testing.T) {
	m, v := portal(), []float64{1, 2, 3}
	if n := testing.AllocsPerRun(100, func() { m.Nearest(v) }); n != 0 {
		t.Errorf("got %v allocations a vector, want none", n)
	}
}

func TestNearestOfMoreFeaturesThanUsual(t *testing.T) {
	vectors := crowd(50, 200, 3, 1, 1)
	m := train(t, vectors, cluster.Options{K: 3})
	if sse, _ := sumOfSquares(m, vectors); !near(sse, m.SSE) {
		t.Errorf("got %v by 200 features, want %v", sse, m.SSE)
	}
}

// The labels of training and those of the stored model, asked with unscaled
// vectors, must be the same.
func TestModelAnswersAsItWasTrained(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		raw := anyCrowd(t)
		s, err := cluster.FitScaling(raw, names(raw.Dims), nil)
		if err != nil {
			t.Fatal(err)
		}
		scaled := cluster.Matrix{Values: slices.Clone(raw.Values), Dims: raw.Dims}
		s.Apply(scaled, nil)
		m, err := cluster.Train(scaled, s, cluster.Options{K: 4, Restarts: 1})
		if err != nil {
			t.Fatal(err)
		}
		b, err := m.Encode()
		if err != nil {
			t.Fatal(err)
		}
		stored, err := cluster.Decode(b)
		if err != nil {
			t.Fatal(err)
		}
		if sse, sizes := sumOfSquares(stored, raw); !near(sse, m.SSE) || sizes[0] != m.Segments[0].Size {
			t.Errorf("got SSE %v and %v by the stored model, %v in training", sse, sizes, m.SSE)
		}
	})
}

func TestModelGolden(t *testing.T) {
	want, err := os.ReadFile(filepath.Join("testdata", "model.json"))
	if err != nil {
		t.Fatal(err)
	}
	got, err := portal().Encode()
	if err != nil {
		t.Fatal(err)
	}
	if want = bytes.TrimSpace(want); !bytes.Equal(got, want) {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	m, err := cluster.Decode(want)
	if err != nil {
		t.Fatal(err)
	}
	if segment, d := m.Nearest([]float64{0.875, 1.75, 2}); segment != 1 || d != 5 || m.Segments[1].Name != "quiet · couple" {
		t.Errorf("the stored model says segment %d at %v, want 1 at 5", segment, d)
	}
}

func TestCheckAndGateNameWhatIsWrong(t *testing.T) {
	tests := []struct {
		name  string
		spoil func(*cluster.Model)
		want  string
	}{
		{"no segments", func(m *cluster.Model) { m.Segments = nil }, "no segments"},
		{"no features", func(m *cluster.Model) { m.Features = nil }, "no features"},
		{"NaN in a centroid", func(m *cluster.Model) { m.Segments[1].Centroid[2] = math.NaN() }, `segment "s2": value 2 of the centroid is NaN`},
		{"infinite sum", func(m *cluster.Model) { m.SSE = math.Inf(1) }, "sum of squares +Inf"},
		{"centroid too short", func(m *cluster.Model) { m.Segments[0].Centroid = []float64{1} }, `segment "s1": 1 values for 3`},
		{"no spread", func(m *cluster.Model) { m.Features[0].Spread = 0 }, `feature "style:quiet" has centre 0.25, spread 0`},
		{"sizes", func(m *cluster.Model) { m.Vectors = 99 }, "sum to 100, not to 99"},
		{"negative size", func(m *cluster.Model) { m.Segments[0].Size = -1 }, "size -1"},
		{"the same id", func(m *cluster.Model) { m.Segments[1].ID = "s1" }, `"s1" stands there twice`},
		{"no name", func(m *cluster.Model) { m.Segments[1].Name = "" }, "no name"},
		{"empty segment", func(m *cluster.Model) { m.Segments[0].Size, m.Segments[2].Size = 70, 0 }, "gate: no empty segment: segment model \"segments-7\": s3 has 0"},
		{"one giant", func(m *cluster.Model) { resize(m, 950, 30, 20) }, "gate: largest share: segment model \"segments-7\": s1 has 0.950 of 1000 vectors, want at most 0.900"},
		{"all alike", func(m *cluster.Model) { m.Segments = m.Segments[:1]; resize(m, 1000) }, "s1 has 1.000 of 1000"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			m := portal()
			test.spoil(m)
			err := cluster.DefaultGate().Judge(m)
			if err == nil || !strings.Contains(err.Error(), test.want) || !strings.Contains(err.Error(), m.ID) {
				t.Errorf("got %v, want an error of %s with %q", err, m.ID, test.want)
			}
		})
	}
}

func resize(m *cluster.Model, sizes ...int) {
	m.Vectors = 0
	for i, n := range sizes {
		m.Segments[i].Size = n
		m.Vectors += n
	}
}

func TestGateLetsPass(t *testing.T) {
	few, one := portal(), portal()
	resize(few, 198, 0, 0)
	few.Segments = few.Segments[:1]
	one.Segments, one.Wanted = one.Segments[:1], 1
	resize(one, 5000)
	for name, m := range map[string]*cluster.Model{
		"a sound one": portal(), "a giant among few visitors": few, "one segment, as was asked": one,
	} {
		if err := cluster.DefaultGate().Judge(m); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestModelOfOtherFeaturesIsNotAsked(t *testing.T) {
	m := portal()
	if err := m.CheckFeatures(m.Features.Names()); err != nil {
		t.Error(err)
	}
	err := m.CheckFeatures([]string{"style:quiet", "party:solo", "volume:events"})
	if err == nil || !strings.Contains(err.Error(), `feature 1 is "party:couple", not "party:solo"`) {
		t.Errorf("got %v", err)
	}
	if err := m.CheckFeatures([]string{"style:quiet"}); err == nil {
		t.Error("one feature of three is taken")
	}
}

func TestDecodeRefuses(t *testing.T) {
	good, err := portal().Encode()
	if err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{
		"nothing":        "",
		"null":           "null",
		"half of it":     string(good[:len(good)/2]),
		"another format": strings.Replace(string(good), `"format":1`, `"format":2`, 1),
		"no format":      strings.Replace(string(good), `"format":1,`, "", 1),
		"unsound":        strings.Replace(string(good), `"size":60`, `"size":61`, 1),
		"not a number":   strings.Replace(string(good), `12.25`, `"NaN"`, 1),
	} {
		if m, err := cluster.Decode([]byte(text)); err == nil {
			t.Errorf("%s: got %+v, want an error", name, m)
		}
	}
	spoilt := portal()
	spoilt.SSE = math.NaN()
	if _, err := spoilt.Encode(); err == nil {
		t.Error("a model with NaN is stored")
	}
}

func FuzzDecode(f *testing.F) {
	good, err := portal().Encode()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(good)
	f.Add([]byte(`{"format":1}`))
	f.Add([]byte("null"))
	f.Fuzz(func(t *testing.T, b []byte) {
		m, err := cluster.Decode(b)
		if err != nil {
			return
		}
		m.Nearest(make([]float64, len(m.Features)))
		m.Profiles(3)
		if _, err := m.Encode(); err != nil {
			t.Errorf("read, but not to be written: %v", err)
		}
	})
}

func TestProfilesSayWhatSetsSegmentsApart(t *testing.T) {
	ps := portal().Profiles(2)
	if len(ps) != 3 || ps[1].ID != "s2" || ps[1].Share != 0.3 || len(ps[1].Differences) != 2 {
		t.Fatalf("got %+v", ps)
	}
	// Overall, quiet is -0.6 + 0.6 + 0 = 0 spreads from its centre: 0.25.
	want := cluster.Difference{Feature: "style:quiet", Segment: 0.5, Overall: 0.25, Spreads: 2}
	if got := ps[1].Differences[0]; got.Feature != want.Feature || !near(got.Segment, want.Segment) ||
		!near(got.Overall, want.Overall) || !near(got.Spreads, want.Spreads) {
		t.Errorf("got %+v, want %+v", got, want)
	}
	if got := ps[2].Differences[0]; got.Feature != "volume:events" || !near(got.Spreads, -6) {
		t.Errorf("got %+v, want 6 spreads less events", got)
	}
	if got := len(portal().Profiles(99)[0].Differences); got != 3 {
		t.Errorf("got %d differences, want all 3", got)
	}
}

// named is the names that training gives to travellers of a few sharp kinds.
func named(t *testing.T, features []string, kinds ...[]float64) []string {
	t.Helper()
	m := cluster.Matrix{Dims: len(features)}
	for i, kind := range kinds {
		for range 30 - i { // the first is the largest
			m.Values = append(m.Values, kind...)
		}
	}
	model, err := cluster.Train(m, cluster.Unscaled(features), cluster.Options{K: len(kinds)})
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, s := range model.Segments {
		got = append(got, s.Name)
	}
	return got
}

func TestSegmentsAreNamedAfterWhatSetsThemApart(t *testing.T) {
	features := []string{"style:quiet", "style:upscale", "party:couple", "party:family", "season:summer", "nights"}
	tests := []struct {
		name  string
		kinds [][]float64
		want  []string
	}{
		{"one word a group, the most telling first",
			[][]float64{{4, 3, 6, 0, 0, 0}, {0, 0, 0, 5, 2, 1}},
			[]string{"couple · quiet", "family · summer · nights"}},
		{"three words at most",
			[][]float64{{4, 0, 6, 0, 3, 2}, {0, 0, 0, 0, 0, 0}},
			[]string{"couple · quiet · summer", "less couple"}},
		{"a further word where the names would be equal",
			[][]float64{{0, 0, 9, 0, 0, 0}, {0, 0, 6, 0, 0, 0}, {0, 0, 0, 9, 0, 0}},
			[]string{"couple", "couple · less family", "family"}},
		{"the id where no word is left",
			[][]float64{{0, 0, 9, 0, 0, 0}, {0, 0, 6, 0, 0, 0}, {0, 0, 0, 0, 0, 0}},
			[]string{"couple", "couple (s2)", "less couple"}},
		{"all alike", [][]float64{{1, 1, 1, 1, 1, 1}}, []string{"average"}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if got := named(t, features, test.kinds...); !slices.Equal(got, test.want) {
				t.Errorf("got %q, want %q", got, test.want)
			}
		})
	}
}

func TestNoTwoSegmentsHaveTheSameName(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		vectors := anyCrowd(t)
		m, err := cluster.Train(vectors, cluster.Unscaled(names(vectors.Dims)), cluster.Options{K: 12, Restarts: 1})
		if err != nil {
			t.Fatal(err)
		}
		seen := map[string]bool{}
		for _, s := range m.Segments {
			if seen[s.Name] {
				t.Errorf("two segments are called %q", s.Name)
			}
			seen[s.Name] = true
		}
	})
}
