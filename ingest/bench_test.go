package ingest_test

import (
	"context"
	"fmt"
	"net/http/httptest"
	"strings"
	"testing"

	"fernweh/ingest"
	"fernweh/schemas"
)

// forgetful is a log that keeps nothing.
type forgetful struct{ kafka }

func (k *forgetful) Append(ctx context.Context, events []*schemas.Event) ([]int64, error) {
	if k.fail != nil {
		return nil, errAway
	}
	return make([]int64, len(events)), nil
}

// BenchmarkDoor is one batch of 100 from the request to the answer, per event,
// with a log that takes no time, and with a log that is away: into the spool,
// fsynced.
func BenchmarkDoor(b *testing.B) {
	var calls []string
	for i := range 100 {
		calls = append(calls, fmt.Sprintf(`{"type":"track","event":"Product Viewed","anonymousId":"d%d","messageId":"m%d",
			"properties":{"product_id":"hotel-42","category":"hotel","stars":4.5,"price":899.00,"currency":"EUR"},
			"context":{"locale":"de-DE","library":{"name":"bench","version":"1"}}}`, i, i))
	}
	body := `{"batch":[` + strings.Join(calls, ",") + `]}`
	for name, fail := range map[string]func(int) (int, error){"log": nil, "spool": away} {
		b.Run(name, func(b *testing.B) {
			k := &forgetful{kafka: kafka{fail: fail}}
			cfg := config(b)
			cfg.Spool.MaxBytes = 8 << 30
			c, err := ingest.New(cfg, k, k)
			if err != nil {
				b.Fatal(err)
			}
			defer c.Close()
			b.ReportAllocs()
			for i := 0; i < b.N; i += 100 {
				w := httptest.NewRecorder()
				c.ServeHTTP(w, request("/v1/batch", body, "X-API-Key", "WK"))
				if w.Code != 200 {
					b.Fatal(w.Body)
				}
			}
		})
	}
}
