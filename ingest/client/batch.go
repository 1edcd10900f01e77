package client

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"

	"fernweh/model/visitor"
)

// Status is what became of an event.
type Status string

// What a collector says of an event.
const (
	Accepted Status = "accepted" // it is in the log
	Spooled  Status = "spooled"  // it is safe, and on its way to the log
	Rejected Status = "rejected" // it will never be in the log
)

// A Verdict is the collector's word on one event.
type Verdict struct {
	ID        string `json:"id"`
	Status    Status `json:"status"`
	Partition int32  `json:"partition"` // of an accepted event
	Offset    int64  `json:"offset"`    // of an accepted event
	Reason    string `json:"reason"`    // of a rejected event
}

// maxBody keeps a request below what every Segment collector takes (500 KB).
const maxBody = 450_000

// A batch is one request.
type batch struct {
	events []Event
	body   []byte // JSON up to and without the bracket that closes the batch
	skew   time.Duration
	count  map[string]int // of events, by device
	most   int            // of one device
}

// newBatch starts a request of a device clock that is skew ahead.
func newBatch(skew time.Duration) *batch {
	return &batch{body: append(make([]byte, 0, 64<<10), `{"batch":[`...), skew: skew, count: map[string]int{}}
}

// add appends an event.
func (b *batch) add(e Event) error {
	if len(b.events) > 0 {
		b.body = append(b.body, ',')
	}
	body, err := e.AppendJSON(b.body)
	if err != nil {
		return err
	}
	b.body = body
	b.events = append(b.events, e)
	b.count[e.Device]++
	b.most = max(b.most, b.count[e.Device])
	return nil
}

// full says whether it is time to send: also when a device has as many events in
// it as a collector takes of one in a request.
func (b *batch) full(limit int) bool {
	return len(b.events) >= limit || len(b.body) >= maxBody || b.most >= visitor.Remembered
}

// tail closes the request as it is sent now. Each try says anew when it was
// made, or the wait between two would be taken for skew.
func (b *batch) tail(now time.Time) string {
	if b.skew == 0 {
		return "]}"
	}
	return `],"sentAt":"` + now.Add(b.skew).UTC().Format(timeLayout) + `"}`
}

// post sends a batch until it is answered.
func (c *Client) post(ctx context.Context, b *batch) error {
	for try := 0; ; try++ {
		verdicts, err := c.try(ctx, b)
		if err == nil {
			return c.done(b.events, verdicts)
		}
		var again *againError
		if !errors.As(err, &again) || ctx.Err() != nil {
			return fmt.Errorf("send %d events: %w", len(b.events), err)
		}
		c.retried(again)
		if err := sleep(ctx, max(again.after, backoff(try))); err != nil {
			return fmt.Errorf("send %d events: %w, last answer: %w", len(b.events), err, again)
		}
	}
}

// backoff is the wait after a try: 50 ms, doubled up to 5 s.
func backoff(try int) time.Duration {
	return min(50*time.Millisecond<<min(try, 10), 5*time.Second)
}

// An againError is one that another try may not meet.
type againError struct {
	err      error
	after    time.Duration // what the collector asked for; 0: nothing
	answered bool          // somebody was there to say it
}

func (e *againError) Error() string { return e.err.Error() }
func (e *againError) Unwrap() error { return e.err }

// try makes one request.
func (c *Client) try(ctx context.Context, b *batch) ([]Verdict, error) {
	tail := b.tail(time.Now())
	body := io.MultiReader(bytes.NewReader(b.body), strings.NewReader(tail))
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, c.settings.URL, body)
	if err != nil {
		return nil, err
	}
	req.ContentLength = int64(len(b.body) + len(tail))
	req.Header.Set("Content-Type", "application/json")
	req.SetBasicAuth(c.settings.Key, "")
	resp, err := c.http.Do(req)
	if err != nil {
		return nil, &againError{err: err}
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(resp.Body)
	if err != nil {
		return nil, &againError{err: fmt.Errorf("read answer: %w", err)}
	}
	if err := refusal(resp, answer); err != nil {
		return nil, err
	}
	return read(answer, b.events)
}

// refusal is what an answer other than 200 means.
func refusal(resp *http.Response, answer []byte) error {
	if resp.StatusCode == http.StatusOK {
		return nil
	}
	text := strings.TrimSpace(string(answer[:min(len(answer), 200)]))
	err := fmt.Errorf("%s answered %s: %s", resp.Request.URL, resp.Status, text)
	switch code := resp.StatusCode; {
	case code == http.StatusTooManyRequests, code == http.StatusRequestTimeout, code >= 500:
		return &againError{err, retryAfter(resp.Header.Get("Retry-After")), true}
	}
	return &refusedError{err, resp.StatusCode}
}

// A refusedError is an answer that another try would get again.
type refusedError struct {
	error
	status int
}

// retryAfter reads the header of that name, seconds or a date; 0: not said.
func retryAfter(header string) time.Duration {
	if n, err := strconv.Atoi(header); err == nil {
		return time.Duration(n) * time.Second
	}
	if t, err := http.ParseTime(header); err == nil {
		return max(0, time.Until(t))
	}
	return 0
}

// read takes the verdicts out of an answer. A collector that gives none, as
// Segment's own, has accepted everything.
func read(answer []byte, events []Event) ([]Verdict, error) {
	var a struct {
		Events []Verdict `json:"events"`
	}
	if err := json.Unmarshal(answer, &a); err != nil {
		return nil, fmt.Errorf("read answer: %w", err)
	}
	if a.Events == nil {
		a.Events = make([]Verdict, len(events))
		for i, e := range events {
			a.Events[i] = Verdict{ID: e.Id, Status: Accepted}
		}
	}
	if len(a.Events) != len(events) {
		return nil, fmt.Errorf("read answer: %d verdicts on %d events", len(a.Events), len(events))
	}
	return a.Events, nil
}
