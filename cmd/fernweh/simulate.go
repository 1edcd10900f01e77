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
	if c.Client.Truth != "" {
		if err := writeFile(c.Client.Truth, p.WriteTruth); err != nil {
			return err
		}
	}
	bar := newBar(to.log, "events")
	sender := client.New(client.Settings{URL: c.Client.URL, Key: c.Client.WriteKey}, func(client.Event, client.Verdict) { bar.add(1) })
	counts, err := sender.Send(ctx, p.Events())
	bar.end()
	if ctx.Err() != nil {
		err = nil // it was told to stop
	}
	report(to.out, counts)
	return err
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
