package archive

import (
	"math/bits"
	"sync"

	"github.com/apache/arrow/go/v15/arrow/memory"
)

// buffers is an allocator that gives freed memory out again, by powers of two.
// What it has given out and was never freed is the garbage collector's.
type buffers struct {
	mu   sync.Mutex
	free [32][][]byte // by the logarithm of their size; guarded by mu
}

// smallest is the size below which a buffer is not worth keeping, kept is how
// many of a size are.
const (
	smallest = 4 << 10
	kept     = 64
)

// Allocate gives cleared memory.
func (b *buffers) Allocate(size int) []byte {
	if size < smallest {
		return memory.DefaultAllocator.Allocate(size)
	}
	class := bits.Len(uint(size - 1))
	if class >= len(b.free) {
		return memory.DefaultAllocator.Allocate(size)
	}
	if old := b.take(class); old != nil {
		old = old[:size]
		clear(old)
		return old
	}
	return memory.DefaultAllocator.Allocate(1 << class)[:size]
}

func (b *buffers) take(class int) []byte {
	b.mu.Lock()
	defer b.mu.Unlock()
	last := len(b.free[class]) - 1
	if last < 0 {
		return nil
	}
	old := b.free[class][last]
	b.free[class] = b.free[class][:last]
	return old
}

// Reallocate gives as much memory with the same beginning.
func (b *buffers) Reallocate(size int, old []byte) []byte {
	if size <= cap(old) && cap(old) >= smallest {
		grown := old[:size]
		clear(grown[min(len(old), size):])
		return grown
	}
	grown := b.Allocate(size)
	copy(grown, old)
	b.Free(old)
	return grown
}

// Free takes memory back.
func (b *buffers) Free(old []byte) {
	size := cap(old)
	if size < smallest || size&(size-1) != 0 {
		return
	}
	class := bits.TrailingZeros(uint(size))
	if class >= len(b.free) {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.free[class]) < kept {
		b.free[class] = append(b.free[class], old)
	}
}
