package visitor

import (
	"cmp"
	"slices"
	"strings"

	"fernweh/model/kpi"

	"github.com/cespare/xxhash/v2"
)

// A Unit is a device under one login; the empty login holds what happened
// before the first one.
type Unit struct {
	Login string
	History
}

// Units are what a device has done, side by side by login. The zero value is a
// device without any history.
//
// Only so many logins of a device have a unit of their own: those with the
// smallest hashes of all that it ever had (Limits.Units). What the others did lies
// in Shared, which is nobody's. The smallest of a union are the same in any order
// and grouping, so that Units stay a commutative monoid, however many logins a
// device has. A login that was erased keeps its place: else what came after it
// would depend on when it went.
type Units struct {
	Named  []Unit   // ascending by login
	Known  []uint64 // HashLogin of the logins that have a place, ascending
	Shared History  // of logins without a place, and of nobody
}

// HashLogin is how a login's place is known, and how it is remembered after its erasure.
func HashLogin(login string) uint64 { return xxhash.Sum64String(login) }

// Empty says that nothing is known of what the device did.
func (us *Units) Empty() bool { return len(us.Named) == 0 && us.Shared.Events() == 0 }

// Unit finds a unit by its login; nil where there is none.
func (us *Units) Unit(login string) *Unit {
	if i, found := us.search(login); found {
		return &us.Named[i]
	}
	return nil
}

func (us *Units) search(login string) (int, bool) {
	if len(us.Named) == 1 && us.Named[0].Login == login {
		return 0, true
	}
	return slices.BinarySearchFunc(us.Named, login, func(u Unit, l string) int { return strings.Compare(u.Login, l) })
}

// Histories calls yield with each history of the device, the shared one last,
// until yield returns false.
func (us *Units) Histories(yield func(*History) bool) {
	for i := range us.Named {
		if !yield(&us.Named[i].History) {
			return
		}
	}
	if us.Shared.Events() > 0 {
		yield(&us.Shared)
	}
}

// owner finds or makes the history that an owner's event goes into; unit is nil
// where that is the shared one. gone is the login that has lost its place to this
// one; empty: none has.
func (us *Units) owner(l Limits, o Owner) (h *History, unit *Unit, made bool, gone string) {
	if o.Nobody {
		return &us.Shared, nil, false, ""
	}
	if o.Login != "" {
		var placed bool
		if placed, gone = us.admit(l, HashLogin(o.Login)); !placed {
			return &us.Shared, nil, false, ""
		}
	}
	i, found := us.search(o.Login)
	if !found {
		us.Named = slices.Insert(us.Named, i, Unit{Login: o.Login})
	}
	return &us.Named[i].History, &us.Named[i], !found, gone
}

// admit gives a login its place, if its hash is among the smallest. gone is the
// login whose unit went into the shared one for it.
func (us *Units) admit(l Limits, hash uint64) (placed bool, gone string) {
	i, found := slices.BinarySearch(us.Known, hash)
	switch {
	case found:
		return true, ""
	case len(us.Known) < l.units():
		us.Known = slices.Insert(us.Known, i, hash)
		return true, ""
	case i == len(us.Known):
		return false, ""
	}
	last := us.Known[len(us.Known)-1]
	copy(us.Known[i+1:], us.Known[i:len(us.Known)-1])
	us.Known[i] = hash
	return true, us.share(last)
}

// share moves the unit of a login that has lost its place into the shared one.
func (us *Units) share(hash uint64) (login string) {
	for i := range us.Named {
		u := &us.Named[i]
		if u.Login != "" && HashLogin(u.Login) == hash {
			login = u.Login
			us.Shared.Merge(&u.History)
			us.Named = slices.Delete(us.Named, i, i+1)
			return login
		}
	}
	return ""
}

// merge adds the units of a disjoint part of the log.
func (us *Units) merge(l Limits, o *Units) {
	for _, hash := range o.Known {
		us.admit(l, hash)
	}
	for i := range o.Named {
		theirs := &o.Named[i]
		if theirs.Login != "" && !us.placed(theirs.Login) {
			us.Shared.Merge(&theirs.History)
			continue
		}
		at, found := us.search(theirs.Login)
		if !found {
			us.Named = slices.Insert(us.Named, at, Unit{Login: theirs.Login})
		}
		us.Named[at].Merge(&theirs.History)
	}
	us.Shared.Merge(&o.Shared)
}

func (us *Units) placed(login string) bool {
	_, found := slices.BinarySearch(us.Known, HashLogin(login))
	return found
}

// forget drops one login's unit and says whether there was one.
func (us *Units) forget(login string) bool {
	i, found := us.search(login)
	if found {
		us.Named = slices.Delete(us.Named, i, i+1)
	}
	return found
}

// forgetHash drops the unit of the login with the given hash.
func (us *Units) forgetHash(hash uint64) {
	us.Named = slices.DeleteFunc(us.Named, func(u Unit) bool { return HashLogin(u.Login) == hash })
}

// Measure is m(device): what the device's whole history adds to each pane.
// Distinct counts are not in it, since they cannot be taken away again.
func (us *Units) Measure(emit func(kpi.Pane, int64)) {
	for h := range us.Histories {
		for i := range h.Minutes {
			h.Minutes[i].measure(emit)
		}
	}
	measureSessions(us.minutes(), emit)
}

// Sessions are the visits of the device, whoever was logged in, ascending.
func (us *Units) Sessions() []Session {
	var out []Session
	eachSession(us.minutes(), func(s *Session) { out = append(out, *s) })
	return out
}

// minutes are the minutes of all units in the order of time. A minute stands in
// it once for each unit that was active in it.
func (us *Units) minutes() []*Minute {
	var all []*Minute
	var units int
	for h := range us.Histories {
		for i := range h.Minutes {
			all = append(all, &h.Minutes[i])
		}
		units++
	}
	if units > 1 {
		sortMinutes(all)
	}
	return all
}

func sortMinutes(ms []*Minute) {
	slices.SortStableFunc(ms, func(a, b *Minute) int { return cmp.Compare(a.First, b.First) })
}

// around are the minutes, in the order of time, of all sessions that an event at
// time t belongs to or would touch.
func (us *Units) around(t int64, into []*Minute) []*Minute {
	var spans [4]span
	open := spans[:0]
	for h := range us.Histories {
		if len(h.Minutes) > 0 {
			i, _ := h.search(t / microsPerMinute)
			open = append(open, span{h.Minutes, i, i})
		}
	}
	first, last := t, t
	for grown := true; grown; {
		grown = false
		for i := range open {
			grown = open[i].grow(&first, &last) || grown
		}
		if len(open) == 1 {
			break
		}
	}
	for _, s := range open {
		for i := s.from; i < s.to; i++ {
			into = append(into, &s.minutes[i])
		}
	}
	if len(open) > 1 {
		sortMinutes(into)
	}
	return into
}

// A span is the minutes [from, to) of one history.
type span struct {
	minutes  []Minute
	from, to int
}

// grow takes in the minutes that are within Gap of [first, last], which grows
// with them.
func (s *span) grow(first, last *int64) (grown bool) {
	for s.to < len(s.minutes) && s.minutes[s.to].First-*last <= Gap {
		*first, *last = min(*first, s.minutes[s.to].First), max(*last, s.minutes[s.to].Last)
		s.to++
		grown = true
	}
	for s.from > 0 && *first-s.minutes[s.from-1].Last <= Gap {
		s.from--
		*first, *last = min(*first, s.minutes[s.from].First), max(*last, s.minutes[s.from].Last)
		grown = true
	}
	return grown
}

// Person is what the classification of a unit looks at: the unit, and with the
// first login also what happened before it. The units themselves stay apart. nil:
// there is no such unit.
func (us *Units) Person(login, first string) *History {
	u := us.Unit(login)
	if u == nil {
		return nil
	}
	before := us.Unit("")
	if login == "" || login != first || before == nil {
		return &u.History
	}
	h := new(History)
	h.Merge(&before.History)
	h.Merge(&u.History)
	return h
}
