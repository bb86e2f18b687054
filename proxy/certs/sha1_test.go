package certs

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"testing"
	"time"
)

func bySHA1(changes ...func(*x509.Certificate)) func(*x509.Certificate) {
	return func(c *x509.Certificate) {
		c.SignatureAlgorithm = x509.ECDSAWithSHA1
		for _, change := range changes {
			change(c)
		}
	}
}

// TestSHA1: chains with signatures by SHA-1 are taken for the authorities that
// say so alone, and are held to all else as others are.
func TestSHA1(t *testing.T) {
	root := issue(t, "root", nil, bySHA1(isCA))
	between := issue(t, "between", root, bySHA1(isCA))
	modern := issue(t, "modern", root, isCA)
	other := issue(t, "other", nil, bySHA1(isCA))
	impostor := issue(t, "root", nil, bySHA1(isCA))
	notCA := issue(t, "no authority", root, bySHA1())
	noSign := issue(t, "no signing", root, bySHA1(isCA, func(c *x509.Certificate) { c.KeyUsage = x509.KeyUsageCRLSign }))
	servers := issue(t, "servers", root, bySHA1(isCA, func(c *x509.Certificate) { c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth} }))
	narrow := issue(t, "narrow", root, bySHA1(isCA, func(c *x509.Certificate) { c.MaxPathLenZero = true }))
	below := issue(t, "below", narrow, bySHA1(isCA))
	named := issue(t, "named", root, bySHA1(isCA, func(c *x509.Certificate) { c.PermittedDNSDomains = []string{"example.com"} }))
	past := func(c *x509.Certificate) { c.NotAfter = time.Now().Add(-time.Minute) }
	old := issue(t, "old", root, bySHA1(isCA, past))
	long := []*holder{root}
	for range longestSHA1 {
		long = append(long, issue(t, "long", long[len(long)-1], bySHA1(isCA)))
	}
	unread := issue(t, "a", root, bySHA1())
	unread.cert.UnhandledCriticalExtensions = append(unread.cert.UnhandledCriticalExtensions, []int{1, 2, 3})

	allowed := Clients{Mode: ModeRequired, Authorities: []Authority{{File: file(t, root), AllowSHA1: true}, {File: file(t, other)}}}
	trust, err := NewTrust(allowed)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name   string
		leaf   *holder
		above  []*holder
		reason string
	}{
		{"by the root", issue(t, "a", root, bySHA1()), nil, ""},
		{"by one between", issue(t, "a", between, bySHA1()), []*holder{between}, ""},
		{"among strangers", issue(t, "a", between, bySHA1()), []*holder{other, notCA, between}, ""},
		{"by SHA-256 below SHA-1", issue(t, "a", between, nil), []*holder{between}, ""},
		{"by SHA-1 below SHA-256", issue(t, "a", modern, bySHA1()), []*holder{modern}, ""},
		{"by SHA-256 alone", issue(t, "a", modern, nil), []*holder{modern}, ""},
		{"to an authority that does not allow it", issue(t, "a", other, bySHA1()), nil, reasonSHA1},
		{"by an impostor", issue(t, "a", impostor, bySHA1()), nil, reasonSHA1},
		{"one between is not sent", issue(t, "a", between, bySHA1()), nil, reasonSHA1},
		{"expired", issue(t, "a", root, bySHA1(past)), nil, reasonExpired},
		{"one between has expired", issue(t, "a", old, bySHA1()), []*holder{old}, reasonExpired},
		{"not yet valid", issue(t, "a", root, bySHA1(func(c *x509.Certificate) { c.NotBefore = time.Now().Add(time.Minute) })), nil, reasonNotYetValid},
		{"of a server", issue(t, "a", root, bySHA1(func(c *x509.Certificate) { c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth} })), nil, reasonUsage},
		{"below one for servers", issue(t, "a", servers, bySHA1()), []*holder{servers}, reasonUsage},
		{"signed by no authority", issue(t, "a", notCA, bySHA1()), []*holder{notCA}, reasonConstraints},
		{"signed by one that may not sign", issue(t, "a", noSign, bySHA1()), []*holder{noSign}, reasonConstraints},
		{"path too long", issue(t, "a", below, bySHA1()), []*holder{below, narrow}, reasonConstraints},
		{"name constraints, which are not read", issue(t, "a", named, bySHA1()), []*holder{named}, reasonConstraints},
		{"an extension that nobody knows", unread, nil, reasonConstraints},
		{"too long a chain", issue(t, "a", long[longestSHA1], bySHA1()), long[1:], reasonSHA1},
		{"by itself", issue(t, "a", nil, bySHA1()), nil, reasonSHA1},
	} {
		shown := []*x509.Certificate{c.leaf.cert}
		for _, a := range c.above {
			shown = append(shown, a.cert)
		}
		chains, err := trust.inForce.Load().verify(shown, time.Now())
		var refused *Refusal
		switch {
		case c.reason == "" && (err != nil || len(chains) == 0 || !chains[0][len(chains[0])-1].Equal(root.cert)):
			t.Errorf("%s: refused, or another authority: %v", c.name, err)
		case c.reason != "" && (!errors.As(err, &refused) || refused.Reason != c.reason):
			t.Errorf("%s: want %s, got %v", c.name, c.reason, err)
		}
	}
	device := issue(t, "a", between, bySHA1())
	strict, err := NewTrust(Clients{Mode: ModeRequired, Authorities: []Authority{{File: file(t, root)}}})
	if err != nil {
		t.Fatal(err)
	}
	peer := &Peer{Chains: [][]*x509.Certificate{{device.cert, between.cert, root.cert}}}
	if _, err := trust.Judge(peer); err != nil {
		t.Errorf("a tenant that allows it: %v", err)
	}
	var refused *Refusal
	if _, err := strict.Judge(peer); !errors.As(err, &refused) || refused.Reason != reasonSHA1 {
		t.Errorf("a tenant of the same authority that does not: %v", err)
	}
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		cfg := client(device.tls(between))
		cfg.MaxVersion = version
		if _, _, err := try(t, serverOf(t, allowed), cfg); err != nil {
			t.Errorf("%s: %v", tls.VersionName(version), err)
		}
	}
}
