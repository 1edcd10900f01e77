package ingest

import (
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/go-chi/chi/v5"
	"github.com/go-chi/chi/v5/middleware"

	"fernweh/ingest/segment"
	"fernweh/ingest/tracker"
	"fernweh/schemas"
)

// endpoints are the paths of the Segment protocol, with the type of a call that
// doesn't say its own.
func endpoints() map[string]string {
	paths := map[string]string{"/v1/batch": "", "/v1/b": "", "/v1/import": ""}
	for _, typ := range []string{"track", "identify", "page", "screen", "group", "alias"} {
		paths["/v1/"+typ] = typ
		paths["/v1/"+typ[:1]] = typ
	}
	return paths
}

func (c *Collector) routes() http.Handler {
	r := chi.NewRouter()
	r.Use(c.deadlines, middleware.StripSlashes, c.crossOrigin)
	for path, typ := range endpoints() {
		r.Post(path, c.answer(path, typ))
		r.Options(path, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) })
	}
	r.Get("/fernweh.js", tracker.ServeHTTP)
	r.Get("/healthz", c.health)
	return r
}

// crossOrigin lets the browsers of the configured origins read the answer.
func (c *Collector) crossOrigin(next http.Handler) http.Handler {
	allowed := map[string]bool{}
	for _, o := range c.cfg.Origins {
		allowed[o] = true
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		origin := r.Header.Get("Origin")
		if origin != "" && (allowed[origin] || allowed["*"]) {
			h := w.Header()
			h.Set("Access-Control-Allow-Origin", origin)
			h.Add("Vary", "Origin")
			h.Set("Access-Control-Expose-Headers", "Fernweh-After, Retry-After")
			h.Set("Access-Control-Allow-Methods", "POST, OPTIONS")
			h.Set("Access-Control-Allow-Headers",
				"Authorization, Content-Type, Content-Encoding, X-API-Key, X-Retry-Count")
			h.Set("Access-Control-Max-Age", "86400")
		}
		next.ServeHTTP(w, r)
	})
}

// A refusal is a request that was not taken, and what to tell the client.
type refusal struct {
	status int
	reason string
}

func (r *refusal) Error() string { return r.reason }

// answer takes one request.
func (c *Collector) answer(path, typ string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		start := time.Now()
		if n, err := strconv.Atoi(r.Header.Get("X-Retry-Count")); err == nil && n > 0 {
			c.metrics.retries.Inc()
		}
		verdicts, err := c.take(r, call{path, typ})
		status := c.reply(w, verdicts, err)
		c.metrics.requests.WithLabelValues(strconv.Itoa(status)).Observe(time.Since(start).Seconds())
	}
}

// A call is what the path of a request says.
type call struct{ path, typ string }

// take reads a request and makes its events durable.
func (c *Collector) take(r *http.Request, at call) ([]verdict, error) {
	before := headKeys(r)
	source, ok := c.keys.sourceOf(before...)
	if !ok {
		return c.takeKeyless(r, at, len(before) == 0)
	}
	a := &account{memory: c.memory, key: source, address: c.address(r)}
	defer a.close()
	raw, err := c.read(r, a, c.cfg.Limits.BodyBytes)
	if err != nil {
		return nil, err
	}
	body, err := c.parse(raw, a, c.cfg.Limits.BodyBytes)
	if err != nil {
		return nil, c.bury(r, at, a, raw, err)
	}
	return c.store(r, at, a, body)
}

// takeKeyless takes a request whose body must say the key, if anything does. It
// gets little memory, and apart from the others'; silent says that no key, known or
// not, stands before the body.
func (c *Collector) takeKeyless(r *http.Request, at call, silent bool) ([]verdict, error) {
	a := &account{memory: c.keyless, address: c.address(r)}
	defer a.close()
	raw, err := c.read(r, a, c.cfg.Limits.KeylessBytes)
	var body *segment.Body
	if err == nil {
		body, err = c.parse(raw, a, c.cfg.Limits.KeylessBytes)
	}
	no, _ := errors.AsType[*refusal](err)
	switch {
	case no != nil && no.status == http.StatusRequestEntityTooLarge:
		return nil, &refusal{no.status, no.reason + ", which is what is read before a write key: send it as Basic user, " +
			"X-API-Key or query parameter"}
	case err != nil && (silent || no == nil || no.status != http.StatusBadRequest):
		return nil, err
	case err == nil:
		if source, ok := c.keys.source(body.WriteKey()); ok {
			if err := a.move(c.memory, source); err != nil {
				return nil, err
			}
			return c.store(r, at, a, body)
		}
	}
	return nil, &refusal{http.StatusUnauthorized, "no known write key: send it as Basic user, X-API-Key, " +
		`query parameter or member "writeKey"`}
}

// store maps the calls of a body and keeps what became of them.
func (c *Collector) store(r *http.Request, at call, a *account, body *segment.Body) ([]verdict, error) {
	if body.Len() > c.cfg.Limits.Events {
		return nil, &refusal{http.StatusRequestEntityTooLarge,
			fmt.Sprintf("batch has %d events, at most %d are taken", body.Len(), c.cfg.Limits.Events)}
	}
	if err := a.take(bytesOfByte*int64(body.Size()) + bytesOfCall*int64(body.Len())); err != nil {
		return nil, err
	}
	source, now := a.key, c.cfg.Now().UnixMicro()
	items := body.Items(segment.Request{
		Type: at.typ, Received: now, Source: source, AssumedConsent: c.cfg.AssumedConsent,
		UserAgent: r.UserAgent(), MaxEvent: c.cfg.Limits.EventBytes,
	})
	refuseCrowds(items)
	var events []*schemas.Event
	var letters []*schemas.DeadLetter
	for _, item := range items {
		for _, field := range item.Unread {
			c.metrics.unread.WithLabelValues(field, source).Inc()
		}
		if item.Event != nil {
			events = append(events, item.Event)
			continue
		}
		letters = append(letters, at.letter(source, item.Reason, []byte(item.Original), now))
	}
	places, err := c.keep(r.Context(), events, letters)
	if err != nil {
		return nil, err
	}
	return c.verdicts(items, places), nil
}

// MaxOfDevice is how many events of one device a request may bring: half as many as
// the device's filter remembers, so that the request can be repeated later, too.
const MaxOfDevice = schemas.MaxDeviceEvents

// refuseCrowds rejects what a device has beyond that, call by call.
func refuseCrowds(items []segment.Item) {
	if len(items) <= MaxOfDevice {
		return
	}
	seen := map[string]int{}
	for i := range items {
		e := items[i].Event
		if e == nil {
			continue
		}
		if seen[e.Device]++; seen[e.Device] > MaxOfDevice {
			items[i].Event = nil
			items[i].Reason = fmt.Sprintf("event %d of its device in one request, at most %d are taken: send it in the next",
				seen[e.Device], MaxOfDevice)
		}
	}
}

// bury keeps a body that doesn't read, and returns what to tell the client: why.
// One that is only too large is the client's to send in parts.
func (c *Collector) bury(r *http.Request, at call, a *account, raw []byte, why error) error {
	var no *refusal
	if errors.As(why, &no) && no.status != http.StatusBadRequest {
		return why
	}
	if err := a.take(bytesOfByte * int64(min(len(raw), maxOriginal))); err != nil {
		return err
	}
	l := at.letter(a.key, why.Error(), raw, c.cfg.Now().UnixMicro())
	if _, err := c.keep(r.Context(), nil, []*schemas.DeadLetter{l}); err != nil {
		return err
	}
	c.metrics.events.WithLabelValues(rejected).Inc()
	return why
}

// maxOriginal bounds what a dead letter keeps, so that it fits into one record
// of the log.
const maxOriginal = 512 << 10

// letter is the dead letter of bytes that could not be taken.
func (at call) letter(source, reason string, original []byte, received int64) *schemas.DeadLetter {
	if len(original) > maxOriginal {
		reason = fmt.Sprintf("%s (the first %d of %d bytes)", reason, maxOriginal, len(original))
		original = original[:maxOriginal]
	}
	return &schemas.DeadLetter{
		Reason: strings.ToValidUTF8(reason, "\uFFFD"), Original: original,
		Endpoint: at.path, Source: source, Received: received,
	}
}
