package kafka_test

import (
	"errors"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/IBM/sarama"

	"fernweh/infra/kafka"
	"fernweh/schemas"
)

// A wrong is one setting that is wrong, and the words by which it is found.
type wrong struct {
	name string
	cfg  kafka.Config
	want []string
}

// startWithin is what the tests allow a start to take; the words are the same
// after the 15 s that the program allows.
const startWithin = time.Second

// refused expects each start to fail with a sentence that names the setting.
func refused(t *testing.T, tests []wrong) {
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel() // most of them wait
			test.cfg.StartWithin = startWithin
			err := kafka.EnsureTopics(t.Context(), test.cfg, schemas.Topics(partitions), 1)
			if err == nil {
				t.Fatalf("start: got no error, want one with %q in it", test.want)
			}
			for _, want := range test.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("got %q, want %q in it", err, want)
				}
			}
			if lines := strings.Count(err.Error(), "\n"); lines > 0 || len(err.Error()) > 400 {
				t.Errorf("got %d characters on %d lines, want a sentence: %v", len(err.Error()), lines+1, err)
			}
		})
	}
}

// file writes a file of the test.
func file(t *testing.T, name, content string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// TestSettingsThatCannotWork are found without asking anybody.
func TestSettingsThatCannotWork(t *testing.T) {
	at := func(change func(*kafka.Config)) kafka.Config {
		cfg := kafka.Config{Brokers: []string{"127.0.0.1:9092"}}
		change(&cfg)
		return cfg
	}
	tests := []wrong{
		{"no broker", at(func(c *kafka.Config) { c.Brokers = nil }), []string{"kafka-brokers", "host:port"}},
		{"no port", at(func(c *kafka.Config) { c.Brokers = []string{"kafka-1"} }), []string{"kafka-brokers", `"kafka-1"`}},
		{"a name for a port", at(func(c *kafka.Config) { c.Brokers = []string{"kafka-1:http"} }), []string{`"kafka-1:http"`}},
		{"a URL", at(func(c *kafka.Config) { c.Brokers = []string{"http://kafka-1:9092"} }), []string{`"http://kafka-1:9092"`}},
		{"a prefix with a space", at(func(c *kafka.Config) { c.Prefix = "my portal" }), []string{"kafka-prefix", `"my portal"`}},
		{"a mechanism that is none", at(func(c *kafka.Config) { c.SASL = kafka.SASL{"GSSAPI", "u", "p"} }),
			[]string{"kafka-sasl-mechanism", `"GSSAPI"`, "SCRAM-SHA-512"}},
		{"a user without mechanism", at(func(c *kafka.Config) { c.SASL.User = "u" }), []string{"kafka-sasl-mechanism is not"}},
		{"a mechanism without user", at(func(c *kafka.Config) { c.SASL.Mechanism = "PLAIN" }), []string{"PLAIN", "kafka-sasl-user"}},
		{"an authority without TLS", at(func(c *kafka.Config) { c.TLS.CA = "ca.pem" }), []string{"kafka-tls is not on"}},
		{"no such authority", at(func(c *kafka.Config) { c.TLS = kafka.TLS{On: true, CA: "/nowhere/ca.pem"} }),
			[]string{"kafka-tls-ca", "/nowhere/ca.pem"}},
		{"an authority that is no certificate", at(func(c *kafka.Config) {
			c.TLS = kafka.TLS{On: true, CA: file(t, "ca.pem", "secret")}
		}), []string{"kafka-tls-ca", "ca.pem", "PEM"}},
		{"a certificate without key", at(func(c *kafka.Config) { c.TLS = kafka.TLS{On: true, Cert: "c.pem"} }),
			[]string{"kafka-tls-cert", "kafka-tls-key"}},
		{"a key that is none", at(func(c *kafka.Config) {
			c.TLS = kafka.TLS{On: true, Cert: file(t, "c.pem", "c"), Key: file(t, "k.pem", "k")}
		}), []string{"kafka-tls-cert", "c.pem", "k.pem"}},
	}
	refused(t, tests)
	for _, test := range tests {
		if err := test.cfg.Check(); err == nil {
			t.Errorf("%s: Check has nothing against it", test.name)
		}
		if _, err := kafka.NewProducer(test.cfg, partitions); err == nil {
			t.Errorf("%s: a producer is made", test.name)
		}
	}
}

// tlsServer is an address that speaks TLS, and not Kafka in it.
func tlsServer(t *testing.T) string {
	t.Helper()
	s := httptest.NewUnstartedServer(http.NotFoundHandler())
	s.Config.ErrorLog = log.New(io.Discard, "", 0) // whom it turns away is no news
	s.StartTLS()
	t.Cleanup(s.Close)
	return s.Listener.Addr().String()
}

// TestAddressesThatAreNoKafka are told apart by what answers there.
func TestAddressesThatAreNoKafka(t *testing.T) {
	web := httptest.NewServer(http.NotFoundHandler())
	t.Cleanup(web.Close)
	secure := tlsServer(t)
	plain := broker(t).Brokers[0]
	tlsOn := kafka.TLS{On: true}
	refused(t, []wrong{
		{"nobody listens", kafka.Config{Brokers: []string{away(t)}}, []string{"kafka-brokers 127.0.0.1:", "nobody listens"}},
		{"one away, one silent", kafka.Config{Brokers: []string{away(t), silent(t)}}, []string{"nobody listens", "answers nothing"}},
		{"no such host", kafka.Config{Brokers: []string{"kafka.invalid:9092"}}, []string{"kafka.invalid:9092", "no such host"}},
		{"silent", kafka.Config{Brokers: []string{silent(t)}}, []string{"answers nothing", "not Kafka's port"}},
		{"silent, with TLS", kafka.Config{Brokers: []string{silent(t)}, TLS: tlsOn}, []string{"answers nothing"}},
		{"a web server", kafka.Config{Brokers: []string{web.Listener.Addr().String()}}, []string{"an HTTP server answers"}},
		{"a web server, with TLS", kafka.Config{Brokers: []string{web.Listener.Addr().String()}, TLS: tlsOn}, []string{"an HTTP server answers"}},
		{"a mail server", kafka.Config{Brokers: []string{talker(t, "220 mail ready\r\n")}}, []string{"not Kafka", "220 mail"}},
		{"TLS without kafka-tls", kafka.Config{Brokers: []string{secure}}, []string{"speaks TLS", "switch kafka-tls on"}},
		{"kafka-tls without TLS", kafka.Config{Brokers: []string{plain}, TLS: tlsOn}, []string{"speaks no TLS", "switch kafka-tls off"}},
		{"a broker that sends clients nowhere", kafka.Config{Brokers: []string{answering(t, away(t))}},
			[]string{"advertised.listeners", "nobody listens"}},
		{"a controller", kafka.Config{Brokers: []string{answering(t, "")}}, []string{"a controller's port"}},
		{"an authority that we don't know", kafka.Config{Brokers: []string{secure}, TLS: tlsOn}, []string{"did not sign", "kafka-tls-ca"}},
	})
}

// answering is an address that speaks Kafka's protocol and names one broker; if
// that has no address, it knows no brokers, as a controller.
func answering(t *testing.T, broker string) string {
	t.Helper()
	b := sarama.NewMockBroker(t, 1)
	t.Cleanup(b.Close)
	keys := []sarama.ApiVersionsResponseKey{{ApiKey: 18, MaxVersion: 3}}
	if broker != "" {
		keys = append(keys, sarama.ApiVersionsResponseKey{ApiKey: 3, MaxVersion: 9})
	}
	b.SetHandlerByMap(map[string]sarama.MockResponse{
		"ApiVersionsRequest": sarama.NewMockApiVersionsResponse(t).SetApiKeys(keys),
		"MetadataRequest":    sarama.NewMockMetadataResponse(t).SetBroker(broker, 2).SetController(2),
	})
	return b.Addr()
}

// talker is an address where everybody is greeted in the same way.
func talker(t *testing.T, greeting string) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() { // ends with the listener
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			conn.Write([]byte(greeting)) // who hung up is not greeted
			t.Cleanup(func() { conn.Close() })
		}
	}()
	return l.Addr().String()
}

// TestSecuredDoor goes through the door that asks who is there, and stumbles at
// each of its steps.
func TestSecuredDoor(t *testing.T) {
	plain := real(t)
	cfg := secured(t, plain)
	with := func(change func(*kafka.Config)) kafka.Config {
		changed := cfg
		change(&changed)
		return changed
	}
	for _, mechanism := range []string{"PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"} {
		t.Run(mechanism, func(t *testing.T) {
			cfg := withTopics(t, with(func(c *kafka.Config) { c.SASL.Mechanism = mechanism }))
			if _, err := producer(t, cfg).Append(t.Context(), []*schemas.Event{page("mueller", 1)}); err != nil {
				t.Errorf("append: %v", err)
			}
			wrongPassword := cfg
			wrongPassword.SASL.Password = "guessed"
			refused(t, []wrong{{"wrong password", wrongPassword, []string{"refuses the user", "kafka-sasl-user", mechanism}}})
		})
	}
	stranger := tlsServer(t)
	refused(t, []wrong{
		{"no SASL", with(func(c *kafka.Config) { c.SASL = kafka.SASL{} }), []string{"wants SASL", "SCRAM-SHA-512"}},
		{"no TLS", with(func(c *kafka.Config) { c.TLS = kafka.TLS{} }), []string{"switch kafka-tls on"}},
		{"neither", with(func(c *kafka.Config) { c.TLS, c.SASL = kafka.TLS{}, kafka.SASL{} }), []string{"switch kafka-tls on"}},
		{"no authority", with(func(c *kafka.Config) { c.TLS.CA = "" }), []string{"the system's authorities did not sign"}},
		{"another name", with(func(c *kafka.Config) { c.TLS.ServerName = "kafka.example" }), []string{"kafka.example", "127.0.0.1"}},
		{"TLS at the plain port", with(func(c *kafka.Config) { c.Brokers = plain.Brokers }), []string{"speaks no TLS"}},
		{"SASL at the plain port", with(func(c *kafka.Config) { c.Brokers, c.TLS = plain.Brokers, kafka.TLS{} }),
			[]string{"wants no SASL", "kafka-sasl-mechanism"}},
		{"another program's TLS port", with(func(c *kafka.Config) { c.Brokers = []string{stranger} }), []string{"did not sign", "kafka-tls-ca"}},
	})
}

// TestTopicsThatSomebodyElseMade stand as they were made, and are refused: each
// difference is named.
func TestTopicsThatSomebodyElseMade(t *testing.T) {
	everywhere(t, func(t *testing.T, cfg kafka.Config) {
		tests := []struct {
			name     string
			settings map[string]string
			want     string
		}{
			{"compacted", map[string]string{"cleanup.policy": "compact"}, "cleanup.policy=compact, it should be delete"},
			{"kept for a week", map[string]string{"retention.ms": "604800000"}, "retention.ms=604800000, it should be 31536000000 or more"},
			{"kept up to a size", map[string]string{"retention.bytes": "1000000"}, "retention.bytes=1000000, it should be -1 or more"},
			{"with the producer's time", map[string]string{"message.timestamp.type": "CreateTime"}, "message.timestamp.type=CreateTime"},
			{"for small batches", map[string]string{"max.message.bytes": "1000"}, "max.message.bytes=1000, it should be 1048588 or more"},
		}
		for _, test := range tests {
			cfg := cfg
			cfg.Prefix += "-" + strings.ReplaceAll(strings.ReplaceAll(test.name, " ", "-"), "'", "")
			topic := schemas.Topics(partitions)[0]
			for name, value := range test.settings {
				topic.Config[name] = value
			}
			topics := []schemas.Topic{topic}
			if err := kafka.EnsureTopics(t.Context(), cfg, topics, 1); err != nil {
				t.Fatalf("%s: make it: %v", test.name, err)
			}
			err := kafka.EnsureTopics(t.Context(), cfg, schemas.Topics(partitions)[:1], 1)
			for _, want := range []string{cfg.Topic(schemas.TopicEvents), test.want} {
				if err == nil || !strings.Contains(err.Error(), want) {
					t.Errorf("a topic %s: got %v, want %q in it", test.name, err, want)
				}
			}
		}
		err := kafka.EnsureTopics(t.Context(), cfg, schemas.Topics(partitions), 2)
		if err == nil || !strings.Contains(err.Error(), "has 1 replicas, it should have 2") {
			t.Errorf("two replicas of topics that have one: got %v", err)
		}
	})
}

func TestMoreReplicasThanBrokersAreNamed(t *testing.T) {
	cfg := real(t)
	err := kafka.EnsureTopics(t.Context(), cfg, schemas.Topics(partitions), 3)
	for _, want := range []string{cfg.Topic(schemas.TopicEvents), "kafka-replicas is 3", "fewer brokers"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("three replicas on one broker: got %v, want %q in it", err, want)
		}
	}
}

// TestWhatAnEarlierReleaseDeclaredIsRaised starts on topics whose decisions are
// kept for a week, as they once were.
func TestWhatAnEarlierReleaseDeclaredIsRaised(t *testing.T) {
	everywhere(t, func(t *testing.T, cfg kafka.Config) {
		cfg.Prefix += "-earlier"
		decisions := schemas.Topics(partitions)[2]
		was := decisions
		was.Config = map[string]string{"cleanup.policy": "delete", "retention.ms": "604800000"}
		for _, topic := range []schemas.Topic{was, decisions} {
			if err := kafka.EnsureTopics(t.Context(), cfg, []schemas.Topic{topic}, 1); err != nil {
				t.Fatalf("topic with %v: got %v", topic.Config, err)
			}
		}
		kept, want := "", decisions.Config["retention.ms"]
		tick := time.NewTicker(50 * time.Millisecond)
		defer tick.Stop()
		// A broker takes a change before it goes by it.
		for late := time.After(30 * time.Second); kept != want; {
			administer(t, cfg, func(admin sarama.ClusterAdmin) error {
				entries, err := admin.DescribeConfig(sarama.ConfigResource{
					Type: sarama.TopicResource, Name: cfg.Topic(decisions.Name), ConfigNames: []string{"retention.ms"},
				})
				if err == nil && len(entries) == 0 {
					err = errors.New("no settings are told")
				}
				for _, e := range entries {
					kept = e.Value
				}
				return err
			})
			select {
			case <-tick.C:
			case <-late:
				t.Fatalf("decisions are kept for %s ms, want raised to %s", kept, want)
			}
		}
	})
}
