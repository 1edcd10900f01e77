package main

import (
	"context"
	"errors"
	"fmt"
	"io"

	"fernweh/batch"
	"fernweh/infra/embedded"
	"fernweh/schemas"
	serve "fernweh/serving"

	"github.com/prometheus/client_golang/prometheus"
)

// runRebuild makes a set of views and documents anew while the portal goes on
// with another. The layers take it when they are started with its name.
func runRebuild(ctx context.Context, c *config, to console) error {
	s, err := openStack(ctx, c, "fernweh rebuild", needViews|needFiles|needDocuments|makesSet)
	if errors.Is(err, embedded.ErrLocked) {
		return askRebuild(ctx, c, err, to)
	}
	if err != nil {
		return err
	}
	return errors.Join(rebuildHere(ctx, s, to), s.close())
}

// rebuildHere archives for as long as the rebuild takes.
func rebuildHere(ctx context.Context, s *stack, to console) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	return together(ctx, s.archive(s.batch()), func(ctx context.Context) error {
		defer cancel()
		return s.acting("rebuild", "views "+s.config.Views, func() (string, error) {
			p := newProgress(to.log)
			run, err := s.rebuilt(ctx, p.show)
			p.end(run)
			if err == nil {
				printRebuilt(to.out, run, s.config.Views)
			}
			return fmt.Sprint("run ", run.Number), err
		})
	})
}

// rebuilt makes the views of this stack, and the documents of their generation.
func (s *stack) rebuilt(ctx context.Context, progress batch.Progress) (schemas.Run, error) {
	run, err := s.batch().Rebuild(ctx, progress)
	if err != nil {
		return run, err
	}
	if err := s.follower().Follow(ctx); err != nil {
		return run, fmt.Errorf("the views are made; their documents are not yet, but will be as soon as the layers run on them: %w", err)
	}
	return run, nil
}

func printRebuilt(w io.Writer, run schemas.Run, views string) {
	fmt.Fprintf(w, "generation %d of the views %q is published; start the layers with --views %s to take them\n", run.Number, views, views)
}

// rebuild makes another set of views beside the one that this process works on.
func (s *stack) rebuild(ctx context.Context, views string) (run schemas.Run, err error) {
	if views == s.config.Views {
		return run, fmt.Errorf("%w: %q is what this process works on", serve.ErrTaken, views)
	}
	if !s.rebuilding.TryLock() {
		return run, serve.ErrRunning
	}
	defer s.rebuilding.Unlock()
	c := *s.config
	c.Views = views
	other := &stack{
		config: &c, needs: makesSet, kafka: s.kafka, producer: s.producer, tail: s.tail, files: s.files, metrics: prometheus.NewRegistry(),
	}
	defer func() { err = errors.Join(err, other.close()) }()
	if err := errors.Join(other.openViews(ctx), other.openDocuments(ctx)); err != nil {
		return run, err
	}
	run, err = other.rebuilt(ctx, nil)
	if errors.Is(err, batch.ErrNotEmpty) {
		err = fmt.Errorf("%w: %w", serve.ErrTaken, err)
	}
	return run, err
}
