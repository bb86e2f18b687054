package certs

import (
	"crypto/tls"
	"crypto/x509"
	"slices"
)

// shelf is the certificates of a listener, put together by names: the first is
// for CPEs that send no name, or one that no certificate has.
type shelf [][]tls.Certificate

func newShelf(list []tls.Certificate) (s shelf) {
	for _, c := range list {
		i := slices.IndexFunc(s, func(same []tls.Certificate) bool {
			return slices.Equal(namesOf(same[0].Leaf), namesOf(c.Leaf))
		})
		if i < 0 {
			s = append(s, []tls.Certificate{c})
			continue
		}
		s[i] = append(s[i], c)
	}
	for _, same := range s {
		// What is not RSA first: a signature of it costs a twentieth.
		slices.SortStableFunc(same, func(a, b tls.Certificate) int { return rank(a.Leaf) - rank(b.Leaf) })
	}
	return s
}

func rank(c *x509.Certificate) int {
	if c.PublicKeyAlgorithm == x509.RSA {
		return 1
	}
	return 0
}

func namesOf(c *x509.Certificate) []string {
	names := slices.Clone(c.DNSNames)
	for _, ip := range c.IPAddresses {
		names = append(names, ip.String())
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// choose gives a CPE the first certificate for the name it sent that it can
// verify, or else the first for that name.
func (s shelf) choose(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
	same := s[0]
	if hello.ServerName != "" {
		if i := slices.IndexFunc(s, func(c []tls.Certificate) bool { return c[0].Leaf.VerifyHostname(hello.ServerName) == nil }); i >= 0 {
			same = s[i]
		}
	}
	unnamed := *hello
	unnamed.ServerName = "" // names have been looked at
	for i := range same {
		if unnamed.SupportsCertificate(&same[i]) == nil {
			return &same[i], nil
		}
	}
	return &same[0], nil
}
