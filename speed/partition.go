package speed

import (
	"context"
	"errors"
	"fmt"

	"fernweh/model/kpi"
	"fernweh/model/visitor"
	"fernweh/schemas"
)

// ErrSuperseded says that another owner of the partition has gone past this one:
// what this one needs to go on has been committed and pruned. It must begin again
// from the position that is stored.
var ErrSuperseded = errors.New("superseded by another owner of the partition")

// A Partition owns the visitors whose events lie in one partition of the log.
// Only the goroutine that consumes it touches it, so it needs no lock.
//
// What it holds is a cache of a function of the log: every cell that it writes
// is an absolute value stamped with the offset of the last event in it, so that
// it may be thrown away at any moment, doubled by an owner that was thought
// dead, or begun anew from the stored position, and no answer changes.
type Partition struct {
	Stores
	number int32
	epoch  int64                // the greatest cut so far
	force  schemas.ControlState // what the control records so far have left in force
	base   schemas.Generation   // not younger than the epoch, and seen published
	next   int64                // offset of the next record
	passed int64                // offsets that it went past without deciding, because it fell back behind a cut
	stored int64                // everything below is durable: the position as it is stored
	event  int64                // event time of the latest event, UTC microseconds

	misplaced schemas.Misplaced // events so far that lie in another partition than their device's

	visitors map[string]*member
	panes    panes
	dirty    []*member           // visitors changed since the last flush
	effects  []effect            // on panes, ascending by offset, since the last flush
	links    []link              // since the last flush
	said     []*schemas.Decision // since the last flush
	actions  []*schemas.Event    // proposed since the last flush
}

// A member is a visitor in memory.
type member struct {
	visitor.Visitor
	device  string
	stamp   int64            // offset of the last event in the current epoch's cell; -1: none
	decided int              // bytes of what was decided since the last flush
	dirty   bool             // is in Partition.dirty
	now     *visitor.Segment // what was last said of the visitor; nil: nothing
}

type effect struct {
	offset int64
	kpi.Delta
}

type link struct {
	offset int64
	device string
	visitor.LinkChange
}

// Open begins with a partition where its stored position says. A position that
// is older than every kept generation is of no use to any reader: then it begins
// behind the cut of the oldest one.
func Open(ctx context.Context, stores Stores, number int32) (*Partition, error) {
	rows, err := stores.Views.Get(ctx, schemas.KeyPosition(number), schemas.KeyPublished)
	if err != nil {
		return nil, fmt.Errorf("read position of partition %d: %w", number, err)
	}
	position, err := value[schemas.Position](rows[0])
	if err != nil {
		return nil, fmt.Errorf("read position of partition %d: %w", number, err)
	}
	published, err := value[schemas.Published](rows[1])
	if err != nil {
		return nil, fmt.Errorf("read what is published: %w", err)
	}
	base, ok := published.Base(position.Epoch)
	was := position.Offset
	if !ok {
		base = published.Oldest()
		position = schemas.Position{Offset: base.Cut(number) + 1, Epoch: base.Run, Control: base.ControlOf(number)}
	}
	position.Control.Cut = position.Epoch // one that an earlier release wrote has no control state
	return &Partition{
		Stores: stores, number: number, passed: position.Offset - was,
		epoch: position.Epoch, base: base, next: position.Offset, stored: position.Offset, event: position.Event,
		force: position.Control, misplaced: position.Misplaced,
		visitors: make(map[string]*member),
		panes:    make(panes),
	}, nil
}

func value[T any](r schemas.Row) (T, error) {
	c, _ := r.Cell(schemas.ColumnValue)
	return schemas.DecodeJSON[T](c.Value)
}

// Start is the offset that the first record for Handle must have.
func (p *Partition) Start() int64 { return p.next }

// Passed is how many offsets before Start no owner has decided for this set of
// views, because every generation that they could be decided on is gone: their
// events are in every answer, and what they would have triggered may not fire.
func (p *Partition) Passed() int64 { return p.passed }

// Handle takes the next records of the partition in log order. When it returns
// nil, every effect of them is durable. After an error the partition is of no
// further use: another one, opened anew, does it again.
func (p *Partition) Handle(ctx context.Context, records []schemas.Record) error {
	for len(records) > 0 {
		n := p.untilCut(records)
		if err := p.apply(ctx, records[:n]); err != nil {
			return fmt.Errorf("fold partition %d from offset %d: %w", p.number, records[0].Offset, err)
		}
		if n < len(records) {
			// The old epoch's cells must be complete before the new epoch's first one.
			if err := p.flush(ctx); err != nil {
				return err
			}
			p.cut(records[n])
			n++
		}
		records = records[n:]
	}
	if err := p.flush(ctx); err != nil {
		return err
	}
	p.evict()
	return nil
}

// untilCut is the number of records before the first one that is a cut here. Any
// other cut record is skipped like every reader skips it.
func (p *Partition) untilCut(records []schemas.Record) int {
	for i := range records {
		if schemas.Follows(p.epoch, records[i].Cut) {
			return i
		}
	}
	return len(records)
}

// cut opens a new epoch behind the cut record. Visitors and sums are read again,
// twice a day, because in a replay the new epoch's cells may be there already,
// with what was decided.
func (p *Partition) cut(r schemas.Record) {
	p.force.Apply(&r, p.Set)
	p.epoch, p.next = r.Cut, r.Offset+1
	p.visitors = make(map[string]*member)
	p.panes = make(panes)
}

// apply passes records without a cut through their visitors.
func (p *Partition) apply(ctx context.Context, records []schemas.Record) error {
	if err := p.load(ctx, records); err != nil {
		return err
	}
	for i := range records {
		r := &records[i]
		if r.Offset < p.next {
			return fmt.Errorf("offset %d comes after %d", r.Offset, p.next-1)
		}
		full := false
		if r.Event != nil {
			m, err := p.one(r)
			if err != nil {
				return err
			}
			p.event = max(p.event, r.Event.Time)
			full = m.decided > maxDecided
		}
		p.force.Apply(r, p.Set)
		if r.Misplaced != nil {
			p.Metrics.misplaced(p.misplaced.Add(r.Misplaced.Source))
		}
		p.next = r.Offset + 1
		if full {
			if err := p.flush(ctx); err != nil {
				return err
			}
		}
	}
	return nil
}

// maxDecided is how many bytes of what was decided a cell may hold before the
// partition is flushed, which empties it: a visitor of very many events in one
// batch, or an erasure of many, must not make a cell that the store refuses.
const maxDecided = 128 << 10

// one passes one event through its visitor. An event that the visitor's cell
// already holds is not decided again: what was decided is taken from there.
func (p *Partition) one(r *schemas.Record) (*member, error) {
	m := p.visitors[r.Event.Device]
	if r.Offset <= m.stamp {
		for i := range m.Decided {
			if d := &m.Decided[i]; d.Offset == r.Offset {
				p.collect(m, d, r.Event)
				return m, nil
			}
		}
		return nil, fmt.Errorf("visitor %s is at offset %d, event %d: %w", m.device, m.stamp, r.Offset, ErrSuperseded)
	}
	verdict, unit, d := m.Apply(r.Offset, r.Event)
	if unit != nil {
		if s := p.classify(m, unit.Login); s != nil {
			d.Said = append(d.Said, *s)
		}
		p.trigger(m, unit, r.Event, &d)
	}
	m.Decided = append(m.Decided, d)
	m.decided += d.Size()
	m.stamp = r.Offset
	if !m.dirty {
		m.dirty = true
		p.dirty = append(p.dirty, m)
	}
	p.Metrics.event(verdict)
	p.collect(m, &d, r.Event)
	return m, nil
}

// trigger notes the actions that an event triggers. They are part of what was
// decided, and follow from the log: which campaigns are in force, and which set of views
// acts, stands in a record before the event.
func (p *Partition) trigger(m *member, unit *visitor.Unit, e *schemas.Event, d *visitor.Decided) {
	in := p.force.Campaigns
	if p.Triggers == nil || in.Number == 0 || in.Views != p.Set {
		return // no campaign, or another set of views acts
	}
	triggers := p.Triggers(in)
	if triggers == nil {
		return
	}
	if d.Proposed = triggers(&m.Visitor, unit, e); len(d.Proposed) > 0 {
		d.Login = unit.Login
	}
}

// classify names the visitor's segment when it is another than was last said.
func (p *Partition) classify(m *member, login string) *visitor.Segment {
	model := p.Model()
	if model == nil {
		return nil
	}
	s := model.classify(m.Whole.Person(login, m.FirstLogin), p.Metrics)
	if s == nil {
		return nil
	}
	s.Login = login
	if m.now != nil && m.now.ID == s.ID && m.now.Model == s.Model && m.now.Login == login {
		return nil
	}
	return s
}

// collect notes the effects of one event for the next flush.
func (p *Partition) collect(m *member, d *visitor.Decided, e *schemas.Event) {
	d.Effects(func(delta kpi.Delta) { p.effects = append(p.effects, effect{d.Offset, delta}) })
	for _, l := range d.Links {
		p.links = append(p.links, link{d.Offset, m.device, l})
	}
	p.propose(d, e)
	for i := range d.Said {
		s := &d.Said[i]
		m.now = s
		p.said = append(p.said, &schemas.Decision{
			Id:     p.messageID(d, i),
			Device: m.device, Login: s.Login, Partition: p.number, Offset: d.Offset, Time: e.Time,
			Segment: s.ID, Distance: s.Distance, Model: s.Model, Epoch: p.epoch, Erased: s.ID == "",
		})
	}
}

// propose notes the actions that an event proposed for the next flush.
func (p *Partition) propose(d *visitor.Decided, e *schemas.Event) {
	for i := range d.Proposed {
		a := &d.Proposed[i]
		id := fmt.Sprintf("%d-%d-%x-action-%s", p.number, d.Offset, visitor.HashDevice(e.Device), a.Campaign)
		p.actions = append(p.actions, a.Event(id, e, d.Login, d.Offset))
	}
}

// messageID is the id of what was said after an event: a function of the log. An
// event says one thing; where it also takes back what was said of logins, those
// have their place among what it said in their id.
func (p *Partition) messageID(d *visitor.Decided, i int) string {
	id := fmt.Sprintf("%d-%d-segment", p.number, d.Offset)
	if i == len(d.Said)-1 {
		return id
	}
	return fmt.Sprintf("%s-%d", id, i)
}

// load brings the visitors of the records into memory that are not there yet.
func (p *Partition) load(ctx context.Context, records []schemas.Record) error {
	var missing []string
	for i := range records {
		e := records[i].Event
		if e == nil {
			continue
		}
		if _, known := p.visitors[e.Device]; !known {
			p.visitors[e.Device] = nil // claimed: asked for once
			missing = append(missing, e.Device)
		}
	}
	if len(missing) == 0 {
		return nil
	}
	rows, base, err := p.read(ctx, missing)
	if err != nil {
		return err
	}
	for i, device := range missing {
		m, err := p.member(device, rows[i], base)
		if err != nil {
			return fmt.Errorf("visitor %s: %w", device, err)
		}
		p.visitors[device] = m
	}
	return nil
}

// read reads the rows of devices and says which generation to work on them with:
// one that was published before they were read, so that its cells were there,
// and is still kept after it, so that nobody had begun to delete them, however
// long this process was frozen in between.
func (p *Partition) read(ctx context.Context, devices []string) ([]schemas.Row, schemas.Generation, error) {
	keys := make([]schemas.Key, len(devices))
	for i, device := range devices {
		keys[i] = schemas.VisitorKey(device)
	}
	for {
		rows, err := p.Views.Get(ctx, keys...)
		if err != nil {
			return nil, p.base, fmt.Errorf("read %d visitors: %w", len(keys), err)
		}
		now, err := p.Views.Get(ctx, schemas.KeyPublished)
		if err != nil {
			return nil, p.base, fmt.Errorf("read what is published: %w", err)
		}
		published, err := value[schemas.Published](now[0])
		if err != nil {
			return nil, p.base, fmt.Errorf("read what is published: %w", err)
		}
		youngest, ok := published.Base(p.epoch)
		if !ok {
			return nil, p.base, fmt.Errorf("epoch %d is older than generation %d, the oldest kept: %w",
				p.epoch, published.Oldest().Run, ErrSuperseded)
		}
		base := p.base
		p.base = youngest
		if _, kept := published.Generation(base.Run); kept {
			return rows, base, nil
		}
	}
}

// member makes a visitor from its row: the generation worked on and the epochs
// from there up to the current one. Cells of later epochs are another owner's
// and lie in this one's future.
func (p *Partition) member(device string, row schemas.Row, base schemas.Generation) (*member, error) {
	m := &member{device: device, stamp: -1}
	m.Device, m.Limits = visitor.HashDevice(device), p.Limits
	cells, current, err := p.cells(row, base)
	if err != nil {
		return nil, err
	}
	whole := visitor.Merge(p.Limits, cells...)
	m.Whole = whole.Units
	if current >= 0 {
		m.Cell, m.stamp = *cells[len(cells)-1], current
	} else {
		m.Cell = visitor.Cell{Filter: whole.Filter}
	}
	if c, ok := row.Cell(schemas.ColumnDecision); ok {
		if m.now, err = decodeDecision(c.Value); err != nil {
			return nil, err
		}
	}
	return m, nil
}

// cells decodes what of a row lies between the base and the current epoch, in
// the order of the log. current is the stamp of the last one if it is the current
// epoch's, else -1.
func (p *Partition) cells(row schemas.Row, base schemas.Generation) (cells []*visitor.Cell, current int64, err error) {
	current = -1
	for _, c := range row.Since(base, p.epoch) {
		cell := new(visitor.Cell)
		if err := cell.UnmarshalBinary(c.Value); err != nil {
			return nil, current, fmt.Errorf("column %s: %w", c.Column, err)
		}
		cells = append(cells, cell)
		if c.Column == schemas.ColumnSpeed(p.epoch) {
			current = c.Stamp
		}
	}
	return cells, current, nil
}
