package embedded

import (
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"
)

// ErrDamaged says that what was acknowledged is not in the log, or that it
// cannot be told whether it is. Nothing was changed; the rest of the error says where.
var ErrDamaged = errors.New("the log is damaged")

// restoreHint is what to do, for who reads the error.
const restoreHint = "Nothing was changed. Bring log, archive and spool back from a backup (docs/operations.md, Damaged log)"

// A logCheck looks at the directory of a log before the broker opens it: the
// broker cuts a partition off at the first thing that it cannot read, and would give the
// offsets behind it to other records. All of it is read before anything is mended.
type logCheck struct {
	dir    string
	now    time.Time
	roll   int64 // bytes from which on the broker begins another segment
	topics []topicShape
	was    *logState // nil: there is none yet
	mends  []mend    // what to do once nothing is damaged
	later  []mend    // what to do once the new state is written
}

// A mend puts right what was derived or never acknowledged.
type mend struct {
	say string // "": nothing that a person needs to know
	do  func() error
}

// check gives the partitions as they are on the disk, and the state that follows.
func (c *logCheck) check() ([]*partition, *logState, error) {
	var err error
	if c.was, err = readState(c.dir); err != nil {
		return nil, nil, err
	}
	if err := errors.Join(c.files(), c.shape()); err != nil {
		return nil, nil, err
	}
	partitions, err := c.partitions()
	if err != nil {
		return nil, nil, err
	}
	if err := c.mend(c.mends); err != nil {
		return nil, nil, err
	}
	state := &logState{shape: shapeSum(c.topics), topics: logTopics(c.topics, partitions)}
	if c.was != nil {
		state.seq = c.was.seq
	} else if len(partitions) > 0 {
		slog.Warn("the log has no file of what was acknowledged, so it is taken as it is: "+
			"an earlier release wrote none", "dir", c.dir, "file", stateName)
	}
	return partitions, state, nil
}

// mend does what was noted, and says so.
func (c *logCheck) mend(mends []mend) error {
	for _, m := range mends {
		if m.say != "" {
			slog.Warn("the log was put right", "what", m.say)
		}
		if err := m.do(); err != nil {
			return fmt.Errorf("put the log right: %s: %w", m.say, err)
		}
	}
	return nil
}

// logTopics is what the state says of topics and their partitions.
func logTopics(shapes []topicShape, partitions []*partition) (topics []logTopic) {
	for _, t := range shapes {
		topic := logTopic{name: t.Name, id: t.ID, parts: make([]logRange, t.Partitions)}
		for _, p := range partitions {
			if p.topic == t.Name {
				topic.parts[p.n] = p.logRange
			}
		}
		topics = append(topics, topic)
	}
	return topics
}

// shape reads the topics and compares them with those that were acknowledged:
// a flipped letter makes another topic, or one that keeps its events for a day.
func (c *logCheck) shape() (err error) {
	if c.topics, err = readTopics(c.dir); err != nil {
		return err
	}
	path := filepath.Join(c.dir, "topics.json")
	if c.was != nil && !c.was.changing && c.was.shape != shapeSum(c.topics) {
		var names []string
		for _, t := range c.was.topics {
			names = append(names, fmt.Sprintf("%s (%d partitions, id %s)", t.name, len(t.parts), t.id))
		}
		return fmt.Errorf("%w: file %s: the topics are not those that were acknowledged: names, ids, partitions or "+
			"settings differ; it was %s. %s", ErrDamaged, path, strings.Join(names, ", "), restoreHint)
	}
	known := make(map[string]bool)
	for _, t := range c.topics {
		for n := range t.Partitions {
			known[partitionDir(c.dir, t.Name, n)] = true
		}
	}
	dirs, err := filepath.Glob(filepath.Join(c.dir, "partitions", "*"))
	for _, dir := range dirs {
		bases, berr := segmentBases(dir)
		if berr != nil {
			err = errors.Join(err, berr)
		} else if !known[dir] && len(bases) > 0 {
			err = errors.Join(err, fmt.Errorf("%w: directory %s: it has records, and %s does not name its topic. %s",
				ErrDamaged, dir, path, restoreHint))
		}
	}
	return err
}

// partitions reads all partitions, as many at once as there are cores.
func (c *logCheck) partitions() ([]*partition, error) {
	var all []*partition
	var checks []*partitionCheck
	for _, t := range c.topics {
		for n := range t.Partitions {
			checks = append(checks, &partitionCheck{
				log: c, topic: t,
				partition: &partition{dir: partitionDir(c.dir, t.Name, n), topic: t.Name, n: n, roll: t.number("segment.bytes", c.roll)},
			})
		}
	}
	errs := make([]error, len(checks))
	var g errgroup.Group
	g.SetLimit(runtime.GOMAXPROCS(0))
	for i, p := range checks {
		g.Go(func() error {
			errs[i] = p.check()
			return nil
		})
	}
	_ = g.Wait() // each has its own place in errs
	for _, p := range checks {
		all = append(all, p.partition)
		c.mends, c.later = append(c.mends, p.mends...), append(c.later, p.later...)
	}
	return all, errors.Join(errs...)
}

// remove is a mend that takes files away.
func remove(say string, paths ...string) mend {
	return mend{say, func() error {
		for _, path := range paths {
			if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
				return err
			}
		}
		return syncDir(filepath.Dir(paths[0]))
	}}
}

// cut is a mend that shortens a file.
func cut(say, path string, length int64) mend {
	return mend{say, func() error {
		f, err := os.OpenFile(path, os.O_WRONLY, 0)
		if err != nil {
			return err
		}
		return errors.Join(f.Truncate(length), f.Sync(), f.Close())
	}}
}

// replace is a mend that writes what can be derived, under its name when it is whole.
func replace(say, path string, b []byte) mend {
	return mend{say, func() error {
		if err := os.WriteFile(path+".tmp", b, 0o644); err != nil {
			return err
		}
		return os.Rename(path+".tmp", path)
	}}
}

// syncFile is a mend that makes last what a killed process left to the kernel.
func syncFile(path string) mend {
	return mend{"", func() error {
		f, err := os.Open(path)
		if err != nil {
			return err
		}
		return errors.Join(f.Sync(), f.Close())
	}}
}
