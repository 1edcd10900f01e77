// Package speed keeps each visitor current, one event at a time.
//
// The goroutine that owns a partition of the log passes each event through the
// filter of its device, adds it to the history since the cut, moves the panes by
// what the whole history now says differently, and names the visitor's segment.
// What it writes are absolute values, each stamped with the offset of the last
// event in it, and the position last; so a crash, a rebalance or an owner that
// was frozen and wakes changes no answer.
package speed

import (
	"context"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"

	"fernweh/layer"
	"fernweh/model/visitor"
	"fernweh/schemas"

	"golang.org/x/sync/errgroup"
)

// Log gives each partition of the event topic to one goroutine: open is called
// for it and says at which offset to begin, then handle with the records from there
// in log order. After an error or a panic of either, that partition alone is opened
// anew, and its handle before is not called again.
type Log interface {
	Consume(ctx context.Context, open func(ctx context.Context, partition int32) (
		start int64, handle func(context.Context, []schemas.Record) error, err error)) error
}

// Views is the view store. Get gives one row per key, each read atomically. Put
// keeps the higher stamp, writes adjacent cells of one row atomically, and is
// durable when it returns nil; after an error any part may have been written.
type Views interface {
	Get(ctx context.Context, keys ...schemas.Key) ([]schemas.Row, error)
	Put(ctx context.Context, cells ...schemas.Cell) error
}

// Decisions takes what was said of visitors; durable when it returns nil. The
// same decision may come again after a crash, with the same id.
type Decisions interface {
	AppendDecisions(ctx context.Context, decisions []*schemas.Decision) error
}

// Actions takes what campaigns propose into the log of events; durable when it
// returns nil. The same action may come again after a crash, with the same bytes.
type Actions interface {
	AppendActions(ctx context.Context, actions []*schemas.Event) error
}

// Triggers says which actions an accepted event triggers, given its whole visitor
// and the unit that it went into. It is pure.
type Triggers func(v *visitor.Visitor, unit *visitor.Unit, e *schemas.Event) []visitor.Proposal

// Stores is what a partition works with.
type Stores struct {
	Views       Views
	Set         string // name of the set of views, by which control records call it
	Decisions   Decisions
	Actions     Actions
	Triggers    func(campaigns schemas.InForce) Triggers // of the campaigns that the log has put in force in this set of views; nil: none act here
	Model       func() *Model                            // the model in force; nil: none yet
	Now         func() time.Time
	Metrics     *Metrics
	Health      layer.Reporter // nil: nobody is told
	MaxVisitors int            // devices that one partition holds in memory
	Limits      visitor.Limits
}

// A Layer is the speed layer of one process.
type Layer struct {
	log    Log
	stores Stores
	model  atomic.Pointer[Model]
}

// New is a speed layer that reads the log and writes to the stores; the model in
// force it finds itself.
func New(log Log, stores Stores) *Layer {
	l := &Layer{log: log, stores: stores}
	l.stores.Model = l.model.Load
	return l
}

// watchEvery is how often what is published is looked at: a switch is seen
// within a second.
const watchEvery = 250 * time.Millisecond

// Run works until ctx is done. A store or a log that fails delays it and loses
// nothing: it begins again from the stored position.
func (l *Layer) Run(ctx context.Context) error {
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return l.follow(ctx) })
	g.Go(func() error { return l.consume(ctx) })
	return g.Wait()
}

// consume reads the log and begins again after each failure, ever later up to
// five seconds.
func (l *Layer) consume(ctx context.Context) error {
	return layer.Again(ctx, l.stores.Health, "speed", func(ctx context.Context) error {
		err := l.log.Consume(ctx, l.open)
		if ctx.Err() == nil {
			l.stores.Metrics.restarted()
		}
		return err
	}, schemas.ErrOutOfRange)
}

func (l *Layer) open(ctx context.Context, partition int32) (int64, func(context.Context, []schemas.Record) error, error) {
	p, err := Open(ctx, l.stores, partition)
	if err != nil {
		return 0, nil, err
	}
	if n := p.Passed(); n > 0 {
		l.stores.Metrics.fellBack(partition, n)
		slog.WarnContext(ctx, "speed was behind every kept generation and goes on behind the oldest one's cut: "+
			"what the events between would have triggered may not fire", "partition", partition, "offsets", n)
	}
	return p.Start(), p.Handle, nil
}

// follow keeps the model in force current. A model that cannot be read or fails
// its self-check is refused, once for each reason, and the one before stays.
func (l *Layer) follow(ctx context.Context) error {
	var loaded, reason string
	health := layer.To(l.stores.Health)
	for {
		id := loaded
		err := layer.Guard(func() (err error) {
			id, err = l.refresh(ctx, loaded)
			return err
		})
		switch {
		case err == nil:
			loaded, reason = id, ""
			health.Up("speed model")
		case ctx.Err() == nil:
			if err.Error() != reason {
				l.stores.Metrics.refused()
			}
			reason = err.Error()
			health.Limited("speed model", err)
		}
		if !layer.Pause(ctx, watchEvery) {
			return nil
		}
	}
}

// refresh puts the published model in force, unless it is the one loaded
// already, and says which one is loaded then.
func (l *Layer) refresh(ctx context.Context, loaded string) (string, error) {
	g, err := publishedGeneration(ctx, l.stores.Views)
	if err != nil || g.Model == loaded {
		return loaded, err
	}
	m, err := loadModel(ctx, l.stores.Views, g)
	if err != nil {
		return loaded, err
	}
	l.model.Store(m)
	return g.Model, nil
}

// LoadModel loads the published model; nil if there is none yet.
func LoadModel(ctx context.Context, views Views) (*Model, error) {
	g, err := publishedGeneration(ctx, views)
	if err != nil {
		return nil, err
	}
	return loadModel(ctx, views, g)
}

func publishedGeneration(ctx context.Context, views Views) (schemas.Generation, error) {
	rows, err := views.Get(ctx, schemas.KeyPublished)
	if err != nil {
		return schemas.Generation{}, fmt.Errorf("read what is published: %w", err)
	}
	published, err := value[schemas.Published](rows[0])
	if err != nil {
		return schemas.Generation{}, fmt.Errorf("read what is published: %w", err)
	}
	g, _ := published.Generation(published.Current)
	return g, nil
}

func loadModel(ctx context.Context, views Views, g schemas.Generation) (*Model, error) {
	if g.Model == "" {
		return nil, nil
	}
	rows, err := views.Get(ctx, schemas.ModelKey(g.Model))
	if err != nil {
		return nil, fmt.Errorf("read model %s: %w", g.Model, err)
	}
	c, ok := rows[0].Cell(schemas.ColumnValue)
	if !ok {
		return nil, fmt.Errorf("model %s of generation %d is missing", g.Model, g.Run)
	}
	return decodeModel(g.Model, c.Value)
}
