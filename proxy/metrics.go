package proxy

import (
	"fmt"

	"github.com/VictoriaMetrics/metrics"

	"github.com/cwmpgate/cwmpgate/audit"
	"github.com/cwmpgate/cwmpgate/cwmp"
)

// gatewayMetrics counts what the gateway does. Names and labels are listed in
// docs/metrics.md.
type gatewayMetrics struct {
	set              *metrics.Set
	acsAnswer        *metrics.PrometheusHistogram
	sessionsBegun    *metrics.Counter
	movedOn          *metrics.Counter
	extraEmpty       *metrics.Counter
	lostAnswers      *metrics.Counter
	handshakes       *metrics.Counter
	reloads          *metrics.Counter // of certificates
	acmeObtained     *metrics.Counter
	acmeFailures     *metrics.Counter
	reloadFailures   *metrics.Counter
	acceptErrors     *metrics.Counter
	connectionErrors *metrics.Counter
	connectionsOver  *metrics.Counter
	rpcs             map[string][]*metrics.Counter
	ends             map[string]*metrics.Counter // of sessions, by how
}

func newGatewayMetrics(set *metrics.Set, g *Gateway) *gatewayMetrics {
	m := &gatewayMetrics{
		set:              set,
		acsAnswer:        set.NewPrometheusHistogram("cwmpgate_acs_answer_seconds"),
		sessionsBegun:    set.NewCounter("cwmpgate_sessions_begun_total"),
		movedOn:          set.NewCounter("cwmpgate_sessions_moved_total"),
		extraEmpty:       set.NewCounter("cwmpgate_extra_empty_posts_total"),
		lostAnswers:      set.NewCounter("cwmpgate_answers_not_delivered_total"),
		handshakes:       set.NewCounter("cwmpgate_tls_handshakes_total"),
		acmeObtained:     set.NewCounter("cwmpgate_acme_certificates_total"),
		acmeFailures:     set.NewCounter("cwmpgate_acme_failures_total"),
		reloads:          set.NewCounter("cwmpgate_certificates_reloads_total"),
		reloadFailures:   set.NewCounter("cwmpgate_certificates_reload_failures_total"),
		acceptErrors:     set.NewCounter("cwmpgate_accept_errors_total"),
		connectionErrors: set.NewCounter("cwmpgate_connection_errors_total"),
		connectionsOver:  set.NewCounter("cwmpgate_connections_over_total"),
		rpcs:             make(map[string][]*metrics.Counter),
		ends:             make(map[string]*metrics.Counter),
	}
	set.NewGauge("cwmpgate_sessions_open", func() float64 { return float64(g.sessions.count()) })
	set.NewGauge("cwmpgate_connections_open", func() float64 { return float64(g.gate.count()) })
	set.NewGauge("cwmpgate_body_bytes", func() float64 { return float64(g.buffers.budget.used.Load()) })
	for _, how := range audit.SessionEnds() {
		m.ends[how] = set.GetOrCreateCounter(fmt.Sprintf("cwmpgate_sessions_ended_total{how=%q}", how))
	}
	// Held rather than looked up: one is counted for every message.
	for _, from := range []string{"cpe", "acs"} {
		for method := cwmp.MethodUnknown; method <= cwmp.MethodKicked; method++ {
			for _, kind := range []cwmp.Kind{cwmp.KindRequest, cwmp.KindResponse, cwmp.KindFault} {
				m.rpcs[from] = append(m.rpcs[from], set.GetOrCreateCounter(
					fmt.Sprintf("cwmpgate_messages_total{from=%q,method=%q,kind=%q}", from, method, kind)))
			}
		}
	}
	return m
}

// rpc is the counter of messages like m. Vendor RPCs share one: their names are
// a peer's to choose.
func (m *gatewayMetrics) rpc(from string, msg *cwmp.Message) *metrics.Counter {
	i := int(msg.Method-cwmp.MethodUnknown)*3 + int(msg.Kind-cwmp.KindRequest)
	return m.rpcs[from][i]
}

func (m *gatewayMetrics) refusal(from, reason string) *metrics.Counter {
	return m.set.GetOrCreateCounter(fmt.Sprintf("cwmpgate_refusals_total{from=%q,reason=%q}", from, reason))
}

// limitOver counts what a limit that is only watched would have refused.
func (m *gatewayMetrics) limitOver(limit string) *metrics.Counter {
	return m.set.GetOrCreateCounter(fmt.Sprintf("cwmpgate_limits_over_total{limit=%q}", limit))
}

func (m *gatewayMetrics) sessionEnded(how string) *metrics.Counter { return m.ends[how] }

func (m *gatewayMetrics) connectionRefused(reason string) *metrics.Counter {
	return m.set.GetOrCreateCounter(fmt.Sprintf("cwmpgate_connections_refused_total{reason=%q}", reason))
}

func (m *gatewayMetrics) spoken(profile, version, suite string) *metrics.Counter {
	return m.set.GetOrCreateCounter(fmt.Sprintf("cwmpgate_tls_connections_total{profile=%q,version=%q,suite=%q}", profile, version, suite))
}

func (m *gatewayMetrics) handshakeFailed(reason string) *metrics.Counter {
	return m.set.GetOrCreateCounter(fmt.Sprintf("cwmpgate_tls_handshake_failures_total{reason=%q}", reason))
}

// tenantMetrics counts by tenant.
type tenantMetrics struct {
	requests  *metrics.Counter
	fileBytes *metrics.Counter
}

func newTenantMetrics(set *metrics.Set, tenant string) *tenantMetrics {
	return &tenantMetrics{
		requests:  set.GetOrCreateCounter(fmt.Sprintf("cwmpgate_requests_total{tenant=%q}", tenant)),
		fileBytes: set.GetOrCreateCounter(fmt.Sprintf("cwmpgate_file_bytes_total{tenant=%q}", tenant)),
	}
}
