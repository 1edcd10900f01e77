package ingest

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/klauspost/compress/gzip"

	"fernweh/ingest/segment"
)

// retryAfter is how many seconds a client is asked to wait. Clients cap and
// count their attempts, so it is short.
const retryAfter = "2"

// admit reserves memory for a body, or asks the client to come again. release
// gives it back.
func (c *Collector) admit(r *http.Request) (release func(), err error) {
	size := r.ContentLength
	if size < 0 || r.Header.Get("Content-Encoding") != "" {
		size = c.cfg.Limits.BodyBytes
	}
	size = min(max(size, 1<<10), c.cfg.Limits.BodyBytes, c.cfg.Limits.InFlightBytes)
	if !c.inFlight.TryAcquire(size) {
		return nil, &refusal{http.StatusTooManyRequests, "too many requests at a time"}
	}
	return func() { c.inFlight.Release(size) }, nil
}

// read takes the body off the wire.
func (c *Collector) read(w http.ResponseWriter, r *http.Request) ([]byte, error) {
	deadline := time.Now().Add(c.cfg.Limits.ReadTimeout)
	_ = http.NewResponseController(w).SetReadDeadline(deadline) // a writer without deadlines is a test's
	body, err := c.bounded(r.Body, r.ContentLength)
	if errors.Is(err, errTooLarge) {
		io.CopyN(io.Discard, r.Body, 4*c.cfg.Limits.BodyBytes) // or the client would not get to read the answer
		return nil, c.tooLarge()
	}
	if err != nil {
		return nil, &refusal{http.StatusRequestTimeout, fmt.Sprintf("body did not arrive: %v", err)}
	}
	return body, nil
}

var errTooLarge = errors.New("body is too large")

func (c *Collector) tooLarge() error {
	return &refusal{http.StatusRequestEntityTooLarge,
		fmt.Sprintf("body is larger than %d bytes", c.cfg.Limits.BodyBytes)}
}

// bounded reads all of r, which is expected to be that long.
func (c *Collector) bounded(r io.Reader, expected int64) ([]byte, error) {
	limit := c.cfg.Limits.BodyBytes
	var b bytes.Buffer
	b.Grow(int(min(max(expected, 0), limit)) + bytes.MinRead)
	n, err := b.ReadFrom(io.LimitReader(r, limit+1))
	switch {
	case err != nil:
		return nil, err
	case n > limit:
		return nil, errTooLarge
	}
	return b.Bytes(), nil
}

// parse unpacks a body if it is gzip, whatever the headers say, and reads it as
// JSON, whatever the content type says.
func (c *Collector) parse(raw []byte) (*segment.Body, error) {
	body := raw
	if bytes.HasPrefix(raw, []byte{0x1f, 0x8b}) {
		var err error
		if body, err = c.unpack(raw); err != nil {
			return nil, err
		}
	}
	parsed, err := segment.Parse(body, c.cfg.Limits.Events)
	if _, large := errors.AsType[*segment.StructureError](err); large {
		return nil, &refusal{http.StatusRequestEntityTooLarge, err.Error()}
	}
	if err != nil {
		return nil, &refusal{http.StatusBadRequest, err.Error()}
	}
	return parsed, nil
}

func (c *Collector) unpack(raw []byte) ([]byte, error) {
	z, err := gzip.NewReader(bytes.NewReader(raw))
	if err != nil {
		return nil, &refusal{http.StatusBadRequest, fmt.Sprintf("body is not gzip: %v", err)}
	}
	body, err := c.bounded(z, 4*int64(len(raw)))
	switch {
	case errors.Is(err, errTooLarge):
		return nil, c.tooLarge()
	case err != nil:
		return nil, &refusal{http.StatusBadRequest, fmt.Sprintf("body is not gzip: %v", err)}
	}
	return body, nil
}
