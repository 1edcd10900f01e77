package main

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"

	"fernweh/batch/archive"
	"fernweh/infra/embedded"
	"fernweh/schemas"
)

// A reached is how far something that was made of the log has come in it.
type reached struct {
	what      string
	partition int32
	offset    int64
}

// within refuses a log that ends before what was made of it. Its readers would
// stop as well, but a collector beside them that takes a few events at each start gives
// them offsets that are counted already; once the log is long enough again nobody can tell.
// So it is asked before any door opens.
func (s *stack) within(ctx context.Context, needs need) (err error) {
	if len(s.config.Log.Brokers) > 0 && needs&needSpool == 0 {
		return nil // no door: its readers ask for themselves
	}
	var all []reached
	for _, ask := range []func(context.Context) ([]reached, error){s.viewsReached, s.archiveReached} {
		some, err := ask(ctx)
		if err != nil {
			return err
		}
		all = append(all, some...)
	}
	if len(all) == 0 {
		return nil
	}
	ends, err := s.tail.Ends(ctx) // after the others: they may be going on elsewhere
	if err != nil {
		return err
	}
	var errs []error
	for _, r := range all {
		if int(r.partition) < len(ends) && r.offset > ends[r.partition] {
			errs = append(errs, fmt.Errorf("%w: topic %s partition %d holds the offsets from 0 to below %d, not %d, which %s has come to: "+
				"%d records are gone, and no event is taken before they are back (docs/operations.md, Restore)", schemas.ErrOutOfRange,
				s.kafka.Topic(schemas.TopicEvents), r.partition, ends[r.partition], r.offset, r.what, r.offset-ends[r.partition]))
		}
	}
	return errors.Join(errs...)
}

// viewsReached is where speed is in each partition, by the set of views. A
// collector alone on an embedded portal looks at the set that lies beside it.
func (s *stack) viewsReached(ctx context.Context) (all []reached, err error) {
	v := s.views
	if v == nil {
		dir := filepath.Join(s.config.DataDir, s.config.ofSet("views"))
		if len(s.config.Log.Brokers) > 0 || len(s.config.HBase.Quorum) > 0 || !isDir(dir) {
			return nil, nil
		}
		alone, err := embedded.OpenViews(dir)
		if err != nil {
			return nil, err
		}
		defer func() { err = errors.Join(err, alone.Close()) }()
		v = alone
	}
	var keys []schemas.Key
	for p := range s.config.Log.Partitions {
		keys = append(keys, schemas.KeyPosition(p))
	}
	rows, err := v.Get(ctx, keys...)
	if err != nil {
		return nil, err
	}
	for p, row := range rows {
		cell, ok := row.Cell(schemas.ColumnValue)
		if !ok {
			continue
		}
		position, err := schemas.DecodeJSON[schemas.Position](cell.Value)
		if err != nil {
			return nil, fmt.Errorf("read position of partition %d: %w", p, err)
		}
		all = append(all, reached{"the views " + s.config.Views, int32(p), position.Offset})
	}
	return all, nil
}

// archiveReached is where the archive's chain ends in each partition.
func (s *stack) archiveReached(ctx context.Context) (all []reached, err error) {
	files, dir := s.files, filepath.Join(s.config.DataDir, "archive")
	if files == nil {
		if len(s.config.Log.Brokers) > 0 || !isDir(dir) {
			return nil, nil
		}
		if files, err = embedded.OpenSharedFiles(dir); err != nil {
			return nil, err
		}
	}
	for p := range s.config.Log.Partitions {
		w, err := archive.NewWriter(ctx, files, p, archive.Limits{})
		if err != nil {
			return nil, err
		}
		all = append(all, reached{"the archive " + dir, p, w.Start()})
		w.Close()
	}
	return all, nil
}
