package proxy

import (
	"net/netip"
	"slices"
	"sync"
	"time"
)

// sessions finds living sessions by the gateway's cookie, by the ACS's cookies,
// by the nonce of a challenge, by device and by connection; and those that have
// just ended, for some seconds.
type sessions struct {
	mu       sync.Mutex
	byCookie map[string]*session
	byKey    map[string][]holder // tenant and ACS cookie, or tenant and nonce
	byDevice map[string][]*session
	byPrefix map[netip.Prefix]int
	open     int
	max      int
	maxOf    int // of one source prefix
	linger   time.Duration
}

func newSessions(max, maxOfPrefix int, linger time.Duration) *sessions {
	return &sessions{
		byCookie: make(map[string]*session), byKey: make(map[string][]holder), byDevice: make(map[string][]*session),
		byPrefix: make(map[netip.Prefix]int), max: max, maxOf: maxOfPrefix, linger: linger,
	}
}

// holder is a session that has a key. One that its CPE only brought along keeps
// the key from naming another session, and names none itself: such a cookie may
// be the same on every device.
type holder struct {
	*session
	given bool // by the ACS, in this session
}

// maxKeys bounds the cookies and nonces that one session is found by.
const maxKeys = 32

// add puts a new session in, unless there are too many.
func (t *sessions) add(s *session, c *conn) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.open >= t.max {
		return refuse(503, reasonSessions, "limits.sessions = %d are open", t.max)
	}
	if t.byPrefix[s.prefix] >= t.maxOf {
		return refuse(503, reasonSessionsOfAddress, "limits.sessions_per_address = %d are open from %s", t.maxOf, s.prefix)
	}
	t.open++
	t.byPrefix[s.prefix]++
	t.byCookie[s.cookie] = s
	s.conn, c.session = c, s
	return nil
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

// give makes s found by a cookie or a nonce that the ACS gave it.
func (t *sessions) give(s *session, key string) { t.key(s, key, true) }

// brought takes note of a cookie that the CPE sent with its Inform.
func (t *sessions) brought(s *session, key string) { t.key(s, key, false) }

func (t *sessions) key(s *session, key string, given bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if s.ended {
		return
	}
	for i, h := range t.byKey[key] {
		if h.session == s {
			t.byKey[key][i].given = h.given || given
			return
		}
	}
	if len(s.keys) >= maxKeys {
		return
	}
	s.keys = append(s.keys, key)
	t.byKey[key] = append(t.byKey[key], holder{s, given})
}

// withKey returns the session that a request from source names by a key: the
// open one that the ACS gave it to, unless another open session of that source
// has it too, since a cookie such as a load balancer's says nothing then; else
// one that has just ended. A session of another source is named only by a key
// that nobody of this source has: that is for the caller to refuse.
func (t *sessions) withKey(key string, source netip.Prefix) *session {
	t.mu.Lock()
	defer t.mu.Unlock()
	var open, ended, elsewhere *session
	here, away := 0, 0
	for _, h := range t.byKey[key] {
		switch {
		case h.prefix != source:
			if h.given && !h.ended {
				elsewhere = h.session
				away++
			}
		case h.ended:
			if h.given {
				ended = h.session
			}
		default:
			here++
			if h.given {
				open = h.session
			}
		}
	}
	switch {
	case here == 1:
		return open
	case here > 1:
		return nil
	case ended != nil:
		return ended
	case away == 1:
		return elsewhere
	}
	return nil
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

// rivals returns the open sessions that an Inform of device from source
// supersedes: that of its connection, and those of the same device from the same
// source. A DeviceId is a claim, as is the user name beside it, and must not end
// another's session.
func (t *sessions) rivals(c *conn, device string, source netip.Prefix) []*session {
	t.mu.Lock()
	defer t.mu.Unlock()
	var out []*session
	if s := c.session; s != nil && !s.ended {
		out = append(out, s)
	}
	for _, s := range t.byDevice[device] {
		if s.prefix == source && !slices.Contains(out, s) {
			out = append(out, s)
		}
	}
	return out
}

// verified takes note of the HTTP user that the ACS accepted in s, and returns
// the other open sessions of the device that the same user was accepted in.
func (t *sessions) verified(s *session, user string) (rivals []*session) {
	t.mu.Lock()
	defer t.mu.Unlock()
	s.user = user
	for _, other := range t.byDevice[s.device] {
		if other != s && other.user == user {
			rivals = append(rivals, other)
		}
	}
	return rivals
}

// start has over run after d, unless s ends, is stopped or started anew before.
// The timer is left alone where it fires no later than that, and looks then how
// much time is left: a session's requests move the end, not the timer.
func (t *sessions) start(s *session, d time.Duration, over func()) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if s.ended {
		return
	}
	now := time.Now()
	s.wait, s.deadline = d, now.Add(d)
	switch {
	case s.timer == nil:
		s.fires = s.deadline
		s.timer = time.AfterFunc(d, func() { t.fire(s, over) })
	case s.fires.After(s.deadline) || !s.fires.After(now):
		s.fires = s.deadline
		s.timer.Reset(d)
	}
}

// fire ends a session's time, or sleeps on for what is left of it.
func (t *sessions) fire(s *session, over func()) {
	t.mu.Lock()
	if s.ended {
		t.mu.Unlock()
		return
	}
	left := s.wait // a request is being served
	if !s.deadline.IsZero() {
		left = time.Until(s.deadline)
	}
	if left > 0 {
		s.fires = time.Now().Add(left)
		s.timer.Reset(left)
		t.mu.Unlock()
		return
	}
	t.mu.Unlock()
	over()
}

// idle is how long c may be silent: as long as its session may, if it has one.
func (t *sessions) idle(c *conn, least time.Duration) time.Duration {
	t.mu.Lock()
	defer t.mu.Unlock()
	if s := c.session; s != nil && !s.ended {
		return max(least, s.wait+time.Second)
	}
	return least
}

// stop keeps s from timing out while a request of it is served.
func (t *sessions) stop(s *session) {
	t.mu.Lock()
	defer t.mu.Unlock()
	s.deadline = time.Time{}
}

// end marks s as ended; its keys are known for a while longer. It is false for all but the first caller.
func (t *sessions) end(s *session) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if s.ended {
		return false
	}
	s.ended = true
	t.open--
	if t.byPrefix[s.prefix]--; t.byPrefix[s.prefix] == 0 {
		delete(t.byPrefix, s.prefix)
	}
	if s.timer != nil {
		s.timer.Stop()
	}
	t.dropDevice(s)
	s.timer = time.AfterFunc(t.linger, func() { t.forget(s) })
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

func (t *sessions) forget(s *session) {
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.byCookie, s.cookie)
	for _, k := range s.keys {
		t.byKey[k] = slices.DeleteFunc(t.byKey[k], func(h holder) bool { return h.session == s })
		if len(t.byKey[k]) == 0 {
			delete(t.byKey, k)
		}
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

// boundTo tells whether a request from source that names this user may be of
// session s. The user of a request is a claim until the ACS has accepted it, so
// that it can only tell against the request.
func (t *sessions) boundTo(s *session, source netip.Prefix, user string) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return s.prefix == source && (s.user == "" || user == "" || user == s.user)
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
	defer t.mu.Unlock()
	if c := s.conn; c != nil && c != except && len(s.inFlight) > 0 {
		c.net.Close()
	}
}

// isOpen tells whether s has not ended.
func (t *sessions) isOpen(s *session) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return !s.ended
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
