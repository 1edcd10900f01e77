package speed

import (
	"strconv"
	"time"

	"fernweh/model/visitor"

	"github.com/prometheus/client_golang/prometheus"
)

// Metrics is what the speed layer tells Prometheus.
type Metrics struct {
	events   *prometheus.CounterVec
	flushes  prometheus.Histogram
	position *prometheus.GaugeVec
	visitors *prometheus.GaugeVec
	restarts prometheus.Counter
	refusals prometheus.Counter
	misses   prometheus.Counter
	strays   *prometheus.CounterVec
	passed   *prometheus.CounterVec
}

// NewMetrics registers the metrics of the speed layer.
func NewMetrics(r prometheus.Registerer) *Metrics {
	m := &Metrics{
		events: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "fernweh_speed_events_total", Help: "Events folded, by what the filter said of them.",
		}, []string{"verdict"}),
		flushes: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "fernweh_speed_flush_seconds", Help: "Time to make a batch of events durable in the view store.",
			Buckets: prometheus.ExponentialBuckets(0.001, 2, 14),
		}),
		position: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "fernweh_speed_position", Help: "Offset below which every effect is durable.",
		}, []string{"partition"}),
		visitors: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "fernweh_speed_visitors", Help: "Devices held in memory.",
		}, []string{"partition"}),
		restarts: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "fernweh_speed_restarts_total", Help: "Times that the layer began again from its stored positions.",
		}),
		refusals: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "fernweh_speed_models_refused_total", Help: "Models that could not be read or failed their self-check.",
		}),
		misses: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "fernweh_speed_degraded_total", Help: "Events that the segment model had no answer for.",
		}),
		passed: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "fernweh_speed_passed_total", Help: "Offsets gone past undecided behind a cut: what they would have triggered may not fire.",
		}, []string{"partition"}),
	}
	m.strays = prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "fernweh_speed_misplaced_total", Help: "Events left out because they lie in another partition than their device's.",
	}, []string{"source"})
	r.MustRegister(m.strays, m.events, m.flushes, m.position, m.visitors, m.restarts, m.refusals, m.misses, m.passed)
	return m
}

func (m *Metrics) event(v visitor.Verdict) { m.events.WithLabelValues(v.String()).Inc() }

func (m *Metrics) flushed(partition int32, position int64, visitors int, took time.Duration) {
	p := strconv.Itoa(int(partition))
	m.flushes.Observe(took.Seconds())
	m.position.WithLabelValues(p).Set(float64(position))
	m.visitors.WithLabelValues(p).Set(float64(visitors))
}

func (m *Metrics) misplaced(source string) { m.strays.WithLabelValues(source).Inc() }
func (m *Metrics) restarted()              { m.restarts.Inc() }
func (m *Metrics) refused()                { m.refusals.Inc() }
func (m *Metrics) degraded()               { m.misses.Inc() }

func (m *Metrics) fellBack(partition int32, offsets int64) {
	m.passed.WithLabelValues(strconv.Itoa(int(partition))).Add(float64(offsets))
}
