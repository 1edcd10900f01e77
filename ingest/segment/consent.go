package segment

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strconv"
	"strings"

	"fernweh/schemas"

	"github.com/cespare/xxhash/v2"
)

// pseudoDevices is how many devices stand for all visitors who refuse. A repeat of
// an event meets the same one, and so the same filter; what is known of one of
// them is known of nobody.
const pseudoDevices = 4096

// isPseudo says that a device is one of the pseudo-devices, which no client may be: its
// consent would be that of all who refuse.
func isPseudo(device string) bool {
	n, ok := strings.CutPrefix(device, "a:")
	if !ok || len(n) != 3 {
		return false
	}
	_, err := strconv.ParseUint(n, 16, 12)
	return err == nil && strings.ToLower(n) == n
}

// stamp is what the call itself says of consent, in its context or in the batch's.
func (m *mapper) stamp() schemas.Choice {
	if c := preferences(m.ctx); c != schemas.Choice_CHOICE_UNSPECIFIED {
		return c
	}
	return m.aroundChoice
}

// agree applies what the call says of consent to its event. It reads nothing but the
// call, so that a repeat comes to the same event, whoever takes it.
func agree(e *schemas.Event, stamp schemas.Choice) *schemas.Event {
	switch {
	case e.Kind == schemas.Kind_KIND_CONSENT && e.Choice == schemas.Choice_CHOICE_DENIED:
		return refusal(e)
	case e.Kind == schemas.Kind_KIND_CONSENT:
	case stamp == schemas.Choice_CHOICE_DENIED:
		return anonymous(e)
	case stamp == schemas.Choice_CHOICE_GRANTED:
		e.AssumedConsent = true
	}
	return e
}

// refusal is what is kept of the event that refuses: the device must be known, or it
// would go on being profiled, and nothing else.
func refusal(e *schemas.Event) *schemas.Event {
	return &schemas.Event{
		Id: e.Id, Device: e.Device, Kind: e.Kind, Name: e.Name, Choice: e.Choice, Time: e.Time, Received: e.Received,
		Source: e.Source, AssumedConsent: e.AssumedConsent, Context: &schemas.Context{},
	}
}

// anonymous is what is taken of an event without consent: what counts in the panes
// of its minute, and nothing that names or tells apart who did it.
func anonymous(e *schemas.Event) *schemas.Event {
	hash := sha256.Sum256([]byte(e.Id))
	a := &schemas.Event{
		Id:     "a:" + hex.EncodeToString(hash[:16]),
		Device: fmt.Sprintf("a:%03x", xxhash.Sum64String(e.Id)%pseudoDevices),
		Kind:   e.Kind, Time: e.Time, Received: e.Received, Source: e.Source, Context: &schemas.Context{},
	}
	if d := e.GetSearch().GetDestination(); d != "" {
		a.Search = &schemas.Search{Destination: d, Results: -1}
	}
	if d := e.GetOffer().GetDestination(); d != "" {
		a.Offer = &schemas.Offer{Destination: d}
	}
	if o := e.Order; o != nil {
		a.Order = &schemas.Order{Amount: o.Amount, Currency: o.Currency}
	}
	return a
}
