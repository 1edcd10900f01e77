package kafka

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"syscall"
	"time"

	"github.com/IBM/sarama"
	"golang.org/x/sync/errgroup"
)

// An obstacle is why a broker can't be used: which one, and what to change.
type obstacle struct {
	addr    string
	reason  string
	lasting bool  // asking again would not help
	cause   error // what the client said; may be nil
}

// Error is one sentence.
func (o *obstacle) Error() string { return "kafka-brokers " + o.addr + ": " + o.reason }

// Unwrap gives what the client said.
func (o *obstacle) Unwrap() error { return o.cause }

// lasting says that no broker can be used until somebody changes something.
func lasting(err error) bool {
	o, ok := errors.AsType[*obstacle](err)
	return ok && o.lasting
}

// unconnected says that an error is about the way to the brokers, or may be.
func unconnected(err error) bool {
	for _, e := range []error{
		sarama.ErrOutOfBrokers, sarama.ErrNotConnected, sarama.ErrClosedClient, sarama.ErrControllerNotAvailable,
		sarama.ErrSASLAuthenticationFailed, sarama.ErrIllegalSASLState, sarama.ErrUnsupportedSASLMechanism,
		sarama.ErrLeaderNotAvailable, sarama.ErrBrokerNotAvailable, sarama.ErrNotController, sarama.ErrUnsupportedVersion,
		io.EOF, io.ErrUnexpectedEOF, net.ErrClosed, os.ErrDeadlineExceeded,
		context.Canceled, context.DeadlineExceeded, syscall.EPIPE, syscall.ECONNRESET,
	} {
		if errors.Is(err, e) {
			return true
		}
	}
	_, isNet := errors.AsType[net.Error](err)
	_, isDecoding := errors.AsType[sarama.PacketDecodingError](err)
	return isNet || isDecoding
}

// askTimeout bounds one question to a broker of which nothing is known.
const askTimeout = 2 * time.Second

// explain says what is wrong with the brokers instead of err, which only says
// that something is. It takes at most some seconds, and asks every broker that
// is named; if one of them can be used, err stands.
func (c Config) explain(ctx context.Context, err error) error {
	obstacles := make([]*obstacle, len(c.Brokers))
	var g errgroup.Group
	for i, addr := range c.Brokers {
		g.Go(func() error {
			obstacles[i] = c.reach(ctx, addr)
			return nil
		})
	}
	_ = g.Wait() // none of them fails
	worst := &obstacle{addr: strings.Join(c.Brokers, ","), cause: err, lasting: true}
	var reasons []string
	for i, o := range obstacles {
		if o == nil {
			return err
		}
		worst.lasting = worst.lasting && o.lasting
		if i == 0 || o.reason != obstacles[i-1].reason {
			reasons = append(reasons, o.reason)
		}
	}
	worst.reason = strings.Join(reasons, "; ")
	return worst
}

// reach uses a broker as a client would, and then those that it names. It is nil
// if that works. The first question is asked by hand, since its answer says who
// is there, if it is not Kafka.
func (c Config) reach(ctx context.Context, addr string) *obstacle {
	ctx, cancel := context.WithTimeout(ctx, 3*askTimeout)
	defer cancel()
	config, err := c.sarama(ctx)
	if err != nil {
		return &obstacle{addr: addr, reason: err.Error(), lasting: true, cause: err}
	}
	config.Net.DialTimeout, config.Net.ReadTimeout, config.Net.WriteTimeout = askTimeout, askTimeout, askTimeout
	if said, err := c.ask(ctx, addr, apiVersions); !isAnswer(said) {
		return c.why(err, func() (string, bool) { return c.whyStrange(ctx, addr, said, err) }).at(addr)
	}
	others, err := metadata(addr, config)
	if err != nil {
		return c.why(err, func() (string, bool) { return c.whyKafka(ctx, addr) }).at(addr)
	}
	for _, other := range others {
		if _, err := metadata(other, config); err != nil {
			o := c.why(err, func() (string, bool) { return c.whyKafka(ctx, other) }).at(addr)
			o.reason = fmt.Sprintf("it answers, and sends clients on to %s (its advertised.listeners): %s", other, o.reason)
			return o
		}
	}
	return nil
}

// at says where the obstacle is.
func (o *obstacle) at(addr string) *obstacle {
	o.addr = addr
	return o
}

// metadata asks a broker which brokers there are.
func metadata(addr string, config *sarama.Config) (brokers []string, err error) {
	b := sarama.NewBroker(addr)
	if err := b.Open(config); err != nil {
		return nil, err
	}
	if _, err := b.Connected(); err != nil {
		return nil, err
	}
	defer b.Close()
	answer, err := b.GetMetadata(sarama.NewMetadataRequest(config.Version, []string{}))
	if err != nil {
		return nil, err
	}
	for _, other := range answer.Brokers {
		brokers = append(brokers, other.Addr())
	}
	return brokers, nil
}

// why turns the error of a connection into what to change, and looks closer
// where the error says too little.
func (c Config) why(err error, closer func() (reason string, lasting bool)) *obstacle {
	for _, words := range []func(error) string{c.whyDial, c.whySASL, c.whyTLS, whyVersion} {
		if reason := words(err); reason != "" {
			return &obstacle{reason: reason, lasting: !isDial(err), cause: err}
		}
	}
	reason, lasting := closer()
	if reason == "" {
		reason = err.Error()
	}
	return &obstacle{reason: reason, lasting: lasting, cause: err}
}

// isDial says that no connection came about: a broker that starts later helps.
func isDial(err error) bool {
	op, ok := errors.AsType[*net.OpError](err)
	return ok && op.Op == "dial"
}

// whyDial words an error of making a connection.
func (c Config) whyDial(err error) string {
	if !isDial(err) {
		return ""
	}
	_, isDNS := errors.AsType[*net.DNSError](err)
	timeout, isNet := errors.AsType[net.Error](err)
	switch {
	case isDNS:
		return "there is no such host"
	case errors.Is(err, syscall.ECONNREFUSED):
		return "nobody listens there: Kafka is not up, or this is not its port"
	case isNet && timeout.Timeout():
		return "the host does not answer: Kafka is not up, or something on the way keeps connections out"
	}
	return err.Error()
}

// whySASL words a broker's refusal of who we are.
func (c Config) whySASL(err error) string {
	switch {
	case errors.Is(err, sarama.ErrSASLAuthenticationFailed):
		return fmt.Sprintf("it refuses the user %q of kafka-sasl-user, or its password, by %s", c.SASL.User, c.SASL.Mechanism)
	case errors.Is(err, sarama.ErrIllegalSASLState):
		return "it wants no SASL at this port: leave kafka-sasl-mechanism empty, or take its port for SASL"
	}
	return ""
}

// whyVersion words that the other side does not know what a broker must.
func whyVersion(err error) string {
	if !errors.Is(err, sarama.ErrUnsupportedVersion) {
		return ""
	}
	return "it speaks Kafka's protocol, but not as a broker does: this is a controller's port, or its Kafka is too old"
}

// whyTLS words an error of agreeing on TLS.
func (c Config) whyTLS(err error) string {
	_, unknown := errors.AsType[x509.UnknownAuthorityError](err)
	name, wrongName := errors.AsType[x509.HostnameError](err)
	invalid, isInvalid := errors.AsType[x509.CertificateInvalidError](err)
	header, isHeader := errors.AsType[tls.RecordHeaderError](err)
	switch {
	case unknown:
		return fmt.Sprintf("%s did not sign its certificate: kafka-tls-ca should be the authority's that did", c.TLS.authority())
	case wrongName:
		return fmt.Sprintf("its certificate is not for the name %s: kafka-brokers should use a name that is in it (%s)",
			name.Host, strings.Join(names(name.Certificate), ", "))
	case isInvalid:
		return "its certificate is not valid: " + invalid.Error()
	case isHeader && string(header.RecordHeader[:4]) == "HTTP":
		return isHTTP
	case isHeader:
		return noTLS
	case isRefusal(err):
		return fmt.Sprintf("it refuses our certificate, or that there is none (%v): kafka-tls-cert and kafka-tls-key "+
			"should be a pair that its authority signed", err)
	}
	return ""
}

// isRefusal says that the other side broke off the talk about TLS.
func isRefusal(err error) bool {
	op, ok := errors.AsType[*net.OpError](err)
	return ok && op.Op == "remote error"
}

// names are what a certificate is for.
func names(c *x509.Certificate) []string {
	names := c.DNSNames
	for _, ip := range c.IPAddresses {
		names = append(names, ip.String())
	}
	return names
}

// What is said of an address from more than one place.
const (
	isHTTP = "an HTTP server answers there, not Kafka: this is another program's port"
	noTLS  = "it speaks no TLS at this port: switch kafka-tls off, or take its port for TLS"
)

// whyStrange says what an address is that took the connection and answered as no
// broker does: it said something else, or nothing, for the reason given.
func (c Config) whyStrange(ctx context.Context, addr string, said []byte, err error) (reason string, lasting bool) {
	if c.TLS.On {
		said, err = Config{}.ask(ctx, addr, apiVersions)
	}
	switch {
	case strings.HasPrefix(string(said), "HTTP"):
		return isHTTP, true
	case isAnswer(said):
		return noTLS, true
	case !c.TLS.On && speaksTLS(ctx, addr):
		return "it speaks TLS at this port: switch kafka-tls on, or take its port without TLS", true
	case len(said) > 0:
		return fmt.Sprintf("what answers there is not Kafka, it says %.20q: this is another program's port", said), true
	case errors.Is(err, os.ErrDeadlineExceeded):
		return "it takes connections and answers nothing: this is not Kafka's port, or Kafka hangs", false
	}
	return "", false
}

// whyKafka asks a broker that answers, and not what a client needs, whether it
// is about SASL.
func (c Config) whyKafka(ctx context.Context, addr string) (reason string, lasting bool) {
	said, _ := c.ask(ctx, addr, saslHandshake) // what is not said is no answer
	offers, wants := mechanisms(said)
	switch {
	case wants && c.SASL.Mechanism == "":
		return "it wants SASL at this port: set kafka-sasl-mechanism (it offers " + listed(offers) +
			"), or take its port without", true
	case wants:
		return fmt.Sprintf("it does not take kafka-sasl-mechanism %s: it offers %s", c.SASL.Mechanism, listed(offers)), true
	}
	return "", false
}
