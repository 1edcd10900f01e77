package cluster

import (
	"errors"
	"fmt"
	"math"
	"slices"
)

// A Feature is one coordinate of the vectors and how it is put on the scale that
// all share. What stands before a colon in its name groups features of one
// kind; what follows is a word for much of it.
type Feature struct {
	Name   string  `json:"name"`
	Centre float64 `json:"centre"`          // what becomes 0
	Spread float64 `json:"spread"`          // what becomes 1; greater than 0
	Reach  float64 `json:"reach,omitempty"` // spreads from the centre that a value counts at most; 0: any
}

// A Scaling makes features comparable: each is counted in its own spreads from
// its own centre.
type Scaling []Feature

// Unscaled leaves vectors of these features as they are.
func Unscaled(names []string) Scaling {
	s := make(Scaling, len(names))
	for i, name := range names {
		s[i] = Feature{Name: name, Spread: 1}
	}
	return s
}

const (
	tail       = 0.05  // of the rows at either end that is pulled in before the spread is taken
	sampleRows = 16384 // rows that quantiles are taken from
	reach      = 4     // spreads; what few do at all would else make segments of its few extremes
)

// FitScaling takes centre and spread of every feature from the vectors: mean and
// standard deviation after the outer twentieths were pulled in to the quantiles,
// so that neither a few extreme visitors nor what hardly anybody does decides.
// A feature that has no spread then keeps its own scale, and no value counts for
// more than four spreads.
func FitScaling(vectors Matrix, names []string, p Parallel) (Scaling, error) {
	if vectors.Rows() == 0 || len(names) != vectors.Dims {
		return nil, fmt.Errorf("fit scaling: %d rows of %d values, %d names",
			vectors.Rows(), vectors.Dims, len(names))
	}
	if err := vectors.finite(p, func(column int) string { return names[column] }); err != nil {
		return nil, fmt.Errorf("fit scaling: %w", err)
	}
	low, high := make([]float64, len(names)), make([]float64, len(names))
	p.each(len(names), func(j int) { low[j], high[j] = quantiles(vectors, j) })
	n := float64(vectors.Rows())
	// What is added up is taken from low, not to lose digits where values are
	// large and close.
	sums := columnSums(vectors, p, func(j int, x float64) float64 { return min(max(x, low[j]), high[j]) - low[j] })
	squares := columnSums(vectors, p, func(j int, x float64) float64 {
		d := min(max(x, low[j]), high[j]) - low[j] - sums[j]/n
		return d * d
	})
	s := Unscaled(names)
	for j := range s {
		s[j].Centre = low[j] + sums[j]/n
		if spread := math.Sqrt(squares[j] / n); low[j] < high[j] && spread > 0 {
			s[j].Spread = spread
		}
		s[j].Reach = reach
	}
	if err := s.check(); err != nil {
		return nil, fmt.Errorf("fit scaling: %w", err)
	}
	return s, nil
}

// quantiles are where the tails of column j begin, by an even sample of rows.
func quantiles(vectors Matrix, j int) (low, high float64) {
	n := vectors.Rows()
	step := (n + sampleRows - 1) / sampleRows
	column := make([]float64, 0, n/step+1)
	for i := 0; i < n; i += step {
		column = append(column, vectors.Values[i*vectors.Dims+j])
	}
	slices.Sort(column)
	cut := int(tail * float64(len(column)))
	return column[cut], column[len(column)-1-cut]
}

// Apply scales all vectors in place, as training wants them.
func (s Scaling) Apply(vectors Matrix, p Parallel) {
	cs := chunks(vectors.Rows())
	p.each(len(cs), func(c int) {
		for i := cs[c].from; i < cs[c].to; i++ {
			row := vectors.Row(i)
			s.append(row[:0], row)
		}
	})
}

// append appends the scaled vector to dst, which may be the vector itself.
func (s Scaling) append(dst, vector []float64) []float64 {
	for j := range s {
		x := (vector[j] - s[j].Centre) / s[j].Spread
		if far := s[j].Reach; far > 0 {
			x = min(max(x, -far), far)
		}
		dst = append(dst, x)
	}
	return dst
}

// raw is a scaled value of feature j in its own unit.
func (s Scaling) raw(j int, scaled float64) float64 { return s[j].Centre + scaled*s[j].Spread }

// Names are the features' names in order.
func (s Scaling) Names() []string {
	names := make([]string, len(s))
	for i, f := range s {
		names[i] = f.Name
	}
	return names
}

func (s Scaling) check() error {
	if len(s) == 0 {
		return errors.New("no features")
	}
	for j, f := range s {
		if f.Name == "" {
			return fmt.Errorf("feature %d has no name", j)
		}
		if !isFinite(f.Centre) || !isFinite(f.Spread) || f.Spread <= 0 || !isFinite(f.Reach) || f.Reach < 0 {
			return fmt.Errorf("feature %q has centre %v, spread %v, reach %v", f.Name, f.Centre, f.Spread, f.Reach)
		}
	}
	return nil
}

func isFinite(x float64) bool { return !math.IsNaN(x) && !math.IsInf(x, 0) }
