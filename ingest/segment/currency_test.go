package segment_test

import (
	"fmt"
	"slices"
	"testing"

	"fernweh/schemas"
)

func order(properties string) string {
	return `{"type":"track","anonymousId":"a","event":"Order Completed","properties":` + properties + `}`
}

// TestCurrencyIsOfISO4217: one that nobody knows refuses nothing; the amounts in
// it stay properties, and it is said which members were not read.
func TestCurrencyIsOfISO4217(t *testing.T) {
	for _, tt := range []struct {
		code  string
		known bool
	}{
		{"EUR", true}, {"eur", true}, {"JPY", true}, {"KWD", true}, {"SLE", true}, {"XCG", true}, {"DEM", true},
		{"QQQ", false}, {"XXX", false}, {"XTS", false}, {"EURO", false}, {"E", false}, {"", false}, {"€", false}, {"12", false},
	} {
		i := items(t, order(`{"order_id":"o","total":12.5,"currency":"`+tt.code+`","nights":7,"products":[{"product_id":"h","price":3}]}`))[0]
		e := i.Event
		if e == nil || e.Kind != schemas.Kind_KIND_BOOKING || e.Order.Id != "o" || e.Search.Nights != 7 || e.Offer.Id != "h" {
			t.Fatalf("%s: the rest of the order is not taken: %v %s", tt.code, e, i.Reason)
		}
		if got := e.Order.Currency != "" && e.Order.Amount > 0 && e.Offer.Price > 0; got != tt.known {
			t.Errorf("%s: order %v, offer %v, want amounts: %v", tt.code, e.Order, e.Offer, tt.known)
		}
		var want []string
		if !tt.known {
			want = []string{"currency", "price", "total"}
		}
		if got := slices.Sorted(slices.Values(i.Unread)); fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("%s: unread %v, want %v; properties %s", tt.code, got, want, e.Properties)
		}
	}
	e := event(t, order(`{"total":5,"currency":"EUR","products":[{"product_id":"h","price":9,"currency":"QQQ"}]}`))
	if e.Order.Amount != 500 || e.Offer.Price != 0 || e.Offer.Currency != "" {
		t.Errorf("order %v with offer %v, want 5 EUR and no price: QQQ are not euros", e.Order, e.Offer)
	}
}

func TestUnreadMembersAreNamed(t *testing.T) {
	track := func(name, properties string) string {
		return `{"type":"track","anonymousId":"a","event":"` + name + `","properties":` + properties + `}`
	}
	for _, tt := range []struct {
		body string
		want []string
	}{
		{track("Products Searched", `{"destination":"Madeira","nights":7,"adults":2,"filters":["quiet"],"x":[1],"children":null}`), nil},
		{track("Products Searched", `{"destination":{},"depart":"soon","nights":-1,"adults":"two","children":1e9,"results":"many","filters":[[]]}`),
			[]string{"adults", "children", "depart", "destination", "filters", "nights", "results"}},
		{track("Product Viewed", `{"product_id":[],"id":"h","price":"9 EUR","currency":"EUR","category":"yacht","styles":["posh"],"stars":99,
			"latitude":91,"longitude":"w","available":"maybe","quantity":"few"}`),
			[]string{"available", "category", "latitude", "longitude", "price", "product_id", "quantity", "stars", "styles"}},
		{track("Signed Up", `{"price":"9 EUR","currency":"QQQ"}`), nil},
		{`{"type":"page","anonymousId":"a","context":{"locale":{}},"properties":{"title":[]}}`, []string{"locale", "title"}},
		{order(`{"total":"many","revenue":5,"currency":"EUR"}`), []string{"total"}},
	} {
		i := items(t, tt.body)[0]
		got := slices.Sorted(slices.Values(i.Unread))
		if i.Event == nil || fmt.Sprint(got) != fmt.Sprint(tt.want) {
			t.Errorf("%s\n unread %v, want %v (%s)", tt.body, got, tt.want, i.Reason)
		}
	}
}
