package segment_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"pgregory.net/rapid"

	"fernweh/ingest/segment"
	"fernweh/schemas"
)

// received is when the collector takes every request of these tests.
var received = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)

func items(t testing.TB, body string, change ...func(*segment.Request)) []segment.Item {
	t.Helper()
	b, err := segment.Parse([]byte(body), 10_000)
	if err != nil {
		t.Fatalf("parse %s: %v", body, err)
	}
	r := segment.Request{Received: received.UnixMicro(), Source: "web", MaxEvent: 1 << 15}
	for _, c := range change {
		c(&r)
	}
	return b.Items(r)
}

// event maps a body of one call that must be accepted.
func event(t testing.TB, body string, change ...func(*segment.Request)) *schemas.Event {
	t.Helper()
	i := items(t, body, change...)[0]
	if i.Event == nil {
		t.Fatalf("%s is rejected: %s", body, i.Reason)
	}
	return i.Event
}

// check compares an event with protojson, leaving out what every event has.
func check(t *testing.T, got *schemas.Event, want string) {
	t.Helper()
	w := new(schemas.Event)
	if err := protojson.Unmarshal([]byte(want), w); err != nil {
		t.Fatal(err)
	}
	got = proto.Clone(got).(*schemas.Event)
	got.Id, got.Device, got.Time, got.Received, got.Source = "", "", 0, 0, ""
	if proto.Size(got.Context) == 0 {
		got.Context = nil
	}
	if !proto.Equal(got, w) {
		t.Errorf("event\n got %v\nwant %v", got, w)
	}
}

func TestCallsBecomeEvents(t *testing.T) {
	track := func(name, properties string) string {
		return `{"type":"track","anonymousId":"a","event":"` + name + `","properties":` + properties + `}`
	}
	tests := []struct {
		name, body, want string
	}{
		{"page", `{"type":"page","anonymousId":"a","name":"Landing","properties":{"path":"/angebote","title":"Reise",
			"referrer":"https://user@www.example.org:8443/s?q=geheim","search":"?utm_source=nl&utm_medium=mail&utm_campaign=s26&token=x","url":"https://r/?token=x"}}`,
			`{"kind":"KIND_PAGE","name":"Landing","context":{"path":"/angebote","title":"Reise","referrer":"www.example.org",
			"campaignSource":"nl","campaignMedium":"mail","campaignName":"s26"}}`},
		{"page by its address only", `{"type":"page","anonymousId":"a","properties":{"url":"https://r.example/hotel/42?utm_source=ad#top"}}`,
			`{"kind":"KIND_PAGE","context":{"path":"/hotel/42","campaignSource":"ad"}}`},
		{"screen of an app", `{"type":"screen","anonymousId":"a","name":"Home","context":{"page":{"path":"/x"}}}`,
			`{"kind":"KIND_PAGE","name":"Home","context":{"path":"/x"}}`},
		{"search", track("Products Searched", `{"query":"ruhig","destination":"Madeira","depart":"2027-05-01","return":"2027-05-15",
			"adults":2,"children":0,"filters":["quiet",{"type":"stars","value":"4"}],"results":17,"page":1}`),
			`{"kind":"KIND_SEARCH","name":"Products Searched","search":{"query":"ruhig","destination":"Madeira","depart":20939,
			"nights":14,"adults":2,"filters":["quiet","stars:4"],"results":17},"properties":"{\"page\":1}"}`},
		{"search by nights, name in any case", track("PRODUCTS searched", `{"depart":"2027-05-01T00:00:00Z","nights":"7"}`),
			`{"kind":"KIND_SEARCH","name":"PRODUCTS searched","search":{"depart":20939,"nights":7,"results":-1}}`},
		{"search with unusable fields keeps them", track("Products Searched", `{"depart":"soon","adults":-2,"results":"many"}`),
			`{"kind":"KIND_SEARCH","name":"Products Searched","search":{"results":-1},
			"properties":"{\"depart\":\"soon\",\"adults\":-2,\"results\":\"many\"}"}`},
		{"list view", track("Product List Viewed", `{"list_id":"l1","destination":"Madeira","category":"hotel","products":[{"product_id":"h1"}]}`),
			`{"kind":"KIND_LIST_VIEW","name":"Product List Viewed","search":{"destination":"Madeira","results":-1},
			"offer":{"kind":"OFFER_KIND_HOTEL"},"properties":"{\"list_id\":\"l1\",\"products\":[{\"product_id\":\"h1\"}]}"}`},
		{"offer view", track("Product Viewed", `{"product_id":"hotel-42","category":"Hotel","destination":"Madeira","latitude":32.6507,
			"longitude":-16.9083,"styles":["upscale","quiet","quiet"],"stars":4.5,"price":899.90,"currency":"eur","available":true,"name":"Quinta"}`),
			`{"kind":"KIND_OFFER_VIEW","name":"Product Viewed","offer":{"id":"hotel-42","kind":"OFFER_KIND_HOTEL","destination":"Madeira",
			"latitude":32650700,"longitude":-16908300,"styles":["STYLE_QUIET","STYLE_UPSCALE"],"stars":45,"price":89990,"currency":"EUR",
			"available":"CHOICE_GRANTED"},"properties":"{\"name\":\"Quinta\"}"}`},
		{"a price in no currency stays a property", track("Product Viewed", `{"sku":"h","price":899}`),
			`{"kind":"KIND_OFFER_VIEW","name":"Product Viewed","offer":{"id":"h"},"properties":"{\"price\":899}"}`},
		{"a style of no name of ours stays a property", track("Product Viewed", `{"id":"h","styles":["quiet","posh"],"category":"yacht"}`),
			`{"kind":"KIND_OFFER_VIEW","name":"Product Viewed","offer":{"id":"h","styles":["STYLE_QUIET"]},
			"properties":"{\"styles\":[\"quiet\",\"posh\"],\"category\":\"yacht\"}"}`},
		{"cart", track("Product Added", `{"offer_id":"f1","category":"flight","quantity":2,"available":"false"}`),
			`{"kind":"KIND_CART","name":"Product Added","offer":{"id":"f1","kind":"OFFER_KIND_FLIGHT","quantity":2,"available":"CHOICE_DENIED"}}`},
		{"checkout of one product", track("Checkout Started", `{"order_id":"o","currency":"EUR","products":[{"product_id":"h","price":12.5}]}`),
			`{"kind":"KIND_CHECKOUT","name":"Checkout Started","offer":{"id":"h","price":1250,"currency":"EUR"},
			"properties":"{\"order_id\":\"o\",\"currency\":\"EUR\"}"}`},
		{"checkout step", track("Checkout Step Viewed", `{"step":2}`),
			`{"kind":"KIND_CHECKOUT","name":"Checkout Step Viewed","properties":"{\"step\":2}"}`},
		{"booking of a package and an insurance", track("Order Completed", `{"order_id":"o-1","total":1998.50,"revenue":1900,"currency":"EUR",
			"destination":"Madeira","depart":"2027-05-01","nights":14,"adults":2,
			"products":[{"product_id":"p1","category":"package","price":"1900.00"},{"product_id":"i1","category":"insurance"}]}`),
			`{"kind":"KIND_BOOKING","name":"Order Completed","order":{"id":"o-1","amount":"199850","currency":"EUR","offers":["p1","i1"]},
			"search":{"destination":"Madeira","depart":20939,"nights":14,"adults":2,"results":-1},
			"offer":{"id":"p1","kind":"OFFER_KIND_PACKAGE","destination":"Madeira","price":"190000","currency":"EUR"},
			"properties":"{\"revenue\":1900,\"products\":[{\"product_id\":\"p1\",\"category\":\"package\",\"price\":\"1900.00\"},{\"product_id\":\"i1\",\"category\":\"insurance\"}]}"}`},
		{"booking without list", track("Order Completed", `{"order_id":7,"value":100,"currency":"JPY","product_id":"h","category":"hotel"}`),
			`{"kind":"KIND_BOOKING","name":"Order Completed","order":{"id":"7","amount":"100","currency":"JPY","offers":["h"]},
			"offer":{"id":"h","kind":"OFFER_KIND_HOTEL"}}`},
		{"booking: what the order says of its only product", track("Order Completed", `{"category":"hotel","currency":"KWD","revenue":1.2345,"products":[{"id":"h"}]}`),
			`{"kind":"KIND_BOOKING","name":"Order Completed","order":{"amount":"1235","currency":"KWD","offers":["h"]},
			"offer":{"id":"h","kind":"OFFER_KIND_HOTEL"}}`},
		{"cancellation", track("Order Cancelled", `{"order_id":"o-1","total":10,"currency":"EUR"}`),
			`{"kind":"KIND_CANCELLATION","name":"Order Cancelled","order":{"id":"o-1","amount":"1000","currency":"EUR"}}`},
		{"refund", track("Order Refunded", `{"order_id":"o-1"}`),
			`{"kind":"KIND_CANCELLATION","name":"Order Refunded","order":{"id":"o-1"}}`},
		{"placement shown", track("Promotion Viewed", `{"position":1,"product_id":"h","promotion_id":"d1","creative":"b"}`),
			`{"kind":"KIND_PLACEMENT_SHOWN","name":"Promotion Viewed","placement":{"slot":"1","offer":"h","decision":"d1","arm":"b"}}`},
		{"placement clicked", track("Promotion Clicked", `{"slot":"hero","product_id":"h","decision":"d1","arm":"b","x":null}`),
			`{"kind":"KIND_PLACEMENT_CLICKED","name":"Promotion Clicked","placement":{"slot":"hero","offer":"h","decision":"d1","arm":"b"},
			"properties":"{\"x\":null}"}`},
		{"newsletter keeps no address", track("Newsletter Subscribed", `{"email":"m@example.org","list":"weekly"}`),
			`{"kind":"KIND_NEWSLETTER","name":"Newsletter Subscribed","properties":"{\"list\":\"weekly\"}"}`},
		{"consent", track("Consent Changed", `{"granted":true}`),
			`{"kind":"KIND_CONSENT","name":"Consent Changed","choice":"CHOICE_GRANTED"}`},
		{"identify keeps no traits", `{"type":"identify","anonymousId":"a","userId":"u","traits":{"email":"m@example.org"}}`,
			`{"kind":"KIND_IDENTIFY","name":"identify","user":"u"}`},
		{"identify of nobody links nothing", `{"type":"identify","anonymousId":"a","traits":{"age":50}}`,
			`{"kind":"KIND_CUSTOM","name":"identify"}`},
		{"group", `{"type":"group","anonymousId":"a","groupId":"fam","traits":{"name":"Familie"}}`,
			`{"kind":"KIND_CUSTOM","name":"group","properties":"{\"groupId\":\"fam\"}"}`},
		{"any other name", track("Brochure Ordered", `{ "pages" : [1, 2] , "t":"a\"b\\"}`),
			`{"kind":"KIND_CUSTOM","name":"Brochure Ordered","properties":"{\"pages\":[1, 2],\"t\":\"a\\\"b\\\\\"}"}`},
		{"erasure does not come through this door", track("Erasure", `{"login":"u"}`),
			`{"kind":"KIND_CUSTOM","name":"Erasure","properties":"{\"login\":\"u\"}"}`},
		{"unknown members are kept, personal ones are not", `{"type":"track","event":"X","anonymousId":"a","shard":7,"receivedAt":"x","category":null,
			"context":{"ip":"8.8.8.8","sessionId":"s1","traits":{"name":"M"},"device":{"id":"idfa"},"campaign":{"source":"nl","term":"meer"}}}`,
			`{"kind":"KIND_CUSTOM","name":"X","context":{"campaignSource":"nl"},
			"properties":"{\"shard\":7,\"context\":{\"sessionId\":\"s1\",\"campaign\":{\"source\":\"nl\",\"term\":\"meer\"}}}"}`},
		{"context of client", `{"type":"track","event":"X","anonymousId":"a","context":{"locale":"de-DE","timezone":"Europe/Berlin",
			"userAgent":"Mozilla/5.0 (iPhone; CPU iPhone OS 18_0) Mobile","library":{"name":"analytics.js","version":"1"}}}`,
			`{"kind":"KIND_CUSTOM","name":"X","context":{"locale":"de-DE","timezone":"Europe/Berlin","deviceClass":"DEVICE_CLASS_MOBILE","library":"analytics.js/1"}}`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) { check(t, event(t, tt.body), tt.want) })
	}
}

func TestBadCallsAreRejectedWithAReason(t *testing.T) {
	long := strings.Repeat("x", 257)
	tests := []struct{ name, call, reason string }{
		{"no object", `17`, "not an object"},
		{"nobody", `{"type":"page"}`, "neither anonymousId nor userId"},
		{"null ids", `{"type":"page","anonymousId":null,"userId":null}`, "neither anonymousId nor userId"},
		{"no type", `{"anonymousId":"a"}`, `unknown type ""`},
		{"unknown type", `{"type":"erasure","anonymousId":"a"}`, `unknown type "erasure"`},
		{"track of nothing", `{"type":"track","anonymousId":"a"}`, `no "event"`},
		{"long device", `{"type":"page","anonymousId":"` + long + `"}`, "anonymousId has 257 bytes"},
		{"long user", `{"type":"page","userId":"` + long[:255] + `"}`, "userId has 255 bytes"},
		{"long message id", `{"type":"page","anonymousId":"a","messageId":"` + long + `"}`, "messageId has 257 bytes"},
		{"control character", `{"type":"page","anonymousId":"a\u0000b"}`, "anonymousId holds a control character"},
		{"id of a wrong kind", `{"type":"page","anonymousId":{"id":"a"}}`, "anonymousId is neither text nor a number"},
		{"time of no form", `{"type":"page","anonymousId":"a","timestamp":"yesterday"}`, `timestamp "yesterday" is no time`},
		{"time before any portal", `{"type":"page","anonymousId":"a","timestamp":"1969-12-31T23:59:59Z"}`, "impossible time 1969"},
		{"time in the future", `{"type":"page","anonymousId":"a","timestamp":"2026-11-23T12:00:01Z"}`, "impossible time 2026-11-23"},
		{"negative price", `{"type":"track","event":"Product Viewed","anonymousId":"a","properties":{"id":"h","price":-1,"currency":"EUR"}}`, "price -1 is negative"},
		{"negative price in a list", `{"type":"track","event":"Order Completed","anonymousId":"a","properties":{"products":[{"id":"h","price":-0.01}]}}`, "price -0.01 is negative"},
		{"negative total", `{"type":"track","event":"Order Refunded","anonymousId":"a","properties":{"total":-5,"currency":"EUR"}}`, "total -5 is negative"},
		{"consent of nothing", `{"type":"track","event":"Consent Changed","anonymousId":"a","properties":{"granted":"perhaps"}}`, "neither granted nor denied"},
		{"preferences of nothing", `{"type":"track","event":"Segment Consent Preference Updated","anonymousId":"a"}`, "neither granted nor denied"},
		{"not UTF-8", "{\"type\":\"page\",\"anonymousId\":\"a\",\"name\":\"\xff\"}", "not UTF-8"},
		{"too large", `{"type":"page","anonymousId":"a","name":"` + strings.Repeat("x", 1<<15) + `"}`, "at most 32768"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			good := `{"type":"page","anonymousId":"good","messageId":"m"}`
			got := items(t, `{"batch":[`+good+`,`+tt.call+`,`+good+`]}`)
			if got[1].Event != nil || !strings.Contains(got[1].Reason, tt.reason) {
				t.Errorf("reason\n got %q\nwant %q", got[1].Reason, tt.reason)
			}
			if got[1].Original != tt.call || got[1].ID == "" {
				t.Errorf("rejected item has id %q and original %q, want an id and the call", got[1].ID, got[1].Original)
			}
			if got[0].Event == nil || got[2].Event == nil {
				t.Errorf("the others of the batch are rejected: %q, %q", got[0].Reason, got[2].Reason)
			}
		})
	}
}

func TestDeviceAndUser(t *testing.T) {
	tests := []struct{ name, body, device, user string }{
		{"anonymous", `{"type":"page","anonymousId":"a"}`, "a", ""},
		{"both", `{"type":"page","anonymousId":"a","userId":"u"}`, "a", "u"},
		{"null anonymous id", `{"type":"page","anonymousId":null,"userId":"u"}`, "u:u", "u"},
		{"empty anonymous id", `{"type":"page","anonymousId":"","userId":"u"}`, "u:u", "u"},
		{"numbers", `{"type":"page","anonymousId":17,"userId":42}`, "17", "42"},
		{"alias", `{"type":"alias","userId":"u","previousId":"old"}`, "old", "u"},
		{"alias without previous id", `{"type":"alias","userId":"u","anonymousId":"a"}`, "a", "u"},
		{"escapes", `{"type":"page","anonymousId":"\u00fc\ud83c\udf34\/"}`, "ü🌴/", ""},
		{"half a pair", `{"type":"page","anonymousId":"\ud800"}`, "\uFFFD", ""},
		{"a name twice", `{"type":"page","anonymousId":"first","anonymousId":"last"}`, "last", ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if e := event(t, tt.body); e.Device != tt.device || e.User != tt.user {
				t.Errorf("device %q and user %q, want %q and %q", e.Device, e.User, tt.device, tt.user)
			}
		})
	}
}

func TestTimeIsCorrectedByTheClientsClock(t *testing.T) {
	at := time.Date(2024, 6, 1, 10, 0, 0, 0, time.UTC)
	tests := []struct {
		name, fields string
		want         time.Time
	}{
		{"milliseconds", `"timestamp":"2024-06-01T10:00:00.000Z"`, at},
		{"nanoseconds", `"timestamp":"2024-06-01T10:00:00.123456789Z"`, at.Add(123456 * time.Microsecond)},
		{"zone with colon", `"timestamp":"2024-06-01T12:00:00+02:00"`, at},
		{"zone without colon", `"timestamp":"2024-06-01T10:00:00.5+0000"`, at.Add(500 * time.Millisecond)},
		{"no zone", `"timestamp":"2024-06-01T10:00:00"`, at},
		{"space", `"timestamp":"2024-06-01 10:00:00.25"`, at.Add(250 * time.Millisecond)},
		{"epoch milliseconds as text", `"timestamp":"1717236000000"`, at},
		{"epoch milliseconds", `"timestamp":1717236000000`, at},
		{"epoch seconds", `"timestamp":1717236000`, at},
		{"date only", `"timestamp":"2024-06-01"`, at.Add(-10 * time.Hour)},
		{"missing", `"name":"x"`, received},
		{"null", `"timestamp":null`, received},
		{"missing though sent", `"sentAt":"2020-01-01T00:00:00Z"`, received},
		{"original only", `"originalTimestamp":"2024-06-01T10:00:00Z"`, at},
		{"clock an hour ahead", `"timestamp":"2026-11-22T12:59:50Z","sentAt":"2026-11-22T13:00:00Z"`, received.Add(-10 * time.Second)},
		{"clock of 1970", `"timestamp":"1970-01-01T00:05:00Z","sentAt":"1970-01-01T00:06:00Z"`, received.Add(-time.Minute)},
		{"original before timestamp", `"originalTimestamp":"2026-11-22T11:00:00Z","timestamp":"2026-11-22T11:30:00Z","sentAt":"2026-11-22T12:00:00Z"`,
			received.Add(-time.Hour)},
		{"unusable time of sending", `"timestamp":"2024-06-01T10:00:00Z","sentAt":"soon"`, at},
		{"a day ahead", `"timestamp":"2026-11-23T12:00:00Z"`, received.Add(24 * time.Hour)},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			e := event(t, `{"type":"page","anonymousId":"a",`+tt.fields+`}`)
			if got := time.UnixMicro(e.Time).UTC(); !got.Equal(tt.want) {
				t.Errorf("time %s, want %s", got, tt.want)
			}
			if e.Received != received.UnixMicro() {
				t.Errorf("received %d, want %d", e.Received, received.UnixMicro())
			}
		})
	}
	batch := `{"sentAt":"2026-11-22T13:00:00Z","batch":[{"type":"page","anonymousId":"a","timestamp":"2026-11-22T12:59:50Z"}]}`
	if got, want := event(t, batch).Time, received.Add(-10*time.Second).UnixMicro(); got != want {
		t.Errorf("sentAt of the batch: time %d, want %d", got, want)
	}
}

func TestIDsAreTheSameInEveryRetry(t *testing.T) {
	call := `{"type":"page","anonymousId":"a"}`
	body := `{"batch":[` + call + `,` + call + `,{"type":"page","anonymousId":"a","messageId":"own"}],"sentAt":"%s"}`
	first := items(t, fmt.Sprintf(body, "2026-11-22T12:00:00Z"))
	again := items(t, fmt.Sprintf(body, "2026-11-22T12:00:09Z"))
	for i := range first {
		if first[i].ID != again[i].ID || first[i].ID != first[i].Event.Id {
			t.Errorf("call %d: id %q, in the retry %q, in the event %q", i, first[i].ID, again[i].ID, first[i].Event.Id)
		}
	}
	if first[0].ID == first[1].ID {
		t.Errorf("two equal calls of one batch have the same id %q", first[0].ID)
	}
	if first[2].ID != "own" {
		t.Errorf("id %q, want the client's own", first[2].ID)
	}
	ofBatch := items(t, `{"messageId":"B","batch":[`+call+`,`+call+`]}`)
	if ofBatch[0].ID != "B:0" || ofBatch[1].ID != "B:1" {
		t.Errorf("ids by the batch's are %q and %q, want B:0 and B:1", ofBatch[0].ID, ofBatch[1].ID)
	}
}

func TestContextOfTheBatchIsForCallsWithoutTheirOwn(t *testing.T) {
	got := items(t, `{"context":{"locale":"de-DE","library":{"name":"p","version":"2"},"userAgent":"Mozilla/5.0 (X11)"},"batch":[
		{"type":"page","anonymousId":"a"},{"type":"page","anonymousId":"a","context":{"locale":"fr-FR","userAgent":"Googlebot"}},{"type":"page","anonymousId":"a"}]}`)
	for i, want := range []string{"de-DE DEVICE_CLASS_DESKTOP p/2", "fr-FR DEVICE_CLASS_BOT p/2", "de-DE DEVICE_CLASS_DESKTOP p/2"} {
		c := got[i].Event.Context
		if s := fmt.Sprint(c.Locale, " ", c.DeviceClass, " ", c.Library); s != want {
			t.Errorf("call %d has %q, want %q", i, s, want)
		}
	}
}

func TestTypeByEndpoint(t *testing.T) {
	e := event(t, `{"event":"Product Viewed","anonymousId":"a"}`, func(r *segment.Request) {
		r.Type, r.AssumedConsent, r.UserAgent = "track", true, "Mozilla/5.0 (Linux; Android 14; Tablet)"
	})
	if e.Kind != schemas.Kind_KIND_OFFER_VIEW || !e.AssumedConsent || e.Source != "web" ||
		e.Context.DeviceClass != schemas.DeviceClass_DEVICE_CLASS_TABLET {
		t.Errorf("event %v, want an offer view with assumed consent from a tablet", e)
	}
}

func TestConsentPreferences(t *testing.T) {
	tests := []struct {
		preferences string
		want        schemas.Choice
	}{
		{`{"Advertising":true,"Analytics":false}`, schemas.Choice_CHOICE_GRANTED},
		{`{"Advertising":true,"Personalization":false}`, schemas.Choice_CHOICE_DENIED},
		{`{"Advertising":false}`, schemas.Choice_CHOICE_DENIED},
		{`{"Analytics":true,"Functional":true}`, schemas.Choice_CHOICE_DENIED},
		{`{"C0004":true}`, schemas.Choice_CHOICE_GRANTED},
		{`{}`, schemas.Choice_CHOICE_DENIED},
	}
	for _, tt := range tests {
		e := event(t, `{"type":"track","event":"Segment Consent Preference Updated","anonymousId":"a",
			"context":{"consent":{"categoryPreferences":`+tt.preferences+`}}}`)
		if e.Kind != schemas.Kind_KIND_CONSENT || e.Choice != tt.want {
			t.Errorf("%s is %v %v, want consent %v", tt.preferences, e.Kind, e.Choice, tt.want)
		}
	}
}

func TestMoneyIsExact(t *testing.T) {
	tests := []struct {
		price, currency string
		minor           int64
	}{
		{"899", "EUR", 89900}, {"899.00", "EUR", 89900}, {"0.29", "EUR", 29}, {"1.005", "EUR", 101},
		{"899.9000000000001", "EUR", 89990}, {"8.99e2", "EUR", 89900}, {"89900E-2", "EUR", 89900}, {"4.35", "USD", 435},
		{"1500", "JPY", 1500}, {"1499.5", "JPY", 1500}, {"1.2344", "KWD", 1234}, {"0.004", "EUR", 0}, {`"12.30"`, "EUR", 1230},
		{"0e400", "EUR", 0}, {"1e11", "EUR", 1e13}, {"70368744177.66", "EUR", 7036874417766},
	}
	for _, tt := range tests {
		e := event(t, `{"type":"track","event":"Product Viewed","anonymousId":"a","properties":{"id":"h","price":`+tt.price+`,"currency":"`+tt.currency+`"}}`)
		if e.Offer.Price != tt.minor || e.Offer.Currency != tt.currency {
			t.Errorf("%s %s is %d minor units, want %d", tt.price, tt.currency, e.Offer.Price, tt.minor)
		}
	}
	for _, price := range []string{"1e12", "1e99999", `"1,299.00"`, `"free"`, `""`, "true", "[]"} {
		e := event(t, `{"type":"track","event":"Product Viewed","anonymousId":"a","properties":{"id":"h","price":`+price+`,"currency":"EUR"}}`)
		if e.Offer.Price != 0 || e.Properties != `{"price":`+price+`}` {
			t.Errorf("%s is %d, properties %s; want it to stay a property", price, e.Offer.Price, e.Properties)
		}
	}
}

// TestMoneyByHand: cents that are printed as a decimal come back.
func TestMoneyByHand(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		cents := rapid.Int64Range(0, 1e13).Draw(rt, "cents")
		e := event(t, fmt.Sprintf(`{"type":"track","event":"Product Viewed","anonymousId":"a",
			"properties":{"price":%d.%02d,"currency":"EUR"}}`, cents/100, cents%100))
		if e.Offer.GetPrice() != cents {
			rt.Errorf("price %d, want %d", e.Offer.GetPrice(), cents)
		}
	})
}

func TestSyntaxErrorsSayWhere(t *testing.T) {
	tests := []struct {
		name, body, says string
	}{
		{"empty", ``, "at byte 0: body is empty"},
		{"space only", "  \n", "at byte 0: body is empty"},
		{"cut off", `{"batch":[{"type":"page"`, "at byte 24: unexpected EOF"},
		{"stray comma", `{"batch":[1,]}`, "at byte 12: invalid character ']'"},
		{"a second value", `{} {}`, "at byte"},
		{"no JSON", `type=page`, "at byte 1: invalid character 'y'"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := segment.Parse([]byte(tt.body), 10_000)
			var syntax *segment.SyntaxError
			if !errors.As(err, &syntax) || !strings.Contains(err.Error(), tt.says) {
				t.Errorf("error %v, want a SyntaxError that says %q", err, tt.says)
			}
		})
	}
	for _, body := range []string{`[]`, `"x"`, `{"batch":{}}`} {
		if _, err := segment.Parse([]byte(body), 10_000); !errors.Is(err, segment.ErrNoCalls) {
			t.Errorf("parse %s: %v, want ErrNoCalls", body, err)
		}
	}
}

func TestWriteKeyInTheBody(t *testing.T) {
	b, err := segment.Parse([]byte(`{"writeKey":"WK","batch":[]}`), 10_000)
	if err != nil || b.WriteKey() != "WK" || b.Len() != 0 {
		t.Errorf("key %q of %d calls, %v; want WK of none", b.WriteKey(), b.Len(), err)
	}
}

// FuzzItems reads any bytes: no panic, an accepted call is an event that every
// reader of the log takes and that survives the wire, a rejected one says why,
// and the same bytes give the same events.
func FuzzItems(f *testing.F) {
	f.Add(batchOf(2))
	for _, s := range []string{
		`{"type":"track","event":"Order Completed","userId":"u","properties":{"total":"1e2","currency":"eur","products":[{"id":1,"styles":["quiet"]}]}}`,
		`{"batch":[null,1,"\ud800",{"type":"alias","previousId":"p","userId":"u","context":{"page":{"url":"http://[::1%25x]/?utm_source=%ff"}}}]}`,
		`{"messageId":"x","context":{"page":7},"batch":[{"type":"screen","anonymousId":"\\\"","timestamp":"1e5","a":{"b":[[]]}}]}`,
		"{\"context\":{\"locale\":\"\xff\"},\"messageId\":\"\xfe\",\"batch\":[{\"type\":\"page\",\"userId\":\"u\"}]}",
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		b, err := segment.Parse(body, 10_000)
		if err != nil {
			return
		}
		if !json.Valid(body) {
			t.Fatalf("%q is taken for JSON", body)
		}
		r := segment.Request{Received: received.UnixMicro(), MaxEvent: 1 << 15}
		first, again := b.Items(r), b.Items(r)
		for i, item := range first {
			fuzzedItem(t, item)
			if !proto.Equal(item.Event, again[i].Event) || item.ID != again[i].ID {
				t.Errorf("mapped twice: %v and %v", item, again[i])
			}
		}
	})
}

func fuzzedItem(t *testing.T, item segment.Item) {
	if (item.Event == nil) == (item.Reason == "") || item.ID == "" {
		t.Fatalf("item %+v, want an id and either an event or a reason", item)
	}
	if item.Event == nil {
		return
	}
	if err := item.Event.Check(); err != nil {
		t.Error(err)
	}
	if _, err := proto.Marshal(item.Event); err != nil {
		t.Errorf("event %v: %v", item.Event, err)
	}
	if p := item.Event.Properties; p != "" && !json.Valid([]byte(p)) {
		t.Errorf("properties %q are not JSON", p)
	}
	if item.Event.Kind == schemas.Kind_KIND_ERASURE {
		t.Error("an erasure came through the door")
	}
}
