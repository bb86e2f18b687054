package certs

import (
	"crypto/tls"
	"errors"
	"io"
	"net"
	"strings"
	"syscall"
)

// untyped are the ends of handshakes that package tls tells apart by their text
// alone. TestHandshakeFailures holds them to it.
var untyped = []struct{ text, reason string }{
	{"client offered only unsupported versions", "no-version"},
	{"no cipher suite supported by both client and server", "no-suite"},
	{"doesn't support any of the certificate's signature algorithms", "no-signature-algorithm"},
	{"client didn't provide a certificate", reasonMissing},
	{"failed to parse client certificate", reasonBroken},
	{"client sent certificate containing RSA key larger", reasonKey},
	{"client certificate contains an unsupported public key", reasonKey},
	{"invalid signature by the client certificate", reasonKey},
}

// FailureReason sorts failed handshakes into the closed list of docs/tls.md.
func FailureReason(err error) string {
	var refused *Refusal
	var record tls.RecordHeaderError
	var ne net.Error
	var op *net.OpError
	switch {
	case errors.As(err, &refused):
		return refused.Reason
	case errors.Is(err, ErrNone):
		return "no-certificate"
	case errors.As(err, &record) && strings.Contains(record.Msg, "SSLv2"):
		return "sslv2"
	case errors.As(err, &record):
		return "not-tls"
	case errors.As(err, &op) && op.Op == "remote error":
		return "alert"
	case errors.As(err, &ne) && ne.Timeout():
		return "time-out"
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, net.ErrClosed), errors.Is(err, syscall.ECONNRESET):
		return "closed"
	}
	for _, u := range untyped {
		if strings.Contains(err.Error(), u.text) {
			return u.reason
		}
	}
	return "other"
}

// IsUnable tells whether a handshake failed for what the CPE is able to speak,
// so that it fails each time until the profile or the CPE changes.
func IsUnable(reason string) bool {
	return strings.HasPrefix(reason, "no-") || reason == "sslv2" || reason == reasonKey
}
