package segment_test

import (
	"fmt"
	"strings"
	"testing"

	"fernweh/ingest/segment"
)

// offerView is what a browser sends when an offer is opened.
const offerView = `{"timestamp":"2026-11-22T10:00:00.123Z","integrations":{},"event":"Product Viewed","type":"track",
"properties":{"product_id":"hotel-%d","category":"hotel","destination":"Madeira","latitude":32.6507,"longitude":-16.9083,
"styles":["quiet","upscale"],"stars":4.5,"price":899.00,"currency":"EUR","available":true,"list":"search","position":3},
"context":{"userAgent":"Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 Chrome/130.0 Safari/537.36",
"locale":"de-DE","timezone":"Europe/Berlin","page":{"path":"/hotel/42","title":"Quinta do Sol","referrer":"https://www.example.org/s?q=1",
"url":"https://reise.example/hotel/42?utm_source=nl"},"library":{"name":"analytics.js","version":"1.84.3"}},
"anonymousId":"41c8196c-0fd5-4e3f-8c2c-%012d","messageId":"ajs-next-1795319834614-%d"}`

func batchOf(n int) []byte {
	var b strings.Builder
	b.WriteString(`{"batch":[`)
	for i := range n {
		if i > 0 {
			b.WriteByte(',')
		}
		fmt.Fprintf(&b, offerView, i, i, i)
	}
	b.WriteString(`],"writeKey":"WK","sentAt":"2026-11-22T10:00:01.000Z"}`)
	return []byte(b.String())
}

// BenchmarkItems is parsing and mapping of a batch of 100, per event.
func BenchmarkItems(b *testing.B) {
	body := batchOf(100)
	b.SetBytes(int64(len(body) / 100))
	b.ReportAllocs()
	for i := 0; i < b.N; i += 100 {
		parsed, err := segment.Parse(body, 10_000)
		if err != nil {
			b.Fatal(err)
		}
		items := parsed.Items(segment.Request{Received: 1795341601000000, MaxEvent: 1 << 18})
		if items[99].Event == nil {
			b.Fatal(items[99].Reason)
		}
	}
}
