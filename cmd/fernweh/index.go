package main

import (
	"context"
	"errors"
)

// runIndex keeps the documents of search and dashboards current, and nothing else.
func runIndex(ctx context.Context, c *config, _ console) error {
	s, err := openStack(ctx, c, "fernweh index", needViews|needDocuments|makesTopic|comesEarly)
	if err != nil {
		return err
	}
	return errors.Join(s.with(s.index)(ctx), s.close())
}
