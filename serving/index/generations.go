package index

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"fernweh/layer"
	"fernweh/model/kpi"
	"fernweh/model/visitor"
	"fernweh/schemas"
)

// lookEvery is how often what is published is looked at.
const lookEvery = time.Second

// generations brings every published generation to the documents and lets the
// aliases follow.
func (f *Follower) generations(ctx context.Context) error {
	health := layer.To(f.Health)
	var wait layer.Backoff
	for {
		err := layer.Guard(func() error { return f.Follow(ctx) })
		pause := lookEvery
		_, lacks := errors.AsType[*noModelError](err)
		switch {
		case err == nil:
			wait.Reset()
			f.Metrics.failed.Set(0)
			health.Up("generations")
		case lacks:
			wait.Reset()
			f.Metrics.failed.Set(0)
			health.Limited("generations", err)
		case ctx.Err() == nil:
			pause = max(pause, wait.Next())
			f.Metrics.failed.Set(1)
			health.Down("generations", fmt.Errorf("the documents of the generation before stay: %w", err))
		}
		if !layer.Pause(ctx, pause) {
			return nil
		}
	}
}

// Follow looks at what is published, once: its documents are written if they are
// not there yet, then the aliases mean them, then what is no longer kept goes.
func (f *Follower) Follow(ctx context.Context) error {
	rows, err := f.Views.Get(ctx, schemas.KeyPublished)
	if err != nil {
		return fmt.Errorf("read what is published: %w", err)
	}
	c, _ := rows[0].Cell(schemas.ColumnValue)
	published, err := schemas.DecodeJSON[schemas.Published](c.Value)
	if err != nil {
		return fmt.Errorf("read what is published: %w", err)
	}
	f.published.Store(&published)
	var lack *noModelError
	if g, ok := published.Generation(published.Current); ok && g.Run > 0 {
		if err := f.fill(ctx, g); err != nil && !errors.As(err, &lack) {
			return fmt.Errorf("bring generation %d to the documents: %w", g.Run, err)
		}
	}
	if err := f.turn(ctx, published); err != nil {
		return fmt.Errorf("turn the aliases to generation %d: %w", published.Current, err)
	}
	if err := f.drop(ctx, published); err != nil {
		return fmt.Errorf("drop old documents: %w", err)
	}
	f.Metrics.generation.Set(float64(published.Current))
	if lack != nil {
		return fmt.Errorf("the documents of generation %d name no segments: %w", published.Current, lack)
	}
	return nil
}

// filled is the mark of a generation all of whose documents are there.
func filled(g int64) schemas.PositionDocument {
	return schemas.PositionDocument{Follower: fmt.Sprintf("generation-%d", g), Offset: g}
}

// unnamed is the mark of a generation all of whose documents are there, without
// segments. One whose model comes back is written once more, which costs as much as
// the first time.
func unnamed(g int64) schemas.PositionDocument {
	return schemas.PositionDocument{Follower: fmt.Sprintf("generation-%d-unnamed", g), Offset: g}
}

// has says whether a mark is there.
func (f *Follower) has(ctx context.Context, mark schemas.PositionDocument) (bool, error) {
	_, found, err := f.Documents.Get(ctx, schemas.IndexPositions, schemas.DocumentID(schemas.PositionID(mark.Follower, 0)))
	return found, err
}

// fill writes the documents of a generation, unless they are there. Without its
// model they name no segments, which is a noModelError.
func (f *Follower) fill(ctx context.Context, g schemas.Generation) error {
	mark := filled(g.Run)
	if found, err := f.has(ctx, mark); err != nil || found {
		return err
	}
	model, lack := f.model(ctx, g.Model)
	if lack != nil {
		if _, ok := errors.AsType[*noModelError](lack); !ok {
			return lack
		}
		mark = unnamed(g.Run)
		if found, err := f.has(ctx, mark); err != nil {
			return err
		} else if found {
			return lack
		}
	}
	if err := f.fillVisitors(ctx, g, model); err != nil {
		return err
	}
	if err := f.fillPanes(ctx, g); err != nil {
		return err
	}
	mark.At = schemas.DocTime(f.Now().UnixMicro())
	if err := f.Documents.Write(ctx, mark.Document()); err != nil {
		return err
	}
	return lack
}

// chunk is how many documents are written at a time.
const chunk = 500

// A writer collects documents.
type writer struct {
	*Follower
	kind string
	docs []schemas.Document
}

func (w *writer) add(ctx context.Context, doc schemas.Document) error {
	w.docs = append(w.docs, doc)
	if len(w.docs) < chunk {
		return nil
	}
	return w.flush(ctx)
}

func (w *writer) flush(ctx context.Context) error {
	if err := w.Documents.Write(ctx, w.docs...); err != nil {
		return err
	}
	w.Metrics.documents.WithLabelValues(w.kind).Add(float64(len(w.docs)))
	w.docs = w.docs[:0]
	return nil
}

func (f *Follower) fillVisitors(ctx context.Context, g schemas.Generation, model *model) error {
	w := &writer{Follower: f, kind: schemas.KindVisitors}
	index := schemas.IndexVisitorsBatch(g.Run)
	err := f.Views.Scan(ctx, schemas.TableVisitors, "", "", func(row schemas.Row) error {
		cell, err := exact(row, g)
		if err != nil || cell == nil {
			return err
		}
		return w.add(ctx, model.exactVisitor(schemas.VisitorOf(row.Row), cell, g.Run).Document(index, g.Run))
	})
	if err != nil {
		return err
	}
	return w.flush(ctx)
}

// exact is the cell of a generation; nil where there is nothing to be found:
// nobody, or somebody who has been erased since.
func exact(row schemas.Row, g schemas.Generation) (*visitor.Cell, error) {
	c, ok := row.Batch(g)
	if !ok {
		return nil, nil
	}
	for _, s := range row.Cells {
		if column, ok := schemas.ParseColumn(s.Column); !ok || column.Family != schemas.FamilySpeed || column.Number < g.Run {
			continue
		}
		var since visitor.Cell
		if err := since.UnmarshalBinary(s.Value); err != nil {
			return nil, fmt.Errorf("read %s of device %s: %w", s.Column, schemas.VisitorOf(row.Row), err)
		}
		if since.Forgot.Any() {
			return nil, nil
		}
	}
	cell := new(visitor.Cell)
	if err := cell.UnmarshalBinary(c.Value); err != nil {
		return nil, fmt.Errorf("read %s of device %s: %w", c.Column, schemas.VisitorOf(row.Row), err)
	}
	if cell.Empty() {
		return nil, nil
	}
	return cell, nil
}

func (f *Follower) fillPanes(ctx context.Context, g schemas.Generation) error {
	w := &writer{Follower: f, kind: schemas.KindPanes}
	index := schemas.IndexPanes(g.Run)
	err := f.Views.Scan(ctx, schemas.TablePanes, "", "", func(row schemas.Row) error {
		c, ok := row.Batch(g)
		if !ok {
			return nil
		}
		var v kpi.Value
		if err := v.UnmarshalBinary(c.Value); err != nil {
			return fmt.Errorf("read %s of pane %s: %w", c.Column, row.Row, err)
		}
		if v.Zero() {
			return nil // it was something in the generation before
		}
		doc, err := schemas.NewPaneDocument(row.Row)
		if err != nil {
			return err
		}
		doc.State, doc.Generation, doc.Value, doc.Distinct = schemas.StateExact, g.Run, v.Sum, int64(v.Devices.Estimate())
		return w.add(ctx, doc.Document(index, g.Run))
	})
	if err != nil {
		return err
	}
	return w.flush(ctx)
}

// turnAgain is how long the aliases are trusted to mean what they were told to: a
// store that was emptied has forgotten them.
const turnAgain = time.Minute

// turn lets the aliases mean the published generation and the epochs since.
func (f *Follower) turn(ctx context.Context, published schemas.Published) error {
	indices, err := f.Documents.Indices(ctx, schemas.KindVisitors+"-")
	if err != nil {
		return err
	}
	visitors := slices.DeleteFunc(indices, func(index string) bool {
		e, ok := epochOf(index)
		return !ok || e < published.Current
	})
	var panes []string
	if published.Current > 0 {
		visitors = append(visitors, schemas.IndexVisitorsBatch(published.Current))
		panes = append(panes, schemas.IndexPanes(published.Current))
	}
	state := fmt.Sprint(visitors, panes)
	if state == f.turned && f.Now().Sub(f.turnedAt) < turnAgain {
		return nil
	}
	for alias, indices := range map[string][]string{schemas.KindVisitors: visitors, schemas.KindPanes: panes} {
		if len(indices) == 0 {
			continue
		}
		if err := f.Documents.Alias(ctx, alias, indices...); err != nil {
			return err
		}
	}
	f.turned, f.turnedAt = state, f.Now()
	return nil
}

// drop removes the indices of generations and epochs that are older than every
// kept one, of generations that were rolled back, and of decisions past their
// time.
func (f *Follower) drop(ctx context.Context, published schemas.Published) error {
	indices, err := f.Documents.Indices(ctx, "")
	if err != nil {
		return err
	}
	oldest := schemas.IndexDecisions(f.Now().Add(-f.Keep).UnixMicro())
	var old []string
	for _, index := range indices {
		g, isGeneration := generationOf(index)
		e, isEpoch := epochOf(index)
		mapping, err := schemas.MappingOf(index)
		if err != nil {
			continue // not ours
		}
		_, kept := published.Generation(g)
		switch {
		case mapping.Kind == schemas.KindDecisions && index < oldest,
			mapping.Kind != schemas.KindDecisions && isGeneration && !kept,
			mapping.Kind != schemas.KindDecisions && isEpoch && e < published.Oldest().Run:
			old = append(old, index)
		}
	}
	if len(old) == 0 {
		return nil
	}
	// The marks first: a generation that is half dropped must not pass for filled.
	for _, index := range old {
		if g, ok := generationOf(index); ok {
			if err := f.Documents.Delete(ctx, filled(g).Document(), unnamed(g).Document()); err != nil {
				return err
			}
		}
	}
	slog.InfoContext(ctx, "documents that are no longer kept are dropped", "indices", old)
	return f.Documents.Drop(ctx, old...)
}
