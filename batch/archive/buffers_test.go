package archive_test

import (
	"testing"

	"fernweh/batch/archive"

	"pgregory.net/rapid"
)

// TestBuffersKeepWhatTheyHold: memory that is in use keeps its bytes whatever is
// given back and out again meanwhile, and new memory is clear.
func TestBuffersKeepWhatTheyHold(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		b := archive.NewBuffers()
		type held struct {
			bytes []byte
			mark  byte
		}
		var live []held
		mark := func(bytes []byte, from int, m byte) {
			for i := range bytes {
				want := byte(0)
				if i < from {
					want = m
				}
				if bytes[i] != want {
					t.Fatalf("byte %d of %d is %d, want %d: clear behind the first %d", i, len(bytes), bytes[i], want, from)
				}
				bytes[i] = m
			}
		}
		for step := range rapid.IntRange(1, 60).Draw(t, "steps") {
			m := byte(step + 1)
			size := rapid.IntRange(1, 40_000).Draw(t, "size")
			if len(live) == 0 || rapid.Bool().Draw(t, "more") {
				bytes := b.Allocate(size)
				if len(bytes) != size {
					t.Fatalf("%d bytes of %d asked for", len(bytes), size)
				}
				mark(bytes, 0, m)
				live = append(live, held{bytes, m})
				continue
			}
			i := rapid.IntRange(0, len(live)-1).Draw(t, "which")
			h := live[i]
			if rapid.Bool().Draw(t, "grow") {
				old := len(h.bytes)
				h.bytes = b.Reallocate(size, h.bytes)
				mark(h.bytes, min(old, size), h.mark)
				live[i] = h
				continue
			}
			for at, x := range h.bytes {
				if x != h.mark {
					t.Fatalf("byte %d is %d, want %d: somebody else wrote there", at, x, h.mark)
				}
			}
			b.Free(h.bytes)
			live = append(live[:i], live[i+1:]...)
		}
	})
}
