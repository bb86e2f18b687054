package proxy

import (
	"crypto/sha1"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"encoding/pem"
	"fmt"
	"net/url"
	"strings"
	"time"

	"github.com/cwmpgate/cwmpgate/audit"
	"github.com/cwmpgate/cwmpgate/proxy/h1"
	"github.com/cwmpgate/cwmpgate/proxy/upstream"
)

// setOwnFields lists the names that an operator has the gateway set: a CPE must
// not be able to send one of them.
func (t *tenant) setOwnFields() {
	t.ownFields = make(map[string]bool)
	for _, n := range t.nodes() {
		for _, f := range n.Identify().Fields {
			t.ownFields[upstream.FoldName(f.Name)] = true
		}
	}
}

func (t *tenant) ownsField(name []byte) bool {
	return len(t.ownFields) > 0 && len(name) <= upstream.LongestName && t.ownFields[upstream.FoldName(string(name))]
}

var (
	nameClientCert      = []byte("Client-Cert")
	nameClientCertChain = []byte("Client-Cert-Chain")
)

// identityFields appends what the upstream is to know of whom the gateway has
// verified.
func (x *exchange) identityFields(dst []h1.Field, to *upstream.Node) []h1.Field {
	how := to.Identify()
	if x.shown != nil && how.RFC9440 != "none" && how.RFC9440 != "" {
		chain := x.conn.shown.Chains[0]
		dst = append(dst, h1.Field{Name: nameClientCert, Value: byteSequence(nil, chain[0])})
		var above []byte
		for _, c := range chain[1:] {
			if len(above) > 0 {
				above = append(above, ", "...)
			}
			above = byteSequence(above, c)
		}
		if how.RFC9440 == "chain" && len(above) > 0 {
			dst = append(dst, h1.Field{Name: nameClientCertChain, Value: above})
		}
	}
	for _, f := range how.Fields {
		if value := x.identityValue(f.Value); value != "" {
			dst = append(dst, h1.Field{Name: []byte(f.Name), Value: []byte(value)})
		}
	}
	return dst
}

// byteSequence writes a certificate as RFC 8941 section 3.3.5 has it.
func byteSequence(dst []byte, c *x509.Certificate) []byte {
	return append(base64.StdEncoding.AppendEncode(append(dst, ':'), c.Raw), ':')
}

func (x *exchange) identityValue(what string) string {
	switch {
	case what == "identity" && x.session != nil:
		return x.session.origin.Identity
	case what == "identity":
		return audit.IdentityClaimed
	case what == "verify" && x.shown == nil:
		return "NONE"
	case x.shown == nil:
		return ""
	}
	c := x.shown.Certificate
	switch what {
	case "verify":
		return "SUCCESS"
	case "subject":
		return printable(c.Subject.String())
	case "issuer":
		return printable(c.Issuer.String())
	case "serial":
		return fmt.Sprintf("%x", c.SerialNumber)
	case "sha256":
		sum := sha256.Sum256(c.Raw)
		return hex.EncodeToString(sum[:])
	case "sha1": // as nginx's fingerprint; nothing rests on it
		sum := sha1.Sum(c.Raw)
		return hex.EncodeToString(sum[:])
	case "not_after":
		return c.NotAfter.UTC().Format(time.RFC3339)
	case "certificate":
		text := url.QueryEscape(string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Raw})))
		return strings.ReplaceAll(text, "+", "%20")
	}
	return ""
}

// printable keeps a name in a certificate from ending a field and beginning
// another: control characters are written as RFC 2253 writes any byte.
func printable(s string) string {
	if strings.IndexFunc(s, isControl) < 0 {
		return s
	}
	var b strings.Builder
	for i := range len(s) {
		if isControl(rune(s[i])) {
			fmt.Fprintf(&b, "\\%02X", s[i])
		} else {
			b.WriteByte(s[i])
		}
	}
	return b.String()
}

func isControl(r rune) bool { return r < 0x20 || r == 0x7f }
