package auth

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"time"

	"github.com/VictoriaMetrics/metrics"
)

// Outcome is what became of a request's credentials.
type Outcome uint8

const (
	Challenged  Outcome = iota // none that were asked for were shown
	Carried                    // its connection's user has logged in before, and it shows nothing that is wrong
	Accepted                   // they are right
	Stale                      // they are right, for a nonce that no longer holds
	Replayed                   // they are right, and were used before
	Failed                     // they are wrong
	Limited                    // they were not looked at: too many were wrong
	Unavailable                // they could not be judged
	Unverified                 // they could not be judged, and pass all the same
	outcomes
)

func (o Outcome) String() string {
	return [...]string{"challenged", "carried", "accepted", "stale", "replayed", "failed", "limited", "unavailable", "unverified"}[o]
}

// Request is what of a request its credentials are judged by.
type Request struct {
	Method, Target string   // as they were sent: Digest covers them
	Authorization  [][]byte // all fields of that name
	Source         netip.Prefix
	Shared         bool   // the source is a load balancer, which says nothing of who is behind it
	LoggedIn       string // the user who has logged in on its connection, "" where none has

	// over tells whether its source or user has been wrong too often meanwhile:
	// asked once more where a check had to wait.
	over func() error
}

// Result is an Outcome with what else there is to say. User is a claim but where
// the outcome is Accepted, Stale or Replayed.
type Result struct {
	Outcome    Outcome
	Stale      bool // of Carried: a challenge is to say so
	User       string
	Why        string        // for the operator; it holds nothing of a secret
	RetryAfter time.Duration // of Limited
}

// directory knows who may log in.
type directory interface {
	basic(ctx context.Context, r Request, user, password string) (bool, error)
	// digest calls answers with the user's HA1, or with one that nobody has.
	digest(ctx context.Context, r Request, user string, a algorithm, answers func(ha1 []byte) bool) (bool, error)
}

// Authenticator has the CPEs of one tenant log in. It may be used from many
// goroutines.
type Authenticator struct {
	cfg       Config
	directory directory
	users     *users // nil: the webhook is asked
	nonces    *nonces
	limits    *limits
	offered   map[string]bool
	own       []byte // Authorization towards the ACS, nil: none of the gateway's
	metrics   *authMetrics
	now       func() time.Time
}

// Options is what an Authenticator has of its surroundings.
type Options struct {
	Tenant  string
	Metrics *metrics.Set
	Now     func() time.Time
}

// New makes an Authenticator; it reads the file of users.
func New(cfg Config, o Options) (*Authenticator, error) {
	a := &Authenticator{
		cfg: cfg, nonces: newNonces(time.Duration(cfg.NonceLifetime), cfg.Nonces), offered: make(map[string]bool),
		metrics: newMetrics(o.Metrics, o.Tenant, cfg.Webhook != nil), now: o.Now,
	}
	a.limits = newLimits(cfg.Failures, o.Now(), a.metrics)
	for _, s := range cfg.schemes() {
		a.offered[s] = true
	}
	if cfg.ACS.Credentials == Own {
		a.own = basicOf(cfg.ACS.User.Reveal(), cfg.ACS.Password.Reveal())
	}
	if cfg.Webhook != nil {
		w, err := newWebhook(&a.cfg, o.Tenant, o.Now, a.metrics)
		a.directory = w
		return a, err
	}
	var err error
	a.users, err = newUsers(&a.cfg, o.Now)
	a.directory = a.users
	return a, err
}

// Reload reads the file of users anew if it has changed; with an error what was
// read before holds.
func (a *Authenticator) Reload() (changed bool, err error) {
	if a.users == nil {
		return false, nil
	}
	changed, err = a.users.reload()
	switch {
	case err != nil:
		a.metrics.reloadFailures.Inc()
	case changed:
		a.metrics.reloads.Inc()
	}
	return changed, err
}

// Close gives up idle connections to the webhook.
func (a *Authenticator) Close() {
	if w, ok := a.directory.(*webhook); ok {
		w.client.CloseIdleConnections()
	}
}

// Challenges are the values of the WWW-Authenticate fields of a 401.
func (a *Authenticator) Challenges(source netip.Prefix, stale bool) (values [][]byte) {
	nonce, suffix := a.nonces.issue(source, a.now()), ""
	if stale {
		suffix = ", stale=true"
	}
	for _, s := range a.cfg.schemes() {
		switch s {
		case schemeBasic:
			values = append(values, fmt.Appendf(nil, "Basic realm=%q", a.cfg.Realm))
		default:
			alg := algMD5
			if s == schemeSHA256 {
				alg = algSHA256
			}
			values = append(values, fmt.Appendf(nil, "Digest realm=%q, qop=\"auth\", nonce=%q, algorithm=%v%s", a.cfg.Realm, nonce, alg, suffix))
		}
	}
	return values
}

// Check judges a request's credentials.
func (a *Authenticator) Check(ctx context.Context, r Request) Result {
	res := a.check(ctx, r)
	a.metrics.outcomes[res.Outcome].Inc()
	return res
}

func (a *Authenticator) check(ctx context.Context, r Request) Result {
	if len(r.Authorization) == 0 {
		if r.LoggedIn != "" {
			return Result{Outcome: Carried, User: r.LoggedIn}
		}
		return Result{}
	}
	var c credentials
	err := errors.New("more than one Authorization field")
	if len(r.Authorization) == 1 {
		c, err = parse(r.Authorization[0])
	}
	if checkUser(c.user) != nil { // which is shown to people
		c.user = ""
	}
	// What was not asked for is answered by what is: CPEs send unasked what
	// another ACS had wanted.
	if err == nil && (!a.offered[c.scheme] || c.scheme != schemeBasic && c.realm != a.cfg.Realm) {
		return Result{User: c.user}
	}
	who := a.limits.of(r, c.user, a.now())
	if over := a.limits.over(who, a.now()); over != nil {
		return Result{Outcome: Limited, User: c.user, Why: over.Error(), RetryAfter: over.wait}
	}
	if err != nil {
		a.limits.failed(who, a.now())
		return Result{Outcome: Failed, User: c.user, Why: err.Error()}
	}
	r.over = func() error {
		if over := a.limits.over(who, a.now()); over != nil {
			return over
		}
		return nil
	}
	res := a.judge(ctx, r, &c)
	res.User = c.user
	switch res.Outcome {
	case Failed:
		a.limits.failed(who, a.now())
	case Accepted:
		a.limits.passed(who, a.now())
	case Stale, Replayed:
		// Who could send this on the connection of who has logged in could as
		// well leave it out: CPEs exist that never count nc.
		if c.user == r.LoggedIn {
			res.Outcome, res.Stale = Carried, true
		}
	}
	return res
}

func (a *Authenticator) judge(ctx context.Context, r Request, c *credentials) Result {
	if c.scheme == schemeBasic {
		right, err := a.directory.basic(ctx, r, c.user, c.password)
		return a.verdict(right, err)
	}
	if !meansTarget(c.uri, r.Target) {
		return Result{Outcome: Failed, Why: "the uri of Digest is not the request's"}
	}
	right, err := a.directory.digest(ctx, r, c.user, c.algorithm, func(ha1 []byte) bool { return c.answers(ha1, r.Method) })
	res := a.verdict(right, err)
	if res.Outcome != Accepted {
		return res
	}
	now := a.now()
	id, fresh := a.nonces.open(c.nonce, r.Source, now)
	switch {
	case !fresh:
		return Result{Outcome: Stale, Why: "the nonce is too old, or was not made here for this source"}
	case !a.nonces.use(id, c.nc, now):
		return Result{Outcome: Replayed, Why: "nc of this nonce has been that far before"}
	}
	return res
}

func (a *Authenticator) verdict(right bool, err error) Result {
	var over *overLimit
	switch {
	case errors.As(err, &over):
		return Result{Outcome: Limited, Why: over.Error(), RetryAfter: over.wait}
	case err == nil && right:
		return Result{Outcome: Accepted}
	case err == nil:
		return Result{Outcome: Failed, Why: "unknown user, or another password"}
	case a.cfg.Webhook != nil && a.cfg.Webhook.OnFailure == failPass:
		return Result{Outcome: Unverified, Why: err.Error()}
	}
	return Result{Outcome: Unavailable, Why: err.Error()}
}

// Files says which file transfers pass without logging in.
func (a *Authenticator) Files() string { return a.cfg.Files }

// Towards is what the ACS sees: the credentials of the CPE or not, and the
// gateway's own Basic in their place, not to be changed.
func (a *Authenticator) Towards() (pass bool, own []byte) {
	return a.cfg.ACS.Credentials == Pass, a.own
}
