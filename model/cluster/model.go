package cluster

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"slices"
)

// A Model says which segment a vector belongs to. It is made by Train or Decode
// and not changed afterwards, so that any number of goroutines may ask it.
type Model struct {
	ID       string    `json:"id"`      // given by who trains it; names the generation
	Wanted   int       `json:"wanted"`  // segments asked for
	Vectors  int       `json:"vectors"` // it was trained on
	SSE      float64   `json:"sse"`     // sum of the vectors' squared distances from their centroids, scaled
	Features Scaling   `json:"features"`
	Segments []Segment `json:"segments"` // the largest first
}

// A Segment is a kind of visitor.
type Segment struct {
	ID       string    `json:"id"`       // s1 is the largest
	Name     string    `json:"name"`     // what sets it apart, for a person
	Size     int       `json:"size"`     // vectors of training in it
	Centroid []float64 `json:"centroid"` // scaled
}

// maxStack is how many features are scaled without allocation.
const maxStack = 128

// Nearest is the index of the segment that an unscaled vector belongs to, and its
// distance from the centroid in the features' spreads. A vector without finite
// distance belongs to none: -1, NaN. The vector must have the model's features.
func (m *Model) Nearest(vector []float64) (segment int, distance float64) {
	if len(vector) != len(m.Features) {
		panic(fmt.Sprintf("vector of %d values for a model of %d features", len(vector), len(m.Features)))
	}
	var stack [maxStack]float64
	scaled := m.Features.append(stack[:0], vector)
	segment, least := -1, math.Inf(1)
	for i := range m.Segments {
		if d := distance2(scaled, m.Segments[i].Centroid); d < least {
			segment, least = i, d
		}
	}
	if segment < 0 {
		return -1, math.NaN()
	}
	return segment, math.Sqrt(least)
}

// Check says what is wrong with the model in itself: a sum, a number, a length.
func (m *Model) Check() error {
	if err := m.check(); err != nil {
		return fmt.Errorf("segment model %q: %w", m.ID, err)
	}
	return nil
}

func (m *Model) check() error {
	if err := m.Features.check(); err != nil {
		return err
	}
	if len(m.Segments) == 0 {
		return errors.New("no segments")
	}
	if !isFinite(m.SSE) || m.SSE < 0 {
		return fmt.Errorf("sum of squares %v", m.SSE)
	}
	vectors, ids := 0, map[string]bool{}
	for _, s := range m.Segments {
		if err := s.check(len(m.Features)); err != nil {
			return fmt.Errorf("segment %q: %w", s.ID, err)
		}
		if ids[s.ID] {
			return fmt.Errorf("segment %q stands there twice", s.ID)
		}
		ids[s.ID] = true
		vectors += s.Size
	}
	if vectors != m.Vectors {
		return fmt.Errorf("the segments' sizes sum to %d, not to %d", vectors, m.Vectors)
	}
	return nil
}

func (s Segment) check(dims int) error {
	switch i := slices.IndexFunc(s.Centroid, func(x float64) bool { return !isFinite(x) }); {
	case s.ID == "" || s.Name == "":
		return fmt.Errorf("no id, or no name: %q", s.Name)
	case s.Size < 0:
		return fmt.Errorf("size %d", s.Size)
	case len(s.Centroid) != dims:
		return fmt.Errorf("%d values for %d features", len(s.Centroid), dims)
	case i >= 0:
		return fmt.Errorf("value %d of the centroid is %v", i, s.Centroid[i])
	}
	return nil
}

// CheckFeatures says whether vectors of these features may be asked about: a
// model that was trained on others would answer nonsense.
func (m *Model) CheckFeatures(names []string) error {
	if len(names) != len(m.Features) {
		return fmt.Errorf("segment model %q: trained on %d features, asked about %d", m.ID, len(m.Features), len(names))
	}
	for j, name := range names {
		if name != m.Features[j].Name {
			return fmt.Errorf("segment model %q: feature %d is %q, not %q", m.ID, j, m.Features[j].Name, name)
		}
	}
	return nil
}

// A Gate is what a model must be before it goes live. The zero value asks for no
// more than Check and segments that are not empty.
type Gate struct {
	LargestShare float64 // of the vectors in one segment, at most; 0: any
	Vectors      int     // below this many, no share is judged
}

// DefaultGate stops a model that puts nearly everybody into one segment.
func DefaultGate() Gate { return Gate{LargestShare: 0.9, Vectors: 200} }

// Judge names the rule that the model breaks, its value and the bound.
func (g Gate) Judge(m *Model) error {
	if err := m.Check(); err != nil {
		return fmt.Errorf("gate: sound: %w", err)
	}
	largest := m.Segments[0]
	for _, s := range m.Segments {
		if s.Size == 0 {
			return fmt.Errorf("gate: no empty segment: segment model %q: %s has 0 vectors, want at least 1", m.ID, s.ID)
		}
		if s.Size > largest.Size {
			largest = s
		}
	}
	share := float64(largest.Size) / float64(m.Vectors)
	if m.Wanted > 1 && m.Vectors >= g.Vectors && g.LargestShare > 0 && share > g.LargestShare {
		return fmt.Errorf("gate: largest share: segment model %q: %s has %.3f of %d vectors, want at most %.3f",
			m.ID, largest.ID, share, m.Vectors, g.LargestShare)
	}
	return nil
}

// format numbers the meaning of an encoded model.
const format = 1

// Encode is the model as it is stored, as docs/formats/model.md describes it.
func (m *Model) Encode() ([]byte, error) {
	if err := m.Check(); err != nil {
		return nil, fmt.Errorf("encode: %w", err)
	}
	return json.Marshal(struct {
		Format int `json:"format"`
		*Model
	}{format, m})
}

// Decode reads what Encode wrote and checks it.
func Decode(b []byte) (*Model, error) {
	stored := struct {
		Format int `json:"format"`
		*Model
	}{Model: new(Model)}
	if err := json.Unmarshal(b, &stored); err != nil {
		return nil, fmt.Errorf("decode segment model: %w", err)
	}
	if stored.Format != format {
		return nil, fmt.Errorf("decode segment model %q: format %d, want %d", stored.ID, stored.Format, format)
	}
	if err := stored.Check(); err != nil {
		return nil, fmt.Errorf("decode: %w", err)
	}
	return stored.Model, nil
}
