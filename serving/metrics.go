package serving

import (
	"fmt"
	"net/http"
	"strconv"
	"time"

	"github.com/go-chi/chi/v5"
	"github.com/go-chi/chi/v5/middleware"
	"github.com/prometheus/client_golang/prometheus"
)

// metrics are the latencies by route, and on each scrape what the watcher saw.
type metrics struct {
	seconds *prometheus.HistogramVec
	refused *prometheus.CounterVec
	watcher *watcher

	generation, age, lag, ready *prometheus.Desc
}

func newMetrics(r prometheus.Registerer, w *watcher) (*metrics, error) {
	desc := func(name, help string, labels ...string) *prometheus.Desc {
		return prometheus.NewDesc("fernweh_serving_"+name, help, labels, nil)
	}
	m := &metrics{
		watcher: w,
		seconds: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "fernweh_serving_request_seconds", Help: "Time of an answer, waiting for speed included.",
			Buckets: prometheus.ExponentialBuckets(0.00025, 2, 16), // to 8 s
		}, []string{"route", "method", "code"}),
		refused: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "fernweh_serving_refused_total", Help: "Requests turned away, and acts whose end could not be kept, by reason.",
		}, []string{"reason"}),
		generation: desc("generation", "Batch run that answers are based on."),
		age:        desc("age_seconds", "Time since what is answered of a partition last grew.", "partition"),
		lag:        desc("lag_records", "Records of a partition that answers do not hold yet.", "partition"),
		ready:      desc("ready", "1 if questions can be answered."),
	}
	for _, c := range []prometheus.Collector{m.seconds, m.refused, m} {
		if err := r.Register(c); err != nil {
			return nil, fmt.Errorf("register metrics of serving: %w", err)
		}
	}
	return m, nil
}

// Describe names what Collect gives.
func (m *metrics) Describe(out chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{m.generation, m.age, m.lag, m.ready} {
		out <- d
	}
}

// Collect gives what the watcher saw last.
func (m *metrics) Collect(out chan<- prometheus.Metric) {
	gauge := func(d *prometheus.Desc, v float64, labels ...string) {
		out <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, labels...)
	}
	up := 0.0
	if m.watcher.ready() == nil {
		up = 1
	}
	gauge(m.ready, up)
	s := m.watcher.seen.Load()
	if s == nil {
		return
	}
	gauge(m.generation, float64(s.Published.Current))
	for p := range m.watcher.partitions {
		label := strconv.Itoa(int(p))
		if a := age(m.watcher.now(), grown(s.Horizon, p)); a != nil {
			gauge(m.age, *a, label)
		}
		if lag, ok := m.watcher.lag(s.Horizon, p); ok {
			gauge(m.lag, float64(lag), label)
		}
	}
}

// observe times every request by its route, never by its path: there are as many
// paths as visitors.
func (m *metrics) observe(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		start := time.Now() // a duration, not a time of the domain
		wrapped := middleware.NewWrapResponseWriter(w, r.ProtoMajor)
		next.ServeHTTP(wrapped, r)
		route := chi.RouteContext(r.Context()).RoutePattern()
		status := max(wrapped.Status(), http.StatusOK)
		method := r.Method
		if method != http.MethodGet && method != http.MethodPost {
			method = "other" // a client may send any word
		}
		m.seconds.WithLabelValues(route, method, strconv.Itoa(status)).Observe(time.Since(start).Seconds())
	})
}
