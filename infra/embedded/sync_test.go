package embedded_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/IBM/sarama"
	"google.golang.org/protobuf/proto"

	"fernweh/infra/embedded"
	"fernweh/infra/kafka"
	"fernweh/schemas"
)

// TestAFailedSyncIsTheEnd: whichever sync fails, once, nothing is acknowledged from
// then on, the broker says why, and the next start has all that was acknowledged before.
func TestAFailedSyncIsTheEnd(t *testing.T) {
	for _, fails := range []string{".dat", embedded.StateName, "fernweh.events-1"} {
		for nth := 1; nth <= 9; nth += 4 {
			name := fmt.Sprintf("sync %d of %s", nth, fails)
			l := &writtenLog{filepath.Join(t.TempDir(), "log"), make(map[place]string)}
			var mu sync.Mutex
			armed, seen := false, 0
			b, err := embedded.OpenBrokerWith(l.dir, smallSegments, func(f *os.File) error {
				mu.Lock()
				defer mu.Unlock()
				if armed && strings.Contains(filepath.Base(f.Name()), fails) {
					if seen++; seen == nth { // the next ones say that all is well, as the kernel does
						return syscall.EIO
					}
				}
				return f.Sync()
			}, time.Now)
			if err != nil {
				t.Fatal(err)
			}
			if err := l.fill(t, b, 0, 40); err != nil {
				t.Fatalf("%s: before it: %v", name, err)
			}
			mu.Lock()
			armed = true
			mu.Unlock()
			l.appendUntilEnd(t, b)
			if err := b.Run(t.Context()); !errors.Is(err, syscall.EIO) || !strings.Contains(err.Error(), l.dir) {
				t.Errorf("%s: the broker ends with %v, want %v and the directory", name, err, syscall.EIO)
			}
			impatient := sarama.NewConfig()
			impatient.Metadata.Retry.Max = 0
			if client, err := sarama.NewClient([]string{b.Addr()}, impatient); err == nil {
				t.Errorf("%s: the broker answers after it", name)
				client.Close()
			}
			if err := b.Close(); !errors.Is(err, syscall.EIO) {
				t.Errorf("%s: close: got %v, want %v", name, err, syscall.EIO)
			}
			l.opens(t, name)
		}
	}
}

// appendUntilEnd appends events, one request after the other, until one is not
// acknowledged. The client tries nothing twice.
func (l *writtenLog) appendUntilEnd(t *testing.T, b *embedded.Broker) {
	t.Helper()
	config := sarama.NewConfig()
	config.Producer.RequiredAcks, config.Producer.Return.Successes = sarama.WaitForAll, true
	config.Producer.Partitioner = sarama.NewManualPartitioner
	config.Producer.Retry.Max, config.Metadata.Retry.Max = 0, 0
	p, err := sarama.NewSyncProducer([]string{b.Addr()}, config)
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	for n := 100; ; n++ {
		e := page(fmt.Sprint("device", n%7), n)
		value, err := proto.Marshal(e)
		if err != nil {
			t.Fatal(err)
		}
		partition, offset, err := p.SendMessage(&sarama.ProducerMessage{
			Topic: schemas.TopicEvents, Partition: schemas.Partition(e.Device, partitions), Value: sarama.ByteEncoder(value),
		})
		if err != nil {
			return
		}
		l.acked[place{partition, offset}] = e.Id
	}
}

// A powerlessDisk remembers what a disk would have if the power went now: of each file
// what was synced, under the names that were synced.
type powerlessDisk struct {
	mu    sync.Mutex
	files map[string][]byte          // guarded by mu: by path, as it was synced last
	names map[string]map[string]bool // guarded by mu: by directory
}

// sync is (*os.File).Sync, remembered.
func (d *powerlessDisk) sync(f *os.File) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	info, err := f.Stat()
	if err != nil {
		return err
	}
	path := f.Name()
	if info.IsDir() {
		entries, err := os.ReadDir(path)
		d.names[path] = make(map[string]bool)
		for _, e := range entries {
			d.names[path][e.Name()] = true
		}
		return err
	}
	b := make([]byte, info.Size())
	if _, err := f.ReadAt(b, 0); err != nil && len(b) > 0 {
		return err
	}
	d.files[strings.TrimSuffix(path, ".tmp")] = b // it is renamed when it is whole
	return nil
}

// left writes what the disk has to another directory. Bytes behind what was synced may
// be there, too: of a segment as many as some gives, the last of them as zeros. What the broker writes whole
// (JSON) it syncs itself, before it gives it its name.
func (d *powerlessDisk) left(t *testing.T, from, to string, some func(most int) (bytes, zeros int)) {
	t.Helper()
	d.mu.Lock()
	defer d.mu.Unlock()
	for name, now := range bytesOf(t, from) {
		path := filepath.Join(from, name)
		dir := filepath.Dir(path)
		b := d.files[path]
		switch filepath.Ext(path) {
		case ".json":
			b = []byte(now)
		case ".idx":
			continue // nobody syncs what follows from the segment
		case ".dat":
			more, zeros := some(len(now) - len(b))
			b = append(b[:len(b):len(b)], now[len(b):len(b)+more]...)
			clear(b[len(b)-zeros:])
		}
		if !d.names[dir][filepath.Base(path)] || b == nil {
			continue
		}
		if err := errors.Join(os.MkdirAll(filepath.Join(to, filepath.Dir(name)), 0o755),
			os.WriteFile(filepath.Join(to, name), b, 0o644)); err != nil {
			t.Fatal(err)
		}
	}
}

// TestPowerLossLosesNothingAcknowledged takes the power away between any two
// acknowledgements. A kill cannot show that a sync is missing: the kernel still has the bytes.
func TestPowerLossLosesNothingAcknowledged(t *testing.T) {
	seed := rand.Uint64()
	r := rand.New(rand.NewPCG(seed, 0))
	disk := &powerlessDisk{files: make(map[string][]byte), names: make(map[string]map[string]bool)}
	l := &writtenLog{filepath.Join(t.TempDir(), "log"), make(map[place]string)}
	b, err := embedded.OpenBrokerWith(l.dir, smallSegments, disk.sync, time.Now)
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	for n := 0; n < 600; n += 60 {
		if err := l.fill(t, b, n, n+60); err != nil {
			t.Fatal(err)
		}
		rest := &writtenLog{filepath.Join(t.TempDir(), "log"), l.acked}
		disk.left(t, l.dir, rest.dir, func(most int) (bytes, zeros int) {
			bytes = r.IntN(max(most, 0) + 1)
			return bytes, r.IntN(bytes + 1)
		})
		rest.opens(t, fmt.Sprintf("seed %d, after %d events", seed, n+60))
	}
}

// TestRetentionKeepsTheOffsetToGoOnFrom: what a topic keeps no longer goes by whole segments at a
// start, and the last one stays, so that no offset is given twice.
func TestRetentionKeepsTheOffsetToGoOnFrom(t *testing.T) {
	l := write(t, true)
	segments := l.segmentsOf(t, 0)
	later := func() time.Time { return time.Now().AddDate(2, 0, 0) }
	for range 2 {
		b, err := embedded.OpenBrokerWith(l.dir, smallSegments, (*os.File).Sync, later)
		if err != nil {
			t.Fatal(err)
		}
		tail := kafka.NewTail(config(b), schemas.TopicEvents)
		ends, err := tail.Ends(t.Context())
		if err := errors.Join(err, tail.Close(), b.Close()); err != nil {
			t.Fatal(err)
		}
		for at := range l.acked {
			if at.offset >= ends[at.partition] {
				t.Fatalf("partition %d ends at %d, and offset %d was acknowledged", at.partition, ends[at.partition], at.offset)
			}
		}
		left, err := filepath.Glob(filepath.Join(l.partition(0), "*.dat"))
		if err != nil || len(left) != 1 || left[0] != segments[len(segments)-1] {
			t.Fatalf("after two years there are %v, %v; want the last of %v", left, err, segments)
		}
	}
	remove(t, segments[len(segments)-1])
	l.refused(t, "the segment that was left", "were acknowledged")
}
