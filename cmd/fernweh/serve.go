package main

import (
	"context"
	"errors"
	"fmt"
)

// runServe answers, and nothing else.
func runServe(ctx context.Context, c *config, to console) error {
	doors, err := listen(c.Serve.Addr)
	if err != nil {
		return err
	}
	s, err := openStack(ctx, c, apiNote(doors[0])+viewsNote(c), needViews|makesTopic|comesEarly)
	if err != nil {
		return err
	}
	fmt.Fprintf(to.out, "the page is at http://%s/\n", doors[0].Addr())
	return errors.Join(s.with(s.serve(doors[0], nil))(ctx), s.close())
}
