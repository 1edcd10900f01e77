package embedded_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/IBM/sarama"
	"golang.org/x/sync/errgroup"

	"fernweh/infra/embedded"
	"fernweh/infra/kafka"
	"fernweh/schemas"
)

const partitions = 3

// victimDir tells the test binary to be the process that is killed.
const victimDir = "FERNWEH_TEST_VICTIM"

func TestMain(m *testing.M) {
	if dir := os.Getenv(victimDir); dir != "" {
		fmt.Fprintln(os.Stderr, "victim:", victim(context.Background(), dir, os.Stdout))
		os.Exit(1)
	}
	if dir := os.Getenv(documentVictimDir); dir != "" {
		fmt.Fprintln(os.Stderr, "victim:", documentVictim(context.Background(), dir, os.Stdout))
		os.Exit(1)
	}
	if dir := os.Getenv(documentsDir); dir != "" {
		if err := embedded.DocumentsMain(dir); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// config is how to reach a broker.
func config(b *embedded.Broker) kafka.Config {
	return kafka.Config{Brokers: []string{b.Addr()}, ClientID: "test"}
}

// victim writes to broker and views until it is killed. What was acknowledged it
// says on w, a line each.
func victim(ctx context.Context, dir string, w io.Writer) error {
	b, err := embedded.OpenBroker(filepath.Join(dir, "log"), 0)
	if err != nil {
		return err
	}
	cfg := config(b)
	if err := kafka.EnsureTopics(ctx, cfg, schemas.Topics(partitions), 1); err != nil {
		return err
	}
	v, err := embedded.OpenViews(filepath.Join(dir, "views"))
	if err != nil {
		return err
	}
	p, err := kafka.NewProducer(cfg, partitions)
	if err != nil {
		return err
	}
	id, err := kafka.TopicID(ctx, cfg, schemas.TopicEvents)
	if err != nil {
		return err
	}
	if _, err := fmt.Fprintln(w, "topic", id); err != nil {
		return err
	}
	if err := commitSome(ctx, cfg, p); err != nil {
		return err
	}
	g, ctx := errgroup.WithContext(ctx)
	for writer := range 4 {
		g.Go(func() error { return writeForEver(ctx, w, p, v, writer) })
	}
	return g.Wait()
}

// commitSome appends events of one device and reads them as the group "readers".
func commitSome(ctx context.Context, cfg kafka.Config, p *kafka.Producer) error {
	if _, err := p.Append(ctx, []*schemas.Event{page("weber", 0), page("weber", 1)}); err != nil {
		return err
	}
	return readUntil(ctx, cfg, "readers", func(r schemas.Record) bool { return r.Event.GetId() == "weber-1" })
}

// readUntil reads the topic from its beginning until a record is the last wanted.
func readUntil(ctx context.Context, cfg kafka.Config, group string, last func(schemas.Record) bool) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	end := make(chan struct{}, partitions)
	open := func(context.Context, int32) (int64, kafka.Handle, error) {
		return 0, func(_ context.Context, records []schemas.Record) error {
			for _, r := range records {
				if last(r) {
					end <- struct{}{}
				}
			}
			return nil
		}, nil
	}
	g, gctx := errgroup.WithContext(ctx)
	g.Go(func() error {
		return kafka.NewLog(cfg, partitions, kafka.LogOptions{Group: group, MaxBatch: 1000}).Consume(gctx, open)
	})
	select {
	case <-end:
		cancel()
	case <-gctx.Done():
	}
	if err := g.Wait(); !errors.Is(err, context.Canceled) {
		return err
	}
	return nil
}

// page is the n-th event of a device.
func page(device string, n int) *schemas.Event {
	return &schemas.Event{Id: fmt.Sprint(device, "-", n), Device: device, Kind: schemas.Kind_KIND_PAGE, Time: 1, Received: 1}
}

// writeForEver writes batches of events and their views and says what is acknowledged.
func writeForEver(ctx context.Context, w io.Writer, p *kafka.Producer, v *embedded.Views, writer int) error {
	for n := 0; ; n += 10 {
		var events []*schemas.Event
		var cells []schemas.Cell
		device := fmt.Sprint("device", writer)
		for i := range 10 {
			events = append(events, page(device, n+i))
			cells = append(cells, state(fmt.Sprint(device, "-", n+i), int64(n+i)))
		}
		offsets, err := p.Append(ctx, events)
		if err == nil {
			err = v.Put(ctx, cells...)
		}
		if err != nil {
			return err
		}
		var lines strings.Builder
		for i, offset := range offsets {
			fmt.Fprintf(&lines, "ack %d %d %d\n", writer, n+i, offset)
		}
		if _, err := io.WriteString(w, lines.String()); err != nil { // one write: lines of writers don't mix
			return err
		}
	}
}

// killed runs the victim in a directory, kills it after so many
// acknowledgements, and gives what it said.
func killed(t *testing.T, dir string, after int) (topic string, acks [][3]int64) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), os.Args[0])
	cmd.Env = append(os.Environ(), victimDir+"="+dir)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(out)
	for lines.Scan() {
		var ack [3]int64
		if n, _ := fmt.Sscanf(lines.Text(), "ack %d %d %d", &ack[0], &ack[1], &ack[2]); n == 3 {
			acks = append(acks, ack)
		} else {
			topic = strings.TrimPrefix(lines.Text(), "topic ")
		}
		if len(acks) == after {
			if err := cmd.Process.Kill(); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := cmd.Wait(); err == nil || len(acks) < after {
		t.Fatalf("the victim said %d lines and ended with %v, want it killed after %d", len(acks), err, after)
	}
	return topic, acks
}

// TestKillLosesNothingAcknowledged kills a process in mid-write, twice on one directory.
func TestKillLosesNothingAcknowledged(t *testing.T) {
	dir := t.TempDir()
	var acks [][3]int64
	topics := map[string]bool{}
	for range 2 {
		topic, more := killed(t, dir, 3000)
		topics[topic] = true
		acks = append(acks, more...)
	}
	b, err := embedded.OpenBroker(filepath.Join(dir, "log"), 0)
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	topic, err := kafka.TopicID(t.Context(), config(b), schemas.TopicEvents)
	if err != nil {
		t.Fatal(err)
	}
	if topics[topic] = true; len(topics) != 1 {
		t.Errorf("the event topic had the ids %v, want one for ever", topics)
	}
	if got := committed(t, b, "readers", schemas.Partition("weber", partitions)); got < 2 {
		t.Errorf("group readers: committed offset %d, want at least 2", got)
	}
	log := wholeLog(t, b)
	v := views(t, filepath.Join(dir, "views"))
	defer v.Close()
	for _, ack := range acks {
		device := fmt.Sprint("device", ack[0])
		want := fmt.Sprint(device, "-", ack[1])
		if got := log[place{schemas.Partition(device, partitions), ack[2]}]; got != want {
			t.Fatalf("offset %d of %s: got %q, want %q, which was acknowledged", ack[2], device, got, want)
		}
		if !has(t, v, state(want, ack[1])) {
			t.Fatalf("view of %s: not there, but acknowledged", want)
		}
	}
}

// A place is where a record lies.
type place struct {
	partition int32
	offset    int64
}

// wholeLog reads all event ids of a broker.
func wholeLog(t *testing.T, b *embedded.Broker) map[place]string {
	t.Helper()
	tail := kafka.NewTail(config(b), schemas.TopicEvents)
	defer tail.Close()
	ends, err := tail.Ends(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	left := 0
	for _, end := range ends {
		left += int(end)
	}
	ids, records := map[place]string{}, make(chan schemas.Record, left)
	err = readUntil(t.Context(), config(b), "check", func(r schemas.Record) bool {
		records <- r
		return len(records) == left
	})
	if err != nil {
		t.Fatal(err)
	}
	for range left {
		r := <-records
		ids[place{r.Partition, r.Offset}] = r.Event.GetId()
	}
	return ids
}

// committed is how far a group says it is.
func committed(t *testing.T, b *embedded.Broker, group string, partition int32) int64 {
	t.Helper()
	admin, err := sarama.NewClusterAdmin([]string{b.Addr()}, sarama.NewConfig())
	if err != nil {
		t.Fatal(err)
	}
	defer admin.Close()
	answer, err := admin.ListConsumerGroupOffsets(group, map[string][]int32{schemas.TopicEvents: {partition}})
	if err != nil {
		t.Fatal(err)
	}
	return answer.GetBlock(schemas.TopicEvents, partition).Offset
}

func TestBrokerComesBackAsItWas(t *testing.T) {
	dir := t.TempDir()
	b, err := embedded.OpenBroker(dir, 0)
	if err != nil {
		t.Fatal(err)
	}
	cfg := config(b)
	if err := kafka.EnsureTopics(t.Context(), cfg, schemas.Topics(partitions), 1); err != nil {
		t.Fatal(err)
	}
	p, err := kafka.NewProducer(cfg, partitions)
	if err != nil {
		t.Fatal(err)
	}
	if err := commitSome(t.Context(), cfg, p); err != nil {
		t.Fatal(err)
	}
	topic, err := kafka.TopicID(t.Context(), cfg, schemas.TopicEvents)
	if err := errors.Join(err, p.Close(), b.Close()); err != nil {
		t.Fatal(err)
	}
	again, err := embedded.OpenBroker(dir, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer again.Close()
	if again.Addr() != b.Addr() {
		t.Errorf("address: got %s, want %s as before", again.Addr(), b.Addr())
	}
	if id, err := kafka.TopicID(t.Context(), cfg, schemas.TopicEvents); err != nil || id != topic {
		t.Errorf("topic id: got %s, %v, want %s as before", id, err, topic)
	}
	if got := committed(t, again, "readers", schemas.Partition("weber", partitions)); got != 2 {
		t.Errorf("group readers: committed offset %d, want 2", got)
	}
	if got := len(wholeLog(t, again)); got != 2 {
		t.Errorf("the log has %d records, want 2", got)
	}
	if err := kafka.EnsureTopics(t.Context(), cfg, schemas.Topics(partitions), 1); err != nil {
		t.Errorf("topics: %v", err)
	}
}

func TestTakenPortIsNoObstacle(t *testing.T) {
	dir := t.TempDir()
	first, err := embedded.OpenBroker(dir, 0)
	if err != nil {
		t.Fatal(err)
	}
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	other, err := embedded.OpenBroker(t.TempDir(), portOf(t, first))
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	again, err := embedded.OpenBroker(dir, 0)
	if err != nil {
		t.Fatalf("any port, and the last one taken: got %v", err)
	}
	defer again.Close()
	if _, err := embedded.OpenBroker(t.TempDir(), portOf(t, other)); err == nil {
		t.Error("this port, and it is taken: got no error")
	}
}

// portOf is the port a broker listens on.
func portOf(t *testing.T, b *embedded.Broker) (port int) {
	t.Helper()
	if _, err := fmt.Sscanf(b.Addr(), "127.0.0.1:%d", &port); err != nil {
		t.Fatal(err)
	}
	return port
}
