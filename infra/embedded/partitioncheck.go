package embedded

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"
)

// A partitionCheck looks at one partition, without changing it.
type partitionCheck struct {
	log *logCheck
	*partition
	topic    topicShape
	was      *logRange // what was acknowledged; nil: it is not known
	segments []*segment
	mends    []mend
	later    []mend // for when the new beginning is noted
}

// check reads the segments, compares them with what was acknowledged, and notes
// what is to be put right.
func (c *partitionCheck) check() error {
	if c.log.was != nil {
		if t, ok := c.log.was.topic(c.topic.Name); ok && t.id == c.topic.ID && c.n < len(t.parts) {
			c.was = &t.parts[c.n]
		}
	}
	bases, err := segmentBases(c.dir)
	if err != nil {
		return err
	}
	if c.was != nil { // an earlier start had said so, and died before they were gone
		for len(bases) > 0 && bases[0] < c.was.start {
			c.mends = append(c.mends, c.drop("", bases[0]))
			bases = bases[1:]
		}
	}
	if err := c.read(bases); err != nil {
		return err
	}
	if err := c.compare(); err != nil {
		return err
	}
	c.retain()
	err = c.settle()
	c.segments = nil // of every partition at once they would be much
	return err
}

// read reads segment after segment. Behind the first fault there may be nothing
// good, or it is damage.
func (c *partitionCheck) read(bases []int64) error {
	for i, base := range bases {
		path := segmentPath(c.dir, base)
		b, err := os.ReadFile(path)
		if err != nil {
			return c.damage(path, 0, base, err)
		}
		if i > 0 {
			if next := c.next(); base < next || base > next && !c.topic.compacted() {
				batches, records := c.behind(bases[i:], 0, next)
				return c.damage(path, 0, next, fmt.Errorf("the segment with offset %d is missing: this file begins at %d and holds, "+
					"with those behind it, %d good batches with %d records", next, base, batches, records))
			}
		}
		s, f := readSegment(b, base, c.topic.compacted())
		if s.size > 0 {
			c.segments = append(c.segments, s)
		} else if f == nil { // the broker made the file and was killed before it wrote
			c.mends = append(c.mends, c.drop("", base))
		}
		if f != nil {
			return c.torn(f, bases[i:])
		}
	}
	return nil
}

// next is the offset behind all segments that were read.
func (c *partitionCheck) next() int64 {
	if len(c.segments) == 0 {
		return 0
	}
	return c.segments[len(c.segments)-1].next()
}

// behind counts the good batches with offsets from next on in the segments given,
// without the first bytes of the first.
func (c *partitionCheck) behind(bases []int64, skip, next int64) (batches int, records int64) {
	for i, base := range bases {
		b, err := os.ReadFile(segmentPath(c.dir, base))
		if err != nil {
			continue // the error that we are about to give says enough
		}
		if i == 0 {
			b = b[min(skip, int64(len(b))):]
		}
		n, r := goodBehind(b, next)
		batches, records = batches+n, records+r
	}
	return batches, records
}

// torn decides about a fault: the end of a write that was never acknowledged may
// go; what has good batches behind it may not, and neither may what was acknowledged.
func (c *partitionCheck) torn(f *fault, bases []int64) error {
	path, at := segmentPath(c.dir, f.segment.base), f.segment.size
	batches, records := c.behind(bases, at, f.next)
	known := c.was != nil
	switch {
	case batches > 0:
		return c.damage(path, at, f.next, fmt.Errorf("%w; behind it stand %d good batches with %d records", f.reason, batches, records))
	case known && c.was.end > f.next:
		return c.damage(path, at, f.next, fmt.Errorf("%w; the records up to offset %d were acknowledged: %d are lost",
			f.reason, c.was.end-1, c.was.end-f.next))
	case !known && !errors.Is(f.reason, errIncomplete) && !zeros(f.rest):
		return c.damage(path, at, f.next, fmt.Errorf("%w; the batch is not cut short, and nothing says whether it was acknowledged", f.reason))
	}
	say := fmt.Sprintf("%s: cut off at byte %d, offset %d: %v. %d bytes of a write that was not finished and never acknowledged are gone",
		path, at, f.next, f.reason, f.segment.length-at)
	if at > 0 {
		c.mends = append(c.mends, cut(say, path, at))
	} else {
		c.mends = append(c.mends, c.drop(say, bases[0]))
	}
	for _, base := range bases[1:] {
		c.mends = append(c.mends, c.drop(fmt.Sprintf("%s: removed: nothing good is in it, and it stands behind what was cut off",
			segmentPath(c.dir, base)), base))
	}
	return nil
}

// damage is the error of a partition, with the place.
func (c *partitionCheck) damage(path string, at, offset int64, reason error) error {
	return fmt.Errorf("%w: partition %d of %s: file %s at byte %d, where offset %d should be: %w. %s",
		ErrDamaged, c.n, c.topic.Name, path, at, offset, reason, restoreHint)
}

// drop is the mend that removes a segment.
func (c *partitionCheck) drop(say string, base int64) mend {
	return remove(say, segmentPath(c.dir, base), indexPath(c.dir, base))
}

// compare holds what was read against what was acknowledged.
func (c *partitionCheck) compare() error {
	segments := c.segments
	c.start, c.end = 0, c.next()
	if len(segments) > 0 {
		c.start = segments[0].base
	}
	if err := c.snapshotted(); err != nil {
		return err
	}
	var sum uint64 // of what lies below the acknowledged end
	for _, s := range segments {
		for _, b := range s.batches {
			if c.sum += b.print; c.was != nil && b.next <= c.was.end {
				sum += b.print
			}
		}
	}
	if c.was == nil {
		return nil
	}
	what := fmt.Errorf("%w: partition %d of %s: directory %s", ErrDamaged, c.n, c.topic.Name, c.dir)
	switch was := c.was; {
	case was.end > c.end:
		return fmt.Errorf("%w: it ends at offset %d, and the records from there to offset %d were acknowledged: %d are lost. %s",
			what, c.end, was.end-1, was.end-c.end, restoreHint)
	case c.start > was.start:
		return fmt.Errorf("%w: it begins at offset %d, and the segment from offset %d on is missing; behind it stand %d records. %s",
			what, c.start, was.start, c.records(), restoreHint)
	case sum != was.sum:
		return fmt.Errorf("%w: the records from offset %d to %d are whole, but they are not those that were acknowledged: "+
			"files of another partition or of another time. %s", what, was.start, was.end-1, restoreHint)
	}
	return nil
}

// records are all that the partition holds.
func (c *partitionCheck) records() (n int64) {
	for _, s := range c.segments {
		n += s.records()
	}
	return n
}

// A snapshot is what the broker reads of a partition at its start instead of
// holding all of it in memory at once. It follows from the segments.
type snapshot struct {
	Version          int           `json:"version"`
	HighWatermark    int64         `json:"high_watermark"`
	LastStableOffset int64         `json:"last_stable_offset"`
	LogStartOffset   int64         `json:"log_start_offset"`
	Epoch            int32         `json:"epoch"`
	MaxTimestamp     int64         `json:"max_timestamp"`
	CreatedAt        time.Time     `json:"created_at"`
	Segments         []snapSegment `json:"segments"`
}

type snapSegment struct {
	BaseOffset int64 `json:"base_offset"`
	Size       int64 `json:"size"`
	MinEpoch   int32 `json:"min_epoch,omitempty"`
	MaxEpoch   int32 `json:"max_epoch,omitempty"`
}

// snapshotted says where a partition without a record goes on, which the broker would
// begin anew at offset 0. While it is not known what was acknowledged, the snapshot of the last time that
// the broker was closed is the only witness of what must be there.
func (c *partitionCheck) snapshotted() error {
	if c.was != nil {
		if len(c.segments) == 0 && c.was.start == c.was.end {
			c.start, c.end = c.was.end, c.was.end
		}
		return nil
	}
	path := filepath.Join(c.dir, "snapshot.json")
	b, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	var s snapshot
	if err == nil {
		err = json.Unmarshal(b, &s)
	}
	if err != nil {
		return fmt.Errorf("%w: partition %d of %s: file %s: %w. %s", ErrDamaged, c.n, c.topic.Name, path, err, restoreHint)
	}
	if len(c.segments) == 0 && s.LogStartOffset == s.HighWatermark && s.HighWatermark > 0 {
		c.start, c.end = s.HighWatermark, s.HighWatermark // retention had removed all of it
	}
	if s.HighWatermark > c.end {
		return fmt.Errorf("%w: partition %d of %s: directory %s: it ends at offset %d, and its snapshot.json says %d: %d records are lost. %s",
			ErrDamaged, c.n, c.topic.Name, c.dir, c.end, s.HighWatermark, s.HighWatermark-c.end, restoreHint)
	}
	return nil
}

// retain removes the oldest segments that their topic keeps no longer, never the
// last. The broker's own way would remove that one, too, and with it the offset to
// go on from; and it rewrites a compacted topic in a way that a kill ends halfway.
func (c *partitionCheck) retain() {
	age, most := c.topic.number("retention.ms", -1), c.topic.number("retention.bytes", -1)
	if c.topic.Configs["cleanup.policy"] != "delete" {
		return
	}
	var size int64
	for _, s := range c.segments {
		size += s.size
	}
	for len(c.segments) > 1 {
		s := c.segments[0]
		old := age >= 0 && c.log.now.UnixMilli()-s.maxTime() >= age
		if !old && (most < 0 || size-s.size < most) {
			return
		}
		for _, b := range s.batches {
			c.sum -= b.print
		}
		size -= s.size
		c.later = append(c.later, c.drop("", s.base))
		c.segments = c.segments[1:]
		c.start = c.segments[0].base
	}
}

// settle notes what follows from the segments and is not as it should be, and
// where the partition goes on.
func (c *partitionCheck) settle() error {
	var size int64
	transactions := false
	snap := snapshot{Version: 1, HighWatermark: c.end, LastStableOffset: c.end, LogStartOffset: c.start, CreatedAt: c.log.now}
	for _, s := range c.segments {
		ss := snapSegment{BaseOffset: s.base, Size: s.size}
		for i, b := range s.batches {
			if ss.MaxEpoch, size = max(ss.MaxEpoch, b.epoch), size+b.size; i == 0 || b.epoch < ss.MinEpoch {
				ss.MinEpoch = b.epoch
			}
			snap.Epoch, snap.MaxTimestamp = b.epoch, max(snap.MaxTimestamp, b.maxTime)
			transactions = transactions || b.inTx
		}
		snap.Segments = append(snap.Segments, ss)
		path := indexPath(c.dir, s.base)
		have, err := os.ReadFile(path)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		if want := s.index(); !sameIndex(have, want) {
			c.mends = append(c.mends, replace(path+": made anew from its segment", path, want))
		}
		c.base, c.pos, c.count = s.base, s.size, int64(len(s.batches))
		if c.was == nil || s.next() > c.was.end { // a killed process had not come to it
			c.mends = append(c.mends, syncFile(segmentPath(c.dir, s.base)))
		}
	}
	path := filepath.Join(c.dir, "snapshot.json")
	if _, err := os.Stat(c.dir); errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if transactions { // the broker finds out itself which of them were finished
		c.mends = append(c.mends, remove("", path))
		return nil
	}
	if len(c.segments) == 0 && c.end > 0 { // a segment without records, for the broker reads no snapshot without one
		c.base = c.end
		c.mends = append(c.mends, mend{"", func() error { return os.WriteFile(segmentPath(c.dir, c.end), nil, 0o644) }})
		snap.Segments = []snapSegment{{BaseOffset: c.end}}
	}
	b, err := json.Marshal(snap)
	if err != nil {
		return err
	}
	c.mends = append(c.mends, replace("", path, slices.Clip(b)))
	return nil
}
