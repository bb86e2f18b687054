// Package certs is the TLS of listeners: the certificates that CPEs are shown,
// and those that CPEs show. A chain is judged at every handshake, also of a
// resumed session, by what is in force at that moment.
package certs

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net"
	"regexp"
	"slices"
	"strings"

	"github.com/cwmpgate/cwmpgate/configs"
)

// Config is the TLS of one listener.
type Config struct {
	Certificates []Files    `yaml:"certificates" doc:"Certificates to serve. A CPE gets one for the name that it sends, and of those one that it can verify, ECDSA before RSA; without a name, or with an unknown one, it gets what has the names of the first."`
	SelfSigned   SelfSigned `yaml:"self_signed" doc:"A certificate that the gateway makes for a first run, where no other is given."`
	ACME         []string   `yaml:"acme" doc:"Host names to get certificates for by ACME, in place of certificates; certificates.acme says from whom."`
	Profile      string     `yaml:"profile" enum:"modern|strict|intermediate|legacy" doc:"What TLS a CPE must speak. modern: 1.3; strict: 1.2 with ECDHE and AEAD, too; intermediate: RSA key exchange with AES, too, which TR-069 has CPEs know; legacy: 1.0 and 1.1, too. See docs/tls.md."`
	TripleDES    bool       `yaml:"triple_des" doc:"With profile legacy: 3DES, too, for CPEs that know nothing else."`
	Clients      Clients    `yaml:"client_certificates" doc:"Certificates that CPEs are asked for."`
}

// Files is one certificate with its key.
type Files struct {
	Certificate configs.Path `yaml:"certificate" required:"true" doc:"PEM file of the certificate and the chain behind it, without the root."`
	Key         configs.Path `yaml:"key" required:"true" doc:"PEM file of the private key."`
}

// SelfSigned is where a made certificate is kept, and for whom it is.
type SelfSigned struct {
	Directory configs.Path `yaml:"directory" doc:"Directory that holds cwmpgate-selfsigned.pem and .key (mode 0600); made where it is absent."`
	Names     []string     `yaml:"names" doc:"Host names and addresses in the certificate; localhost, 127.0.0.1 and ::1 where none are given."`
}

var hostForm = regexp.MustCompile(`^(\*\.)?([a-z0-9_]([a-z0-9-]{0,61}[a-z0-9])?\.)*[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$`)

// Covers tells whether a CPE that sends name is shown a certificate for it. One
// that the gateway makes itself is for a first run, and covers all.
func (c *Config) Covers(name string) (bool, error) {
	if len(c.ACME) > 0 {
		_, below, _ := strings.Cut(name, ".")
		return slices.Contains(c.ACME, name) || slices.Contains(c.ACME, "*."+below), nil
	}
	for _, f := range c.Certificates {
		cert, err := tls.LoadX509KeyPair(string(f.Certificate), string(f.Key))
		if err != nil {
			return false, fmt.Errorf("load certificate: %w", err)
		}
		if cert.Leaf.VerifyHostname(name) == nil {
			return true, nil
		}
	}
	return len(c.Certificates) == 0, nil
}

// IsHostName tells whether a CPE may send name by SNI.
func IsHostName(name string) bool {
	return len(name) <= 253 && name != "" && name[0] != '*' && hostForm.MatchString(name) && net.ParseIP(name) == nil
}

// SetDefaults gives a listener its defaults before its section is read.
func (c *Config) SetDefaults() { c.Profile = ProfileIntermediate }

// Validate reports a listener with no certificate at all, or with both kinds.
func (c *Config) Validate(at configs.At) {
	switch {
	case len(c.ACME) > 0 && (len(c.Certificates) > 0 || c.SelfSigned.Directory != ""):
		at.Errorf("acme", "certificates come from one place: acme, certificates or self_signed")
	case len(c.ACME) > 0:
	case len(c.Certificates) == 0 && c.SelfSigned.Directory == "" && !at.Wrong("self_signed"):
		at.Errorf("certificates", "TLS needs certificates, acme with names, or self_signed with a directory for a first run")
	case len(c.Certificates) > 0 && c.SelfSigned.Directory != "":
		at.Errorf("self_signed", "certificates are given, so self_signed would never be used")
	}
	for i, name := range c.ACME {
		if !hostForm.MatchString(name) || len(name) > 253 {
			at.Item("acme", i).Errorf("", "%q is no host name in lower case", name)
		}
	}
	if c.TripleDES && c.Profile != ProfileLegacy && !at.Wrong("profile") {
		at.Errorf("triple_des", "profile %s has no 3DES: it goes with profile legacy", c.Profile)
	}
	for i, f := range c.Certificates {
		if _, err := tls.LoadX509KeyPair(string(f.Certificate), string(f.Key)); err != nil {
			at.Item("certificates", i).Errorf("", "%v", err)
		}
	}
}

// PublicRoots are the subjects of those of pool that the listener's own
// certificates lead to: CPEs know what was in their firmware, which may be none of
// those.
func (c *Config) PublicRoots(pool *x509.CertPool) (roots []string, err error) {
	for _, f := range c.Certificates {
		text, err := readFile(f.Certificate)
		if err != nil {
			return nil, err
		}
		list, err := parseCertificates(f.Certificate, text)
		if err != nil {
			return nil, err
		}
		opt := x509.VerifyOptions{Roots: pool, Intermediates: x509.NewCertPool()}
		for _, i := range list[1:] {
			opt.Intermediates.AddCert(i)
		}
		chains, err := list[0].Verify(opt)
		if err != nil {
			continue // an authority of the operator's own, or one that has ended
		}
		last := chains[0][len(chains[0])-1]
		if name := last.Subject.String(); !slices.Contains(roots, name) {
			roots = append(roots, name)
		}
	}
	return roots, nil
}
