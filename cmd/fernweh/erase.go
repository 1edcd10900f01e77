package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"fernweh/infra/embedded"
	"fernweh/schemas"
	serve "fernweh/serving"
)

// runErase writes erasures into the log; the layers follow it.
func runErase(ctx context.Context, c *config, to console) error {
	if len(c.Log.Brokers) == 0 {
		// A log that were made now would have nobody to forget, and nobody would read it.
		if _, err := os.Stat(filepath.Join(c.DataDir, "log")); err != nil {
			return fmt.Errorf("there is no portal in %s (data-dir): %w; a portal on Kafka needs its kafka-brokers here, too", c.DataDir, err)
		}
	}
	s, err := openStack(ctx, c, "fernweh erase", needViews)
	if errors.Is(err, embedded.ErrLocked) {
		return askErase(ctx, c, err, to)
	}
	if err != nil {
		return err
	}
	erased, err := s.erase(ctx)
	if err == nil {
		printErased(to.out, erased)
	}
	return errors.Join(err, s.close())
}

// erase writes the erasure that the settings ask for.
func (s *stack) erase(ctx context.Context) (erased serve.Erased, err error) {
	partitions := s.config.Log.Partitions
	reader := serve.Reader{Views: s.views, Now: time.Now, Horizon: func(ctx context.Context) (serve.Horizon, error) {
		return serve.ReadHorizon(ctx, s.views, partitions, time.Now())
	}}
	var events []*schemas.Event
	if device := s.config.Erase.Device; device != "" {
		events = serve.EraseVisitor(device, time.Now())
	} else if events, erased.LeftOut, err = reader.ErasePerson(ctx, s.config.Erase.Customer); err != nil {
		return erased, err
	}
	offsets, err := s.producer.Append(ctx, events)
	if err != nil {
		return erased, err
	}
	erased.Devices, erased.After = len(events), serve.After(events, offsets, partitions)
	return erased, nil
}

func printErased(w io.Writer, e serve.Erased) {
	fmt.Fprintf(w, "the erasure of %d devices is in the log; speed has followed when it is past %s\n", e.Devices, e.After)
	if e.LeftOut > 0 {
		fmt.Fprintf(w, "%d more devices are linked: erase again when these are gone\n", e.LeftOut)
	}
}
