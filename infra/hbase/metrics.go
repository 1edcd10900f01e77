package hbase

import (
	"errors"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// metrics is what the views tell Prometheus.
type metrics struct {
	get, put, remove, scan, swap operation
	inFlight                     prometheus.Gauge
	renewed                      prometheus.Counter
}

// An operation is what is told of one of the calls.
type operation struct {
	took   prometheus.Observer
	failed prometheus.Counter
	again  prometheus.Counter
}

// newMetrics registers the metrics with r, or nowhere. Views that are opened
// later, in the same process, go on with those that are there.
func newMetrics(r prometheus.Registerer) *metrics {
	took := register(r, prometheus.NewHistogramVec(prometheus.HistogramOpts{
		Name: "fernweh_hbase_seconds", Help: "Time of a call of the view store, with all its attempts and what it waited for.",
		Buckets: prometheus.ExponentialBuckets(0.0005, 2, 18),
	}, []string{"operation"}))
	failed := register(r, prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "fernweh_hbase_errors_total", Help: "Calls of the view store that ended in an error.",
	}, []string{"operation"}))
	again := register(r, prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "fernweh_hbase_retries_total", Help: "Attempts that failed and were made again, a row or a page each.",
	}, []string{"operation"}))
	of := func(name string) operation {
		return operation{took.WithLabelValues(name), failed.WithLabelValues(name), again.WithLabelValues(name)}
	}
	return &metrics{
		get: of("get"), put: of("put"), remove: of("delete"), scan: of("scan"), swap: of("swap"),
		inFlight: register(r, prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "fernweh_hbase_in_flight", Help: "Rows and pages under way.",
		})),
		renewed: register(r, prometheus.NewCounter(prometheus.CounterOpts{
			Name: "fernweh_hbase_connections_renewed_total", Help: "Times that the client was replaced because it had no answers and the server had.",
		})),
	}
}

// register gives c to r, or finds what has its place there.
func register[C prometheus.Collector](r prometheus.Registerer, c C) C {
	if r == nil {
		return c
	}
	err := r.Register(c)
	var there prometheus.AlreadyRegisteredError
	if errors.As(err, &there) {
		if c, ok := there.ExistingCollector.(C); ok {
			return c
		}
	}
	if err != nil {
		panic(err) // two metrics of one name
	}
	return c
}

// done notes how a call ended.
func (o operation) done(begun time.Time, err error) {
	o.took.Observe(time.Since(begun).Seconds())
	if err != nil {
		o.failed.Inc()
	}
}
