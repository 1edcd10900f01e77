package native_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/IBM/sarama"
	"github.com/tsuna/gohbase"
	"github.com/tsuna/gohbase/hrpc"
	"github.com/xdg-go/scram"

	"fernweh/infra/native"
)

// real is for the tests that start servers: they run where the real ones are
// named, since whoever names them has a JDK and the time.
func real(t *testing.T) {
	t.Helper()
	for _, k := range native.Kinds() {
		if name := "FERNWEH_TEST_" + strings.ToUpper(string(k)); os.Getenv(name) == "" {
			t.Skipf("%s is not set: make test-real sets it", name)
		}
	}
}

// fresh is a server of this test's own, which is killed when the test ends.
func fresh(t *testing.T, k native.Kind, dir string) *native.Server {
	t.Helper()
	ports, err := native.FreePorts(k)
	if err != nil {
		t.Fatal(err)
	}
	s := server(t, k, native.Options{Dir: dir, Ports: ports})
	t.Cleanup(func() {
		if err := s.Kill(); err != nil {
			t.Error(err)
		}
	})
	return s
}

func start(t *testing.T, s *native.Server) {
	t.Helper()
	if err := s.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
}

func pid(t *testing.T, s *native.Server) int {
	t.Helper()
	state, err := s.State()
	if err != nil {
		t.Fatal(err)
	}
	return state.PID
}

// A memory writes a word into a server and reads it again, as a client of it does.
type memory struct {
	write func(ctx context.Context, addr, word string) error
	read  func(ctx context.Context, addr string) (string, error)
}

var memories = map[native.Kind]memory{
	native.Kafka:   {writeKafka, readKafka},
	native.HBase:   {writeHBase, readHBase},
	native.Elastic: {writeElastic, readElastic},
}

// TestLife is the whole of it: a server that serves when Start returns, killed and
// back with what it was given, frozen and back, and gone when Stop returns.
func TestLife(t *testing.T) {
	real(t)
	for _, k := range native.Kinds() {
		t.Run(string(k), func(t *testing.T) {
			t.Parallel()
			s, m := fresh(t, k, t.TempDir()), memories[k]
			start(t, s)
			if err := m.write(t.Context(), s.Addr(), "kept"); err != nil {
				t.Fatalf("the first word of a client, right after the start: %v", err)
			}
			remembers(t, s, m)
			if classDataOf(t, s) == "" {
				t.Errorf("%s runs without class data", k)
			}

			first := pid(t, s)
			start(t, s)
			if now := pid(t, s); now != first {
				t.Errorf("started again while it runs, it is process %d, want %d as before", now, first)
			}
			refusesOthers(t, s)

			if err := s.Kill(); err != nil {
				t.Fatal(err)
			}
			vacantPorts(t, s, "killed")
			start(t, s)
			if now := pid(t, s); now == first {
				t.Errorf("killed and started, it is still process %d", now)
			}
			remembers(t, s, m)
			freezes(t, s, m)

			if err := s.Stop(); err != nil {
				t.Fatal(err)
			}
			vacantPorts(t, s, "stopped")
			if running := processesOf(t, s.Dir()); len(running) > 0 {
				t.Errorf("stopped, there are still %v", running)
			}
		})
	}
}

func remembers(t *testing.T, s *native.Server, m memory) {
	t.Helper()
	word, err := m.read(t.Context(), s.Addr())
	if err != nil || word != "kept" {
		t.Errorf("%s gives back %q (%v), want %q", s.Kind(), word, err, "kept")
	}
}

// refusesOthers: neither does a second server get its ports, nor its folder other ones.
func refusesOthers(t *testing.T, s *native.Server) {
	t.Helper()
	state, err := s.State()
	if err != nil {
		t.Fatal(err)
	}
	twin := server(t, s.Kind(), native.Options{Dir: t.TempDir(), Ports: state.Ports})
	if err := twin.Start(t.Context()); err == nil || !strings.Contains(err.Error(), "another process listens on 127.0.0.1:") {
		t.Errorf("a second %s on the same ports: %v, want that they are taken", s.Kind(), err)
	}
	elsewhere, err := native.FreePorts(s.Kind())
	if err != nil {
		t.Fatal(err)
	}
	if err := server(t, s.Kind(), native.Options{Dir: s.Dir(), Ports: elsewhere}).Start(t.Context()); !errors.Is(err, native.ErrOtherPorts) {
		t.Errorf("a second %s in the same folder: %v, want %v", s.Kind(), err, native.ErrOtherPorts)
	}
}

// freezes: a frozen server takes connections and answers nothing; thawed it answers again.
func freezes(t *testing.T, s *native.Server, m memory) {
	t.Helper()
	if err := s.Freeze(); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	if word, err := m.read(ctx, s.Addr()); err == nil {
		t.Errorf("frozen, %s gives back %q", s.Kind(), word)
	}
	if err := s.Thaw(); err != nil {
		t.Fatal(err)
	}
	// Not at once: its sessions have ended meanwhile, and it finds out first.
	eventually(t, "the thawed "+string(s.Kind())+" remembers", func() bool {
		word, err := m.read(t.Context(), s.Addr())
		return err == nil && word == "kept"
	})
}

// vacantPorts: whoever comes next can have them.
func vacantPorts(t *testing.T, s *native.Server, after string) {
	t.Helper()
	_, port, err := net.SplitHostPort(strings.TrimPrefix(s.Addr(), "http://"))
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", net.JoinHostPort("127.0.0.1", port))
	if err != nil {
		t.Errorf("%s, %s holds its port: %v", after, s.Kind(), err)
		return
	}
	l.Close()
}

// processesOf are the processes with a folder in their command line.
func processesOf(t *testing.T, dir string) (found []string) {
	t.Helper()
	lines, err := filepath.Glob("/proc/[0-9]*/cmdline")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range lines {
		if b, err := os.ReadFile(name); err == nil && strings.Contains(string(b), dir+"/") {
			found = append(found, name)
		}
	}
	return found
}

// TestStartThatIsGivenUpLeavesNothing: whoever starts a server has no more time.
func TestStartThatIsGivenUpLeavesNothing(t *testing.T) {
	real(t)
	s := fresh(t, native.HBase, t.TempDir())
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- s.Start(ctx) }()
	eventually(t, "its process runs", func() bool { return pid(t, s) != 0 })
	cancel()
	if err := <-done; !errors.Is(err, context.Canceled) {
		t.Errorf("Start says %v, want %v", err, context.Canceled)
	}
	if running := processesOf(t, s.Dir()); len(running) > 0 {
		t.Errorf("given up, there are still %v", running)
	}
	vacantPorts(t, s, "given up")
	start(t, s) // and what it began is no obstacle
}

// TestStartThatFailsQuotesTheLog: a data folder that is none, or another node's.
func TestStartThatFailsQuotesTheLog(t *testing.T) {
	real(t)
	spoilt := map[native.Kind]struct{ file, text, want string }{
		native.Kafka:   {"data/meta.properties", "version=1\nnode.id=7\ncluster.id=another\n", "node id 7"},
		native.HBase:   {"data", "what should be a folder", "/data"},
		native.Elastic: {"data", "what should be a folder", "/data"},
	}
	for k, spoil := range spoilt {
		t.Run(string(k), func(t *testing.T) {
			t.Parallel()
			s := fresh(t, k, t.TempDir())
			write(t, filepath.Join(s.Dir(), spoil.file), spoil.text)
			err := s.Start(t.Context())
			if err == nil || !strings.Contains(err.Error(), spoil.want) || !strings.Contains(err.Error(), s.Log()) {
				t.Fatalf("Start says %v, want its log and in it %q", err, spoil.want)
			}
			if running := processesOf(t, s.Dir()); len(running) > 0 {
				t.Errorf("after the failure there are still %v", running)
			}
			if state, err := s.State(); err != nil || state.Running {
				t.Errorf("after the failure the state is %+v (%v)", state, err)
			}
		})
	}
}

const topic = "words"

func kafkaConfig() *sarama.Config {
	c := sarama.NewConfig()
	c.Version = sarama.MaxVersion
	c.Producer.Return.Successes = true
	c.Net.DialTimeout, c.Net.ReadTimeout, c.Net.WriteTimeout = time.Second, 3*time.Second, 3*time.Second
	c.Metadata.Retry.Max = 0
	return c
}

// writeKafka makes the topic too: it does so with the first word after a start.
func writeKafka(_ context.Context, addr, word string) error {
	admin, err := sarama.NewClusterAdmin([]string{addr}, kafkaConfig())
	if err != nil {
		return err
	}
	defer admin.Close()
	if err := admin.CreateTopic(topic, &sarama.TopicDetail{NumPartitions: 1, ReplicationFactor: 1}, false); err != nil {
		return err
	}
	producer, err := sarama.NewSyncProducer([]string{addr}, kafkaConfig())
	if err != nil {
		return err
	}
	defer producer.Close()
	_, _, err = producer.SendMessage(&sarama.ProducerMessage{Topic: topic, Value: sarama.StringEncoder(word)})
	return err
}

func readKafka(ctx context.Context, addr string) (string, error) {
	consumer, err := sarama.NewConsumer([]string{addr}, kafkaConfig())
	if err != nil {
		return "", err
	}
	defer consumer.Close()
	records, err := consumer.ConsumePartition(topic, 0, sarama.OffsetOldest)
	if err != nil {
		return "", err
	}
	defer records.Close()
	ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	select {
	case r := <-records.Messages():
		return string(r.Value), nil
	case <-ctx.Done():
		return "", ctx.Err()
	}
}

const table, family = "words", "f"

func writeHBase(ctx context.Context, addr, word string) error {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	admin := gohbase.NewAdminClient(addr)
	if err := admin.CreateTable(hrpc.NewCreateTable(ctx, []byte(table), map[string]map[string]string{family: nil})); err != nil {
		return err
	}
	client := gohbase.NewClient(addr)
	defer client.Close()
	put, err := hrpc.NewPutStr(ctx, table, "row", map[string]map[string][]byte{family: {"q": []byte(word)}})
	if err != nil {
		return err
	}
	_, err = client.Put(put)
	return err
}

func readHBase(ctx context.Context, addr string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	client := gohbase.NewClient(addr)
	defer client.Close()
	get, err := hrpc.NewGetStr(ctx, table, "row")
	if err != nil {
		return "", err
	}
	row, err := client.Get(get)
	if err != nil || len(row.Cells) == 0 {
		return "", err
	}
	return string(row.Cells[0].Value), nil
}

func writeElastic(ctx context.Context, addr, word string) error {
	if _, err := elastic(ctx, http.MethodPut, addr+"/words", `{}`); err != nil {
		return err
	}
	_, err := elastic(ctx, http.MethodPut, addr+"/words/_doc/1", fmt.Sprintf(`{"word":%q}`, word))
	return err
}

func readElastic(ctx context.Context, addr string) (string, error) {
	text, err := elastic(ctx, http.MethodGet, addr+"/words/_source/1", "")
	return strings.TrimSuffix(strings.TrimPrefix(text, `{"word":"`), `"}`), err
}

// elastic sends one request and gives the body of the answer.
func elastic(ctx context.Context, method, url, body string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, method, url, strings.NewReader(body))
	if err != nil {
		return "", err
	}
	r.Header.Set("Content-Type", "application/json")
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		return "", err
	}
	defer answer.Body.Close()
	b, err := io.ReadAll(answer.Body)
	if err == nil && answer.StatusCode >= 300 {
		err = fmt.Errorf("%s %s: %s: %s", method, url, answer.Status, b)
	}
	return string(b), err
}

// TestSecondDoor: with its secret each mechanism gets in; with another password
// none does; and who does not trust the authority does not speak to it.
func TestSecondDoor(t *testing.T) {
	real(t)
	s := fresh(t, native.Kafka, t.TempDir())
	start(t, s)
	secret, err := s.Secret()
	if err != nil {
		t.Fatal(err)
	}
	pem, err := os.ReadFile(secret.CA)
	if err != nil {
		t.Fatal(err)
	}
	trusted := x509.NewCertPool()
	trusted.AppendCertsFromPEM(pem)
	mechanisms := []sarama.SASLMechanism{sarama.SASLTypeSCRAMSHA512, sarama.SASLTypeSCRAMSHA256, sarama.SASLTypePlaintext}
	for _, mechanism := range mechanisms {
		t.Run(string(mechanism), func(t *testing.T) {
			if err := knock(secret, mechanism, secret.Password, trusted); err != nil {
				t.Errorf("with the password: %v", err)
			}
			if err := knock(secret, mechanism, "guessed", trusted); err == nil {
				t.Error("a guessed password gets in")
			}
			if err := knock(secret, mechanism, secret.Password, x509.NewCertPool()); err == nil {
				t.Error("who trusts nobody trusts this authority")
			}
		})
	}
}

// knock asks Kafka's second door for the controller.
func knock(secret native.Secret, mechanism sarama.SASLMechanism, password string, trusted *x509.CertPool) error {
	c := kafkaConfig()
	c.Net.TLS.Enable, c.Net.TLS.Config = true, &tls.Config{RootCAs: trusted}
	c.Net.SASL.Enable, c.Net.SASL.Mechanism = true, mechanism
	c.Net.SASL.User, c.Net.SASL.Password = secret.User, password
	c.Net.SASL.SCRAMClientGeneratorFunc = func() sarama.SCRAMClient {
		if mechanism == sarama.SASLTypeSCRAMSHA256 {
			return &conversation{hash: scram.SHA256}
		}
		return &conversation{hash: scram.SHA512}
	}
	client, err := sarama.NewClient([]string{secret.Addr}, c)
	if err != nil {
		return err
	}
	defer client.Close()
	_, err = client.RefreshController()
	return err
}

// A conversation is one login by SCRAM.
type conversation struct {
	hash scram.HashGeneratorFcn
	*scram.ClientConversation
}

// Begin starts the login.
func (c *conversation) Begin(user, password, _ string) error {
	client, err := c.hash.NewClient(user, password, "")
	if err == nil {
		c.ClientConversation = client.NewConversation()
	}
	return err
}
