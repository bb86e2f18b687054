package proxy

import (
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/cwmpgate/cwmpgate/audit"
)

// sessions finds living sessions by the gateway's cookie, by the ACS's cookies,
// by the nonce of a challenge, by device and by connection; and those that have
// just ended, for some seconds.
type sessions struct {
	mu       sync.Mutex
	byCookie map[string]*session
	byKey    map[keyAt]*holders      // the ACS's cookies, and nonces, by source
	given    map[sessionKey]*holders // those that the ACS gave, whatever the source
	byDevice map[string][]*session
	byPrefix map[netip.Prefix]int
	open     int
	max      int
	maxOf    int // of one source prefix
	watched  watched
	linger   time.Duration
	lingers  []lingerer // ended, the first to be forgotten first
	sweeper  *time.Timer
	none     chan struct{} // closed when no session is open any more; nil: nobody waits
}

func newSessions(max, maxOfPrefix int, linger time.Duration, w watched) *sessions {
	return &sessions{
		byCookie: make(map[string]*session), byKey: make(map[keyAt]*holders), given: make(map[sessionKey]*holders), byDevice: make(map[string][]*session),
		byPrefix: make(map[netip.Prefix]int), max: max, maxOf: maxOfPrefix, linger: linger, watched: w,
	}
}

// add puts a new session in, unless there are too many, and returns those that
// it supersedes: of two Informs at the same moment one is the later here.
func (t *sessions) add(s *session, c *conn, device string) (rivals []*session, err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.open >= t.max && !t.watched.lets(limitSessions) {
		return nil, refuse(503, reasonSessions, "limits.sessions = %d are open", t.max)
	}
	if t.byPrefix[s.prefix] >= t.maxOf && !t.watched.lets(limitSessionsPerAddress) {
		return nil, refuse(503, reasonSessionsOfAddress, "limits.sessions_per_address = %d are open from %s", t.maxOf, s.prefix)
	}
	t.open++
	t.byPrefix[s.prefix]++
	t.byCookie[s.cookie] = s
	if device != "" {
		rivals = t.rivalsOf(s, c, device)
		s.device = device
		t.byDevice[device] = append(t.byDevice[device], s)
	}
	s.conn, c.session = c, s
	return rivals, nil
}

// moved takes note that s's request came over c.
func (t *sessions) moved(s *session, c *conn) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if s.conn != c {
		if s.conn != nil && s.conn.session == s {
			s.conn.session = nil
		}
		s.conn, c.session = c, s
	}
}

func (t *sessions) of(c *conn) *session {
	t.mu.Lock()
	defer t.mu.Unlock()
	return c.session
}

func (t *sessions) withCookie(cookie string) *session {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.byCookie[cookie]
}

// sameDevice tells whether two sessions are of one device, as far as is known.
func (t *sessions) sameDevice(a, b *session) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return a.device == "" || b.device == "" || a.device == b.device
}

// named takes note of the device that s is of.
func (t *sessions) named(s *session, device string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if s.ended || s.device == device {
		return
	}
	t.dropDevice(s)
	s.device = device
	t.byDevice[device] = append(t.byDevice[device], s)
}

// rivals returns the open sessions that an Inform of device supersedes which
// came over c and belongs to s.
func (t *sessions) rivals(s *session, c *conn, device string) []*session {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.rivalsOf(s, c, device)
}

// rivalsOf returns the other session of the connection, and those of the same
// device from the same source. A DeviceId is a claim, as is the user name beside
// it, and must not end another's session; a certificate that names the device
// does, whatever the source, and nothing less ends one begun by that.
func (t *sessions) rivalsOf(s *session, c *conn, device string) (out []*session) {
	if o := c.session; o != nil && o != s && !o.ended {
		out = append(out, o)
	}
	for _, o := range t.byDevice[device] {
		proven := s.certified || o.prefix == s.prefix && !o.certified
		if o != s && proven && !slices.Contains(out, o) {
			out = append(out, o)
		}
	}
	return out
}

// verified takes note of the HTTP user that was accepted in s and names its
// device, and returns the other open sessions of the device that the same user
// was accepted in, but for those begun by a certificate where s was not.
func (t *sessions) verified(s *session, user string) (rivals []*session) {
	t.mu.Lock()
	defer t.mu.Unlock()
	s.user = user
	for _, other := range t.byDevice[s.device] {
		if other != s && other.user == user && (s.certified || !other.certified) {
			rivals = append(rivals, other)
		}
	}
	return rivals
}

// end marks s as ended; its keys are known for a while longer. It is false for all but the first caller.
func (t *sessions) end(s *session, how string) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if s.ended {
		return false
	}
	s.ended, s.answers204 = true, how == audit.EndClean || how == audit.EndACSError
	t.open--
	if t.byPrefix[s.prefix]--; t.byPrefix[s.prefix] == 0 {
		delete(t.byPrefix, s.prefix)
	}
	if s.timer != nil {
		s.timer.Stop()
	}
	t.dropDevice(s)
	t.lingersOn(s)
	if t.open == 0 && t.none != nil {
		close(t.none)
		t.none = nil
	}
	return true
}

func (t *sessions) dropDevice(s *session) {
	if s.device == "" {
		return
	}
	if l := without(t.byDevice[s.device], s); len(l) > 0 {
		t.byDevice[s.device] = l
	} else {
		delete(t.byDevice, s.device)
	}
}

// forget drops all that is known of an ended session.
func (t *sessions) forget(s *session) {
	delete(t.byCookie, s.cookie)
	for _, k := range s.keys {
		t.drop(s, k)
	}
	s.keys = nil
	if s.conn != nil && s.conn.session == s {
		s.conn.session = nil
	}
	s.conn = nil
}

// closed takes note that c is gone: its session lives on without it.
func (t *sessions) closed(c *conn) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if s := c.session; s != nil && s.conn == c {
		s.conn = nil
	}
	c.session = nil
}

// boundTo tells whether a request from source that names this user, over a
// connection with this certificate, may be of session s. The user of a request is a claim until the ACS has accepted it, so
// that it can only tell against the request.
func (t *sessions) boundTo(s *session, source netip.Prefix, certificate, user string) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return s.prefix == source && s.certificate == certificate && (s.user == "" || user == "" || user == s.user)
}

// challenge takes note of whether the ACS's last answer was a challenge that
// the session still has to meet.
func (t *sessions) challenge(s *session, is bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	s.challenged = is
}

// awaits tells whether s is open, was challenged, and is not of another device.
func (t *sessions) awaits(s *session, device string) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return !s.ended && s.challenged && (s.device == "" || s.device == device)
}

// abort makes a request in flight of s fail soon: the ACS's connection is
// closed, and the CPE's too where it is not the one a new request came on.
func (t *sessions) abort(s *session, except *conn) {
	s.lease.Close()
	t.mu.Lock()
	c := s.conn
	t.mu.Unlock()
	if c != nil && c != except && len(s.inFlight) > 0 {
		c.cut()
	}
}

// enter takes note that a request of s is served: whatever challenge there was,
// this is the answer to it. It is false where s has ended.
func (t *sessions) enter(s *session) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if s.ended {
		return false
	}
	s.challenged = false
	return true
}

// toldTheEnd tells whether the CPE knows that s has ended.
func (t *sessions) toldTheEnd(s *session) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return s.answers204
}

// isOpen tells whether s has not ended.
func (t *sessions) isOpen(s *session) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return !s.ended
}

// whenNone is closed once no session is open; none may begin meanwhile.
func (t *sessions) whenNone() <-chan struct{} {
	t.mu.Lock()
	defer t.mu.Unlock()
	done := make(chan struct{})
	if t.open == 0 {
		close(done)
	} else {
		t.none = done
	}
	return done
}

// all returns the open sessions.
func (t *sessions) all() []*session {
	t.mu.Lock()
	defer t.mu.Unlock()
	out := make([]*session, 0, t.open)
	for _, s := range t.byCookie {
		if !s.ended {
			out = append(out, s)
		}
	}
	return out
}

func (t *sessions) count() int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.open
}

func without(l []*session, s *session) []*session {
	if i := slices.Index(l, s); i >= 0 {
		return slices.Delete(l, i, i+1)
	}
	return l
}
