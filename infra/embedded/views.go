package embedded

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math"
	"sync"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/bloom"
	"github.com/cockroachdb/pebble/v2/vfs"
	"golang.org/x/sync/semaphore"

	"fernweh/schemas"
)

// ErrClosed is the answer of a store that was closed.
var ErrClosed = errors.New("the store is closed")

// Views holds the tables of schemas in one directory. All of it may be called
// from any number of goroutines. A write is fsynced before it returns; one
// that ends in an error may have been written or not, and may be repeated.
//
// While the disk refuses writes (it is full), they fail with its error and reads
// go on; what was being written waits for space and is lost only with the
// process. After a failed sync the directory must be opened again to be written.
type Views struct {
	dir     string
	db      *pebble.DB
	trouble *trouble
	swap    *semaphore.Weighted // shared by Put and Delete, alone in CompareAndSet, until what they wrote is in

	mu     sync.Mutex     // guards closed, and that calls grows only before it
	closed bool           // guarded by mu
	calls  sync.WaitGroup // calls and writes under way
}

// OpenViews opens the views that lie in a directory, which is made if it is not there.
func OpenViews(dir string) (*Views, error) {
	return openViews(vfs.Default, dir, 16<<20, 96<<20)
}

// OpenViewsIn opens views in a file system of the caller's, such as
// vfs.NewMem(). They are small: a test or a simulation opens thousands.
func OpenViewsIn(fs vfs.FS, dir string) (*Views, error) {
	return openViews(fs, dir, 1<<20, 1<<20)
}

// openViews opens views with memtables of so many bytes, two at a time, and so
// many bytes for blocks that were read.
func openViews(fs vfs.FS, dir string, memtable, blocks int64) (*Views, error) {
	const memtables = 2 // Pebble takes theirs out of the cache before any block gets a place
	cache := pebble.NewCache(blocks + memtables*memtable)
	defer cache.Unref()
	t := new(trouble)
	options := &pebble.Options{
		FS: patientFS{fs, t}, Comparer: comparer(), Merger: merger(), Logger: lastWords{t},
		FormatMajorVersion: pebble.FormatNewest,
		Cache:              cache, MemTableSize: uint64(memtable), MemTableStopWritesThreshold: memtables,
		CompactionConcurrencyRange: func() (int, int) { return 1, 2 },
	}
	for i := range options.Levels {
		options.Levels[i].FilterPolicy = bloom.FilterPolicy(10) // about 1% of absent rows cost a block
	}
	db, err := openPebble(dir, options, t)
	if err == nil {
		err, _ = t.now()
	}
	if err != nil {
		return nil, fmt.Errorf("open views %s: %w", dir, err)
	}
	t.patient.Store(true)
	return &Views{dir: dir, db: db, trouble: t, swap: semaphore.NewWeighted(alone)}, nil
}

// Weights of swap.
const (
	shared = 1
	alone  = math.MaxInt64
)

// lastWords takes what Pebble says before it would end the process.
type lastWords struct{ trouble *trouble }

func (lastWords) Infof(string, ...any)  {}
func (lastWords) Errorf(string, ...any) {}
func (l lastWords) Fatalf(format string, args ...any) {
	l.trouble.begin(fmt.Errorf(format, args...), true)
}

// Close waits for the calls under way and closes the store. With a write lost
// or still waiting for space it gives the directory up as it is, like the end
// of the process would: what was acknowledged is in the log.
func (v *Views) Close() error {
	v.mu.Lock()
	was := v.closed
	v.closed = true
	v.mu.Unlock()
	if was {
		return nil
	}
	if err, _ := v.trouble.now(); err != nil {
		return fmt.Errorf("close views %s: %w", v.dir, err)
	}
	v.calls.Wait()
	if err := v.db.Close(); err != nil {
		return fmt.Errorf("close views %s: %w", v.dir, err)
	}
	return nil
}

// enter begins a call; each has its v.calls.Done.
func (v *Views) enter(ctx context.Context) error {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.closed {
		return ErrClosed
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	v.calls.Add(1)
	return nil
}

// Get reads rows, one per key and in their order; a row that is not there has
// no cells. All of them are from the same moment. They are the caller's to keep.
func (v *Views) Get(ctx context.Context, keys ...schemas.Key) ([]schemas.Row, error) {
	rows := make([]schemas.Row, len(keys))
	for i, key := range keys {
		rows[i].Key = key
	}
	if err := v.get(ctx, rows); err != nil {
		return nil, fmt.Errorf("get %s: %w", schemas.DescribeRows(keys), err)
	}
	return rows, nil
}

// get fills in the cells of rows.
func (v *Views) get(ctx context.Context, rows []schemas.Row) (err error) {
	if err := v.enter(ctx); err != nil {
		return err
	}
	defer v.calls.Done()
	// Most keys that speed asks for are not there: the filters of the lowest
	// level are worth their place in the cache.
	it, err := v.db.NewIterWithContext(ctx, &pebble.IterOptions{UseL6Filters: true})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, it.Close()) }()
	var prefix []byte
	for i := range rows {
		if err := ctx.Err(); err != nil {
			return err
		}
		prefix = appendRow(prefix[:0], rows[i].Key)
		for ok := it.SeekPrefixGE(prefix); ok; ok = it.Next() {
			if rows[i].Cells, err = readCell(rows[i].Cells, it, rows[i].Key, len(prefix)); err != nil {
				return err
			}
		}
		if err := it.Error(); err != nil {
			return err
		}
	}
	return nil
}

// readCell appends the cell under the iterator, copied, to the cells of its
// row. prefix is the length of the row's part of the key.
func readCell(cells []schemas.Cell, it *pebble.Iterator, row schemas.Key, prefix int) ([]schemas.Cell, error) {
	value, err := it.ValueAndErr()
	if err != nil {
		return cells, err
	}
	o, err := parseOperand(value)
	if err != nil {
		return cells, err
	}
	return append(cells, schemas.Cell{
		Key: row, Column: string(it.Key()[prefix:]), Stamp: o.stamp, Value: bytes.Clone(o.value),
	}), nil
}

// Put writes cells, all of them or none. Of two at the same place the one with
// the higher stamp stays, among equals the later.
func (v *Views) Put(ctx context.Context, cells ...schemas.Cell) error {
	if err := v.put(ctx, cells); err != nil {
		return fmt.Errorf("put %s: %w", schemas.DescribeCells(cells), err)
	}
	return nil
}

// put commits one operand a cell.
func (v *Views) put(ctx context.Context, cells []schemas.Cell) error {
	if err := v.enter(ctx); err != nil {
		return err
	}
	defer v.calls.Done()
	if len(cells) == 0 {
		return nil
	}
	batch := v.db.NewBatch()
	var key, value []byte
	for _, c := range cells {
		key, value = appendCell(key[:0], c.Key, c.Column), operand{c.Stamp, c.Value}.append(value[:0])
		if err := batch.Merge(key, value, nil); err != nil {
			return errors.Join(err, batch.Close())
		}
	}
	if err := v.hold(ctx, shared); err != nil {
		return errors.Join(err, batch.Close())
	}
	return v.commit(ctx, batch, shared)
}

// Delete removes the cells at these columns whose stamp is not above the one
// given; the values given don't matter. What is written later stays. Meanwhile
// nothing is put, so that nothing comes between the look at a stamp and the
// deletion: give it a few thousand cells at a time.
func (v *Views) Delete(ctx context.Context, cells ...schemas.Cell) error {
	if err := v.remove(ctx, cells); err != nil {
		return fmt.Errorf("delete %s: %w", schemas.DescribeCells(cells), err)
	}
	return nil
}

func (v *Views) remove(ctx context.Context, cells []schemas.Cell) error {
	if err := v.enter(ctx); err != nil {
		return err
	}
	defer v.calls.Done()
	if err := v.hold(ctx, alone); err != nil {
		return err
	}
	batch := v.db.NewBatch()
	for _, c := range cells {
		if err := v.removeOne(batch, c); err != nil {
			v.swap.Release(alone)
			return errors.Join(err, batch.Close())
		}
	}
	return v.commit(ctx, batch, alone)
}

// removeOne adds the deletion of a cell to a batch, if its stamp is not above
// the given one.
func (v *Views) removeOne(batch *pebble.Batch, c schemas.Cell) error {
	key := appendCell(nil, c.Key, c.Column)
	value, closer, err := v.db.Get(key)
	if errors.Is(err, pebble.ErrNotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	there, err := parseOperand(value)
	if err == nil && there.stamp <= c.Stamp {
		err = batch.Delete(key, nil)
	}
	return errors.Join(err, closer.Close())
}

// hold takes a weight of swap, unless a trouble begins: then it can take as long as that.
func (v *Views) hold(ctx context.Context, weight int64) error {
	err, trouble := v.trouble.now()
	if err != nil || v.swap.TryAcquire(weight) {
		return err
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	go func() {
		select {
		case <-trouble:
			cancel(errTrouble)
		case <-ctx.Done():
		}
	}()
	if v.swap.Acquire(ctx, weight) == nil {
		return nil
	}
	err, _ = v.trouble.now()
	return errors.Join(err, context.Cause(ctx))
}

// commit writes a batch and waits until it is on the disk, or until it is known
// that this will take its time: then it leaves its goroutine behind, which
// Close waits for. The caller's hold of swap ends with the write, not with the
// wait for it.
func (v *Views) commit(ctx context.Context, batch *pebble.Batch, hold int64) error {
	err, trouble := v.trouble.now()
	if err != nil {
		v.swap.Release(hold)
		return errors.Join(err, batch.Close())
	}
	done := make(chan error, 1)
	v.calls.Add(1)
	go func() {
		defer v.calls.Done()
		defer v.swap.Release(hold)
		done <- v.sync(batch)
	}()
	select {
	case err := <-done:
		return err
	case <-trouble:
		err, _ := v.trouble.now()
		return fmt.Errorf("not known to be written: %w", errors.Join(err, errTrouble))
	case <-ctx.Done():
		return ctx.Err()
	}
}

// errTrouble stands for a trouble that ended before it could be read.
var errTrouble = errors.New("the disk did not take it at once")

// sync commits a batch. Pebble panics where its log can't be written.
func (v *Views) sync(batch *pebble.Batch) (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("commit: %v", r)
			v.trouble.begin(err, true)
		}
	}()
	if err := batch.Commit(pebble.Sync); err != nil {
		return err
	}
	if err, _ := v.trouble.now(); err != nil {
		return err // Pebble says nil after an error that it holds for the end of the process
	}
	return batch.Close()
}

// Scan calls fn with the rows [from, to) of a table, ascending; an empty bound
// is open. All are from the moment of the call. A row is fn's to keep. The
// first error of fn ends the scan.
func (v *Views) Scan(
	ctx context.Context, table schemas.Table, from, to string, fn func(schemas.Row) error,
) error {
	if err := v.scan(ctx, table, from, to, fn); err != nil {
		return fmt.Errorf("scan %s from %q to %q: %w", table, from, to, err)
	}
	return nil
}

func (v *Views) scan(
	ctx context.Context, table schemas.Table, from, to string, fn func(schemas.Row) error,
) (err error) {
	if err := v.enter(ctx); err != nil {
		return err
	}
	defer v.calls.Done()
	lower, upper := bounds(table, from, to)
	it, err := v.db.NewIterWithContext(ctx, &pebble.IterOptions{LowerBound: lower, UpperBound: upper})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, it.Close()) }()
	for ok := it.First(); ok; {
		var row schemas.Row
		if row, ok, err = readRow(it); err != nil {
			return err
		}
		if err := ctx.Err(); err != nil {
			return err
		}
		if len(row.Cells) == 0 {
			continue
		}
		if err := fn(row); err != nil {
			return err
		}
	}
	return it.Error()
}

// readRow reads the row under the iterator and moves it to the next; more is
// false when there is none.
func readRow(it *pebble.Iterator) (row schemas.Row, more bool, err error) {
	prefix := bytes.Clone(it.Key()[:splitRow(it.Key())])
	if row.Key, err = parseRow(prefix); err != nil {
		return row, false, err
	}
	for more = true; more && bytes.HasPrefix(it.Key(), prefix); more = it.Next() {
		if row.Cells, err = readCell(row.Cells, it, row.Key, len(prefix)); err != nil {
			return row, false, err
		}
	}
	return row, more, it.Error()
}

// CompareAndSet writes a cell if it holds the old value: nil if there must be
// none. It says whether it did; after an error it may have. The cell's stamp
// goes up by one, so cells that are written like this must not be written by Put.
func (v *Views) CompareAndSet(
	ctx context.Context, key schemas.Key, column string, old, value []byte,
) (bool, error) {
	set, err := v.compareAndSet(ctx, schemas.Cell{Key: key, Column: column, Value: value}, old)
	if err != nil {
		return false, fmt.Errorf("compare and set %s %q %s: %w", key.Table, key.Row, column, err)
	}
	return set, nil
}

func (v *Views) compareAndSet(ctx context.Context, cell schemas.Cell, old []byte) (bool, error) {
	if err := v.enter(ctx); err != nil {
		return false, err
	}
	defer v.calls.Done()
	if err := v.hold(ctx, alone); err != nil {
		return false, err
	}
	rows := []schemas.Row{{Key: cell.Key}}
	err := v.get(ctx, rows)
	present, ok := rows[0].Cell(cell.Column)
	if err != nil || ok != (old != nil) || !bytes.Equal(present.Value, old) {
		v.swap.Release(alone)
		return false, err
	}
	batch := v.db.NewBatch()
	o := operand{present.Stamp + 1, cell.Value}
	if err := batch.Merge(appendCell(nil, cell.Key, cell.Column), o.append(nil), nil); err != nil {
		v.swap.Release(alone)
		return false, errors.Join(err, batch.Close())
	}
	err = v.commit(ctx, batch, alone)
	return err == nil, err
}
