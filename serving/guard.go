package serving

import (
	"context"
	"crypto/rand"
	"fmt"
	"net/http"
	"net/netip"
	"strings"
	"sync/atomic"
	"time"

	"fernweh/serving/access"

	"github.com/danielgtaylor/huma/v2"
	"github.com/go-chi/chi/v5"
)

// Keys know the administrators' keys.
type Keys interface {
	// Find names a key; ok is false where it is none. It may be called from any
	// goroutine.
	Find(key string) (name string, ok bool)
}

// Audit keeps what was done here.
type Audit interface {
	// Append adds a line, which is durable when it returns nil. It may be called
	// from any goroutine.
	Append(access.Record) error
}

// Access says who may ask for what. Its zero value answers this machine's reads
// and lets nobody act.
type Access struct {
	Keys    Keys  // nil: there is none
	Audit   Audit // nil: nothing is kept, so nobody may act
	Hosts   access.Hosts
	Exposed bool // other machines reach the server: personal answers ask for a key, too
}

// A guard stands before every answer.
type guard struct {
	Access
	now     func() time.Time
	refused func(reason string) // counts
	routes  chi.Routes          // for the names of what was refused

	guesses access.Allowance // wrong keys, by address
	lines   access.Allowance // of the audit, for all refusals together
	left    atomic.Int64     // refusals that got no line
}

// A person's mistakes are within these; the rest of a flood costs an answer of 429
// and no line. A right key is taken all the same, so that a stranger behind the
// same proxy locks nobody out.
const (
	guessesAtOnce = 10
	guessEvery    = 5 * time.Second
	linesAtOnce   = 50
	lineEvery     = 30 * time.Second
)

func newGuard(a Access, now func() time.Time, refused func(string)) *guard {
	return &guard{
		Access: a, now: now, refused: refused,
		guesses: access.Allowance{AtOnce: guessesAtOnce, Every: guessEvery},
		lines:   access.Allowance{AtOnce: linesAtOnce, Every: lineEvery},
	}
}

// owner marks the requests of who is let in without a key.
type owner struct{}

// OwnerHandler answers as Handler does, and takes every request as the owner's: for
// a door that the system opens to nobody else. name stands in the audit.
func (s *Server) OwnerHandler(name string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.handler.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), owner{}, name)))
	})
}

// screen turns away what no page or tool of ours sends, before anything is looked
// at: a host that is none of this server's, an act from a page of another origin.
func (g *guard) screen(next http.Handler) http.Handler {
	origin := http.NewCrossOriginProtection()
	origin.SetDenyHandler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		g.turnAway(r, "origin", fmt.Sprintf("the page of another origin, %.200q", r.Header.Get("Origin")))
		problem(w, http.StatusForbidden, "a page of another origin may not act here")
	}))
	same := origin.Handler(next)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Cache-Control", "no-store") // the page, which is nobody's, says something else
		_, isOwner := r.Context().Value(owner{}).(string)
		if !isOwner && !g.Hosts.Allow(r) {
			g.turnAway(r, "host", fmt.Sprintf("the host %.200q", r.Host))
			problem(w, http.StatusMisdirectedRequest, access.Misdirected(r))
			return
		}
		same.ServeHTTP(w, r)
	})
}

// turnAway counts a refusal, and keeps it where it was one of an act.
func (g *guard) turnAway(r *http.Request, reason, detail string) {
	g.refused(reason)
	if !isAct(r.Method) {
		return
	}
	path := r.URL.RawPath
	if path == "" {
		path = r.URL.Path
	}
	route, found := "unknown", chi.NewRouteContext()
	if g.routes.Match(found, r.Method, path) {
		route = found.RoutePattern() // the path may name a person
	}
	g.refuse(access.Record{Act: r.Method + " " + route, From: addressOf(r.RemoteAddr).String(), Detail: detail})
}

// isAct says whether a request may change something.
func isAct(method string) bool {
	return method != http.MethodGet && method != http.MethodHead && method != http.MethodOptions
}

// refuse keeps a refusal. A flood of them gets a line now and then, which says how
// many it stands for.
func (g *guard) refuse(r access.Record) {
	if g.Audit == nil {
		return
	}
	now := g.now()
	if !g.lines.Take(netip.Addr{}, now) {
		g.left.Add(1)
		return
	}
	r.At, r.What, r.Left = now.UTC(), access.Refused, g.left.Swap(0)
	if g.Audit.Append(r) != nil { // nothing was done, so nothing is left undone
		g.left.Add(r.Left + 1)
	}
}

// keyScheme is the name of the keys in the API's description.
const keyScheme = "adminKey"

// open marks an operation whose answers name no person.
const open = "open"

// admit asks for a key: for every act, and, where other machines reach the server,
// for every answer that is not marked as open.
func (g *guard) admit(api huma.API) func(huma.Context, func(huma.Context)) {
	return func(ctx huma.Context, next func(huma.Context)) {
		op := ctx.Operation()
		act := isAct(op.Method)
		if !act && (!g.Exposed || op.Metadata[open] == true) {
			next(ctx)
			return
		}
		by, no := g.identify(ctx)
		switch {
		case no != nil:
			if act || no.wrong {
				g.refuse(access.Record{Act: op.OperationID, From: addressOf(ctx.RemoteAddr()).String(), Detail: no.detail})
			}
			no.write(api, ctx)
		case act:
			g.audited(ctx, by, next)
		default:
			next(ctx)
		}
	}
}

// A denial is why somebody is not let in.
type denial struct {
	wrong  bool // there was a key
	status int
	detail string
}

// identify says who asks.
func (g *guard) identify(ctx huma.Context) (by string, no *denial) {
	if name, ok := ctx.Context().Value(owner{}).(string); ok {
		return name, nil
	}
	scheme, key, _ := strings.Cut(ctx.Header("Authorization"), " ")
	if !strings.EqualFold(scheme, "Bearer") || key == "" {
		g.refused("key")
		return "", &denial{status: http.StatusUnauthorized, detail: "this asks for an administrator's key: Authorization: Bearer KEY; fernweh key new makes one"}
	}
	if g.Keys != nil {
		if name, ok := g.Keys.Find(strings.TrimSpace(key)); ok {
			return name, nil
		}
	}
	if !g.guesses.Take(addressOf(ctx.RemoteAddr()), g.now()) {
		g.refused("guesses")
		return "", &denial{wrong: true, status: http.StatusTooManyRequests, detail: "too many wrong keys from this address"}
	}
	g.refused("key")
	return "", &denial{wrong: true, status: http.StatusUnauthorized, detail: "the key is none of this server's"}
}

func (d *denial) write(api huma.API, ctx huma.Context) {
	challenge := `Bearer realm="fernweh"`
	if d.wrong {
		challenge += `, error="invalid_token"`
	}
	if d.status == http.StatusTooManyRequests {
		ctx.SetHeader("Retry-After", fmt.Sprint(int(guessEvery.Seconds())))
	}
	ctx.SetHeader("WWW-Authenticate", challenge)
	_ = huma.WriteErr(api, ctx, d.status, d.detail) // the client is gone if this fails
}

// addressOf is the address of host:port; the zero Addr of what is none.
func addressOf(remote string) netip.Addr {
	a, _ := netip.ParseAddrPort(remote)
	return a.Addr()
}

// An act is what one request is about to change.
type act struct {
	guard  *guard
	record access.Record
	begun  bool
	ended  string // in a word, where it went well
}

// actKey finds the act of a request.
type actKey struct{}

// audited does an act, and keeps how it ended: also where it panics.
func (g *guard) audited(ctx huma.Context, by string, next func(huma.Context)) {
	a := &act{guard: g, record: access.Record{
		ID: rand.Text()[:12], Act: ctx.Operation().OperationID, By: by, From: addressOf(ctx.RemoteAddr()).String(),
	}}
	ended := false
	defer func() {
		status := ctx.Status()
		if !ended {
			status = http.StatusInternalServerError
		}
		a.end(status)
	}()
	next(huma.WithValue(ctx, actKey{}, a))
	ended = true
}

// begin keeps what is about to be done. Where that cannot be kept, it must not be
// done.
func (a *act) begin(target string) error {
	if a.guard.Audit == nil {
		return errNoAudit
	}
	a.record.Target = target
	r := a.record
	r.At, r.What = a.guard.now().UTC(), access.Begun
	if err := a.guard.Audit.Append(r); err != nil {
		return unavailable{err}
	}
	a.begun = true
	return nil
}

// end keeps what became of it. What was not begun was a request without sense.
func (a *act) end(status int) {
	r := a.record
	r.Detail = strings.TrimSpace(fmt.Sprintf("%d %s", status, a.ended))
	switch {
	case !a.begun:
		a.guard.refuse(r)
		return
	case status < http.StatusBadRequest:
		r.What = access.Done
	default:
		r.What = access.Failed
	}
	r.At = a.guard.now().UTC()
	if a.guard.Audit.Append(r) != nil { // it is done: the line that it begins stays without its end
		a.guard.refused("audit")
	}
}

// acting lets an operation begin only when its line is kept. target names what it
// is done to, ended in a word what came of it.
func acting[I, O any](target func(*I) string, ended func(*O) string, do func(context.Context, *I) (*O, error)) func(context.Context, *I) (*O, error) {
	return func(ctx context.Context, in *I) (*O, error) {
		a, ok := ctx.Value(actKey{}).(*act)
		if !ok {
			return answer[O](nil, errNoAudit)
		}
		if err := a.begin(target(in)); err != nil {
			return answer[O](nil, err)
		}
		out, err := do(ctx, in)
		if err == nil {
			a.ended = ended(out)
		}
		return out, err
	}
}
