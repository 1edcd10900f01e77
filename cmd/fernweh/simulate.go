package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"time"

	"fernweh/ingest/client"
	"fernweh/ingest/simulate"
)

// runSimulate sends a portal's history, and with a rate goes on live until it is
// interrupted.
func runSimulate(ctx context.Context, c *config, to console) error {
	now := time.Now()
	p, err := simulate.New(simulate.Settings{
		Seed: c.Client.Seed, Visitors: c.Client.Visitors, From: now.AddDate(0, 0, -c.Client.Days), To: now,
		Rate: float64(c.Client.Rate), Zone: c.Zone,
	})
	if err != nil {
		return err
	}
	if err := reach(ctx, client.New(c.toCollector(to.log), nil)); err != nil {
		return err
	}
	if c.Client.Truth != "" {
		if err := writeFile(c.Client.Truth, p.WriteTruth); err != nil {
			return err
		}
	}
	bar := newBar(to.log, "events")
	sender := client.New(c.toCollector(to.log), func(client.Event, client.Verdict) { bar.add(1) })
	counts, err := sender.Send(ctx, p.Events())
	bar.end()
	if ctx.Err() != nil {
		err = nil // it was told to stop
	}
	report(to.out, counts)
	return err
}

// toCollector says where to send. What makes it wait is said on w, at most once in ten
// seconds: a sender that is silent for minutes looks like one that works.
func (c *config) toCollector(w io.Writer) client.Settings {
	const every = 10 * time.Second
	var said time.Time
	return client.Settings{URL: c.Client.URL, Key: c.Client.WriteKey, Trouble: func(err error) {
		if now := time.Now(); now.Sub(said) >= every {
			said = now
			fmt.Fprintf(w, "the collector does not take events now, they are sent again until it does: %v\n", err)
		}
	}}
}

// reach refuses a collector that is not there before anything is sent or made.
func reach(ctx context.Context, sender *client.Client) error {
	if err := sender.Reach(ctx); err != nil {
		return fmt.Errorf("collector-url: %w; is fernweh up, or fernweh ingest, running there?", err)
	}
	return nil
}

// report says what became of what was sent.
func report(w io.Writer, n client.Counts) {
	fmt.Fprintf(w, "%d accepted, %d spooled, %d rejected, in %d requests, %d of them again\n",
		n.Accepted, n.Spooled, n.Rejected, n.Requests, n.Retries)
}

// writeFile writes a whole file or says what stands in the way.
func writeFile(name string, write func(io.Writer) error) error {
	f, err := os.Create(name)
	if err != nil {
		return err
	}
	if err := write(f); err != nil {
		f.Close()
		return fmt.Errorf("write %s: %w", name, err)
	}
	return f.Close()
}
