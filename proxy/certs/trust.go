package certs

import (
	"crypto/x509"
	"slices"
	"sync/atomic"
	"time"

	"github.com/cwmpgate/cwmpgate/audit"
	"github.com/cwmpgate/cwmpgate/proxy/identity"
)

// authorities are those that certificates are judged by. They are never changed,
// only replaced.
type authorities struct {
	pool *x509.CertPool
	of   map[string][]*identity.Naming // by DER; nil: certificates of a product
}

func readAuthorities(list []Authority) (*authorities, error) {
	a := &authorities{pool: x509.NewCertPool(), of: make(map[string][]*identity.Naming)}
	for _, f := range list {
		certs, err := f.read()
		if err != nil {
			return nil, err
		}
		var naming *identity.Naming
		if f.Device != nil {
			if naming, err = identity.New(*f.Device); err != nil {
				return nil, err
			}
		}
		for _, c := range certs {
			a.pool.AddCert(c)
			a.of[string(c.Raw)] = append(a.of[string(c.Raw)], naming)
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

// Trust is whose certificates are accepted for what: a tenant, or a listener's
// tenants that say nothing of their own.
type Trust struct {
	cfg     Clients
	inForce atomic.Pointer[authorities]
}

// NewTrust reads the authorities of c.
func NewTrust(c Clients) (*Trust, error) {
	t := &Trust{cfg: c}
	a, err := readAuthorities(c.Authorities)
	if err != nil {
		return nil, err
	}
	t.inForce.Store(a)
	return t, nil
}

// Judge tells what a CPE has shown of itself to those of t; nil where it has
// shown nothing that they ask for. Its error is a *Refusal.
func (t *Trust) Judge(p *Peer) (*Shown, error) {
	switch {
	case t.cfg.Mode == ModeOff, len(p.Chains) == 0 && t.cfg.Mode == ModeOptional:
		return nil, nil
	case len(p.Chains) == 0:
		return nil, &Refusal{Reason: reasonMissing}
	}
	a := t.inForce.Load()
	s := &Shown{Certificate: p.Chains[0][0]}
	known := false
	for _, chain := range p.Chains {
		namings, ok := a.of[string(chain[len(chain)-1].Raw)]
		known = known || ok
		for _, n := range namings {
			if n != nil {
				s.namings = append(s.namings, n)
			}
		}
	}
	if !known {
		return nil, &Refusal{Reason: reasonUnknownAuthority, Subject: subjectOf(s.Certificate)}
	}
	return s, nil
}

// Shown is a certificate that was accepted.
type Shown struct {
	Certificate *x509.Certificate
	namings     []*identity.Naming // none: it is of a product
}

// Level is what the identity of d rests on with this certificate, or without
// any where s is nil; false where it is another's.
func (s *Shown) Level(d audit.Device) (level string, ok bool) {
	switch {
	case s == nil:
		return audit.IdentityClaimed, true
	case len(s.namings) == 0:
		return audit.IdentityClass, true
	}
	ok = slices.ContainsFunc(s.namings, func(n *identity.Naming) bool { return n.Names(s.Certificate, d) })
	return audit.IdentityCertificate, ok
}
