package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"path/filepath"
)

// runUp is every layer in one process.
func runUp(ctx context.Context, c *config, to console) error {
	doors, err := listen(c.Ingest.Addr, c.Serve.Addr)
	if err != nil {
		return err
	}
	made := len(c.Log.Brokers) == 0 && !isDir(filepath.Join(c.DataDir, "log"))
	s, err := openStack(ctx, c, apiNote(doors[1])+viewsNote(c), everyNeed|makesAll)
	if err != nil {
		return err
	}
	if made {
		fmt.Fprintf(to.out, "a new portal is made in %s\n", c.DataDir)
	}
	layer := s.batch()
	fmt.Fprintf(to.out, "events go to    http://%s/v1/batch\nthe page is at  http://%s/\n", doors[0].Addr(), doors[1].Addr())
	err = s.with(s.ingest(doors[0]), s.speed, s.archive(layer), s.schedule(layer), s.index, s.serve(doors[1], layer))(ctx)
	return errors.Join(err, s.close())
}

// listen opens the doors first: a port that is taken is said before anything is
// touched.
func listen(addrs ...string) ([]net.Listener, error) {
	var doors []net.Listener
	for _, addr := range addrs {
		l, err := net.Listen("tcp", addr)
		if err != nil {
			for _, open := range doors {
				err = errors.Join(err, open.Close())
			}
			return nil, fmt.Errorf("listen on %s: %w", addr, err)
		}
		doors = append(doors, l)
	}
	return doors, nil
}

const notePrefix = "its API is http://"

// apiNote is what a second process is told: where to ask this one.
func apiNote(api net.Listener) string { return notePrefix + api.Addr().String() }
