package speed

import (
	"fmt"
	"math"

	"fernweh/model/cluster"
	"fernweh/model/visitor"
	"fernweh/schemas"

	"google.golang.org/protobuf/proto"
)

// A Model says which segment a visitor is in.
type Model struct {
	id       string
	segments *cluster.Model
}

// decodeModel reads a model's artefact and checks that it fits this program.
func decodeModel(id string, artefact []byte) (*Model, error) {
	m, err := cluster.Decode(artefact)
	if err != nil {
		return nil, fmt.Errorf("model %s: %w", id, err)
	}
	if err := m.CheckFeatures(visitor.Features()); err != nil {
		return nil, fmt.Errorf("model %s: %w", id, err)
	}
	return &Model{id, m}, nil
}

// classify names the segment of a history. A model that panics or gives no
// number has said nothing: the rest of the event goes on without it.
func (m *Model) classify(h *visitor.History, metrics *Metrics) (s *visitor.Segment) {
	defer func() {
		if recover() != nil {
			metrics.degraded()
			s = nil
		}
	}()
	segment, distance := m.segments.Nearest(h.Vector(make([]float64, 0, 64)))
	if math.IsNaN(distance) {
		metrics.degraded()
		return nil
	}
	return &visitor.Segment{ID: m.segments.Segments[segment].ID, Distance: distance, Model: m.id}
}

// decodeDecision is what was last said of a visitor.
func decodeDecision(b []byte) (*visitor.Segment, error) {
	var d schemas.Decision
	if err := proto.Unmarshal(b, &d); err != nil {
		return nil, fmt.Errorf("decode latest decision: %w", err)
	}
	return &visitor.Segment{ID: d.Segment, Distance: d.Distance, Model: d.Model, Login: d.Login}, nil
}
