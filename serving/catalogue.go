package serving

import (
	"context"

	"fernweh/model/cluster"
)

// Segments is the model in force as the API shows it.
type Segments struct {
	Generation int64             `json:"generation"`
	Model      string            `json:"model,omitempty" doc:"missing: none yet, the first batch run makes one"`
	Problem    string            `json:"problem,omitempty" doc:"why the model that is published cannot be used"`
	Visitors   int               `json:"visitors" doc:"that the model was trained on"`
	Segments   []cluster.Profile `json:"segments" doc:"the largest first"`
	State      State             `json:"state"`
	Age        *float64          `json:"ageSeconds,omitempty" doc:"since the generation was published"`
}

type segmentsOutput struct{ Body Segments }

func (s *Server) segments(context.Context, *struct{}) (*segmentsOutput, error) {
	return answer(s.readSegments())
}

func (s *Server) readSegments() (*segmentsOutput, error) {
	seen := s.watcher.seen.Load()
	if seen == nil {
		return nil, errNotReady
	}
	g, _ := seen.generation()
	out := Segments{Generation: g.Run, Segments: []cluster.Profile{}, State: Exact, Age: age(s.config.Now(), g.At)}
	if seen.modelErr != nil {
		out.Problem = seen.modelErr.Error()
	}
	if seen.model != nil {
		out.Model, out.Visitors, out.Segments = seen.model.id, seen.model.model.Vectors, seen.model.profiles
	}
	return &segmentsOutput{out}, nil
}
