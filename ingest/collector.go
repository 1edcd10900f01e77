// Package ingest takes the website's events into the log without loss.
//
// A request is answered with 200 only when each of its events is where it can't
// be lost: in the log on all in-sync replicas, or, while its partition is away,
// fsynced in the spool of that partition. While that isn't empty new events of the
// partition go behind it, and one goroutine drains it, so a device's events keep
// their order, and one partition's trouble stays its own. When nothing can be made
// durable the answer is 429 and the client keeps them. What is no event is refused
// by itself, with its reason, and goes to the dead letters, which never stop the
// events. What was taken twice, because an answer got lost or an error meant
// "unknown", carries the same id twice.
package ingest

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/netip"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"fernweh/ingest/spool"
	"fernweh/schemas"
)

// A Log keeps events.
type Log interface {
	// Append returns when all events are durable, with the offset of each, negative
	// where it isn't known. One device's events keep their order. An error means
	// unknown: some may be in the log. Many goroutines call it.
	Append(ctx context.Context, events []*schemas.Event) (offsets []int64, err error)
}

// DeadLetters keep what could not be taken.
type DeadLetters interface {
	// AppendDeadLetters returns when all letters are durable. An error means
	// unknown.
	AppendDeadLetters(ctx context.Context, letters []*schemas.DeadLetter) error
}

// Config says how a collector works.
type Config struct {
	Partitions     int32             // of the event topic
	Keys           map[string]string // name of a source -> HashKey of its write key
	AssumedConsent bool              // the site asks before it sends
	Origins        []string          // that browsers may send from; "*": any
	Proxies        []netip.Prefix    // whose X-Forwarded-For is believed
	Spool          spool.Options
	Limits         Limits
	// Prepare returns when the log is known to be as it should be. It is asked until
	// it returns nil; until then all events go to the spool. nil: it is.
	Prepare func(ctx context.Context) error
	Health  Reporter         // nil: nobody is told
	Now     func() time.Time // nil: time.Now
	Metrics prometheus.Registerer
	Logger  *slog.Logger // nil: slog.Default
}

// Limits bound what one request and all together may take. Zero values stand
// for the defaults.
type Limits struct {
	BodyBytes     int64         // of a request, unpacked: 4 MiB
	KeylessBytes  int64         // the same, where no known write key stands before the body: 512 KiB
	EventBytes    int           // of one call: 256 KiB
	Events        int           // calls of one request: 10,000
	InFlightBytes int64         // that all requests hold at a time: 192 MiB, 48 times BodyBytes if that is more
	ReadTimeout   time.Duration // for a body to arrive: 15 s
	WriteTimeout  time.Duration // for an answer to be fetched: 15 s
	LetterBytes   int64         // of disk for dead letters that wait: a sixteenth of the spool's, at least 1 MiB
	AppendTimeout time.Duration // before events go to the spool: 3 s
	RetryDelay    time.Duration // between attempts to drain the spool: 500 ms
}

func (l Limits) withDefaults() Limits {
	or(&l.BodyBytes, 4<<20)
	or(&l.EventBytes, 256<<10)
	or(&l.Events, 10_000)
	or(&l.InFlightBytes, max(192<<20, 48*l.BodyBytes))
	or(&l.KeylessBytes, min(512<<10, l.BodyBytes))
	or(&l.ReadTimeout, 15*time.Second)
	or(&l.WriteTimeout, 15*time.Second)
	or(&l.AppendTimeout, 3*time.Second)
	or(&l.RetryDelay, 500*time.Millisecond)
	return l
}

func or[T comparable](v *T, standard T) {
	var zero T
	if *v == zero {
		*v = standard
	}
}

// A Collector is the door. It serves HTTP from New to Close; Run drains its
// spool meanwhile.
type Collector struct {
	cfg      Config
	log      Log
	letters  DeadLetters
	keys     keys
	lanes    []*lane      // by partition
	deadLane *lane        // of the dead letters
	row      *spool.Spool // of an earlier release, empty; it locks the directory
	dropped  atomic.Int64 // dead letters
	memory   *memory      // of requests with a known key
	keyless  *memory      // of those whose body must say it
	metrics  *metrics
	handler  http.Handler
	refused  atomic.Bool // a spool refused the last append: it is logged once

	refusal    chan struct{}         // a token after a refusal
	prepared   atomic.Bool           // the log is as it should be
	unprepared atomic.Pointer[error] // why not, as said last; nil: not asked yet
}

// New opens the spool. Nothing is appended to the log before Run.
func New(cfg Config, log Log, letters DeadLetters) (*Collector, error) {
	cfg.Limits = cfg.Limits.withDefaults()
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.Default()
	}
	if cfg.Partitions <= 0 {
		return nil, fmt.Errorf("open collector: %d partitions, at least one is needed", cfg.Partitions)
	}
	keys, err := parseKeys(cfg.Keys)
	if err != nil {
		return nil, fmt.Errorf("open collector: %w", err)
	}
	or(&cfg.Spool.MaxBytes, 1<<30)
	or(&cfg.Limits.LetterBytes, max(cfg.Spool.MaxBytes/16, 1<<20))
	c := &Collector{
		cfg: cfg, log: log, letters: letters, keys: keys, refusal: make(chan struct{}, 1),
		memory: newMemory(cfg.Limits.InFlightBytes), keyless: newMemory(cfg.Limits.InFlightBytes / 8),
	}
	c.prepared.Store(cfg.Prepare == nil)
	if err := c.openLanes(); err != nil {
		return nil, errors.Join(fmt.Errorf("open collector: %w", err), c.Close())
	}
	if c.metrics, err = newMetrics(cfg.Metrics, c); err != nil {
		return nil, errors.Join(fmt.Errorf("open collector: %w", err), c.Close())
	}
	c.handler = c.routes()
	return c, nil
}

// ServeHTTP is the collector's HTTP door: see docs/formats/collector.md.
func (c *Collector) ServeHTTP(w http.ResponseWriter, r *http.Request) { c.handler.ServeHTTP(w, r) }

// Server is the collector behind an HTTP server with bounds on all that comes
// before a request is known: a connection has ten seconds and 32 KiB for a header.
func (c *Collector) Server() *http.Server {
	return &http.Server{
		Handler: c, ReadHeaderTimeout: 10 * time.Second, IdleTimeout: time.Minute, MaxHeaderBytes: 32 << 10,
	}
}

// Close lets another process open the spool. No request may be under way, and
// Run must have returned.
func (c *Collector) Close() error {
	var errs []error
	for _, l := range c.lanes {
		errs = append(errs, l.close())
	}
	if c.deadLane != nil {
		errs = append(errs, c.deadLane.close())
	}
	if c.row != nil {
		errs = append(errs, c.row.Close())
	}
	return errors.Join(errs...)
}
