package speed

import (
	"context"
	"fmt"

	"fernweh/model/kpi"
	"fernweh/model/visitor"
	"fernweh/schemas"

	"google.golang.org/protobuf/proto"
)

// panes are the sums of the current epoch that this partition has in memory.
type panes map[kpi.Pane]*sum

// A sum is what this partition adds to a pane in the current epoch.
type sum struct {
	kpi.Value
	stamp int64 // offset of the last event in it; -1: none
}

// maxPanes bounds the sums in memory; more are read again when they are touched.
const maxPanes = 200_000

// flush makes everything since the last flush durable, in the order that lets a
// crash between any two cells be repaired by a replay: the visitors with what was
// decided, then what was said and proposed, the links and the panes that follow from it, and the
// position last. What was said has left the process only when its cell is durable,
// so that a replay, which may have another model, says the same under the same id.
func (p *Partition) flush(ctx context.Context) error {
	if p.next == p.stored && len(p.dirty) == 0 {
		return nil
	}
	start := p.Now()
	if err := p.flushVisitors(ctx); err != nil {
		return fmt.Errorf("write visitors of partition %d: %w", p.number, err)
	}
	if err := p.flushDecisions(ctx); err != nil {
		return err
	}
	if err := p.flushActions(ctx); err != nil {
		return err
	}
	if err := p.flushLinks(ctx); err != nil {
		return fmt.Errorf("write links of partition %d: %w", p.number, err)
	}
	if err := p.flushPanes(ctx); err != nil {
		return fmt.Errorf("write panes of partition %d: %w", p.number, err)
	}
	if err := p.flushPosition(ctx); err != nil {
		return fmt.Errorf("write position of partition %d: %w", p.number, err)
	}
	p.Metrics.flushed(p.number, p.next, len(p.visitors), p.Now().Sub(start))
	return nil
}

func (p *Partition) flushDecisions(ctx context.Context) error {
	if len(p.said) == 0 {
		return nil
	}
	if err := p.Decisions.AppendDecisions(ctx, p.said); err != nil {
		return fmt.Errorf("append decisions of partition %d: %w", p.number, err)
	}
	return nil
}

func (p *Partition) flushActions(ctx context.Context) error {
	if len(p.actions) == 0 {
		return nil
	}
	if err := p.Actions.AppendActions(ctx, p.actions); err != nil {
		return fmt.Errorf("append actions of partition %d: %w", p.number, err)
	}
	return nil
}

func (p *Partition) flushVisitors(ctx context.Context) error {
	var cells []schemas.Cell
	latest := make(map[string]*schemas.Decision, len(p.said))
	for _, d := range p.said {
		latest[d.Device] = d
	}
	column := schemas.ColumnSpeed(p.epoch)
	for _, m := range p.dirty {
		m.Decided = since(m.Decided, p.stored)
		b, err := m.Cell.AppendBinary(nil)
		if err != nil {
			return err
		}
		key := schemas.VisitorKey(m.device)
		cells = append(cells, schemas.Cell{Key: key, Column: column, Stamp: m.stamp, Value: b})
		if d := latest[m.device]; d != nil {
			b, err := proto.Marshal(d)
			if err != nil {
				return err
			}
			cells = append(cells, schemas.Cell{Key: key, Column: schemas.ColumnDecision, Stamp: d.Offset, Value: b})
		}
	}
	return p.put(ctx, cells)
}

// put writes cells, if there are any.
func (p *Partition) put(ctx context.Context, cells []schemas.Cell) error {
	if len(cells) == 0 {
		return nil
	}
	return p.Views.Put(ctx, cells...)
}

// since drops what was decided below the offset.
func since(ds []visitor.Decided, offset int64) []visitor.Decided {
	i := 0
	for i < len(ds) && ds[i].Offset < offset {
		i++
	}
	return ds[i:]
}

func (p *Partition) flushLinks(ctx context.Context) error {
	cells := make([]schemas.Cell, len(p.links))
	for i, l := range p.links {
		cells[i] = schemas.Cell{
			Key: schemas.PersonKey(l.Login), Column: schemas.ColumnLink(l.device), Stamp: l.offset,
			Value: schemas.EncodeJSON(schemas.Link{Linked: l.Linked}),
		}
	}
	return p.put(ctx, cells)
}

// flushPanes adds the effects to the sums. A sum that is already stamped with an
// effect's offset or a higher one holds it: an earlier try, or another owner,
// has written it.
func (p *Partition) flushPanes(ctx context.Context) error {
	if err := p.loadPanes(ctx); err != nil {
		return err
	}
	touched := make(map[kpi.Pane]*sum)
	for _, e := range p.effects {
		s := p.panes[e.Pane]
		if e.offset <= s.stamp {
			continue
		}
		s.Add(e.Delta)
		s.stamp = e.offset
		touched[e.Pane] = s
	}
	column := schemas.ColumnSpeedPane(p.epoch, p.number)
	cells := make([]schemas.Cell, 0, len(touched))
	for pane, s := range touched {
		b, err := s.AppendBinary(nil)
		if err != nil {
			return err
		}
		key := pane.Key()
		cells = append(cells, schemas.Cell{Key: key, Column: column, Stamp: s.stamp, Value: b})
	}
	return p.put(ctx, cells)
}

// loadPanes brings the sums into memory that the effects touch.
func (p *Partition) loadPanes(ctx context.Context) error {
	var missing []kpi.Pane
	var keys []schemas.Key
	for _, e := range p.effects {
		if _, known := p.panes[e.Pane]; !known {
			p.panes[e.Pane] = nil // claimed: asked for once
			missing = append(missing, e.Pane)
			keys = append(keys, e.Pane.Key())
		}
	}
	if len(missing) == 0 {
		return nil
	}
	rows, err := p.Views.Get(ctx, keys...)
	if err != nil {
		return err
	}
	column := schemas.ColumnSpeedPane(p.epoch, p.number)
	for i, pane := range missing {
		s := &sum{stamp: -1}
		if c, ok := rows[i].Cell(column); ok {
			if err := s.UnmarshalBinary(c.Value); err != nil {
				return fmt.Errorf("row %s column %s: %w", c.Row, column, err)
			}
			s.stamp = c.Stamp
		}
		p.panes[pane] = s
	}
	return nil
}

func (p *Partition) flushPosition(ctx context.Context) error {
	position := schemas.Position{
		Offset: p.next, Epoch: p.epoch, At: p.Now().UnixMicro(), Event: p.event, Control: p.force, Misplaced: p.misplaced,
	}
	cell := schemas.Cell{
		Key: schemas.KeyPosition(p.number), Column: schemas.ColumnValue, Stamp: p.next,
		Value: schemas.EncodeJSON(position),
	}
	if err := p.Views.Put(ctx, cell); err != nil {
		return err
	}
	p.stored = p.next
	for _, m := range p.dirty {
		m.Decided, m.decided, m.dirty = nil, 0, false
	}
	p.dirty, p.effects, p.links = p.dirty[:0], p.effects[:0], p.links[:0]
	p.said, p.actions = p.said[:0], p.actions[:0]
	return nil
}

// evict lets go of visitors and sums beyond what memory is to hold. They are all
// durable: who comes back is read again.
func (p *Partition) evict() {
	for device := range p.visitors {
		if len(p.visitors) <= p.MaxVisitors {
			break
		}
		delete(p.visitors, device)
	}
	if len(p.panes) > maxPanes {
		p.panes = make(panes)
	}
}
