package segment

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"

	"fernweh/schemas"
)

// Limits of text, in bytes. An id that is longer is none; any other text is cut.
const (
	maxID   = 256
	maxText = 512
	maxPath = 1024
)

// A mapper maps the calls of one request, one after the other.
type mapper struct {
	Request
	batchID      string           // messageId of the batch; empty: none that can be used
	sent         int64            // sentAt of the batch, or unset
	around       *schemas.Context // what the context of the batch says; nil: there is none
	agent        string           // user agent of the batch's context
	aroundChoice schemas.Choice   // what the batch's context says of consent
	lastAgent    string           // the last user agent, and its class: mostly all are the same
	lastClass    schemas.DeviceClass

	// of the call that is being mapped; the memory is used again for the next
	call, props, ctx, sub object
	missed                []string        // members of the first product that are unread
	left                  map[string]bool // names of properties, where they are many
	rest                  []byte
}

// newMapper reads what stands around the calls once, not for each of them.
func newMapper(top object, r Request) *mapper {
	m := &mapper{Request: r, sent: timeOf(top, "sentAt")}
	if id, err := readID(top, "messageId"); err == nil && len(id) < maxID-10 {
		m.batchID = id
	}
	if f := top.peek("context"); f != nil && utf8.ValidString(string(f.value)) {
		m.around = new(schemas.Context)
		ctx := object(nil).fields(f.value)
		m.aroundChoice = preferences(ctx)
		m.agent = m.contextOf(m.around, ctx)
	}
	return m
}

// item maps the call at a position of its batch.
func (m *mapper) item(call value, position int) Item {
	item := Item{Original: string(call)}
	m.call, m.props, m.ctx, m.missed = m.call[:0], m.props[:0], m.ctx[:0], nil
	if err := m.checkForm(call); err != nil {
		item.ID, item.Reason = hashID(call, position), err.Error()
		return item
	}
	m.call = m.call.fields(call)
	id, err := m.messageID(call, position)
	item.ID = id
	if err == nil {
		item.Event, err = m.event(id)
	}
	stamp := m.stamp()
	switch {
	case err == nil:
		item.Event = agree(item.Event, stamp)
	case stamp == schemas.Choice_CHOICE_DENIED:
		item.Event, item.Reason, item.Original = nil, err.Error(), ""
	default:
		item.Event, item.Reason = nil, err.Error()
	}
	item.Unread = m.ctx.unread(m.props.unread(m.missed))
	return item
}

// unread appends the names of members that should be in a field and are not.
// Names are the mapper's own, so there are few.
func (o object) unread(names []string) []string {
	for i := range o {
		if o[i].unread && !o[i].taken {
			names = append(names, o[i].name)
		}
	}
	return names
}

func (m *mapper) checkForm(call value) error {
	switch {
	case !call.isObject():
		return errors.New("call is not an object")
	case len(call) > m.MaxEvent:
		return fmt.Errorf("call has %d bytes, at most %d are taken", len(call), m.MaxEvent)
	case !utf8.ValidString(string(call)):
		return errors.New("text is not UTF-8")
	case call.simple():
		return nil
	}
	return call.shape().check()
}

// messageID is the call's, or made of the batch's, or of the call's bytes. It is
// never random: a retry must carry it again.
func (m *mapper) messageID(call value, position int) (string, error) {
	id, err := takeID(m.call, "messageId")
	if err != nil {
		return hashID(call, position), err
	}
	if id != "" {
		return id, nil
	}
	if m.batchID != "" {
		return m.batchID + ":" + strconv.Itoa(position), nil
	}
	return hashID(call, position), nil
}

func hashID(call value, position int) string {
	h := sha256.New()
	h.Write([]byte(call))
	h.Write(strconv.AppendInt(nil, int64(position), 10))
	return "h:" + hex.EncodeToString(h.Sum(nil)[:16])
}

// event maps the call that m holds.
func (m *mapper) event(id string) (*schemas.Event, error) {
	e := &schemas.Event{
		Id: id, Received: m.Received, Source: m.Source, AssumedConsent: m.AssumedConsent,
		Context: new(schemas.Context),
	}
	if f := m.call.peek("context"); f != nil && f.value.isObject() { // first: it says whether a rejected call may be kept
		m.ctx, f.taken = m.ctx.fields(f.value), true
	}
	var err error
	if e.Time, err = m.time(); err != nil {
		return nil, err
	}
	if f := m.call.peek("properties"); f != nil && f.value.isObject() {
		m.props, f.taken = m.props.fields(f.value), true
	}
	if err := m.kind(e); err != nil {
		return nil, err
	}
	m.surroundings(e.Context)
	e.Properties = m.leftover()
	return e, e.Check()
}

// kind maps what depends on the type of the call: who, what and its fields.
func (m *mapper) kind(e *schemas.Event) error {
	typ := m.Type
	if f := m.call.peek("type"); f != nil {
		typ, _ = f.value.text()
		f.taken = true
	}
	call := strings.ToLower(typ)
	if err := m.who(e, call); err != nil {
		return err
	}
	switch call {
	case "page", "screen":
		e.Kind, e.Name = schemas.Kind_KIND_PAGE, takeText(m.call, "name", maxID)
		m.page(e.Context, m.props)
	case "track":
		return m.track(e)
	case "identify", "alias":
		e.Kind, e.Name = schemas.Kind_KIND_IDENTIFY, call
		if e.User == "" {
			e.Kind = schemas.Kind_KIND_CUSTOM // it links nothing
		}
	case "group":
		e.Kind, e.Name = schemas.Kind_KIND_CUSTOM, call
	default:
		return fmt.Errorf("unknown type %q", clip(typ, maxID))
	}
	return nil
}

// who finds the device and the user.
func (m *mapper) who(e *schemas.Event, call string) error {
	anonymous, err := takeID(m.call, "anonymousId")
	if err != nil {
		return err
	}
	if e.User, err = takeID(m.call, "userId"); err != nil {
		return err
	}
	e.Device = anonymous
	if call == "alias" {
		previous, err := takeID(m.call, "previousId")
		if err != nil {
			return err
		}
		if previous != "" {
			e.Device = previous
		}
	}
	switch {
	case isPseudo(e.Device):
		return fmt.Errorf("anonymousId %s is kept for visitors who refuse", e.Device)
	case e.Device != "":
		return nil
	case e.User == "":
		return errors.New("neither anonymousId nor userId")
	case len(e.User) > maxID-2:
		return fmt.Errorf("userId has %d bytes, at most %d make a device of it", len(e.User), maxID-2)
	}
	e.Device = "u:" + e.User
	return nil
}

// time is when the event happened by our clock.
func (m *mapper) time() (int64, error) {
	original := int64(unset)
	for _, name := range [...]string{"originalTimestamp", "timestamp"} {
		f := m.call.peek(name)
		if f == nil {
			continue
		}
		f.taken = true
		if original != unset {
			continue
		}
		s, _ := f.value.text()
		at, ok := parseTime(s)
		if !ok {
			return 0, fmt.Errorf("%s %s is no time", name, clip(string(f.value), maxID))
		}
		original = at
	}
	sent := timeOf(m.call, "sentAt")
	if sent == unset {
		sent = m.sent
	}
	return eventTime(original, sent, m.Received)
}

// timeOf is a time of the client that may be missing or unusable.
func timeOf(o object, name string) int64 {
	if f := o.peek(name); f != nil {
		s, _ := f.value.text()
		if at, ok := parseTime(s); ok {
			return at
		}
	}
	return unset
}

// takeID takes an id: a string or a number, without control characters, which
// row keys and pipes of text don't bear.
func takeID(o object, name string) (string, error) {
	id, err := readID(o, name)
	if f := o.peek(name); f != nil {
		f.taken = true
	}
	return id, err
}

// readID reads an id that the next call may need too.
func readID(o object, name string) (string, error) {
	f := o.peek(name)
	if f == nil {
		return "", nil
	}
	id, ok := f.value.text()
	switch {
	case !ok:
		return "", fmt.Errorf("%s is neither text nor a number", name)
	case len(id) > maxID:
		return "", fmt.Errorf("%s has %d bytes, at most %d are taken", name, len(id), maxID)
	case hasControl(id) || !utf8.ValidString(id):
		return "", fmt.Errorf("%s holds a control character", name)
	}
	return id, nil
}

func hasControl(s string) bool {
	for i := range len(s) {
		if s[i] < ' ' || s[i] == 0x7f {
			return true
		}
	}
	return false
}

// clip cuts text to at most n bytes, between two characters.
func clip(s string, n int) string {
	if len(s) <= n {
		return s
	}
	for n > 0 && !utf8.RuneStart(s[n]) {
		n--
	}
	return s[:n]
}
