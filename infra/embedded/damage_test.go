package embedded_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/IBM/sarama"
	"google.golang.org/protobuf/proto"

	"fernweh/infra/embedded"
	"fernweh/infra/kafka"
	"fernweh/schemas"
)

// smallSegments is small enough for a test to write several.
const smallSegments = 2048

// openSmall opens a broker with small segments.
func openSmall(dir string) (*embedded.Broker, error) {
	return embedded.OpenBrokerWith(dir, smallSegments, (*os.File).Sync, time.Now)
}

// A written log is a directory, and what was acknowledged in it.
type writtenLog struct {
	dir   string
	acked map[place]string // id by place
}

// fill appends events of many devices through a broker, a batch at a time.
func (l *writtenLog) fill(t *testing.T, b *embedded.Broker, from, to int) error {
	t.Helper()
	cfg := config(b)
	if err := kafka.EnsureTopics(t.Context(), cfg, schemas.Topics(partitions), 1); err != nil {
		return err
	}
	p, err := kafka.NewProducer(cfg, partitions)
	if err != nil {
		return err
	}
	defer p.Close()
	for n := from; n < to; n += 4 {
		var events []*schemas.Event
		for i := n; i < min(n+4, to); i++ {
			events = append(events, page(fmt.Sprint("device", i%7), i))
		}
		offsets, err := p.Append(t.Context(), events)
		if err != nil {
			return err
		}
		for i, e := range events {
			l.acked[place{schemas.Partition(e.Device, partitions), offsets[i]}] = e.Id
		}
	}
	if from > 0 {
		return nil
	}
	return commitSome(t.Context(), cfg, p)
}

// write makes a log of several segments a partition. killed leaves it as a kill
// would: nothing that a broker writes when it is closed is there.
func write(t *testing.T, killed bool) *writtenLog {
	t.Helper()
	l := &writtenLog{filepath.Join(t.TempDir(), "log"), make(map[place]string)}
	b, err := openSmall(l.dir)
	if err != nil {
		t.Fatal(err)
	}
	if err := l.fill(t, b, 0, 400); err != nil {
		t.Fatal(err)
	}
	if killed {
		l = l.copy(t)
	}
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	l.copy(t).opens(t, "undamaged")
	return l
}

// opens expects the broker to open, with all that was acknowledged.
func (l *writtenLog) opens(t *testing.T, name string) {
	t.Helper()
	b, err := openSmall(l.dir)
	if err != nil {
		t.Errorf("%s: %v", name, err)
		return
	}
	if err := errors.Join(l.holds(t, b), b.Close()); err != nil {
		t.Errorf("%s: %v", name, err)
	}
}

// copy is the same log somewhere else.
func (l *writtenLog) copy(t *testing.T) *writtenLog {
	t.Helper()
	c := &writtenLog{filepath.Join(t.TempDir(), "log"), l.acked}
	if err := os.CopyFS(c.dir, os.DirFS(l.dir)); err != nil {
		t.Fatal(err)
	}
	return c
}

// holds reads the event topic and compares it with what was acknowledged.
func (l *writtenLog) holds(t *testing.T, b *embedded.Broker) error {
	t.Helper()
	config := sarama.NewConfig()
	config.Consumer.MaxWaitTime = time.Millisecond // or the end of each partition takes half a second
	client, err := sarama.NewClient([]string{b.Addr()}, config)
	if err != nil {
		return err
	}
	defer client.Close()
	consumer, err := sarama.NewConsumerFromClient(client)
	if err != nil {
		return err
	}
	there := make(map[place]string)
	for n := range int32(partitions) {
		end, err := client.GetOffset(schemas.TopicEvents, n, sarama.OffsetNewest)
		if err != nil {
			return err
		}
		if end == 0 {
			continue
		}
		c, err := consumer.ConsumePartition(schemas.TopicEvents, n, sarama.OffsetOldest)
		if err != nil {
			return err
		}
		for next := int64(0); next < end; next++ {
			m, ok := <-c.Messages()
			if !ok {
				return fmt.Errorf("partition %d ends before offset %d", n, next)
			}
			var e schemas.Event
			if err := proto.Unmarshal(m.Value, &e); err != nil {
				return err
			}
			there[place{n, m.Offset}] = e.Id
			next = m.Offset
		}
		if err := c.Close(); err != nil {
			return err
		}
	}
	for at, id := range l.acked {
		if there[at] != id {
			return fmt.Errorf("partition %d, offset %d: got %q, want %q, which was acknowledged", at.partition, at.offset, there[at], id)
		}
	}
	return nil
}

// bytesOf are all files of a directory.
func bytesOf(t *testing.T, dir string) map[string]string {
	t.Helper()
	files := make(map[string]string)
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		b, err := os.ReadFile(path)
		files[strings.TrimPrefix(path, dir)] = string(b)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

// segmentsOf are the segments of a partition of the events, in order of their offsets.
func (l *writtenLog) segmentsOf(t *testing.T, partition int) (paths []string) {
	t.Helper()
	bases, err := embedded.SegmentBases(l.partition(partition))
	if err != nil || len(bases) < 3 {
		t.Fatalf("segments of partition %d: %v, %v; want three at least", partition, bases, err)
	}
	for _, base := range bases {
		paths = append(paths, filepath.Join(l.partition(partition), fmt.Sprint(base, ".dat")))
	}
	return paths
}

func (l *writtenLog) partition(n int) string {
	return filepath.Join(l.dir, "partitions", fmt.Sprint(schemas.TopicEvents, "-", n))
}

// edit changes a file.
func edit(t *testing.T, path string, change func([]byte) []byte) {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, change(b), 0o644); err != nil {
		t.Fatal(err)
	}
}

// flip changes one bit.
func flip(at int) func([]byte) []byte {
	return func(b []byte) []byte {
		b[at] ^= 1
		return b
	}
}

func cutTo(n int) func([]byte) []byte { return func(b []byte) []byte { return b[:n] } }

// first is the length of the batch that b begins with.
func first(b []byte) int { return 12 + int(binary.BigEndian.Uint32(b[8:])) }

// TestDamageIsNamed: what was acknowledged and is not there any more keeps the
// broker from opening, by name, and nothing is touched.
func TestDamageIsNamed(t *testing.T) {
	logs := map[string]*writtenLog{"closed": write(t, false), "killed": write(t, true)}
	for _, bad := range []struct {
		name string
		do   func(l *writtenLog, segments []string)
		says string // SEGMENT: the first segment of the damaged partition
	}{
		{"a bit of the first batch", func(_ *writtenLog, s []string) { edit(t, s[0], flip(70)) }, "good batches with"},
		{"a bit of a length", func(_ *writtenLog, s []string) { edit(t, s[0], flip(11)) }, "good batches with"},
		{"a bit of an offset", func(_ *writtenLog, s []string) { edit(t, s[0], flip(7)) }, "good batches with"},
		{"a bit of the format", func(_ *writtenLog, s []string) { edit(t, s[0], flip(16)) }, "good batches with"},
		{"a bit of the leader's epoch", func(_ *writtenLog, s []string) { edit(t, s[0], flip(15)) }, "not those that were acknowledged"},
		{"a bit of the last batch", func(_ *writtenLog, s []string) {
			edit(t, s[len(s)-1], func(b []byte) []byte { return flip(len(b) - 1)(b) })
		}, "were acknowledged"},
		{"the last byte", func(_ *writtenLog, s []string) {
			edit(t, s[len(s)-1], func(b []byte) []byte { return b[:len(b)-1] })
		}, "were acknowledged"},
		{"a whole batch at the end", func(_ *writtenLog, s []string) {
			edit(t, s[len(s)-1], func(b []byte) []byte {
				at := 0
				for at+first(b[at:]) < len(b) {
					at += first(b[at:])
				}
				return b[:at]
			})
		}, "were acknowledged"},
		{"zeros at the end", func(_ *writtenLog, s []string) {
			edit(t, s[len(s)-1], func(b []byte) []byte { clear(b[len(b)/2:]); return b })
		}, "were acknowledged"},
		{"an end in a middle segment", func(_ *writtenLog, s []string) { edit(t, s[1], cutTo(10)) }, "good batches with"},
		{"an empty middle segment", func(_ *writtenLog, s []string) { edit(t, s[1], cutTo(0)) }, "is missing"},
		{"no first segment", func(_ *writtenLog, s []string) { remove(t, s[0]) }, "is missing"},
		{"no middle segment", func(_ *writtenLog, s []string) { remove(t, s[1]) }, "is missing"},
		{"no last segment", func(_ *writtenLog, s []string) { remove(t, s[len(s)-1]) }, "were acknowledged"},
		{"no segment at all", func(_ *writtenLog, s []string) { remove(t, s...) }, "were acknowledged"},
		{"no directory", func(l *writtenLog, _ []string) { removeAll(t, l.partition(0)) }, "were acknowledged"},
		{"two segments exchanged", func(_ *writtenLog, s []string) { exchange(t, s[0], s[1]) }, "offset 0 should be"},
		{"two partitions exchanged", func(l *writtenLog, _ []string) { exchange(t, l.partition(0), l.partition(1)) }, "acknowledged"},
		{"a segment of another name", func(_ *writtenLog, s []string) {
			exchange(t, s[0], filepath.Join(filepath.Dir(s[0]), "x.dat"))
		}, "x.dat: segments are named"},
	} {
		for how, log := range logs {
			l := log.copy(t)
			bad.do(l, l.segmentsOf(t, 0))
			l.refused(t, how+", "+bad.name, bad.says, l.partition(0)[len(l.dir):len(l.partition(0))-2])
		}
	}
}

// refused expects the broker not to open, with these words, and nothing changed.
func (l *writtenLog) refused(t *testing.T, name string, says ...string) {
	t.Helper()
	before := bytesOf(t, l.dir)
	for range 2 { // a supervisor tries again
		b, err := openSmall(l.dir)
		if err == nil {
			t.Errorf("%s: the broker opens", name)
			b.Close()
			return
		}
		if !errors.Is(err, embedded.ErrDamaged) {
			t.Errorf("%s: got %v, want %v", name, err, embedded.ErrDamaged)
		}
		for _, want := range append(says, "docs/operations.md, Damaged log") {
			if !strings.Contains(err.Error(), want) {
				t.Errorf("%s: got %v, want it to say %q", name, err, want)
			}
		}
	}
	if after := bytesOf(t, l.dir); !maps.Equal(before, after) {
		t.Errorf("%s: files were changed", name)
	}
}

func remove(t *testing.T, paths ...string) {
	t.Helper()
	for _, path := range paths {
		if err := os.Remove(path); err != nil {
			t.Fatal(err)
		}
	}
}

func removeAll(t *testing.T, dir string) {
	t.Helper()
	if err := os.RemoveAll(dir); err != nil {
		t.Fatal(err)
	}
}

// exchange gives two paths each other's content; one of them may not be there.
func exchange(t *testing.T, a, b string) {
	t.Helper()
	for _, move := range [][2]string{{a, a + ".moved"}, {b, a}, {a + ".moved", b}} {
		if err := os.Rename(move[0], move[1]); err != nil && !errors.Is(err, fs.ErrNotExist) {
			t.Fatal(err)
		}
	}
}

// TestDamageBesideTheSegmentsIsNamed: without what lies beside them the broker
// would forget topics, or keep their events for a day.
func TestDamageBesideTheSegmentsIsNamed(t *testing.T) {
	swap := func(old, new string) func([]byte) []byte {
		return func(b []byte) []byte {
			if !bytes.Contains(b, []byte(old)) {
				t.Fatalf("%s does not contain %q", b, old)
			}
			return bytes.ReplaceAll(b, []byte(old), []byte(new))
		}
	}
	logs := map[string]*writtenLog{"closed": write(t, false), "killed": write(t, true)}
	for _, bad := range []struct {
		name, file string
		change     func([]byte) []byte // nil: removed
	}{
		{"no meta.json", "meta.json", nil},
		{"meta.json torn", "meta.json", cutTo(5)},
		{"meta.json of another version", "meta.json", swap(`"version":1`, `"version":9`)},
		{"no topics.json", "topics.json", nil},
		{"topics.json torn", "topics.json", cutTo(100)},
		{"topics.json empty", "topics.json", cutTo(0)},
		{"another topic", "topics.json", swap(`"fernweh.events"`, `"fernweh.eventt"`)},
		{"a partition less", "topics.json", swap(`"partitions":3`, `"partitions":2`)},
		{"a partition more", "topics.json", swap(`"partitions":3`, `"partitions":7`)},
		{"no partition", "topics.json", swap(`"partitions":3`, `"partitions":-3`)},
		{"a setting forgotten", "topics.json", swap(`"retention.ms"`, `"retention.mt"`)},
		{"a setting changed", "topics.json", swap(`"31536000000"`, `"31536"`)},
		{"quotas that are none", "quotas.json", swap(`{`, `[`)},
		{"the first entry of the groups", "groups.log", flip(12)},
	} {
		for how, log := range logs {
			l := log.copy(t)
			path := filepath.Join(l.dir, bad.file)
			if bad.change == nil {
				remove(t, path)
			} else {
				edit(t, path, bad.change)
			}
			l.refused(t, how+", "+bad.name, bad.file)
		}
	}
}
