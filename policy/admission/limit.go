package admission

import (
	"math"
	"time"

	"golang.org/x/time/rate"
)

// Reasons of a refusal, and names of the limits. The closed list.
const (
	ReasonUpstreamRate     = "upstream-rate"
	ReasonUpstreamSessions = "upstream-sessions"
	ReasonUpstreamAnswers  = "upstream-unanswered" // the ACS owes as many answers as it may
	ReasonTenantRate       = "tenant-rate"
	ReasonGatewayRate      = "gateway-rate"
	ReasonDeviceRate       = "device-rate"
	ReasonAddressRate      = "address-rate" // of connections
	ReasonQueue            = "queue-full"
	ReasonQueueMemory      = "queue-memory"
	ReasonOvertaken        = "newer-inform" // another of the same device has taken its place
	ReasonClosed           = "draining"
)

// Reasons gives the closed list.
func Reasons() []string {
	return []string{ReasonUpstreamRate, ReasonUpstreamSessions, ReasonUpstreamAnswers, ReasonTenantRate, ReasonGatewayRate, ReasonDeviceRate,
		ReasonAddressRate, ReasonQueue, ReasonQueueMemory, ReasonOvertaken, ReasonClosed}
}

// limit is one rate that lanes draw on.
type limit struct {
	bites
	mode    string
	each    *rate.Limiter // enforced
	refuses *rate.Limiter // observed: lets pass what would be served within the wait
}

func newLimit(r Rate, name, tenant, acs string, wait time.Duration) *limit {
	l := &limit{bites: bites{name: name, tenant: tenant, acs: acs}, mode: r.Mode}
	if r.Mode == ModeEnforce {
		l.each = rate.NewLimiter(rate.Limit(r.perSecond()), r.burst())
	}
	if r.Mode == ModeObserve {
		l.refuses = rate.NewLimiter(rate.Limit(r.perSecond()), r.burst()+int(r.perSecond()*wait.Seconds()))
	}
	return l
}

// until is how long it takes until one more may be taken; 0: now.
func (l *limit) until(now time.Time) time.Duration {
	if l.mode != ModeEnforce {
		return 0
	}
	// A little more than is missing: what a time in nanoseconds rounds off must
	// not keep the last bit of a token away for ever.
	missing := 1 - l.each.TokensAt(now)
	if missing <= 0 {
		return 0
	}
	return max(time.Microsecond, time.Duration(math.Ceil(missing/float64(l.each.Limit())*float64(time.Second))))
}

// take takes one; until must have been 0, where the limit is enforced. It tells
// whether a limit that is observed would have refused it.
func (l *limit) take(now time.Time) (over bool) {
	switch l.mode {
	case ModeEnforce:
		l.each.AllowN(now, 1)
	case ModeObserve:
		over = !l.refuses.AllowN(now, 1)
	}
	return over
}

func (l *limit) perSecond() float64 {
	if l.mode != ModeEnforce {
		return math.Inf(1)
	}
	return float64(l.each.Limit())
}

// bites knows whether a limit holds somebody back.
type bites struct {
	name, tenant, acs string
	biting            bool
	last              time.Time
	count             int // since it began
}

// Change is a limit that has begun, or stopped, to hold Informs back.
type Change struct {
	Limit, Tenant, ACS string
	Begins             bool
	Count              int // Informs held back or refused, of one that stops
}

// restAfter is how long a limit must have held nobody back to have stopped.
const restAfter = 10 * time.Second

// bite takes note that the limit holds an Inform back.
func (b *bites) bite(c *Controller, now time.Time) {
	b.last = now
	b.count++
	if !b.biting {
		b.biting = true
		c.biting = append(c.biting, b)
		c.changes = append(c.changes, Change{b.name, b.tenant, b.acs, true, 0})
	}
}
