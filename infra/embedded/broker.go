package embedded

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"
)

// Broker speaks Kafka's protocol on a loopback port and keeps its log in a
// directory, every batch fsynced before it is acknowledged or read. Topics with their
// ids, records and the offsets of groups outlive the process, killed or not.
//
// It reads the whole log once to start, and refuses one that lacks what was
// acknowledged. What a topic keeps no longer goes at a start; a compacted one keeps all.
type Broker struct {
	cluster *kfake.Cluster
	addr    string
	words   *brokerWords
	flusher *flusher
	closing sync.Once
	closed  error // what closing came to
}

// segmentBytes is how much of a partition lies in one file. A start reads every
// partition a file at a time, as many at once as there are cores.
const segmentBytes = 32 << 20

// brokerOptions are what tests set otherwise.
type brokerOptions struct {
	roll int64 // bytes of a segment
	sync func(*os.File) error
	now  func() time.Time
}

// OpenBroker starts the broker of a directory, which is made if it is not
// there. Port 0 is the port it had last, or any if that is taken. The error
// is ErrDamaged if something is not there that was acknowledged; then nothing was changed.
func OpenBroker(dir string, port int) (*Broker, error) {
	return openBroker(dir, port, brokerOptions{segmentBytes, (*os.File).Sync, time.Now})
}

func openBroker(dir string, port int, o brokerOptions) (b *Broker, err error) {
	defer func() {
		if err != nil {
			err = fmt.Errorf("open broker %s: %w", dir, err)
		}
	}()
	if err := makeDirs(dir); err != nil {
		return nil, err
	}
	flusher, err := checked(dir, o)
	if err != nil {
		return nil, err
	}
	words := new(brokerWords)
	cluster, err := newCluster(
		kfake.Ports(port),
		kfake.ListenFn(listener(dir, port, flusher)),
		kfake.DataDir(dir),
		kfake.WithLogger(words),
		kfake.BrokerConfigs(map[string]string{
			"log.segment.bytes":         strconv.FormatInt(o.roll, 10),
			"log.cleaner.backoff.ms":    strconv.Itoa(decade), // never: see partitionCheck.retain
			"offsets.retention.minutes": strconv.Itoa(decade / 60_000),
		}),
	)
	if err != nil {
		return nil, errors.Join(err, flusher.file.close())
	}
	b = &Broker{cluster: cluster, addr: cluster.ListenAddrs()[0], words: words, flusher: flusher}
	_, used, err := net.SplitHostPort(b.addr)
	if err == nil {
		err = os.WriteFile(portFile(dir), []byte(used), 0o644)
	}
	if err != nil {
		return nil, errors.Join(err, b.Close())
	}
	return b, nil
}

// decade is ten years in milliseconds: longer than a process lives, and than a
// group that rests is remembered.
const decade = 10 * 365 * 24 * 60 * 60_000

// checked reads the log, puts right what may be, and notes where it ends now.
func checked(dir string, o brokerOptions) (*flusher, error) {
	check := &logCheck{dir: dir, now: o.now(), roll: o.roll}
	if err := clearTemps(dir); err != nil {
		return nil, err
	}
	partitions, state, err := check.check()
	if err != nil {
		return nil, err
	}
	f := newFlusher(dir, o.roll, o.sync, partitions, state)
	if err := f.flush(); err != nil {
		return nil, errors.Join(err, f.file.close())
	}
	return f, check.mend(check.later)
}

// newCluster starts the broker. It panics over files that it cannot read; those
// that we know of are checked before.
func newCluster(options ...kfake.Opt) (c *kfake.Cluster, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("%w: the broker panics: %v", ErrDamaged, p)
		}
	}()
	return kfake.NewCluster(options...)
}

// portFile holds the port that the broker of a directory had last.
func portFile(dir string) string { return filepath.Join(dir, "port") }

// listener listens where clients of an earlier process look for the broker, and
// lets no answer out before its time.
func listener(dir string, port int, f *flusher) func(network, address string) (net.Listener, error) {
	listen := lastPort(dir, port)
	return func(network, address string) (net.Listener, error) {
		l, err := listen(network, address)
		if err != nil {
			return nil, err
		}
		return &gate{l, f}, nil
	}
}

// lastPort listens on the port that the broker had last, if it may be any.
func lastPort(dir string, port int) func(network, address string) (net.Listener, error) {
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

// Run waits until ctx is done, or until the log takes no more records, because a sync
// failed: then it says so. Nothing is acknowledged from then on; the next start reads
// from the disk what it has.
func (b *Broker) Run(ctx context.Context) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-b.flusher.broken:
		return b.flusher.lost
	}
}

// Close stops the broker. An error says that it could not write what the next
// start checks its files by; what was acknowledged is not concerned.
func (b *Broker) Close() error {
	b.closing.Do(func() {
		b.cluster.Close()
		if err := errors.Join(b.words.get(), b.flusher.close()); err != nil {
			b.closed = fmt.Errorf("close broker %s: %w", b.addr, err)
		}
	})
	return b.closed
}

// brokerWords hands what the broker has to say to the program's log, and keeps its
// latest error for Close. A write that failed is told to who wrote as well.
type brokerWords struct {
	mu   sync.Mutex
	last string // guarded by mu: a full disk is said once, not with every write
	err  error  // guarded by mu
}

// Logf takes a line. The broker writes those of the level error when it stops.
func (w *brokerWords) Logf(level kfake.LogLevel, format string, args ...any) {
	if level != kfake.LogLevelError && level != kfake.LogLevelWarn {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	line := fmt.Sprintf(format, args...)
	if line != w.last {
		slog.Warn("the broker says", "what", line)
	}
	if w.last = line; level == kfake.LogLevelError {
		w.err = errors.New(line)
	}
}

func (w *brokerWords) get() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.err
}
