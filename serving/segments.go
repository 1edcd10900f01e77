package serving

import (
	"fmt"
	"math"

	"fernweh/model/cluster"
	"fernweh/model/visitor"
)

// segments is a model that is ready to be asked by any number of goroutines.
type segments struct {
	id       string
	model    *cluster.Model
	profiles []cluster.Profile
}

// differencesShown is how many differences from everybody describe a segment.
const differencesShown = 8

// decodeSegments reads a model and checks that it fits this program.
func decodeSegments(id string, artefact []byte) (*segments, error) {
	m, err := cluster.Decode(artefact)
	if err != nil {
		return nil, fmt.Errorf("read model %s: %w", id, err)
	}
	if err := m.CheckFeatures(visitor.Features()); err != nil {
		return nil, fmt.Errorf("read model %s: %w", id, err)
	}
	return &segments{id, m, m.Profiles(differencesShown)}, nil
}

// A Classified is what the model in force says of a visitor. It is no fold: it
// changes with the model.
type Classified struct {
	ID       string  `json:"id"`
	Name     string  `json:"name"`
	Distance float64 `json:"distance" doc:"from the segment's centre, in standard deviations"`
	Model    string  `json:"model"`
	Login    string  `json:"login,omitempty" doc:"the unit that was looked at, with what happened before it"`
	State    State   `json:"state"`
}

// classify names the segment of one unit; nil where nothing can be said: no
// model, no such unit, or a visitor who does not want to be profiled.
func (s *segments) classify(v *VisitorView, login string) *Classified {
	if s == nil || v.Merged.Choice == denied {
		return nil
	}
	h := v.Merged.Units.Person(login, v.Merged.FirstLogin)
	if h == nil {
		return nil
	}
	i, distance := s.model.Nearest(h.Vector(make([]float64, 0, len(s.model.Features))))
	if i < 0 || math.IsNaN(distance) {
		return nil
	}
	found := s.model.Segments[i]
	return &Classified{ID: found.ID, Name: found.Name, Distance: distance, Model: s.id, Login: login, State: v.state()}
}
