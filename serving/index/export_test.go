package index

import (
	"context"

	"fernweh/schemas"
)

// ErrMoved is what ends a follower whose position is no longer its own.
var ErrMoved = errMoved

// Open begins with a partition.
func Open(f *Follower, ctx context.Context, partition int32) (
	start int64, handle func(context.Context, []schemas.DecisionRecord) error, err error,
) {
	return f.open(ctx, partition)
}

// Generations brings what is published to the documents until ctx is done.
func Generations(f *Follower, ctx context.Context) error { return f.generations(ctx) }
