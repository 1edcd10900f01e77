package schemas

import (
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"

	"google.golang.org/protobuf/proto"
)

// A ControlKind is the name of the header that makes a record of the event topic
// a control record. The header's value is the record's number in decimal; what
// else there is to say is the record's value.
type ControlKind string

// Control records of the event topic, a cut's apart each with what its value is.
// Any other header with their prefix is of a later release.
const (
	ControlCut       ControlKind = "fernweh-cut"       // a batch run: no value
	ControlModels    ControlKind = "fernweh-model"     // ModelsInForce: what is in force from here on, in one set of views
	ControlCampaigns ControlKind = "fernweh-campaigns" // CampaignsInForce: what is in force from here on, and where
	ControlTick      ControlKind = "fernweh-tick"      // the log's clock: no value
	ControlSkip      ControlKind = "fernweh-skip"      // Skip: a record that all leave out
	ControlFold      ControlKind = "fernweh-fold"      // every layer runs that release: no value

	controlPrefix = "fernweh-"
)

// HeaderCut is the header that makes a record a cut.
const HeaderCut = string(ControlCut)

// A Control is what a control record says. One of its last three is there, by Kind.
type Control struct {
	Kind      ControlKind
	Number    int64 // of a tick: the minute, since 1970 UTC, in which the broker appended it
	Models    *ModelsInForce
	Campaigns *CampaignsInForce
	Skip      *Skip
}

// Message is the bytes of the control record.
func (c Control) Message() (Message, error) {
	m := Message{Headers: []Header{{string(c.Kind), FormatNumber(c.Number)}}}
	p := c.payload()
	if p == nil {
		return m, nil
	}
	err := checkPayload(p)
	if err == nil {
		m.Value, err = proto.Marshal(p)
	}
	if err != nil {
		return Message{}, fmt.Errorf("control record %s %d: %w", c.Kind, c.Number, err)
	}
	return m, nil
}

// payload is what the record's value says; nil: it has none.
func (c Control) payload() proto.Message {
	switch c.Kind {
	case ControlModels:
		return c.Models
	case ControlCampaigns:
		return c.Campaigns
	case ControlSkip:
		return c.Skip
	}
	return nil
}

// FormatNumber is the value of a control record's header.
func FormatNumber(n int64) []byte { return strconv.AppendInt(nil, n, 10) }

// parseNumber reads what FormatNumber writes: decimal digits without a leading
// zero, above 0, within 63 bits.
func parseNumber(b []byte) (n int64, ok bool) {
	if len(b) == 0 || b[0] < '1' || b[0] > '9' {
		return 0, false
	}
	n, err := strconv.ParseInt(string(b), 10, 64)
	return n, err == nil
}

// controlHeader finds the first header that makes a message a control record.
func controlHeader(headers []Header) (name string, value []byte, is bool) {
	for _, h := range headers {
		if strings.HasPrefix(h.Key, controlPrefix) {
			return h.Key, h.Value, true
		}
	}
	return "", nil, false
}

// readControl fills in what a control record says. One of a kind that this
// release knows, without a number or with a value that it cannot have, says nothing.
func (r *Record) readControl(name string, number, value []byte) {
	c := Control{Kind: ControlKind(name)}
	switch c.Kind {
	case ControlModels:
		c.Models = new(ModelsInForce)
	case ControlCampaigns:
		c.Campaigns = new(CampaignsInForce)
	case ControlSkip:
		c.Skip = new(Skip)
	case ControlCut, ControlTick, ControlFold:
	default:
		r.Later = true
		return
	}
	var ok bool
	if c.Number, ok = parseNumber(number); !ok {
		return
	}
	if p := c.payload(); p != nil && (proto.Unmarshal(value, p) != nil || checkPayload(p) != nil) {
		return
	}
	switch c.Kind {
	case ControlCut:
		r.Cut = c.Number
		return
	case ControlTick:
		c.Number = r.At / (60 * 1_000_000)
	}
	r.Control = &c
}

// checkPayload bounds what a control record says: positions and generations carry it.
func checkPayload(p proto.Message) error {
	switch p := p.(type) {
	case *ModelsInForce:
		return checkInForce(p.Views, "models", p.Models, p.Generation)
	case *CampaignsInForce:
		return checkInForce(p.Views, "campaigns", p.Campaigns, 0)
	case *Skip:
		switch {
		case p.Offset < 0:
			return fmt.Errorf("offset %d is negative", p.Offset)
		case len(p.Reason) > MaxText || !utf8.ValidString(p.Reason):
			return fmt.Errorf("reason has %d bytes, at most %d of UTF-8 are taken", len(p.Reason), MaxText)
		case len(p.By) > MaxID || !utf8.ValidString(p.By):
			return fmt.Errorf("by has %d bytes, at most %d of UTF-8 are taken", len(p.By), MaxID)
		}
	}
	return nil
}

func checkInForce(views, what string, names []string, generation int64) error {
	n := 0
	for _, name := range names {
		n += len(name) + 1
	}
	switch {
	case views == "" || len(views) > MaxID:
		return fmt.Errorf("views has %d bytes, 1 to %d are taken", len(views), MaxID)
	case n > MaxList:
		return fmt.Errorf("%s has %d bytes in %d names, at most %d are taken", what, n, len(names), MaxList)
	case generation < 0:
		return fmt.Errorf("generation %d is negative", generation)
	}
	return nil
}

// MaxStep is how far above the last one of its kind the number of a control
// record may lie. A larger one is none: so no number ends a kind of record.
const MaxStep = 1 << 32

// Follows says whether a control record with number n counts where the last one
// of its kind that counted has the number last; 0: there is none yet.
func Follows(last, n int64) bool { return n > last && n-last <= MaxStep }

// A ControlState is what the control records of a partition below an offset have
// left in force there, in one set of views. It is a function of the log. The zero
// value is the beginning of the log. Its JSON is canonical.
type ControlState struct {
	Cut       int64   `json:"cut,omitempty"`      // the epoch: number of the last cut
	Tick      int64   `json:"tick,omitempty"`     // minute of the last tick, since 1970 UTC
	Skip      int64   `json:"skip,omitempty"`     // number of the last quarantine
	Fold      int64   `json:"fold,omitempty"`     // the release that every layer runs
	Models    InForce `json:"models,omitzero"`    // what classifies in this set of views
	Campaigns InForce `json:"campaigns,omitzero"` // what acts, and in which set of views
}

// InForce is what a control record of models or of campaigns has put in force.
type InForce struct {
	Number     int64    `json:"number"`
	Views      string   `json:"views"`                // the set of views
	Generation int64    `json:"generation,omitempty"` // whose persons and lists are read with the models
	Names      []string `json:"names,omitempty"`      // by hash of their content
}

// Apply takes the next record of the partition and says whether it is a control
// record that counts in a set of views: everything else leaves the state as it is.
func (s *ControlState) Apply(r *Record, views string) (counts bool) {
	if r.Cut > 0 {
		return follow(&s.Cut, r.Cut)
	}
	c := r.Control
	if c == nil {
		return false
	}
	switch c.Kind {
	case ControlTick:
		return follow(&s.Tick, c.Number)
	case ControlFold:
		return follow(&s.Fold, c.Number)
	case ControlSkip:
		return c.Skip.Offset < r.Offset && follow(&s.Skip, c.Number)
	case ControlModels:
		in := InForce{Number: s.Models.Number, Views: c.Models.Views, Generation: c.Models.Generation, Names: c.Models.Models}
		return in.Views == views && s.Models.follow(in, c.Number)
	case ControlCampaigns:
		in := InForce{Number: s.Campaigns.Number, Views: c.Campaigns.Views, Names: c.Campaigns.Campaigns}
		return s.Campaigns.follow(in, c.Number)
	}
	return false
}

// follow raises the number of the last record of a kind if n follows it.
func follow(last *int64, n int64) bool {
	if !Follows(*last, n) {
		return false
	}
	*last = n
	return true
}

// follow puts next in force if n follows the number of what is.
func (f *InForce) follow(next InForce, n int64) bool {
	if !follow(&next.Number, n) {
		return false
	}
	*f = next
	return true
}
