package certs

import (
	"crypto/x509"
	"encoding/asn1"
	"errors"
	"fmt"
	"time"

	"github.com/cwmpgate/cwmpgate/configs"
)

// crl is a certificate revocation list whose signature has been checked.
type crl struct {
	file    configs.Path
	issuer  *x509.Certificate
	revoked map[string]struct{} // serial numbers, big-endian
	next    time.Time           // when it is stale; zero: never
	strict  bool                // a stale one accepts nothing
}

// Extensions that make a list another thing than a whole one of its signer.
var (
	oidDeltaCRL          = asn1.ObjectIdentifier{2, 5, 29, 27}
	oidCertificateIssuer = asn1.ObjectIdentifier{2, 5, 29, 29}
)

// parseCRL reads a list that one of cas has signed.
func parseCRL(name configs.Path, text []byte, cas []*x509.Certificate) (*crl, error) {
	list, err := parseList(name, text)
	if err != nil {
		return nil, err
	}
	for _, e := range list.Extensions {
		if e.Id.Equal(oidDeltaCRL) {
			return nil, fmt.Errorf("%s is a delta list; give whole ones", name)
		}
	}
	c := &crl{file: name, next: list.NextUpdate, revoked: make(map[string]struct{}, len(list.RevokedCertificateEntries))}
	err = errors.New("none of the authority's certificates has its issuer's name")
	for _, ca := range cas {
		if string(ca.RawSubject) != string(list.RawIssuer) {
			continue
		}
		if err = list.CheckSignatureFrom(ca); err == nil {
			c.issuer = ca
			break
		}
	}
	if err != nil {
		return nil, fmt.Errorf("check the signature of revocation list %s: %w", name, err)
	}
	for _, e := range list.RevokedCertificateEntries {
		for _, x := range e.Extensions {
			if x.Id.Equal(oidCertificateIssuer) {
				return nil, fmt.Errorf("%s is an indirect list; give those of each issuer", name)
			}
		}
		c.revoked[string(e.SerialNumber.Bytes())] = struct{}{}
	}
	return c, nil
}

// judge gives the reason to refuse a certificate of the list's issuer, or "".
func (c *crl) judge(cert *x509.Certificate, now time.Time) string {
	if _, ok := c.revoked[string(cert.SerialNumber.Bytes())]; ok {
		return reasonRevoked
	}
	if c.strict && c.stale(now) {
		return reasonStaleCRL
	}
	return ""
}

func (c *crl) stale(now time.Time) bool { return !c.next.IsZero() && now.After(c.next) }
