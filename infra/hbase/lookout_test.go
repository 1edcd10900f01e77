package hbase_test

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"fernweh/infra/hbase"
)

// TestLookout: when the client is replaced, in a time that is the test's own. A
// question is asked at second 1.
func TestLookout(t *testing.T) {
	const never = time.Hour
	tests := []struct {
		name     string
		answered time.Duration    // when the old client's question has its answer
		away     [2]time.Duration // when the server can't be reached
		works    time.Duration    // from when on a new client is answered
		renewed  [2]time.Duration // between; none if both are 0
	}{
		{name: "an answer at once", answered: time.Second},
		{name: "a slow answer of a server that is there", answered: 10 * time.Second},
		{name: "an outage that ends with an answer", answered: 20 * time.Second, away: [2]time.Duration{0, 20 * time.Second}},
		{
			name: "an outage whose end the client does not see", answered: never,
			away: [2]time.Duration{0, 20 * time.Second}, renewed: [2]time.Duration{20 * time.Second, 20300 * time.Millisecond},
		},
		{
			name: "a server that is there before it answers", answered: never,
			away: [2]time.Duration{0, 20 * time.Second}, works: 25 * time.Second,
			renewed: [2]time.Duration{25 * time.Second, 25300 * time.Millisecond},
		},
		{
			name: "a short outage while the client waits", answered: never,
			away: [2]time.Duration{3 * time.Second, 4 * time.Second}, renewed: [2]time.Duration{4 * time.Second, 4300 * time.Millisecond},
		},
		{
			name: "no answer though the server is there", answered: never,
			renewed: [2]time.Duration{11 * time.Second, 11300 * time.Millisecond},
		},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ctx, cancel := context.WithCancel(t.Context())
				begun, last := time.Now(), time.Duration(0)
				var asked atomic.Int64
				renewals := 0
				go hbase.LookOut(ctx, 5*time.Second, &asked, func(context.Context) error {
					if now := time.Since(begun); now >= test.away[0] && now < test.away[1] {
						return errors.New("connection refused")
					}
					return nil
				}, func(context.Context) {
					if time.Since(begun) < test.works {
						return
					}
					renewals++
					last = time.Since(begun)
					asked.Store(0)
				})
				time.Sleep(time.Second)
				asked.Store(time.Now().UnixNano())
				time.AfterFunc(test.answered-time.Second, func() { asked.Store(0) })
				time.Sleep(time.Minute)
				cancel()
				synctest.Wait()
				switch want := test.renewed; {
				case want[1] == 0 && renewals > 0:
					t.Errorf("the client was replaced after %v, and who waited lost an answer", last)
				case want[1] > 0 && (renewals != 1 || last < want[0] || last > want[1]):
					t.Errorf("the client was replaced %d times, last after %v, want once, after %v to %v", renewals, last, want[0], want[1])
				}
			})
		})
	}
}

// TestLookoutHasNoMemory: that the server was away while nobody waited says
// nothing of a client that was answered since.
func TestLookoutHasNoMemory(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		var asked atomic.Int64
		away, renewals := true, 0
		go hbase.LookOut(ctx, 5*time.Second, &asked, func(context.Context) error {
			if away {
				return errors.New("connection refused")
			}
			return nil
		}, func(context.Context) { renewals++ })
		asked.Store(time.Now().UnixNano())
		time.Sleep(5 * time.Second)
		away = false
		asked.Store(time.Now().UnixNano()) // it was answered, and asks again
		time.Sleep(8 * time.Second)
		if renewals > 0 {
			t.Error("the client was replaced for an outage that was over when it was asked")
		}
	})
}
