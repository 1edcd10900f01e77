// Package batch computes everything again, exactly, from the whole history.
//
// A run cuts the log, folds the archive below its cut with the code that speed
// runs too, writes the result beside what is published, judges it, and switches
// by one small write. Until that write nothing of it counts; after it, all does.
package batch

import (
	"context"
	"time"

	"fernweh/batch/archive"
	"fernweh/layer"
	"fernweh/model/visitor"
	"fernweh/schemas"
)

// Views is the view store. Get and Put are as speed has them. CompareAndSet
// replaces a value only if it is still the old one (nil: absent).
type Views interface {
	Get(ctx context.Context, keys ...schemas.Key) ([]schemas.Row, error)
	Put(ctx context.Context, cells ...schemas.Cell) error
	CompareAndSet(ctx context.Context, key schemas.Key, column string, old, new []byte) (bool, error)
	Scan(ctx context.Context, table schemas.Table, from, to string, take func(schemas.Row) error) error
	Delete(ctx context.Context, cells ...schemas.Cell) error
}

// Log is what a run writes to the log. AppendCut writes the record of the run's
// cut into every partition; after an error it may stand in some of them.
// Announce tells other programs what is published.
type Log interface {
	AppendCut(ctx context.Context, run int64) error
	Announce(ctx context.Context, key string, value []byte) error
}

// Reader gives each partition of the event topic to one goroutine, as speed has it.
type Reader interface {
	Consume(ctx context.Context, open func(ctx context.Context, partition int32) (
		start int64, handle func(context.Context, []schemas.Record) error, err error)) error
}

// Settings say how a run computes.
type Settings struct {
	Partitions  int32
	Segments    int           // wanted; there are fewer where fewer visitors differ
	Restarts    int           // of k-means
	Seed        uint64        // of k-means
	Workers     int           // that fold at the same time; 0: as many as there are cores
	Memory      int64         // bytes that the fold may take, roughly
	Sample      int           // units that segments are trained on
	ArchiveRows int64         // rows after which a file of the archive ends
	ArchiveFile int64         // bytes after which it ends; 0: archive.DefaultBytes
	ArchiveHeld int64         // bytes that files not yet written may take in this process; 0: unbounded
	Patience    time.Duration // how long the archive may take to reach a cut
	Grace       time.Duration // how long a generation that is no longer kept can still be read
	Holder      string        // names this process in the lease
	Limits      visitor.Limits
	Set         string // name of the set of views, by which control records call it
}

// A Layer is the batch layer of one process.
type Layer struct {
	Settings
	Views  Views
	Log    Log
	Files  archive.Files
	Now    func() time.Time
	Wait   Wait           // nil: by the system's clock
	Health layer.Reporter // nil: nobody is told
}

// A Wait waits, and says whether there is still work to do then.
type Wait func(ctx context.Context, d time.Duration) bool

// wait waits as the layer was told to.
func (l *Layer) wait(ctx context.Context, d time.Duration) bool {
	if l.Wait != nil {
		return l.Wait(ctx, d)
	}
	return layer.Pause(ctx, d)
}

// Archive writes the log into the archive until ctx is done. A failure delays it
// and loses nothing: it begins again at the end of the chain.
func (l *Layer) Archive(ctx context.Context, log Reader) error {
	k := newKeeper(l)
	defer k.close()
	return layer.Again(ctx, l.Health, "archive", func(ctx context.Context) error {
		return log.Consume(ctx, k.open)
	}, schemas.ErrOutOfRange)
}
