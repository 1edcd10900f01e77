package visitor

import (
	"cmp"
	"slices"

	"fernweh/schemas"

	"github.com/cespare/xxhash/v2"
)

// A Verdict is what the filter says of an event.
type Verdict uint8

// Verdicts. Their numbers lie in the stubs of the archive: none is ever given to
// another.
const (
	Duplicate Verdict = iota + 1 // its id is among the last accepted ones, or an erasure that was told before
	Erased                       // received before its device or login was erased
	Anonymous                    // without consent: counted, never kept
	Accepted                     // goes into the history of its owner
	Reset                        // is itself an erasure
	Automatic                    // beyond what is kept in full of a device: counted, kept as a count
	Acted                        // an action that is to be delivered: counts with its campaign alone
	Surplus                      // an action that is dropped: cap, consent, exit, too many campaigns
	verdicts
)

// String names the verdict.
func (v Verdict) String() string {
	return [...]string{"none", "duplicate", "erased", "anonymous", "accepted", "reset", "automatic", "acted", "surplus"}[v]
}

// Verdicts is the number of verdicts, for tables by verdict.
const Verdicts = int(verdicts)

// An Owner is whose event it is: a login's, or nobody's. The empty login is the
// device before any login.
type Owner struct {
	Login  string
	Nobody bool // after the erasure of the login that the event would belong to
}

// A Filter is what the order of a device's events has left: a small state that
// is carried over every cut. The zero value is a device that was never seen.
type Filter struct {
	IDs        []uint64       // hashes of the last accepted ids, oldest first
	Login      string         // customer number of the latest event that named one; empty: none
	FirstLogin string         // the login that the events before any login are linked to; empty: none
	Nobody     bool           // the current login was erased: what comes without a user is nobody's
	FirstGone  bool           // the first login was erased: the events before any login are linked to none for ever
	Choice     schemas.Choice // what the visitor said about being profiled
	Events     int64          // accepted since the device was last erased
	Bytes      int64          // what those kept in full take at most in a cell, by cost
	Booked     int64          // when the latest accepted booking was received, UTC microseconds; 0: none
	Campaigns  []Campaign     // ascending by id, at most Limits.Campaigns

	Erased        int64         // when the device was last erased, UTC microseconds; 0: never
	ErasedUnnamed int64         // when a login was last erased that events without a user may be of
	ErasedLogins  []ErasedLogin // ascending by login, at most Limits.Erasures
	ErasedOthers  int64         // when the latest login was erased that is no longer among ErasedLogins

	// HashLogin of the current and of the first login where stubs named them: their
	// erasure stands later in the log and below the same cut, so no cell needs them.
	stubbed, stubbedFirst uint64
}

// An ErasedLogin says when a login of the device was last erased.
type ErasedLogin struct {
	Login uint64 // HashLogin: the customer number itself is forgotten
	At    int64  // UTC microseconds
}

// HashID is how the filter, and the stub of an erased event, know an id.
func HashID(id string) uint64 { return xxhash.Sum64String(id) }

// Pass judges the next event of the device in log order, whose id has the given
// hash, and says whose an accepted event is.
func (f *Filter) Pass(l Limits, id uint64, e *schemas.Event) (v Verdict, o Owner) {
	if e.Kind == schemas.Kind_KIND_ACTION {
		return f.passAction(l, e), Owner{}
	}
	if slices.Contains(f.IDs, id) {
		return Duplicate, Owner{}
	}
	if e.Kind == schemas.Kind_KIND_ERASURE {
		return f.erase(l, id, e.GetErasure().GetLogin(), e.Received), Owner{}
	}
	o = Owner{Login: e.User}
	if e.User == "" {
		o = Owner{f.Login, f.Nobody}
	}
	if f.erased(o, e.Received) {
		return Erased, Owner{}
	}
	f.remember(l, id)
	if e.Kind == schemas.Kind_KIND_CONSENT && e.Choice != schemas.Choice_CHOICE_UNSPECIFIED {
		f.Choice = e.Choice
	}
	if !f.consents(e) {
		return Anonymous, Owner{}
	}
	return f.accept(l, e), o
}

// accept takes an event that nothing speaks against.
func (f *Filter) accept(l Limits, e *schemas.Event) Verdict {
	f.login(e.User)
	if e.Kind == schemas.Kind_KIND_BOOKING {
		f.Booked = max(f.Booked, e.Received)
	}
	return f.count(l, cost(e))
}

// count says whether an accepted event that costs so much is kept in full. The
// first that is not ends it for all later ones, so that what is kept has no gap.
func (f *Filter) count(l Limits, cost int64) Verdict {
	f.Events++
	if f.Events > l.events() || f.Bytes+cost > l.bytes() {
		f.Bytes = l.bytes()
		return Automatic
	}
	f.Bytes += cost
	return Accepted
}

// login makes the login that an event names the current one.
func (f *Filter) login(user string) {
	if user == "" {
		return
	}
	f.Login, f.Nobody, f.stubbed = user, false, 0
	if f.FirstLogin == "" && !f.FirstGone {
		f.FirstLogin = user
	}
}

// consents: the visitor's own word counts; without one, that of the source.
func (f *Filter) consents(e *schemas.Event) bool {
	if f.Choice == schemas.Choice_CHOICE_UNSPECIFIED {
		return e.AssumedConsent
	}
	return f.Choice == schemas.Choice_CHOICE_GRANTED
}

func (f *Filter) remember(l Limits, id uint64) {
	last := l.remembered() - 1
	if len(f.IDs) <= last {
		f.IDs = append(f.IDs, id)
		return
	}
	copy(f.IDs, f.IDs[1:])
	f.IDs[last] = id
}

// erase forgets the device, or one login of it. An erasure that is told again,
// even after its id was forgotten, erases nothing new: whatever was received up
// to its time is gone already.
func (f *Filter) erase(l Limits, id uint64, login string, at int64) Verdict {
	if f.told(login, at) {
		return Duplicate
	}
	f.remember(l, id)
	if login == "" {
		f.reset(at)
		return Reset
	}
	hash := HashLogin(login)
	if f.Login == login || f.stubbed == hash {
		f.Login, f.Nobody, f.stubbed = "", true, 0
		f.ErasedUnnamed = max(f.ErasedUnnamed, at)
	}
	if f.FirstLogin == login || f.stubbedFirst == hash {
		f.FirstLogin, f.FirstGone, f.stubbedFirst = "", true, 0
		f.ErasedUnnamed = max(f.ErasedUnnamed, at)
	}
	f.forget(l, hash, at)
	return Reset
}

// told: the same erasure, or a later one of the same, was told before.
func (f *Filter) told(login string, at int64) bool {
	if login == "" {
		return f.Erased > 0 && at <= f.Erased
	}
	return f.erased(Owner{Login: login}, at)
}

// reset forgets the device. The hashes of ids stay, for an event that is sent
// again after the erasure must not come back to life; so do a refusal of consent
// and what was erased later than at.
func (f *Filter) reset(at int64) {
	g := Filter{IDs: f.IDs, Erased: at, Campaigns: forgetActions(f.Campaigns)}
	if f.Choice == schemas.Choice_CHOICE_DENIED {
		g.Choice = f.Choice
	}
	for _, l := range f.ErasedLogins {
		if l.At > g.Erased {
			g.ErasedLogins = append(g.ErasedLogins, l)
		}
	}
	if f.ErasedUnnamed > g.Erased {
		g.ErasedUnnamed = f.ErasedUnnamed
	}
	if f.ErasedOthers > g.Erased {
		g.ErasedOthers = f.ErasedOthers
	}
	*f = g
}

// forget notes when a login was erased. Of more than can be noted the earliest
// erasure stands from then on for every login: what was received before it is
// dropped, whoever's it is, rather than given back.
func (f *Filter) forget(l Limits, login uint64, at int64) {
	i, found := f.erasedLogin(login)
	if !found {
		f.ErasedLogins = slices.Insert(f.ErasedLogins, i, ErasedLogin{Login: login})
	}
	f.ErasedLogins[i].At = at // later than the one before, or it would have been told
	if len(f.ErasedLogins) <= l.erasures() {
		return
	}
	earliest := 0
	for i, e := range f.ErasedLogins {
		if e.At < f.ErasedLogins[earliest].At {
			earliest = i
		}
	}
	f.ErasedOthers = max(f.ErasedOthers, f.ErasedLogins[earliest].At)
	f.ErasedLogins = slices.Delete(f.ErasedLogins, earliest, earliest+1)
}

// ErasedAt is when the device or the login was last erased, UTC microseconds; 0: never.
// An erasure that is not later erases nothing.
func (f *Filter) ErasedAt(login string) int64 {
	at := f.Erased
	if login == "" {
		return at
	}
	at = max(at, f.ErasedOthers)
	if i, found := f.erasedLogin(HashLogin(login)); found {
		at = max(at, f.ErasedLogins[i].At)
	}
	return at
}

// erased says whether an event of the owner, received then, is of what was erased.
func (f *Filter) erased(o Owner, received int64) bool {
	if received <= f.Erased && f.Erased > 0 {
		return true
	}
	if o.Login == "" {
		return received <= f.ErasedUnnamed && f.ErasedUnnamed > 0
	}
	if received <= f.ErasedOthers && f.ErasedOthers > 0 {
		return true
	}
	if len(f.ErasedLogins) == 0 {
		return false
	}
	i, found := f.erasedLogin(HashLogin(o.Login))
	return found && received <= f.ErasedLogins[i].At
}

func (f *Filter) erasedLogin(login uint64) (int, bool) {
	return slices.BinarySearchFunc(f.ErasedLogins, login, func(e ErasedLogin, l uint64) int {
		return cmp.Compare(e.Login, l)
	})
}

// clone copies the filter so that the copy can be changed on its own.
func (f Filter) clone() Filter {
	f.IDs = slices.Clone(f.IDs)
	f.ErasedLogins = slices.Clone(f.ErasedLogins)
	f.Campaigns = slices.Clone(f.Campaigns)
	return f
}
