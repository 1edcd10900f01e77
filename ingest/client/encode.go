package client

import (
	"fmt"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"fernweh/schemas"
)

// timeLayout keeps the microseconds of the log.
const timeLayout = "2006-01-02T15:04:05.000000Z"

// library is what the client says it is.
const library = `"library":{"name":"fernweh-client","version":"1"}`

// AppendJSON appends the event as the Segment protocol has it. It fails for what
// a website doesn't send, such as an erasure.
func (e *Event) AppendJSON(b []byte) ([]byte, error) {
	kind, name := e.call()
	if kind == "" {
		return b, fmt.Errorf("encode event %s: a client doesn't send events of kind %v", e.Id, e.Kind)
	}
	o := object{append(b, '{')}
	o.plain("type", kind)
	switch kind {
	case "track":
		o.text("event", name)
	case "page":
		o.text("name", name)
	}
	o.text("messageId", e.Id)
	o.text("anonymousId", e.Device)
	if e.User != "" {
		o.text("userId", e.User)
	}
	o.key("timestamp")
	o.b = append(o.b, '"')
	o.b = time.UnixMicro(e.Time).Add(e.Skew).UTC().AppendFormat(o.b, timeLayout)
	o.b = append(o.b, '"')
	o.open("properties")
	e.properties(&o)
	o.close()
	if e.Context != nil {
		o.open("context")
		where(&o, e.Context)
		o.close()
	}
	return append(o.b, '}'), nil
}

// call is the protocol's call for an event and, for track and page, its name.
// The kinds with one name each have it whatever the event says.
func (e *Event) call() (kind, name string) {
	switch e.Kind {
	case schemas.Kind_KIND_PAGE:
		return "page", e.Name
	case schemas.Kind_KIND_IDENTIFY:
		return "identify", ""
	case schemas.Kind_KIND_SEARCH:
		return "track", "Products Searched"
	case schemas.Kind_KIND_LIST_VIEW:
		return "track", "Product List Viewed"
	case schemas.Kind_KIND_OFFER_VIEW:
		return "track", "Product Viewed"
	case schemas.Kind_KIND_CART:
		return "track", "Product Added"
	case schemas.Kind_KIND_CHECKOUT:
		if e.Name == "" {
			return "track", "Checkout Started"
		}
		return "track", e.Name
	case schemas.Kind_KIND_BOOKING:
		return "track", "Order Completed"
	case schemas.Kind_KIND_CANCELLATION:
		return "track", "Order Cancelled"
	case schemas.Kind_KIND_CONSENT:
		return "track", "Consent Changed"
	case schemas.Kind_KIND_PLACEMENT_SHOWN:
		return "track", "Promotion Viewed"
	case schemas.Kind_KIND_PLACEMENT_CLICKED:
		return "track", "Promotion Clicked"
	case schemas.Kind_KIND_NEWSLETTER:
		return "track", "Newsletter Subscribed"
	case schemas.Kind_KIND_CUSTOM:
		return "track", e.Name
	}
	return "", ""
}

// properties appends what the event is about.
func (e *Event) properties(o *object) {
	if e.Kind == schemas.Kind_KIND_CONSENT {
		o.raw("granted", strconv.FormatBool(e.Choice == schemas.Choice_CHOICE_GRANTED))
	}
	switch {
	case e.Order != nil:
		order(o, e.Order, e.Offer)
	case e.Offer != nil:
		offer(o, e.Offer)
	}
	if e.Search != nil {
		search(o, e.Search, e.Order == nil && e.Offer != nil)
		if e.Kind == schemas.Kind_KIND_SEARCH && e.Search.Results >= 0 {
			o.raw("results", strconv.Itoa(int(e.Search.Results))) // none is a word too
		}
	}
	if p := e.Placement; p != nil {
		o.text("slot", p.Slot)
		o.text("product_id", p.Offer)
		o.optional("decision", p.Decision)
		o.optional("arm", p.Arm)
	}
	if len(e.Properties) > len("{}") {
		o.comma()
		o.b = append(o.b, e.Properties[1:len(e.Properties)-1]...)
	}
}

// order appends a booking or a cancellation: of the offer everything, of what
// was booked with it the ids.
func order(o *object, r *schemas.Order, main *schemas.Offer) {
	o.text("order_id", r.Id)
	o.money("total", r.Amount)
	o.optional("currency", r.Currency)
	if main == nil && len(r.Offers) == 0 {
		return
	}
	o.key("products")
	o.b = append(o.b, '[')
	if main != nil {
		o.begin()
		offer(o, main)
		o.close()
	}
	for _, id := range r.Offers {
		if main != nil && id == main.Id {
			continue
		}
		o.begin()
		o.text("product_id", id)
		o.close()
	}
	o.b = append(o.b, ']')
}

// offer appends what the page shows of an offer.
func offer(o *object, f *schemas.Offer) {
	o.text("product_id", f.Id)
	if f.Kind != schemas.OfferKind_OFFER_KIND_UNSPECIFIED {
		o.key("category")
		o.word(schemas.OfferKind_name[int32(f.Kind)], "OFFER_KIND_")
	}
	o.optional("destination", f.Destination)
	if f.Latitude != 0 || f.Longitude != 0 {
		o.decimal("latitude", int64(f.Latitude), 6)
		o.decimal("longitude", int64(f.Longitude), 6)
	}
	if len(f.Styles) > 0 {
		o.key("styles")
		o.b = append(o.b, '[')
		for _, s := range f.Styles {
			o.comma()
			o.word(schemas.Style_name[int32(s)], "STYLE_")
		}
		o.b = append(o.b, ']')
	}
	if f.Stars != 0 {
		o.decimal("stars", int64(f.Stars), 1)
	}
	if f.Price != 0 || f.Currency != "" {
		o.money("price", f.Price)
		o.optional("currency", f.Currency)
	}
	if f.Available != schemas.Choice_CHOICE_UNSPECIFIED {
		o.raw("available", strconv.FormatBool(f.Available == schemas.Choice_CHOICE_GRANTED))
	}
	o.number("quantity", f.Quantity)
}

// search appends a trip. The destination is left to the offer where one has
// been said.
func search(o *object, s *schemas.Search, said bool) {
	if !said {
		o.optional("destination", s.Destination)
	}
	if s.Depart != 0 {
		o.key("depart")
		o.b = append(o.b, '"')
		o.b = time.Unix(int64(s.Depart)*86400, 0).UTC().AppendFormat(o.b, time.DateOnly)
		o.b = append(o.b, '"')
	}
	o.number("nights", s.Nights)
	o.number("adults", s.Adults)
	o.number("children", s.Children)
	o.optional("query", s.Query)
	if len(s.Filters) > 0 {
		o.key("filters")
		o.b = append(o.b, '[')
		for _, f := range s.Filters {
			o.comma()
			o.b = appendString(o.b, f)
		}
		o.b = append(o.b, ']')
	}
}

// where appends the context.
func where(o *object, c *schemas.Context) {
	o.open("page")
	o.optional("path", c.Path)
	o.optional("title", c.Title)
	if c.Referrer != "" {
		o.text("referrer", "https://"+c.Referrer+"/")
	}
	o.close()
	if c.CampaignSource != "" || c.CampaignMedium != "" || c.CampaignName != "" {
		o.open("campaign")
		o.optional("source", c.CampaignSource)
		o.optional("medium", c.CampaignMedium)
		o.optional("name", c.CampaignName)
		o.close()
	}
	o.optional("locale", c.Locale)
	o.optional("timezone", c.Timezone)
	o.optional("userAgent", userAgent(c.DeviceClass))
	o.comma()
	o.b = append(o.b, library...)
}

// An object appends the members of JSON objects.
type object struct{ b []byte }

// comma separates a member from the one before, if there is one.
func (o *object) comma() {
	if last := o.b[len(o.b)-1]; last != '{' && last != '[' {
		o.b = append(o.b, ',')
	}
}

// key begins a member. Keys are our own and need no escape.
func (o *object) key(k string) {
	o.comma()
	o.b = append(o.b, '"')
	o.b = append(o.b, k...)
	o.b = append(o.b, '"', ':')
}

// open begins a member that is an object.
func (o *object) open(k string) {
	o.key(k)
	o.b = append(o.b, '{')
}

// begin begins an object in an array.
func (o *object) begin() {
	o.comma()
	o.b = append(o.b, '{')
}

// close ends an object.
func (o *object) close() { o.b = append(o.b, '}') }

// text is a member that is any string.
func (o *object) text(k, v string) {
	o.key(k)
	o.b = appendString(o.b, v)
}

// optional is a text that is left out when empty.
func (o *object) optional(k, v string) {
	if v != "" {
		o.text(k, v)
	}
}

// plain is a text that needs no escape.
func (o *object) plain(k, v string) {
	o.key(k)
	o.b = append(o.b, '"')
	o.b = append(o.b, v...)
	o.b = append(o.b, '"')
}

// raw is a member that is JSON already.
func (o *object) raw(k, v string) {
	o.key(k)
	o.b = append(o.b, v...)
}

// number is a member that is left out when zero.
func (o *object) number(k string, v int32) {
	if v != 0 {
		o.key(k)
		o.b = strconv.AppendInt(o.b, int64(v), 10)
	}
}

// money is an amount in minor units. Everything we send is in currencies that
// have a hundred of them.
func (o *object) money(k string, minor int64) { o.decimal(k, minor, 2) }

// decimal is v / 10^places, exactly.
func (o *object) decimal(k string, v int64, places int) {
	o.key(k)
	if v < 0 {
		o.b = append(o.b, '-')
		v = -v
	}
	unit := int64(1)
	for range places {
		unit *= 10
	}
	o.b = strconv.AppendInt(o.b, v/unit, 10)
	rest := v % unit
	if rest == 0 {
		return
	}
	o.b = append(o.b, '.')
	for ; rest > 0; rest %= unit {
		unit /= 10
		o.b = append(o.b, byte('0'+rest/unit))
	}
}

// word is a string: what the protocol calls an enum's name, the name without its
// prefix in lower case.
func (o *object) word(name, prefix string) {
	o.b = append(o.b, '"')
	for _, c := range []byte(strings.TrimPrefix(name, prefix)) {
		if 'A' <= c && c <= 'Z' {
			c += 'a' - 'A'
		}
		o.b = append(o.b, c)
	}
	o.b = append(o.b, '"')
}

// appendString appends a JSON string; what is no UTF-8 becomes U+FFFD.
func appendString(b []byte, s string) []byte {
	const hex = "0123456789abcdef"
	b = append(b, '"')
	from := 0
	for i := 0; i < len(s); {
		c := s[i]
		if c >= ' ' && c < utf8.RuneSelf && c != '"' && c != '\\' {
			i++
			continue
		}
		if c < utf8.RuneSelf {
			b = append(append(b, s[from:i]...), '\\', 'u', '0', '0', hex[c>>4], hex[c&15])
			i++
			from = i
			continue
		}
		r, n := utf8.DecodeRuneInString(s[i:])
		if r == utf8.RuneError && n == 1 {
			b = append(append(b, s[from:i]...), "\ufffd"...)
			from = i + n
		}
		i += n
	}
	return append(append(b, s[from:]...), '"')
}
