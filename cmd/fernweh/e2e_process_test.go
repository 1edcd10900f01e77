package main_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"fernweh/serving/access"
)

// The end-to-end tests run the program itself, as it is installed: another
// process, reached over HTTP, stopped by signals.

// scratch holds the built program until all tests are through.
var scratch string

func TestMain(m *testing.M) {
	os.Exit(func() int {
		var err error
		if scratch, err = os.MkdirTemp("", "fernweh-e2e-"); err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		defer os.RemoveAll(scratch)
		return m.Run()
	}())
}

// program builds the program once, when the first test needs it.
var program = sync.OnceValues(func() (string, error) {
	path := filepath.Join(scratch, "fernweh")
	out, err := exec.Command("go", "build", "-o", path, ".").CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("build fernweh: %w: %s", err, out)
	}
	return path, nil
})

// seats bounds how many portals run at the same time: each wants a core.
var seats = make(chan struct{}, 2)

// fernweh prepares a call of the program with no settings but the arguments.
func fernweh(t *testing.T, args ...string) *exec.Cmd {
	t.Helper()
	path, err := program()
	if err != nil {
		t.Fatal(err)
	}
	c := exec.Command(path, args...)
	for _, entry := range os.Environ() {
		if !strings.HasPrefix(entry, "FERNWEH_") {
			c.Env = append(c.Env, entry)
		}
	}
	return c
}

// A portal is a data directory and the process that has it, which can be killed
// and started again at the same address.
type portal struct {
	*testing.T
	dir   string
	doors [2]string // of the collector and of the API, the same after each start
	args  []string
	key   string   // the administrator's
	wrap  []string // a command to run the program by; empty: none

	process *exec.Cmd
	said    *transcript
	gone    chan struct{} // closed when the process has ended
}

// A transcript is what a process wrote, to be read while it writes.
type transcript struct {
	mu sync.Mutex
	b  bytes.Buffer // guarded by mu
}

func (l *transcript) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(b)
}

func (l *transcript) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// partitions of the tests' portals: enough that devices lie apart.
const partitions = 4

// newPortal takes a seat and an address; nothing runs yet. The process ends with
// the test.
func newPortal(t *testing.T, args ...string) *portal {
	t.Helper()
	t.Parallel()
	seats <- struct{}{}
	t.Cleanup(func() { <-seats })
	p := &portal{T: t, dir: filepath.Join(t.TempDir(), "data"), doors: [2]string{door(t), door(t)}, key: access.NewKey()}
	p.args = append([]string{"up", "--data-dir", p.dir, "--ingest-addr", p.doors[0], "--serve-addr", p.doors[1],
		"--partitions", fmt.Sprint(partitions), "--batch-schedule", "", "--log-level", "warn",
		"--serve-admin-keys", fmt.Sprintf("test=%x", access.DigestOf(p.key))}, args...)
	t.Cleanup(func() {
		p.kill()
		if t.Failed() && p.said != nil {
			t.Logf("the last process said:\n%s", tailOf(p.said.String()))
		}
	})
	return p
}

func tailOf(s string) string { return s[max(0, len(s)-4000):] }

// doorsTaken keeps the tests of this process apart.
var doorsTaken sync.Map

// door is an address that nothing listens on, outside of the range that the
// system hands out to clients: there it could be gone after a restart.
func door(t *testing.T) string {
	t.Helper()
	for range 1000 {
		addr := fmt.Sprintf("127.0.0.1:%d", 20_000+rand.IntN(10_000))
		if _, taken := doorsTaken.LoadOrStore(addr, true); taken {
			continue
		}
		if l, err := net.Listen("tcp", addr); err == nil {
			l.Close()
			return addr
		}
	}
	t.Fatal("no free port between 20000 and 30000")
	return ""
}

// start starts the process and does not wait.
func (p *portal) start() {
	p.Helper()
	c := fernweh(p.T, p.args...)
	if len(p.wrap) > 0 {
		wrapped := exec.Command(p.wrap[0], slices.Concat(p.wrap[1:], c.Args)...)
		wrapped.Env, c = c.Env, wrapped
	}
	p.process, p.said, p.gone = c, new(transcript), make(chan struct{})
	c.Stdout, c.Stderr = p.said, p.said
	if err := c.Start(); err != nil {
		p.Fatal(err)
	}
	go func(gone chan struct{}) {
		_ = c.Wait() // its state says more
		close(gone)
	}(p.gone)
}

// ready waits until the process answers.
func (p *portal) ready() {
	p.Helper()
	p.until("the portal is ready", 30*time.Second, func() error {
		select {
		case <-p.gone:
			p.Fatalf("the process ended with %v before it was ready:\n%s", p.process.ProcessState, tailOf(p.said.String()))
		default:
		}
		_, err := p.ask("GET", "/v1/health/ready", nil)
		return err
	})
}

// up starts the process and waits until it answers.
func (p *portal) up() {
	p.Helper()
	p.start()
	p.ready()
}

// kill is kill -9 of this one process.
func (p *portal) kill() {
	if p.process == nil {
		return
	}
	_ = p.process.Process.Kill() // it may be gone already
	<-p.gone
}

// stop is what systemd does: it must end by itself, and well.
func (p *portal) stop() {
	p.Helper()
	if err := p.process.Process.Signal(syscall.SIGTERM); err != nil {
		p.Fatal(err)
	}
	select {
	case <-p.gone:
	case <-time.After(20 * time.Second):
		p.Fatal("20 s after SIGTERM the process is still there")
	}
	if !p.process.ProcessState.Success() {
		p.Errorf("after SIGTERM: %v, want success\n%s", p.process.ProcessState, tailOf(p.said.String()))
	}
}

// alive fails the test if the process has ended.
func (p *portal) alive() {
	p.Helper()
	select {
	case <-p.gone:
		p.Fatalf("the process ended: %v\n%s", p.process.ProcessState, tailOf(p.said.String()))
	default:
	}
}

// until tries again until there is no error, and fails the test after the limit.
func (p *portal) until(what string, limit time.Duration, try func() error) {
	p.Helper()
	deadline := time.Now().Add(limit)
	for {
		err := try()
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			p.Fatalf("%s: not within %v: %v", what, limit, err)
		}
		time.Sleep(10 * time.Millisecond)
	}
}

// A refused error is an answer that is none of success.
type refused struct {
	status int
	body   string
}

func (r *refused) Error() string { return fmt.Sprintf("%d: %s", r.status, r.body) }

// statusOf is the HTTP status that an error stands for; 0: there was no answer.
func statusOf(err error) int {
	if r := new(refused); errors.As(err, &r) {
		return r.status
	}
	return 0
}

var client = &http.Client{Timeout: 20 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}

// send makes one request; what is not 2xx is a refused error.
func send(method, url string, body []byte, header http.Header) ([]byte, http.Header, error) {
	r, err := http.NewRequestWithContext(context.Background(), method, url, bytes.NewReader(body))
	if err != nil {
		return nil, nil, err
	}
	r.Header = header.Clone()
	resp, err := client.Do(r)
	if err != nil {
		return nil, nil, err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		return nil, nil, err
	}
	if resp.StatusCode >= 300 {
		return nil, resp.Header, &refused{resp.StatusCode, string(bytes.TrimSpace(b))}
	}
	return b, resp.Header, nil
}

// ask asks the API.
func (p *portal) ask(method, path string, body []byte) ([]byte, error) {
	b, _, err := send(method, "http://"+p.doors[1]+path, body, http.Header{
		"Content-Type": {"application/json"}, "Authorization": {"Bearer " + p.key},
	})
	return b, err
}

// demo is the write key of a laptop, as Basic user.
var demo = http.Header{"Authorization": {"Basic ZGVtbzo="}, "Content-Type": {"application/json"}}

// post gives a body to the collector and returns what brings it back: the
// offsets that an answer must have reached.
func (p *portal) post(body string) (answer []byte, after string, err error) {
	b, h, err := send("POST", "http://"+p.doors[0]+"/v1/batch", []byte(body), demo)
	return b, h.Get("Fernweh-After"), err
}

// read decodes an answer of the API.
func read[T any](p *portal, path string) (v T) {
	p.Helper()
	b, err := p.ask("GET", path, nil)
	if err == nil {
		err = json.Unmarshal(b, &v)
	}
	if err != nil {
		p.Fatalf("GET %s: %v", path, err)
	}
	return v
}

// What the tests read of the API's answers.
type (
	window struct {
		Stale    bool
		Measures map[string]struct{ Value int64 }
		Revenue  []money
	}
	money struct {
		Currency          string
		Booked, Cancelled int64
	}
	person struct {
		Stale  bool
		Totals struct {
			FirstSeen, LastSeen time.Time
			Events              int64
			Kinds               map[string]int64
			Party               map[string]int64
			Money               []money
			Destinations        []struct {
				Destination string
				Bookings    int64
			}
		}
		Segment *struct{ ID, Model string }
	}
	status struct {
		Ready    bool
		Degraded []trouble
	}
	trouble struct {
		Component, State, Reason string
		Since                    time.Time
		Failures                 int
	}
	batchRecord struct {
		Number       int64
		State, Error string
	}
)

// of is what the status says of a component; zero: nothing.
func (s status) of(component string) trouble {
	for _, t := range s.Degraded {
		if t.Component == component {
			return t
		}
	}
	return trouble{}
}

// begin asks for a batch run.
func (p *portal) begin() (run batchRecord, err error) {
	b, err := p.ask("POST", "/v1/runs", nil)
	if err == nil {
		err = json.Unmarshal(b, &run)
	}
	return run, err
}

// finished waits for a run's end.
func (p *portal) finished(number int64) (run batchRecord) {
	p.Helper()
	p.until(fmt.Sprintf("run %d ends", number), 60*time.Second, func() error {
		run = read[batchRecord](p, fmt.Sprintf("/v1/runs/%d", number))
		if run.State == "running" {
			return errors.New("it is running")
		}
		return nil
	})
	return run
}

// batch makes a generation. One that was cut off holds its lease for a while.
func (p *portal) batch() int64 {
	p.Helper()
	var run batchRecord
	p.until("a batch run begins", 30*time.Second, func() (err error) {
		run, err = p.begin()
		return err
	})
	if run = p.finished(run.Number); run.State != "published" {
		p.Fatalf("run %d: %s: %s", run.Number, run.State, run.Error)
	}
	return run.Number
}
