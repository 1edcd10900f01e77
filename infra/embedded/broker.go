package embedded

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"

	"github.com/twmb/franz-go/pkg/kfake"
)

// Broker speaks Kafka's protocol on a loopback port and keeps its log in a
// directory, every batch fsynced before it is acknowledged. Topics with their
// ids, records and the offsets of groups outlive the process, killed or not.
//
// After a kill it reads the whole log once to start, and holds it in memory
// meanwhile; after Close it does not.
type Broker struct {
	cluster *kfake.Cluster
	addr    string
	words   *lastError
}

// segmentBytes is how much of a partition lies in one file. A start reads every
// partition a file at a time, all at once.
const segmentBytes = 32 << 20

// OpenBroker starts the broker of a directory, which is made if it is not
// there. Port 0 is the port it had last, or any if that is taken.
func OpenBroker(dir string, port int) (*Broker, error) {
	if err := makeDirs(dir); err != nil {
		return nil, fmt.Errorf("open broker %s: %w", dir, err)
	}
	words := new(lastError)
	cluster, err := kfake.NewCluster(
		kfake.Ports(port),
		kfake.ListenFn(listener(dir, port)),
		kfake.DataDir(dir),
		kfake.SyncWrites(),
		kfake.WithLogger(words),
		kfake.BrokerConfigs(map[string]string{
			"log.segment.bytes":         strconv.Itoa(segmentBytes),
			"offsets.retention.minutes": strconv.Itoa(10 * 365 * 24 * 60), // a group that rests is not forgotten
		}),
	)
	if err != nil {
		return nil, fmt.Errorf("open broker %s: %w", dir, err)
	}
	b := &Broker{cluster, cluster.ListenAddrs()[0], words}
	_, used, err := net.SplitHostPort(b.addr)
	if err == nil {
		err = os.WriteFile(portFile(dir), []byte(used), 0o644)
	}
	if err != nil {
		return nil, fmt.Errorf("open broker %s: %w", dir, errors.Join(err, b.Close()))
	}
	cluster.Compact() // the broker compacts and deletes by the hour; a portal that restarts daily must get there too
	return b, nil
}

// portFile holds the port that the broker of a directory had last.
func portFile(dir string) string { return filepath.Join(dir, "port") }

// listener listens where clients of an earlier process look for the broker.
func listener(dir string, port int) func(network, address string) (net.Listener, error) {
	return func(network, address string) (net.Listener, error) {
		if port != 0 {
			return net.Listen(network, address)
		}
		last, err := os.ReadFile(portFile(dir))
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, err
		}
		if n, err := strconv.ParseUint(strings.TrimSpace(string(last)), 10, 16); err == nil {
			if l, err := net.Listen(network, fmt.Sprintf("127.0.0.1:%d", n)); err == nil {
				return l, nil
			}
		}
		return net.Listen(network, address)
	}
}

// Addr is host:port of the broker.
func (b *Broker) Addr() string { return b.addr }

// Close stops the broker. An error says that it could not write what makes the
// next start a fast one; what was acknowledged is not concerned.
func (b *Broker) Close() error {
	b.cluster.Close()
	if err := b.words.get(); err != nil {
		return fmt.Errorf("close broker %s: %w", b.addr, err)
	}
	return nil
}

// lastError takes the broker's log, which nobody reads, and keeps its latest
// error for Close. A write that failed is told to who wrote.
type lastError struct {
	mu  sync.Mutex
	err error // guarded by mu
}

// Logf keeps a line of the level error: the broker writes them when it stops.
func (l *lastError) Logf(level kfake.LogLevel, format string, args ...any) {
	if level != kfake.LogLevelError {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.err = fmt.Errorf(format, args...)
}

func (l *lastError) get() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.err
}
