package main

import (
	"context"
	"errors"
)

// runSpeed keeps every visitor current, and nothing else.
func runSpeed(ctx context.Context, c *config, _ console) error {
	s, err := openStack(ctx, c, "fernweh speed", needViews|makesTopic|makesViews)
	if err != nil {
		return err
	}
	return errors.Join(s.with(s.speed)(ctx), s.close())
}
