package spool_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"pgregory.net/rapid"

	"fernweh/ingest/spool"
)

func open(t testing.TB, o spool.Options) *spool.Spool {
	t.Helper()
	s, err := spool.Open(o)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func records(texts ...string) (rs []spool.Record) {
	for _, t := range texts {
		rs = append(rs, spool.Record{Kind: 1, Data: []byte(t)})
	}
	return rs
}

// drain takes everything out, n records at a time.
func drain(t testing.TB, s *spool.Spool, n int) (texts []string) {
	t.Helper()
	for {
		rs, err := s.Head(n)
		if err != nil {
			t.Fatal(err)
		}
		if len(rs) == 0 {
			return texts
		}
		for _, r := range rs {
			texts = append(texts, string(r.Data))
		}
		if err := s.Advance(len(rs)); err != nil {
			t.Fatal(err)
		}
	}
}

func equal(t testing.TB, got, want []string) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Errorf("delivered\n got %q\nwant %q", got, want)
	}
}

func segments(t testing.TB, dir string) []string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "*.spool"))
	if err != nil {
		t.Fatal(err)
	}
	return files
}

func TestWhatWentInComesOutInOrder(t *testing.T) {
	dir := t.TempDir()
	s := open(t, spool.Options{Dir: dir, SegmentBytes: 64})
	var want []string
	for i := range 50 {
		want = append(want, fmt.Sprint("event ", i))
		if err := s.Append(records(want[i])); err != nil {
			t.Fatal(err)
		}
	}
	if s.Empty() || s.Stats().Records != 50 {
		t.Errorf("stats %+v, want 50 records", s.Stats())
	}
	equal(t, drain(t, s, 7), want)
	if !s.Empty() || s.Stats().Bytes != 0 || len(segments(t, dir)) != 0 {
		t.Errorf("drained spool has %+v and the files %v, want nothing", s.Stats(), segments(t, dir))
	}
	if err := s.Append(records("later")); err != nil {
		t.Fatal(err)
	}
	equal(t, drain(t, s, 7), []string{"later"})
}

func TestDeliveryGoesOnWhereItWasAfterRestart(t *testing.T) {
	dir := t.TempDir()
	for take := range 6 {
		s := open(t, spool.Options{Dir: dir, SegmentBytes: 64})
		if take == 0 {
			for _, group := range [][]string{{"a", "b", "c"}, {"d"}, {"e", "f"}} {
				if err := s.Append(records(group...)); err != nil {
					t.Fatal(err)
				}
			}
		}
		rs, err := s.Head(2)
		if err != nil {
			t.Fatal(err)
		}
		if want := string("abcdef"[take]); string(rs[0].Data) != want {
			t.Fatalf("restart %d begins with %q, want %q", take, rs[0].Data, want)
		}
		if err := s.Advance(1); err != nil {
			t.Fatal(err)
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
	s := open(t, spool.Options{Dir: dir})
	if !s.Empty() || len(segments(t, dir)) != 0 {
		t.Errorf("all delivered, but %+v is left in %v", s.Stats(), segments(t, dir))
	}
}

func TestConcurrentAppendsKeepEachCallersOrder(t *testing.T) {
	dir := t.TempDir()
	s := open(t, spool.Options{Dir: dir, SegmentBytes: 4096})
	var wg sync.WaitGroup
	for caller := range 8 {
		wg.Go(func() {
			for i := range 40 {
				if err := s.Append(records(fmt.Sprintf("%d:%03d", caller, i))); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	s.Close()
	by := map[string][]string{}
	for _, text := range drain(t, open(t, spool.Options{Dir: dir}), 64) {
		caller, _, _ := strings.Cut(text, ":")
		by[caller] = append(by[caller], text)
	}
	for caller, texts := range by {
		if len(texts) != 40 || !slices.IsSorted(texts) {
			t.Errorf("caller %s: %d records, in order: %t; want 40 in order", caller, len(texts), slices.IsSorted(texts))
		}
	}
}

func TestFullSpoolTakesNothingUntilThereIsRoom(t *testing.T) {
	s := open(t, spool.Options{Dir: t.TempDir(), MaxBytes: 2000})
	big := strings.Repeat("x", 150)
	var want []string
	for {
		err := s.Append(records(big))
		if errors.Is(err, spool.ErrFull) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		want = append(want, big)
	}
	if b := s.Stats().Bytes; b > 2000 || b < 1800 {
		t.Errorf("full at %d bytes, want just below 2000", b)
	}
	equal(t, drain(t, s, 3), want)
	if err := s.Append(records(big)); err != nil {
		t.Errorf("append after drain: %v", err)
	}
}

func TestSecondProcessIsKeptOut(t *testing.T) {
	dir := t.TempDir()
	s := open(t, spool.Options{Dir: dir})
	if _, err := spool.Open(spool.Options{Dir: dir}); err == nil || !strings.Contains(err.Error(), dir) {
		t.Errorf("second open: %v, want an error that names %s", err, dir)
	}
	s.Close()
	open(t, spool.Options{Dir: dir}).Close()
}

func TestTornEndIsCutOffAtAnyByte(t *testing.T) {
	dir := t.TempDir()
	s := open(t, spool.Options{Dir: dir})
	for _, text := range []string{"kept", "also kept", "torn away"} {
		if err := s.Append(records(text)); err != nil {
			t.Fatal(err)
		}
	}
	s.Close()
	whole, err := os.ReadFile(segments(t, dir)[0])
	if err != nil {
		t.Fatal(err)
	}
	last := len(whole) - 20 - 2 - len("torn away")
	for size := last; size < len(whole); size++ {
		for name, tail := range map[string][]byte{"short": nil, "zeros": make([]byte, len(whole)-size)} {
			dir := t.TempDir()
			path := filepath.Join(dir, "0000000000000001.spool")
			if err := os.WriteFile(path, append(slices.Clone(whole[:size]), tail...), 0o600); err != nil {
				t.Fatal(err)
			}
			s := open(t, spool.Options{Dir: dir})
			if err := s.Append(records("next")); err != nil {
				t.Fatal(err)
			}
			t.Run(fmt.Sprint(name, " ", size), func(t *testing.T) {
				equal(t, drain(t, s, 10), []string{"kept", "also kept", "next"})
			})
		}
	}
}

func TestCorruptionInTheMiddleIsNamed(t *testing.T) {
	dir := t.TempDir()
	s := open(t, spool.Options{Dir: dir})
	for _, text := range []string{"one", "two", "three"} {
		if err := s.Append(records(text)); err != nil {
			t.Fatal(err)
		}
	}
	s.Close()
	path := segments(t, dir)[0]
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	second := 20 + 2 + len("one")
	for at := second; at < second+20+2+len("two"); at++ {
		b := slices.Clone(whole)
		b[at] ^= 0x40
		if err := os.WriteFile(path, b, 0o600); err != nil {
			t.Fatal(err)
		}
		_, err := spool.Open(spool.Options{Dir: dir})
		if !errors.Is(err, spool.ErrCorrupt) || !strings.Contains(err.Error(), fmt.Sprintf("%s at offset %d", path, second)) {
			t.Fatalf("byte %d flipped: %v, want an error that names %s and offset %d", at, err, path, second)
		}
	}
}

func TestGoldenSegmentDecodesForEver(t *testing.T) {
	const golden = "testdata/segment-v1.spool"
	at := time.Date(2026, 11, 22, 4, 0, 0, 0, time.UTC)
	dir := t.TempDir()
	s := open(t, spool.Options{Dir: dir, Now: func() time.Time { return at }})
	if err := s.Append([]spool.Record{{Kind: 1, Data: []byte("an event")}, {Kind: 2, Data: []byte("a letter")}}); err != nil {
		t.Fatal(err)
	}
	s.Close()
	written, err := os.ReadFile(segments(t, dir)[0])
	if err != nil {
		t.Fatal(err)
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if string(written) != string(want) {
		t.Errorf("a segment is written as\n%x\nwant\n%x", written, want)
	}
	dir = t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "0000000000000007.spool"), want, 0o600); err != nil {
		t.Fatal(err)
	}
	rs, err := open(t, spool.Options{Dir: dir}).Head(10)
	if err != nil || len(rs) != 2 || rs[1].Kind != 2 || string(rs[1].Data) != "a letter" {
		t.Errorf("golden segment decodes to %v, %v", rs, err)
	}
}

// A disk fails when it is told to, in the middle of a write, and knows how much
// of a file an fsync has made durable.
type disk struct {
	fail, failTruncate bool
	durable            map[string]int64
}

func (d *disk) create(path string) (spool.File, error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY|os.O_APPEND, 0o600)
	d.durable[path] = 0
	return &diskFile{File: f, disk: d}, err
}

// crash leaves of every file what was durable and a random part of the rest.
func (d *disk) crash(t testing.TB, seed uint64) {
	random := rand.New(rand.NewPCG(seed, 1))
	for path, durable := range d.durable {
		info, err := os.Stat(path)
		if err != nil {
			continue // delivered and removed
		}
		if err := os.Truncate(path, durable+random.Int64N(info.Size()-durable+1)); err != nil {
			t.Fatal(err)
		}
	}
	clear(d.durable)
}

type diskFile struct {
	*os.File
	disk *disk
}

var errDiskFull = errors.New("no space left on device")

func (f *diskFile) Write(p []byte) (int, error) {
	if f.disk.fail {
		n, _ := f.File.Write(p[:len(p)/2])
		return n, errDiskFull
	}
	return f.File.Write(p)
}

func (f *diskFile) Truncate(size int64) error {
	if f.disk.failTruncate {
		return errDiskFull
	}
	return f.File.Truncate(size)
}

func (f *diskFile) Sync() error {
	if f.disk.fail {
		return errDiskFull
	}
	info, err := f.Stat()
	if err != nil {
		return err
	}
	f.disk.durable[f.Name()] = info.Size()
	return nil
}

// TestAcknowledgedRecordsSurvive walks through random appends, full disks,
// deliveries and crashes. What was acknowledged comes out in order; a crash
// repeats nothing that Advance was told of.
func TestAcknowledgedRecordsSurvive(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		dir, err := os.MkdirTemp(t.TempDir(), "")
		if err != nil {
			rt.Fatal(err)
		}
		d := &disk{durable: map[string]int64{}}
		o := spool.Options{Dir: dir, SegmentBytes: 100, Create: d.create}
		s := open(t, o)
		defer func() { s.Close() }()
		var acked, delivered []string
		next := 0
		rt.Repeat(map[string]func(*rapid.T){
			"append": func(rt *rapid.T) {
				var group []string
				for range rapid.IntRange(1, 4).Draw(rt, "records") {
					group = append(group, fmt.Sprint("event ", next))
					next++
				}
				if s.Append(records(group...)) == nil {
					acked = append(acked, group...)
				}
			},
			"disk full": func(rt *rapid.T) {
				d.fail = rapid.Bool().Draw(rt, "full")
				d.failTruncate = d.fail && rapid.Bool().Draw(rt, "nothing works")
			},
			"deliver": func(rt *rapid.T) {
				rs, err := s.Head(rapid.IntRange(1, 5).Draw(rt, "most"))
				if err != nil {
					rt.Fatal(err)
				}
				n := rapid.IntRange(0, len(rs)).Draw(rt, "delivered")
				if err := s.Advance(n); err != nil {
					rt.Fatal(err)
				}
				for _, r := range rs[:n] {
					delivered = append(delivered, string(r.Data))
				}
			},
			"crash": func(rt *rapid.T) {
				s.Close()
				d.crash(t, rapid.Uint64().Draw(rt, "torn"))
				if s, err = spool.Open(o); err != nil {
					rt.Fatal(err)
				}
			},
			"": func(rt *rapid.T) {
				if len(delivered) > len(acked) || !slices.Equal(delivered, acked[:len(delivered)]) {
					rt.Fatalf("delivered\n got %q\nwant a beginning of %q", delivered, acked)
				}
				if got, want := s.Stats().Records, int64(len(acked)-len(delivered)); got != want {
					rt.Fatalf("spool counts %d records, want %d", got, want)
				}
			},
		})
		d.fail, d.failTruncate = false, false
		if all := append(delivered, drain(t, s, 3)...); !slices.Equal(all, acked) {
			rt.Fatalf("drained\n got %q\nwant %q", all, acked)
		}
	})
}

// FuzzOpen reads any bytes as a segment: it opens or says what is wrong, and
// what it opens can be drained.
func FuzzOpen(f *testing.F) {
	if golden, err := os.ReadFile("testdata/segment-v1.spool"); err == nil {
		f.Add(golden)
		f.Add(append(golden, golden...))
		f.Add(golden[:len(golden)-3])
	}
	f.Add([]byte("FWS1\xff\xff\xff\xff"))
	f.Fuzz(func(t *testing.T, segment []byte) {
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, "0000000000000001.spool"), segment, 0o600); err != nil {
			t.Fatal(err)
		}
		s, err := spool.Open(spool.Options{Dir: dir})
		if err != nil {
			if !errors.Is(err, spool.ErrCorrupt) {
				t.Errorf("open: %v, want ErrCorrupt", err)
			}
			return
		}
		defer s.Close()
		counted := s.Stats().Records
		if got := len(drain(t, s, 2)); int64(got) != counted {
			t.Errorf("counted %d records, drained %d", counted, got)
		}
	})
}
