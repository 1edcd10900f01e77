package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"fernweh/infra/embedded"
	"fernweh/schemas"
	serve "fernweh/serving"
	"fernweh/serving/access"
)

// runErase writes erasures into the log; the layers follow it.
func runErase(ctx context.Context, c *config, to console) error {
	needs := needViews
	if c.Erase.Force {
		needs = 0 // whoever knows better needs no views, which may be away
	}
	s, err := openStack(ctx, c, "fernweh erase", needs)
	if errors.Is(err, embedded.ErrLocked) {
		return askErase(ctx, c, err, to)
	}
	if err != nil {
		return err
	}
	act, target := "erase-visitor", access.Hash("device", c.Erase.Device)
	if c.Erase.Customer != "" {
		act, target = "erase-person", access.Hash("customer", c.Erase.Customer)
	}
	err = s.acting(act, target, func() (string, error) {
		erased, err := s.erase(ctx)
		if err == nil {
			printErased(to.out, erased)
		}
		return fmt.Sprintf("%d devices", erased.Devices), err
	})
	return errors.Join(err, s.close())
}

// erase writes the erasure that the settings ask for.
func (s *stack) erase(ctx context.Context) (erased serve.Erased, err error) {
	partitions := s.config.Log.Partitions
	reader := serve.Reader{Views: s.views, Now: time.Now, Horizon: func(ctx context.Context) (serve.Horizon, error) {
		return serve.ReadHorizon(ctx, s.views, partitions, time.Now())
	}}
	var events []*schemas.Event
	switch c := s.config.Erase; {
	case c.Force:
		events = serve.EraseVisitor(c.Device, time.Now())
	case c.Device != "":
		events, err = reader.EraseKnown(ctx, c.Device)
	default:
		events, erased.LeftOut, err = reader.ErasePerson(ctx, c.Customer)
	}
	if errors.Is(err, serve.ErrUnknown) {
		err = fmt.Errorf("%w: with --device and --force it is erased all the same", err)
	}
	if err != nil {
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
