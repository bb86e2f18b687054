package upstream

import (
	"crypto/x509"
	"fmt"
	"strings"

	"github.com/cwmpgate/cwmpgate/configs"
)

// Identify says how an ACS is told whom the gateway has verified.
type Identify struct {
	RFC9440 string  `yaml:"rfc9440" enum:"none|certificate|chain" doc:"The certificate that the CPE has shown in Client-Cert (RFC 9440), and with chain also what is above it in Client-Cert-Chain."`
	Fields  []Field `yaml:"fields" doc:"Further fields, by names of your own. A field of such a name that a CPE sends is removed."`
}

// Field is one that the gateway sets.
type Field struct {
	Name  string `yaml:"name" required:"true" doc:"Name of the field, as in X-SSL-Client-S-DN."`
	Value string `yaml:"value" required:"true" enum:"verify|subject|issuer|serial|sha256|sha1|not_after|certificate|identity" doc:"verify: SUCCESS, or NONE where no certificate was shown; subject, issuer: as RFC 2253 writes names; serial, sha256, sha1: hex; not_after: RFC 3339; certificate: PEM, percent-encoded; identity: what the record says of the session, claimed, class, http or certificate. But for verify and identity there is no field where no certificate was shown."`
}

// SetDefaults gives the section its defaults before it is read.
func (i *Identify) SetDefaults() { i.RFC9440 = "none" }

// mayNotBe are fields that mean something else.
var mayNotBe = []string{
	"host", "connection", "keep-alive", "proxy-connection", "te", "trailer", "transfer-encoding", "upgrade", "expect", "authorization",
	"cookie", "soapaction", "client-cert", "client-cert-chain", "date", "server", "accept", "accept-encoding", "range", "user-agent",
}

// Validate reports names that are none, or mean something else.
func (i *Identify) Validate(at configs.At) {
	seen := map[string]bool{}
	for n, f := range i.Fields {
		item, name := at.Item("fields", n), FoldName(f.Name)
		switch {
		case f.Name == "":
		case !isName(f.Name):
			item.Errorf("name", "%q is no name of a field: letters, digits, hyphens and underscores, at most %d", f.Name, LongestName)
		case seen[name]:
			item.Errorf("name", "%s is there twice; hyphens and underscores are the same to many servers", f.Name)
		case isReserved(name):
			item.Errorf("name", "%s means something else", f.Name)
		}
		seen[name] = true
	}
}

func isReserved(name string) bool {
	for _, r := range mayNotBe {
		if name == r {
			return true
		}
	}
	return strings.HasPrefix(name, "content-") || strings.HasPrefix(name, "x-forwarded-") || name == "forwarded"
}

// LongestName is how many bytes a field's name may have that the gateway sets.
const LongestName = 64

func isName(s string) bool {
	for i := range len(s) {
		c := s[i]
		if !('a' <= c|0x20 && c|0x20 <= 'z' || '0' <= c && c <= '9' || c == '-' || c == '_') {
			return false
		}
	}
	return len(s) <= LongestName
}

// FoldName is a name as CGI-like servers see it: they tell neither case nor
// hyphens and underscores apart.
func FoldName(name string) string { return strings.ReplaceAll(strings.ToLower(name), "_", "-") }

// Identify is how the ACS is told whom the gateway has verified.
func (n *Node) Identify() *Identify { return &n.identify }

// Reload reads the files of TLS anew, and tells whether they are others. New
// connections use them. After an error those that were read before are used.
func (n *Node) Reload() (changed bool, err error) { return n.readTLS() }

// HasTLS tells whether the ACS is spoken to by https: only then there is
// something to reload.
func (n *Node) HasTLS() bool { return n.scheme == "https" }

// Certificates are those that the gateway shows the ACS and verifies it by, with
// the files that they are from.
func (n *Node) Certificates() (own, authorities []File) {
	t := n.tls.Load()
	for _, c := range t.config.Certificates {
		own = append(own, File{string(n.files.Certificate), c.Leaf})
	}
	for _, c := range t.authorities {
		authorities = append(authorities, File{string(n.files.CA), c})
	}
	return own, authorities
}

// File is a certificate and where it is from.
type File struct {
	Name        string
	Certificate *x509.Certificate
}

func (n *Node) readTLS() (changed bool, err error) {
	next, err := n.files.read(n.host)
	if err != nil {
		return false, fmt.Errorf("read tls of %s: %w", n.name, err)
	}
	if before := n.tls.Load(); before != nil && before.sum == next.sum {
		return false, nil
	}
	n.tls.Store(next)
	return true, nil
}
