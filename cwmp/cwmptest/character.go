package cwmptest

import (
	"net/http"
	"strings"
	"time"
)

// Character is how an ACS tells sessions apart.
type Character uint8

const (
	// CookiePerSession knows a session by a random cookie, on any connection.
	CookiePerSession Character = iota
	// ConnectionBound wants cookie and connection to agree, and takes a new
	// connection only when the old one is closed; Digest nonces and logins
	// belong to the connection.
	ConnectionBound
	// ConnectionOnly knows a session by its connection alone and sets no
	// cookie; Digest nonces belong to the connection.
	ConnectionOnly
	// SerialCookie uses the serial number as cookie, valid on any connection
	// and from anyone; it asks for no login and answers TransferComplete with
	// an empty 200.
	SerialCookie
)

func (c Character) String() string {
	switch c {
	case CookiePerSession:
		return "cookie-per-session"
	case ConnectionBound:
		return "connection-bound"
	case ConnectionOnly:
		return "connection-only"
	case SerialCookie:
		return "serial-cookie"
	}
	return "unknown"
}

// Characters are all there are.
func Characters() []Character {
	return []Character{CookiePerSession, ConnectionBound, ConnectionOnly, SerialCookie}
}

// cookieName is that of the session cookie.
func (c Character) cookieName() string {
	if c == SerialCookie {
		return "device"
	}
	return "session"
}

// sendsCookie returns the value for a new session, "" for none.
func (c Character) setCookie(s *acsSession) []string {
	switch c {
	case CookiePerSession:
		return []string{"session=" + s.id + "; Path=/; HttpOnly"}
	case ConnectionBound:
		return []string{"session=" + s.id}
	case SerialCookie:
		return []string{"device=" + s.informed.Identity.Serial + "; Max-Age=86400"}
	}
	return nil
}

// nonceOnConnection says that a Digest nonce is worth nothing elsewhere.
func (c Character) nonceOnConnection() bool { return c == ConnectionBound || c == ConnectionOnly }

var (
	invalidSession = refusal{http.StatusBadRequest, "Invalid session", true}
	badState       = refusal{http.StatusBadRequest, "Bad session state", true}
	inSession      = refusal{http.StatusBadRequest, "CPE already in session", true}
	noCookie       = refusal{http.StatusUnauthorized, "No cookie", false}
	unauthorized   = refusal{http.StatusUnauthorized, "Unauthorized", false}
)

// cookies reads the field as it came: simulated CPEs return attributes and
// join by commas.
func cookies(h http.Header) map[string]string {
	jar := map[string]string{}
	for _, line := range h["Cookie"] {
		for pair := range strings.FieldsFuncSeq(line, func(r rune) bool { return r == ';' || r == ',' }) {
			name, value, _ := strings.Cut(strings.TrimSpace(pair), "=")
			if _, again := jar[name]; !again {
				jar[name] = value
			}
		}
	}
	return jar
}

// admit says whether an Inform may begin a session. a.mu is held; it may be
// let go while waiting.
func (a *ACS) admit(q *acsRequest, serial string) *refusal {
	open := a.devices[serial]
	if a.cfg.Character != ConnectionBound {
		if open != nil {
			a.end(open)
		}
		if a.cfg.Character == ConnectionOnly && q.wire.session != nil {
			a.end(q.wire.session)
		}
		return nil
	}
	if s := q.wire.session; s != nil && !a.expired(s) {
		a.end(s)
		return &badState
	}
	if open != nil && !a.expired(open) {
		if !a.awaitClosed(open.wire) {
			return &inSession
		}
		a.end(open)
	}
	return nil
}

// find is the session that a request other than an Inform belongs to. a.mu is
// held; it may be let go while waiting.
func (a *ACS) find(q *acsRequest) (*acsSession, *refusal) {
	given := cookies(q.r.Header)[a.cfg.Character.cookieName()]
	switch a.cfg.Character {
	case ConnectionOnly:
		if s := q.wire.session; s != nil && !a.expired(s) {
			return s, nil
		}
	case SerialCookie:
		if given == "" {
			return nil, &noCookie
		}
		return a.devices[given], nil // nil: nothing to do for it
	case CookiePerSession:
		if s := a.sessions[given]; s != nil && !a.expired(s) {
			return s, nil
		}
	case ConnectionBound:
		return a.findBound(q, given)
	}
	if q.message == nil && a.cfg.Auth != AuthNone {
		return nil, &unauthorized
	}
	return nil, &invalidSession
}

func (a *ACS) findBound(q *acsRequest, given string) (*acsSession, *refusal) {
	s := a.sessions[given]
	if bound := q.wire.session; bound != nil {
		if bound == s && !a.expired(s) {
			return s, nil
		}
		a.end(bound)
		return nil, &invalidSession
	}
	if s == nil || a.expired(s) || !a.awaitClosed(s.wire) || a.sessions[given] != s || q.wire.session != nil {
		return nil, &invalidSession
	}
	if a.cfg.Auth != AuthNone {
		if _, ok := a.login(q); !ok {
			return nil, &unauthorized
		}
	}
	s.wire.session, s.wire, q.wire.session = nil, q.wire, s
	return s, nil
}

// awaitClosed waits for a connection to be seen closed, not longer than
// ReconnectWait. a.mu is let go meanwhile.
func (a *ACS) awaitClosed(w *acsWire) bool {
	a.mu.Unlock()
	defer a.mu.Lock()
	timer := time.NewTimer(a.cfg.ReconnectWait)
	defer timer.Stop()
	select {
	case <-w.gone:
		return true
	case <-timer.C:
		return false
	}
}
