package batch

import (
	"context"
	"errors"
	"fmt"

	"fernweh/batch/archive"
	"fernweh/schemas"
)

// ErrNotEmpty says that a set of views has a generation already.
var ErrNotEmpty = errors.New("a rebuild needs a set of views without any")

// Rebuild makes the first generation of an empty set of views, from the archive
// and the log alone. It is a run like any other, and so may everything else go on
// meanwhile: other sets of views on the same log take its cut for that of a run
// which never published. Whoever reads the log for the new set begins behind the
// cut once it is published.
//
// The set must be one that no process has ever written to: a writer that wakes
// late would leave in it what only made sense beside the cells that are lost.
func (l *Layer) Rebuild(ctx context.Context, progress Progress) (schemas.Run, error) {
	for {
		published, _, err := l.published(ctx)
		if err != nil {
			return schemas.Run{}, fmt.Errorf("rebuild: %w", err)
		}
		if len(published.Kept) > 0 {
			return schemas.Run{}, fmt.Errorf("rebuild: generation %d is published here: %w", published.Current, ErrNotEmpty)
		}
		run, err := l.run(ctx, progress, true)
		if errors.Is(err, archive.ErrNoCut) && ctx.Err() == nil {
			continue // the archive has come by now to the greater cut, and the next number is above it
		}
		if err != nil {
			err = fmt.Errorf("rebuild: %w", err)
		}
		return run, err
	}
}
