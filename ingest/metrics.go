package ingest

import (
	"errors"

	"github.com/prometheus/client_golang/prometheus"

	"fernweh/ingest/spool"
)

// metrics are what an operator watches the door by.
type metrics struct {
	events   *prometheus.CounterVec   // by verdict
	requests *prometheus.HistogramVec // seconds, by status
	appends  *prometheus.HistogramVec // seconds, by outcome
	retries  prometheus.Counter       // requests that a client sent again
	drains   *prometheus.CounterVec   // attempts to drain, by outcome
	unread   *prometheus.CounterVec   // by field of the protocol and source: both are few
}

func newMetrics(r prometheus.Registerer, c *Collector) (*metrics, error) {
	seconds := func(name, help, label string) *prometheus.HistogramVec {
		return prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: name, Help: help, Buckets: prometheus.ExponentialBuckets(0.0005, 2, 15),
		}, []string{label})
	}
	count := func(name, help string, labels ...string) *prometheus.CounterVec {
		return prometheus.NewCounterVec(prometheus.CounterOpts{Name: name, Help: help}, labels)
	}
	m := &metrics{
		events:   count("fernweh_ingest_events_total", "Calls by verdict.", "verdict"),
		requests: seconds("fernweh_ingest_request_seconds", "Time to answer a request, by status.", "status"),
		appends:  seconds("fernweh_ingest_append_seconds", "Time of an append to the log, by outcome.", "outcome"),
		retries: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "fernweh_ingest_client_retries_total", Help: "Requests that clients say they send again.",
		}),
		drains: count("fernweh_ingest_drains_total", "Batches of the spool, by outcome.", "outcome"),
		unread: count("fernweh_ingest_unread_total", "Members of calls that their field could not hold, by field and source.",
			"field", "source"),
	}
	if r == nil {
		return m, nil
	}
	var errs []error
	for _, m := range append([]prometheus.Collector{m.events, m.requests, m.appends, m.retries, m.drains, m.unread},
		append(spoolGauges(c), heldBytes("known", c.memory), heldBytes("none", c.keyless))...) {
		errs = append(errs, r.Register(m))
	}
	return m, errors.Join(errs...)
}

// heldBytes is what requests hold, those with a known key or those without.
func heldBytes(key string, m *memory) prometheus.Collector {
	return prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "fernweh_ingest_held_bytes", Help: "Bytes that requests hold, by whether a known write key stands before the body.",
		ConstLabels: prometheus.Labels{"key": key},
	}, func() float64 { return float64(m.holds()) })
}

func spoolGauges(c *Collector) []prometheus.Collector {
	gauge := func(name, help string, value func(spool.Stats) float64) prometheus.Collector {
		return prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "fernweh_ingest_spool_" + name, Help: help},
			func() float64 { return value(c.stats()) })
	}
	return []prometheus.Collector{
		gauge("bytes", "Bytes of the spool on disk.", func(st spool.Stats) float64 { return float64(st.Bytes) }),
		gauge("limit_bytes", "Bytes of disk that the spool may take.", func(st spool.Stats) float64 { return float64(st.Limit) }),
		gauge("records", "Events in the spool.", func(st spool.Stats) float64 { return float64(st.Records) }),
		gauge("oldest_seconds", "Age of what is at the head of the spool.",
			func(st spool.Stats) float64 { return st.Oldest.Seconds() }),
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "fernweh_ingest_spooling_partitions", Help: "Partitions whose events are in the spool.",
		}, func() float64 { return float64(len(c.Health().Waiting)) }),
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "fernweh_ingest_letters_waiting", Help: "Dead letters in the spool.",
		}, func() float64 { return float64(c.deadLane.stats().Records) }),
		prometheus.NewCounterFunc(prometheus.CounterOpts{
			Name: "fernweh_ingest_letters_dropped_total", Help: "Dead letters that neither their topic nor their spool took.",
		}, func() float64 { return float64(c.dropped.Load()) }),
	}
}

// outcome is the label of what has or hasn't worked.
func outcome(err error) string {
	if err != nil {
		return "error"
	}
	return "ok"
}
