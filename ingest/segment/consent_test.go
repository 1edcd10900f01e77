package segment_test

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"fernweh/model/kpi"
	"fernweh/model/visitor"
	"fernweh/schemas"

	"google.golang.org/protobuf/proto"
)

// refuses is a call with a marked value in every place that names a person or a page.
func refuses(typ, event, id string) string {
	return fmt.Sprintf(`{"type":%q,"event":%q,"name":"PLANTED","messageId":"PLANTED-%s","anonymousId":"PLANTED-device","userId":"PLANTED-user",
		"traits":{"email":"PLANTED"},"properties":{"path":"/PLANTED","title":"PLANTED","query":"PLANTED","destination":"Sylt","product_id":"PLANTED",
		"order_id":"PLANTED","revenue":120.5,"currency":"EUR","referrer":"https://PLANTED.example/","my_own":"PLANTED"},
		"context":{"consent":{"categoryPreferences":{"Advertising":false}},"page":{"path":"/PLANTED","referrer":"https://PLANTED.example/"},
		"campaign":{"source":"PLANTED","name":"PLANTED"},"locale":"PLANTED","timezone":"PLANTED","userAgent":"PLANTED","ip":"PLANTED","library":{"name":"PLANTED"}}}`,
		typ, event, id)
}

// TestWithoutConsentNothingNames: of a call that says itself that the visitor
// refuses, only what counts in the panes goes into the log.
func TestWithoutConsentNothingNames(t *testing.T) {
	devices := map[string]bool{}
	for i, call := range [][2]string{{"page", ""}, {"screen", ""}, {"identify", ""}, {"alias", ""}, {"group", ""}, {"track", "Products Searched"},
		{"track", "Product Viewed"}, {"track", "Product Added"}, {"track", "Order Completed"}, {"track", "Order Cancelled"}, {"track", "Promotion Clicked"},
		{"track", "PLANTED"}} {
		text := refuses(call[0], call[1], fmt.Sprint(i))
		e := event(t, text)
		b, err := proto.Marshal(e)
		if err != nil || bytes.Contains(b, []byte("PLANTED")) {
			t.Errorf("%v is taken as %v, %v: something names who did it", call, e, err)
		}
		if again := event(t, text); !proto.Equal(again, e) {
			t.Errorf("%v sent again is %v, was %v", call, again, e)
		}
		var c visitor.Cell
		if v := c.Fold(visitor.Limits{}, e, visitor.HashID(e.Id), 0, func(kpi.Pane, int64) {}); v != visitor.Anonymous {
			t.Errorf("%v is %s to the filter, want anonymous", call, v)
		}
		switch e.Kind {
		case schemas.Kind_KIND_BOOKING, schemas.Kind_KIND_CANCELLATION:
			if e.Order.GetAmount() != 12_050 || e.Order.GetCurrency() != "EUR" {
				t.Errorf("%v: order %v, want what counts of it", call, e.Order)
			}
		case schemas.Kind_KIND_SEARCH:
			if e.Search.GetDestination() != "Sylt" {
				t.Errorf("%v: search %v, want its destination", call, e.Search)
			}
		}
		devices[e.Device] = true
	}
	if len(devices) < 8 {
		t.Errorf("twelve events are spread over %d devices: they tell who did them", len(devices))
	}
}

// TestConsentIsReadWhereItStands: in the call's context, else in the batch's, and
// in no other call.
func TestConsentIsReadWhereItStands(t *testing.T) {
	const granted, denied = `"context":{"consent":{"categoryPreferences":{"Advertising":true}}}`, `"context":{"consent":{"categoryPreferences":{"Advertising":false}}}`
	for _, tt := range []struct {
		name, batch string
		known       bool // the device is in the log
		assumed     bool
	}{
		{"nowhere", `{"batch":[{"type":"page","anonymousId":"d"}]}`, true, false},
		{"granted in the call", `{"batch":[{"type":"page","anonymousId":"d",` + granted + `}]}`, true, true},
		{"denied in the call", `{"batch":[{"type":"page","anonymousId":"d",` + denied + `}]}`, false, false},
		{"denied around", `{` + denied + `,"batch":[{"type":"page","anonymousId":"d"}]}`, false, false},
		{"the call goes before what is around", `{` + denied + `,"batch":[{"type":"page","anonymousId":"d",` + granted + `}]}`, true, true},
		{"denied in the call before", `{"batch":[{"type":"page","anonymousId":"e",` + denied + `},{"type":"page","anonymousId":"d"}]}`, true, false},
	} {
		all := items(t, tt.batch)
		e := all[len(all)-1].Event
		if e == nil || (e.Device == "d") != tt.known || e.AssumedConsent != tt.assumed {
			t.Errorf("%s: %v, want the device known: %v, assumed consent %v", tt.name, e, tt.known, tt.assumed)
		}
	}
}

// TestARefusalNamesItsDeviceAlone: the device must be known to stay forgotten.
func TestARefusalNamesItsDeviceAlone(t *testing.T) {
	e := event(t, `{"type":"track","event":"Consent Changed","messageId":"m","anonymousId":"d","userId":"PLANTED",
		"properties":{"granted":false,"note":"PLANTED"},"context":{"page":{"path":"/PLANTED"}}}`)
	b, _ := proto.Marshal(e)
	if e.Device != "d" || e.Choice != schemas.Choice_CHOICE_DENIED || bytes.Contains(b, []byte("PLANTED")) {
		t.Errorf("the refusal is %v, want its device and choice alone", e)
	}
}

// TestARejectedCallWithoutConsentIsNotKept: a dead letter would keep what the log may not.
func TestARejectedCallWithoutConsentIsNotKept(t *testing.T) {
	all := items(t, `{"batch":[`+strings.Replace(refuses("page", "", "1"), `"messageId"`, `"timestamp":"never","messageId"`, 1)+`]}`)
	if all[0].Event != nil || all[0].Reason == "" || all[0].Original != "" {
		t.Errorf("the call is %+v, want a reason and nothing of the call", all[0])
	}
}

// TestNoClientIsAPseudoDevice: who could be one would decide for all who refuse.
func TestNoClientIsAPseudoDevice(t *testing.T) {
	for device, taken := range map[string]bool{"a:0ff": false, "a:fff": false, "a:0fg": true, "a:0ff0": true, "a:0FF": true, "a:": true, "b:0ff": true} {
		item := items(t, `{"batch":[{"type":"page","anonymousId":"`+device+`"}]}`)[0]
		if (item.Event != nil) != taken {
			t.Errorf("device %s: %v %s, want it taken: %v", device, item.Event, item.Reason, taken)
		}
	}
}
