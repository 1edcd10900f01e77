package main

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"fernweh/ingest/client"
	"fernweh/ingest/replay"
)

// runReplay sends recorded behaviour at its own event time.
func runReplay(ctx context.Context, c *config, to console) error {
	f, err := replay.Lookup(c.Client.Format)
	if err != nil {
		return usage{fmt.Errorf("replay-format: %w", err)}
	}
	if len(c.Args) == 0 {
		return usage{fmt.Errorf("replay: which files? They must be of the format %s: %s", f.Name, f.About)}
	}
	for _, file := range c.Args {
		if err := expectFile(file); err != nil {
			return fmt.Errorf("replay: %w", err)
		}
	}
	if err := reach(ctx, client.New(c.toCollector(to.log), nil)); err != nil {
		return err
	}
	var total client.Counts
	for _, file := range c.Args {
		events, err := f.Read(file)
		if err != nil {
			return err
		}
		bar := newBar(to.log, fmt.Sprintf("of %d events of %s", len(events), file[strings.LastIndex(file, "/")+1:]))
		sender := client.New(c.toCollector(to.log), func(e client.Event, v client.Verdict) {
			bar.add(1)
			if v.Status == client.Rejected {
				fmt.Fprintf(to.log, "rejected %s: %s\n", e.Id, v.Reason)
			}
		})
		n, err := sender.Send(ctx, slices.Values(events))
		bar.end()
		total.Accepted += n.Accepted
		total.Spooled += n.Spooled
		total.Rejected += n.Rejected
		total.Requests += n.Requests
		total.Retries += n.Retries
		if err != nil {
			return err
		}
	}
	report(to.out, total)
	return nil
}
