package proxy

import (
	"fmt"
	"time"

	"github.com/VictoriaMetrics/metrics"

	"github.com/cwmpgate/cwmpgate/cwmp"
	"github.com/cwmpgate/cwmpgate/policy/admission"
)

// informClasses is how many classes of Inform there are.
const informClasses = int(cwmp.ClassRoutine) + 1

// informMetrics counts what becomes of Informs that ask for a session of one ACS.
type informMetrics struct {
	set    *metrics.Set
	labels string
	wait   *metrics.PrometheusHistogram

	admitted, waited, gaveUp [informClasses]*metrics.Counter
}

func newInformMetrics(set *metrics.Set, lane *admission.Lane, tenant, acs string) *informMetrics {
	m := &informMetrics{set: set, labels: fmt.Sprintf("tenant=%q,acs=%q", tenant, acs)}
	m.wait = set.GetOrCreatePrometheusHistogram(fmt.Sprintf("cwmpgate_informs_wait_seconds{%s}", m.labels))
	for i := range informClasses {
		class := fmt.Sprintf("%s,class=%q", m.labels, admission.Class(i))
		m.admitted[i] = set.GetOrCreateCounter(fmt.Sprintf("cwmpgate_informs_admitted_total{%s}", class))
		m.waited[i] = set.GetOrCreateCounter(fmt.Sprintf("cwmpgate_informs_waited_total{%s}", class))
		m.gaveUp[i] = set.GetOrCreateCounter(fmt.Sprintf("cwmpgate_informs_given_up_total{%s}", class))
		set.GetOrCreateGauge(fmt.Sprintf("cwmpgate_informs_waiting{%s}", class), func() float64 { return float64(lane.Stats(time.Now()).Classes[i].Waiting) })
	}
	gauge := func(name string, of func(admission.LaneStats) float64) {
		set.GetOrCreateGauge(fmt.Sprintf("%s{%s}", name, m.labels), func() float64 { return of(lane.Stats(time.Now())) })
	}
	gauge("cwmpgate_informs_longest_wait_seconds", func(s admission.LaneStats) float64 { return s.Longest.Seconds() })
	gauge("cwmpgate_informs_waiting_bytes", func(s admission.LaneStats) float64 { return float64(s.WaitingBytes) })
	gauge("cwmpgate_informs_admitted_rate", func(s admission.LaneStats) float64 { return s.Rate })
	gauge("cwmpgate_informs_limit_rate", func(s admission.LaneStats) float64 { return s.Limit })
	gauge("cwmpgate_informs_ignoring_share", func(s admission.LaneStats) float64 { return s.Ignoring })
	return m
}

func (m *informMetrics) refused(class cwmp.EventClass, reason string) *metrics.Counter {
	return m.set.GetOrCreateCounter(fmt.Sprintf("cwmpgate_informs_refused_total{%s,class=%q,reason=%q}", m.labels, class.String(), reason))
}

// over counts those admitted that a limit would have refused, were it enforced.
func (m *informMetrics) over(class cwmp.EventClass, limit string) *metrics.Counter {
	return m.set.GetOrCreateCounter(fmt.Sprintf("cwmpgate_informs_over_total{%s,class=%q,limit=%q}", m.labels, class.String(), limit))
}
