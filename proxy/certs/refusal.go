package certs

import (
	"crypto/x509"
	"errors"
	"fmt"
	"time"
)

// Refusal is why a CPE's certificate is not accepted.
type Refusal struct {
	Reason  string // of the closed list in docs/tls.md
	Subject string // that the certificate claims, cut at 256 bytes; empty where none was shown
	cause   error
}

func (r *Refusal) Error() string {
	switch {
	case r.Subject == "":
		return r.Reason
	case r.cause == nil:
		return fmt.Sprintf("certificate of %q: %s", r.Subject, r.Reason)
	}
	return fmt.Sprintf("certificate of %q: %v", r.Subject, r.cause)
}

func (r *Refusal) Unwrap() error { return r.cause }

// The reasons of a Refusal.
const (
	reasonMissing          = "certificate-missing"
	reasonUnknownAuthority = "certificate-unknown-authority"
	reasonExpired          = "certificate-expired"
	reasonNotYetValid      = "certificate-not-yet-valid"
	reasonUsage            = "certificate-usage"
	reasonConstraints      = "certificate-constraints" // path length, name constraints, a critical extension that is not known
	reasonRevoked          = "certificate-revoked"
	reasonStaleCRL         = "certificate-revocation-unknown" // the issuer's list is out of date
	reasonPin              = "certificate-pin"                // it leads to an authority, and no key on the way is pinned
	reasonSHA1             = "certificate-sha1"               // leads to no authority, for signatures by SHA-1 are not counted
	reasonBroken           = "certificate-broken"
	reasonKey              = "certificate-key" // of a kind or size that is not taken, or not the certificate's
)

// subjectOf is a certificate's subject. Nobody has vouched for it yet, so that it
// may be of any length.
func subjectOf(c *x509.Certificate) string {
	text := c.Subject.String()
	return text[:min(len(text), 256)]
}

func refusalReason(err error, now time.Time) string {
	var invalid x509.CertificateInvalidError
	var unknown x509.UnknownAuthorityError
	var unread x509.UnhandledCriticalExtension
	switch {
	case errors.As(err, &unknown):
		return reasonUnknownAuthority
	case errors.As(err, &unread):
		return reasonConstraints
	case !errors.As(err, &invalid):
		return reasonBroken
	}
	switch invalid.Reason {
	case x509.Expired:
		if now.Before(invalid.Cert.NotBefore) {
			return reasonNotYetValid
		}
		return reasonExpired
	case x509.IncompatibleUsage:
		return reasonUsage
	}
	return reasonConstraints
}
