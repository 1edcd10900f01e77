package ingest_test

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"runtime"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/protobuf/proto"

	"fernweh/ingest"
	"fernweh/ingest/spool"
	"fernweh/schemas"
)

// A sender is a request whose body arrives when the test wants it to.
type sender struct {
	body *io.PipeWriter
	done chan answer
}

// slowly begins a request that says it has so many bytes, and sends its beginning.
func slowly(t *testing.T, c http.Handler, says int64, begin string, change func(*http.Request)) *sender {
	out, in := io.Pipe()
	r := httptest.NewRequest("POST", "/v1/batch", out)
	r.ContentLength = says
	if change != nil {
		change(r)
	}
	s := &sender{in, make(chan answer, 1)}
	go func() {
		s.done <- send(t, c, r)
		out.Close() // what is not read any more
	}()
	io.WriteString(in, begin) // returns when it is read, or refused
	return s
}

// end sends the rest.
func (s *sender) end(rest string) answer {
	io.WriteString(s.body, rest)
	s.body.Close()
	return <-s.done
}

// from makes a request one of a key and an address.
func from(key, address string) func(*http.Request) {
	return func(r *http.Request) {
		if r.RemoteAddr = net.JoinHostPort(address, "1234"); key != "" {
			r.Header.Set("X-API-Key", key)
		}
	}
}

// postFrom sends one event.
func postFrom(t *testing.T, c http.Handler, key, address string) answer {
	t.Helper()
	r := request("/v1/batch", `{"batch":[`+page("honest", "1")+`]}`)
	from(key, address)(r)
	return send(t, c, r)
}

// TestPromisedBytesTakeNoMemory: who says that megabytes will come, and sends a
// byte, holds a page, not megabytes, and shuts the door for nobody; neither does
// who sends nothing at all.
func TestPromisedBytesTakeNoMemory(t *testing.T) {
	c := start(t, new(kafka))
	var slow []*sender
	for i := range 300 {
		key := []string{"", "WK"}[i%2]
		slow = append(slow, slowly(t, c, 4<<20, []string{"", `{`}[i/2%2], from(key, "192.0.2.1")))
	}
	known, none := ingest.Held(c)
	if most := int64(150 * 4 << 10); known > most || none > most {
		t.Errorf("300 senders of a byte or none hold %d and %d bytes, want at most %d each", known, none, most)
	}
	for _, address := range []string{"192.0.2.1", "192.0.2.2"} {
		want(t, "an honest sender at "+address, postFrom(t, c, "WK", address).statuses(), []string{"accepted"})
	}
	for i, s := range slow {
		rest := `"batch":[` + page("slow", fmt.Sprint(i)) + `],"writeKey":"WK"}`
		if i/2%2 == 0 {
			rest = "{" + rest
		}
		want(t, "a slow sender in the end", s.end(rest).statuses(), []string{"accepted"})
	}
	known, none = ingest.Held(c)
	want(t, "held when all is over", says(known, none, ingest.Holders(c)), "0 0 0")
}

// TestAFloodLeavesOthersRoom: bodies that arrive and are not ended hold memory.
// Neither one address nor one key can take all of it.
func TestAFloodLeavesOthersRoom(t *testing.T) {
	const limit = 4 << 20
	c := start(t, new(kafka), func(cfg *ingest.Config) { cfg.Limits.InFlightBytes = limit })
	flood := func(key, address string) (held []*sender) {
		for {
			known, none := ingest.Held(c)
			s := slowly(t, c, -1, `{"batch":["`+strings.Repeat("x", 60<<10), from(key, address))
			if nowKnown, nowNone := ingest.Held(c); nowKnown+nowNone == known+none {
				a := s.end("")
				want(t, "the one too many", says(a.status, a.header.Get("Retry-After")), "429 2")
				return held
			}
			if held = append(held, s); len(held) > limit/(60<<10) {
				t.Fatalf("%d senders of 60 KiB are taken, above %d bytes in all", len(held), limit)
			}
		}
	}
	all := flood("WK", "192.0.2.1")
	known, _ := ingest.Held(c)
	if known > limit/3 {
		t.Errorf("one address holds %d bytes, want at most a third of %d", known, limit)
	}
	want(t, "the same key from elsewhere", postFrom(t, c, "WK", "192.0.2.2").status, 200)
	for i := range 40 {
		all = append(all, flood("WK", fmt.Sprintf("198.51.100.%d", i))...)
	}
	if known, _ = ingest.Held(c); known > limit/2 {
		t.Errorf("one key holds %d bytes, want at most half of %d", known, limit)
	}
	want(t, "another key", postFrom(t, c, "AK", "192.0.2.3").status, 200)
	all = append(all, flood("", "192.0.2.4")...)
	_, none := ingest.Held(c)
	if none > limit/8/3 {
		t.Errorf("without a key one address holds %d bytes, want at most a third of %d", none, limit/8)
	}
	want(t, "another key still", postFrom(t, c, "AK", "192.0.2.4").status, 200)
	for _, s := range all {
		s.end("")
	}
	known, none = ingest.Held(c)
	want(t, "held when all is over", says(known, none, ingest.Holders(c)), "0 0 0")
}

// zipped is gzip of so many spaces: it shrinks a thousandfold.
func zipped(n int) string {
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	z.Write(bytes.Repeat([]byte(" "), n))
	z.Close()
	return b.String()
}

// TestPackedBodiesWithoutAKey: what unpacks to megabytes is unpacked no further
// than its sender is trusted. Counted is every byte that the request asks for.
func TestPackedBodiesWithoutAKey(t *testing.T) {
	c := start(t, new(kafka))
	bomb := zipped(4 << 20)
	for key, most := range map[string]uint64{"": 4 << 20, "wrong": 4 << 20} {
		r := request("/v1/batch", bomb, "X-API-Key", key)
		var a answer
		bytes := allocated(func() { a = send(t, c, r) })
		want(t, "answer", says(a.status, strings.Contains(a.Error, "before a write key")), "413 true")
		if bytes > most {
			t.Errorf("key %q: %d bytes of gzip ask for %d of memory, want at most %d", key, len(bomb), bytes, most)
		}
	}
	known, none := ingest.Held(c)
	want(t, "held when it is over", says(known, none), "0 0")
}

// allocated is the memory that a function asks for, whatever of it is free again.
func allocated(f func()) uint64 {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	f()
	runtime.ReadMemStats(&after)
	return after.TotalAlloc - before.TotalAlloc
}

// TestKeyInTheBody goes to the limit of what is read for it and one byte beyond.
func TestKeyInTheBody(t *testing.T) {
	c := start(t, new(kafka))
	body := func(n int) string {
		b := `{"batch":[` + page("a", "1") + `],"writeKey":"WK"}`
		return b + strings.Repeat(" ", n-len(b))
	}
	for n, status := range map[int]int{64 << 10: 200, 512 << 10: 200, 512<<10 + 1: 413} {
		want(t, fmt.Sprint("key in a body of ", n), send(t, c, request("/v1/batch", body(n))).status, status)
		want(t, fmt.Sprint("wrong key before a body of ", n), send(t, c, request("/v1/batch", body(n), "X-API-Key", "x")).status, status)
		want(t, fmt.Sprint("key before a body of ", n), send(t, c, request("/v1/batch", body(n), "X-API-Key", "WK")).status, 200)
	}
}

// A scale weighs what a request has made of itself when its events are appended,
// with the records that a producer makes of them, or, with the log away, when they
// are written into the spool.
type scale struct {
	away   bool
	empty  uint64
	weight uint64
	held   int64
	door   *ingest.Collector
}

func heap() uint64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

func (s *scale) weigh(records [][]byte) {
	const message = 400 // of the producer's client
	s.held, _ = ingest.Held(s.door)
	s.weight = max(s.weight, heap()+uint64(message*len(records))-s.empty)
	runtime.KeepAlive(records)
}

func (s *scale) Append(_ context.Context, events []*schemas.Event) ([]int64, error) {
	records := make([][]byte, len(events))
	for i, e := range events {
		records[i], _ = proto.Marshal(e)
	}
	s.weigh(records)
	if s.away {
		return nil, errAway
	}
	return make([]int64, len(events)), nil
}

// spool is a disk that weighs what is written to it.
func (s *scale) spool(path string) (spool.File, error) {
	f, err := os.Create(path)
	return &weighedFile{f, s}, err
}

type weighedFile struct {
	*os.File
	scale *scale
}

func (f *weighedFile) Write(p []byte) (int, error) {
	f.scale.weigh([][]byte{p})
	return f.File.Write(p)
}

func (s *scale) AppendDeadLetters(_ context.Context, letters []*schemas.DeadLetter) error {
	records := make([][]byte, len(letters))
	for i, l := range letters {
		records[i], _ = proto.Marshal(l)
	}
	s.weigh(records)
	if s.away {
		return errAway
	}
	return nil
}

// TestARequestHoldsNoMoreThanItIsChargedFor weighs requests of every shape, the
// tiniest calls and the largest, at the moment when they are heaviest.
func TestARequestHoldsNoMoreThanItIsChargedFor(t *testing.T) {
	many := func(n int, call string) string {
		return `{"batch":[` + strings.TrimSuffix(strings.Repeat(call+",", n), ",") + `]}`
	}
	order := `{"type":"track","event":"Order Completed","anonymousId":"a","properties":{"total":1,"currency":"EUR","products":[` +
		strings.TrimSuffix(strings.Repeat(`{"product_id":"h"},`, 1300), ",") + `]}}`
	for name, body := range map[string]string{
		"numbers":        many(10_000, "1"),
		"empty calls":    many(10_000, "{}"),
		"smallest calls": many(10_000, `{"userId":"u","type":"page"}`),
		"searches":       many(3_000, `{"userId":"u","type":"track","event":"Products Searched","properties":{"filters":["a","b","c"],"x":1,"q":2}}`),
		"orders":         many(60, order),
		"large calls":    many(15, `{"userId":"u","type":"page","properties":{"x":"`+strings.Repeat("x", 250<<10)+`"}}`),
		"escapes":        many(15, `{"userId":"u","type":"page","properties":{"title":"`+strings.Repeat(`\u00e4`, 40<<10)+`"}}`),
		"too large":      many(10, `{"userId":"u","type":"page","properties":{"x":"`+strings.Repeat("x", 400<<10)+`"}}`),
		"properties":     many(60, `{"userId":"u","type":"page","properties":{`+strings.TrimSuffix(strings.Repeat(`"property":1,`, 4000), ",")+`}}`),
		"no JSON":        strings.Repeat("x", 4<<20),
	} {
		for _, away := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, log away %v", name, away), func(t *testing.T) {
				s := &scale{away: away}
				cfg := config(t)
				cfg.Spool.Create = s.spool
				c, err := ingest.New(cfg, s, s)
				if err != nil {
					t.Fatal(err)
				}
				defer c.Close()
				s.door = c
				r := request("/v1/batch", body, "X-API-Key", "WK")
				s.empty = heap()
				send(t, c, r)
				if s.held == 0 || s.weight > uint64(s.held) {
					t.Errorf("%d bytes become %d in memory, charged are %d", len(body), s.weight, s.held)
				}
				t.Logf("%d bytes become %d in memory, charged are %d", len(body), s.weight, s.held)
			})
		}
	}
}

// A wire is connections without buffers between a server and its clients.
type wire chan net.Conn

func (w wire) Accept() (net.Conn, error) {
	c, open := <-w
	if !open {
		return nil, net.ErrClosed
	}
	return c, nil
}
func (w wire) Close() error   { return nil }
func (w wire) Addr() net.Addr { return &net.TCPAddr{} }

// dial connects a client.
func (w wire) dial() net.Conn {
	client, server := net.Pipe()
	w <- server
	return client
}

// TestClientsThatDoNotGoOnAreNotWaitedFor has one that drips, one that never ends
// its header, and one that never reads, each beside an honest one. Time is the
// bubble's.
func TestClientsThatDoNotGoOnAreNotWaitedFor(t *testing.T) {
	head := "POST /v1/batch HTTP/1.1\r\nHost: x\r\nX-API-Key: WK\r\nContent-Length: 100000\r\n"
	honest := `{"batch":[` + page("honest", "1") + `]}`
	for name, misbehave := range map[string]func(net.Conn){
		"a byte a second": func(c net.Conn) {
			io.WriteString(c, head+"\r\n")
			go io.Copy(io.Discard, c)
			for range 100_000 {
				if _, err := io.WriteString(c, " "); err != nil {
					return
				}
				time.Sleep(time.Second)
			}
		},
		"a header line a second": func(c net.Conn) {
			go io.Copy(io.Discard, c)
			io.WriteString(c, head)
			for range 100_000 {
				if _, err := io.WriteString(c, "X-More: 1\r\n"); err != nil {
					return
				}
				time.Sleep(time.Second)
			}
		},
		"an endless header": func(c net.Conn) {
			go io.Copy(io.Discard, c)
			io.WriteString(c, head)
			for range 100_000 {
				if _, err := io.WriteString(c, "X-More: "+strings.Repeat("x", 1000)+"\r\n"); err != nil {
					return
				}
			}
		},
		"never reads": func(c net.Conn) {
			fmt.Fprintf(c, "POST /v1/batch HTTP/1.1\r\nHost: x\r\nX-API-Key: WK\r\nContent-Length: %d\r\n\r\n%s", len(honest), honest)
			<-time.After(time.Hour)
			if _, err := c.Write([]byte("G")); err == nil {
				t.Error("the connection of who never reads is open after an hour")
			}
		},
		"says nothing": func(c net.Conn) {
			if _, err := c.Read(make([]byte, 1)); err != io.EOF {
				t.Errorf("the connection of who says nothing: %v, want it closed", err)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := start(t, new(kafka))
				server, clients := c.Server(), make(wire)
				go server.Serve(clients)
				var bad sync.WaitGroup
				for range 50 {
					conn := clients.dial()
					bad.Go(func() {
						defer conn.Close()
						misbehave(conn)
					})
				}
				synctest.Wait()
				known, none := ingest.Held(c)
				if most := int64(50 * 12 << 10); known+none > most {
					t.Errorf("50 of them hold %d bytes, want at most %d", known+none, most)
				}
				good := clients.dial()
				fmt.Fprintf(good, "POST /v1/batch HTTP/1.1\r\nHost: x\r\nConnection: close\r\nX-API-Key: WK\r\nContent-Length: %d\r\n\r\n%s",
					len(honest), honest)
				resp, err := http.ReadResponse(bufio.NewReader(good), nil)
				if err != nil || resp.StatusCode != 200 {
					t.Errorf("an honest sender beside them: %v, %v", resp, err)
				}
				io.Copy(io.Discard, good)
				good.Close()
				bad.Wait() // it would not return if one of them was waited for
				known, none = ingest.Held(c)
				want(t, "held in the end", says(known, none), "0 0")
				close(clients)
				server.Close()
			})
		})
	}
}

// TestAddressBehindProxies: only a proxy of ours is believed what it forwards,
// and what a client wrote himself is not.
func TestAddressBehindProxies(t *testing.T) {
	proxies := []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}
	for _, tt := range []struct{ peer, forwarded, want string }{
		{"192.0.2.1", "", "192.0.2.1"},
		{"192.0.2.1", "198.51.100.1", "192.0.2.1"},
		{"10.1.2.3", "198.51.100.1", "198.51.100.1"},
		{"10.1.2.3", "203.0.113.9, 198.51.100.1", "198.51.100.1"},
		{"10.1.2.3", "203.0.113.9, 198.51.100.1, 10.9.9.9", "198.51.100.1"},
		{"10.1.2.3", "", "10.1.2.3"},
		{"10.1.2.3", "unknown", "10.1.2.3"},
		{"::ffff:192.0.2.1", "", "192.0.2.1"},
		{"2001:db8:1:2:3::4", "", "2001:db8:1:2::/64"},
	} {
		c := start(t, new(kafka), func(cfg *ingest.Config) { cfg.Proxies = proxies })
		r := request("/v1/batch", "")
		r.RemoteAddr = net.JoinHostPort(tt.peer, "99")
		if tt.forwarded != "" {
			r.Header.Set("X-Forwarded-For", tt.forwarded)
		}
		want(t, tt.peer+" with "+tt.forwarded, ingest.Address(c, r), tt.want)
	}
}
