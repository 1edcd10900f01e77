package kafka

import (
	"context"
	"errors"
	"fmt"
	"net"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/IBM/sarama"
)

// Config says which brokers to talk to, and as who. Errors call its fields by
// the names of the program's settings, since that is where they are put right.
type Config struct {
	Brokers     []string      // kafka-brokers: addresses host:port of some of the brokers; they name the others
	ClientID    string        // what the brokers call this process in their logs and metrics
	Prefix      string        // kafka-prefix: of topics and groups; empty: fernweh. A second portal takes another
	SASL        SASL          // kafka-sasl-*: how the brokers know this process
	TLS         TLS           // kafka-tls*: how it and the brokers trust each other
	Gaps        []Gap         // accept-gaps: offsets of the event topic that are known to hold no record
	StartWithin time.Duration // how long a first call (topics, their ids) waits for brokers; 0: 15 s
	Metrics     *Metrics      // nil: none
}

// program is the prefix of every declared name.
const program = "fernweh"

// Topic is what a declared topic is called on the brokers of this configuration.
func (c Config) Topic(declared string) string { return c.own(declared, ".") }

// Group is what a group of readers is called on the brokers of this configuration.
func (c Config) Group(declared string) string { return c.own(declared, "-") }

// own puts the prefix in the place of the program's, or in front.
func (c Config) own(name, joint string) string {
	if c.Prefix == "" {
		return name
	}
	return c.Prefix + joint + strings.TrimPrefix(name, program+joint)
}

// legalPrefix is what Kafka allows in names, and short enough for what follows it.
var legalPrefix = regexp.MustCompile(`^[a-zA-Z0-9_-]{0,100}$`)

// Check says what in the configuration can't work whatever the brokers are. It
// reads the files that TLS names, and asks nobody. Every call that may fail does
// it too.
func (c Config) Check() error {
	errs := []error{c.checkBrokers(), c.SASL.check()}
	if !legalPrefix.MatchString(c.Prefix) {
		errs = append(errs, fmt.Errorf("kafka-prefix is %q: letters, digits, _ and - make one, at most 100 of them", c.Prefix))
	}
	_, err := c.TLS.config()
	return errors.Join(append(errs, err)...)
}

// checkBrokers reads the addresses.
func (c Config) checkBrokers() error {
	if len(c.Brokers) == 0 {
		return errors.New("kafka-brokers names no broker: it should name one or more, as host:port")
	}
	for _, addr := range c.Brokers {
		host, port, err := net.SplitHostPort(addr)
		if n, notNumber := strconv.ParseUint(port, 10, 16); err != nil || host == "" || notNumber != nil || n == 0 {
			return fmt.Errorf("kafka-brokers names %q: it should be host:port, such as kafka-1:9092", addr)
		}
	}
	return nil
}

// startWithin bounds the first calls.
func (c Config) startWithin() time.Duration {
	if c.StartWithin > 0 {
		return c.StartWithin
	}
	return 15 * time.Second
}

// metrics are the configuration's own, or some that nobody sees.
func (c Config) metrics() *Metrics {
	if c.Metrics != nil {
		return c.Metrics
	}
	return NewMetrics(nil)
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
// bytes, which the topics declare.
const maxBatchBytes = 1_000_000

// sarama trades latency for safety: an event that was acknowledged is on all
// in-sync replicas (acks=all), and not doubled by a retry (idempotent, which
// needs one request at a time to each broker). It connects when it is used, not
// before, and its connections end with ctx.
func (c Config) sarama(ctx context.Context) (*sarama.Config, error) {
	if err := c.Check(); err != nil {
		return nil, err
	}
	s := sarama.NewConfig()
	s.ClientID = c.ClientID
	s.Version = sarama.MaxVersion // the newest this client speaks; it asks the broker what that one does

	s.Net.MaxOpenRequests = 1
	s.Net.Proxy.Enable = true
	s.Net.Proxy.Dialer = dialer(ctx)
	if err := c.secure(s); err != nil {
		return nil, err
	}
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
	// Nobody reads for so long what a member had that was killed. Brokers take no less by default.
	s.Consumer.Group.Session.Timeout = 6 * time.Second
	s.Consumer.Group.Heartbeat.Interval = time.Second
	s.Consumer.Group.Rebalance.Timeout = 20 * time.Second // below Net.ReadTimeout, which cuts a join
	s.Consumer.Group.Rebalance.Retry.Max, s.Consumer.Group.Rebalance.Retry.Backoff = attempts, pause
	s.Consumer.Group.Rebalance.GroupStrategies = []sarama.BalanceStrategy{sarama.NewBalanceStrategySticky()}
	return s, nil
}
