package certs

import (
	"bytes"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/cwmpgate/cwmpgate/configs"
)

// Clients says which certificates CPEs are asked for.
type Clients struct {
	Mode        string      `yaml:"mode" enum:"off|optional|required" doc:"off: CPEs are not asked for a certificate; optional: one that is shown must be right; required: no connection without one."`
	Authorities []Authority `yaml:"authorities" doc:"The authorities that CPEs' certificates are verified against; their names are sent to CPEs, so that one with several certificates can choose."`
}

// Authority is a file of certificates that sign those of CPEs.
type Authority struct {
	File configs.Path `yaml:"file" required:"true" doc:"PEM file of one or more CA certificates. Each is trusted as it stands, also one that another has signed."`
}

// The modes of Clients.
const (
	ModeOff      = "off"
	ModeOptional = "optional"
	ModeRequired = "required"
)

// SetDefaults gives a listener its defaults before its section is read.
func (c *Clients) SetDefaults() { c.Mode = ModeOff }

// Validate reports what no single key's type can tell.
func (c *Clients) Validate(at configs.At) {
	switch {
	case at.Wrong("mode") || at.Wrong("authorities"):
	case c.Mode == ModeOff && len(c.Authorities) > 0:
		at.Errorf("authorities", "no certificate is asked for, so authorities would never be used: set mode to optional or required")
	case c.Mode != ModeOff && len(c.Authorities) == 0:
		at.Errorf("authorities", "mode %s needs the authorities that certificates are verified against", c.Mode)
	}
	for i, a := range c.Authorities {
		if _, err := a.read(); err != nil {
			at.Item("authorities", i).Errorf("file", "%v", err)
		}
	}
}

// read returns the certificates of the file.
func (a Authority) read() (list []*x509.Certificate, err error) {
	rest, err := os.ReadFile(string(a.File))
	if err != nil {
		return nil, fmt.Errorf("read authority: %w", err)
	}
	for {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil {
			break
		}
		if block.Type != "CERTIFICATE" {
			return nil, fmt.Errorf("%s holds a %s, where only certificates belong", a.File, strings.ToLower(block.Type))
		}
		cert, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, fmt.Errorf("parse certificate %d of %s: %w", len(list)+1, a.File, err)
		}
		if cert.BasicConstraintsValid && !cert.IsCA {
			return nil, fmt.Errorf("certificate %d of %s, %s, is no CA", len(list)+1, a.File, cert.Subject)
		}
		list = append(list, cert)
	}
	if len(list) == 0 || len(bytes.TrimSpace(rest)) > 0 {
		return nil, fmt.Errorf("%s is no PEM file of certificates", a.File)
	}
	return list, nil
}

// authorities are those that a certificate is judged by.
type authorities struct{ pool *x509.CertPool }

func readAuthorities(list []Authority) (*authorities, error) {
	a := &authorities{pool: x509.NewCertPool()}
	for _, f := range list {
		certs, err := f.read()
		if err != nil {
			return nil, err
		}
		for _, c := range certs {
			a.pool.AddCert(c)
		}
	}
	return a, nil
}

// verify returns the chains from shown[0] to an authority; its error is a
// *Refusal.
func (a *authorities) verify(shown []*x509.Certificate, now time.Time) ([][]*x509.Certificate, error) {
	opt := x509.VerifyOptions{
		Roots: a.pool, Intermediates: x509.NewCertPool(), CurrentTime: now,
		KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	}
	for _, c := range shown[1:] {
		opt.Intermediates.AddCert(c)
	}
	chains, err := shown[0].Verify(opt)
	if err != nil {
		return nil, &Refusal{Reason: refusalReason(err, now), Subject: subjectOf(shown[0]), cause: err}
	}
	return chains, nil
}

// Refusal is why a CPE's certificate is not accepted.
type Refusal struct {
	Reason  string // of the closed list in docs/tls.md
	Subject string // that the certificate claims, cut at 256 bytes
	cause   error
}

func (r *Refusal) Error() string { return fmt.Sprintf("certificate of %q: %v", r.Subject, r.cause) }

func (r *Refusal) Unwrap() error { return r.cause }

// The reasons of a Refusal.
const (
	reasonUnknownAuthority = "certificate-unknown-authority"
	reasonExpired          = "certificate-expired"
	reasonNotYetValid      = "certificate-not-yet-valid"
	reasonUsage            = "certificate-usage"
	reasonConstraints      = "certificate-constraints" // path length, name constraints
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
	switch {
	case errors.As(err, &unknown):
		return reasonUnknownAuthority
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
