package index

import "github.com/prometheus/client_golang/prometheus"

// Metrics tell how the documents follow.
type Metrics struct {
	documents  *prometheus.CounterVec // by kind
	forgotten  prometheus.Counter
	restarts   prometheus.Counter
	generation prometheus.Gauge
	failed     prometheus.Gauge
}

// NewMetrics makes the metrics and registers them.
func NewMetrics(r prometheus.Registerer) *Metrics {
	m := &Metrics{
		documents: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "fernweh_index_documents_total", Help: "Documents written, by kind.",
		}, []string{"kind"}),
		forgotten: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "fernweh_index_erasures_total", Help: "Erasures that the documents have followed.",
		}),
		restarts: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "fernweh_index_restarts_total", Help: "Times that reading the decisions began again after a failure.",
		}),
		generation: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "fernweh_index_generation", Help: "Generation that search and dashboards find.",
		}),
		failed: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "fernweh_index_generation_failing", Help: "1 while the published generation cannot be brought to the documents.",
		}),
	}
	r.MustRegister(m.documents, m.forgotten, m.restarts, m.generation, m.failed)
	return m
}
