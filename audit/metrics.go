package audit

import (
	"fmt"

	"github.com/VictoriaMetrics/metrics"
)

// metricName gives a metric with one label, its value escaped as the exposition
// format wants it.
func metricName(metric, label, value string) string {
	return fmt.Sprintf("%s{%s=%q}", metric, label, value)
}

type recorderMetrics struct {
	records   map[string]*metrics.Counter // by kind
	bytes     *metrics.Counter
	failures  *metrics.Counter
	lost      *metrics.Counter
	coalesced *metrics.Counter
	steps     *metrics.Counter
	wait      *metrics.PrometheusHistogram
}

func newRecorderMetrics(set *metrics.Set) recorderMetrics {
	m := recorderMetrics{
		records:   make(map[string]*metrics.Counter),
		bytes:     set.GetOrCreateCounter("cwmpgate_audit_record_bytes_total"),
		failures:  set.GetOrCreateCounter("cwmpgate_audit_append_failures_total"),
		lost:      set.GetOrCreateCounter("cwmpgate_audit_lost_records_total"),
		coalesced: set.GetOrCreateCounter("cwmpgate_audit_coalesced_events_total"),
		steps:     set.GetOrCreateCounter("cwmpgate_audit_clock_steps_total"),
		wait:      set.GetOrCreatePrometheusHistogram("cwmpgate_audit_durable_wait_seconds"),
	}
	for _, kind := range Kinds() {
		m.records[kind] = set.GetOrCreateCounter(metricName("cwmpgate_audit_records_total", "kind", kind))
	}
	return m
}

func (m *recorderMetrics) written(kind string, size int) {
	m.records[kind].Inc()
	m.bytes.Add(size)
}

type shipperMetrics struct {
	records *metrics.Counter
	batches *metrics.Counter
	errors  *metrics.Counter
	stopped *metrics.Counter
	rowless *metrics.Counter
	aside   *metrics.Counter
	write   *metrics.PrometheusHistogram
}

// newShipperMetrics registers a sink's metrics; lag is asked at each scrape.
func newShipperMetrics(set *metrics.Set, sink string, lag func() (uint64, int64)) shipperMetrics {
	name := func(metric string) string { return metricName(metric, "sink", sink) }
	set.GetOrCreateGauge(name("cwmpgate_audit_sink_lag_records"), func() float64 {
		records, _ := lag()
		return float64(records)
	})
	set.GetOrCreateGauge(name("cwmpgate_audit_sink_lag_bytes"), func() float64 {
		_, bytes := lag()
		return float64(bytes)
	})
	return shipperMetrics{
		records: set.GetOrCreateCounter(name("cwmpgate_audit_sink_records_total")),
		batches: set.GetOrCreateCounter(name("cwmpgate_audit_sink_batches_total")),
		errors:  set.GetOrCreateCounter(name("cwmpgate_audit_sink_errors_total")),
		stopped: set.GetOrCreateCounter(name("cwmpgate_audit_sink_stopped_total")),
		rowless: set.GetOrCreateCounter(name("cwmpgate_audit_sink_unprojected_total")),
		aside:   set.GetOrCreateCounter(name("cwmpgate_audit_sink_quarantined_total")),
		write:   set.GetOrCreatePrometheusHistogram(name("cwmpgate_audit_sink_write_seconds")),
	}
}
