// Package index keeps the documents that search and dashboards find.
//
// They follow from the decisions of speed and from the generations of batch, and
// from nothing else: whole documents under ids and versions that are functions of
// the log. So what was written twice is there once, a document store that was
// away is caught up with, and one that was emptied is filled again by itself.
package index

import (
	"context"
	"sync/atomic"
	"time"

	"fernweh/layer"
	"fernweh/schemas"

	"golang.org/x/sync/errgroup"
)

// Views is what batch and speed have written.
type Views interface {
	Get(ctx context.Context, keys ...schemas.Key) ([]schemas.Row, error)
	Scan(ctx context.Context, table schemas.Table, from, to string, fn func(schemas.Row) error) error
}

// Documents is the store that is kept current. Of two documents under one id the
// higher version stays, and a deletion is one of its version; both are durable
// when they return nil, and may be repeated. Search finds what was refreshed.
type Documents interface {
	Write(ctx context.Context, docs ...schemas.Document) error
	Delete(ctx context.Context, docs ...schemas.Document) error
	Get(ctx context.Context, index, id string) (schemas.Document, bool, error)
	Refresh(ctx context.Context, indices ...string) error
	Search(ctx context.Context, q schemas.Query) (schemas.Hits, error)
	Alias(ctx context.Context, name string, indices ...string) error
	Indices(ctx context.Context, prefix string) ([]string, error)
	Drop(ctx context.Context, indices ...string) error
}

// Decisions gives each partition of the decision topic to one goroutine: open is
// called for it and says at which offset to begin, schemas.Oldest included, then
// handle with the records from there on, in order. After an error or a panic of
// either, that partition alone is opened anew.
type Decisions interface {
	Consume(ctx context.Context, open func(ctx context.Context, partition int32) (
		start int64, handle func(ctx context.Context, records []schemas.DecisionRecord) error, err error)) error
}

// A Follower keeps one set of documents current. One with the same documents may
// run in another process: both then write the same.
type Follower struct {
	Views     Views
	Documents Documents
	Decisions Decisions
	Keep      time.Duration // how long decisions are found, as long as their topic keeps them
	Now       func() time.Time
	Metrics   *Metrics
	Health    layer.Reporter // nil: nobody is told

	published atomic.Pointer[schemas.Published] // as last seen; nil: not yet
	turned    string                            // what the aliases were last told to mean; only Follow's
	turnedAt  time.Time                         // when; only Follow's
}

// Run works until ctx is done. A store or a log that fails delays it.
func (f *Follower) Run(ctx context.Context) error {
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return f.consume(ctx) })
	g.Go(func() error { return f.generations(ctx) })
	return g.Wait()
}

// consume reads the decisions and begins again after each failure, ever later up
// to five seconds.
func (f *Follower) consume(ctx context.Context) error {
	return layer.Again(ctx, f.Health, "documents", func(ctx context.Context) error {
		err := f.Decisions.Consume(ctx, f.open)
		if ctx.Err() == nil {
			f.Metrics.restarts.Inc()
		}
		return err
	})
}
