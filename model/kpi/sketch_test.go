package kpi_test

import (
	"bytes"
	"encoding/hex"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/axiomhq/hyperloglog"
	"pgregory.net/rapid"

	"fernweh/model/kpi"
)

// device is a well-mixed hash of a device's number (SplitMix64).
func device(n uint64) uint64 {
	n += 0x9e3779b97f4a7c15
	n = (n ^ n>>30) * 0xbf58476d1ce4e5b9
	n = (n ^ n>>27) * 0x94d049bb133111eb
	return n ^ n>>31
}

func sketchOf(hashes ...uint64) *kpi.Sketch {
	s := new(kpi.Sketch)
	for _, h := range hashes {
		s.Add(h)
	}
	return s
}

func sketchBytes(s *kpi.Sketch) []byte {
	b, err := s.AppendBinary(nil)
	if err != nil {
		panic(err)
	}
	return b
}

func union(sketches ...*kpi.Sketch) *kpi.Sketch {
	u := new(kpi.Sketch)
	for _, s := range sketches {
		u.Merge(s)
	}
	return u
}

// devicesOf draws the devices of a pane: from nobody to a busy minute, with
// edge hashes among them.
func devicesOf(t *rapid.T, name string) []uint64 {
	first := rapid.Uint64Range(0, 1000).Draw(t, name+" first")
	n := rapid.OneOf(rapid.IntRange(0, 20), rapid.IntRange(400, 700), rapid.IntRange(0, 5000)).Draw(t, name+" count")
	hashes := rapid.SliceOfN(rapid.SampledFrom([]uint64{0, 1, math.MaxUint64, 1 << 52, 1 << 51}), 0, 3).Draw(t, name+" edges")
	for i := range n {
		hashes = append(hashes, device(first+uint64(i)))
	}
	return hashes
}

func TestSketchIsCommutativeAssociativeAndIdempotent(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a, b, c := sketchOf(devicesOf(t, "a")...), sketchOf(devicesOf(t, "b")...), sketchOf(devicesOf(t, "c")...)
		want := sketchBytes(union(a, b, c))
		for name, got := range map[string]*kpi.Sketch{
			"a+(b+c)":   union(a, union(b, c)),
			"c+b+a":     union(c, b, a),
			"a+b+c+b+a": union(a, b, c, b, a),
			"0+a+b+c+0": union(new(kpi.Sketch), a, b, c, new(kpi.Sketch)),
		} {
			if !bytes.Equal(sketchBytes(got), want) {
				t.Errorf("%s has other bytes than a+b+c", name)
			}
		}
	})
}

func TestSketchBytesDoNotDependOnOrderOrGrouping(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		hashes := devicesOf(t, "all")
		want := sketchBytes(sketchOf(hashes...))
		cut := rapid.IntRange(0, len(hashes)).Draw(t, "cut")
		again := rapid.IntRange(0, len(hashes)).Draw(t, "seen again")
		parts := union(sketchOf(hashes[cut:]...), sketchOf(hashes[:cut]...), sketchOf(hashes[again:]...))
		if !bytes.Equal(sketchBytes(parts), want) {
			t.Errorf("two minutes cut at %d of %d united differ from one", cut, len(hashes))
		}
		slices.Reverse(hashes)
		if !bytes.Equal(sketchBytes(sketchOf(hashes...)), want) {
			t.Errorf("%d devices backwards differ from forwards", len(hashes))
		}
		var read kpi.Sketch
		if err := read.UnmarshalBinary(want); err != nil {
			t.Fatalf("read back: %v", err)
		}
		if got := sketchBytes(&read); !bytes.Equal(got, want) {
			t.Errorf("read back and written: %d bytes differ from the %d read", len(got), len(want))
		}
	})
}

func TestSketchMergeLeavesTheOtherAlone(t *testing.T) {
	for _, n := range []uint64{3, 5000} {
		minute, hour := new(kpi.Sketch), new(kpi.Sketch)
		for i := range n {
			minute.Add(device(i))
		}
		before := sketchBytes(minute)
		hour.Merge(minute)
		for i := range n {
			hour.Add(device(1000000 + i))
		}
		if !bytes.Equal(sketchBytes(minute), before) {
			t.Errorf("minute of %d devices changed when the hour that took it in went on", n)
		}
	}
}

func TestSketchErrorIsAsPromised(t *testing.T) {
	const sigma = 1.04 / 64
	for _, n := range []uint64{1, 2, 5, 10, 50, 200, 500, 600, 1000, 3000, 10000, 20000, 100000, 1000000} {
		const portals = 40 // with devices of their own
		var squares, sum float64
		for portal := range uint64(portals) {
			var s kpi.Sketch
			for i := range n {
				s.Add(device(portal<<32 | i))
			}
			off := (float64(s.Estimate()) - float64(n)) / float64(n)
			if math.Abs(off) > 5*sigma {
				t.Errorf("portal %d with %d devices: got %d", portal, n, s.Estimate())
			}
			sum += off
			squares += off * off
		}
		if got := math.Sqrt(squares / portals); got > 1.4*sigma {
			t.Errorf("%d devices: got standard error %.2f%%, want about %.2f%%", n, 100*got, 100*sigma)
		}
		if bias := sum / portals; math.Abs(bias) > 4*sigma/math.Sqrt(portals) {
			t.Errorf("%d devices: got bias %.2f%%, want none", n, 100*bias)
		}
	}
}

// The peer is dense from the start, so that both hold the same registers and
// only the estimators differ.
func TestSketchAgreesWithAPeer(t *testing.T) {
	for _, n := range []uint64{10, 300, 3000, 50000, 300000} {
		peer, err := hyperloglog.NewSketch(12, false)
		if err != nil {
			t.Fatal(err)
		}
		var s kpi.Sketch
		for i := range n {
			s.Add(device(i))
			peer.InsertHash(device(i))
		}
		got, want := float64(s.Estimate()), float64(peer.Estimate())
		if math.Abs(got-want) > 0.02*want {
			t.Errorf("%d devices: got %.0f, the peer %.0f", n, got, want)
		}
	}
}

func TestSketchAtItsEnds(t *testing.T) {
	var none kpi.Sketch
	if !none.Empty() || none.Estimate() != 0 {
		t.Errorf("nobody came: got empty %v, estimate %d", none.Empty(), none.Estimate())
	}
	if one := sketchOf(device(7), device(7)); one.Empty() || one.Estimate() != 1 {
		t.Errorf("one device came twice: got empty %v, estimate %d", one.Empty(), one.Estimate())
	}
	var full kpi.Sketch
	for register := range uint64(4096) {
		full.Add(register << 52)
	}
	if got := full.Estimate(); got != math.MaxUint64 {
		t.Errorf("every register full: got %d, want the greatest number there is", got)
	}
}

// goldenSketches are sketches whose bytes must decode for ever.
func goldenSketches() map[string]*kpi.Sketch {
	busy := new(kpi.Sketch)
	for i := range uint64(2000) {
		busy.Add(device(i))
	}
	return map[string]*kpi.Sketch{
		"sketch-few.hex": sketchOf(device(1), device(2), device(3), 0, math.MaxUint64),
		"sketch-all.hex": busy,
	}
}

func TestSketchGolden(t *testing.T) {
	for name, s := range goldenSketches() {
		text, err := os.ReadFile(filepath.Join("testdata", name))
		if err != nil {
			t.Fatal(err)
		}
		want, err := hex.DecodeString(strings.TrimSpace(string(text)))
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if got := sketchBytes(s); !bytes.Equal(got, want) {
			t.Errorf("%s: got %x, want %x", name, got, want)
		}
		var read kpi.Sketch
		if err := read.UnmarshalBinary(want); err != nil || read.Estimate() != s.Estimate() {
			t.Errorf("%s: got %d devices, error %v, want %d", name, read.Estimate(), err, s.Estimate())
		}
	}
}

func TestSketchRefusesCorruptBytes(t *testing.T) {
	dense := sketchBytes(goldenSketches()["sketch-all.hex"])
	thin := make([]byte, len(dense)) // dense form, but nothing set
	thin[0] = dense[0]
	tests := []struct {
		name  string
		bytes []byte
		want  string
	}{
		{"nothing", nil, "no bytes"},
		{"unknown form", []byte{9}, "unknown form 9"},
		{"half an entry", []byte{1, 0, 0}, "2 bytes"},
		{"rank 0", []byte{1, 0, 0, 0}, "rank 0"},
		{"rank 54", []byte{1, 0, 0, 54}, "rank 54"},
		{"register 4096", []byte{1, 4, 0, 1}, "register 4096"},
		{"register twice", []byte{1, 0, 0, 65, 0, 0, 66}, "register 1 after 1"},
		{"descending", []byte{1, 0, 0, 129, 0, 0, 65}, "register 1 after 2"},
		{"few form with 513 entries", append([]byte{1}, make([]byte, 513*3)...), "0 to 512 entries"},
		{"dense cut in half", dense[:len(dense)/2], "want 3072"},
		{"dense form of an empty sketch", thin, "0 registers are set"},
		{"dense with rank 63", append([]byte{2}, bytes.Repeat([]byte{255}, 3072)...), "rank 63"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			s := sketchOf(device(1))
			err := s.UnmarshalBinary(test.bytes)
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("got error %v, want one with %q", err, test.want)
			}
			if !bytes.Equal(sketchBytes(s), sketchBytes(sketchOf(device(1)))) {
				t.Error("the sketch changed although the bytes were refused")
			}
		})
	}
}

func FuzzSketchUnmarshalBinary(f *testing.F) {
	for _, s := range goldenSketches() {
		f.Add(sketchBytes(s))
	}
	f.Add([]byte{})
	f.Add([]byte{1, 0, 0, 65, 0, 0, 66})
	f.Fuzz(func(t *testing.T, b []byte) {
		var s kpi.Sketch
		if s.UnmarshalBinary(b) != nil {
			return
		}
		if got := sketchBytes(&s); !bytes.Equal(got, b) {
			t.Errorf("read %x, wrote %x: not the one encoding", b, got)
		}
		s.Estimate()
		s.Add(device(1))
		s.Merge(sketchOf(device(2)))
	})
}

func BenchmarkSketchAdd(b *testing.B) {
	for name, n := range map[string]uint64{"50devices": 50, "500devices": 500, "50000devices": 50000} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			var s kpi.Sketch
			i := uint64(0)
			for b.Loop() {
				if i == n {
					s, i = kpi.Sketch{}, 0
				}
				s.Add(device(i))
				i++
			}
		})
	}
}

func BenchmarkSketchMergeDense(b *testing.B) {
	var x, y kpi.Sketch
	for i := range uint64(50000) {
		x.Add(device(i))
		y.Add(device(i * 3))
	}
	for b.Loop() {
		x.Merge(&y)
	}
}
