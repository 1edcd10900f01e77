package serving_test

import (
	"fmt"
	"net"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"fernweh/model/kpi"
	"fernweh/serving"
)

// invent lets a page book in currencies that are none, all worth less than the one
// in euros, which comes last.
func invent(p *portal, n int) {
	for i := range n {
		name := string([]byte{byte('A' + i/676), byte('A' + i/26%26), byte('A' + i%26)})
		e := booking(fmt.Sprint("d", i), "h", "Sylt", int64(i+1))
		e.Order.Currency = name
		p.happens(e)
	}
	p.happens(booking("anna", "h", "Sylt", 1_000_000))
}

// TestInventedCurrenciesMakeNoLargeAnswer: just as many as there is room for, one
// more, and very many.
func TestInventedCurrenciesMakeNoLargeAnswer(t *testing.T) {
	for _, c := range []struct {
		query         string
		invented, has int
	}{
		{"window=24h", 199, 200}, {"window=24h", 200, 200}, {"window=24h", 10_000, 200},
		{"window=24h&bucket=1m&measures=revenue,refunds", 12, 13}, {"window=24h&bucket=1m&measures=revenue,refunds", 13, 13},
		{"window=24h&bucket=1m&measures=revenue,refunds", 10_000, 13}, {"window=4h&bucket=1m", 10_000, (40_000 - (len(kpi.Measures())-2)*240) / 480},
	} {
		p := newPortal(t, 1)
		invent(p, c.invented)
		s := serve(t, p, nil)
		r := get(t, s, "/v1/kpis?"+c.query)
		k := read[serving.KPIs](t, s, "/v1/kpis?"+c.query)
		if len(r.body) > 1<<20 || len(k.Revenue) != c.has || len(k.Currencies) != min(c.invented+1-c.has, 1000) {
			t.Errorf("%s with %d currencies: got %d bytes, %d of them and %d named, want at most 1 MiB, %d, and the others named",
				c.query, c.invented+1, len(r.body), len(k.Revenue), len(k.Currencies), c.has)
		}
		if !slices.ContainsFunc(k.Revenue, func(r serving.Revenue) bool { return r.Currency == "EUR" && r.Booked >= 1_000_000 }) {
			t.Errorf("%s with %d currencies: the one of most worth is missing", c.query, c.invented+1)
		}
		totals := map[string]int64{}
		for _, r := range k.Revenue {
			totals[r.Currency] = r.Booked
		}
		for _, line := range k.Series {
			if line.Measure == "revenue" && (sum(line.Values) != totals[line.Currency] || totals[line.Currency] == 0) {
				t.Errorf("%s: the series of %s sums to %d, its total is %d", c.query, line.Currency, sum(line.Values), totals[line.Currency])
			}
		}
	}
}

// narrow makes what a connection takes without being read small.
type narrow struct{ net.Listener }

func (n narrow) Accept() (net.Conn, error) {
	c, err := n.Listener.Accept()
	if err == nil {
		err = c.(*net.TCPConn).SetWriteBuffer(4096)
	}
	return c, err
}

// TestReadersThatNeverReadAreLetGo: twenty ask for an answer that no buffer holds
// and read nothing; each handler comes to its end all the same.
func TestReadersThatNeverReadAreLetGo(t *testing.T) {
	p := newPortal(t, 1)
	invent(p, 300)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := run(t, serving.Config{Views: p, Partitions: 1, Log: p, Now: p.clock, WritePatience: 50 * time.Millisecond}, narrow{l})
	for range 20 {
		c, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", l.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		if err := c.(*net.TCPConn).SetReadBuffer(4096); err != nil {
			t.Fatal(err)
		}
		if _, err := fmt.Fprintf(c, "GET /v1/kpis?window=4h&bucket=1m HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"); err != nil {
			t.Fatal(err)
		}
	}
	until(t, "all twenty have come to their end", func() bool {
		r := get(t, s, "/metrics")
		return r.status == http.StatusOK && strings.Contains(string(r.body), `method="GET",route="/v1/kpis"} 20`)
	})
}
