package embedded

import (
	"bytes"
	"errors"
	"fmt"
	"hash/crc32"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// A logState is what the log must hold when it is opened again: the file
// "acknowledged" beside it (docs/formats/log.md).
type logState struct {
	seq      int64             // grows with every write
	shape    uint32            // sum of what topics.json means
	changing bool              // a change of topics is under way: shape may be the one before or behind it
	topics   []logTopic        // by name
	sealed   map[string]uint32 // checksum of each file beside the segments; nil unless the broker was closed
}

// A logTopic is a topic as topics.json has it, and how far its partitions go.
type logTopic struct {
	name, id string
	parts    []logRange
}

// A logRange is what a partition holds for certain.
type logRange struct {
	start, end int64  // offsets: the first, and behind the last one acknowledged
	sum        uint64 // of the fingerprints of its batches
}

// topic finds a topic by name.
func (s *logState) topic(name string) (logTopic, bool) {
	i, ok := slices.BinarySearchFunc(s.topics, name, func(t logTopic, name string) int { return strings.Compare(t.name, name) })
	if !ok {
		return logTopic{}, false
	}
	return s.topics[i], true
}

const (
	stateName   = "acknowledged"
	stateFormat = "fernweh-acknowledged 1"
	slotUnit    = 4096 // bytes: a slot is a multiple of a disk's page
)

// encode writes the state as lines, the last with the checksum of the others.
func (s *logState) encode() []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, "%s\nseq %d\nshape %08x %t\n", stateFormat, s.seq, s.shape, s.changing)
	for _, t := range s.topics {
		fmt.Fprintf(&b, "topic %s %s\n", t.name, t.id)
		for n, p := range t.parts {
			fmt.Fprintf(&b, "%d %d %d %016x\n", n, p.start, p.end, p.sum)
		}
	}
	if s.sealed != nil {
		b.WriteString("closed\n")
		for _, name := range slices.Sorted(maps.Keys(s.sealed)) {
			fmt.Fprintf(&b, "file %s %08x\n", name, s.sealed[name])
		}
	}
	fmt.Fprintf(&b, "crc %08x\n", crc32.Checksum(b.Bytes(), castagnoli))
	return b.Bytes()
}

// decodeState reads a slot: the state, and line ends up to its length.
func decodeState(b []byte) (*logState, error) {
	b = bytes.TrimRight(b, "\n")
	at := bytes.LastIndex(b, []byte("\ncrc ")) + 1
	var sum uint32
	if n, err := fmt.Sscanf(string(b[at:]), "crc %x", &sum); n != 1 || err != nil || at == 0 {
		return nil, errors.New("it does not end with a checksum")
	}
	if got := crc32.Checksum(b[:at], castagnoli); got != sum || len(b) != at+len("crc 00000000") {
		return nil, fmt.Errorf("it has the checksum %08x, and its bytes have %08x", sum, got)
	}
	s := new(logState)
	for i, line := range strings.Split(strings.TrimSpace(string(b[:at])), "\n") {
		if i == 0 {
			if line != stateFormat {
				return nil, fmt.Errorf("it is %q, and this program reads %q", line, stateFormat)
			}
			continue
		}
		if err := s.line(line); err != nil {
			return nil, fmt.Errorf("line %q: %w", line, err)
		}
	}
	return s, nil
}

// line reads one line into the state.
func (s *logState) line(line string) (err error) {
	words := strings.Fields(line)
	switch {
	case len(words) == 2 && words[0] == "seq":
		s.seq, err = strconv.ParseInt(words[1], 10, 64)
	case len(words) == 3 && words[0] == "shape":
		s.changing = words[2] == "true"
		s.shape, err = hex32(words[1])
	case len(words) == 3 && words[0] == "topic":
		s.topics = append(s.topics, logTopic{name: words[1], id: words[2]})
	case len(words) == 1 && words[0] == "closed":
		s.sealed = make(map[string]uint32)
	case len(words) == 3 && words[0] == "file" && s.sealed != nil:
		s.sealed[words[1]], err = hex32(words[2])
	case len(words) == 4 && len(s.topics) > 0:
		var p logRange
		var n int
		t := &s.topics[len(s.topics)-1]
		if _, err = fmt.Sscanf(line, "%d %d %d %x", &n, &p.start, &p.end, &p.sum); err == nil && n != len(t.parts) {
			err = fmt.Errorf("it should be partition %d", len(t.parts))
		}
		t.parts = append(t.parts, p)
	default:
		err = errors.New("it means nothing")
	}
	return err
}

func hex32(word string) (uint32, error) {
	n, err := strconv.ParseUint(word, 16, 32)
	return uint32(n), err
}

// A stateFile keeps the state in two slots, written in turn and in place: a
// write that is torn leaves the other, and one that is not costs the disk no
// change of the file's length.
type stateFile struct {
	dir  string
	sync func(*os.File) error
	file *os.File // nil until the first write
	slot int64    // bytes of one
	next int64    // slot that is written next
}

// readState reads the younger of the slots that are whole. There is none, without
// an error, if the file is not there: an earlier release kept none.
func readState(dir string) (*logState, error) {
	path := filepath.Join(dir, stateName)
	b, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var found *logState
	var errs []error
	for _, slot := range [][]byte{b[:len(b)/2], b[len(b)/2:]} {
		s, err := decodeState(slot)
		if err != nil {
			errs = append(errs, err)
		} else if found == nil || s.seq > found.seq {
			found = s
		}
	}
	if found == nil {
		return nil, fmt.Errorf("%w: file %s: neither of its two slots is whole: %w. %s, or remove this file: "+
			"then the log is taken as it is", ErrDamaged, path, errors.Join(errs...), restoreHint)
	}
	return found, nil
}

// write makes a state last. What it replaces stays readable until then.
func (f *stateFile) write(s *logState) error {
	s.seq++
	b := s.encode()
	if f.file == nil || int64(len(b)) > f.slot {
		return f.rewrite(b)
	}
	if _, err := f.file.WriteAt(pad(b, f.slot), f.next*f.slot); err != nil {
		return err
	}
	if err := f.sync(f.file); err != nil {
		return fatal{err}
	}
	f.next = 1 - f.next
	return nil
}

// rewrite makes the file anew, with room in its slots, under its name when it is whole.
func (f *stateFile) rewrite(b []byte) error {
	slot := (int64(len(b))*3/2/slotUnit + 1) * slotUnit
	path := filepath.Join(f.dir, stateName)
	temp, err := os.OpenFile(path+".tmp", os.O_CREATE|os.O_TRUNC|os.O_RDWR, 0o644)
	if err != nil {
		return err
	}
	_, err = temp.Write(append(pad(b, slot), pad(b, slot)...))
	if err != nil {
		return errors.Join(err, temp.Close())
	}
	if err := f.sync(temp); err != nil {
		return errors.Join(fatal{err}, temp.Close())
	}
	if err := os.Rename(temp.Name(), path); err != nil {
		return errors.Join(err, temp.Close())
	}
	if err := syncDirWith(f.dir, f.sync); err != nil {
		return errors.Join(err, temp.Close())
	}
	if f.file != nil {
		err = f.file.Close()
	}
	f.file, f.slot, f.next = temp, slot, 0
	return err
}

// close closes the file.
func (f *stateFile) close() error {
	if f.file == nil {
		return nil
	}
	return f.file.Close()
}

// pad fills a slot with line ends.
func pad(b []byte, slot int64) []byte {
	return append(b[:len(b):len(b)], bytes.Repeat([]byte{'\n'}, int(slot)-len(b))...)
}

// A fatal error is one after which nothing may be acknowledged. After a sync that
// failed the kernel has forgotten what it could not write, and the next sync would lie.
type fatal struct{ error }

// Unwrap gives the error itself.
func (f fatal) Unwrap() error { return f.error }

// syncDirWith makes the names in a directory last.
func syncDirWith(dir string, sync func(*os.File) error) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	if err := sync(d); err != nil {
		return errors.Join(fatal{err}, d.Close())
	}
	return d.Close()
}
