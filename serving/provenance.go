package serving

import (
	"time"
)

// State says who has counted a number.
type State string

// States of a number.
const (
	Live  State = "live"  // speed has a part in it
	Exact State = "exact" // batch alone has counted it, up to the cut that is named
)

func stateOf(live bool) State {
	if live {
		return Live
	}
	return Exact
}

// state says whether speed has a part in the view; before the first generation
// nothing is exact.
func (v *VisitorView) state() State { return stateOf(len(v.Epochs) > 0 || v.Generation.Run == 0) }

// Provenance says which prefix of one partition an answer is the fold of.
type Provenance struct {
	State      State    `json:"state"`
	Generation int64    `json:"generation" doc:"batch run that the answer is based on; 0: none yet"`
	Epochs     []int64  `json:"epochs" doc:"of the speed cells that were merged with it"`
	Partition  int32    `json:"partition"`
	Cut        int64    `json:"cut" doc:"the generation holds every event below this offset"`
	Speed      int64    `json:"speed" doc:"speed has written every event below this offset"`
	SpeedEpoch int64    `json:"speedEpoch" doc:"if below the generation, speed lags behind the cut"`
	Through    int64    `json:"through" doc:"the answer holds every event below this offset"`
	Until      int64    `json:"until" doc:"and none from this offset on: that of a device is the fold of exactly what lies below through"`
	Age        *float64 `json:"ageSeconds,omitempty" doc:"since the prefix last grew; missing: never yet"`
	Behind     *int64   `json:"behind,omitempty" doc:"records that the answer does not hold; missing: unknown"`
}

// provenance is that of a partition within a horizon; through may be further.
func (w *watcher) provenance(h Horizon, partition int32, through int64) Provenance {
	g, _ := h.generation()
	at := h.Positions[partition]
	p := Provenance{
		Generation: g.Run, Epochs: []int64{}, Partition: partition, Cut: g.Cut(partition),
		Speed: at.Offset, SpeedEpoch: at.Epoch, Through: through, Until: through, Age: age(w.now(), grown(h, partition)),
	}
	if ends := w.ends.Load(); ends != nil {
		behind := max(0, (*ends)[partition]-through)
		p.Behind = &behind
	}
	return p
}

// grown is when the horizon of a partition last moved, UTC microseconds.
func grown(h Horizon, partition int32) int64 {
	if at := h.Positions[partition]; at.Epoch >= h.Published.Current {
		return at.At
	}
	g, _ := h.generation()
	return g.At
}

func age(now time.Time, at int64) *float64 {
	if at == 0 {
		return nil
	}
	seconds := max(0, now.Sub(micros(at)).Seconds())
	return &seconds
}

// of is the provenance of a visitor's view.
func (w *watcher) of(v *VisitorView) Provenance {
	p := w.provenance(v.Horizon, v.Partition, v.Through)
	p.State = v.state()
	p.Epochs = append(p.Epochs, v.Epochs...)
	return p
}

// Coverage names the prefix of the log that bounds every number of an answer: each
// holds, of each partition, all below through and nothing from until on.
type Coverage struct {
	Generation int64        `json:"generation" doc:"batch run that the numbers are based on; 0: none yet"`
	ExactUntil *time.Time   `json:"exactUntil,omitempty" doc:"what had come in by then is in the generation: a window that ended by then is exact, but for events that came in later; missing: not known"`
	Partitions []Provenance `json:"partitions"`
	Age        *float64     `json:"ageSeconds,omitempty" doc:"of the partition that moved last"`
	Behind     *int64       `json:"behind,omitempty" doc:"records that the numbers do not hold; missing: unknown"`
}

// coverage is that of all partitions within a horizon.
func (w *watcher) coverage(h Horizon) Coverage {
	c := Coverage{Generation: h.Published.Current}
	var latest, behind int64
	for p := range int32(len(h.Positions)) {
		one := w.provenance(h, p, h.Through(p))
		one.State = stateOf(one.Through > one.Cut+1 || c.Generation == 0) // the cut itself is no event
		c.Partitions = append(c.Partitions, one)
		latest = max(latest, grown(h, p))
		if one.Behind != nil {
			behind += *one.Behind
			c.Behind = &behind
		}
	}
	c.Age = age(w.now(), latest)
	if g, _ := h.generation(); g.FoldedUntil() > 0 {
		until := micros(g.FoldedUntil())
		c.ExactUntil = &until
	}
	return c
}

// coverageOf is that of a window: what its panes held already when they were read
// may go beyond the horizon.
func (w *watcher) coverageOf(v *WindowView) Coverage {
	c := w.coverage(v.Horizon)
	for p := range c.Partitions {
		c.Partitions[p].Until = v.Until[p]
	}
	return c
}
