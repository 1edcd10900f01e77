package embedded

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// What the broker keeps beside the segments.
var (
	// entryLogs are appended to, an entry with a checksum each.
	entryLogs = []string{"groups.log", "pids.log"}
	// objects are written whole; the broker panics or forgets all it has for some that it cannot read.
	objects = []string{"meta.json", "topics.json", "broker_configs.json", "acls.json", "sasl.json", "quotas.json"}
	// passing is of use only behind an orderly end, and only as it was left then: which
	// requests were answered last, and who was in which group.
	passing = []string{"seq_windows.json", "session_state.json"}
)

// files looks at what lies beside the segments.
func (c *logCheck) files() error {
	var errs []error
	for _, name := range objects {
		errs = append(errs, c.object(name))
	}
	for _, name := range entryLogs {
		errs = append(errs, c.entryLog(name))
	}
	for _, name := range passing {
		errs = append(errs, c.pass(name))
	}
	return errors.Join(errs...)
}

// read reads a file; b is nil if it is not there. same says that it is as it was when the broker was closed.
func (c *logCheck) read(name string) (b []byte, same bool, err error) {
	b, err = os.ReadFile(filepath.Join(c.dir, name))
	if errors.Is(err, fs.ErrNotExist) {
		err = nil
	}
	if c.was == nil || c.was.sealed == nil {
		return b, true, err
	}
	sum, known := c.was.sealed[name]
	return b, known == (b != nil) && (!known || sum == crc32.Checksum(b, castagnoli)), err
}

// object checks a file of JSON. Without meta.json the broker takes the
// directory for a new one, whatever lies in it.
func (c *logCheck) object(name string) error {
	path := filepath.Join(c.dir, name)
	b, same, err := c.read(name)
	switch {
	case err != nil:
		return err
	case b == nil && name == "meta.json":
		return c.fresh()
	case !same:
		return fmt.Errorf("%w: file %s: it is not as it was when the broker was closed. %s", ErrDamaged, path, restoreHint)
	case b == nil:
		return nil
	}
	var object struct {
		Version *int `json:"version"`
	}
	if err := json.Unmarshal(b, &object); err != nil {
		return fmt.Errorf("%w: file %s: %w. %s", ErrDamaged, path, err, restoreHint)
	}
	if object.Version == nil || *object.Version != 1 {
		return fmt.Errorf("%w: file %s: it does not say that its version is 1. %s", ErrDamaged, path, restoreHint)
	}
	return nil
}

// fresh refuses a directory that has a log and no meta.json.
func (c *logCheck) fresh() error {
	entries, err := os.ReadDir(c.dir)
	if err != nil {
		return err
	}
	for _, e := range entries {
		if name := e.Name(); name == stateName && c.was != nil && len(c.was.topics) > 0 ||
			name == "partitions" || slices.Contains(objects, name) || slices.Contains(entryLogs, name) {
			return fmt.Errorf("%w: file %s is missing, and %s is there. %s",
				ErrDamaged, filepath.Join(c.dir, "meta.json"), name, restoreHint)
		}
	}
	return nil
}

// entryHead is the length and the checksum before an entry.
const entryHead = 8

// entry gives the length of the entry that b begins with, 0 if there is none.
func entry(b []byte) int64 {
	if len(b) < entryHead+2 {
		return 0
	}
	length := int64(binary.LittleEndian.Uint32(b))
	if length < 2 || entryHead+length > int64(len(b)) ||
		crc32.Checksum(b[entryHead:entryHead+length], castagnoli) != binary.LittleEndian.Uint32(b[4:]) {
		return 0
	}
	return entryHead + length
}

// entryLog checks a file of entries: its end may be torn, like that of a segment.
func (c *logCheck) entryLog(name string) error {
	path := filepath.Join(c.dir, name)
	b, same, err := c.read(name)
	if err != nil || b == nil { // an operator may remove it: readers have positions of their own
		return err
	}
	at := int64(0)
	for n := entry(b); n > 0; n = entry(b[at:]) {
		at += n
	}
	behind := 0
	for from := at; from < int64(len(b)); from++ {
		for n := entry(b[from:]); n > 0; n = entry(b[from:]) {
			behind, from = behind+1, from+n
		}
	}
	switch {
	case behind > 0:
		err = fmt.Errorf("at byte %d an entry has a wrong checksum or length, and behind it stand %d good ones", at, behind)
	case !same:
		err = errors.New("it is not as it was when the broker was closed")
	case at < int64(len(b)):
		say := fmt.Sprintf("%s: cut off at byte %d: %d bytes of an entry that was not finished are gone", path, at, int64(len(b))-at)
		c.mends = append(c.mends, cut(say, path, at))
	}
	if err != nil {
		return fmt.Errorf("%w: file %s: %w. %s; or remove this file: readers go on from positions of their own", ErrDamaged, path, err, restoreHint)
	}
	return nil
}

// pass removes what is of use only as it was left.
func (c *logCheck) pass(name string) error {
	path := filepath.Join(c.dir, name)
	b, same, err := c.read(name)
	if err != nil || b == nil || same && c.was != nil && c.was.sealed != nil {
		return err
	}
	say := ""
	if !same {
		say = path + ": removed, for it is not as it was when the broker was closed: a producer's repetition from then may be appended twice"
	}
	c.mends = append(c.mends, remove(say, path))
	return nil
}

// seal gives the checksums of what lies beside the segments of a closed broker.
func seal(dir string) (map[string]uint32, error) {
	sums := make(map[string]uint32)
	for _, name := range slices.Concat(objects, entryLogs, passing) {
		b, err := os.ReadFile(filepath.Join(dir, name))
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, err
		}
		sums[name] = crc32.Checksum(b, castagnoli)
	}
	return sums, nil
}

// clearTemps removes what the broker or we had not finished to write.
func clearTemps(dir string) error {
	return filepath.WalkDir(dir, func(at string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(d.Name(), ".tmp") {
			return err
		}
		return os.Remove(at)
	})
}
