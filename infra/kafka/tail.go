package kafka

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/IBM/sarama"
	"golang.org/x/sync/errgroup"
)

// A Tail tells how far the partitions of a topic have come. It keeps one
// connection, made at its first use, and may be asked from any goroutine.
type Tail struct {
	cfg   Config
	topic string

	mu     sync.Mutex
	client sarama.Client // guarded by mu; nil until the first use, and after Close
	hangUp func()        // guarded by mu: ends what is under way
}

// NewTail is the tail of a topic.
func NewTail(cfg Config, topic string) *Tail { return &Tail{cfg: cfg, topic: cfg.Topic(topic)} }

// Ends is the offset of the next record by partition. Commit marks of
// transactions count, which the event topic has none of.
func (t *Tail) Ends(ctx context.Context) ([]int64, error) {
	type answer struct {
		ends []int64
		err  error
	}
	client, err := t.connect(ctx)
	if err != nil {
		return nil, fmt.Errorf("ask ends of topic %s: %w", t.topic, err)
	}
	asked := make(chan answer, 1)
	go func() { // ends with the client's own timeouts, or with Close
		ends, err := ends(client, t.topic)
		asked <- answer{ends, err}
	}()
	select {
	case a := <-asked:
		if a.err != nil {
			return nil, fmt.Errorf("ask ends of topic %s: %w", t.topic, a.err)
		}
		return a.ends, nil
	case <-ctx.Done():
		return nil, fmt.Errorf("ask ends of topic %s: %w", t.topic, ctx.Err())
	}
}

// connect gives the client, which outlives the call.
func (t *Tail) connect(ctx context.Context) (sarama.Client, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.client != nil {
		return t.client, nil
	}
	life, hangUp := context.WithCancel(context.WithoutCancel(ctx))
	client, err := t.cfg.newClient(life)
	if err != nil {
		hangUp()
		return nil, err
	}
	t.client, t.hangUp = client, hangUp
	return client, nil
}

// Close ends the connection. A later call of Ends makes another.
func (t *Tail) Close() error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.client == nil {
		return nil
	}
	t.hangUp()
	closeClient(t.client)
	t.client = nil
	return nil
}

// ends asks all partitions at once.
func ends(client sarama.Client, topic string) ([]int64, error) {
	partitions, err := client.Partitions(topic)
	if err != nil {
		return nil, err
	}
	ends := make([]int64, len(partitions))
	var g errgroup.Group
	for i, partition := range partitions {
		g.Go(func() (err error) {
			ends[i], err = offset(client, topic, partition, sarama.OffsetNewest)
			return err
		})
	}
	return ends, g.Wait()
}

// offset asks where a partition begins or ends. A client that is asked from several
// goroutines closes, after a failure of one, the connection under the others:
// they ask again.
func offset(client sarama.Client, topic string, partition int32, at int64) (o int64, err error) {
	const tries = 5
	for try := range tries {
		o, err = client.GetOffset(topic, partition, at)
		if !errors.Is(err, sarama.ErrNotConnected) && !errors.Is(err, io.EOF) {
			break
		}
		time.Sleep(time.Duration(try) * 20 * time.Millisecond)
	}
	return o, err
}
