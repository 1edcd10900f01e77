package serving

import (
	"strconv"
	"strings"
)

// Offsets say how far speed must be in some partitions, as the collector's
// answer said it: "3:124,5:17".
type Offsets []Offset

// An Offset is where a prefix of a partition ends: every event below it counts.
type Offset struct {
	Partition int32
	Offset    int64
}

// maxOffsets bounds what one request may wait for.
const maxOffsets = 1024

// ParseOffsets reads "partition:offset" pairs, separated by commas, of a log
// with so many partitions.
func ParseOffsets(s string, partitions int32) (Offsets, error) {
	if s == "" {
		return nil, nil
	}
	if strings.Count(s, ",") >= maxOffsets {
		return nil, badParam{"query.after", s[:64], "at most 1024 pairs partition:offset"}
	}
	var out Offsets
	for pair := range strings.SplitSeq(s, ",") {
		partition, offset, _ := strings.Cut(strings.TrimSpace(pair), ":")
		p, err := strconv.ParseInt(partition, 10, 32)
		if err != nil || p < 0 || p >= int64(partitions) {
			return nil, badParam{"query.after", pair, "want partition:offset, the partition from 0 to " +
				strconv.Itoa(int(partitions)-1)}
		}
		o, err := strconv.ParseInt(offset, 10, 64)
		if err != nil || o < 0 {
			return nil, badParam{"query.after", pair, "want partition:offset, as the header Fernweh-After had it"}
		}
		out = append(out, Offset{int32(p), o})
	}
	return out, nil
}
