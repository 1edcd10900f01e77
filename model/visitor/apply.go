package visitor

import (
	"fernweh/model/kpi"
	"fernweh/schemas"
)

// A Visitor is a device in the hands of the speed layer.
type Visitor struct {
	Cell         // what the current epoch's cell holds
	Whole  Units // everything: the generation worked on and the epochs after it
	Device uint64
	Limits Limits
}

// Apply passes the next event of the device in log order into the visitor and
// says what it did: differences of panes and links. unit is the whole unit that
// an accepted event went into; nil: none that anybody may be told of.
func (v *Visitor) Apply(offset int64, e *schemas.Event) (verdict Verdict, unit *Unit, d Decided) {
	d.Offset = offset
	emit := func(p kpi.Pane, n int64) { d.Panes = append(d.Panes, kpi.Delta{Pane: p, N: n}) }
	first := v.FirstLogin
	verdict, owner := v.Filter.Pass(v.Limits, HashID(e.Id), e)
	switch verdict {
	case Anonymous:
		measureEvent(e, emit)
	case Automatic:
		measureEvent(e, emit)
		emit(visit(e), int64(v.Device))
		v.Beyond.add(e)
	case Accepted:
		unit = v.accept(e, owner, &d, emit)
	case Reset:
		if login := e.GetErasure().GetLogin(); login == "" {
			v.eraseAll(&d, emit)
		} else {
			v.erase(login, first, &d, emit)
		}
	}
	d.Panes = d.Panes.Compact()
	return verdict, unit, d
}

// accept adds an event to its owner's unit, whole and since the cut. Since the
// cut, too, it lies where the whole history has it: nothing of a login without
// a place is kept under its name.
func (v *Visitor) accept(e *schemas.Event, o Owner, d *Decided, emit func(kpi.Pane, int64)) *Unit {
	c := v.Whole.change(v.Limits, e, o, emit)
	if c.fresh {
		emit(visit(e), int64(v.Device))
	}
	if c.gone != "" {
		v.Units.share(HashLogin(c.gone))
		d.Links = append(d.Links, LinkChange{c.gone, false})
		d.Said = append(d.Said, Segment{Login: c.gone}) // it is nobody's now
	}
	if c.unit == nil {
		v.Units.Shared.Add(e)
		return nil
	}
	if c.made && o.Login != "" {
		d.Links = append(d.Links, LinkChange{o.Login, true})
	}
	since, _, _, _ := v.Units.owner(v.Limits, o)
	since.Add(e)
	return c.unit
}

// eraseAll takes everything of the device from the visitor and from the panes.
func (v *Visitor) eraseAll(d *Decided, emit func(kpi.Pane, int64)) {
	measureSessions(v.Whole.minutes(), func(p kpi.Pane, n int64) { emit(p, -n) })
	var gone []*History
	for h := range v.Whole.Histories {
		gone = append(gone, h)
	}
	for i := range v.Whole.Named {
		if login := v.Whole.Named[i].Login; login != "" {
			d.Links = append(d.Links, LinkChange{login, false})
		}
	}
	if len(gone) > 0 {
		d.Reversed = reversed(gone)
	}
	d.Said = append(d.Said, Segment{})
	v.Whole, v.Units, v.Beyond = Units{}, Units{}, Beyond{}
	v.Forgot = Forgotten{All: true}
}

// erase takes a login from the visitor and from the panes, and with the first
// one what was done before it. The visits that they were part of are measured
// again without them.
func (v *Visitor) erase(login, first string, d *Decided, emit func(kpi.Pane, int64)) {
	logins := []string{login}
	if login == first {
		logins = append(logins, "")
	}
	measureSessions(v.Whole.minutes(), func(p kpi.Pane, n int64) { emit(p, -n) })
	var gone []*History
	for _, login := range logins {
		u := v.Whole.Unit(login)
		if u == nil {
			continue
		}
		h := u.History // the unit's place is taken by the next one
		gone = append(gone, &h)
		if since := v.Units.Unit(login); since == nil || since.Events() < h.Events() {
			v.Forgot.add(login)
		}
		if login != "" {
			d.Links = append(d.Links, LinkChange{login, false})
		}
		v.Whole.forget(login)
		v.Units.forget(login)
	}
	if len(gone) > 0 {
		d.Reversed = reversed(gone)
	}
	measureSessions(v.Whole.minutes(), emit)
	d.Said = append(d.Said, Segment{Login: login})
	v.take(login, d)
}

// take gives an erased login its place, so that whether a later one has one does
// not depend on whether the erased one was ever seen.
func (v *Visitor) take(login string, d *Decided) {
	hash := HashLogin(login)
	v.Units.admit(v.Limits, hash)
	if _, gone := v.Whole.admit(v.Limits, hash); gone != "" {
		v.Units.share(HashLogin(gone))
		d.Links = append(d.Links, LinkChange{gone, false})
		d.Said = append(d.Said, Segment{Login: gone})
	}
}
