package serving

import (
	"context"
	"fmt"
	"slices"
	"sync/atomic"

	"fernweh/layer"
	"fernweh/schemas"
)

// Runs is the batch layer as far as one may ask it to do something from here.
type Runs interface {
	// Run does one whole batch run and tells its record whenever that has
	// changed, the first time as soon as it has a number, as one that is running:
	// how it ended is what Run returns. It is ErrRunning if another is on its way.
	Run(ctx context.Context, progress func(schemas.Run)) (schemas.Run, error)
	// Rollback publishes an older generation again.
	Rollback(ctx context.Context, to int64) error
}

// A Rebuild makes the first generation of another set of views, and its documents,
// and returns when they are there; nil: that cannot be asked for here. It is
// ErrTaken if the set has a generation already, and ErrRunning while another run
// or rebuild is on its way.
type Rebuild func(ctx context.Context, views string) (schemas.Run, error)

// A runner does the runs that are asked for, one at a time.
type runner struct {
	runs   Runs // may be nil
	busy   atomic.Bool
	asked  chan chan<- started // each is answered once
	latest atomic.Pointer[schemas.Run]
}

// started is what became of the wish for a run: its record, or why there is none.
type started struct {
	run schemas.Run
	err error
}

func newRunner(runs Runs) *runner { return &runner{runs: runs, asked: make(chan chan<- started)} }

// Run waits for wishes until ctx is done; a run that is on its way ends with it.
func (r *runner) Run(ctx context.Context) error {
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case reply := <-r.asked:
			r.do(ctx, reply)
		}
	}
}

// do does one run. What comes of it stands in its record; here only the first
// word is passed on.
func (r *runner) do(ctx context.Context, reply chan<- started) {
	first := true
	tell := func(s started) {
		if first {
			reply <- s // has room for one
			first = false
		}
	}
	var run schemas.Run
	err := layer.Guard(func() (err error) {
		run, err = r.runs.Run(ctx, func(run schemas.Run) {
			r.latest.Store(&run)
			tell(started{run: run})
		})
		return err
	})
	r.busy.Store(false) // first: whoever reads that it has ended may begin the next
	if run.Number > 0 {
		r.latest.Store(&run)
	} else {
		r.latest.Store(nil)
	}
	tell(started{run, err})
}

// start asks for a run and waits until it has a number.
func (r *runner) start(ctx context.Context) (schemas.Run, error) {
	if r.runs == nil {
		return schemas.Run{}, errNoRuns
	}
	if !r.busy.CompareAndSwap(false, true) {
		return schemas.Run{}, ErrRunning
	}
	reply := make(chan started, 1)
	select {
	case r.asked <- reply:
	case <-ctx.Done():
		r.busy.Store(false)
		return schemas.Run{}, ctx.Err()
	}
	select {
	case s := <-reply:
		return s.run, s.err
	case <-ctx.Done():
		return schemas.Run{}, ctx.Err()
	}
}

type runOutput struct {
	Location string `header:"Location"`
	Body     schemas.Run
}

func (o *runOutput) ended() string { return fmt.Sprint("run ", o.Body.Number) }

type runsInput struct {
	Limit int `query:"limit" default:"20" minimum:"1" maximum:"1000" doc:"how many, the latest first"`
}

type runsOutput struct {
	Body struct {
		Runs []schemas.Run `json:"runs"`
	}
}

func (s *Server) runs(ctx context.Context, in *runsInput) (*runsOutput, error) {
	out := new(runsOutput)
	runs, err := s.readRuns(ctx, in.Limit)
	out.Body.Runs = runs
	return answer(out, err)
}

// readRuns scans all records, a few hundred a year, and keeps the latest.
func (s *Server) readRuns(ctx context.Context, limit int) ([]schemas.Run, error) {
	ctx, cancel := s.bounded(ctx)
	defer cancel()
	runs := []schemas.Run{}
	err := s.config.Views.Scan(ctx, schemas.TableRuns, "", "~", func(row schemas.Row) error {
		run, err := decodeValue[schemas.Run](row)
		if err != nil {
			return err
		}
		if runs = append(runs, run); len(runs) >= 2*limit {
			runs = slices.Delete(runs, 0, len(runs)-limit)
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("read runs: %w", err)
	}
	slices.Reverse(runs)
	runs = runs[:min(len(runs), limit)]
	for i := range runs {
		runs[i] = s.runner.newer(runs[i])
	}
	return runs, nil
}

// newer is the record of a run as this process knows it, where it does that run.
// The stored one says that the run has ended before it has let go of its lease;
// then the run is still in work for those who wait to begin the next.
func (r *runner) newer(stored schemas.Run) schemas.Run {
	mine := r.latest.Load()
	if mine != nil && mine.Number == stored.Number && (mine.State == schemas.RunRunning || stored.State == schemas.RunRunning) {
		return *mine
	}
	return stored
}

type runInput struct {
	Number int64 `path:"number" minimum:"1"`
}

func (s *Server) run(ctx context.Context, in *runInput) (*runOutput, error) {
	return answer(s.readRun(ctx, in.Number))
}

func (s *Server) readRun(ctx context.Context, number int64) (*runOutput, error) {
	ctx, cancel := s.bounded(ctx)
	defer cancel()
	rows, err := s.config.Views.Get(ctx, schemas.RunKey(number))
	if err != nil {
		return nil, fmt.Errorf("read run %d: %w", number, err)
	}
	if len(rows) == 0 || len(rows[0].Cells) == 0 {
		return nil, fmt.Errorf("find run %d: %w", number, ErrUnknown)
	}
	run, err := decodeValue[schemas.Run](rows[0])
	if err != nil {
		return nil, err
	}
	return &runOutput{runPath(number), s.runner.newer(run)}, nil
}

func runPath(number int64) string { return fmt.Sprintf("/v1/runs/%d", number) }

func (s *Server) startRun(ctx context.Context, _ *struct{}) (*runOutput, error) {
	ctx, cancel := s.bounded(ctx)
	defer cancel()
	run, err := s.runner.start(ctx)
	return answer(&runOutput{runPath(run.Number), run}, err)
}

type rebuildInput struct {
	Body struct {
		Views string `json:"views" minLength:"1" maxLength:"60" pattern:"^[a-z][a-z0-9_]*$" doc:"name of the new set"`
	}
}

type rebuildOutput struct{ Body schemas.Run }

func (o *rebuildOutput) ended() string { return fmt.Sprint("run ", o.Body.Number) }

// rebuild answers when the rebuild is done: whoever asks for one waits for it. It
// ends with the request.
func (s *Server) rebuild(ctx context.Context, in *rebuildInput) (*rebuildOutput, error) {
	if s.config.Rebuild == nil {
		return answer[rebuildOutput](nil, errNoRuns)
	}
	run, err := s.config.Rebuild(ctx, in.Body.Views)
	return answer(&rebuildOutput{run}, err)
}

type rollbackInput struct {
	Body struct {
		To int64 `json:"to" minimum:"1" doc:"a generation that is kept"`
	}
}

type rollbackOutput struct{ Body schemas.Published }

func (o *rollbackOutput) ended() string { return fmt.Sprint("generation ", o.Body.Current) }

func (s *Server) rollback(ctx context.Context, in *rollbackInput) (*rollbackOutput, error) {
	return answer(s.rollBack(ctx, in.Body.To))
}

func (s *Server) rollBack(ctx context.Context, to int64) (*rollbackOutput, error) {
	if s.config.Runs == nil {
		return nil, errNoRuns
	}
	ctx, cancel := s.bounded(ctx)
	defer cancel()
	h, err := ReadHorizon(ctx, s.config.Views, s.config.Partitions, s.config.Now())
	if err != nil {
		return nil, err
	}
	after, err := h.Published.Without(to)
	if err != nil {
		return nil, badParam{"body.to", fmt.Sprint(to), err.Error()}
	}
	if err := s.config.Runs.Rollback(ctx, to); err != nil {
		return nil, err
	}
	return &rollbackOutput{after}, nil
}
