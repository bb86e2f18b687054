package proxy

import (
	"bytes"
	"net/url"
	"strings"

	"github.com/cwmpgate/cwmpgate/audit"
	"github.com/cwmpgate/cwmpgate/cwmp"
)

// reply hands the ACS's answer to the CPE, its bytes as they came.
func (x *exchange) reply() error {
	s := x.session
	fields, err := x.towardsCPE(x.fields[:0])
	if err != nil {
		return x.failed(x.withheld(err))
	}
	if !s.cookieSent && !x.acsSetsOurCookie() {
		fields = append(fields, s.ownSetCookie())
		s.cookieSent = true
	}
	x.fields = fields
	if x.answerTurn.Ends {
		// Before the CPE can know: its next session must not find this one open.
		// The connection to the ACS is given back only behind the answer, whose
		// fields still stand in that connection's buffer.
		if x.gateway.sessions.end(s, howEnded(x.resp.Status)) {
			defer x.gateway.finish(s, howEnded(x.resp.Status))
		}
		if x.gateway.draining() {
			x.keepAlive = false
		}
	}
	x.answered = true
	if err := x.conn.h1.WriteResponse(x.resp.Status, x.resp.Reason, fields, x.answerBody.bytes, x.keepAlive); err != nil {
		x.keepAlive = false
		x.withheld(err)
		if x.answer != nil && s.state != nil {
			s.state.Undelivered(cwmp.PartyACS)
		}
		x.gateway.metrics.lostAnswers.Inc()
		x.gateway.log.Info().Err(err).Str("peer", x.conn.peer).Str("session", s.id).Int("status", x.resp.Status).Msg("answer not delivered")
	}
	return nil
}

// acsSetsOurCookie tells whether the ACS has a cookie of the same name: ours
// would take its place at the CPE.
func (x *exchange) acsSetsOurCookie() bool {
	for i := range x.resp.Fields {
		if isName(x.resp.Fields[i].Name, "set-cookie") && bytes.HasPrefix(setCookiePair(x.resp.Fields[i].Value), []byte(cookieName+"=")) {
			return true
		}
	}
	return false
}

// howEnded says how a session ended with this status of the ACS's.
func howEnded(status int) string {
	if status/100 == 2 {
		return audit.EndClean
	}
	return audit.EndACSError
}

// location makes the ACS's own address in a Location ours. One that leads to
// nobody the tenant knows would take the CPE past the gateway: it is refused.
func (x *exchange) location(value []byte) ([]byte, error) {
	u, err := url.Parse(string(value))
	if err != nil || bytes.ContainsAny(value, "\\") {
		return nil, x.redirectElsewhere(value)
	}
	switch {
	case u.Host == "" && u.Scheme == "" && !strings.HasPrefix(string(value), "//"):
		return value, nil // relative: stays here
	case u.Scheme != "http" && u.Scheme != "https", u.Host == "":
		return nil, x.redirectElsewhere(value)
	case u.User == nil && (x.tenant.isOwn(u.Host) || strings.EqualFold(u.Host, string(x.req.Host))):
		if len(x.req.Host) == 0 {
			u.Host = ""
			return []byte(requestURI(u)), nil
		}
		return append(append(append(append([]byte(nil), x.conn.scheme...), "://"...), x.req.Host...), requestURI(u)...), nil
	case x.tenant.redirects[strings.ToLower(u.Host)] || x.tenant.redirects[strings.ToLower(u.Hostname())]:
		return value, nil
	}
	return nil, x.redirectElsewhere(value)
}

// requestURI is what follows the authority in u, as it was written.
func requestURI(u *url.URL) string {
	// Without a host in front, two slashes would lead to another host.
	s := "/" + strings.TrimLeft(u.EscapedPath(), "/")
	if p := u.EscapedPath(); u.Host != "" && strings.HasPrefix(p, "/") {
		s = p
	}
	if u.RawQuery != "" || u.ForceQuery {
		s += "?" + u.RawQuery
	}
	if u.Fragment != "" {
		s += "#" + u.EscapedFragment()
	}
	return s
}

func (x *exchange) redirectElsewhere(value []byte) error {
	host := "an unreadable Location"
	if u, err := url.Parse(string(value)); err == nil {
		host = u.Host
	}
	r := refuseACS(503, reasonRedirect, "Location leads to %q, which is neither the tenant's ACS nor among its redirects", host)
	r.security, r.claimed, r.verified = true, host, x.authority()
	return r
}

// authority is that of who answered.
func (x *exchange) authority() string {
	if x.acs != nil {
		return x.acs.node.Authority()
	}
	return x.conn.fileLease(x.tenant).Node().Authority()
}
