package visitor_test

import (
	"fmt"
	"slices"
	"testing"

	"fernweh/model/visitor"
	"fernweh/schemas"
)

// An entry is one event of the device in the log and what the filter must say.
type entry struct {
	event *schemas.Event
	want  visitor.Verdict
	login string
}

// page is an event of a source that asks before it sends.
func page(id string) *schemas.Event {
	return &schemas.Event{Id: id, Device: "d", Kind: schemas.Kind_KIND_PAGE, AssumedConsent: true}
}

// unasked is an event of a source that leaves the question of consent to the visitor.
func unasked(id string) *schemas.Event {
	return &schemas.Event{Id: id, Device: "d", Kind: schemas.Kind_KIND_PAGE}
}

func by(user string, e *schemas.Event) *schemas.Event {
	e.User = user
	return e
}

func received(at int64, e *schemas.Event) *schemas.Event {
	e.Received = at
	return e
}

func identify(id, user string) *schemas.Event {
	e := by(user, page(id))
	e.Kind = schemas.Kind_KIND_IDENTIFY
	return e
}

func consent(id string, c schemas.Choice) *schemas.Event {
	e := page(id)
	e.Kind, e.Choice = schemas.Kind_KIND_CONSENT, c
	return e
}

// erasure forgets a login of the device; with none the whole device.
func erasure(id, login string, at int64) *schemas.Event {
	return &schemas.Event{Id: id, Device: "d", Kind: schemas.Kind_KIND_ERASURE, Received: at,
		Erasure: &schemas.Erasure{Login: login}}
}

// times gives n pages with the ids p0, p1, ...
func times(n int) []entry {
	var es []entry
	for i := range n {
		es = append(es, entry{page(fmt.Sprint("p", i)), visitor.Accepted, ""})
	}
	return es
}

// after is the same entries, received then.
func after(at int64, es []entry) []entry {
	for _, e := range es {
		e.event.Received = at
	}
	return es
}

// nobody is how a test names the owner that is no login.
const nobody = "(nobody)"

const (
	granted = schemas.Choice_CHOICE_GRANTED
	denied  = schemas.Choice_CHOICE_DENIED
)

func TestFilterWalksTheLog(t *testing.T) {
	tests := []struct {
		name string
		log  []entry
	}{
		{"sent twice, counted once", []entry{
			{page("a"), visitor.Accepted, ""},
			{page("a"), visitor.Duplicate, ""},
		}},
		{"the 256 last ids are known", append(times(256),
			entry{page("p0"), visitor.Duplicate, ""},
			entry{page("p255"), visitor.Duplicate, ""},
		)},
		{"the 257th id before is forgotten", append(times(257),
			entry{page("p0"), visitor.Accepted, ""},
			entry{page("p2"), visitor.Duplicate, ""},
		)},
		{"a duplicate does not push out an id", append(times(256),
			entry{page("p9"), visitor.Duplicate, ""},
			entry{page("p0"), visitor.Duplicate, ""},
		)},
		{"after identify events belong to the customer", []entry{
			{page("a"), visitor.Accepted, ""},
			{identify("b", "mueller"), visitor.Accepted, "mueller"},
			{page("c"), visitor.Accepted, "mueller"},
			{identify("d", "anna"), visitor.Accepted, "anna"},
			{page("e"), visitor.Accepted, "anna"},
		}},
		{"an event's own user goes before the device's login", []entry{
			{identify("a", "mueller"), visitor.Accepted, "mueller"},
			{by("anna", page("b")), visitor.Accepted, "anna"},
			{page("c"), visitor.Accepted, "anna"},
		}},
		{"a user in an event is a login: what follows is not of the one before", []entry{
			{page("z"), visitor.Accepted, ""},
			{by("anna", page("a")), visitor.Accepted, "anna"},
			{page("b"), visitor.Accepted, "anna"},
			{by("mueller", page("c")), visitor.Accepted, "mueller"},
			{page("d"), visitor.Accepted, "mueller"},
		}},
		{"an identify without a user changes no login", []entry{
			{identify("a", "mueller"), visitor.Accepted, "mueller"},
			{identify("b", ""), visitor.Accepted, "mueller"},
		}},
		{"who was not asked and said nothing is anonymous", []entry{
			{unasked("a"), visitor.Anonymous, ""},
			{unasked("a"), visitor.Duplicate, ""},
		}},
		{"who says yes is known from there on", []entry{
			{unasked("a"), visitor.Anonymous, ""},
			{consent("b", granted), visitor.Accepted, ""},
			{unasked("c"), visitor.Accepted, ""},
		}},
		{"the visitor's no outweighs the source's yes", []entry{
			{page("a"), visitor.Accepted, ""},
			{consent("b", denied), visitor.Anonymous, ""},
			{page("c"), visitor.Anonymous, ""},
			{consent("d", granted), visitor.Accepted, ""},
			{page("e"), visitor.Accepted, ""},
		}},
		{"a consent without a choice chooses nothing", []entry{
			{consent("a", denied), visitor.Anonymous, ""},
			{consent("b", schemas.Choice_CHOICE_UNSPECIFIED), visitor.Anonymous, ""},
		}},
		{"an identify without consent logs nobody in", []entry{
			{consent("a", denied), visitor.Anonymous, ""},
			{identify("b", "mueller"), visitor.Anonymous, ""},
			{consent("c", granted), visitor.Accepted, ""},
			{page("d"), visitor.Accepted, ""},
		}},
		{"an erasure drops what was received before it and comes late", []entry{
			{received(10, page("a")), visitor.Accepted, ""},
			{erasure("x", "", 20), visitor.Reset, ""},
			{received(19, page("b")), visitor.Erased, ""},
			{received(20, page("c")), visitor.Erased, ""},
			{received(21, page("d")), visitor.Accepted, ""},
		}},
		{"an erasure of the device logs out", []entry{
			{received(10, identify("a", "mueller")), visitor.Accepted, "mueller"},
			{erasure("x", "", 20), visitor.Reset, ""},
			{received(21, page("b")), visitor.Accepted, ""},
		}},
		{"an erasure of a login leaves the others", []entry{
			{received(10, identify("a", "mueller")), visitor.Accepted, "mueller"},
			{erasure("x", "mueller", 20), visitor.Reset, ""},
			{received(15, by("mueller", page("b"))), visitor.Erased, ""},
			{received(15, page("c")), visitor.Erased, ""},
			{received(21, page("d")), visitor.Accepted, nobody},
			{received(15, by("anna", page("e"))), visitor.Accepted, "anna"},
			{received(15, page("f")), visitor.Accepted, "anna"},
			{received(21, by("mueller", page("g"))), visitor.Accepted, "mueller"},
		}},
		{"what comes after the erasure of the current login is not of the one before", []entry{
			{received(5, identify("a", "anna")), visitor.Accepted, "anna"},
			{received(10, identify("b", "mueller")), visitor.Accepted, "mueller"},
			{erasure("x", "mueller", 20), visitor.Reset, ""},
			{received(30, page("c")), visitor.Accepted, nobody},
		}},
		{"the erasure of a login that is not current leaves the current one", []entry{
			{received(5, identify("a", "anna")), visitor.Accepted, "anna"},
			{received(10, identify("b", "mueller")), visitor.Accepted, "mueller"},
			{erasure("x", "anna", 20), visitor.Reset, ""},
			{received(15, page("c")), visitor.Accepted, "mueller"},
		}},
		{"an erasure that was received earlier takes nothing back", []entry{
			{erasure("x", "mueller", 20), visitor.Reset, ""},
			{erasure("y", "mueller", 10), visitor.Duplicate, ""},
			{received(15, by("mueller", page("a"))), visitor.Erased, ""},
		}},
		{"an erasure that is told again after its id is forgotten erases nothing new", slices.Concat(
			[]entry{{erasure("x", "mueller", 20), visitor.Reset, ""}, {erasure("y", "", 20), visitor.Reset, ""}},
			after(30, times(256)),
			[]entry{
				{erasure("x", "mueller", 20), visitor.Duplicate, ""},
				{erasure("y", "", 20), visitor.Duplicate, ""},
				{erasure("y", "", 31), visitor.Reset, ""},
			})},
		{"a login erased later than its device stays erased until then", []entry{
			{erasure("x", "mueller", 30), visitor.Reset, ""},
			{erasure("y", "", 20), visitor.Reset, ""},
			{received(25, by("mueller", page("a"))), visitor.Erased, ""},
			{received(25, page("b")), visitor.Accepted, ""},
		}},
		{"an event sent again after the erasure stays dead", []entry{
			{received(10, page("a")), visitor.Accepted, ""},
			{erasure("x", "", 20), visitor.Reset, ""},
			{received(30, page("a")), visitor.Duplicate, ""},
		}},
		{"the same erasure twice is one", []entry{
			{erasure("x", "", 20), visitor.Reset, ""},
			{erasure("x", "", 20), visitor.Duplicate, ""},
		}},
		{"a no survives the erasure of the device", []entry{
			{received(10, consent("a", denied)), visitor.Anonymous, ""},
			{erasure("x", "", 20), visitor.Reset, ""},
			{received(30, page("b")), visitor.Anonymous, ""},
		}},
		{"a yes does not survive the erasure of the device", []entry{
			{received(10, consent("a", granted)), visitor.Accepted, ""},
			{erasure("x", "", 20), visitor.Reset, ""},
			{received(30, unasked("b")), visitor.Anonymous, ""},
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var f visitor.Filter
			for i, e := range tt.log {
				got, owner := f.Pass(visitor.Limits{Remembered: 256}, visitor.HashID(e.event.Id), e.event)
				login := owner.Login
				if owner.Nobody {
					login += nobody
				}
				if got != e.want || login != e.login {
					t.Errorf("event %d, %s of id %q: got %s for login %q, want %s for login %q",
						i, e.event.Kind, e.event.Id, got, login, e.want, e.login)
				}
			}
		})
	}
}

// TestFirstLoginStays: what happened before any login is linked to the first one,
// until that one is erased.
func TestFirstLoginStays(t *testing.T) {
	tests := []struct {
		name string
		log  []*schemas.Event
		want string
	}{
		{"nobody", []*schemas.Event{page("a")}, ""},
		{"the first of two", []*schemas.Event{page("a"), identify("b", "mueller"), identify("c", "anna")}, "mueller"},
		{"an event's own user", []*schemas.Event{by("anna", page("a")), identify("b", "mueller")}, "anna"},
		{"not without consent", []*schemas.Event{by("anna", unasked("a")), identify("b", "mueller")}, "mueller"},
		{"erased", []*schemas.Event{identify("a", "mueller"), erasure("x", "mueller", 1)}, ""},
		{"never the next one after it", []*schemas.Event{page("a"), identify("b", "mueller"), erasure("x", "mueller", 1),
			received(2, identify("c", "anna"))}, ""},
		{"but after an erasure of the device", []*schemas.Event{identify("b", "mueller"), erasure("x", "mueller", 1),
			erasure("y", "", 2), received(3, identify("c", "anna"))}, "anna"},
		{"another one erased", []*schemas.Event{identify("a", "mueller"), erasure("x", "anna", 1)}, "mueller"},
		{"device erased", []*schemas.Event{identify("a", "mueller"), erasure("x", "", 1)}, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var f visitor.Filter
			for _, e := range tt.log {
				f.Pass(visitor.Limits{}, visitor.HashID(e.Id), e)
			}
			if f.FirstLogin != tt.want {
				t.Errorf("first login %q, want %q", f.FirstLogin, tt.want)
			}
		})
	}
}

// TestFilterIsBounded: it remembers no more ids than it says, the youngest.
func TestFilterIsBounded(t *testing.T) {
	var f visitor.Filter
	var want []uint64
	for i := range 3 * visitor.Remembered {
		e := page(fmt.Sprint("p", i))
		f.Pass(visitor.Limits{}, visitor.HashID(e.Id), e)
		want = append(want, visitor.HashID(e.Id))
	}
	if want = want[len(want)-visitor.Remembered:]; !slices.Equal(f.IDs, want) {
		t.Errorf("%d ids remembered, want the last %d", len(f.IDs), len(want))
	}
}
