package proxy

import (
	"context"
	"crypto/rand"
	"encoding/base32"
	"time"

	"github.com/cwmpgate/cwmpgate/audit"
	"github.com/cwmpgate/cwmpgate/cwmp"
	"github.com/cwmpgate/cwmpgate/proxy/h1"
)

// join finds the session of the request, or begins one, and takes its place in
// flight. done is true when the request was answered here.
func (x *exchange) join(ctx context.Context) (done bool, err error) {
	x.creds = x.shownCredentials()
	if x.wasInform {
		return false, x.joinInform(ctx)
	}
	s, err := x.find()
	switch {
	case err != nil:
		return false, err
	case s == nil && x.message == nil:
		// Some CPEs fetch the challenge with an empty POST.
		x.choose(audit.Device{})
		return false, x.begin("", nil)
	case s == nil:
		return false, x.orphan()
	}
	if !x.gateway.sessions.isOpen(s) {
		return x.afterTheEnd(s)
	}
	if err := x.enter(s); err != nil {
		return false, err
	}
	return false, nil
}

// find looks a session up by the gateway's cookie, then by the ACS's, by the
// nonce of a challenge, and by the connection. Keys that name two open sessions
// are refused.
func (x *exchange) find() (*session, error) {
	t := x.gateway.sessions
	var found *session
	var disagree error
	candidate := func(s *session, by string) {
		switch {
		case s == nil || s == found || s.tenant != x.tenant:
		case found == nil:
			found = s
		case !t.isOpen(s):
		case !t.isOpen(found):
			// An ended session's key does not stand against an open one of the
			// same device; of another device it is what was meant.
			if t.sameDevice(found, s) {
				found = s
			}
		case disagree == nil:
			r := refuse(400, reasonSessionDisagree, "one key names session %s, %s session %s", found.id, by, s.id)
			r.security, r.claimed, r.verified = true, found.id, s.id
			disagree = r
		}
	}
	eachOwnCookie(x.req.Fields, func(v string) { candidate(t.withCookie(v), "a cookie") })
	x.eachCookie(func(key sessionKey) { candidate(t.withKey(key, x.conn.prefix), "the ACS's cookie") })
	if x.creds.nonce != "" {
		candidate(t.withKey(x.tenant.nonceKey(x.creds.nonce), x.conn.prefix), "a nonce")
	}
	candidate(t.of(x.conn), "the connection")
	if disagree != nil {
		return nil, disagree
	}
	if found != nil && t.isOpen(found) && !t.boundTo(found, x.conn.prefix, x.conn.certificate, x.creds.user) {
		r := refuse(403, reasonIdentity, "session %s began from %s, this request came from %s, or with another certificate or user", found.id, found.prefix, x.conn.prefix)
		r.security, r.claimed, r.verified = true, found.id, x.conn.prefix.String()
		return nil, r
	}
	return found, nil
}

// eachCookie calls f with the key of each cookie in the request but our own.
func (x *exchange) eachCookie(f func(key sessionKey)) {
	for i := range x.req.Fields {
		if !isName(x.req.Fields[i].Name, "cookie") {
			continue
		}
		eachPair(x.req.Fields[i].Value, func(p pair) {
			if _, own := isOwn(p.text); !own {
				f(x.tenant.cookieKey(p.text))
			}
		})
	}
}

// joinInform begins a session, unless the Inform is the next round of one that
// was challenged: by connection, by cookie, or by the nonce it answers.
func (x *exchange) joinInform(ctx context.Context) error {
	t := x.gateway.sessions
	if x.login.carried { // a session begins with credentials of its own
		return x.challenge(x.login.stale)
	}
	device := deviceOf(x.message)
	if err := x.identify(device); err != nil {
		return err
	}
	key := deviceKey(x.tenant.name, device)
	x.gateway.busy.count(key, x.gateway.now())
	rounds := []*session{t.of(x.conn)}
	eachOwnCookie(x.req.Fields, func(v string) { rounds = append(rounds, t.withCookie(v)) })
	if x.creds.nonce != "" {
		rounds = append(rounds, t.withKey(x.tenant.nonceKey(x.creds.nonce), x.conn.prefix))
	}
	for _, s := range rounds {
		if s != nil && s.tenant == x.tenant && t.awaits(s, key) && t.boundTo(s, x.conn.prefix, x.conn.certificate, x.creds.user) {
			return x.nextRound(ctx, s, key, device)
		}
	}
	// A CPE that is challenged may come back on a new connection with nothing
	// that tells the session: it is admitted already.
	p := t.handOver(x.conn, key)
	if p != nil {
		// The challenge is that node's.
		x.acs = p.acs
		x.tenant.pool.Take(x.acs.node)
		return x.begin(key, p)
	}
	x.choose(device)
	if err := x.admit(ctx, device); err != nil {
		x.tenant.pool.Ended(x.acs.node)
		return err
	}
	return x.begin(key, &place{acs: x.acs})
}

// nextRound goes on with a session that was challenged. One that began with an
// empty POST is admitted now.
func (x *exchange) nextRound(ctx context.Context, s *session, key string, device audit.Device) error {
	t := x.gateway.sessions
	admitted := t.isAdmitted(s)
	at := s.acs.Load()
	if x.acs = at; !admitted {
		if err := x.admit(ctx, device); err != nil {
			return err
		}
	}
	x.supersede(t.rivals(s, x.conn, key))
	err := x.enter(s)
	if !admitted && (err != nil || !t.admit(s, &place{acs: at})) {
		x.gateway.admission.Done(at.lane, false)
	}
	return err
}

// identify holds the DeviceId of an Inform to what the CPE has shown beside it.
func (x *exchange) identify(device audit.Device) error {
	level, ok := x.shown.Level(device)
	if !ok {
		subject := x.shown.Certificate.Subject.String()
		r := mismatch(device, "the certificate of %s names another device than the Inform", subject)
		r.verified = subject
		return r
	}
	if x.level = level; level != audit.IdentityCertificate && x.provesDevice(device) {
		x.level = audit.IdentityHTTP
	}
	return x.userNames(device)
}

// userNames refuses an HTTP user that is another device's, where that is asked
// for, the gateway has judged the user, or the device is certain.
func (x *exchange) userNames(device audit.Device) error {
	if x.tenant.strictUser && (x.wasInform || device.Serial != "") && !x.tenant.identity.Names(x.creds.user, device) {
		return mismatch(device, "the HTTP user does not name the device of the Inform")
	}
	if device.Serial == "" || !x.tenant.identity.NamesAnother(x.creds.user, device) {
		return nil
	}
	// Without a certificate both are claims, and some fleets share a user.
	if !x.tenant.bindsUser && x.level != audit.IdentityCertificate {
		return nil
	}
	return mismatch(device, "the HTTP user names another device than the Inform")
}

// mismatch refuses who claims to be a device and shows something else.
func mismatch(device audit.Device, format string, args ...any) *refusal {
	r := refuse(403, reasonIdentity, format, args...)
	r.security, r.claimed = true, device.OUI+"-"+device.Class+"-"+device.Serial
	r.device = cwmp.DeviceID{Manufacturer: device.Manufacturer, OUI: device.OUI, ProductClass: device.Class, SerialNumber: device.Serial}
	return r
}

// supersede ends sessions in whose place an Inform has come. Their connections
// to the ACS are closed before it goes on: some ACSes answer «already in
// session» else.
func (x *exchange) supersede(rivals []*session) {
	for _, s := range rivals {
		x.gateway.endFromOutside(s, audit.EndSuperseded, x.conn)
	}
}

// begin makes a new session and enters it. device is its key, "" where the
// session begins with an empty POST, which has no place.
func (x *exchange) begin(device string, p *place) (err error) {
	defer func() {
		if err == nil {
			return
		}
		x.tenant.pool.Ended(x.acs.node)
		if p != nil {
			x.gateway.admission.Done(p.acs.lane, p.answered)
		}
	}()
	if x.gateway.draining() {
		return refuse(503, reasonDraining, "the gateway stops")
	}
	s := &session{
		id: newSessionID(), cookie: newCookie(), tenant: x.tenant, prefix: x.conn.prefix, began: x.gateway.now(),
		certificate: x.conn.certificate, certified: x.level == audit.IdentityCertificate,
		inFlight: make(chan struct{}, 1), state: cwmp.NewSession(), lease: x.acs.node.Lease(), place: p,
	}
	s.acs.Store(x.acs)
	if x.login.verified {
		s.user = x.login.user
	}
	s.origin = audit.Origin{
		Tenant: x.tenant.name, Session: s.id, Identity: audit.IdentityClaimed, ACS: x.acs.node.Name(),
		Redactor: x.tenant.redactor, Connection: x.conn.facts(),
	}
	s.inFlight <- struct{}{}
	rivals, err := x.gateway.sessions.add(s, x.conn, device)
	if err != nil {
		return err
	}
	x.supersede(rivals)
	x.session = s
	x.eachCookie(func(key sessionKey) { x.gateway.sessions.brought(s, key) })
	x.gateway.metrics.sessionsBegun.Inc()
	return nil
}

// enter waits for the session's one place in flight.
func (x *exchange) enter(s *session) error {
	if !s.acquire(time.Duration(x.gateway.cfg.Timeouts.Answer)) {
		return refuse(503, reasonBusy, "session %s still has a request in flight", s.id)
	}
	if !x.gateway.sessions.enter(s) {
		s.release()
		return refuse(503, reasonOrphan, "session %s ended meanwhile", s.id)
	}
	x.session, x.acs = s, s.acs.Load()
	x.gateway.sessions.moved(s, x.conn)
	x.gateway.stopTimer(s)
	return nil
}

// leave gives the place in flight back and starts the session's time-out.
func (x *exchange) leave() {
	s := x.session
	if s.outside.Load() != nil {
		x.gateway.finish(s, *s.outside.Load())
	} else {
		x.gateway.startTimer(s)
	}
	s.lease.Rest()
	s.release()
}

// afterTheEnd answers what comes behind the end of a session: an extra empty
// POST is ordinary, a message has come too late.
func (x *exchange) afterTheEnd(s *session) (done bool, err error) {
	if x.message != nil {
		return false, x.orphan()
	}
	if !x.gateway.sessions.toldTheEnd(s) {
		return false, refuse(503, reasonOrphan, "session %s has ended without the CPE's knowing", s.id)
	}
	x.gateway.metrics.extraEmpty.Inc()
	x.answered = true
	if err := x.conn.h1.WriteResponse(204, nil, nil, nil, x.keepAlive); err != nil {
		x.keepAlive = false
	}
	return true, nil
}

// orphan records a message of no session and has the CPE start again.
func (x *exchange) orphan() error {
	if !x.gateway.orphans.allow(x.conn.prefix, x.gateway.now()) {
		return refuse(503, reasonOrphan, "%s of no session; not recorded whole, as there were %d from %s within a second", x.message.Name, orphansRecorded, x.conn.prefix)
	}
	turn := cwmp.Turn{From: cwmp.PartyCPE, Message: x.message, Orphan: true}
	origin := &audit.Origin{Tenant: x.tenant.name, Identity: audit.IdentityClaimed, Redactor: x.tenant.redactor, Connection: x.conn.facts()}
	if _, err := x.gateway.recorder.Message(origin, turn, audit.Orphan); err != nil {
		return refuse(503, reasonJournal, "%v", err)
	}
	return refuse(503, reasonOrphan, "%s of no session", x.message.Name)
}

// learn takes note of the keys that the ACS's answer gives the session.
func (x *exchange) learn() {
	t, s := x.gateway.sessions, x.session
	for i := range x.resp.Fields {
		if isName(x.resp.Fields[i].Name, "set-cookie") {
			t.give(s, x.tenant.cookieKey(setCookiePair(x.resp.Fields[i].Value)))
		}
	}
	if x.resp.Status == 401 {
		challengeNonces(x.resp.Fields, func(nonce string) { t.give(s, x.tenant.nonceKey(nonce)) })
	}
	t.challenge(s, x.resp.Status == 401 && !s.state.Accepted())
	if x.tenant.auth == nil && x.resp.Status/100 == 2 && !s.isKnownBy(audit.IdentityHTTP) && x.tenant.identity.Names(x.creds.user, s.origin.Device) {
		x.namedByUser()
	}
}

// ownSetCookie is the field that gives the CPE the gateway's cookie.
func (s *session) ownSetCookie() h1.Field {
	return h1.Field{Name: []byte("Set-Cookie"), Value: []byte(cookieName + "=" + s.cookie + "; Path=/")}
}

// newSessionID returns 80 random bits in lower-case base32: 16 characters.
func newSessionID() string {
	var b [10]byte
	rand.Read(b[:])
	return lowerBase32.EncodeToString(b[:])
}

var lowerBase32 = base32.NewEncoding("abcdefghijklmnopqrstuvwxyz234567")
