package serving

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"fernweh/serving/access"
	"fernweh/serving/dashboard"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humachi"
	"github.com/go-chi/chi/v5"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"golang.org/x/sync/errgroup"
)

// Config is what a Server needs. Views and Partitions must be given.
type Config struct {
	Views      Views
	Partitions int32 // of the event topic
	Log        Log   // nil: how far speed lags is not known
	Runs       Runs  // nil: no run can be started here
	Rebuild    Rebuild
	Events     Events // nil: nobody can be erased here
	Health     Health // nil: nothing else in this process can be in trouble
	Version    string
	Now        func() time.Time     // nil: time.Now
	Timeout    time.Duration        // of one answer, waiting not counted; 0: 5 s
	Registry   *prometheus.Registry // nil: one of its own
	Access     Access

	WritePatience time.Duration // for a client to read an answer; 0: 30 s
}

// defaultTimeout is far beyond what any answer takes, and short of what a person
// waits.
const defaultTimeout = 5 * time.Second

// A Server answers over HTTP. Handler may be called at once; what is published
// is seen, and runs are started, only while Run runs.
type Server struct {
	config  Config
	reader  Reader
	watcher *watcher
	runner  *runner
	windows chan struct{} // a token for each long window that may be read at once
	guard   *guard
	handler http.Handler
}

// New prepares a server. It reads nothing yet.
func New(c Config) (*Server, error) {
	if c.Views == nil || c.Partitions <= 0 {
		return nil, fmt.Errorf("prepare serving: views %v and %d partitions: both must be given", c.Views, c.Partitions)
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Timeout == 0 {
		c.Timeout = defaultTimeout
	}
	if c.WritePatience == 0 {
		c.WritePatience = writePatience
	}
	if c.Registry == nil {
		c.Registry = prometheus.NewRegistry()
	}
	c.Views = store{c.Views}
	s := &Server{config: c, runner: newRunner(c.Runs), windows: make(chan struct{}, windowsAtOnce)}
	s.watcher = &watcher{
		views: c.Views, log: c.Log, partitions: c.Partitions, now: c.Now, began: c.Now(),
		hurry: make(chan struct{}, 1), waiting: make(map[*waiter]struct{}),
	}
	s.reader = Reader{Views: c.Views, Horizon: s.watcher.horizon, Now: c.Now}
	m, err := newMetrics(c.Registry, s.watcher)
	if err != nil {
		return nil, err
	}
	s.guard = newGuard(c.Access, c.Now, func(reason string) { m.refused.WithLabelValues(reason).Inc() })
	s.handler = s.routes(m)
	return s, nil
}

// Handler answers the API, the metrics and the operators' page.
func (s *Server) Handler() http.Handler { return s.handler }

// Run follows what is published, and does the runs that are asked for, until ctx
// is done.
func (s *Server) Run(ctx context.Context) error {
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return s.watcher.Run(ctx) })
	g.Go(func() error { return s.runner.Run(ctx) })
	if err := g.Wait(); !errors.Is(err, context.Canceled) {
		return err
	}
	return nil
}

// routes is the table of contents of what is answered.
func (s *Server) routes(m *metrics) http.Handler {
	r := chi.NewRouter()
	s.guard.routes = r
	r.Use(m.observe, patient(s.config.WritePatience), s.guard.screen)
	r.NotFound(func(w http.ResponseWriter, r *http.Request) {
		problem(w, http.StatusNotFound, "there is no "+r.URL.Path+"; what there is stands in /openapi.json")
	})
	r.MethodNotAllowed(func(w http.ResponseWriter, r *http.Request) {
		problem(w, http.StatusMethodNotAllowed, r.Method+" is not for "+r.URL.Path+"; see /openapi.json")
	})
	s.register(humachi.New(r, s.openAPI()))
	r.Method(http.MethodGet, "/metrics", promhttp.HandlerFor(s.config.Registry, promhttp.HandlerOpts{}))
	page := dashboard.Handler()
	r.Method(http.MethodGet, "/", page)
	r.Method(http.MethodGet, "/dashboard/*", http.StripPrefix("/dashboard", page))
	return r
}

// openAPI configures the API's description. The page that huma would show it on
// loads scripts from a foreign host, so there is none.
func (s *Server) openAPI() huma.Config {
	c := huma.DefaultConfig("Fernweh", s.config.Version)
	c.Info.Description = "What the portal's visitors do and are: batch and speed merged, " +
		"each answer with the prefix of the log that it is the fold of."
	c.DocsPath, c.SchemasPath, c.CreateHooks = "", "", nil
	c.RejectUnknownQueryParameters = true
	c.Components.SecuritySchemes = map[string]*huma.SecurityScheme{keyScheme: {
		Type: "http", Scheme: "bearer", Description: "An administrator's key: asked for every act and, " +
			"where other machines reach the server, for every answer that may name a person.",
	}}
	return c
}

// register binds every operation. One that is not public may name a person, one
// that is no GET is an act.
func (s *Server) register(api huma.API) {
	api.UseMiddleware(s.guard.admit(api))
	huma.Register(api, s.personal("/v1/visitors/{id}", "visitor", "A device, and how we know", 404), s.visitor)
	huma.Register(api, s.personal("/v1/persons/{customer}", "person", "A customer's devices side by side", 404), s.person)
	huma.Register(api, public("/v1/segments", "segments", "The segments of the model in force"), s.segments)
	huma.Register(api, public("/v1/kpis", "kpis", "The portal's numbers in a window of time"), s.kpis)
	huma.Register(api, public("/v1/runs", "runs", "Batch runs, the latest first"), s.runs)
	huma.Register(api, public("/v1/runs/{number}", "run", "One batch run", 404), s.run)
	huma.Register(api, public("/v1/status", "status", "What is published, and how far speed is"), s.status)
	huma.Register(api, public("/v1/health/live", "live", "Whether the process answers"), s.live)
	huma.Register(api, public("/v1/health/ready", "ready", "Whether questions can be answered"), s.ready)
	s.registerActs(api)
}

// registerActs binds what changes something: each names in the audit what it is
// done to before it is done.
func (s *Server) registerActs(api huma.API) {
	huma.Register(api, accepted(action("DELETE", "/v1/visitors/{id}", "erase-visitor", "Forget a device", 404, 501)),
		acting(func(in *eraseVisitorInput) string { return access.Hash("device", in.ID) }, (*erasedOutput).ended, s.eraseVisitor))
	huma.Register(api, accepted(action("DELETE", "/v1/persons/{customer}", "erase-person", "Forget a customer on every device", 404, 501)),
		acting(func(in *erasePersonInput) string { return access.Hash("customer", in.Customer) }, (*erasedOutput).ended, s.erasePerson))
	huma.Register(api, accepted(action("POST", "/v1/runs", "start-run", "Start a batch run", 409, 501)),
		acting(func(*struct{}) string { return "" }, (*runOutput).ended, s.startRun))
	huma.Register(api, action("POST", "/v1/rebuilds", "rebuild", "Make another set of views from the archive and the log", 409, 501),
		acting(func(in *rebuildInput) string { return "views " + in.Body.Views }, (*rebuildOutput).ended, s.rebuild))
	huma.Register(api, action("POST", "/v1/generations/rollback", "rollback", "Publish an older generation again", 409, 501),
		acting(func(in *rollbackInput) string { return fmt.Sprint("generation ", in.Body.To) }, (*rollbackOutput).ended, s.rollback))
}

func operation(method, path, id, summary string, errors ...int) huma.Operation {
	return huma.Operation{
		Method: method, Path: path, OperationID: id, Summary: summary, Errors: append(errors, 421, 422, 500, 503),
	}
}

// public is a read whose answer names no person: it never asks for a key.
func public(path, id, summary string, errors ...int) huma.Operation {
	o := operation(http.MethodGet, path, id, summary, errors...)
	o.Metadata = map[string]any{open: true}
	o.Security = []map[string][]string{}
	return o
}

// personal is a read that may name a person.
func (s *Server) personal(path, id, summary string, errors ...int) huma.Operation {
	o := operation(http.MethodGet, path, id, summary, append(errors, 401, 429)...)
	o.Security = []map[string][]string{{keyScheme: {}}}
	if !s.config.Access.Exposed {
		o.Security = append(o.Security, map[string][]string{}) // or none
	}
	return o
}

// action is an operation that changes something.
func action(method, path, id, summary string, errors ...int) huma.Operation {
	o := operation(method, path, id, summary, append(errors, 401, 403, 429)...)
	o.Security = []map[string][]string{{keyScheme: {}}}
	return o
}

// accepted is an operation that is answered before it has come to its end.
func accepted(o huma.Operation) huma.Operation {
	o.DefaultStatus = http.StatusAccepted
	return o
}

// problem writes an error of the router in the API's shape.
func problem(w http.ResponseWriter, status int, detail string) {
	w.Header().Set("Content-Type", "application/problem+json")
	w.WriteHeader(status)
	_ = huma.DefaultJSONFormat.Marshal(w, &huma.ErrorModel{ // the client is gone if this fails
		Status: status, Title: http.StatusText(status), Detail: detail,
	})
}
