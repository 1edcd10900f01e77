package embedded_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"fernweh/infra/embedded"
)

// lastBatch is the batch at the end of a segment, and where it begins.
func lastBatch(t *testing.T, path string) (b []byte, at int) {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for at+first(b[at:]) < len(b) {
		at += first(b[at:])
	}
	return b[at:], at
}

// following is the batch that a broker would have written behind b.
func following(b []byte) []byte {
	b = bytes.Clone(b)
	offset := binary.BigEndian.Uint64(b) + uint64(binary.BigEndian.Uint32(b[23:])) + 1
	binary.BigEndian.PutUint64(b, offset)
	return b
}

// said gives what the program's log is told while do works.
func said(t *testing.T, do func()) string {
	t.Helper()
	var b bytes.Buffer
	was := slog.Default()
	defer slog.SetDefault(was)
	slog.SetDefault(slog.New(slog.NewTextHandler(&b, nil)))
	do()
	return b.String()
}

// TestTornTailIsCut: a write that a kill or a power loss ended at any byte, and that nobody
// was told of, goes, and the log says so. At every byte of what was acknowledged the log is refused.
func TestTornTailIsCut(t *testing.T) {
	l := write(t, true)
	segments := l.segmentsOf(t, 0)
	path := segments[len(segments)-1]
	last, at := lastBatch(t, path)
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	put := func(b []byte) error {
		edit(t, path, func([]byte) []byte { return b })
		return embedded.CheckLog(l.dir, smallSegments)
	}
	next := following(last)
	for n := 1; n < len(next); n += 1 + n/61*6 { // every byte of the head, some of the records
		for _, tail := range [][]byte{
			next[:n],
			append(bytes.Clone(next[:n]), make([]byte, len(next)-n)...),
			make([]byte, n),
		} {
			words := said(t, func() { err = put(append(bytes.Clone(whole), tail...)) })
			got, rerr := os.ReadFile(path)
			if err = errors.Join(err, rerr); err != nil || !bytes.Equal(got, whole) {
				t.Fatalf("%d bytes of a write: %v, and %d bytes are left, want the %d before it", n, err, len(got), len(whole))
			}
			if want := fmt.Sprintf("%s: cut off at byte %d", path, len(whole)); !strings.Contains(words, want) {
				t.Fatalf("%d bytes of a write: said %q, want %q", n, words, want)
			}
		}
	}
	for n := at; n < len(whole); n++ {
		if err := put(whole[:n]); !errors.Is(err, embedded.ErrDamaged) || !strings.Contains(err.Error(), filepath.Dir(path)) {
			t.Fatalf("%d of %d acknowledged bytes: got %v, want %v", n, len(whole), err, embedded.ErrDamaged)
		}
	}
	if err := put(append(append(bytes.Clone(whole), next[:len(next)-1]...), following(next)...)); !errors.Is(err, embedded.ErrDamaged) {
		t.Errorf("a good batch behind a torn one: got %v, want %v", err, embedded.ErrDamaged)
	}
	if err := put(append(bytes.Clone(whole), next...)); err != nil {
		t.Errorf("a whole batch that nobody was told of: %v", err)
	}
	l.opens(t, "with it")
}

// TestALogWithoutItsNote: an earlier release kept no file of what was acknowledged.
// The log is taken as it is, if it can be told that it is whole.
func TestALogWithoutItsNote(t *testing.T) {
	killed, closed := write(t, true), write(t, false)
	for _, log := range []*writtenLog{killed, closed} {
		remove(t, filepath.Join(log.dir, embedded.StateName))
	}
	taken := killed.copy(t)
	taken.opens(t, "as it is")
	taken.opens(t, "again")
	edit(t, taken.segmentsOf(t, 1)[0], flip(100))
	taken.refused(t, "damaged since", "fernweh.events")
	for _, bad := range []struct {
		name string
		of   *writtenLog
		do   func(segments []string)
		says string
	}{
		{"a bit in the middle", killed, func(s []string) { edit(t, s[0], flip(70)) }, "good batches with"},
		{"a middle segment", killed, func(s []string) { remove(t, s[1]) }, "is missing"},
		{"a bit at the end", killed, func(s []string) {
			edit(t, s[len(s)-1], func(b []byte) []byte { return flip(len(b) - 1)(b) })
		}, "nothing says whether it was acknowledged"},
		{"the last segment, and it was closed", closed, func(s []string) { remove(t, s[len(s)-1]) }, "snapshot.json"},
	} {
		l := bad.of.copy(t)
		bad.do(l.segmentsOf(t, 0))
		l.refused(t, bad.name, bad.says)
	}
	l := killed.copy(t)
	segments := l.segmentsOf(t, 0)
	last, _ := lastBatch(t, segments[len(segments)-1])
	edit(t, segments[len(segments)-1], func(b []byte) []byte { return append(b, following(last)[:50]...) })
	l.opens(t, "a torn tail")
}

// TestAnyDamage does something to a log, at random: it is refused by name, or holds all
// that was acknowledged. Nothing panics, and no mended log is refused the next time.
func TestAnyDamage(t *testing.T) {
	logs := []*writtenLog{write(t, false), write(t, true)}
	seed := rand.Uint64()
	r := rand.New(rand.NewPCG(seed, 0))
	opened := 0
	for n := range 60 {
		l := logs[n%2].copy(t)
		did := damage(t, r, l.dir)
		b, err := openSmall(l.dir)
		if err != nil {
			if !errors.Is(err, embedded.ErrDamaged) || !strings.Contains(err.Error(), l.dir) {
				t.Errorf("seed %d, %s: got %v, want %v with the place", seed, did, err, embedded.ErrDamaged)
			}
			continue
		}
		opened++
		if err := errors.Join(l.holds(t, b), b.Close()); err != nil {
			t.Errorf("seed %d, %s: opened, and %v", seed, did, err)
		}
		l.opens(t, fmt.Sprintf("seed %d, %s, again", seed, did))
	}
	t.Logf("%d of 60 opened", opened)
}

// damage does one thing to one file of a directory.
func damage(t *testing.T, r *rand.Rand, dir string) (did string) {
	t.Helper()
	var paths []string
	for path, b := range bytesOf(t, dir) {
		if len(b) > 0 {
			paths = append(paths, filepath.Join(dir, path))
		}
	}
	slices.Sort(paths)
	path, other := paths[r.IntN(len(paths))], paths[r.IntN(len(paths))]
	switch r.IntN(6) {
	case 0:
		did = "a byte of " + path
		edit(t, path, func(b []byte) []byte {
			b[r.IntN(len(b))] ^= byte(1 + r.IntN(255))
			return b
		})
	case 1:
		did = "the end of " + path
		edit(t, path, func(b []byte) []byte { return b[:r.IntN(len(b))] })
	case 2:
		did = "zeros in " + path
		edit(t, path, func(b []byte) []byte {
			from := r.IntN(len(b))
			clear(b[from : from+1+r.IntN(len(b)-from)])
			return b
		})
	case 3:
		did = "no " + path
		remove(t, path)
	case 4:
		did = path + " in the place of " + other
		exchange(t, path, other)
	case 5:
		did = "more in " + path
		edit(t, path, func(b []byte) []byte {
			for range 1 + r.IntN(200) {
				b = append(b, byte(r.Uint32()))
			}
			return b
		})
	}
	return did
}
