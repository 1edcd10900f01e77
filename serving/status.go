package serving

import (
	"context"
	"time"

	"fernweh/schemas"
)

// Status is how things stand, as the API shows it.
type Status struct {
	Version    string               `json:"version"`
	Fold       int                  `json:"foldVersion"`
	Now        time.Time            `json:"now"`
	Ready      bool                 `json:"ready"`
	Degraded   []string             `json:"degraded" doc:"what does not work now, a sentence each"`
	Generation int64                `json:"generation" doc:"that answers are based on; 0: none yet"`
	Published  *time.Time           `json:"published,omitempty" doc:"when it was published"`
	Kept       []schemas.Generation `json:"kept" doc:"generations that one can go back to, the latest first"`
	Model      string               `json:"model,omitempty"`
	Coverage   Coverage             `json:"coverage"`
	Run        *schemas.Run         `json:"run,omitempty" doc:"the run that is on its way in this process"`
}

type statusOutput struct{ Body Status }

func (s *Server) status(context.Context, *struct{}) (*statusOutput, error) {
	out := Status{
		Version: s.config.Version, Fold: schemas.FoldVersion, Now: s.config.Now().UTC(),
		Degraded: []string{}, Kept: []schemas.Generation{}, Coverage: Coverage{Partitions: []Provenance{}},
	}
	if err := s.watcher.ready(); err != nil {
		out.Degraded = append(out.Degraded, err.Error())
	} else {
		out.Ready = true
	}
	if seen := s.watcher.seen.Load(); seen != nil {
		out.show(seen)
		out.Coverage = s.watcher.coverage(seen.Horizon)
	}
	if run := s.runner.latest.Load(); run != nil && run.State == schemas.RunRunning {
		out.Run = run
	}
	return &statusOutput{out}, nil
}

func (s *Status) show(seen *snapshot) {
	g, _ := seen.generation()
	s.Generation, s.Model = g.Run, g.Model
	s.Kept = append(s.Kept, seen.Published.Kept...)
	if g.At > 0 {
		at := micros(g.At)
		s.Published = &at
	}
	if seen.modelErr != nil {
		s.Degraded = append(s.Degraded, seen.modelErr.Error())
	}
}

type healthOutput struct {
	Body struct {
		Status string `json:"status" enum:"live,ready"`
	}
}

func (s *Server) live(context.Context, *struct{}) (*healthOutput, error) {
	out := new(healthOutput)
	out.Body.Status = "live"
	return out, nil
}

func (s *Server) ready(context.Context, *struct{}) (*healthOutput, error) {
	out := new(healthOutput)
	out.Body.Status = "ready"
	if err := s.watcher.ready(); err != nil {
		return nil, degraded(err)
	}
	return out, nil
}
