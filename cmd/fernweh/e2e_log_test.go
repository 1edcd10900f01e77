package main_test

import (
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// cutLog takes whole batches from the end of the first partition that has any, at
// least so many records, and gives the partition.
func cutLog(t *testing.T, dir string, records int) (partition int) {
	t.Helper()
	for p := range partitions {
		path := filepath.Join(dir, "log", "partitions", fmt.Sprint("fernweh.events-", p), "0.dat")
		b, err := os.ReadFile(path)
		if err != nil {
			continue
		}
		var starts []int // of the batches
		for at := 0; at < len(b); at += 12 + int(binary.BigEndian.Uint32(b[at+8:])) {
			starts = append(starts, at)
		}
		for n := len(starts) - 1; n >= 0 && records > 0; n-- {
			records -= int(binary.BigEndian.Uint32(b[starts[n]+57:]))
			b = b[:starts[n]]
		}
		if err := errors.Join(os.WriteFile(path, b, 0o644), os.Truncate(strings.TrimSuffix(path, "dat")+"idx", 0)); err != nil {
			t.Fatal(err)
		}
		return p
	}
	t.Fatal("no partition has records")
	return 0
}

// logFiles are the segments of a portal's log.
func logFiles(t *testing.T, dir string) map[string]string {
	t.Helper()
	paths, err := filepath.Glob(filepath.Join(dir, "log", "partitions", "fernweh.events-*", "*.dat"))
	if err != nil {
		t.Fatal(err)
	}
	files := make(map[string]string)
	for _, path := range paths {
		b, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		files[path] = string(b)
	}
	return files
}

// TestALogThatWasCutTakesNoEvent: a supervisor starts a portal again and again whose
// log has lost what was acknowledged. No start may take an event, or its offset
// is one that is counted already; each says what is wrong. Three witnesses know: what was
// acknowledged, the views, the archive.
func TestALogThatWasCutTakesNoEvent(t *testing.T) {
	p, _ := backedUp(t)
	p.up()
	p.batch() // the archive has all of it
	p.stop()
	for _, witness := range []struct {
		name   string
		remove []string // the other witnesses
		says   string
		ingest bool // the collector alone
	}{
		{"what was acknowledged", []string{"archive", "views"}, "the log is damaged", false},
		{"the views", []string{"log/acknowledged", "archive"}, "which the views fernweh has come to", false},
		{"the archive", []string{"log/acknowledged", "views"}, "which the archive", false},
		{"the views, for a collector alone", []string{"log/acknowledged", "archive"}, "which the views fernweh has come to", true},
		{"the archive, for a collector alone", []string{"log/acknowledged", "views"}, "which the archive", true},
	} {
		q := p.elsewhere()
		restore(t, p.dir, q.dir, "log", "archive", "views")
		if witness.ingest {
			q.args = []string{"ingest", "--data-dir", q.dir, "--ingest-addr", q.doors[0], "--partitions", fmt.Sprint(partitions)}
		}
		partition := cutLog(t, q.dir, 25)
		for _, name := range witness.remove {
			if err := os.RemoveAll(filepath.Join(q.dir, name)); err != nil {
				t.Fatal(err)
			}
			if strings.HasPrefix(name, "log") { // nor does the broker's own note of an orderly end know
				for p := range partitions {
					if err := os.Remove(filepath.Join(q.dir, "log", "partitions", fmt.Sprint("fernweh.events-", p), "snapshot.json")); err != nil {
						t.Fatal(err)
					}
				}
			}
		}
		before := logFiles(t, q.dir)
		for start := range 10 {
			q.start()
			for ended := false; !ended; {
				select {
				case <-q.gone:
					ended = true
				default:
					if answer, _, err := q.post(`{"batch":[{"type":"page","anonymousId":"weber","messageId":"m1"}]}`); err == nil {
						t.Fatalf("%s, start %d: an event was taken: %s", witness.name, start, answer)
					}
				}
			}
			said := q.said.String()
			if q.process.ProcessState.Success() || !strings.Contains(said, witness.says) || !strings.Contains(said, fmt.Sprint("partition ", partition)) {
				t.Fatalf("%s, start %d: %v, %s; want it refused with %q and partition %d",
					witness.name, start, q.process.ProcessState, tailOf(said), witness.says, partition)
			}
		}
		if !maps.Equal(before, logFiles(t, q.dir)) {
			t.Errorf("%s: the log is another after ten starts", witness.name)
		}
	}
}
