package serving

import (
	"context"
	"time"
)

const (
	defaultDeadline = 250 * time.Millisecond
	maxDeadline     = 5 * time.Second
)

// Wait lets a request read its own writes.
type Wait struct {
	After    string `query:"after" doc:"partition:offset pairs, as the collector's Fernweh-After; waits for every event below" example:"3:124,5:17"`
	Header   string `header:"Fernweh-After" doc:"the same as after"`
	Deadline string `query:"deadline" default:"250ms" doc:"of the wait, up to 5s; then the answer comes marked stale"`
}

// Waited says in the answer what came of the wait.
type Waited struct {
	Stale     bool   `json:"stale" doc:"the answer does not hold what was waited for"`
	WaitedFor string `json:"waitedFor,omitempty" doc:"if stale: what was asked for"`
}

// wait waits for what a request asks for.
func (s *Server) wait(ctx context.Context, w Wait) (Waited, error) {
	asked := w.After
	if asked == "" {
		asked = w.Header
	}
	after, err := ParseOffsets(asked, s.config.Partitions)
	if err != nil {
		return Waited{}, err
	}
	deadline, err := time.ParseDuration(w.Deadline)
	if err != nil || deadline < 0 || deadline > maxDeadline {
		return Waited{}, badParam{"query.deadline", w.Deadline, "want a duration from 0s to 5s, such as 250ms"}
	}
	if s.watcher.await(ctx, after, deadline) {
		return Waited{}, nil
	}
	return Waited{Stale: true, WaitedFor: asked}, nil
}

// bounded bounds the reading of one answer: none hangs with a store that hangs.
func (s *Server) bounded(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(ctx, s.config.Timeout)
}
