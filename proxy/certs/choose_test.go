package certs

import (
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"testing"
)

func TestNamesChooseTheCertificate(t *testing.T) {
	var list []tls.Certificate
	for _, c := range []struct {
		name  string
		names []string
	}{{"first", []string{"a.example.com"}}, {"second", []string{"*.example.net", "b.example.com"}}} {
		i := issue(t, c.name, nil, func(f *x509.Certificate) {
			f.Subject, f.DNSNames = pkix.Name{CommonName: c.name}, c.names
		})
		list = append(list, tls.Certificate{Certificate: [][]byte{i.cert.Raw}, PrivateKey: i.key, Leaf: i.cert})
	}
	s := newShelf(list)
	for name, want := range map[string]string{
		"": "first", "a.example.com": "first", "A.example.COM": "first", "unknown.example.com": "first",
		"b.example.com": "second", "x.example.net": "second",
	} {
		got, err := s.choose(&tls.ClientHelloInfo{
			ServerName: name, SupportedVersions: []uint16{tls.VersionTLS13}, SignatureSchemes: []tls.SignatureScheme{tls.ECDSAWithP256AndSHA256},
		})
		if err != nil || got.Leaf.Subject.CommonName != want {
			t.Errorf("%q: got %s, %v", name, got.Leaf.Subject.CommonName, err)
		}
	}
}
