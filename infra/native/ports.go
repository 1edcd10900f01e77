package native

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
)

// host is where all servers listen, and nowhere else: they ask for no password
// on most of their ports.
const host = "127.0.0.1"

// Ports are the ports of a server by the name of the listener: plain, controller
// and secure of Kafka; zookeeper, master and region of HBase; http and
// transport of Elasticsearch.
type Ports map[string]int

// DefaultPorts are the ports of a server unless something else is said.
func DefaultPorts(k Kind) Ports {
	p := make(Ports)
	for _, l := range k.trait().listeners {
		p[l.name] = l.port
	}
	return p
}

// Free ports are looked for below the range that the kernel gives to outgoing
// connections: while a server is killed, none of those may take its port.
const firstFree, lastFree = 30000, 32767

// FreePorts are ports that nobody listens on now, for one more server of a kind.
// They stay reserved until this process ends: no other one that asks gets them
// before the server listens, or while it is killed.
func FreePorts(k Kind) (Ports, error) {
	cache, err := cacheDir()
	if err != nil {
		return nil, err
	}
	reservations := filepath.Join(cache, "ports")
	if err := os.MkdirAll(reservations, 0o755); err != nil {
		return nil, err
	}
	p := make(Ports)
	for _, l := range k.trait().listeners {
		port, err := freePort(reservations)
		if err != nil {
			return nil, fmt.Errorf("find a port for %s of %s: %w", l.name, k, err)
		}
		p[l.name] = port
	}
	return p, nil
}

// freePort draws a port that nobody listens on and that is not reserved yet.
func freePort(reservations string) (int, error) {
	var last error
	for range 200 {
		port := firstFree + rand.IntN(lastFree-firstFree+1)
		if last = reserve(reservations, port); last != nil {
			continue
		}
		if last = vacant(port); last == nil {
			return port, nil
		}
	}
	return 0, fmt.Errorf("none between %d and %d: %w", firstFree, lastFree, last)
}

// reserve keeps a port for this process, by a lock on a file of its own in a
// folder. The file stays open, for the kernel to give the lock back when the
// process has ended, however it did; the servers do not inherit it.
func reserve(dir string, port int) error {
	name := filepath.Join(dir, strconv.Itoa(port))
	file, err := syscall.Open(name, syscall.O_RDWR|syscall.O_CREAT|syscall.O_CLOEXEC, 0o644)
	if err != nil {
		return fmt.Errorf("open %s: %w", name, err)
	}
	if err := syscall.Flock(file, syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		return errors.Join(fmt.Errorf("port %d is reserved: lock %s: %w", port, name, err), syscall.Close(file))
	}
	return nil
}

// complete checks ports that somebody gave and adds the defaults to them.
func (p Ports) complete(k Kind) (Ports, error) {
	all := DefaultPorts(k)
	for name, port := range p {
		if _, known := all[name]; !known {
			return nil, fmt.Errorf("%s has no port called %q: it has %s", k, name, DefaultPorts(k))
		}
		if port < 1 || port > 65535 {
			return nil, fmt.Errorf("port %s of %s is %d: it must lie between 1 and 65535", name, k, port)
		}
		all[name] = port
	}
	numbers := all.numbers()
	if len(slices.Compact(numbers)) < len(all) {
		return nil, fmt.Errorf("two ports of %s are the same: %s", k, all)
	}
	return all, nil
}

// checkVacant says which of the ports is taken.
func (p Ports) checkVacant() error {
	var errs []error
	for _, name := range p.names() {
		if err := vacant(p[name]); err != nil {
			errs = append(errs, fmt.Errorf("its port %s: %w", name, err))
		}
	}
	return errors.Join(errs...)
}

// vacant says whether a server could listen on a port.
func vacant(port int) error {
	l, err := net.Listen("tcp", fmt.Sprintf("%s:%d", host, port))
	if errors.Is(err, syscall.EADDRINUSE) {
		return fmt.Errorf("another process listens on %s:%d: stop it, or choose another port", host, port)
	}
	if err != nil {
		return err
	}
	return l.Close()
}

func (p Ports) names() []string {
	names := make([]string, 0, len(p))
	for name := range p {
		names = append(names, name)
	}
	slices.SortFunc(names, func(a, b string) int { return p[a] - p[b] })
	return names
}

// numbers are the ports in ascending order.
func (p Ports) numbers() []int {
	var numbers []int
	for _, name := range p.names() {
		numbers = append(numbers, p[name])
	}
	return numbers
}

// String is "plain=29092,controller=29093".
func (p Ports) String() string {
	var all []string
	for _, name := range p.names() {
		all = append(all, fmt.Sprintf("%s=%d", name, p[name]))
	}
	return strings.Join(all, ",")
}
