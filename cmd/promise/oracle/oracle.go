// Package oracle says what a log means by the documents alone (docs/formats).
//
// It is a second fold, slow and plain: it keeps the events themselves in lists and
// counts them again for each question. It imports the schemas for the type of an
// event and nothing else of the module, so that a mistake in the program cannot
// stand on both sides of a comparison.
package oracle

import (
	"slices"

	"fernweh/schemas"
)

// Limits are the sizes that the documents name, so that a test can make them small.
type Limits struct {
	Remembered int // ids that the filter knows
	Cap        int // events of a unit above which it has counters only
}

// Documented are the limits of a portal.
var Documented = Limits{Remembered: 256, Cap: 10_000}

// A Verdict is what the filter says of an event.
type Verdict string

// Verdicts, by the names of the document.
const (
	Duplicate Verdict = "duplicate"
	Erased    Verdict = "erased"
	Anonymous Verdict = "anonymous"
	Accepted  Verdict = "accepted"
	Reset     Verdict = "reset"
)

// A Device is what the events of one device, in the order of the log, have left.
type Device struct {
	Limits Limits

	Remembered   []string         // ids, the oldest first
	Login, First string           // of the device; the first one it had
	Choice       schemas.Choice   // what its visitor said
	Erased       int64            // when the device was last erased; 0: never
	ErasedLogins map[string]int64 // when a login was

	Units     map[string][]*schemas.Event // what was accepted, by login
	Anonymous []*schemas.Event            // what came without consent
	Seen      map[int64]bool              // minutes in which something was ever accepted
}

// Fold passes events through a new device.
func Fold(l Limits, events ...*schemas.Event) *Device {
	d := &Device{Limits: l, ErasedLogins: map[string]int64{}, Units: map[string][]*schemas.Event{}, Seen: map[int64]bool{}}
	for _, e := range events {
		d.Pass(e)
	}
	return d
}

// Pass takes the next event, and says what the filter does.
func (d *Device) Pass(e *schemas.Event) Verdict {
	if slices.Contains(d.Remembered, e.Id) {
		return Duplicate
	}
	if e.Kind == schemas.Kind_KIND_ERASURE {
		d.remember(e.Id)
		d.erase(e.GetErasure().GetLogin(), e.Received)
		return Reset
	}
	login := d.LoginOf(e)
	at, erased := d.ErasedLogins[login]
	if d.Erased > 0 && e.Received <= d.Erased || erased && e.Received <= at {
		return Erased
	}
	d.remember(e.Id)
	if e.Kind == schemas.Kind_KIND_CONSENT && e.Choice != schemas.Choice_CHOICE_UNSPECIFIED {
		d.Choice = e.Choice
	}
	consent := e.AssumedConsent
	if d.Choice != schemas.Choice_CHOICE_UNSPECIFIED {
		consent = d.Choice == schemas.Choice_CHOICE_GRANTED
	}
	if !consent {
		d.Anonymous = append(d.Anonymous, e)
		return Anonymous
	}
	if e.Kind == schemas.Kind_KIND_IDENTIFY && e.User != "" {
		d.Login = e.User
	}
	if d.First == "" {
		d.First = login
	}
	d.Units[login] = append(d.Units[login], e)
	d.Seen[minuteOf(e)] = true
	return Accepted
}

// LoginOf is the login that the next event would belong to.
func (d *Device) LoginOf(e *schemas.Event) string {
	if e.User != "" {
		return e.User
	}
	return d.Login
}

func (d *Device) remember(id string) {
	d.Remembered = append(d.Remembered, id)
	if over := len(d.Remembered) - d.Limits.Remembered; over > 0 {
		d.Remembered = d.Remembered[over:]
	}
}

func (d *Device) erase(login string, at int64) {
	if login != "" {
		d.ErasedLogins[login] = max(d.ErasedLogins[login], at)
		delete(d.Units, login)
		if d.Login == login {
			d.Login = ""
		}
		if d.First == login {
			d.First = ""
		}
		return
	}
	d.Erased = max(d.Erased, at)
	for l, when := range d.ErasedLogins {
		if when <= d.Erased {
			delete(d.ErasedLogins, l)
		}
	}
	clear(d.Units)
	d.Login, d.First = "", ""
	if d.Choice != schemas.Choice_CHOICE_DENIED {
		d.Choice = schemas.Choice_CHOICE_UNSPECIFIED
	}
}

const (
	minute = 60 * 1_000_000 // microseconds
	hour   = 60 * minute
	day    = 24 * hour
)

func minuteOf(e *schemas.Event) int64 { return e.Time / minute }
