package kafka

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"time"

	"github.com/IBM/sarama"
)

// pauseUnless waits between attempts, unless ctx is done: then all that are left fail at once.
func pauseUnless(ctx context.Context) func(retries, maxRetries int) time.Duration {
	return func(int, int) time.Duration {
		if ctx.Err() != nil {
			return 0
		}
		return pause
	}
}

// A dial makes connections for sarama, which knows no context.
type dial func(network, address string) (net.Conn, error)

// Dial makes one connection.
func (d dial) Dial(network, address string) (net.Conn, error) { return d(network, address) }

// dialer makes connections that end with ctx, so that no call outlasts it by
// more than a pause.
func dialer(ctx context.Context) dial {
	return func(network, address string) (net.Conn, error) {
		d := net.Dialer{Timeout: dialTimeout}
		conn, err := d.DialContext(ctx, network, address)
		if err != nil {
			return nil, err
		}
		stop := context.AfterFunc(ctx, func() { conn.Close() }) // its error is the reader's too
		return &boundConn{conn, stop}, nil
	}
}

// A boundConn is a connection that ends with a context.
type boundConn struct {
	net.Conn
	stop func() bool
}

// Close ends the connection before its context does.
func (c *boundConn) Close() error {
	c.stop()
	if err := c.Conn.Close(); !errors.Is(err, net.ErrClosed) {
		return err
	}
	return nil
}

// newClient makes a client that connects when it is used and ends with ctx.
func (c Config) newClient(ctx context.Context) (sarama.Client, error) {
	config, err := c.sarama(ctx)
	if err != nil {
		return nil, err
	}
	return newClient(c.Brokers, config)
}

// A client may be closed more than once, and from more than one side at a time,
// which sarama's own answers with a panic.
type client struct {
	sarama.Client
	close func() error
}

// newClient makes a client that connects when it is used.
func newClient(brokers []string, config *sarama.Config) (sarama.Client, error) {
	c, err := sarama.NewClient(brokers, config)
	if err != nil {
		return nil, err
	}
	return &client{c, sync.OnceValue(c.Close)}, nil
}

// Close closes the client, and waits if another is at it.
func (c *client) Close() error { return c.close() }

// againWithin is how long a first call waits before it tries again.
const againWithin = 500 * time.Millisecond

// withAdmin lends an admin, who asks for so long as the configuration says while
// the brokers are away: a layer may be started before them. What can't heal by
// itself goes up at once, and everything in words that say what to change.
func withAdmin(ctx context.Context, cfg Config, do func(context.Context, sarama.ClusterAdmin) error) error {
	if err := cfg.Check(); err != nil {
		return err
	}
	start, cancel := context.WithTimeout(ctx, cfg.startWithin())
	defer cancel()
	var why error
	for {
		err := attempt(start, cfg, do)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if err == nil || !unconnected(err) {
			return err
		}
		if why == nil || start.Err() == nil {
			why = cfg.explain(ctx, err)
		}
		if lasting(why) {
			return why
		}
		select {
		case <-time.After(againWithin):
		case <-start.Done():
			if ctx.Err() != nil {
				return fmt.Errorf("%w, and until then %w", ctx.Err(), why)
			}
			return fmt.Errorf("%w (asked for %v)", why, cfg.startWithin())
		}
	}
}

// attempt lends an admin once.
func attempt(ctx context.Context, cfg Config, do func(context.Context, sarama.ClusterAdmin) error) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	config, err := cfg.sarama(ctx)
	if err != nil {
		return err
	}
	config.Metadata.Full = true                              // an admin asks for the controller
	config.Metadata.Retry.Max, config.Admin.Retry.Max = 0, 0 // who calls repeats
	config.Net.ReadTimeout, config.Net.WriteTimeout = answerTimeout, answerTimeout
	client, err := newClient(cfg.Brokers, config)
	if err != nil {
		return err
	}
	defer closeClient(client)
	admin, err := sarama.NewClusterAdminFromClient(client)
	if err != nil {
		return err
	}
	return do(ctx, admin)
}

// answerTimeout is how long a broker may take to answer a first call.
const answerTimeout = 5 * time.Second

// closeClient closes a client that only read: nothing of what that says matters.
func closeClient(client sarama.Client) { _ = client.Close() }
