package ingest_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"fernweh/ingest"
)

// TestUnreadFieldsAreCounted sends ten thousand invented currencies: the orders
// are taken without them, and there is one series of each field and source.
func TestUnreadFieldsAreCounted(t *testing.T) {
	registry := prometheus.NewRegistry()
	k := new(kafka)
	c := start(t, k, func(cfg *ingest.Config) { cfg.Metrics = registry })
	const orders = 10_000
	for i := 0; i < orders; i += 500 {
		var calls []string
		for n := range 500 {
			calls = append(calls, fmt.Sprintf(`{"type":"track","event":"Order Completed","anonymousId":"d%d","messageId":"m%d",
				"properties":{"order_id":"o","total":12,"currency":"%03X"}}`, i+n, i+n, i+n))
		}
		if a := post(t, c, calls...); strings.Contains(says(a.statuses()), "rejected") {
			t.Fatalf("an order was refused: %+v", a.Events)
		}
	}
	want(t, "events", len(k.events), orders)
	read := 0
	for _, e := range k.events {
		if e.Order.Currency != "" {
			read++ // FEC and the like are letters by chance, and a few of them currencies
		}
	}
	series := map[string]float64{}
	for name, n := range gather(t, registry) {
		if strings.Contains(name, "unread") {
			series[name] = n
		}
	}
	want(t, "unread", series, map[string]float64{
		"fernweh_ingest_unread_total currency web": float64(orders - read),
		"fernweh_ingest_unread_total total web":    float64(orders - read),
	})
}

// TestTooMuchAroundTheCalls is refused as a whole and is no dead letter: the
// client may send it without.
func TestTooMuchAroundTheCalls(t *testing.T) {
	k := new(kafka)
	a := send(t, start(t, k), request("/v1/batch", `{"batch":[`+page("a", "1")+`],"x":[`+
		strings.TrimSuffix(strings.Repeat("1,", 600), ",")+`]}`, "X-API-Key", "WK"))
	want(t, "status, letters", says(a.status, len(k.letters)), "413 0")
	want(t, "says why", strings.Contains(a.Error, "around its calls, at most 512"), true)
}
