package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// with runs parts together, and beside them, where one is set, the door at which
// this process tells how it is. It lives as long as it answers: a store that is away
// is borne by the layers, and would not come back for a restart. It is ready while
// each of its layers can do its work. A log in this process that
// lost a write ends it: what the disk has is read by the next.
func (s *stack) with(parts ...part) part {
	if s.broker != nil {
		parts = append(parts, s.broker.Run)
	}
	if s.config.Admin == "" {
		return func(ctx context.Context) error { return together(ctx, parts...) }
	}
	return func(ctx context.Context) error {
		doors, err := listen(s.config.Admin)
		if err != nil {
			return err
		}
		return together(ctx, append(parts, doorOf(doors[0], s.admin()))...)
	}
}

// scrapeLimit is more than any of its answers takes, also to a slow reader.
const scrapeLimit = 30 * time.Second

func (s *stack) admin() *http.Server {
	fine := func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "ok") }
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", fine)
	mux.HandleFunc("GET /readyz", s.readyz)
	mux.Handle("GET /metrics", promhttp.HandlerFor(s.metrics, promhttp.HandlerOpts{}))
	return &http.Server{
		Handler: s.config.Hosts.Guard(mux), ReadTimeout: healthPatience, WriteTimeout: scrapeLimit, IdleTimeout: time.Minute,
		MaxHeaderBytes: 64 << 10,
	}
}

// readyz says whether the layers of this process can do their work, and what they
// lack.
func (s *stack) readyz(w http.ResponseWriter, _ *http.Request) {
	var lines strings.Builder
	status := http.StatusOK
	for _, t := range s.health.Troubles() {
		state := "limited"
		if t.Down {
			state, status = "down", http.StatusServiceUnavailable
		}
		fmt.Fprintf(&lines, "%s is %s since %s, after %d failures: %s\n",
			t.Component, state, t.Since.UTC().Format(time.RFC3339), t.Attempts, t.Reason)
	}
	if lines.Len() == 0 {
		lines.WriteString("ok\n")
	}
	w.WriteHeader(status)
	fmt.Fprint(w, lines.String())
}

// healthPatience is how long a process may take to say how it is.
const healthPatience = 5 * time.Second

// runHealth asks a process how it is: an image without a shell has no other way.
func runHealth(ctx context.Context, c *config, to console) error {
	url := "http://127.0.0.1:8081/v1/health/ready"
	switch len(c.Args) {
	case 0:
	case 1:
		url = c.Args[0]
	default:
		return usage{errors.New("health asks one URL")}
	}
	ctx, cancel := context.WithTimeout(ctx, healthPatience)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return usage{err}
	}
	client := http.Client{Transport: &http.Transport{DialContext: (&net.Dialer{}).DialContext}} // no proxy
	resp, err := client.Do(r)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("%s answers %s", url, resp.Status)
	}
	fmt.Fprintln(to.out, "ok")
	return nil
}
