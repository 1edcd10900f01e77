package kafka

import (
	"context"
	"errors"
	"net"
	"time"

	"github.com/IBM/sarama"
)

// Config says which brokers to talk to, and as who.
type Config struct {
	Brokers  []string // addresses host:port of some of the brokers; they name the others
	ClientID string   // what the brokers call this process in their logs and metrics
}

// How long an outage of the brokers is borne before an error goes up: longer
// than the restart of a broker takes.
const (
	attempts = 60
	pause    = 250 * time.Millisecond
)

// dialTimeout bounds one attempt to reach a broker.
const dialTimeout = 3 * time.Second

// maxBatchBytes is the largest batch of one partition; brokers take 1,048,588
// bytes unless they are told otherwise.
const maxBatchBytes = 1_000_000

// sarama trades latency for safety: an event that was acknowledged is on all
// in-sync replicas (acks=all), and not doubled by a retry (idempotent, which
// needs one request at a time to each broker). It connects when it is used, not
// before, and its connections end with ctx.
func (c Config) sarama(ctx context.Context) *sarama.Config {
	s := sarama.NewConfig()
	s.ClientID = c.ClientID
	s.Version = sarama.MaxVersion // the newest this client speaks; it asks the broker what that one does

	s.Net.MaxOpenRequests = 1
	s.Net.Proxy.Enable = true
	s.Net.Proxy.Dialer = dialer(ctx)
	s.Metadata.Full = false
	s.Metadata.AllowAutoTopicCreation = false
	s.Metadata.Retry.Max, s.Metadata.Retry.BackoffFunc = attempts, pauseUnless(ctx)

	s.Producer.RequiredAcks = sarama.WaitForAll
	s.Producer.Idempotent = true
	s.Producer.Partitioner = sarama.NewManualPartitioner
	s.Producer.MaxMessageBytes = maxBatchBytes
	s.Producer.Compression = sarama.CompressionLZ4 // free in the benchmarks of infra/embedded; zstd costs a quarter
	s.Producer.Retry.Max, s.Producer.Retry.BackoffFunc = attempts, pauseUnless(ctx)
	s.Producer.Transaction.Retry.BackoffFunc = pauseUnless(ctx) // of the request for a producer id
	s.Producer.Return.Successes, s.Producer.Return.Errors = true, true

	s.Consumer.Return.Errors = true
	s.Consumer.MaxWaitTime = pause
	s.Consumer.MaxProcessingTime = time.Second // a handler that writes to a store; beyond it the fetch is given up
	s.Consumer.Offsets.Initial = sarama.OffsetOldest
	s.Consumer.Group.ResetInvalidOffsets = false // never skip
	s.Consumer.Group.Heartbeat.Interval = time.Second
	s.Consumer.Group.Rebalance.Timeout = 20 * time.Second // below Net.ReadTimeout, which cuts a join
	s.Consumer.Group.Rebalance.Retry.Max, s.Consumer.Group.Rebalance.Retry.Backoff = attempts, pause
	s.Consumer.Group.Rebalance.GroupStrategies = []sarama.BalanceStrategy{sarama.NewBalanceStrategySticky()}
	return s
}

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

// withClient lends a client that ends with ctx.
func withClient(ctx context.Context, cfg Config, do func(sarama.Client) error) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	config := cfg.sarama(ctx)
	config.Metadata.Full = true // an admin asks for the controller
	client, err := sarama.NewClient(cfg.Brokers, config)
	if err == nil {
		err = do(client)
		defer closeClient(client)
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	return err
}

// closeClient closes a client that only read: nothing of what that says matters.
func closeClient(client sarama.Client) { _ = client.Close() }
