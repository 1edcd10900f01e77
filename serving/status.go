package serving

import (
	"context"
	"errors"
	"fmt"
	"time"

	"fernweh/layer"
	"fernweh/schemas"
)

// Status is how things stand, as the API shows it.
type Status struct {
	Version    string               `json:"version"`
	Fold       int                  `json:"foldVersion"`
	Now        time.Time            `json:"now"`
	Ready      bool                 `json:"ready"`
	Degraded   []Trouble            `json:"degraded" doc:"what does not work now"`
	Generation int64                `json:"generation" doc:"that answers are based on; 0: none yet"`
	Published  *time.Time           `json:"published,omitempty" doc:"when it was published"`
	Kept       []schemas.Generation `json:"kept" doc:"generations that one can go back to, the latest first"`
	Model      string               `json:"model,omitempty"`
	Coverage   Coverage             `json:"coverage"`
	Misplaced  schemas.Misplaced    `json:"misplaced,omitempty" doc:"events by source that lie in another partition than their device's and are in no number: fernweh repair brings them back"`
	Run        *schemas.Run         `json:"run,omitempty" doc:"the run that is on its way in this process"`
}

// A Trouble is a component that does not do what it is there for, as the API
// shows it.
type Trouble struct {
	Component string    `json:"component" doc:"such as collector, views, or speed partition 3"`
	State     string    `json:"state" enum:"down,limited" doc:"down: its work stands still, and the process is not ready; limited: it goes on with less"`
	Since     time.Time `json:"since"`
	Reason    string    `json:"reason"`
	Failures  int       `json:"failures" doc:"in a row"`
}

// Health knows what else does not work in this process. It is asked from any
// goroutine.
type Health interface {
	Troubles() []layer.Trouble
}

// troubles are what does not work now: what this server sees itself, and what the
// others in its process say.
func (s *Server) troubles() (troubles []layer.Trouble) {
	if s.config.Health != nil {
		troubles = s.config.Health.Troubles()
	}
	if err := s.watcher.ready(); err != nil {
		troubles = append(troubles, layer.Trouble{
			Component: "views", Down: true, Since: s.watcher.blindSince(), Reason: err.Error(), Attempts: 1,
		})
	}
	if seen := s.watcher.seen.Load(); seen != nil && seen.modelErr != nil {
		troubles = append(troubles, layer.Trouble{
			Component: "model", Since: seen.modelSince, Reason: seen.modelErr.Error(), Attempts: 1,
		})
	}
	return troubles
}

// troubleOf is a trouble as the API shows it.
func troubleOf(t layer.Trouble) Trouble {
	state := "limited"
	if t.Down {
		state = "down"
	}
	return Trouble{t.Component, state, t.Since.UTC(), t.Reason, t.Attempts}
}

// notReady says why this process cannot do its work, or nil.
func notReady(troubles []layer.Trouble) error {
	var errs []error
	for _, t := range troubles {
		if t.Down {
			errs = append(errs, fmt.Errorf("%s, since %s: %s", t.Component, t.Since.UTC().Format(time.RFC3339), t.Reason))
		}
	}
	return errors.Join(errs...)
}

type statusOutput struct{ Body Status }

func (s *Server) status(context.Context, *struct{}) (*statusOutput, error) {
	out := Status{
		Version: s.config.Version, Fold: schemas.FoldVersion, Now: s.config.Now().UTC(),
		Degraded: []Trouble{}, Kept: []schemas.Generation{}, Coverage: Coverage{Partitions: []Provenance{}},
	}
	troubles := s.troubles()
	out.Ready = notReady(troubles) == nil
	for _, t := range troubles {
		out.Degraded = append(out.Degraded, troubleOf(t))
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
	s.Misplaced = seen.misplaced()
	if g.At > 0 {
		at := micros(g.At)
		s.Published = &at
	}
}

// misplaced are the misplaced events of all partitions.
func (h Horizon) misplaced() schemas.Misplaced {
	var all schemas.Misplaced
	for _, p := range h.Positions {
		for source, n := range p.Misplaced {
			if all == nil {
				all = make(schemas.Misplaced)
			}
			all[source] += n
		}
	}
	return all
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
	if err := notReady(s.troubles()); err != nil {
		return nil, degraded(err)
	}
	return out, nil
}
