package proxy

import (
	"bytes"

	"github.com/cwmpgate/cwmpgate/proxy/h1"
	"github.com/cwmpgate/cwmpgate/proxy/upstream"
)

// isName tells whether a field's name is name, which is in lower case.
func isName(b []byte, name string) bool {
	if len(b) != len(name) {
		return false
	}
	for i := range len(name) {
		c := b[i]
		if 'A' <= c && c <= 'Z' {
			c += 'a' - 'A'
		}
		if c != name[i] {
			return false
		}
	}
	return true
}

// field returns the first value of the field called name (lower case), or nil.
func field(fields []h1.Field, name string) []byte {
	for i := range fields {
		if isName(fields[i].Name, name) {
			return fields[i].Value
		}
	}
	return nil
}

// untrusted are fields by which a CPE could pretend to be somebody else: only
// the gateway may say who the peer is (docs/http.md, "Forwarding fields"). Names
// ending in a hyphen stand for all that begin so.
var untrusted = []string{
	"forwarded", "x-forwarded", "x-forwarded-", "x-original-", "x-real-ip", "x-client-ip", "x-cluster-client-ip",
	"true-client-ip", "cf-connecting-ip", "client-cert", "client-cert-", "x-client-cert", "x-client-cert-",
	"x-client-dn", "x-client-verify", "x-ssl-", "ssl-client-", "x-tls-client-", "x-amzn-mtls-", "x-arr-clientcert",
	"x-remote-user", "remote-user", "x-rewrite-url", "front-end-https", "proxy",
}

// isUntrusted folds underscores to hyphens, since CGI-like ACSes do not tell
// the two apart; for the same reason a misspelt framing field is none to pass.
func isUntrusted(name []byte) bool {
	var buf [48]byte
	folded := buf[:0]
	for i, c := range name[:min(len(name), len(buf))] {
		switch {
		case 'A' <= c && c <= 'Z':
			c += 'a' - 'A'
		case c == '_':
			c = '-'
		}
		folded = append(folded, c)
		if i == 0 && !beginsUntrusted[c] {
			return false
		}
	}
	for _, u := range untrusted {
		if string(folded) == u || u[len(u)-1] == '-' && bytes.HasPrefix(folded, []byte(u)) {
			return true
		}
	}
	return string(folded) == "content-length" || string(folded) == "transfer-encoding"
}

// beginsUntrusted spares ordinary fields the list: the first letters of its
// names, and of the framing fields.
var beginsUntrusted = [256]bool{'f': true, 'x': true, 't': true, 'c': true, 's': true, 'r': true, 'p': true}

// Names of the fields that the gateway sets; nobody writes to them.
var (
	nameHost           = []byte("Host")
	nameForwarded      = []byte("Forwarded")
	nameForwardedFor   = []byte("X-Forwarded-For")
	nameForwardedProto = []byte("X-Forwarded-Proto")
	nameForwardedHost  = []byte("X-Forwarded-Host")
)

// towardsACS appends to dst the fields of a CPE's request that travel on. Host
// is the CPE's own, so that URLs which an ACS makes of it lead back here.
func (x *exchange) towardsACS(dst []h1.Field, to *upstream.Node) []h1.Field {
	in, host := x.req.Fields, x.req.Host
	if len(host) == 0 {
		host = []byte(to.Authority())
	}
	dst = append(dst, h1.Field{Name: nameHost, Value: host})
	for i := range in {
		f := in[i]
		switch {
		case h1.HopByHop(in, f.Name), isUntrusted(f.Name), x.tenant.ownsField(f.Name), isName(f.Name, "host"), isName(f.Name, "content-length"), isName(f.Name, "expect"):
			continue
		case isName(f.Name, "cookie"):
			rest, ok := withoutOwnCookie(f.Value)
			if !ok {
				continue
			}
			f.Value = rest
		case isName(f.Name, "authorization") && x.hidesAuthorization():
			continue
		}
		dst = append(dst, f)
	}
	return x.identityFields(x.forwardingFields(x.ownAuthorization(dst, to), to), to)
}

// forwardingFields appends what the upstream is to know of the CPE's side.
func (x *exchange) forwardingFields(dst []h1.Field, to *upstream.Node) []h1.Field {
	c := x.conn
	switch to.Forwarding() {
	case "x-forwarded":
		dst = append(dst,
			h1.Field{Name: nameForwardedFor, Value: c.addrText},
			h1.Field{Name: nameForwardedProto, Value: c.scheme})
		if len(x.req.Host) > 0 {
			dst = append(dst, h1.Field{Name: nameForwardedHost, Value: x.req.Host})
		}
	case "forwarded":
		dst = append(dst, h1.Field{Name: nameForwarded, Value: forwardedElement(c.addrText, x.req.Host, c.scheme)})
	}
	return dst
}

// forwardedElement writes RFC 7239's field; an IPv6 address stands in brackets
// and quotes.
func forwardedElement(addr, host, scheme []byte) []byte {
	b := append([]byte(nil), "for="...)
	if bytes.IndexByte(addr, ':') >= 0 {
		b = append(append(append(b, `"[`...), addr...), `]"`...)
	} else {
		b = append(b, addr...)
	}
	if len(host) > 0 {
		b = append(append(append(b, `;host="`...), host...), '"')
	}
	return append(append(b, ";proto="...), scheme...)
}

// towardsCPE appends to dst the fields of an ACS's answer that travel on.
func (x *exchange) towardsCPE(dst []h1.Field) ([]h1.Field, error) {
	in := x.resp.Fields
	for i := range in {
		f := in[i]
		switch {
		case h1.HopByHop(in, f.Name), isName(f.Name, "content-length"):
			continue
		case isName(f.Name, "location"):
			rewritten, err := x.location(f.Value)
			if err != nil {
				return nil, err
			}
			f.Value = rewritten
		}
		dst = append(dst, f)
	}
	return dst, nil
}
