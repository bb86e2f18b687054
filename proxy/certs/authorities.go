package certs

import (
	"crypto/x509"
	"time"

	"github.com/cwmpgate/cwmpgate/configs"
)

// authorities are those that certificates are judged by. They are never changed,
// only replaced.
type authorities struct {
	pool *x509.CertPool
	list []listed
	of   map[string][]entry // by DER
	sha1 []*x509.Certificate
	crls map[string][]*crl // by the issuer's name
}

// listed is a certificate with the file that it is from.
type listed struct {
	file configs.Path
	cert *x509.Certificate
}

// newAuthorities makes them of files that were read.
func newAuthorities(list []Authority, f *files) (*authorities, error) {
	a := &authorities{pool: x509.NewCertPool(), of: make(map[string][]entry), crls: make(map[string][]*crl)}
	for _, c := range list {
		cas, err := parseAuthorities(c.File, f.texts[c.File])
		if err != nil {
			return nil, err
		}
		e, err := newEntry(c)
		if err != nil {
			return nil, err
		}
		for _, ca := range cas {
			a.pool.AddCert(ca)
			a.list = append(a.list, listed{c.File, ca})
			a.of[string(ca.Raw)] = append(a.of[string(ca.Raw)], e)
		}
		if c.AllowSHA1 {
			a.sha1 = append(a.sha1, cas...)
		}
		for _, name := range c.CRLs {
			l, err := parseCRL(name, f.texts[name], cas)
			if err != nil {
				return nil, err
			}
			l.strict = c.StaleCRL != StaleAccept
			a.crls[string(l.issuer.RawSubject)] = append(a.crls[string(l.issuer.RawSubject)], l)
		}
		for _, fetched := range c.Fetch {
			if err := a.addFetched(fetched.File, f.texts[fetched.File], cas, c.StaleCRL != StaleAccept); err != nil {
				return nil, err
			}
		}
	}
	return a, nil
}

// addFetched adds a list that is fetched. One that has not come yet stands as one
// that is out of date.
func (a *authorities) addFetched(name configs.Path, text []byte, cas []*x509.Certificate, strict bool) error {
	if len(text) == 0 {
		for _, ca := range cas {
			a.crls[string(ca.RawSubject)] = append(a.crls[string(ca.RawSubject)], &crl{file: name, issuer: ca, next: time.Unix(0, 0), strict: strict})
		}
		return nil
	}
	l, err := parseCRL(name, text, cas)
	if err != nil {
		return err
	}
	l.strict = strict
	a.crls[string(l.issuer.RawSubject)] = append(a.crls[string(l.issuer.RawSubject)], l)
	return nil
}

// askOCSP gives the reason to refuse the CPE's own certificate for what the
// responders of its authority say, or "". Where the authority stands in the config
// more than once, one that has nothing against it is enough.
func askOCSP(entries []entry, chain []*x509.Certificate, now time.Time, wait bool) (reason string) {
	for _, e := range entries {
		if e.ocsp == nil || len(chain) < 2 {
			return ""
		}
		if reason = e.ocsp.judge(chain[0], chain[1], now, wait); reason == "" {
			return ""
		}
	}
	return reason
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
	refused := &Refusal{Subject: subjectOf(shown[0])}
	chains, err := shown[0].Verify(opt)
	if err != nil {
		refused.Reason, refused.cause = refusalReason(err, now), err
		if refused.Reason != reasonUnknownAuthority || !hasSHA1(shown) {
			return nil, refused
		}
		chain, reason := chainBySHA1(shown, a.sha1, now)
		if reason == reasonUnknownAuthority {
			refused.Reason = reasonSHA1
			return nil, refused
		}
		if reason != "" {
			return nil, &Refusal{Reason: reason, Subject: refused.Subject}
		}
		chains = [][]*x509.Certificate{chain}
	}
	kept := chains[:0]
	for _, chain := range chains {
		entries, reason := a.entriesFor(chain)
		if reason == "" {
			reason = a.revoked(chain, now)
		}
		if reason == "" {
			reason = askOCSP(entries, chain, now, true)
		}
		if reason == "" {
			kept = append(kept, chain)
			continue
		}
		refused.Reason = reason
	}
	if len(kept) == 0 {
		return nil, refused
	}
	return kept, nil
}

// revoked gives the reason to refuse a chain for a revocation list, or "".
func (a *authorities) revoked(chain []*x509.Certificate, now time.Time) string {
	if len(a.crls) == 0 {
		return ""
	}
	for _, c := range chain {
		for _, l := range a.crls[string(c.RawIssuer)] {
			if reason := l.judge(c, now); reason != "" {
				return reason
			}
		}
	}
	return ""
}
