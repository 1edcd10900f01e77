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

// What a request comes to hold besides its bytes, as measured by
// TestARequestHoldsNoMoreThanItIsChargedFor: of everything that is made of it, from
// the text to the answer.
const (
	bytesOfByte  = 4      // of a body
	bytesOfCall  = 3 << 9 // of each call in it
	bytesOfUnzip = 64 << 10
)

// read takes the body off the wire. What is refused is read to its end all the
// same, within bounds, or the client would not get to read the answer.
func (c *Collector) read(r *http.Request, a *account, limit int64) ([]byte, error) {
	body, err := bounded(r.Body, r.ContentLength, limit, a)
	if _, refused := errors.AsType[*refusal](err); refused {
		a.close() // nothing is kept of it
		io.CopyN(io.Discard, r.Body, 4*limit)
		return nil, err
	}
	if err != nil {
		return nil, &refusal{http.StatusRequestTimeout, fmt.Sprintf("body did not arrive: %v", err)}
	}
	return body, nil
}

// leastBuffer is what the first byte of a body takes.
const leastBuffer = 4 << 10

// bounded reads all of r, which may be expected to be that long. Memory is taken
// as bytes arrive, never for what is only promised.
func bounded(r io.Reader, expected, limit int64, a *account) (b []byte, err error) {
	var first [1]byte
	if _, err := io.ReadFull(r, first[:]); err != nil {
		return nil, unlessEnd(err)
	}
	if b, err = grow(nil, min(leastBuffer, limit+1), a); err != nil {
		return nil, err
	}
	b = append(b, first[0])
	for {
		if int64(len(b)) > limit {
			return nil, tooLarge(limit)
		}
		if len(b) == cap(b) {
			if b, err = grow(b, nextSize(int64(cap(b)), expected, limit), a); err != nil {
				return nil, err
			}
		}
		n, err := r.Read(b[len(b):cap(b)])
		if b = b[:len(b)+n]; err != nil {
			return b, unlessEnd(err)
		}
	}
}

// nextSize doubles a buffer, but not beyond what is expected or taken, and one
// byte to see the end.
func nextSize(size, expected, limit int64) int64 {
	next := 2 * size
	if expected >= size && expected < next {
		next = expected + 1
	}
	return min(next, limit+1)
}

// grow moves b to a buffer of another size.
func grow(b []byte, size int64, a *account) ([]byte, error) {
	if err := a.take(size); err != nil {
		return nil, err
	}
	larger := append(make([]byte, 0, size), b...)
	a.give(int64(cap(b)))
	return larger, nil
}

// unlessEnd is nil for the end of a body.
func unlessEnd(err error) error {
	if err == io.EOF {
		return nil
	}
	return err
}

func tooLarge(limit int64) error {
	return &refusal{http.StatusRequestEntityTooLarge, fmt.Sprintf("body is larger than %d bytes", limit)}
}

// parse unpacks a body if it is gzip, whatever the headers say, and reads it as
// JSON, whatever the content type says.
func (c *Collector) parse(raw []byte, a *account, limit int64) (*segment.Body, error) {
	body := raw
	if bytes.HasPrefix(raw, []byte{0x1f, 0x8b}) {
		var err error
		if body, err = unpack(raw, a, limit); err != nil {
			return nil, err
		}
	}
	if err := a.take(int64(len(body)) + bytesOfUnzip); err != nil { // for its text and where the calls are
		return nil, err
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

// unpack stops at the limit while it unpacks.
func unpack(raw []byte, a *account, limit int64) ([]byte, error) {
	if err := a.take(bytesOfUnzip); err != nil {
		return nil, err
	}
	defer a.give(bytesOfUnzip)
	z, err := gzip.NewReader(bytes.NewReader(raw))
	if err != nil {
		return nil, &refusal{http.StatusBadRequest, fmt.Sprintf("body is not gzip: %v", err)}
	}
	body, err := bounded(z, 4*int64(len(raw)), limit, a)
	if _, refused := errors.AsType[*refusal](err); err != nil && !refused {
		return nil, &refusal{http.StatusBadRequest, fmt.Sprintf("body is not gzip: %v", err)}
	}
	return body, err
}

// deadlines bound how long a request may take to arrive, and its answer to be
// fetched: who sends a byte a second, or never reads, is not waited for.
func (c *Collector) deadlines(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		now := time.Now()
		to := http.NewResponseController(w)
		_ = to.SetReadDeadline(now.Add(c.cfg.Limits.ReadTimeout)) // a writer without deadlines is a test's
		_ = to.SetWriteDeadline(now.Add(c.cfg.Limits.ReadTimeout + c.cfg.Limits.WriteTimeout))
		next.ServeHTTP(w, r)
	})
}
