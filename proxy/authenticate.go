package proxy

import (
	"context"
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/VictoriaMetrics/metrics"

	"github.com/cwmpgate/cwmpgate/audit"
	"github.com/cwmpgate/cwmpgate/proxy/auth"
	"github.com/cwmpgate/cwmpgate/proxy/h1"
	"github.com/cwmpgate/cwmpgate/proxy/upstream"
)

// login is as whom a request comes, where its tenant has CPEs log in here.
type login struct {
	user     string
	verified bool // the gateway has judged the credentials; else it could not, and lets them pass
	carried  bool // by a request before on this connection
	stale    bool // what it shows is right, for a nonce that holds no longer
	file     bool // it is a file's that needs none: its Authorization is the file server's
}

// connLogin is who has logged in on a connection, and at which tenant.
type connLogin struct {
	tenant *tenant
	login
}

func (t *tenant) newAuth(c *Tenant, set *metrics.Set, now func() time.Time) (err error) {
	t.bindsUser = c.UserMismatch == UserMismatchRefuse || c.UserMismatch == UserMismatchStrict || c.UserMismatch == UserMismatchAuto && c.Auth != nil
	t.strictUser = c.UserMismatch == UserMismatchStrict
	if c.Auth == nil {
		return nil
	}
	if t.auth, err = auth.New(*c.Auth, auth.Options{Tenant: c.Name, Metrics: set, Now: now}); err != nil {
		return fmt.Errorf("authentication: %w", err)
	}
	return nil
}

// keepUsers looks for changed files of users until ctx ends.
func (g *Gateway) keepUsers(ctx context.Context, keeping *sync.WaitGroup) {
	for i, t := range g.tenants {
		if t.auth == nil || g.cfg.Tenants[i].Auth.Users == "" {
			continue
		}
		keeping.Go(func() {
			look := time.NewTicker(time.Duration(g.cfg.Tenants[i].Auth.CheckEvery))
			defer look.Stop()
			for {
				select {
				case <-ctx.Done():
					return
				case <-look.C:
				}
				switch changed, err := t.auth.Reload(); {
				case err != nil:
					g.log.Error().Err(err).Str("tenant", t.name).Msg("read users anew: those that were read before hold")
				case changed:
					g.log.Info().Str("tenant", t.name).Msg("users have changed")
				}
			}
		})
	}
}

// authenticate has the CPE log in before anything of its request is read, where
// its tenant asks for that. A connection on which it has goes on without
// credentials, but for an Inform (joinInform).
func (x *exchange) authenticate(ctx context.Context, file bool) error {
	a := x.tenant.auth
	if a == nil {
		return nil
	}
	if file && (a.Files() == auth.FilesOpen || x.isExpectedFile()) {
		x.login.file = true
		return nil
	}
	r := auth.Request{Method: string(x.req.Method), Target: string(x.req.Target), Source: x.conn.prefix, Shared: x.gateway.isTrusted(x.conn.address)}
	for i := range x.req.Fields {
		if isName(x.req.Fields[i].Name, "authorization") {
			r.Authorization = append(r.Authorization, x.req.Fields[i].Value)
		}
	}
	before := &x.conn.login
	if before.tenant == x.tenant {
		r.LoggedIn = before.user
	}
	res := a.Check(ctx, r)
	switch res.Outcome {
	case auth.Accepted, auth.Unverified:
		x.login = login{user: res.User, verified: res.Outcome == auth.Accepted}
		*before = connLogin{x.tenant, x.login}
		if !x.login.verified {
			x.unverified(res)
		}
		return nil
	case auth.Carried:
		x.login = before.login
		x.login.carried, x.login.stale = true, res.Stale
		return nil
	case auth.Challenged, auth.Stale, auth.Replayed:
		return x.challenge(res.Outcome != auth.Challenged)
	}
	return x.notLoggedIn(res)
}

// challenge asks for credentials. It is how logins begin, and in no record.
func (x *exchange) challenge(stale bool) error {
	r := refuse(401, "", "the CPE is to log in")
	r.challenges = x.tenant.auth.Challenges(x.conn.prefix, stale)
	return r
}

// notLoggedIn refuses credentials.
func (x *exchange) notLoggedIn(res auth.Result) error {
	var r *refusal
	switch res.Outcome {
	case auth.Failed:
		r = refuse(401, reasonLoginFailed, "user %q: %s", res.User, res.Why)
		r.challenges = x.tenant.auth.Challenges(x.conn.prefix, false)
		r.security = true
	case auth.Limited:
		r = refuse(503, reasonLoginLimited, "user %q: %s", res.User, res.Why)
		r.retryAfter = max(time.Second, (res.RetryAfter + time.Second - 1).Truncate(time.Second))
		r.security, x.keepAlive = true, false
	default:
		r = refuse(503, reasonLoginUnavailable, "%s", res.Why)
		x.keepAlive = false
	}
	r.claimed = res.User
	return r
}

// unverified records that a CPE was let in as who it says it is.
func (x *exchange) unverified(res auth.Result) {
	g, c := x.gateway, x.conn
	if g.refusalLog.Allow() {
		g.log.Warn().Str("tenant", x.tenant.name).Str("peer", c.peer).Str("why", res.Why).Msg("let in unverified")
	}
	g.recorder.Security(x.originForRefusal(), audit.Security{
		Reason: reasonLoginUnverified, Claimed: res.User, Peer: c.peer, Source: c.prefix.String(), Listener: c.listener.name,
	})
}

// maxSkipped is the most bytes of a challenged request's body that are read and
// dropped to keep its connection; behind a longer one it is closed.
const maxSkipped = 64 << 10

// skipBody reads what nobody wants of a short body.
func (x *exchange) skipBody() {
	if x.bodyRead || x.req.ContentLength > maxSkipped {
		return
	}
	_, err := io.CopyN(io.Discard, x.conn.h1.Body(), maxSkipped+1)
	x.bodyRead = err == io.EOF
}

// shownCredentials is the user that a request comes as, and for a challenge of
// the ACS's the nonce.
func (x *exchange) shownCredentials() credentials {
	if x.tenant.auth == nil || x.login.file {
		return readCredentials(x.req.Fields)
	}
	return credentials{user: x.login.user}
}

// provesDevice tells whether the gateway itself has judged the credentials and
// their user names d.
func (x *exchange) provesDevice(d audit.Device) bool {
	return x.login.verified && x.tenant.identity.Names(x.login.user, d)
}

// namedByUser takes note that the session's device is named by an HTTP user that
// was accepted: other sessions of that device and user end.
func (x *exchange) namedByUser() {
	s := x.session
	s.reaches(audit.IdentityHTTP)
	for _, rival := range x.gateway.sessions.verified(s, x.creds.user) {
		x.gateway.endFromOutside(rival, audit.EndSuperseded, x.conn)
	}
}

// hidesAuthorization tells whether what the CPE logged in by ends here.
func (x *exchange) hidesAuthorization() bool {
	if x.tenant.auth == nil || x.login.file {
		return false
	}
	pass, _ := x.tenant.auth.Towards()
	return !pass
}

// ownAuthorization appends the gateway's own credentials, where the ACS gets
// those. A file server of the tenant's is not the ACS.
func (x *exchange) ownAuthorization(dst []h1.Field, to *upstream.Node) []h1.Field {
	if x.tenant.auth == nil || x.login.file || to == x.tenant.fileUpstream {
		return dst
	}
	if _, own := x.tenant.auth.Towards(); own != nil {
		dst = append(dst, h1.Field{Name: nameAuthorization, Value: own})
	}
	return dst
}

var nameAuthorization = []byte("Authorization")

// acsChallenges refuses a challenge of the ACS to a CPE that has logged in here:
// it would answer that in place of the gateway's.
func (x *exchange) acsChallenges() error {
	if x.tenant.auth == nil || x.login.file || x.resp.Status != 401 {
		return nil
	}
	return refuseACS(503, reasonACSChallenges, "the ACS asks for credentials, which it gets none or others of: see authentication.acs of tenant %s", x.tenant.name)
}

// isExpectedFile tells whether a device behind the same source was asked to fetch
// the file, or to send it, as this request does.
func (x *exchange) isExpectedFile() bool {
	k := fileKey{x.conn.prefix, string(x.req.Target)}
	switch string(x.req.Method) {
	case "GET", "HEAD":
		return x.tenant.expected.isDownload(k)
	}
	return x.tenant.expected.isUpload(k)
}
