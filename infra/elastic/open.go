package elastic

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/elastic/elastic-transport-go/v8/elastictransport"
	"github.com/elastic/go-elasticsearch/v8/esapi"
	"github.com/prometheus/client_golang/prometheus"
)

// Documents keeps documents in the indices of one prefix. All of it may be
// called from any number of goroutines. Alias is for one process at a time: two that
// give one name different indices at once may leave it with both.
type Documents struct {
	config      Config
	transport   *elastictransport.Client
	connections *http.Transport
	metrics     *metrics
	slots       chan struct{} // one taken for each bulk request under way

	mu     sync.Mutex     // guards closed, and that calls grows only before it
	closed bool           // guarded by mu
	calls  sync.WaitGroup // calls under way
}

// openDeadline bounds Open. A server that takes longer is not ready to be used.
const openDeadline = 15 * time.Second

// Open connects to a server that is ready, puts the index templates and holds
// the indices that are there to them. It tries nothing again, so that a wrong
// setting is said at once; whoever expects the server to come opens again.
func Open(ctx context.Context, config Config, registerer prometheus.Registerer) (*Documents, error) {
	d, err := open(ctx, config, registerer)
	if err != nil {
		return nil, fmt.Errorf("open documents: %w", err)
	}
	return d, nil
}

func open(ctx context.Context, config Config, registerer prometheus.Registerer) (*Documents, error) {
	ctx, cancel := context.WithTimeout(ctx, openDeadline)
	defer cancel()
	config, err := config.with()
	if err != nil {
		return nil, err
	}
	urls, err := config.urls()
	if err != nil {
		return nil, err
	}
	if err := config.reach(ctx, urls); err != nil {
		return nil, err
	}
	d := &Documents{config: config, slots: make(chan struct{}, config.Workers)}
	if d.metrics, err = newMetrics(registerer); err != nil {
		return nil, err
	}
	if d.transport, d.connections, err = config.transport(urls); err != nil {
		return nil, err
	}
	if err = d.prepare(ctx); err != nil {
		d.connections.CloseIdleConnections()
		return nil, err
	}
	return d, nil
}

// reach finds one address at which a server is ready, or says of each what is wrong there.
func (c Config) reach(ctx context.Context, urls []*url.URL) error {
	var errs []error
	for _, u := range urls {
		transport, connections, err := c.transport([]*url.URL{u})
		if err != nil {
			return err
		}
		err = c.ready(ctx, transport, time.Until(deadlineOf(ctx))/time.Duration(len(urls)))
		connections.CloseIdleConnections()
		if err == nil {
			return nil
		}
		errs = append(errs, explain(u.Redacted(), err))
	}
	return errors.Join(errs...)
}

// deadlineOf is the deadline of a context that has one.
func deadlineOf(ctx context.Context) time.Time {
	deadline, _ := ctx.Deadline()
	return deadline
}

// ready asks for the health of our indices; the cluster may have others whose
// trouble is not ours.
func (c Config) ready(ctx context.Context, to esapi.Transport, within time.Duration) error {
	within = min(within, c.Deadline, 10*time.Second)
	ctx, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	var health struct{ Status string }
	err := send(ctx, to, esapi.ClusterHealthRequest{
		Index: []string{c.Prefix + "-*"}, WaitForStatus: "yellow", Timeout: within / 2,
	}, &health)
	var r *refusal
	if errors.As(err, &r) && r.Status == http.StatusRequestTimeout {
		return errors.New("it is up, but the primary shard of an index is not: its health is red")
	}
	return err
}

// prepare puts the templates and checks what is there.
func (d *Documents) prepare(ctx context.Context) error {
	if err := d.checkIndices(ctx); err != nil {
		return err
	}
	return d.putTemplates(ctx)
}

// Close waits for the calls under way and gives the connections back.
func (d *Documents) Close() error {
	d.mu.Lock()
	d.closed = true
	d.mu.Unlock()
	d.calls.Wait()
	d.connections.CloseIdleConnections()
	return nil
}

// enter begins a call; each has its d.calls.Done.
func (d *Documents) enter(ctx context.Context) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.closed {
		return ErrClosed
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	d.calls.Add(1)
	return nil
}

// name is what an index or alias is called on the server.
func (d *Documents) name(index string) string { return d.config.Prefix + "-" + index }

// names are what indices are called on the server.
func (d *Documents) names(indices []string) []string {
	names := make([]string, len(indices))
	for i, index := range indices {
		names[i] = d.name(index)
	}
	return names
}

// unname is the reverse of name.
func (d *Documents) unname(name string) string { return strings.TrimPrefix(name, d.config.Prefix+"-") }
