package main

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"time"

	"fernweh/batch"
	"fernweh/infra/kafka"
	"fernweh/ingest"
	"fernweh/ingest/spool"
	"fernweh/layer"
	"fernweh/schemas"
	serve "fernweh/serving"
	"fernweh/serving/index"
	"fernweh/speed"

	"golang.org/x/sync/errgroup"
)

// A part is a layer at work: it blocks until ctx is done or it cannot go on.
type part func(ctx context.Context) error

// together runs parts until one of them fails or ctx is done.
func together(ctx context.Context, parts ...part) error {
	g, ctx := errgroup.WithContext(ctx)
	for _, p := range parts {
		g.Go(func() error { return p(ctx) })
	}
	if err := g.Wait(); err != nil && !errors.Is(err, context.Canceled) {
		return err
	}
	return nil
}

// borne begins a part anew, ever later, when it panics: that is its own trouble and
// ends neither the process nor another part. An error ends them as ever.
func (s *stack) borne(name string, p part) part {
	return func(ctx context.Context) error {
		var wait layer.Backoff
		for {
			err := layer.Guard(func() error { return p(ctx) })
			fault, ok := errors.AsType[*layer.Panic](err)
			if !ok || ctx.Err() != nil {
				return err
			}
			slog.ErrorContext(ctx, "a panic is borne", "component", name, "panic", fault.Value, "stack", string(fault.Stack))
			s.health.Down(name, err)
			if !layer.Pause(ctx, wait.Next()) {
				return nil
			}
			s.health.Up(name)
		}
	}
}

// reader reads the event topic for one of the layers.
func (s *stack) reader(name, group string, most int, linger time.Duration) *kafka.Log {
	return kafka.NewLog(s.kafka, s.config.Log.Partitions, kafka.LogOptions{
		Group: group, MaxBatch: most, Linger: linger, Name: name, Health: s.health,
		Trouble: func(err error) { slog.Warn("reading the log goes on after an error", "reader", group, "error", err) },
	})
}

// ingest is the collector behind its door.
func (s *stack) ingest(l net.Listener) part {
	return func(ctx context.Context) error {
		c := s.config.Ingest
		keys := make(map[string]string, len(c.WriteKeys))
		for source, digest := range c.WriteKeys {
			keys[source] = hex.EncodeToString(digest[:])
		}
		collector, err := ingest.New(ingest.Config{
			Partitions: s.config.Log.Partitions, Keys: keys, AssumedConsent: c.AssumeConsent, Origins: c.Origins, Proxies: c.Proxies,
			Spool:   spool.Options{Dir: s.spoolDir(), MaxBytes: c.SpoolSize},
			Limits:  ingest.Limits{BodyBytes: c.MaxBody},
			Prepare: s.topics, Health: s.health,
			Metrics: s.metrics,
		}, s.producer, s.producer)
		if err != nil {
			return err
		}
		err = together(ctx, s.borne("spool", collector.Run), doorOf(l, collector.Server()))
		return errors.Join(err, collector.Close())
	}
}

// door serves HTTP on a listener until ctx is done, and lets requests in work
// come to their end.
func door(l net.Listener, h http.Handler) part {
	return doorOf(l, &http.Server{Handler: h, ReadHeaderTimeout: 10 * time.Second, IdleTimeout: 2 * time.Minute})
}

// doorOf is door of a server with deadlines of its own.
func doorOf(l net.Listener, server *http.Server) part {
	return func(ctx context.Context) error {
		return together(ctx,
			func(context.Context) error {
				if err := server.Serve(l); !errors.Is(err, http.ErrServerClosed) {
					return fmt.Errorf("serve %s: %w", l.Addr(), err)
				}
				return nil
			},
			func(ctx context.Context) error {
				<-ctx.Done()
				ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
				defer cancel()
				if err := server.Shutdown(ctx); err != nil {
					return server.Close() // a request that hangs does not keep the process
				}
				return nil
			})
	}
}

// speed keeps every visitor current.
func (s *stack) speed(ctx context.Context) error {
	c := s.config.Speed
	log := s.reader("speed", s.config.ofSet("fernweh-speed"), c.Batch, c.FlushDelay)
	return speed.New(log, speed.Stores{
		Views: s.views, Set: s.config.Views, Decisions: s.producer, Now: time.Now, Metrics: speed.NewMetrics(s.metrics), Health: s.health,
		MaxVisitors: max(c.Visitors/int(s.config.Log.Partitions), 1),
	}).Run(ctx)
}

// batch is the batch layer, ready to run.
func (s *stack) batch() *batch.Layer {
	c := s.config.Batch
	host, _ := os.Hostname() // only a name for a person
	return &batch.Layer{
		Settings: batch.Settings{
			Partitions: s.config.Log.Partitions, Segments: c.Segments, Restarts: c.Restarts, Seed: c.Seed,
			Memory: c.Memory, Sample: 250_000, ArchiveRows: int64(c.ArchiveRows), ArchiveFile: c.ArchiveFile, ArchiveHeld: c.ArchiveHeld,
			Patience: 10 * time.Minute, Grace: time.Minute, Set: s.config.Views, Holder: fmt.Sprintf("process %d on %s", os.Getpid(), host),
		},
		Views: s.views, Log: s.producer, Files: s.files, Now: time.Now, Health: s.health,
	}
}

// index keeps the documents current.
func (s *stack) index(ctx context.Context) error { return s.follower().Run(ctx) }

func (s *stack) follower() *index.Follower {
	return &index.Follower{
		Views: s.views, Documents: s.documents, Decisions: s.decisions(), Keep: keepDecisions,
		Now: time.Now, Metrics: index.NewMetrics(s.metrics), Health: s.health,
	}
}

// keepDecisions is how long decisions are found: as long as their topic has them.
const keepDecisions = 365 * 24 * time.Hour

// decisions reads the topic of decisions for the documents.
func (s *stack) decisions() *kafka.Decisions {
	const most, linger = 2000, 100 * time.Millisecond
	return kafka.NewDecisions(s.kafka, kafka.LogOptions{
		Group: s.config.ofSet("fernweh-index"), MaxBatch: most, Linger: linger, Name: "documents", Health: s.health,
		Trouble: func(err error) { slog.Warn("reading the decisions goes on after an error", "error", err) },
	})
}

// archive writes the log into the archive.
func (s *stack) archive(b *batch.Layer) part {
	return func(ctx context.Context) error {
		return b.Archive(ctx, s.reader("archive", "fernweh-archive", 10_000, 100*time.Millisecond))
	}
}

// schedule begins runs at the set hours of the portal's day.
func (s *stack) schedule(b *batch.Layer) part {
	c := s.config.Batch
	return s.borne("runs", func(ctx context.Context) error {
		return b.Follow(ctx, batch.Schedule{
			Hours: c.Schedule, Zone: s.config.Zone, Retry: c.Retry, QuietFrom: c.Quiet[0], QuietTo: c.Quiet[1],
		})
	})
}

// runs lets the API ask for batch runs.
type runs struct{ *batch.Layer }

// Run does one run, and tells its record when it changes.
func (r runs) Run(ctx context.Context, progress func(schemas.Run)) (schemas.Run, error) {
	run, err := r.Layer.Run(ctx, func(run schemas.Run, _, _ int64) { progress(run) })
	if busy := new(batch.Busy); errors.As(err, &busy) {
		return run, fmt.Errorf("%w: %w", serve.ErrRunning, err)
	}
	return run, err
}
