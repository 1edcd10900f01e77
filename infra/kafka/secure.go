package kafka

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/IBM/sarama"
	"github.com/xdg-go/scram"
)

// SASL is how this process proves to the brokers who it is; the zero value: not
// at all. PLAIN shows the password to whoever listens, unless TLS is on.
type SASL struct {
	Mechanism      string // PLAIN, SCRAM-SHA-256 or SCRAM-SHA-512; empty: none
	User, Password string
}

// hashes are the mechanisms of SCRAM.
var hashes = map[string]scram.HashGeneratorFcn{
	sarama.SASLTypeSCRAMSHA256: scram.SHA256,
	sarama.SASLTypeSCRAMSHA512: scram.SHA512,
}

// check says what is missing.
func (s SASL) check() error {
	_, isSCRAM := hashes[s.Mechanism]
	switch {
	case s == SASL{}:
		return nil
	case s.Mechanism == "":
		return errors.New("kafka-sasl-user and its password are set, but kafka-sasl-mechanism is not: " +
			"it should be PLAIN, SCRAM-SHA-256 or SCRAM-SHA-512")
	case !isSCRAM && s.Mechanism != sarama.SASLTypePlaintext:
		return fmt.Errorf("kafka-sasl-mechanism is %q: it should be PLAIN, SCRAM-SHA-256 or SCRAM-SHA-512", s.Mechanism)
	case s.User == "" || s.Password == "":
		return fmt.Errorf("kafka-sasl-mechanism is %s: it needs kafka-sasl-user and a password", s.Mechanism)
	}
	return nil
}

// TLS is how this process and the brokers trust each other; the zero value:
// connections are open to whoever listens. The files are PEM and read with
// every new client, so that a renewed certificate is taken by a restart.
type TLS struct {
	On         bool
	CA         string // file of the authorities that sign the brokers' certificates; empty: the system's
	Cert, Key  string // files of this process's certificate and its key, where the brokers ask for one
	ServerName string // name in the brokers' certificates, where it is not that of kafka-brokers
}

// config reads the files. It is nil if TLS is not on.
func (t TLS) config() (*tls.Config, error) {
	if !t.On {
		if t != (TLS{}) {
			return nil, errors.New("kafka-tls-ca, kafka-tls-cert, kafka-tls-key or a server name is set, but kafka-tls is not on")
		}
		return nil, nil
	}
	config := &tls.Config{MinVersion: tls.VersionTLS12, ServerName: t.ServerName}
	if t.CA != "" {
		pem, err := os.ReadFile(t.CA)
		if err != nil {
			return nil, fmt.Errorf("kafka-tls-ca: %w", err)
		}
		config.RootCAs = x509.NewCertPool()
		if !config.RootCAs.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("kafka-tls-ca is %s, which holds no certificate: it should be a PEM file", t.CA)
		}
	}
	if t.Cert == "" && t.Key == "" {
		return config, nil
	}
	if t.Cert == "" || t.Key == "" {
		return nil, errors.New("kafka-tls-cert and kafka-tls-key go together: one of them is not set")
	}
	pair, err := tls.LoadX509KeyPair(t.Cert, t.Key)
	if err != nil {
		return nil, fmt.Errorf("kafka-tls-cert %s and kafka-tls-key %s are no pair: %w", t.Cert, t.Key, err)
	}
	config.Certificates = []tls.Certificate{pair}
	return config, nil
}

// authority names what TLS trusts.
func (t TLS) authority() string {
	if t.CA == "" {
		return "the system's authorities"
	}
	return "kafka-tls-ca " + t.CA
}

// secure tells sarama how to be known and trusted.
func (c Config) secure(s *sarama.Config) (err error) {
	if s.Net.TLS.Config, err = c.TLS.config(); err != nil {
		return err
	}
	s.Net.TLS.Enable = c.TLS.On
	if c.SASL.Mechanism == "" {
		return nil
	}
	s.Net.SASL.Enable, s.Net.SASL.Handshake, s.Net.SASL.Version = true, true, sarama.SASLHandshakeV1
	s.Net.SASL.Mechanism = sarama.SASLMechanism(c.SASL.Mechanism)
	s.Net.SASL.User, s.Net.SASL.Password = c.SASL.User, c.SASL.Password
	if hash, ok := hashes[c.SASL.Mechanism]; ok {
		s.Net.SASL.SCRAMClientGeneratorFunc = func() sarama.SCRAMClient { return &scramClient{hash: hash} }
	}
	return nil
}

// A scramClient is one conversation of SCRAM, as sarama wants it led.
type scramClient struct {
	hash         scram.HashGeneratorFcn
	conversation *scram.ClientConversation
}

// Begin prepares the conversation.
func (c *scramClient) Begin(user, password, authzID string) error {
	client, err := c.hash.NewClient(user, password, authzID)
	if err != nil {
		return fmt.Errorf("prepare SCRAM for user %s: %w", user, err)
	}
	c.conversation = client.NewConversation()
	return nil
}

// Step answers the broker.
func (c *scramClient) Step(challenge string) (string, error) { return c.conversation.Step(challenge) }

// Done says that the broker has proved to know the password too.
func (c *scramClient) Done() bool { return c.conversation.Done() }

// listed joins what a broker offers.
func listed(mechanisms []string) string {
	if len(mechanisms) == 0 {
		return "nothing"
	}
	return strings.Join(mechanisms, ", ")
}
