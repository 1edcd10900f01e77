package segment

import (
	"fmt"
	"strings"
)

// Bounds of a call's structure. Memory and time of the mapping, and of whoever
// reads the properties later, grow with it, and bytes say little about it: 256 KiB
// hold 40,000 members.
const (
	MaxMembers = 4096 // of a call at all depths: members of objects, elements of arrays
	MaxDepth   = 32   // objects and arrays around one value
	MaxAround  = 512  // members around the calls of a batch, at all depths
)

// A StructureError says that what stands around the calls of a batch has too
// much structure.
type StructureError struct{ Members int }

// Error says by how much.
func (e *StructureError) Error() string {
	return fmt.Sprintf("body has %d members around its calls, at most %d are taken", e.Members, MaxAround)
}

// A shape is how much structure a value has.
type shape struct{ members, depth int }

// check says what is too much for a call.
func (s shape) check() error {
	switch {
	case s.members > MaxMembers:
		return fmt.Errorf("call has %d members and elements, at most %d are taken", s.members, MaxMembers)
	case s.depth > MaxDepth:
		return fmt.Errorf("call is nested %d deep, at most %d are taken", s.depth, MaxDepth)
	}
	return nil
}

// simple says that v is within the bounds of a call by its bytes alone, whatever
// of them stands in text: so it is for nearly every call, at a fraction of the time.
func (v value) simple() bool {
	opening := strings.Count(string(v), "{") + strings.Count(string(v), "[")
	return opening <= MaxDepth && opening+strings.Count(string(v), ",") <= MaxMembers
}

// shape counts what is in v.
func (v value) shape() (sh shape) {
	s, depth := string(v), 0
	for i := 0; i < len(s); i++ {
		switch s[i] {
		case '"':
			i = skipString(s, i) - 1
		case '{', '[':
			depth++
			sh.depth = max(sh.depth, depth)
			if c := s[skipSpace(s, i+1)]; c != '}' && c != ']' {
				sh.members++
			}
		case '}', ']':
			depth--
		case ',':
			sh.members++
		}
	}
	return sh
}
