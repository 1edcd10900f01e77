package main

import (
	"context"
	"errors"
	"fmt"
)

// runIngest takes events, and nothing else.
func runIngest(ctx context.Context, c *config, to console) error {
	doors, err := listen(c.Ingest.Addr)
	if err != nil {
		return err
	}
	s, err := openStack(ctx, c, "fernweh ingest", needSpool|makesTopic)
	if err != nil {
		return err
	}
	fmt.Fprintf(to.out, "events go to http://%s/v1/batch\n", doors[0].Addr())
	return errors.Join(s.with(s.ingest(doors[0]))(ctx), s.close())
}
