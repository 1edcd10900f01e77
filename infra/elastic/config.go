package elastic

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os"
	"regexp"
	"time"

	"github.com/elastic/elastic-transport-go/v8/elastictransport"
)

// Config says which Elasticsearch to talk to, as who, and how much at once. The
// zero value of everything but Addresses is a good one.
type Config struct {
	Addresses []string // of some nodes, such as http://127.0.0.1:9200
	Username  string   // empty: no credentials, unless there is an APIKey
	Password  string
	APIKey    string // base64 of id:key; instead of a user
	CAFile    string // PEM of who signed the server's certificate; empty: the system's

	Prefix   string // of every index, template and alias, with a hyphen; empty: fernweh
	Shards   int    // of an index; 0: 1
	Replicas int    // of an index; none, which a single node needs, is the default

	Deadline time.Duration // of one request; 0: 15 s
	Patience time.Duration // how long a call is tried again; 0: 60 s, which a restart takes at most
	Workers  int           // bulk requests under way at once, of all callers; 0: 2
	Bulk     int           // bytes of one bulk request; 0: 2 MiB. Workers * Bulk bounds the memory
}

// Defaults of Config.
const (
	defaultPrefix   = "fernweh"
	defaultDeadline = 15 * time.Second
	defaultPatience = 60 * time.Second
	defaultWorkers  = 2
	defaultBulk     = 2 << 20
)

// dialTimeout bounds the attempt to reach a node.
const dialTimeout = 3 * time.Second

// prefixes are the names that may stand before an index: without a hyphen, so
// that no prefix's pattern takes in another's indices.
var prefixes = regexp.MustCompile(`^[a-z][a-z0-9_]{0,59}$`)

// with fills in the defaults and says what cannot be.
func (c Config) with() (Config, error) {
	if c.Prefix == "" {
		c.Prefix = defaultPrefix
	}
	if !prefixes.MatchString(c.Prefix) {
		return c, fmt.Errorf("prefix %q: want a letter and up to 59 more letters, digits and underscores, in lower case", c.Prefix)
	}
	for name, n := range map[string]*int{"shards": &c.Shards, "replicas": &c.Replicas, "workers": &c.Workers, "bulk": &c.Bulk} {
		if *n < 0 {
			return c, fmt.Errorf("%s %d: want none below 0", name, *n)
		}
		if fallback := map[string]int{"shards": 1, "workers": defaultWorkers, "bulk": defaultBulk}[name]; *n == 0 {
			*n = fallback
		}
	}
	for d, fallback := range map[*time.Duration]time.Duration{&c.Deadline: defaultDeadline, &c.Patience: defaultPatience} {
		if *d <= 0 {
			*d = fallback
		}
	}
	if c.APIKey != "" && c.Username != "" {
		return c, errors.New("an API key and a user are set: want one of them")
	}
	return c, nil
}

// urls are the addresses, parsed.
func (c Config) urls() ([]*url.URL, error) {
	if len(c.Addresses) == 0 {
		return nil, errors.New("no address is set: want one such as http://127.0.0.1:9200")
	}
	var urls []*url.URL
	for _, a := range c.Addresses {
		u, err := url.Parse(a)
		if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
			return nil, fmt.Errorf("address %q: want one such as http://127.0.0.1:9200 or https://host:9200", a)
		}
		if u.User != nil {
			return nil, fmt.Errorf("address %q: set user and password by themselves, not in the address", u.Redacted())
		}
		urls = append(urls, u)
	}
	return urls, nil
}

// transport makes the client of some nodes. It tries nothing again by itself:
// what may be sent twice is decided here, not there.
func (c Config) transport(urls []*url.URL) (*elastictransport.Client, *http.Transport, error) {
	secure := &tls.Config{MinVersion: tls.VersionTLS12}
	if c.CAFile != "" {
		pem, err := os.ReadFile(c.CAFile)
		if err != nil {
			return nil, nil, fmt.Errorf("read CA file: %w", err)
		}
		secure.RootCAs = x509.NewCertPool()
		if !secure.RootCAs.AppendCertsFromPEM(pem) {
			return nil, nil, fmt.Errorf("CA file %s: it holds no certificate in PEM", c.CAFile)
		}
	}
	connections := &http.Transport{
		Proxy:               http.ProxyFromEnvironment,
		DialContext:         (&net.Dialer{Timeout: dialTimeout}).DialContext,
		TLSClientConfig:     secure,
		TLSHandshakeTimeout: dialTimeout,
		MaxIdleConnsPerHost: c.Workers + 8, // readers beside the writers
		IdleConnTimeout:     time.Minute,
	}
	client, err := elastictransport.New(elastictransport.Config{
		URLs: urls, Username: c.Username, Password: c.Password, APIKey: c.APIKey,
		DisableRetry: true, Transport: connections,
	})
	return client, connections, err
}
