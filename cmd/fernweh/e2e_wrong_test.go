package main_test

import (
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestRealWrongSettings starts layers with settings that cannot work. Each must
// end soon, say in words which setting it is, and leave nothing running.
func TestRealWrongSettings(t *testing.T) {
	needServers(t)
	brokers, quorum, elastic := os.Getenv("FERNWEH_TEST_KAFKA"), os.Getenv("FERNWEH_TEST_HBASE"), os.Getenv("FERNWEH_TEST_ELASTIC")
	nobody := door(t) // nothing listens there
	silent, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { silent.Close() })
	website := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "<html>welcome") }))
	t.Cleanup(website.Close)
	web := strings.TrimPrefix(website.URL, "http://")
	secret, empty := filepath.Join(t.TempDir(), "password"), filepath.Join(t.TempDir(), "empty")
	for name, text := range map[string]string{secret: "guess\n", empty: ""} {
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	prefix := fmt.Sprintf("wrong%08x", rand.Uint32())
	works := map[string]string{
		"kafka-brokers": brokers, "kafka-prefix": prefix, "partitions": "2", "hbase-quorum": quorum, "views": prefix,
		"elastic-urls": elastic, "data-dir": t.TempDir(),
	}
	start := func(t *testing.T, command string, changes ...string) *portal {
		t.Helper()
		settings := map[string]string{}
		for name, value := range works {
			documents := strings.HasPrefix(name, "elastic")
			views := name == "views" || strings.HasPrefix(name, "hbase")
			if documents && command != "index" || views && command == "archive" {
				continue
			}
			settings[name] = value
		}
		for i := 0; i < len(changes); i += 2 {
			settings[changes[i]] = changes[i+1]
		}
		p := &portal{T: t, args: []string{command}}
		for name, value := range settings {
			p.args = append(p.args, "--"+name+"="+value)
		}
		p.start()
		t.Cleanup(p.kill)
		return p
	}
	right := start(t, "index", "admin-addr", nobody) // the settings do work, and topics and tables are there from now on
	right.until("with settings that are right the layer runs", time.Minute, func() error {
		right.alive()
		_, _, err := send("GET", "http://"+nobody+"/readyz", nil, http.Header{})
		return err
	})
	right.stop()

	tests := []struct {
		name    string
		command string
		changes []string
		wants   []string
	}{
		{"nobody listens where Kafka should", "speed", []string{"kafka-brokers", nobody}, []string{nobody, "kafka-brokers"}},
		{"a port that is silent", "speed", []string{"kafka-brokers", silent.Addr().String()}, []string{silent.Addr().String(), "kafka-brokers"}},
		{"a website for Kafka", "speed", []string{"kafka-brokers", web}, []string{web, "kafka-brokers"}},
		{"a host without address", "speed", []string{"kafka-brokers", "kafka.invalid:9092"}, []string{"kafka.invalid"}},
		{"TLS to an open port", "speed", []string{"kafka-tls", "true"}, []string{"kafka-tls"}},
		{"an authority that is not there", "speed", []string{"kafka-tls", "true", "kafka-tls-ca", "/no/such/ca.pem"}, []string{"kafka-tls-ca", "/no/such/ca.pem"}},
		{"a password where none is asked for", "speed",
			[]string{"kafka-sasl-mechanism", "PLAIN", "kafka-sasl-user", "fernweh", "kafka-sasl-password-file", secret}, []string{"kafka-sasl-mechanism"}},
		{"a mechanism that nobody knows", "speed", []string{"kafka-sasl-mechanism", "MAGIC"}, []string{"kafka-sasl-mechanism", "MAGIC"}},
		{"a user without password", "speed", []string{"kafka-sasl-mechanism", "PLAIN", "kafka-sasl-user", "fernweh"}, []string{"kafka-sasl-password-file"}},
		{"a password file that is empty", "speed", []string{"kafka-sasl-password-file", empty}, []string{"kafka-sasl-password-file", "is empty"}},
		{"other partitions than the topic's", "speed", []string{"partitions", "3"}, []string{prefix + ".events", "2", "3"}},
		{"more replicas than brokers", "speed", []string{"kafka-replicas", "3", "kafka-prefix", prefix + "x"}, []string{"kafka-replicas", "3"}},
		{"views of another log", "speed", []string{"kafka-prefix", prefix + "y"}, []string{"the views " + prefix, "do not belong together"}},
		{"views whose name is mistyped", "speed", []string{"views", prefix + "z"}, []string{prefix + "z", "did you mean " + prefix + "?"}},
		{"views whose name is mistyped, of who makes none", "serve", []string{"views", prefix + "z", "serve-addr", "127.0.0.1:0"}, []string{prefix + "z", "did you mean " + prefix + "?"}},
		{"nobody listens where ZooKeeper should", "speed", []string{"hbase-quorum", nobody}, []string{nobody, "ZooKeeper"}},
		{"Kafka's port for ZooKeeper's", "speed", []string{"hbase-quorum", brokers}, []string{brokers, "ZooKeeper"}},
		{"a website for ZooKeeper", "speed", []string{"hbase-quorum", web}, []string{web, "ZooKeeper"}},
		{"a znode that is not HBase's", "speed", []string{"hbase-root", "/nobodys"}, []string{"/nobodys"}},
		{"nobody listens where Elasticsearch should", "index", []string{"elastic-urls", "http://" + nobody}, []string{nobody, "Elasticsearch"}},
		{"a website for Elasticsearch", "index", []string{"elastic-urls", website.URL}, []string{website.URL, "Elasticsearch"}},
		{"https to an open port", "index", []string{"elastic-urls", strings.Replace(elastic, "http:", "https:", 1)}, []string{"https"}},
		{"ZooKeeper's port for Elasticsearch's", "index", []string{"elastic-urls", "http://" + quorum}, []string{quorum, "Elasticsearch"}},
		{"a name for the views that no store takes", "index", []string{"views", "Fernweh!"}, []string{"views", `"Fernweh!"`}},
		{"a data directory that is a file", "archive", []string{"data-dir", secret}, []string{secret}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			p := start(t, test.command, test.changes...)
			select {
			case <-p.gone:
			case <-time.After(time.Minute):
				p.kill()
				t.Fatalf("after a minute it has neither begun nor said what is wrong:\n%s", p.said)
			}
			said := p.said.String()
			if p.process.ProcessState.Success() {
				t.Errorf("it ended as if all were well:\n%s", said)
			}
			for _, want := range test.wants {
				if !strings.Contains(said, want) {
					t.Errorf("it does not name %q:\n%s", want, said)
				}
			}
			if n := len(strings.Split(strings.TrimSpace(said), "\n")); n > 12 {
				t.Errorf("it takes %d lines to say what is wrong:\n%s", n, said)
			}
		})
	}
}
