package serving

import (
	"context"
	"errors"
	"fmt"
	"net/http"

	"fernweh/schemas"

	"github.com/danielgtaylor/huma/v2"
)

// Errors that a caller can do something about.
var (
	// ErrRunning is what Runs returns when a run is on its way, here or elsewhere.
	ErrRunning = errors.New("a batch run is on its way already")
	// ErrTaken is what Rebuild returns for a set of views that is in use.
	ErrTaken = errors.New("this set of views has been made already: name another one")

	// ErrUnknown is that the views hold nothing of what was named.
	ErrUnknown = errors.New("nothing is known of it")

	errNoRuns   = errors.New("this process does not run batch: ask the one that does, or call fernweh batch run")
	errNotReady = errors.New("it has not been read yet what is published")
	errBlind    = errors.New("it was not read for a while what is published")
	errBusy     = errors.New("too many long windows are being read at once")
	errNoAudit  = errors.New("this process keeps no audit, so nobody may act through it")
)

// An unavailable error is the view store's, not ours.
type unavailable struct{ err error }

func (u unavailable) Error() string { return u.err.Error() }
func (u unavailable) Unwrap() error { return u.err }

// store marks the errors of the view store as such.
type store struct{ views Views }

func (s store) Get(ctx context.Context, keys ...schemas.Key) ([]schemas.Row, error) {
	rows, err := s.views.Get(ctx, keys...)
	if err != nil {
		return nil, unavailable{err}
	}
	return rows, nil
}

func (s store) Scan(ctx context.Context, table schemas.Table, from, to string, fn func(schemas.Row) error) error {
	var ours error
	err := s.views.Scan(ctx, table, from, to, func(row schemas.Row) error {
		ours = fn(row)
		return ours
	})
	if err != nil && ours == nil {
		return unavailable{err}
	}
	return err
}

// A badParam names the parameter that is wrong and what would be right.
type badParam struct {
	location string // as huma names it: query.window
	value    string
	want     string
}

func (b badParam) Error() string { return fmt.Sprintf("%s is %q: %s", b.location, b.value, b.want) }

// retryAfter is how many seconds a client should wait before it asks again.
const retryAfter = "1"

// answer is what the API returns: v, or the status that err stands for. It is
// the one place where errors become HTTP.
func answer[T any](v *T, err error) (*T, error) {
	var bad badParam
	var down unavailable
	switch {
	case err == nil:
		return v, nil
	case errors.As(err, &bad):
		return nil, huma.Error422UnprocessableEntity(bad.location+": "+bad.want,
			&huma.ErrorDetail{Location: bad.location, Value: bad.value, Message: bad.want})
	case errors.Is(err, ErrUnknown):
		return nil, huma.Error404NotFound(err.Error())
	case errors.Is(err, ErrRunning), errors.Is(err, ErrTaken):
		return nil, huma.Error409Conflict(err.Error())
	case errors.Is(err, errNoRuns), errors.Is(err, errNoErasure), errors.Is(err, errNoAudit):
		return nil, huma.Error501NotImplemented(err.Error())
	case errors.As(err, &down), errors.Is(err, errNotReady), errors.Is(err, errBlind), errors.Is(err, errBusy),
		errors.Is(err, errExpired), errors.Is(err, context.DeadlineExceeded), errors.Is(err, context.Canceled):
		return nil, degraded(err)
	}
	return nil, huma.Error500InternalServerError(err.Error())
}

// TypeDegraded is the type of a problem that goes away by itself: the store is
// away or too slow, and the same request may succeed soon.
const TypeDegraded = "urn:fernweh:degraded"

func degraded(err error) error {
	return huma.ErrorWithHeaders(&huma.ErrorModel{
		Type: TypeDegraded, Status: http.StatusServiceUnavailable, Title: "Degraded", Detail: err.Error(),
	}, http.Header{"Retry-After": {retryAfter}})
}
