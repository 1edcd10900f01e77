package visitor

// Limits are the sizes above which a device's state keeps less. They are part of
// the fold's meaning: whoever folds, merges or reads one log uses the same. The
// zero value is what a portal runs with; other values are for tests, which reach
// each limit with a few events.
type Limits struct {
	Remembered int    // accepted ids that the filter knows; 0: Remembered
	Cap        uint64 // events above which a history keeps its counters only; 0: Cap
}

// Remembered is how many accepted ids of a device the filter knows. A duplicate
// that comes after more than these is counted again; the price of a filter of
// at most 2 KiB a device that never forgets at a cut.
const Remembered = 256

// Cap is the number of events above which a history keeps its counters only:
// no traveller comes near it, and a crawler must not grow without bound. The
// rule looks at the total alone, so that it holds in any order of Add and Merge.
const Cap = 10_000

func (l Limits) remembered() int {
	if l.Remembered == 0 {
		return Remembered
	}
	return l.Remembered
}

func (l Limits) cap() uint64 {
	if l.Cap == 0 {
		return Cap
	}
	return l.Cap
}
