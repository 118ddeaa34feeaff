package metrics

import (
	"log/slog"
	"net/http"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// NewRegistry returns a registry of every metric of a mount, and of those of its Go
// runtime and process. snapshot is called by each gathering, perhaps by several at once.
func NewRegistry(snapshot func() Snapshot, operations *Operations, requests *Requests) *prometheus.Registry {
	r := prometheus.NewRegistry()
	r.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
		newOfSnapshot(snapshot), operations, requests)
	return r
}

func (d Definition) histogram() *prometheus.HistogramVec {
	return prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: d.Name, Help: d.Help, Buckets: d.buckets}, d.Labels)
}

// Handler answers with the metrics of a registry, in the format that is asked for.
func Handler(r *prometheus.Registry, log *slog.Logger) http.Handler {
	return promhttp.HandlerFor(r, promhttp.HandlerOpts{ErrorLog: slog.NewLogLogger(log.Handler(), slog.LevelWarn)})
}

// ofSnapshot are the metrics that a snapshot has.
type ofSnapshot struct {
	snapshot func() Snapshot
	metrics  []described
}

type described struct {
	Definition
	desc *prometheus.Desc
}

func newOfSnapshot(snapshot func() Snapshot) ofSnapshot {
	c := ofSnapshot{snapshot: snapshot}
	for _, d := range Definitions() {
		if d.of != nil {
			c.metrics = append(c.metrics, described{d, prometheus.NewDesc(d.Name, d.Help, d.Labels, nil)})
		}
	}
	return c
}

// Describe implements prometheus.Collector.
func (c ofSnapshot) Describe(to chan<- *prometheus.Desc) {
	for _, m := range c.metrics {
		to <- m.desc
	}
}

// Collect implements prometheus.Collector.
func (c ofSnapshot) Collect(to chan<- prometheus.Metric) {
	s := c.snapshot()
	for _, m := range c.metrics {
		kind := prometheus.GaugeValue
		if m.Type == Counter {
			kind = prometheus.CounterValue
		}
		m.of(s, func(value float64, labels ...string) {
			to <- prometheus.MustNewConstMetric(m.desc, kind, value, labels...)
		})
	}
}
