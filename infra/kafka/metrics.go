package kafka

import (
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// Metrics is what the clients of the log tell Prometheus.
type Metrics struct {
	appends    *prometheus.HistogramVec // seconds, by topic and outcome
	inFlight   prometheus.Gauge
	lines      prometheus.Counter
	lag        *prometheus.GaugeVec // by reader and partition
	rebalances *prometheus.CounterVec
	troubles   *prometheus.CounterVec
	unreadable *prometheus.CounterVec
	restarts   *prometheus.CounterVec
	panics     *prometheus.CounterVec
}

// NewMetrics registers the metrics of the log's clients; nil registers nothing.
// One is for all clients of a process.
func NewMetrics(r prometheus.Registerer) *Metrics {
	count := func(name, help string, labels ...string) *prometheus.CounterVec {
		return prometheus.NewCounterVec(prometheus.CounterOpts{Name: name, Help: help}, labels)
	}
	m := &Metrics{
		appends: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "fernweh_log_append_seconds", Help: "Time until all of an append was acknowledged, or was given up.",
			Buckets: prometheus.ExponentialBuckets(0.0005, 2, 17),
		}, []string{"topic", "outcome"}),
		inFlight: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "fernweh_log_in_flight_bytes", Help: "Bytes that wait for their acknowledgement.",
		}),
		lines: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "fernweh_log_connects_total", Help: "Times that a producer began anew, with a producer id of its own.",
		}),
		lag: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "fernweh_log_lag", Help: "Records of a partition that its reader has yet to handle.",
		}, []string{"reader", "partition"}),
		rebalances: count("fernweh_log_rebalances_total", "Times that a reader was given its partitions.", "reader"),
		troubles:   count("fernweh_log_reader_errors_total", "Errors that reading has survived.", "reader"),
		unreadable: count("fernweh_log_unreadable_total", "Records that every reader leaves out.", "topic"),
		restarts:   count("fernweh_log_partition_restarts_total", "Times that a partition failed and was opened anew.", "reader"),
		panics:     count("fernweh_log_panics_total", "Panics that were borne as the trouble of one partition.", "reader"),
	}
	if r != nil {
		r.MustRegister(m.appends, m.inFlight, m.lines, m.lag, m.rebalances, m.troubles, m.unreadable, m.restarts, m.panics)
	}
	return m
}

// appended notes an append that began at a time and ended with err.
func (m *Metrics) appended(topic string, began time.Time, err error) {
	outcome := "ok"
	if err != nil {
		outcome = "error"
	}
	m.appends.WithLabelValues(topic, outcome).Observe(time.Since(began).Seconds())
}

// lagOf is the gauge of one partition of a reader.
func (m *Metrics) lagOf(reader string, partition int32) prometheus.Gauge {
	return m.lag.WithLabelValues(reader, strconv.Itoa(int(partition)))
}

// forget takes away the lag of a partition that is another's from now on.
func (m *Metrics) forget(reader string, partition int32) {
	m.lag.DeleteLabelValues(reader, strconv.Itoa(int(partition)))
}
