package certs

import (
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"fmt"
	"slices"

	"github.com/cwmpgate/cwmpgate/proxy/identity"
)

// pin is the SHA-256 of a certificate's SubjectPublicKeyInfo: it stays the same
// where a certificate is renewed for the same key.
type pin [sha256.Size]byte

func pinOf(c *x509.Certificate) pin { return sha256.Sum256(c.RawSubjectPublicKeyInfo) }

// parsePin reads base64 as openssl writes it.
func parsePin(text string) (p pin, err error) {
	b, err := base64.StdEncoding.Strict().DecodeString(text)
	if err != nil || len(b) != len(p) {
		return p, fmt.Errorf("%q is not the base64 of a SHA-256, which has 44 characters", text)
	}
	return pin(b), nil
}

// entry is what the config says of one authority's certificates.
type entry struct {
	naming *identity.Naming // nil: certificates of a product
	pins   []pin            // none: any key will do
	ocsp   *OCSP            // nil: nobody is asked
}

func newEntry(c Authority) (e entry, err error) {
	e.ocsp = c.OCSP
	if c.Device != nil {
		if e.naming, err = identity.New(*c.Device); err != nil {
			return e, fmt.Errorf("names of devices: %w", err)
		}
	}
	for _, text := range c.Pins {
		p, err := parsePin(text)
		if err != nil {
			return e, fmt.Errorf("pins: %w", err)
		}
		e.pins = append(e.pins, p)
	}
	return e, nil
}

// allows tells whether the key of a certificate in the chain is pinned, from the
// CPE's up to the authority.
func (e *entry) allows(chain []*x509.Certificate) bool {
	return len(e.pins) == 0 || slices.ContainsFunc(chain, func(c *x509.Certificate) bool { return slices.Contains(e.pins, pinOf(c)) })
}

// entriesFor are those that a chain's authority has and whose pins allow it, or
// the reason why there are none.
func (a *authorities) entriesFor(chain []*x509.Certificate) (allowed []entry, reason string) {
	all := a.of[string(chain[len(chain)-1].Raw)]
	if len(all) == 0 {
		return nil, reasonUnknownAuthority
	}
	for _, e := range all {
		if e.allows(chain) {
			allowed = append(allowed, e)
		}
	}
	if len(allowed) == 0 {
		return nil, reasonPin
	}
	return allowed, ""
}
