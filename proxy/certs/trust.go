package certs

import (
	"crypto/x509"
	"slices"
	"sync/atomic"
	"time"

	"github.com/cwmpgate/cwmpgate/audit"
	"github.com/cwmpgate/cwmpgate/proxy/identity"
)

// Trust is whose certificates are accepted for what: a tenant, or a listener's
// tenants that say nothing of their own.
type Trust struct {
	cfg     Clients
	now     func() time.Time
	inForce atomic.Pointer[trusted]
}

// trusted is what holds at one time.
type trusted struct {
	*authorities
	files *files
}

// NewTrust reads the authorities of c.
func NewTrust(c Clients) (*Trust, error) {
	t := &Trust{cfg: c, now: time.Now}
	_, err := t.Reload()
	return t, err
}

// Reload reads the authorities anew, and tells whether they are others. After an
// error those that were read before hold.
func (t *Trust) Reload() (changed bool, err error) {
	f, err := readAuthorities(t.cfg.Authorities)
	if err != nil {
		return false, err
	}
	if before := t.inForce.Load(); before != nil && before.files.sum == f.sum {
		return false, nil
	}
	a, err := newAuthorities(t.cfg.Authorities, f)
	if err != nil {
		return false, err
	}
	t.inForce.Store(&trusted{a, f})
	return true, nil
}

// Judge tells what a CPE has shown of itself to those of t, by what is in force
// now; nil where it has shown nothing that they ask for. Its error is a *Refusal.
func (t *Trust) Judge(p *Peer) (*Shown, error) {
	switch {
	case t.cfg.Mode == ModeOff, len(p.Chains) == 0 && t.cfg.Mode == ModeOptional:
		return nil, nil
	case len(p.Chains) == 0:
		return nil, &Refusal{Reason: reasonMissing}
	}
	a, now := t.inForce.Load(), t.now()
	s, reason := &Shown{Certificate: p.Chains[0][0]}, reasonUnknownAuthority
	accepted := false
	for _, chain := range p.Chains {
		entries, why := a.entriesFor(chain)
		if why == reasonUnknownAuthority {
			continue
		}
		if why == "" {
			why = a.judgeAgain(chain, now)
		}
		if why == "" {
			why = askOCSP(entries, chain, now, false)
		}
		if why != "" {
			reason = why
			continue
		}
		accepted = true
		for _, e := range entries {
			if e.naming != nil {
				s.namings = append(s.namings, e.naming)
			}
		}
	}
	if !accepted {
		return nil, &Refusal{Reason: reason, Subject: subjectOf(s.Certificate)}
	}
	return s, nil
}

// judgeAgain looks at what may have changed since the handshake, for a connection
// may stay open for long, and at what another tenant allows and this one does not.
func (a *authorities) judgeAgain(chain []*x509.Certificate, now time.Time) string {
	if anchor := chain[len(chain)-1]; hasSHA1(chain[:len(chain)-1]) && !slices.ContainsFunc(a.sha1, anchor.Equal) {
		return reasonSHA1
	}
	for _, c := range chain {
		if now.After(c.NotAfter) {
			return reasonExpired
		}
	}
	return a.revoked(chain, now)
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
