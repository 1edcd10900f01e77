package kpi

import (
	"fmt"
	"math"
	"math/bits"
	"slices"
)

// A Sketch counts distinct devices without keeping them: a HyperLogLog of 4,096
// registers, whose estimate has a standard error of 1.04/sqrt(4096) = 1.6%.
//
// It is a commutative and idempotent monoid: the zero value is empty, Add takes
// hashes in any order and as often as they come, Merge unites, and the bytes
// follow from the registers alone. While at most 512 registers are set (about
// 550 devices) it keeps only those, four bytes each; above, it takes 4 KiB.
// An assignment shares the registers: to copy a sketch, Merge it into an empty one.
type Sketch struct {
	few []entry           // ascending by register; unused once all is set
	all *[registers]uint8 // rank by register, 0: not set; nil while few registers are set
}

const (
	registerBits = 12 // of a hash that choose the register
	registers    = 1 << registerBits
	rankBits     = 64 - registerBits // of a hash that the rank is taken from
	maxRank      = rankBits + 1
	maxFew       = 512 // registers; a sketch with more of them set is dense
)

// An entry is one register that is set: its number, then six bits of rank.
type entry uint32

const entryRankBits = 6

func (e entry) register() uint32 { return uint32(e >> entryRankBits) }
func (e entry) rank() uint8      { return uint8(e & (1<<entryRankBits - 1)) }

// Add counts the device with this hash. All 64 bits must be well mixed, as
// xxhash leaves them: the first 12 choose the register, the zeros after them
// are its rank.
func (s *Sketch) Add(hash uint64) {
	rank := min(bits.LeadingZeros64(hash<<registerBits)+1, maxRank)
	s.raise(entry(hash>>rankBits<<entryRankBits | uint64(rank)))
}

// Merge makes s the union of both; o stays as it is.
func (s *Sketch) Merge(o *Sketch) {
	if o.all == nil {
		for _, e := range o.few {
			s.raise(e)
		}
		return
	}
	s.densify()
	for i, rank := range o.all {
		s.all[i] = max(s.all[i], rank)
	}
}

// Empty says that nothing was added.
func (s *Sketch) Empty() bool { return s.all == nil && len(s.few) == 0 }

// raise lifts a register to at least the entry's rank.
func (s *Sketch) raise(e entry) {
	if s.all != nil {
		r := &s.all[e.register()]
		*r = max(*r, e.rank())
		return
	}
	i, _ := slices.BinarySearch(s.few, e&^(1<<entryRankBits-1)) // no entry has rank 0
	if i < len(s.few) && s.few[i].register() == e.register() {
		s.few[i] = max(s.few[i], e)
		return
	}
	s.few = slices.Insert(s.few, i, e)
	if len(s.few) > maxFew {
		s.densify()
	}
}

func (s *Sketch) densify() {
	if s.all != nil {
		return
	}
	s.all = new([registers]uint8)
	for _, e := range s.few {
		s.all[e.register()] = e.rank()
	}
	s.few = nil
}

// Estimate is the number of distinct hashes added, by the improved estimator of
// Otmar Ertl, "New cardinality estimation algorithms for HyperLogLog sketches",
// 2017, arXiv:1702.01284, algorithm 6. It needs no tables and no switch between
// ranges, and has no bias worth naming from zero to the end.
func (s *Sketch) Estimate() uint64 {
	const m = registers
	counts := s.counts()
	z := m * tau(1-counts[maxRank]/m)
	for rank := maxRank - 1; rank > 0; rank-- {
		z = (z + counts[rank]) / 2
	}
	z += m * sigma(counts[0]/m)
	n := math.Round(m * m / (2 * math.Ln2 * z))
	if n >= math.MaxUint64 {
		return math.MaxUint64 // every register is full
	}
	return uint64(n)
}

// counts is how many registers have each rank.
func (s *Sketch) counts() (counts [maxRank + 1]float64) {
	if s.all != nil {
		for _, rank := range s.all {
			counts[rank]++
		}
		return counts
	}
	counts[0] = float64(registers - len(s.few))
	for _, e := range s.few {
		counts[e.rank()]++
	}
	return counts
}

// sigma is x + the sum of x^(2^k) 2^(k-1) over k from 1: what the registers that
// are not set say.
func sigma(x float64) float64 {
	if x == 1 {
		return math.Inf(1)
	}
	sum, weight := x, 1.0
	for last := math.NaN(); sum != last; weight *= 2 {
		last = sum
		x *= x
		sum += x * weight
	}
	return sum
}

// tau is a third of 1 - x - the sum of (1 - x^(2^-k))² 2^-k over k from 1: what
// the registers that are full say.
func tau(x float64) float64 {
	if x == 0 || x == 1 {
		return 0
	}
	sum, weight := 1-x, 0.5
	for last := math.NaN(); sum != last; weight /= 2 {
		last = sum
		x = math.Sqrt(x)
		sum -= (1 - x) * (1 - x) * weight
	}
	return sum / 3
}

// First bytes of an encoded sketch.
const (
	sketchFew = 1 // then three bytes, big endian, for each register that is set: its number, six bits of rank
	sketchAll = 2 // then all ranks, six bits each
)

const (
	entryBytes = 3
	denseBytes = registers * entryRankBits / 8
)

// AppendBinary appends the one encoding of the sketch's registers, as
// docs/formats/sketch.md draws it. Sketches that counted the same devices have
// the same bytes. The error is always nil.
func (s *Sketch) AppendBinary(b []byte) ([]byte, error) {
	if s.all == nil {
		b = append(b, sketchFew)
		for _, e := range s.few {
			b = append(b, byte(e>>16), byte(e>>8), byte(e))
		}
		return b, nil
	}
	b = append(b, sketchAll)
	for i := 0; i < registers; i += 4 {
		four := uint32(s.all[i])<<18 | uint32(s.all[i+1])<<12 | uint32(s.all[i+2])<<6 | uint32(s.all[i+3])
		b = append(b, byte(four>>16), byte(four>>8), byte(four))
	}
	return b, nil
}

// UnmarshalBinary reads what AppendBinary wrote and nothing else; on an error s
// stays as it is. It keeps nothing of b.
func (s *Sketch) UnmarshalBinary(b []byte) error {
	if len(b) == 0 {
		return fmt.Errorf("decode sketch: no bytes")
	}
	var decoded Sketch
	var err error
	switch b[0] {
	case sketchFew:
		err = decoded.readFew(b[1:])
	case sketchAll:
		err = decoded.readAll(b[1:])
	default:
		err = fmt.Errorf("unknown form %d", b[0])
	}
	if err != nil {
		return fmt.Errorf("decode sketch: %w", err)
	}
	*s = decoded
	return nil
}

func (s *Sketch) readFew(b []byte) error {
	n := len(b) / entryBytes
	if len(b)%entryBytes != 0 || n > maxFew {
		return fmt.Errorf("%d bytes are not 0 to %d entries of %d", len(b), maxFew, entryBytes)
	}
	if n == 0 {
		return nil
	}
	s.few = make([]entry, n)
	for i := range s.few {
		e := entry(b[3*i])<<16 | entry(b[3*i+1])<<8 | entry(b[3*i+2])
		if e.register() >= registers || e.rank() == 0 || e.rank() > maxRank {
			return fmt.Errorf("entry %d has register %d, rank %d", i, e.register(), e.rank())
		}
		if i > 0 && s.few[i-1].register() >= e.register() {
			return fmt.Errorf("entry %d has register %d after %d", i, e.register(), s.few[i-1].register())
		}
		s.few[i] = e
	}
	return nil
}

func (s *Sketch) readAll(b []byte) error {
	if len(b) != denseBytes {
		return fmt.Errorf("%d bytes, want %d", len(b), denseBytes)
	}
	s.all = new([registers]uint8)
	set := 0
	for i := range s.all {
		three := b[i/4*3 : i/4*3+3]
		four := uint32(three[0])<<16 | uint32(three[1])<<8 | uint32(three[2])
		rank := uint8(four >> (18 - 6*(i%4)) & (1<<entryRankBits - 1))
		if rank > maxRank {
			return fmt.Errorf("register %d has rank %d", i, rank)
		}
		if rank > 0 {
			set++
		}
		s.all[i] = rank
	}
	if set <= maxFew {
		return fmt.Errorf("%d registers are set, want more than %d in this form", set, maxFew)
	}
	return nil
}
