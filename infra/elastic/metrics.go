package elastic

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// metrics is what the adapter tells Prometheus.
type metrics struct {
	seconds *prometheus.HistogramVec
	errors  *prometheus.CounterVec
	retries *prometheus.CounterVec
	items   *prometheus.CounterVec
	queue   prometheus.Gauge
}

// Outcomes of one document of a bulk request.
const (
	outcomeWritten = "written"
	outcomeDeleted = "deleted"
	outcomeOlder   = "older"   // a higher version was there
	outcomeMissing = "missing" // nothing was there to be deleted
	outcomeRefused = "refused"
	outcomeRetried = "retried"
)

// newMetrics makes the metrics and registers them, unless r is nil.
func newMetrics(r prometheus.Registerer) (*metrics, error) {
	m := &metrics{
		seconds: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "fernweh_elastic_request_seconds", Help: "Time of one request to Elasticsearch, by operation.",
			Buckets: prometheus.ExponentialBuckets(0.001, 2, 14),
		}, []string{"operation"}),
		errors: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "fernweh_elastic_errors_total", Help: "Requests to Elasticsearch that failed, by operation.",
		}, []string{"operation"}),
		retries: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "fernweh_elastic_retries_total", Help: "Requests to Elasticsearch that were sent again, by operation.",
		}, []string{"operation"}),
		items: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "fernweh_elastic_documents_total", Help: "Documents sent to Elasticsearch, by what became of them.",
		}, []string{"outcome"}),
		queue: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "fernweh_elastic_queue_documents", Help: "Documents that callers wait for to be written or deleted.",
		}),
	}
	if r == nil {
		return m, nil
	}
	for _, c := range []prometheus.Collector{m.seconds, m.errors, m.retries, m.items, m.queue} {
		if err := r.Register(c); err != nil {
			return nil, err
		}
	}
	return m, nil
}

// request notes one request.
func (m *metrics) request(operation string, took time.Duration, err error) {
	m.seconds.WithLabelValues(operation).Observe(took.Seconds())
	if err != nil {
		m.errors.WithLabelValues(operation).Inc()
	}
}

// item notes what became of documents.
func (m *metrics) item(outcome string, n int) {
	if n > 0 {
		m.items.WithLabelValues(outcome).Add(float64(n))
	}
}
