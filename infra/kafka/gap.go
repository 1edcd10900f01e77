package kafka

import (
	"fmt"

	"github.com/IBM/sarama"

	"fernweh/schemas"
)

// A Gap is a range of offsets of a partition of the event topic that hold no
// record, as an operator says who knows why: readers go on behind it.
type Gap struct {
	Partition int32
	From, To  int64 // offsets [From, To)
}

// A batchFetch reads what a partition has from an offset on.
type batchFetch func(from int64) ([]*sarama.RecordBatch, error)

// explain says whether each offset of [from, to) is known to hold no record: the
// broker has a mark of the end of a transaction there, which clients do not show,
// or an operator has named it. An error wraps schemas.ErrOutOfRange where an offset
// is not explained; any other is trouble of the moment.
func explain(partition int32, from, to int64, named []Gap, fetch batchFetch) error {
	for at := from; at < to; {
		if end := namedEnd(named, partition, at); end > at {
			at = end
			continue
		}
		batches, err := fetch(at)
		if err != nil {
			return err
		}
		before := at
		for _, b := range batches {
			if b.Control && b.FirstOffset <= at {
				at = max(at, b.LastOffset()+1)
			}
		}
		if at == before {
			return fmt.Errorf("%w: partition %d has no record at offset %d, and goes on at %d; no end of a transaction "+
				"explains it. If it is known why, accept-gaps=%[2]d:%[3]d-%[4]d lets all readers go on",
				schemas.ErrOutOfRange, partition, at, to)
		}
	}
	return nil
}

// namedEnd is where the named gap ends that holds an offset; the offset itself: none does.
func namedEnd(named []Gap, partition int32, at int64) int64 {
	for _, g := range named {
		if g.Partition == partition && g.From <= at && at < g.To {
			return g.To
		}
	}
	return at
}

// fill gives what stands for the offsets from next to below a message that came
// where next should have, at most so many: records of no bytes, which all readers
// leave out. Each is as old as the message behind them, which follows from the log.
func (m *member[R]) fill(message *sarama.ConsumerMessage, next int64, most int) ([]*sarama.ConsumerMessage, error) {
	if message.Offset < next {
		return nil, fmt.Errorf("%w: offset %d follows where %d should", schemas.ErrOutOfRange, message.Offset, next)
	}
	var named []Gap
	if m.topic == schemas.TopicEvents {
		named = m.cfg.Gaps
	}
	to := min(message.Offset, next+int64(most))
	err := explain(message.Partition, next, to, named, func(from int64) ([]*sarama.RecordBatch, error) {
		return fetch(m.client, m.name, message.Partition, from)
	})
	if err != nil {
		return nil, err
	}
	var filled []*sarama.ConsumerMessage
	for ; next < to; next++ {
		filled = append(filled, &sarama.ConsumerMessage{Partition: message.Partition, Offset: next, Timestamp: message.Timestamp})
	}
	return filled, nil
}

// isGap says that a message stands for an offset without a record: it is of no topic.
func isGap(m *sarama.ConsumerMessage) bool { return m.Topic == "" }
