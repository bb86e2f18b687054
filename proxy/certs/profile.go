package certs

import "crypto/tls"

// The names of profiles.
const (
	ProfileModern       = "modern"
	ProfileStrict       = "strict"
	ProfileIntermediate = "intermediate"
	ProfileLegacy       = "legacy"
)

// profile is what TLS a CPE must speak at least. Suites are always listed: what
// Go takes where none are named changes with its version and its environment.
// Those of TLS 1.3 cannot be chosen; all three are strong.
type profile struct {
	version uint16
	suites  []uint16
}

var strictSuites = []uint16{
	tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256, tls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,
	tls.TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384, tls.TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384,
	tls.TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256, tls.TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256,
}

// intermediateSuites have no forward secrecy; TR-069 Amendment 6, section 3.3,
// names the first as the only one that a CPE must have.
var intermediateSuites = []uint16{tls.TLS_RSA_WITH_AES_128_CBC_SHA, tls.TLS_RSA_WITH_AES_256_CBC_SHA}

var legacySuites = []uint16{
	tls.TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA, tls.TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA,
	tls.TLS_ECDHE_ECDSA_WITH_AES_256_CBC_SHA, tls.TLS_ECDHE_RSA_WITH_AES_256_CBC_SHA,
	tls.TLS_RSA_WITH_AES_128_GCM_SHA256, tls.TLS_RSA_WITH_AES_256_GCM_SHA384,
}

var tripleDESSuites = []uint16{tls.TLS_ECDHE_RSA_WITH_3DES_EDE_CBC_SHA, tls.TLS_RSA_WITH_3DES_EDE_CBC_SHA}

// profile is the one that c names.
func (c *Config) profile() profile {
	p := profile{tls.VersionTLS12, append([]uint16(nil), strictSuites...)}
	switch c.Profile {
	case ProfileModern:
		p.version = tls.VersionTLS13
	case ProfileIntermediate:
		p.suites = append(p.suites, intermediateSuites...)
	case ProfileLegacy:
		p.version = tls.VersionTLS10
		p.suites = append(append(p.suites, intermediateSuites...), legacySuites...)
		if c.TripleDES {
			p.suites = append(p.suites, tripleDESSuites...)
		}
	}
	return p
}

// needsRSA tells whether some suites of a profile work with an RSA certificate
// only.
func (c *Config) needsRSA() bool {
	return c.Profile == ProfileIntermediate || c.Profile == ProfileLegacy
}
