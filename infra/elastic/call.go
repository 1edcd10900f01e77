package elastic

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"time"

	"github.com/elastic/go-elasticsearch/v8/esapi"
)

// A request can be sent; its body is read by that, so each attempt makes its own.
type request interface {
	Do(ctx context.Context, to esapi.Transport) (*esapi.Response, error)
}

// call sends a request until it succeeds, is hopeless, ctx is done or patience
// is over, and reads the answer into a value (nil: leaves it).
func (d *Documents) call(ctx context.Context, operation string, make func() request, into any) error {
	w := d.wait(operation)
	for {
		err := d.attempt(ctx, operation, make(), into)
		if err == nil || !hopeful(err) {
			return err
		}
		if err := w.pause(ctx, err); err != nil {
			return err
		}
	}
}

// attempt sends a request once.
func (d *Documents) attempt(ctx context.Context, operation string, r request, into any) error {
	ctx, cancel := context.WithTimeout(ctx, d.config.Deadline)
	defer cancel()
	begun := time.Now()
	err := send(ctx, d.transport, r, into)
	d.metrics.request(operation, time.Since(begun), err)
	return err
}

// send sends a request and reads its answer.
func send(ctx context.Context, to esapi.Transport, r request, into any) error {
	response, err := r.Do(ctx, to)
	if err != nil {
		return err
	}
	defer response.Body.Close() // all of it was read, or the connection is given up
	if err := refused(response); err != nil {
		return err
	}
	if into == nil {
		_, err = io.Copy(io.Discard, response.Body)
		return err
	}
	if err := json.NewDecoder(response.Body).Decode(into); err != nil {
		return fmt.Errorf("read the answer of Elasticsearch: %w", err)
	}
	return nil
}

// refused is the error that an answer stands for.
func refused(response *esapi.Response) error {
	const product = "Elasticsearch"
	ok := response.StatusCode < 300
	// Who stands between, such as a proxy, may answer 401, 403, 429 or 5xx in its stead.
	between := response.StatusCode == http.StatusUnauthorized || response.StatusCode == http.StatusForbidden || passing(response.StatusCode)
	named := response.Header.Get("X-Elastic-Product") == product
	if ok && named {
		return nil
	}
	const most = 64 << 10
	body, err := io.ReadAll(io.LimitReader(response.Body, most))
	if err != nil {
		return err
	}
	if !named && !between {
		return &foreignError{response.StatusCode, string(body)}
	}
	return parseRefusal(response.StatusCode, body)
}

// parseRefusal reads the body of an error, in whichever of the shapes it comes.
func parseRefusal(status int, body []byte) *refusal {
	r := &refusal{Status: status, Type: http.StatusText(status), Reason: string(bytes.TrimSpace(body))}
	var whole struct {
		Error json.RawMessage `json:"error"`
	}
	var parts struct{ Type, Reason string }
	if json.Unmarshal(body, &whole) != nil || whole.Error == nil {
		return r
	}
	if json.Unmarshal(whole.Error, &parts) == nil && parts.Type != "" {
		r.Type, r.Reason = parts.Type, parts.Reason
	}
	return r
}

// A wait spaces the attempts at one thing.
type wait struct {
	d         *Documents
	operation string
	attempts  int
	until     time.Time
}

func (d *Documents) wait(operation string) *wait {
	return &wait{d: d, operation: operation, until: time.Now().Add(d.config.Patience)}
}

// again begins to count anew, since something has succeeded.
func (w *wait) again() { w.attempts, w.until = 0, time.Now().Add(w.d.config.Patience) }

// Pauses between attempts: doubling, each somewhere in its upper half, so that
// many who were refused at once don't come back at once.
const (
	firstPause = 50 * time.Millisecond
	lastPause  = 5 * time.Second
)

// pause waits before the next attempt. Its error, which has the last one's in
// it, says that there is to be none.
func (w *wait) pause(ctx context.Context, last error) error {
	pause := min(firstPause<<min(w.attempts, 10), lastPause)
	pause = pause/2 + rand.N(pause/2)
	if ctx.Err() != nil {
		return errors.Join(ctx.Err(), last)
	}
	if time.Now().Add(pause).After(w.until) {
		return fmt.Errorf("tried for %v: %w", w.d.config.Patience, last)
	}
	timer := time.NewTimer(pause)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return errors.Join(ctx.Err(), last)
	case <-timer.C:
	}
	w.attempts++
	w.d.metrics.retries.WithLabelValues(w.operation).Inc()
	return nil
}
