package ingest

import (
	"encoding/json"
	"net/http"

	"fernweh/ingest/spool"
)

// A Reporter is told how the collector's parts fare: "collector partition 3" is
// limited while its events wait in the spool or are refused, "collector door" is
// down while nothing can be made durable.
type Reporter interface {
	Down(component string, why error)
	Limited(component string, why error)
	Up(component string)
}

// Parts besides partitions and dead letters: the log as a whole, until it is
// prepared, and the door, when no event is taken.
const (
	logComponent  = "log"
	doorComponent = "door"
)

func (c *Collector) down(part string, why error) {
	if c.cfg.Health != nil {
		c.cfg.Health.Down("collector "+part, why)
	}
}

func (c *Collector) limited(part string, why error) {
	if c.cfg.Health != nil {
		c.cfg.Health.Limited("collector "+part, why)
	}
}

func (c *Collector) up(part string) {
	if c.cfg.Health != nil {
		c.cfg.Health.Up("collector " + part)
	}
}

// A Waiting is a partition whose events are in the spool.
type Waiting struct {
	Partition int     `json:"partition"`
	Records   int64   `json:"records"`
	Oldest    float64 `json:"oldestSeconds"`
}

// A Health is how the collector is.
type Health struct {
	Status  string    `json:"status"` // ok, spooling, or refusing
	Records int64     `json:"spoolRecords"`
	Bytes   int64     `json:"spoolBytes"`
	Oldest  float64   `json:"spoolOldestSeconds"`
	Log     string    `json:"log,omitempty"` // why all events go to the spool; empty: they don't
	Waiting []Waiting `json:"waiting,omitempty"`
	Letters Letters   `json:"deadLetters"`
}

// Letters is how the dead letters are.
type Letters struct {
	Waiting int64 `json:"waiting"`
	Dropped int64 `json:"dropped"` // since the start
}

// Health says whether the door is open, and whether events reach the log.
func (c *Collector) Health() Health {
	st := c.stats()
	h := Health{
		Status: "ok", Records: st.Records, Bytes: st.Bytes, Oldest: st.Oldest.Seconds(),
		Letters: Letters{c.deadLane.stats().Records, c.dropped.Load()},
	}
	for p, l := range c.lanes {
		if own := l.stats(); own.Records > 0 {
			h.Waiting = append(h.Waiting, Waiting{p, own.Records, own.Oldest.Seconds()})
		}
	}
	if !c.prepared.Load() {
		h.Status, h.Log = "spooling", "the topics have not been checked yet"
		if err := c.unprepared.Load(); err != nil {
			h.Log = (*err).Error()
		}
	}
	switch {
	case c.refused.Load():
		h.Status = "refusing"
	case st.Records > 0:
		h.Status = "spooling"
	}
	return h
}

// stats are those of the events' spools together.
func (c *Collector) stats() (all spool.Stats) {
	all.Limit = c.cfg.Spool.MaxBytes
	for _, l := range c.lanes {
		st := l.stats()
		all.Records += st.Records
		all.Bytes += st.Bytes
		all.Oldest = max(all.Oldest, st.Oldest)
	}
	return all
}

// health answers how the collector is, to whoever asks.
func (c *Collector) health(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	json.NewEncoder(w).Encode(c.Health()) // the client is gone if this fails
}
