// Package segment reads the Segment HTTP protocol: the calls of any Segment
// client become events of the log.
//
// It is a pure function of the request: the same bytes give the same events
// with the same ids, so that a client's retry is recognised as one. A call that
// can't be an event harms no other call of its batch. What no field of an event
// holds stays in its properties as JSON, except what identifies a person without
// need (see docs/formats/collector.md).
package segment

import (
	"bytes"
	"errors"
	"fmt"
	"io"

	"github.com/go-json-experiment/json/jsontext"

	"fernweh/schemas"
)

// A Body is the body of a request that is JSON.
type Body struct {
	size  int
	key   string
	top   object // around the calls of a batch; nil: there is one call, and nothing around it
	calls []value
	count int // of calls; more than there are in calls: too many
}

// A SyntaxError says where a body is not what it should be.
type SyntaxError struct {
	Offset int64 // bytes from the beginning
	Err    error
}

// Error says where and why.
func (e *SyntaxError) Error() string {
	return fmt.Sprintf("body is not JSON at byte %d: %v", e.Offset, e.Err)
}

// Unwrap is what the JSON parser said.
func (e *SyntaxError) Unwrap() error { return e.Err }

// ErrNoCalls says that a body is JSON but neither a batch nor a call.
var ErrNoCalls = errors.New(`body is neither an object with an array "batch" nor one call`)

// Parse checks a body to its last byte and finds its calls: the elements of
// "batch", or itself. Beyond most calls it only counts.
func Parse(body []byte, most int) (*Body, error) {
	if err := checkSyntax(body); err != nil {
		return nil, err
	}
	text := string(body) // the strings of all events are parts of it
	whole := value(text[skipSpace(text, 0):])
	if !whole.isObject() {
		return nil, ErrNoCalls
	}
	b := &Body{size: len(body)}
	batch, around := b.open(whole)
	switch {
	case batch == "":
		b.top, b.count = nil, 1
		b.calls = []value{whole[:skipValue(string(whole), 0)]}
		return b, nil
	case !batch.isArray():
		return nil, ErrNoCalls
	case around > MaxAround:
		return nil, &StructureError{around}
	}
	batch.elements(func(v value) {
		if b.count++; b.count <= most {
			b.calls = append(b.calls, v)
		}
	})
	return b, nil
}

// open finds the key, the batch and, up to the limit, what else stands around
// the calls.
func (b *Body) open(whole value) (batch value, around int) {
	whole.members(func(literal string, v value) {
		name := value(literal).unquoted()
		switch name {
		case "batch":
			batch = ""
			if v != "null" {
				batch = v
			}
			return
		case "writeKey":
			b.key, _ = v.text()
		}
		if around += 1 + v.shape().members; around <= MaxAround {
			b.top = append(b.top, field{name: name, literal: literal, value: v})
		}
	})
	return batch, around
}

// checkSyntax holds body against RFC 8259. Text that isn't UTF-8 is left to the
// event that it stands in.
func checkSyntax(body []byte) error {
	buf := jsontext.NewDecoder(bytes.NewBuffer(body),
		jsontext.AllowInvalidUTF8(true), jsontext.AllowDuplicateNames(true))
	_, err := buf.ReadValue()
	if err == nil {
		_, err = buf.ReadToken()
		switch {
		case err == io.EOF:
			return nil
		case err == nil:
			err = errors.New("a second value follows the first")
		}
	}
	var syntax *jsontext.SyntacticError
	switch {
	case err == io.EOF:
		return &SyntaxError{0, errors.New("body is empty")}
	case errors.As(err, &syntax):
		return &SyntaxError{syntax.ByteOffset, syntax.Err}
	}
	return &SyntaxError{buf.InputOffset(), err}
}

// WriteKey is the key that stands in the body.
func (b *Body) WriteKey() string { return b.key }

// Size is the number of bytes.
func (b *Body) Size() int { return b.size }

// Len is the number of calls.
func (b *Body) Len() int { return b.count }

// A Request is what an event takes from the request around it.
type Request struct {
	Type           string // of a call that doesn't say it itself, by endpoint; empty: a batch
	Received       int64  // UTC microseconds
	Source         string
	AssumedConsent bool
	UserAgent      string // header; only the device class of it is kept
	MaxEvent       int    // bytes of one call
}

// An Item is what became of one call: an event, or the reason why not.
type Item struct {
	ID       string         // as the client knows it, else the id made of it
	Event    *schemas.Event // nil: rejected
	Reason   string         // one sentence for a person
	Original string         // the call as it came
	Unread   []string       // members that a field of the event should hold, and can't
}

// Items maps the calls in their order; Len is not above the most that were parsed.
func (b *Body) Items(r Request) []Item {
	m := newMapper(b.top, r)
	items := make([]Item, len(b.calls))
	for i, call := range b.calls {
		items[i] = m.item(call, i)
	}
	return items
}
