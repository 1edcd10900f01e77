package kafka

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/IBM/sarama"

	"fernweh/schemas"
)

// TestGapsThatNothingExplainsEndReading: only the mark of a transaction's end, or an
// operator's word, explains an offset without a record.
func TestGapsThatNothingExplainsEndReading(t *testing.T) {
	mark := func(from, to int64) *sarama.RecordBatch {
		return &sarama.RecordBatch{FirstOffset: from, LastOffsetDelta: int32(to - from - 1), Control: true}
	}
	records := func(from, to int64) *sarama.RecordBatch {
		return &sarama.RecordBatch{FirstOffset: from, LastOffsetDelta: int32(to - from - 1)}
	}
	away := errors.New("the broker is away")
	tests := []struct {
		name    string
		named   []Gap
		batches []*sarama.RecordBatch // all that the partition has
		err     error
		says    string
	}{
		{"a mark", nil, []*sarama.RecordBatch{mark(10, 13)}, nil, ""},
		{"marks", nil, []*sarama.RecordBatch{mark(10, 11), mark(11, 12), mark(12, 13), records(13, 20)}, nil, ""},
		{"nothing", nil, []*sarama.RecordBatch{records(13, 20)}, schemas.ErrOutOfRange, "accept-gaps=4:10-13"},
		{"a mark short of it", nil, []*sarama.RecordBatch{mark(10, 12), records(13, 20)}, schemas.ErrOutOfRange, "accept-gaps=4:12-13"},
		{"a mark behind a hole", nil, []*sarama.RecordBatch{mark(11, 13), records(13, 20)}, schemas.ErrOutOfRange, "accept-gaps=4:10-13"},
		{"a batch whose records are gone", nil, []*sarama.RecordBatch{records(10, 13), records(13, 20)}, schemas.ErrOutOfRange, "offset 10"},
		{"named", []Gap{{4, 10, 13}}, nil, nil, ""},
		{"named and more", []Gap{{4, 0, 99}}, nil, nil, ""},
		{"named in parts, with a mark between", []Gap{{4, 12, 13}, {4, 10, 11}}, []*sarama.RecordBatch{mark(11, 12), records(13, 20)}, nil, ""},
		{"named of another partition", []Gap{{3, 10, 13}}, []*sarama.RecordBatch{records(13, 20)}, schemas.ErrOutOfRange, "partition 4"},
		{"named one short", []Gap{{4, 10, 12}}, []*sarama.RecordBatch{records(13, 20)}, schemas.ErrOutOfRange, "accept-gaps=4:12-13"},
		{"who knows", nil, nil, away, "away"},
	}
	for _, tt := range tests {
		err := explain(4, 10, 13, tt.named, func(from int64) (at []*sarama.RecordBatch, err error) {
			if tt.err == away {
				return nil, away
			}
			for _, b := range tt.batches {
				if b.LastOffset() >= from {
					at = append(at, b)
				}
			}
			return at, nil
		})
		if !errors.Is(err, tt.err) || err != nil && !strings.Contains(fmt.Sprint(err), tt.says) {
			t.Errorf("%s: got %v, want %v that says %q", tt.name, err, tt.err, tt.says)
		}
	}
}
