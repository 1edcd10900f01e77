package schemas

import (
	"encoding/json"
	"fmt"
	"slices"
)

// FoldVersion numbers the meaning of the fold. It goes up whenever the same log
// would give other states, and then every view is rebuilt from the archive.
const FoldVersion = 2

// Published says which generation readers take, and which are kept so that a
// lagging speed layer and a rollback have theirs. It is one cell, switched by
// compare-and-set. The zero value is a portal without a batch run: generation
// 0 is empty and its epoch begins with the log.
type Published struct {
	Current int64        `json:"current"`
	Kept    []Generation `json:"kept"` // descending by run; the current one is among them unless it is 0
	// Dropped says that generation 0, the empty one at the beginning of the log, is no
	// longer kept. Until then speed goes on with it, however late it is: nothing that it
	// would decide is gone at the first generations. A rebuild drops it at once.
	Dropped bool `json:"dropped,omitempty"`
}

// A Generation is what one batch run published.
type Generation struct {
	Run   int64   `json:"run"`
	Cuts  []int64 `json:"cuts"`  // by partition: the offset of the run's cut; what lies below it is in the generation
	At    int64   `json:"at"`    // when it was published, UTC microseconds
	Model string  `json:"model"` // id of the segment model in force; empty: none yet
	// Lineage is the runs, descending, whose cells stand where this one wrote none,
	// because nothing had changed since. It ends with one that wrote everything.
	// A failed or rolled-back run is in no lineage.
	Lineage []int64 `json:"lineage,omitempty"`

	// Kinds is how many kinds of events the program knew that made it. One that knows
	// others reads other records below the same cut, and so writes everything.
	Kinds int `json:"kinds,omitempty"`

	// CutTimes are when the cuts were appended, by partition, UTC microseconds: what came
	// before is in the generation. 0, or none at all: not known.
	CutTimes []int64 `json:"cutTimes,omitempty"`

	Control []ControlState `json:"control,omitempty"` // by partition: what is in force behind the cut
}

// Takes says whether a reader of the generation takes the cells of a run: of those
// that a row has, the youngest.
func (g Generation) Takes(run int64) bool {
	return run == g.Run && run > 0 || slices.Contains(g.Lineage, run)
}

// longestLineage is how many runs a lineage may have: the next one writes
// everything, so that what is kept for readers does not grow for ever.
const longestLineage = 15

// Child is the lineage of a run of this program that starts from the generation;
// nil: it writes everything.
func (g Generation) Child() []int64 {
	if g.Run == 0 || len(g.Lineage) >= longestLineage || g.Kinds != len(Kind_name) {
		return nil
	}
	return append([]int64{g.Run}, g.Lineage...)
}

// Generation finds a kept generation by its run. Generation 0 is kept until it is
// dropped.
func (p Published) Generation(run int64) (Generation, bool) {
	for _, g := range p.Kept {
		if g.Run == run {
			return g, true
		}
	}
	return Generation{}, run == 0 && !p.Dropped
}

// Oldest is the oldest kept generation; everything older may be deleted.
func (p Published) Oldest() Generation {
	if len(p.Kept) == 0 || !p.Dropped {
		return Generation{}
	}
	return p.Kept[len(p.Kept)-1]
}

// Base is the youngest kept generation that is not younger than the epoch: what
// speed works on there. ok is false where none is kept that old.
func (p Published) Base(epoch int64) (g Generation, ok bool) {
	for _, g := range p.Kept {
		if g.Run <= epoch {
			return g, true
		}
	}
	return Generation{}, !p.Dropped
}

// Cut is the offset below which the generation holds a partition's events.
func (g Generation) Cut(partition int32) int64 {
	if int(partition) >= len(g.Cuts) {
		return 0
	}
	return g.Cuts[partition]
}

// FoldedUntil is the time, in UTC microseconds, before which everything that had
// come in is in the generation, whatever its partition; 0: not known. An event of an
// earlier time that came in later is not.
func (g Generation) FoldedUntil() int64 {
	if len(g.CutTimes) == 0 {
		return 0
	}
	return slices.Min(g.CutTimes)
}

// ControlOf is what is in force in a partition behind the generation's cut.
func (g Generation) ControlOf(partition int32) ControlState {
	if int(partition) < len(g.Control) {
		return g.Control[partition]
	}
	return ControlState{Cut: g.Run}
}

// KeptGenerations is how many generations stay readable.
const KeptGenerations = 3

// With is p after the publication of g: g is current, and the youngest of the
// others stay kept.
func (p Published) With(g Generation) Published {
	kept := append([]Generation{g}, p.Kept...)
	dropped := p.Dropped || len(kept) > KeptGenerations
	return Published{Current: g.Run, Kept: kept[:min(len(kept), KeptGenerations)], Dropped: dropped}
}

// Without is p after a rollback to an older kept generation: the younger ones
// are no longer kept.
func (p Published) Without(to int64) (Published, error) {
	i := slices.IndexFunc(p.Kept, func(g Generation) bool { return g.Run == to })
	if i < 0 {
		return p, fmt.Errorf("roll back to generation %d: it is not kept; kept are %v", to, p.runs())
	}
	return Published{Current: to, Kept: p.Kept[i:], Dropped: p.Dropped}, nil
}

func (p Published) runs() []int64 {
	var runs []int64
	for _, g := range p.Kept {
		runs = append(runs, g.Run)
	}
	return runs
}

// A Position is how far speed is in a partition: every effect of the events
// below Offset is durable. Its cell is stamped with Offset.
type Position struct {
	Offset int64 `json:"offset"` // of the next event
	Epoch  int64 `json:"epoch"`  // the greatest cut below Offset
	At     int64 `json:"at"`     // when it was written, UTC microseconds, for a person
	Event  int64 `json:"event"`  // event time of the latest event below Offset, UTC microseconds

	Control   ControlState `json:"control,omitzero"`    // what is in force at Offset
	Misplaced Misplaced    `json:"misplaced,omitempty"` // events below Offset that lie in a wrong partition
}

// Misplaced counts the events that lie in another partition than their device's, by
// source: whoever writes them has to be told.
type Misplaced map[string]int64

// MaxSources is how many sources are told apart; the events of all others are
// OtherSources. A foreign producer must not make a position grow.
const (
	MaxSources   = 32
	OtherSources = "(others)"
)

// Add counts one more event of a source, and says under which name.
func (m *Misplaced) Add(source string) (counted string) {
	if *m == nil {
		*m = make(Misplaced)
	}
	if _, known := (*m)[source]; !known && len(*m) >= MaxSources {
		source = OtherSources
	}
	(*m)[source]++
	return source
}

// Origin names the log and the fold that the views were made from. A process
// that finds another one refuses to start.
type Origin struct {
	Topic      string `json:"topic"`       // the broker's id of the event topic
	Partitions int32  `json:"partitions"`  // of the event topic
	Fold       int    `json:"foldVersion"` // FoldVersion of the program that wrote
}

// A Link is the value of l:<device> in a person's row: whether the device has a
// unit under that login, as of the cell's stamp. It is the way to the device's
// row, which has the last word: a link to a unit that is not there means nothing.
type Link struct {
	Linked bool `json:"linked"`
}

// A Run is the record of one batch run.
type Run struct {
	Number     int64              `json:"number"`
	State      RunState           `json:"state"`
	Error      string             `json:"error,omitempty"`
	Started    int64              `json:"started"` // UTC microseconds
	Ended      int64              `json:"ended,omitempty"`
	Steps      []Step             `json:"steps"`
	Generation *Generation        `json:"generation,omitempty"` // what it published
	Metrics    map[string]float64 `json:"metrics,omitempty"`    // of the model, by name
	Settings   map[string]string  `json:"settings,omitempty"`   // seed, number of segments, ...
}

// RunState is where a run stands.
type RunState string

// States of a run.
const (
	RunRunning   RunState = "running"
	RunPublished RunState = "published"
	RunFailed    RunState = "failed"
)

// A Step is one job of a run.
type Step struct {
	Name    string  `json:"name"`
	Seconds float64 `json:"seconds"`
	Rows    int64   `json:"rows,omitempty"`
	Note    string  `json:"note,omitempty"`
}

// DecodeJSON reads the value of a cell that holds one of the records above;
// an empty value leaves the zero record.
func DecodeJSON[T any](value []byte) (v T, err error) {
	if len(value) == 0 {
		return v, nil
	}
	if err = json.Unmarshal(value, &v); err != nil {
		return v, fmt.Errorf("decode %T: %w", v, err)
	}
	return v, nil
}

// EncodeJSON is the value of a cell for one of the records above.
func EncodeJSON(v any) []byte {
	b, err := json.Marshal(v)
	if err != nil {
		panic(err) // records are plain structs: they always marshal
	}
	return b
}
