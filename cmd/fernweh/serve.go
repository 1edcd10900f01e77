package main

import (
	"context"
	"errors"
	"fmt"
	"net"

	serve "fernweh/serving"
	"fernweh/serving/access"
)

// runServe answers, and nothing else.
func runServe(ctx context.Context, c *config, to console) error {
	keys, err := openKeys(c)
	if err != nil {
		return err
	}
	doors, err := listen(c.Serve.Addr)
	if err != nil {
		return err
	}
	s, err := openStack(ctx, c, apiNote(doors[0])+viewsNote(c), needViews|makesTopic|comesEarly)
	if err != nil {
		return err
	}
	fmt.Fprintf(to.out, "the page is at http://%s/\n", reachable(doors[0]))
	if !keys.Any() {
		fmt.Fprintln(to.out, "there is no administrator's key, so nothing can be changed here: fernweh key new NAME makes one")
	}
	return errors.Join(s.with(s.serve(doors[0], keys, nil))(ctx), s.close())
}

// openKeys are the administrators' keys. Where other machines reach the API there
// must be one beforehand: a key that is made now would have been printed into a
// log.
func openKeys(c *config) (*access.Keys, error) {
	keys, err := access.OpenKeys(c.Serve.Keys, c.accessFolder())
	if err != nil {
		return nil, usage{err}
	}
	if c.exposed() && !keys.Any() {
		return nil, usage{fmt.Errorf("serve-addr %s is open to other machines, or allowed-hosts names some, and there is no administrator's key: "+
			"make one with fernweh key print NAME and give its SHA-256 in serve-admin-keys, or listen on 127.0.0.1", c.Serve.Addr)}
	}
	return keys, nil
}

// exposed says whether other machines reach the API: at its address, or because
// somebody passes their requests on.
func (c *config) exposed() bool { return !isLoopback(c.Serve.Addr) || c.Hosts.Foreign() }

// serve answers the website and the operators. layer is nil where no run can be
// asked for.
func (s *stack) serve(l net.Listener, keys *access.Keys, runs serve.Runs) part {
	return func(ctx context.Context) error {
		audit, err := access.OpenAudit(s.config.accessFolder())
		if err != nil {
			return err
		}
		c := serve.Config{
			Views: s.views, Partitions: s.config.Log.Partitions, Log: s.tail, Events: s.producer, Runs: runs,
			Version: thisBuild().Version, Registry: s.metrics, Health: s.health,
			Access: serve.Access{Keys: keys, Audit: audit, Hosts: s.config.Hosts, Exposed: s.config.exposed()},
		}
		if runs != nil {
			c.Rebuild = s.rebuild
		}
		server, err := serve.New(c)
		if err != nil {
			return errors.Join(err, audit.Close())
		}
		parts := []part{s.borne("views", server.Run), doorOf(l, serve.HTTPServer(server.Handler()))}
		if s.alone {
			parts = append(parts, s.ownerDoor(server))
		}
		return errors.Join(together(ctx, parts...), audit.Close())
	}
}
