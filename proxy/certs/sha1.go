package certs

import (
	"bytes"
	"crypto/x509"
	"slices"
	"time"
)

// longestSHA1 is how many certificates a chain of this check may have.
const longestSHA1 = 6

// hasSHA1 tells whether a chain is what package x509 refuses for its signatures.
func hasSHA1(shown []*x509.Certificate) bool {
	return slices.ContainsFunc(shown, func(c *x509.Certificate) bool {
		return c.SignatureAlgorithm == x509.SHA1WithRSA || c.SignatureAlgorithm == x509.ECDSAWithSHA1
	})
}

// chainBySHA1 builds and checks a chain to one of anchors as package x509 would
// if it took SHA-1. It is stricter where that costs nothing: a chain has one way
// up only, and name constraints are not read, so that they refuse it.
func chainBySHA1(shown, anchors []*x509.Certificate, now time.Time) (chain []*x509.Certificate, reason string) {
	chain = shown[:1:1]
	for {
		last := chain[len(chain)-1]
		anchor := signer(last, anchors, nil)
		if anchor != nil {
			chain = append(chain, anchor)
			break
		}
		next := signer(last, shown[1:], chain)
		if next == nil || len(chain)+1 >= longestSHA1 {
			return nil, reasonUnknownAuthority
		}
		chain = append(chain, next)
	}
	for i, c := range chain {
		if reason := judgeLink(c, i, now); reason != "" {
			return nil, reason
		}
	}
	return chain, ""
}

// signer finds who has signed c among list, but for those in used.
func signer(c *x509.Certificate, list, used []*x509.Certificate) *x509.Certificate {
	for _, s := range list {
		if bytes.Equal(s.RawSubject, c.RawIssuer) && !slices.ContainsFunc(used, s.Equal) &&
			// Unlike CheckSignatureFrom this takes SHA-1, if nothing older.
			s.CheckSignature(c.SignatureAlgorithm, c.RawTBSCertificate, c.Signature) == nil {
			return s
		}
	}
	return nil
}

// judgeLink checks the certificate at place i of a chain, 0 being the CPE's.
func judgeLink(c *x509.Certificate, i int, now time.Time) string {
	switch {
	case now.Before(c.NotBefore):
		return reasonNotYetValid
	case now.After(c.NotAfter):
		return reasonExpired
	case len(c.UnhandledCriticalExtensions) > 0, hasNameConstraints(c):
		return reasonConstraints
	case !allowsClients(c):
		return reasonUsage
	case i == 0:
		return ""
	case c.Version == 3 && (!c.BasicConstraintsValid || !c.IsCA),
		c.KeyUsage != 0 && c.KeyUsage&x509.KeyUsageCertSign == 0,
		c.BasicConstraintsValid && c.MaxPathLen >= 0 && i-1 > c.MaxPathLen:
		return reasonConstraints
	}
	return ""
}

func hasNameConstraints(c *x509.Certificate) bool {
	return len(c.PermittedDNSDomains)+len(c.ExcludedDNSDomains)+len(c.PermittedIPRanges)+len(c.ExcludedIPRanges)+
		len(c.PermittedEmailAddresses)+len(c.ExcludedEmailAddresses)+len(c.PermittedURIDomains)+len(c.ExcludedURIDomains) > 0
}

func allowsClients(c *x509.Certificate) bool {
	return len(c.ExtKeyUsage)+len(c.UnknownExtKeyUsage) == 0 ||
		slices.Contains(c.ExtKeyUsage, x509.ExtKeyUsageClientAuth) || slices.Contains(c.ExtKeyUsage, x509.ExtKeyUsageAny)
}
