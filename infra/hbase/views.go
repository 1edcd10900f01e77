package hbase

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/sirupsen/logrus"
	"github.com/tsuna/gohbase"
	"github.com/tsuna/gohbase/hrpc"
	"github.com/tsuna/gohbase/pb"
	"golang.org/x/sync/errgroup"
	"golang.org/x/sync/semaphore"
	"google.golang.org/protobuf/proto"

	"fernweh/schemas"
)

// ErrClosed is the answer of views that were closed.
var ErrClosed = errors.New("the views are closed")

// openWithin bounds each of the steps of Open.
const openWithin = 15 * time.Second

// Views holds the tables of schemas in HBase. All of it may be called from any
// number of goroutines. A write has reached the server's log when it returns;
// one that ends in an error may have been written or not, and may be repeated.
//
// While HBase is away, a call tries again until its context ends or the
// patience of the Config is over. There is no moment that several rows share:
// each row is read and written at once, and by itself.
type Views struct {
	cfg      Config
	metrics  *metrics
	inFlight *semaphore.Weighted // of rows, see weigh

	connection atomic.Pointer[connection]
	asked      atomic.Int64 // see lookout
	unwatch    func()       // ends the lookout, and waits for that

	mu      sync.Mutex     // guards closed, and that calls grows only before it
	closed  bool           // guarded by mu
	closing chan struct{}  // closed with it
	calls   sync.WaitGroup // calls under way
}

// A connection is a client of gohbase's, which connects when it is used.
type connection struct {
	client gohbase.Client
	rpc    gohbase.RPCClient
}

// flushInterval is how long gohbase waits for more rows to send with the first.
const flushInterval = 2 * time.Millisecond

// readTimeout is after how long without an answer gohbase takes a connection for
// dead: longer than a server looks for the next row of a scan (30 s).
const readTimeout = 45 * time.Second

// quiet keeps gohbase from writing to standard error, and from ending the
// process where it finds an empty znode: then the goroutine ends that looked,
// and who waits for it tries again.
var quiet = sync.OnceFunc(func() {
	logrus.SetLevel(logrus.PanicLevel)
	logrus.StandardLogger().ExitFunc = endGoroutine
})

func newConnection(cfg Config) (*connection, error) {
	client := gohbase.NewClient(cfg.quorum(), gohbase.ZookeeperRoot(cfg.Root),
		gohbase.FlushInterval(flushInterval), gohbase.RegionReadTimeout(readTimeout))
	rpc, ok := client.(gohbase.RPCClient)
	if !ok {
		return nil, fmt.Errorf("a client of type %T sends no calls", client)
	}
	return &connection{client, rpc}, nil
}

// Open connects to HBase, makes the tables that are missing and checks the
// others. It asks before it trusts: what is wrong with the settings or the
// server is said within 15 s; only to make tables may take longer. The metrics
// go to r, if there is one.
func Open(ctx context.Context, cfg Config, r prometheus.Registerer) (*Views, error) {
	cfg = cfg.withDefaults()
	v, err := open(ctx, cfg, r)
	if err != nil {
		return nil, fmt.Errorf("open views in HBase (ZooKeeper %s, root %s, tables %s_*): %w",
			cfg.quorum(), cfg.Root, cfg.Prefix, err)
	}
	return v, nil
}

func open(ctx context.Context, cfg Config, r prometheus.Registerer) (*Views, error) {
	if err := cfg.check(); err != nil {
		return nil, err
	}
	quiet()
	if err := probe(ctx, cfg); err != nil {
		return nil, err
	}
	if err := ensureTables(ctx, cfg); err != nil {
		return nil, err
	}
	c, err := newConnection(cfg)
	if err != nil {
		return nil, err
	}
	v := &Views{
		cfg: cfg, metrics: newMetrics(r), inFlight: semaphore.NewWeighted(int64(cfg.InFlight)),
		closing: make(chan struct{}),
	}
	v.connection.Store(c)
	v.watch()
	if err := v.serves(ctx); err != nil {
		return nil, errors.Join(err, v.Close())
	}
	return v, nil
}

// serves reads a row of each table.
func (v *Views) serves(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, openWithin)
	defer cancel()
	g, ctx := errgroup.WithContext(ctx)
	for _, table := range schemas.Tables() {
		g.Go(func() error {
			name := v.cfg.table(table)
			if err := v.enabled(ctx, name); err != nil {
				return err
			}
			if _, err := v.getRow(ctx, schemas.Key{Table: table, Row: "any"}); err != nil {
				return fmt.Errorf("table %s is there, and not served: %w", name, err)
			}
			return nil
		})
	}
	return g.Wait()
}

// enabled asks hbase:meta whether a table is to be served: who asks for a row of
// one that is not would wait for ever.
func (v *Views) enabled(ctx context.Context, name string) error {
	return v.tries(v.metrics.get, v.cfg.Deadline).do(ctx, func(ctx context.Context) error {
		call, err := hrpc.NewGet(ctx, []byte("hbase:meta"), []byte(name),
			hrpc.Families(map[string][]string{"table": {"state"}}))
		if err != nil {
			return err
		}
		msg, err := v.ask(ctx, call)
		if err != nil {
			return err
		}
		answer, _ := msg.(*pb.GetResponse) // of another kind, it has no cells
		for _, c := range answer.GetResult().GetCell() {
			if state := c.GetValue(); !bytes.Equal(state, tableEnabled) && !bytes.Equal(state, tableEnabling) {
				return fmt.Errorf("%w: table %s is disabled; HBase's shell enables it: enable '%s'", errRefused, name, name)
			}
		}
		return nil
	})
}

// States of a table in hbase:meta, as messages of one field. (2 is disabling,
// 1 disabled.)
var (
	tableEnabled  = []byte{0x08, 0}
	tableEnabling = []byte{0x08, 3}
)

// Close ends the calls under way and the connections.
func (v *Views) Close() error {
	v.mu.Lock()
	was := v.closed
	v.closed = true
	v.mu.Unlock()
	if was {
		return nil
	}
	close(v.closing)
	v.unwatch() // from here on nobody replaces the connection
	v.connection.Load().client.Close()
	v.calls.Wait()
	return nil
}

// enter begins a call; leave is called when it ends.
func (v *Views) enter(ctx context.Context, o operation) (leave func(error), err error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.closed {
		return nil, ErrClosed
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	v.calls.Add(1)
	begun := time.Now()
	return func(err error) {
		o.done(begun, err)
		v.calls.Done()
	}, nil
}

// tries repeats a part of an operation, with so long for each attempt.
func (v *Views) tries(o operation, deadline time.Duration) tries {
	return tries{
		deadline: deadline, patience: v.cfg.Patience, closing: v.closing,
		again: o.again.Inc, why: func(ctx context.Context) error { return probe(ctx, v.cfg) },
	}
}

// ask sends a call and notes whether an answer comes.
func (v *Views) ask(ctx context.Context, call hrpc.Call) (msg proto.Message, err error) {
	now := time.Now().UnixNano()
	first := v.asked.CompareAndSwap(0, now)
	msg, err = v.connection.Load().send(ctx, call)
	switch {
	case isAnswer(err):
		v.asked.Store(0)
	case first && errors.Is(err, context.Canceled): // nobody waits for it any more
		v.asked.CompareAndSwap(now, 0)
	}
	return msg, err
}

// send hands a call to gohbase.
func (c *connection) send(ctx context.Context, call hrpc.Call) (proto.Message, error) {
	if b, ok := call.(hrpc.Batchable); ok && !b.SkipBatch() {
		return c.rpc.SendRPC(call)
	}
	return apart(ctx, c.rpc, call)
}

// watch looks after the client until unwatch.
func (v *Views) watch() {
	l := lookout{
		deadline: v.cfg.Deadline, asked: &v.asked,
		probe: func(ctx context.Context) error { return probe(ctx, v.cfg) }, renew: v.renew,
	}
	ctx, stop := context.WithCancel(context.Background())
	var watching sync.WaitGroup
	watching.Go(func() { l.run(ctx) })
	v.unwatch = func() {
		stop()
		watching.Wait()
	}
}

// renew puts a new client in the place of the old one if it is answered. Who
// waits with the old one tries again with the new.
func (v *Views) renew(ctx context.Context) {
	fresh, err := newConnection(v.cfg)
	if err != nil {
		return // the old one stays, and this is tried again
	}
	if err := v.answers(ctx, fresh); err != nil || v.asked.Load() == 0 {
		fresh.client.Close()
		return
	}
	old := v.connection.Swap(fresh)
	v.asked.Store(0)
	old.client.Close()
	v.metrics.renewed.Inc()
}

// answers asks for a row that every reader needs.
func (v *Views) answers(ctx context.Context, c *connection) error {
	ctx, cancel := context.WithTimeout(ctx, v.cfg.Deadline)
	defer cancel()
	key := schemas.KeyPublished
	call, err := hrpc.NewGet(ctx, []byte(v.cfg.table(key.Table)), []byte(key.Row))
	if err == nil {
		_, err = c.send(ctx, call)
	}
	return err
}

// each runs do for the numbers below n, side by side as far as there is room in
// flight for rows of so many bytes. The first error ends it.
func (v *Views) each(ctx context.Context, n int, size func(int) int, do func(context.Context, int) error) error {
	if n == 1 {
		land, err := v.fly(ctx, size(0))
		if err != nil {
			return err
		}
		defer land()
		return do(ctx, 0)
	}
	g, inner := errgroup.WithContext(ctx)
	for i := range n {
		land, err := v.fly(inner, size(i))
		if err != nil {
			break // inner ended: with ctx, or with an error that Wait returns
		}
		g.Go(func() error {
			defer land()
			return do(inner, i)
		})
	}
	if err := g.Wait(); err != nil {
		return err
	}
	return ctx.Err()
}

// fly waits for room in flight for a row of so many bytes; land gives it back.
func (v *Views) fly(ctx context.Context, bytes int) (land func(), err error) {
	weight := v.weigh(bytes)
	if err := v.inFlight.Acquire(ctx, weight); err != nil {
		return nil, err
	}
	v.metrics.inFlight.Inc()
	return func() {
		v.metrics.inFlight.Dec()
		v.inFlight.Release(weight)
	}, nil
}

// weigh is how many rows a row of so many bytes counts for.
func (v *Views) weigh(bytes int) int64 {
	return min(1+int64(bytes)/(32<<10), int64(v.cfg.InFlight))
}

// Get reads rows, one per key and in their order, each atomically; a row that
// is not there has no cells. They are the caller's to keep.
func (v *Views) Get(ctx context.Context, keys ...schemas.Key) (rows []schemas.Row, err error) {
	leave, err := v.enter(ctx, v.metrics.get)
	if err == nil {
		defer func() { leave(err) }()
		rows, err = v.get(ctx, keys)
	}
	if err != nil {
		return nil, fmt.Errorf("get %s: %w", schemas.DescribeRows(keys), err)
	}
	return rows, nil
}

func (v *Views) get(ctx context.Context, keys []schemas.Key) ([]schemas.Row, error) {
	for _, key := range keys {
		if err := known(key.Table); err != nil {
			return nil, err
		}
	}
	rows := make([]schemas.Row, len(keys))
	err := v.each(ctx, len(keys), small, func(ctx context.Context, i int) (err error) {
		if rows[i].Key = keys[i]; canBe(keys[i].Row) {
			rows[i], err = v.getRow(ctx, keys[i])
		}
		return err
	})
	return rows, err
}

// small is the size of what is not known to be large.
func small(int) int { return 0 }

// getRow reads one row, with as many attempts as it takes.
func (v *Views) getRow(ctx context.Context, key schemas.Key) (row schemas.Row, err error) {
	err = v.tries(v.metrics.get, v.cfg.Deadline).do(ctx, func(ctx context.Context) error {
		cells, err := v.getCells(ctx, key)
		row = toRow(key, cells)
		return err
	})
	return row, err
}

// getCells reads one row as the server holds it.
func (v *Views) getCells(ctx context.Context, key schemas.Key) ([]*pb.Cell, error) {
	call, err := hrpc.NewGet(ctx, []byte(v.cfg.table(key.Table)), []byte(key.Row))
	if err != nil {
		return nil, err
	}
	msg, err := v.ask(ctx, call)
	if err != nil {
		return nil, err
	}
	answer, ok := msg.(*pb.GetResponse)
	if !ok {
		return nil, fmt.Errorf("the server answers a get with a %T", msg)
	}
	return answer.GetResult().GetCell(), nil
}

// Put writes cells, those of one row at once. Of two at the same place the one
// with the higher stamp stays, among equals the later. A cell that was deleted
// up to a stamp is not written with a stamp below it: the server hides it.
func (v *Views) Put(ctx context.Context, cells ...schemas.Cell) error {
	if err := v.write(ctx, v.metrics.put, kindPut, cells); err != nil {
		return fmt.Errorf("put %s: %w", schemas.DescribeCells(cells), err)
	}
	return nil
}

// Delete removes the cells at these columns whose stamp is not above the one
// given; the values given don't matter. What is written later with a higher
// stamp stays. What comes with this or a lower one is hidden until the server
// compacts: so name the stamp that you have read, and no higher one.
func (v *Views) Delete(ctx context.Context, cells ...schemas.Cell) error {
	if err := v.write(ctx, v.metrics.remove, kindDeleteColumn, cells); err != nil {
		return fmt.Errorf("delete %s: %w", schemas.DescribeCells(cells), err)
	}
	return nil
}

// write sends a call a row.
func (v *Views) write(ctx context.Context, o operation, kind byte, cells []schemas.Cell) (err error) {
	leave, err := v.enter(ctx, o)
	if err != nil {
		return err
	}
	defer func() { leave(err) }()
	rows := writes(cells)
	blocks := make([][]byte, len(rows))
	for i, w := range rows {
		if blocks[i], err = w.encode(kind); err != nil {
			return err
		}
	}
	size := func(i int) int { return len(blocks[i]) }
	return v.each(ctx, len(rows), size, func(ctx context.Context, i int) error {
		return v.tries(o, v.cfg.Deadline).do(ctx, func(ctx context.Context) error {
			call, err := newRowCall(ctx, v.cfg, rows[i], kind, blocks[i])
			if err != nil {
				return err
			}
			_, err = v.ask(ctx, call)
			return err
		})
	})
}

// hasFamily says whether a family is one of a table's.
func hasFamily(table schemas.Table, family string) bool {
	return slices.Contains(table.Families(), family)
}
