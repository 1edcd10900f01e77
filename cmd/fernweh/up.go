package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"path/filepath"
	"strconv"
)

// runUp is every layer in one process.
func runUp(ctx context.Context, c *config, to console) error {
	keys, err := openKeys(c)
	if err != nil {
		return err
	}
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
	if err := firstKey(c, keys, to); err != nil {
		return errors.Join(err, s.close())
	}
	layer := s.batch()
	fmt.Fprintf(to.out, "events go to    http://%s/v1/batch\nthe page is at  http://%s/\n", reachable(doors[0]), reachable(doors[1]))
	err = s.with(s.ingest(doors[0]), s.speed, s.archive(layer), s.schedule(layer), s.index, s.serve(doors[1], keys, runs{layer}))(ctx)
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
func apiNote(api net.Listener) string { return notePrefix + reachable(api) }

// reachable is where this machine reaches a door: one that is open at every
// address is asked at none of them by the name of all.
func reachable(l net.Listener) string {
	a, ok := l.Addr().(*net.TCPAddr)
	if !ok || !a.IP.IsUnspecified() {
		return l.Addr().String()
	}
	return net.JoinHostPort("127.0.0.1", strconv.Itoa(a.Port))
}
