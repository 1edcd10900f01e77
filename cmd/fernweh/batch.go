package main

import (
	"context"
	"errors"
	"fmt"
	"strconv"

	"fernweh/infra/embedded"
	"fernweh/schemas"
)

// runBatch is the batch layer by itself, or, with "run", one run of it, with
// "rollback N" the return to an older generation, with "history" what has been.
func runBatch(ctx context.Context, c *config, to console) error {
	task, err := batchTask(c.Args)
	if err != nil {
		return usage{err}
	}
	s, err := openStack(ctx, c, "fernweh batch", task.needs)
	if errors.Is(err, embedded.ErrLocked) && task.asked != nil {
		if err := c.expectAsked(err); err != nil {
			return err
		}
		return task.asked(ctx, c, err, to)
	}
	if err != nil {
		return err
	}
	return errors.Join(task.here(ctx, s, to), s.close())
}

// A task is one thing that the batch layer can be told: here, on a stack of its
// own, or by asking the process that has the data directory.
type task struct {
	needs need
	here  func(context.Context, *stack, console) error
	asked func(ctx context.Context, c *config, locked error, to console) error
}

func batchTask(args []string) (task, error) {
	if len(args) == 0 {
		return task{needs: needViews | needFiles | makesTopic | makesFiles | comesEarly, here: batchAlone}, nil
	}
	switch verb, rest := args[0], args[1:]; {
	case verb == "run" && len(rest) == 0:
		return task{needViews | needFiles, batchRun, askRun}, nil
	case verb == "history" && len(rest) == 0:
		return task{needViews, batchHistory, askHistory}, nil
	case verb == "rollback" && len(rest) == 1:
		to, err := strconv.ParseInt(rest[0], 10, 64)
		if err != nil || to < 1 {
			return task{}, fmt.Errorf("batch rollback: %q is not the number of a generation", rest[0])
		}
		return rollbackTask(to), nil
	}
	return task{}, fmt.Errorf("batch: %q is none of its tasks: run, history, rollback N, or nothing to run by the schedule", args)
}

// batchAlone archives and runs by the schedule.
func batchAlone(ctx context.Context, s *stack, _ console) error {
	layer := s.batch()
	return s.with(s.archive(layer), s.schedule(layer))(ctx)
}

// batchRun archives for as long as one run takes.
func batchRun(ctx context.Context, s *stack, to console) error {
	layer := s.batch()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	return together(ctx, s.archive(layer), func(ctx context.Context) error {
		defer cancel()
		return s.acting("start-run", "", func() (string, error) {
			p := newProgress(to.log)
			run, err := layer.Run(ctx, p.show)
			p.end(run)
			if err == nil {
				fmt.Fprintf(to.out, "generation %d is published\n", run.Number)
			}
			return fmt.Sprint("run ", run.Number), err
		})
	})
}

func batchHistory(ctx context.Context, s *stack, to console) error {
	return s.views.Scan(ctx, schemas.TableRuns, "", "", func(row schemas.Row) error {
		c, _ := row.Cell(schemas.ColumnValue)
		run, err := schemas.DecodeJSON[schemas.Run](c.Value)
		if err == nil {
			printRun(to.out, run)
		}
		return err
	})
}

func rollbackTask(generation int64) task {
	return task{
		needViews,
		func(ctx context.Context, s *stack, to console) error {
			target := fmt.Sprint("generation ", generation)
			err := s.acting("rollback", target, func() (string, error) { return target, s.batch().Rollback(ctx, generation) })
			if err == nil {
				fmt.Fprintf(to.out, "generation %d is published again\n", generation)
			}
			return err
		},
		func(ctx context.Context, c *config, locked error, to console) error {
			return askRollback(ctx, c, locked, generation, to)
		},
	}
}
