package elastic_test

import (
	"context"
	"encoding/pem"
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

	"fernweh/infra/elastic"
)

// answers is a server that answers everything alike, as Elasticsearch or not.
func answers(t *testing.T, product string, status int, body string) http.Handler {
	t.Helper()
	return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		if product != "" {
			w.Header().Set("X-Elastic-Product", product)
		}
		w.WriteHeader(status)
		if _, err := io.WriteString(w, body); err != nil {
			t.Errorf("answer: %v", err)
		}
	})
}

// serve starts a server for a test and gives its address.
func serve(t *testing.T, h http.Handler) string {
	t.Helper()
	s := httptest.NewServer(h)
	t.Cleanup(s.Close)
	return s.URL
}

// serveTLS starts a server whose certificate nobody has signed. caFile has it.
func serveTLS(t *testing.T, h http.Handler) (address, caFile string) {
	t.Helper()
	s := httptest.NewUnstartedServer(h)
	s.Config.ErrorLog = log.New(io.Discard, "", 0) // it would tell of handshakes that this test wants to fail
	s.StartTLS()
	t.Cleanup(s.Close)
	caFile = filepath.Join(t.TempDir(), "ca.pem")
	block := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.Certificate().Raw})
	if err := os.WriteFile(caFile, block, 0o600); err != nil {
		t.Fatal(err)
	}
	return s.URL, caFile
}

// listen takes connections and does with them what is given.
func listen(t *testing.T, do func(net.Conn)) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			defer conn.Close()
			do(conn)
		}
	}()
	t.Cleanup(func() {
		if err := l.Close(); err != nil {
			t.Error(err)
		}
		<-done
	})
	return "http://" + l.Addr().String()
}

// closedPort is an address that nothing listens at.
func closedPort(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return "http://" + l.Addr().String()
}

// refuses expects that a store does not open, soon, with an error that says
// something.
func refuses(t *testing.T, config elastic.Config, says ...string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 40*time.Second)
	defer cancel()
	d, err := elastic.Open(ctx, config, nil)
	if err == nil {
		d.Close()
		t.Fatal("the store opened")
	}
	if ctx.Err() != nil {
		t.Fatalf("it hangs: %v", err)
	}
	for _, say := range says {
		if !strings.Contains(err.Error(), say) {
			t.Errorf("got %q, want an error that says %q", err, say)
		}
	}
	t.Log(err)
}

func TestWrongSettingsAreNamed(t *testing.T) {
	const elasticsearch = "Elasticsearch"
	healthy := answers(t, elasticsearch, 200, `{"status":"green"}`)
	secure, caFile := serveTLS(t, healthy)
	noPEM := filepath.Join(t.TempDir(), "no.pem")
	if err := os.WriteFile(noPEM, []byte("a certificate"), 0o600); err != nil {
		t.Fatal(err)
	}
	plain := serve(t, healthy)
	greet := func(c net.Conn) { _, _ = c.Write([]byte("\x00\x00\x00\x01hello\r\n\r\n")) } // the reader ends it
	greeting := listen(t, greet)
	garbage := listen(t, func(c net.Conn) {
		_, _ = c.Read(make([]byte, 1))
		greet(c)
	})
	hangUp := listen(t, func(c net.Conn) { c.Close() })
	silent := listen(t, func(net.Conn) {})
	away := closedPort(t)
	at := func(address string) elastic.Config {
		return elastic.Config{Addresses: []string{address}, Deadline: 500 * time.Millisecond}
	}
	with := func(c elastic.Config, change func(*elastic.Config)) elastic.Config {
		change(&c)
		return c
	}
	tests := []struct {
		name   string
		config elastic.Config
		says   []string
	}{
		{"no address", elastic.Config{}, []string{"no address is set", "http://127.0.0.1:9200"}},
		{"no scheme", at("127.0.0.1:9200"), []string{`address "127.0.0.1:9200"`, "want one such as"}},
		{"another scheme", at("tcp://127.0.0.1:9200"), []string{"want one such as"}},
		{"password in the address", at("http://a:secret@127.0.0.1:9200"), []string{"set user and password by themselves"}},
		{"nothing listens", at(away), []string{away, "nothing listens there"}},
		{"unknown host", at("http://no-such-host.invalid:9200"), []string{"no-such-host.invalid", "name is not known"}},
		{"another protocol that speaks first", at(greeting), []string{greeting, "speaks no HTTP", "look at the port"}},
		{"another protocol", at(garbage), []string{garbage, "speaks no HTTP", "look at the port"}},
		{"a port that hangs up", at(hangUp), []string{hangUp, "ends the connection without an answer"}},
		{"a port that says nothing", at(silent), []string{silent, "no answer in time"}},
		{"another web server", at(serve(t, answers(t, "", 404, "no such page"))), []string{"is no Elasticsearch", "no such page"}},
		{"a web server that likes everything", at(serve(t, answers(t, "", 200, "{}"))), []string{"is no Elasticsearch"}},
		{"https asked of http", at(strings.Replace(plain, "http:", "https:", 1)), []string{"does not speak https"}},
		{"http asked of https", at(strings.Replace(secure, "https:", "http:", 1)), []string{"must begin with https://"}},
		{"unknown authority", at(secure), []string{"authority that is not known", "CA file"}},
		{"CA file that is not there", with(at(secure), func(c *elastic.Config) { c.CAFile = caFile + ".not" }), []string{"read CA file", ".not"}},
		{"CA file without a certificate", with(at(secure), func(c *elastic.Config) { c.CAFile = noPEM }), []string{noPEM, "no certificate in PEM"}},
		{"wrong password", with(at(serve(t, answers(t, elasticsearch, 401,
			`{"error":{"type":"security_exception","reason":"unable to authenticate user [portal]"},"status":401}`))),
			func(c *elastic.Config) { c.Username, c.Password = "portal", "secret" }), []string{"unable to authenticate user [portal]", "look at user and password"}},
		{"refused by a proxy", at(serve(t, answers(t, "", 401, "who are you?"))), []string{"refuses the credentials", "who are you?"}},
		{"without a privilege", at(serve(t, answers(t, elasticsearch, 403,
			`{"error":{"type":"security_exception","reason":"action [cluster:monitor/health] is unauthorized"},"status":403}`))), []string{"lacks a privilege"}},
		{"starting or broken", at(serve(t, answers(t, elasticsearch, 503,
			`{"error":{"type":"master_not_discovered_exception","reason":null},"status":503}`))), []string{"master_not_discovered_exception"}},
		{"red", at(serve(t, answers(t, elasticsearch, 408, `{"status":"red","timed_out":true}`))), []string{"its health is red"}},
		{"user and key", with(at(plain), func(c *elastic.Config) { c.Username, c.APIKey = "a", "b" }), []string{"want one of them"}},
		{"prefix with a hyphen", with(at(plain), func(c *elastic.Config) { c.Prefix = "fernweh-test" }), []string{`prefix "fernweh-test"`, "in lower case"}},
		{"prefix in upper case", with(at(plain), func(c *elastic.Config) { c.Prefix = "Fernweh" }), []string{`prefix "Fernweh"`}},
		{"fewer shards than none", with(at(plain), func(c *elastic.Config) { c.Shards = -1 }), []string{"shards -1"}},
		{"two addresses, both wrong", elastic.Config{Addresses: []string{away, hangUp}}, []string{away, "nothing listens", hangUp, "ends the connection"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) { refuses(t, tt.config, tt.says...) })
	}
}

// TestSecretsStaySecret: no error has a password in it.
func TestSecretsStaySecret(t *testing.T) {
	_, err := elastic.Open(t.Context(), elastic.Config{Addresses: []string{"http://a:secret@127.0.0.1:9200"}}, nil)
	if err == nil || strings.Contains(err.Error(), "secret") {
		t.Errorf("got %v, want an error without the password", err)
	}
}

func TestIndicesThatDiffer(t *testing.T) {
	tests := []struct {
		name, index, body string
		says              []string
	}{
		{"a field of another type", "visitors-b1", `{"mappings":{"dynamic":"strict","properties":{"device":{"type":"keyword"},"views":{"type":"text"}}}}`,
			[]string{"visitors-b1", "another mapping", `field "views" is text, should be long`}},
		{"a field too many", "panes-b1", `{"mappings":{"dynamic":"strict","properties":{"colour":{"type":"keyword"}}}}`,
			[]string{"panes-b1", `field "colour" is keyword, should be none at all`}},
		{"not strict", "decisions-2026.11.22", `{"mappings":{"properties":{"id":{"type":"keyword"}}}}`,
			[]string{"decisions-2026.11.22", `dynamic is "true", should be "strict"`}},
		{"another format of dates", "panes-b1", `{"mappings":{"dynamic":"strict","properties":{"@timestamp":{"type":"date"}}}}`,
			[]string{"panes-b1", `field "@timestamp" is date, should be date strict_date_time`}},
		{"an index in an alias's place", "visitors", `{}`, []string{"-visitors has the name that an alias needs"}},
		{"a full disk", "visitors-b1", `{"settings":{"index.blocks.read_only_allow_delete":true},"mappings":{"dynamic":"strict"}}`,
			[]string{"visitors-b1", "takes no writes", "read_only_allow_delete", "full disk"}},
		{"closed to writes by hand", "visitors-b1", `{"settings":{"index.blocks.write":true},"mappings":{"dynamic":"strict"}}`,
			[]string{"visitors-b1", "takes no writes", "index.blocks.write"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			config := settings(t)
			put(t, config, "/"+config.Prefix+"-"+tt.index, tt.body)
			t.Cleanup(func() {
				if err := elastic.Remove(context.Background(), config); err != nil {
					t.Error(err)
				}
			})
			refuses(t, config, append(tt.says, config.Prefix)...)
		})
	}
}

// put sends a body to the server under test, past the adapter.
func put(t *testing.T, config elastic.Config, path, body string) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPut, config.Addresses[0]+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/json")
	response, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	if said, _ := io.ReadAll(response.Body); response.StatusCode >= 300 {
		t.Fatalf("put %s: %d %s", path, response.StatusCode, said)
	}
}
