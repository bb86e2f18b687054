package h1

import (
	"bytes"
	"net/netip"
)

// parseRequest reads a whole head. Absolute-form becomes origin-form in place,
// so b is written to.
func parseRequest(b []byte, r *Request, fields Fields, cfg *ServerConfig) *problem {
	line, rest := cutLine(b)
	*r = Request{Fields: fields}
	if p := parseRequestLine(line, r); p != nil {
		return p
	}
	m := message{fields: fields}
	p := m.parse(rest)
	r.Fields = m.fields
	if p != nil {
		return p
	}
	if isName(r.Method, "connect") {
		return bad(ReasonConnect, "CONNECT")
	}
	if m.upgrade {
		return bad(ReasonUpgrade, "Upgrade")
	}
	if r.ContentLength, p = m.framing(r.Minor, 0); p != nil {
		return p
	}
	if p := m.hostOf(r, cfg); p != nil {
		return p
	}
	if m.expect > 1 || m.unexpected != nil {
		return bad(ReasonExpect, "Expect is %q", excerpt(m.unexpected))
	}
	r.ExpectContinue = m.expect == 1 && r.Minor == 1 // RFC 9110 section 10.1.1: ignored in HTTP/1.0
	r.KeepAlive = r.Minor == 1 && !m.close
	return nil
}

// parseRequestLine takes exactly two spaces and nothing that is not printable.
func parseRequestLine(line []byte, r *Request) *problem {
	method, rest, ok := bytes.Cut(line, []byte{' '})
	target, version, ok2 := bytes.Cut(rest, []byte{' '})
	if !ok || !ok2 || len(method) == 0 || !all(method, isToken) || bytes.IndexByte(version, ' ') >= 0 {
		return bad(ReasonRequestLine, "request line is %q", excerpt(line))
	}
	for _, c := range line {
		if classes[c]&isControl != 0 || c == '\t' {
			return bad(ReasonRequestLine, "control character 0x%02x in the request line", c)
		}
	}
	if r.Minor, ok = minorOf(version); !ok {
		if len(version) == 8 && bytes.HasPrefix(version, []byte("HTTP/")) && version[6] == '.' &&
			classes[version[5]]&classes[version[7]]&isDigit != 0 {
			return bad(ReasonVersion, "version is %q", version)
		}
		return bad(ReasonRequestLine, "request line is %q", excerpt(line))
	}
	if len(target) == 0 || !all(target, isTarget) {
		return bad(ReasonTarget, "target is %q", excerpt(target))
	}
	r.Method, r.Target = method, target
	return nil
}

func minorOf(version []byte) (int, bool) {
	switch string(version) {
	case "HTTP/1.1":
		return 1, true
	case "HTTP/1.0":
		return 0, true
	}
	return 0, false
}

// hostOf settles Host and the form of the target.
func (m *message) hostOf(r *Request, cfg *ServerConfig) *problem {
	if m.hosts > 1 {
		return bad(ReasonRepeatedHost, "%d Host fields", m.hosts)
	}
	r.Host = m.host
	if len(r.Host) > 0 && !validHost(r.Host) {
		return bad(ReasonHost, "Host is %q", excerpt(r.Host))
	}
	if len(r.Host) == 0 && r.Minor == 1 && !cfg.AllowNoHost {
		return bad(ReasonNoHost, "HTTP/1.1 without Host")
	}
	if r.Target[0] == '/' {
		return nil
	}
	if len(r.Target) == 1 && r.Target[0] == '*' && string(r.Method) == "OPTIONS" {
		return nil
	}
	return r.toOriginForm(cfg.Scheme)
}

// toOriginForm takes scheme and authority off a target that names this very
// host; a target that names another one has two readings (RFC 9112 section
// 3.2.2) and is refused. scheme is the listener's, empty where any will do.
func (r *Request) toOriginForm(scheme string) *problem {
	name, rest, ok := bytes.Cut(r.Target, []byte("://"))
	if !ok {
		if isName(r.Method, "connect") {
			return bad(ReasonConnect, "CONNECT")
		}
		return bad(ReasonTarget, "target is %q", excerpt(r.Target))
	}
	port := ""
	switch {
	case isName(name, "http"):
		port = "80"
	case isName(name, "https"):
		port = "443"
	}
	if port == "" || scheme != "" && !isName(name, scheme) {
		return bad(ReasonAbsoluteForm, "absolute-form with scheme %q", excerpt(name))
	}
	end := bytes.IndexAny(rest, "/?")
	if end < 0 {
		end = len(rest)
	}
	authority := rest[:end]
	if !validHost(authority) || len(r.Host) > 0 && !sameHost(authority, r.Host, port) {
		return bad(ReasonAbsoluteForm, "absolute-form names %q, Host %q", excerpt(authority), excerpt(r.Host))
	}
	r.Host = authority
	if end == len(rest) || rest[end] == '?' {
		// The path is empty: "/" takes the place of a byte of the scheme's
		// colon and slashes or of the authority, which are no longer needed.
		start := len(r.Target) - len(rest) + end - 1
		r.Host = bytes.Clone(authority)
		r.Target[start] = '/'
		r.Target = r.Target[start:]
		return nil
	}
	r.Target = rest[end:]
	return nil
}

// sameHost compares without case; a missing port is the scheme's.
func sameHost(a, b []byte, port string) bool {
	an, ap := splitPort(a)
	bn, bp := splitPort(b)
	if len(ap) == 0 {
		ap = []byte(port)
	}
	if len(bp) == 0 {
		bp = []byte(port)
	}
	return bytes.EqualFold(an, bn) && bytes.Equal(ap, bp)
}

func splitPort(h []byte) (name, port []byte) {
	i := bytes.LastIndexByte(h, ':')
	if i < 0 || bytes.IndexByte(h[i:], ']') >= 0 {
		return h, nil
	}
	return h[:i], h[i+1:]
}

// validHost takes a name, an IPv4 address or an IPv6 address in brackets, with
// or without a port: less than RFC 3986 allows, and all that a host is.
func validHost(h []byte) bool {
	name, port := splitPort(h)
	if len(port) > 5 || !all(port, isDigit) || len(port) == 5 && string(port) > "65535" {
		return false
	}
	if n := len(name); n > 2 && name[0] == '[' && name[n-1] == ']' {
		a, err := netip.ParseAddr(string(name[1 : n-1]))
		return err == nil && a.Is6() && a.Zone() == ""
	}
	return len(name) > 0 && all(name, isHost)
}

// parseResponse reads a whole head. head tells that it answers HEAD. body is
// the length of what follows, which the fields may not say.
func parseResponse(b []byte, r *Response, fields Fields, head bool) (body int64, p *problem) {
	line, rest := cutLine(b)
	*r = Response{Fields: fields}
	if p := parseStatusLine(line, r); p != nil {
		return 0, p
	}
	m := message{fields: fields, lenient: true}
	p = m.parse(rest)
	r.Fields = m.fields
	if p != nil {
		return 0, p
	}
	if r.ContentLength, p = m.framing(r.Minor, lengthUntilClose); p != nil {
		return 0, p
	}
	r.KeepAlive = !m.close && (r.Minor == 1 || m.keepAlive)
	switch {
	case r.Status/100 == 1:
		r.ContentLength = 0
		return 0, nil
	case r.Status == 204:
		// RFC 9110 section 8.6 forbids a length here. Who sends one may send
		// a body as well: nothing else must be read from this connection.
		if r.ContentLength != lengthUntilClose && r.ContentLength != 0 {
			r.KeepAlive = false
		}
		r.ContentLength = 0
		return 0, nil
	case head || r.Status == 304:
		return 0, nil
	case r.ContentLength == lengthUntilClose:
		r.KeepAlive = false
	}
	return r.ContentLength, nil
}

func parseStatusLine(line []byte, r *Response) *problem {
	version, rest, _ := bytes.Cut(line, []byte{' '})
	code, reason, _ := bytes.Cut(rest, []byte{' '})
	var ok bool
	if r.Minor, ok = minorOf(version); !ok || len(code) != 3 || !all(code, isDigit) || code[0] == '0' || code[0] > '5' {
		return bad(ReasonStatusLine, "status line is %q", excerpt(line))
	}
	for _, c := range reason {
		if classes[c]&isControl != 0 {
			return bad(ReasonStatusLine, "control character 0x%02x in the status line", c)
		}
	}
	r.Status = int(code[0]-'0')*100 + int(code[1]-'0')*10 + int(code[2]-'0')
	r.Reason = reason
	return nil
}

// hopByHop are the fields that end here whatever Connection says (RFC 9110
// section 7.6.1, and those that older peers treat so).
var hopByHop = [...]string{
	"connection", "keep-alive", "proxy-connection", "proxy-authenticate", "proxy-authorization", "proxy-authentication-info",
	"te", "trailer", "transfer-encoding", "upgrade",
}

// HopByHop tells whether the field called name, of a message with these fields,
// ends at this hop: it is on the fixed list, or Connection names it.
func HopByHop(fields []Field, name []byte) bool {
	for _, h := range hopByHop {
		if isName(name, h) {
			return true
		}
	}
	for i := range fields {
		if !isName(fields[i].Name, "connection") {
			continue
		}
		for option := range list(fields[i].Value) {
			if bytes.EqualFold(option, name) {
				return true
			}
		}
	}
	return false
}
