package kafka_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/IBM/sarama"

	"fernweh/infra/embedded"
	"fernweh/infra/kafka"
	"fernweh/schemas"
)

// page is the n-th event of a device.
func page(device string, n int) *schemas.Event {
	return &schemas.Event{Id: fmt.Sprint(device, "-", n), Device: device, Kind: schemas.Kind_KIND_PAGE, Time: 1, Received: 1}
}

func TestTopicsThatBreakThePromiseAreNamed(t *testing.T) {
	everywhere(t, topicsThatBreakThePromiseAreNamed)
}

func topicsThatBreakThePromiseAreNamed(t *testing.T, cfg kafka.Config) {
	changed := func(change func(*schemas.Topic)) []schemas.Topic {
		topics := schemas.Topics(partitions)
		settings := map[string]string{}
		for name, value := range topics[0].Config {
			settings[name] = value
		}
		topics[0].Config = settings
		change(&topics[0])
		return topics
	}
	tests := []struct {
		name   string
		topics []schemas.Topic
		want   []string // in the error; none: no error
	}{
		{"as declared", schemas.Topics(partitions), nil},
		{"keeps longer than declared", changed(func(t *schemas.Topic) { t.Config["retention.ms"] = "1000" }), nil},
		{"keeps shorter than declared", changed(func(t *schemas.Topic) { t.Config["retention.ms"] = "-1" }),
			[]string{cfg.Topic(schemas.TopicEvents), "retention.ms=31536000000", "should be -1"}},
		{"another policy", changed(func(t *schemas.Topic) { t.Config["cleanup.policy"] = "compact" }),
			[]string{cfg.Topic(schemas.TopicEvents), "cleanup.policy=delete", "should be compact"}},
		{"other partitions", schemas.Topics(partitions + 1),
			[]string{cfg.Topic(schemas.TopicEvents), "has 3 partitions", "should have 4"}},
	}
	for _, test := range tests {
		err := kafka.EnsureTopics(t.Context(), cfg, test.topics, 1)
		if (err != nil) != (test.want != nil) {
			t.Errorf("%s: got %v, want error: %t", test.name, err, test.want != nil)
		}
		for _, want := range test.want {
			if err != nil && !strings.Contains(err.Error(), want) {
				t.Errorf("%s: got %q, want %q in it", test.name, err, want)
			}
		}
	}
}

func TestTopicIDIsTheTopicsOwn(t *testing.T) { everywhere(t, topicIDIsTheTopicsOwn) }

func topicIDIsTheTopicsOwn(t *testing.T, cfg kafka.Config) {
	events, err := kafka.TopicID(t.Context(), cfg, schemas.TopicEvents)
	if err != nil {
		t.Fatal(err)
	}
	decisions, err := kafka.TopicID(t.Context(), cfg, schemas.TopicDecisions)
	if err != nil || events == decisions || len(events) < 16 {
		t.Errorf("ids of two topics: got %q and %q, %v, want two different", events, decisions, err)
	}
	if id, err := kafka.TopicID(t.Context(), cfg, "fernweh.nothing"); err == nil || !strings.Contains(err.Error(), cfg.Topic("fernweh.nothing")) {
		t.Errorf("id of no topic: got %q, %v, want an error that names it", id, err)
	}
}

// away is an address where nobody listens.
func away(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// silent is an address where everything is taken and nothing answered.
func silent(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return l.Addr().String()
}

func TestEveryCallEndsWithItsContextWhileBrokersAreAway(t *testing.T) {
	for name, addr := range map[string]string{"nobody listens": away(t), "nobody answers": silent(t)} {
		cfg := kafka.Config{Brokers: []string{addr}, ClientID: "test"}
		p := producer(t, cfg)
		tail := kafka.NewTail(cfg, schemas.TopicEvents)
		defer tail.Close()
		calls := map[string]func(context.Context) error{
			"append": func(ctx context.Context) error {
				_, err := p.Append(ctx, []*schemas.Event{page("mueller", 1)})
				return err
			},
			"ends":   func(ctx context.Context) error { _, err := tail.Ends(ctx); return err },
			"ensure": func(ctx context.Context) error { return kafka.EnsureTopics(ctx, cfg, schemas.Topics(1), 1) },
			"id":     func(ctx context.Context) error { _, err := kafka.TopicID(ctx, cfg, "x"); return err },
		}
		for call, do := range calls {
			ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
			if err := do(ctx); !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("%s, %s: got %v, want %v", name, call, err, context.DeadlineExceeded)
			}
			cancel()
		}
	}
}

func TestProducerConnectsWhenTheBrokerComes(t *testing.T) {
	dir, addr := t.TempDir(), away(t)
	p := producer(t, kafka.Config{Brokers: []string{addr}, ClientID: "test"})
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, err := p.Append(ctx, []*schemas.Event{page("mueller", 1)}); err == nil {
		t.Fatal("append without a broker: got no error")
	}
	_, port, _ := net.SplitHostPort(addr)
	open(t, dir, port)
	if _, err := p.Append(t.Context(), []*schemas.Event{page("mueller", 1)}); err != nil {
		t.Errorf("append with a broker: got %v", err)
	}
}

// open runs the broker of a directory on a port, with all topics, until the test ends.
func open(t *testing.T, dir, port string) *embedded.Broker {
	t.Helper()
	var n int
	if _, err := fmt.Sscan(port, &n); err != nil {
		t.Fatal(err)
	}
	b, err := embedded.OpenBroker(dir, n)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := b.Close(); err != nil {
			t.Error(err)
		}
	})
	cfg := kafka.Config{Brokers: []string{b.Addr()}, ClientID: "test"}
	if err := kafka.EnsureTopics(t.Context(), cfg, schemas.Topics(partitions), 1); err != nil {
		t.Fatal(err)
	}
	return b
}

// readInto reads the event topic and sends all ids it sees.
func readInto(ctx context.Context, cfg kafka.Config, seen chan<- string) error {
	log := kafka.NewLog(cfg, partitions, kafka.LogOptions{Group: "g", MaxBatch: 10})
	next := make([]int64, partitions)
	return log.Consume(ctx, func(_ context.Context, partition int32) (int64, kafka.Handle, error) {
		return next[partition], func(_ context.Context, records []schemas.Record) error {
			for _, r := range records {
				if r.Offset != next[partition] {
					return fmt.Errorf("got offset %d, want %d", r.Offset, next[partition])
				}
				next[partition] = r.Offset + 1
				seen <- r.Event.Id
			}
			return nil
		}, nil
	})
}

// TestBrokerRestartsUnderLoad takes the broker away under a producer and a
// reader. Both go on by themselves.
func TestBrokerRestartsUnderLoad(t *testing.T) {
	dir := t.TempDir()
	b := open(t, dir, "0")
	_, port, _ := net.SplitHostPort(b.Addr())
	cfg := kafka.Config{Brokers: []string{b.Addr()}, ClientID: "test"}
	underLoad(t, cfg, func() error {
		err := b.Close()
		b = open(t, dir, port)
		return err
	})
}

// TestForeignRecordsAreReadAlike writes what no producer of ours would.
func TestForeignRecordsAreReadAlike(t *testing.T) { everywhere(t, foreignRecordsAreReadAlike) }

func foreignRecordsAreReadAlike(t *testing.T, cfg kafka.Config) {
	header := func(value []byte) []sarama.RecordHeader {
		return []sarama.RecordHeader{{Key: []byte("trace"), Value: []byte("1")}, {Key: []byte(schemas.HeaderCut), Value: value}}
	}
	messages := []*sarama.ProducerMessage{
		{Value: sarama.StringEncoder("no protobuf")},
		{Value: nil},
		{Headers: header([]byte("seven"))},
		{Headers: header(nil)},
		{Headers: header([]byte("7"))},
	}
	for _, m := range messages {
		m.Topic = cfg.Topic(schemas.TopicEvents)
	}
	sendForeign(t, cfg, messages...)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var got []schemas.Record
	err := kafka.NewLog(cfg, partitions, kafka.LogOptions{Group: "g", MaxBatch: 5, Linger: time.Minute}).Consume(ctx,
		func(context.Context, int32) (int64, kafka.Handle, error) {
			return 0, func(_ context.Context, records []schemas.Record) error {
				got = records
				cancel()
				return nil
			}, nil
		})
	if !errors.Is(err, context.Canceled) || len(got) != 5 {
		t.Fatalf("got %d records, %v, want one batch of 5", len(got), err)
	}
	for i, r := range got {
		if want := int64(i / 4 * 7); r.Event != nil || r.Cut != want || r.Offset != int64(i) {
			t.Errorf("record %d: got event %v cut %d at %d, want none and cut %d", i, r.Event, r.Cut, r.Offset, want)
		}
	}
}

func TestOtherTopicsTakeTheirRecords(t *testing.T) { everywhere(t, otherTopicsTakeTheirRecords) }

func otherTopicsTakeTheirRecords(t *testing.T, cfg kafka.Config) {
	p := producer(t, cfg)
	for name, err := range map[string]error{
		"dead letters": p.AppendDeadLetters(t.Context(), []*schemas.DeadLetter{{Reason: "no id", Original: []byte("{}")}}),
		"decisions":    p.AppendDecisions(t.Context(), []*schemas.Decision{{Id: "2-7-d", Device: "mueller", Partition: 2}}),
		"models":       p.Announce(t.Context(), "published", []byte("{}")),
	} {
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	for topic, want := range map[string][]int64{
		schemas.TopicDeadLetters: {1}, schemas.TopicDecisions: {0, 0, 1}, schemas.TopicModels: {1},
	} {
		tail := kafka.NewTail(cfg, topic)
		got, err := tail.Ends(t.Context())
		if err != nil || fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("ends of %s: got %v, %v, want %v", topic, got, err, want)
		}
		if err := tail.Close(); err != nil {
			t.Error(err)
		}
	}
}

func TestClosedProducerSaysSo(t *testing.T) { everywhere(t, closedProducerSaysSo) }

func closedProducerSaysSo(t *testing.T, cfg kafka.Config) {
	p := producer(t, cfg)
	if _, err := p.Append(t.Context(), []*schemas.Event{page("mueller", 1)}); err != nil {
		t.Fatal(err)
	}
	if err := p.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := p.Append(t.Context(), []*schemas.Event{page("mueller", 2)}); !errors.Is(err, kafka.ErrClosed) {
		t.Errorf("got %v, want %v", err, kafka.ErrClosed)
	}
}

// TestCallersThatGaveUpFreeTheirRoom brings three times what may be in flight.
func TestCallersThatGaveUpFreeTheirRoom(t *testing.T) { everywhere(t, callersThatGaveUpFreeTheirRoom) }

func callersThatGaveUpFreeTheirRoom(t *testing.T, cfg kafka.Config) {
	p := producer(t, cfg)
	large := page("mueller", 1)
	large.Properties = strings.Repeat("x", 100_000)
	batch := make([]*schemas.Event, 400)
	for i := range batch {
		batch[i] = large
	}
	for range 5 {
		ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
		_, err := p.Append(ctx, batch)
		cancel()
		if !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got %v, want %v", err, context.DeadlineExceeded)
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	for n := range 3 {
		if _, err := p.Append(ctx, batch); err != nil {
			t.Fatalf("batch %d behind those that were given up: got %v", n, err)
		}
	}
}
