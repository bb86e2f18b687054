package certs

import (
	"crypto/tls"
	"errors"
)

// Source has certificates that are got and renewed elsewhere: by ACME.
type Source interface {
	// Certificate is the one to show at a listener for names; it wraps ErrNone
	// where there is none. It answers challenges, too.
	Certificate(hello *tls.ClientHelloInfo, names []string) (*tls.Certificate, error)
	// Held are all that there are for names.
	Held(names []string) []*tls.Certificate
}

// ErrNone says that there is no certificate to show yet.
var ErrNone = errors.New("there is no certificate yet")

// ChallengeProtocol is the ALPN name by which a CA asks for the answer to a
// TLS-ALPN-01 challenge (RFC 8737). Nothing else comes over such a connection.
const ChallengeProtocol = "acme-tls/1"

// IsChallenge tells whether a hello with these protocols is a CA's.
func IsChallenge(protocols []string) bool {
	return len(protocols) == 1 && protocols[0] == ChallengeProtocol
}

// unasked serves a CA, which has no certificate of a device.
func unasked(cfg *tls.Config) func(*tls.ClientHelloInfo) (*tls.Config, error) {
	return func(hello *tls.ClientHelloInfo) (*tls.Config, error) {
		if !IsChallenge(hello.SupportedProtos) {
			return nil, nil
		}
		c := cfg.Clone()
		c.ClientAuth = tls.NoClientCert
		return c, nil
	}
}
