package visitor

import (
	"slices"
	"strings"

	"fernweh/schemas"

	"github.com/cespare/xxhash/v2"
)

// A Verdict is what the filter says of an event.
type Verdict uint8

// Verdicts.
const (
	Duplicate Verdict = iota + 1 // its id is among the last accepted ones
	Erased                       // received before its device or login was erased
	Anonymous                    // without consent: counted, never kept
	Accepted                     // goes into the history of its login
	Reset                        // is itself an erasure
)

// String names the verdict.
func (v Verdict) String() string {
	return [...]string{"none", "duplicate", "erased", "anonymous", "accepted", "reset"}[v]
}

// A Filter is what the order of a device's events has left: a small state that
// is carried over every cut. The zero value is a device that was never seen.
type Filter struct {
	IDs          []uint64       // hashes of the last accepted ids, oldest first
	Login        string         // customer number since the last identify; empty: none
	FirstLogin   string         // the login that the events before any login are linked to
	Choice       schemas.Choice // what the visitor said about being profiled
	Erased       int64          // when the device was last erased, UTC microseconds; 0: never
	ErasedLogins []ErasedLogin  // ascending by login
}

// An ErasedLogin says when a login of the device was last erased.
type ErasedLogin struct {
	Login string
	At    int64 // UTC microseconds
}

// HashID is how the filter, and the stub of an erased event, know an id.
func HashID(id string) uint64 { return xxhash.Sum64String(id) }

// Pass judges the next event of the device in log order, whose id has the given
// hash, and says which login an accepted event belongs to.
func (f *Filter) Pass(l Limits, id uint64, e *schemas.Event) (v Verdict, login string) {
	if slices.Contains(f.IDs, id) {
		return Duplicate, ""
	}
	if e.Kind == schemas.Kind_KIND_ERASURE {
		f.remember(l, id)
		f.reset(e.GetErasure().GetLogin(), e.Received)
		return Reset, ""
	}
	if login = e.User; login == "" {
		login = f.Login
	}
	if f.erased(login, e.Received) {
		return Erased, ""
	}
	f.remember(l, id)
	if e.Kind == schemas.Kind_KIND_CONSENT && e.Choice != schemas.Choice_CHOICE_UNSPECIFIED {
		f.Choice = e.Choice
	}
	if !f.consents(e) {
		return Anonymous, ""
	}
	if e.Kind == schemas.Kind_KIND_IDENTIFY && e.User != "" {
		f.Login = e.User
	}
	if f.FirstLogin == "" {
		f.FirstLogin = login
	}
	return Accepted, login
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

// reset forgets the device, or one login of it. The hashes of ids stay, for an
// event that is sent again after the erasure must not come back to life; so do
// a refusal of consent and what was erased later than at.
func (f *Filter) reset(login string, at int64) {
	if login == "" {
		g := Filter{IDs: f.IDs, Erased: max(f.Erased, at)}
		if f.Choice == schemas.Choice_CHOICE_DENIED {
			g.Choice = f.Choice
		}
		for _, l := range f.ErasedLogins {
			if l.At > g.Erased {
				g.ErasedLogins = append(g.ErasedLogins, l)
			}
		}
		*f = g
		return
	}
	if f.Login == login {
		f.Login = ""
	}
	if f.FirstLogin == login {
		f.FirstLogin = ""
	}
	i, found := f.erasedLogin(login)
	if !found {
		f.ErasedLogins = slices.Insert(f.ErasedLogins, i, ErasedLogin{Login: login})
	}
	f.ErasedLogins[i].At = max(f.ErasedLogins[i].At, at)
}

func (f *Filter) erased(login string, received int64) bool {
	if f.Erased > 0 && received <= f.Erased {
		return true
	}
	i, found := f.erasedLogin(login)
	return found && received <= f.ErasedLogins[i].At
}

func (f *Filter) erasedLogin(login string) (int, bool) {
	if len(f.ErasedLogins) == 0 {
		return 0, false
	}
	return slices.BinarySearchFunc(f.ErasedLogins, login, func(e ErasedLogin, l string) int {
		return strings.Compare(e.Login, l)
	})
}

// clone copies the filter so that the copy can be changed on its own.
func (f Filter) clone() Filter {
	f.IDs = slices.Clone(f.IDs)
	f.ErasedLogins = slices.Clone(f.ErasedLogins)
	return f
}
