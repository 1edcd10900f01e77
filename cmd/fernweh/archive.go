package main

import (
	"context"
	"errors"
)

// runArchive writes the log into the archive, and nothing else.
func runArchive(ctx context.Context, c *config, _ console) error {
	s, err := openStack(ctx, c, "fernweh archive", needFiles|makesTopic|makesFiles)
	if err != nil {
		return err
	}
	return errors.Join(s.with(s.archive(s.batch()))(ctx), s.close())
}
