package archive

import "github.com/apache/arrow/go/v15/arrow/memory"

// NewBuffers is the allocator of a scanner, for its test.
func NewBuffers() memory.Allocator { return new(buffers) }
