package auth

import (
	"encoding/base64"
	"fmt"

	"github.com/VictoriaMetrics/metrics"
)

// authMetrics counts by tenant. Names and labels are listed in docs/metrics.md.
type authMetrics struct {
	outcomes                        [outcomes]*metrics.Counter
	overUser, overAddress           *metrics.Counter
	reloads, reloadFailures         *metrics.Counter
	webhookAnswers, webhookFailures *metrics.Counter // nil where there is none
}

func newMetrics(set *metrics.Set, tenant string, webhook bool) *authMetrics {
	counter := func(form string, args ...any) *metrics.Counter {
		return set.GetOrCreateCounter(fmt.Sprintf(form, args...))
	}
	m := &authMetrics{
		overUser:       counter("cwmpgate_logins_over_total{tenant=%q,limit=%q}", tenant, "user"),
		overAddress:    counter("cwmpgate_logins_over_total{tenant=%q,limit=%q}", tenant, "address"),
		reloads:        counter("cwmpgate_users_reloads_total{tenant=%q}", tenant),
		reloadFailures: counter("cwmpgate_users_reload_failures_total{tenant=%q}", tenant),
	}
	for o := range outcomes {
		m.outcomes[o] = counter("cwmpgate_logins_total{tenant=%q,outcome=%q}", tenant, o)
	}
	if webhook {
		m.webhookAnswers = counter("cwmpgate_login_webhook_answers_total{tenant=%q}", tenant)
		m.webhookFailures = counter("cwmpgate_login_webhook_failures_total{tenant=%q}", tenant)
	}
	return m
}

// basicOf is the value of an Authorization field.
func basicOf(user, password string) []byte {
	return []byte("Basic " + base64.StdEncoding.EncodeToString([]byte(user+":"+password)))
}
