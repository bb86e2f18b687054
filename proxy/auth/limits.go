package auth

import (
	"fmt"
	"time"

	"github.com/cwmpgate/cwmpgate/policy/admission"
)

// limits holds sources, and users behind them, to how often they may be wrong.
type limits struct {
	cfg           Failures
	address, user *admission.Meter
	known         *cache[struct{}] // users who logged in from a source
	keys          *keyer
	metrics       *authMetrics
}

// claimant is a user behind a source, as the limits know it.
type claimant struct {
	address, user uint64
	pair          cacheKey
	known         bool // it has logged in from there, or the source is not its own: the address's limit is not for it
}

// rememberKnown is how long a user who logged in from a source is not held to
// the limit of its address.
const rememberKnown = 7 * 24 * time.Hour

func newLimits(f Failures, base time.Time, m *authMetrics) *limits {
	return &limits{
		cfg: f, address: admission.NewMeter(f.Address, f.Tracked, base), user: admission.NewMeter(f.User, f.Tracked, base),
		known: newCache[struct{}](f.Tracked), keys: newKeyer(), metrics: m,
	}
}

func (l *limits) of(r Request, user string, now time.Time) claimant {
	from := r.Source.String()
	c := claimant{address: l.keys.short(from), user: l.keys.short(from, user), pair: l.keys.key(from, user)}
	_, _, c.known = l.known.get(c.pair, now)
	c.known = c.known || r.Shared
	return c
}

// overLimit is a limit that bites, and how long it does.
type overLimit struct {
	key  string
	rate admission.Rate
	wait time.Duration
}

func (o *overLimit) Error() string { return fmt.Sprintf("over failures.%s = %v", o.key, o.rate) }

// over tells which limit keeps a claimant's credentials from being looked at;
// nil: none does.
func (l *limits) over(c claimant, now time.Time) *overLimit {
	if wait := l.user.Peek(c.user, now); wait > 0 {
		l.metrics.overUser.Inc()
		if l.user.Mode() == admission.ModeEnforce {
			return &overLimit{"user", l.cfg.User, wait}
		}
	}
	if c.known {
		return nil
	}
	if wait := l.address.Peek(c.address, now); wait > 0 {
		l.metrics.overAddress.Inc()
		if l.address.Mode() == admission.ModeEnforce {
			return &overLimit{"address", l.cfg.Address, wait}
		}
	}
	return nil
}

func (l *limits) failed(c claimant, now time.Time) {
	l.user.Take(c.user, now)
	if !c.known {
		l.address.Take(c.address, now)
	}
}

func (l *limits) passed(c claimant, now time.Time) {
	if !c.known {
		l.known.put(c.pair, struct{}{}, now, rememberKnown)
	}
}
