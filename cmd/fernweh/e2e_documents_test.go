package main_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"
)

// visits sends simulated visitors with a seed of their own until they are through.
func (p *portal) visits(ctx context.Context, seed, visitors int) error {
	c := fernweh(p.T, "simulate", "--collector-url", "http://"+p.doors[0], "--simulate-visitors", fmt.Sprint(visitors),
		"--simulate-days", "3", "--simulate-seed", fmt.Sprint(seed))
	said := new(transcript)
	c.Stdout, c.Stderr = said, said
	if err := c.Start(); err != nil {
		return err
	}
	defer context.AfterFunc(ctx, func() { _ = c.Process.Kill() })()
	if err := c.Wait(); err != nil {
		return fmt.Errorf("%w: %s", err, said)
	}
	return nil
}

// TestFullDiskAmongTraffic: what Bleve does on a full disk to an index that it was
// reading in ends no collector, each store's failure is named, and all recover when
// there is room, without a restart.
func TestFullDiskAmongTraffic(t *testing.T) {
	p := newPortal(t)
	disk := p.onSmallDisk(128)
	p.up()
	if err := p.visits(t.Context(), 1, 300); err != nil {
		t.Fatal(err)
	}
	p.batch()
	p.kill()
	p.up()

	ctx, cancel := context.WithCancel(t.Context())
	var traffic sync.WaitGroup
	traffic.Go(func() {
		for seed := 2; ctx.Err() == nil; seed++ {
			_ = p.visits(ctx, seed, 3000) // it is refused now and then, and killed in the end
		}
	})
	defer traffic.Wait()
	defer cancel()
	p.until("documents are written", 30*time.Second, func() error {
		if !strings.Contains(string(metricsOf(p)), `fernweh_index_documents_total{kind="visitors"}`) {
			return errors.New("none is counted")
		}
		return nil
	})
	disk.fill()
	named := map[string]string{"documents": "no space left on device", "collector door": "no space left on device"}
	p.until("each store that fails is named", 60*time.Second, func() error {
		p.alive()
		s := read[status](p, "/v1/status")
		for _, d := range s.Degraded {
			for component, why := range named {
				if strings.HasPrefix(d.Component, component) && d.State == "down" && strings.Contains(d.Reason, why) {
					delete(named, component)
				}
			}
		}
		if len(named) > 0 || s.Ready {
			return fmt.Errorf("ready %t, %v, want not ready, and also %v", s.Ready, s.Degraded, named)
		}
		return nil
	})
	if _, err := p.ask("GET", "/v1/health/ready", nil); statusOf(err) != 503 {
		t.Errorf("readiness on a full disk: got %v, want 503", err)
	}
	if v := read[person](p, "/v1/kpis?window=4h"); v.Stale {
		t.Error("answers on a full disk are not given as they are")
	}
	cancel()
	traffic.Wait()
	p.alive()

	disk.free()
	p.recovers()
	p.takes(booked("mueller", "after", 1))
	p.batch()
}

// metricsOf is what the process tells Prometheus.
func metricsOf(p *portal) []byte {
	p.Helper()
	b, err := p.ask("GET", "/metrics", nil)
	if err != nil {
		p.Fatal(err)
	}
	return b
}
