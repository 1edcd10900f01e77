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
	Cap        int // events that are kept in full
	Bytes      int // what they cost
	Units      int // logins with a unit of their own
	Erasures   int // of logins that are known one by one
	Campaigns  int // that act on a device
}

// Documented are the limits of a portal.
var Documented = Limits{Remembered: 2000, Cap: 10_000, Bytes: 384 * 1024, Units: 64, Erasures: 64, Campaigns: 64}

// A Verdict is what the filter says of an event.
type Verdict string

// Verdicts, by the names of the document.
const (
	Duplicate Verdict = "duplicate"
	Erased    Verdict = "erased"
	Anonymous Verdict = "anonymous"
	Accepted  Verdict = "accepted"
	Automatic Verdict = "automatic"
	Reset     Verdict = "reset"
	Acted     Verdict = "acted"
	Surplus   Verdict = "surplus"
)

// Nobody is the owner of what belongs to no login.
const Nobody = "\x00nobody"

// A Device is what the events of one device, in the order of the log, have left.
type Device struct {
	Limits Limits

	Remembered    []string         // ids, the oldest first
	Current       string           // login, Nobody, or empty before any
	First         string           // the first login, Nobody once it was erased, or empty before any
	Choice        schemas.Choice   // what its visitor said
	Erased        int64            // when the device was last erased; 0: never
	ErasedLogins  map[string]int64 // when a login was
	ErasedOthers  int64            // when any login was that is no longer known by itself
	ErasedUnnamed int64            // when what comes without a user was

	Causes map[string]int64            // greatest seen, by campaign
	Acts   map[string][]*schemas.Event // accepted actions, by campaign
	Booked int64                       // when the latest booking was received

	Accepted  []Owned          // in the order of the log
	Beyond    []*schemas.Event // what was automatic
	Spent     int              // what the accepted ones cost
	Full      bool             // an event was not kept in full
	Taken     int              // accepted events that erasures of logins took: they count among those kept in full
	Logins    []string         // that the device ever had, or that an erasure named
	Anonymous []*schemas.Event // what came without consent
	Unkept    []*schemas.Event // what was automatic, ever
	Seen      map[int64]bool   // minutes in which something was ever accepted or automatic
}

// Owned is an accepted event and whose it is: a login's, Nobody's, or before any.
type Owned struct {
	Owner string
	*schemas.Event
}

// Fold passes events through a new device.
func Fold(l Limits, events ...*schemas.Event) *Device {
	d := &Device{Limits: l, ErasedLogins: map[string]int64{}, Seen: map[int64]bool{},
		Causes: map[string]int64{}, Acts: map[string][]*schemas.Event{}}
	for _, e := range events {
		d.Pass(e)
	}
	return d
}

// Pass takes the next event, and says what the filter does.
func (d *Device) Pass(e *schemas.Event) Verdict {
	if e.Kind == schemas.Kind_KIND_ACTION {
		return d.act(e)
	}
	if slices.Contains(d.Remembered, e.Id) {
		return Duplicate
	}
	owner := d.OwnerOf(e)
	if e.Kind == schemas.Kind_KIND_ERASURE {
		login := e.GetErasure().GetLogin()
		if login == "" && d.Erased > 0 && e.Received <= d.Erased || login != "" && d.isErased(login, e.Received) {
			return Duplicate
		}
		d.remember(e.Id)
		if login == "" {
			d.eraseAll(e.Received)
		} else {
			d.erase(login, e.Received)
		}
		return Reset
	}
	if d.isErased(owner, e.Received) {
		return Erased
	}
	d.remember(e.Id)
	if e.Kind == schemas.Kind_KIND_CONSENT && e.Choice != schemas.Choice_CHOICE_UNSPECIFIED {
		d.Choice = e.Choice
	}
	if !d.consents(e) {
		d.Anonymous = append(d.Anonymous, e)
		return Anonymous
	}
	if e.User != "" {
		d.Current = e.User
		if d.First == "" {
			d.First = e.User
		}
	}
	d.Seen[minuteOf(e)] = true
	if e.Kind == schemas.Kind_KIND_BOOKING {
		d.Booked = max(d.Booked, e.Received)
	}
	if d.Full || len(d.Accepted)+d.Taken >= d.Limits.Cap || d.Spent+cost(e) > d.Limits.Bytes {
		d.Full = true
		d.Beyond, d.Unkept = append(d.Beyond, e), append(d.Unkept, e)
		return Automatic
	}
	d.Spent += cost(e)
	if e.User != "" {
		d.Logins = append(d.Logins, e.User)
	}
	d.Accepted = append(d.Accepted, Owned{owner, e})
	return Accepted
}

func (d *Device) consents(e *schemas.Event) bool {
	if d.Choice == schemas.Choice_CHOICE_UNSPECIFIED {
		return e.AssumedConsent
	}
	return d.Choice == schemas.Choice_CHOICE_GRANTED
}

// act judges an action.
func (d *Device) act(e *schemas.Event) Verdict {
	campaign := e.GetAction().GetCampaign()
	if d.isErased(e.User, e.Received) {
		return Erased
	}
	greatest, seen := d.Causes[campaign]
	if seen && e.GetAction().GetCause() <= greatest {
		return Duplicate
	}
	if !seen && len(d.Causes) == d.Limits.Campaigns {
		return Surplus
	}
	d.Causes[campaign] = e.GetAction().GetCause()
	before := d.Acts[campaign]
	limit := int(e.GetAction().GetCap())
	full := limit > 0 && len(before) >= limit
	early := len(before) > 0 && e.Time < before[len(before)-1].Time+e.GetAction().GetAgain()
	left := e.GetAction().GetExitOnBooking() && d.Booked > e.Received
	if !d.consents(e) || full || early || left {
		return Surplus
	}
	d.Acts[campaign] = append(before, e)
	return Acted
}

// cost is what an event that is kept in full costs.
func cost(e *schemas.Event) int {
	n := 35
	if destination, _ := place(e); destination != "" {
		n += 12 + len(destination)
	}
	if currency, _ := money(e); currency != "" {
		n += 26 + len(currency)
	}
	if id := e.GetOffer().GetId(); id != "" && (e.Kind == schemas.Kind_KIND_OFFER_VIEW || e.Kind == schemas.Kind_KIND_BOOKING) {
		n += 20 + len(id)
	}
	return n
}

// OwnerOf is whose the next event would be.
func (d *Device) OwnerOf(e *schemas.Event) string {
	if e.User != "" {
		return e.User
	}
	return d.Current
}

func (d *Device) isErased(owner string, received int64) bool {
	if d.Erased > 0 && received <= d.Erased {
		return true
	}
	if owner == "" || owner == Nobody {
		return d.ErasedUnnamed > 0 && received <= d.ErasedUnnamed
	}
	at, known := d.ErasedLogins[owner]
	return known && received <= at || d.ErasedOthers > 0 && received <= d.ErasedOthers
}

func (d *Device) remember(id string) {
	d.Remembered = append(d.Remembered, id)
	if over := len(d.Remembered) - d.Limits.Remembered; over > 0 {
		d.Remembered = d.Remembered[over:]
	}
}

func (d *Device) eraseAll(at int64) {
	fresh := Device{
		Limits: d.Limits, Remembered: d.Remembered, Erased: max(d.Erased, at), ErasedLogins: map[string]int64{},
		Anonymous: d.Anonymous, Unkept: d.Unkept, Seen: d.Seen, Causes: d.Causes, Acts: map[string][]*schemas.Event{},
	}
	for login, when := range d.ErasedLogins {
		if when > fresh.Erased {
			fresh.ErasedLogins[login] = when
		}
	}
	if d.ErasedOthers > fresh.Erased {
		fresh.ErasedOthers = d.ErasedOthers
	}
	if d.ErasedUnnamed > fresh.Erased {
		fresh.ErasedUnnamed = d.ErasedUnnamed
	}
	if d.Choice == schemas.Choice_CHOICE_DENIED {
		fresh.Choice = d.Choice
	}
	*d = fresh
}

func (d *Device) erase(login string, at int64) {
	d.take(login)
	if d.First == login {
		d.take("")
		d.First = Nobody
		d.ErasedUnnamed = max(d.ErasedUnnamed, at)
	}
	if d.Current == login {
		d.Current = Nobody
		d.ErasedUnnamed = max(d.ErasedUnnamed, at)
	}
	d.Logins = append(d.Logins, login)
	d.ErasedLogins[login] = max(d.ErasedLogins[login], at)
	if len(d.ErasedLogins) > d.Limits.Erasures {
		var earliest string
		for l, when := range d.ErasedLogins {
			if earliest == "" || when < d.ErasedLogins[earliest] || when == d.ErasedLogins[earliest] && Hash(l) < Hash(earliest) {
				earliest = l
			}
		}
		d.ErasedOthers = max(d.ErasedOthers, d.ErasedLogins[earliest])
		delete(d.ErasedLogins, earliest)
	}
}

// take removes the events of a unit, unless they are nobody's.
func (d *Device) take(login string) {
	if login != "" && !d.placed(login) {
		return
	}
	d.Accepted = slices.DeleteFunc(slices.Clone(d.Accepted), func(o Owned) bool {
		if o.Owner == login {
			d.Taken++
			return true
		}
		return false
	})
}

// placed says whether a login has a unit of its own.
func (d *Device) placed(login string) bool { return slices.Contains(d.Places(), Hash(login)) }

// Places are the hashes of the logins with a unit of their own, ascending.
func (d *Device) Places() []uint64 {
	var hashes []uint64
	for _, l := range d.Logins {
		hashes = append(hashes, Hash(l))
	}
	slices.Sort(hashes)
	hashes = slices.Compact(hashes)
	return hashes[:min(len(hashes), d.Limits.Units)]
}

// Units are the events by unit: a login, empty for before any, or Nobody.
func (d *Device) Units() map[string][]*schemas.Event {
	units := map[string][]*schemas.Event{}
	for _, o := range d.Accepted {
		owner := o.Owner
		if owner != "" && owner != Nobody && !d.placed(owner) {
			owner = Nobody
		}
		units[owner] = append(units[owner], o.Event)
	}
	return units
}

// All are the events of all units.
func (d *Device) All() (events []*schemas.Event) {
	for _, o := range d.Accepted {
		events = append(events, o.Event)
	}
	return events
}

const (
	minute = 60 * 1_000_000 // microseconds
	hour   = 60 * minute
	day    = 24 * hour
)

func minuteOf(e *schemas.Event) int64 { return e.Time / minute }
