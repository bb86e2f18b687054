package upstream

import (
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"os"
)

// nodeTLS is a TLS section with its files read.
type nodeTLS struct {
	config      *tls.Config
	authorities []*x509.Certificate
	sum         [sha256.Size]byte // of the files
}

// Suites are listed, so that neither a Go release nor GODEBUG changes them.
var (
	suites = []uint16{
		tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256, tls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,
		tls.TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384, tls.TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384,
		tls.TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256, tls.TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256,
		tls.TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA, tls.TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA,
		tls.TLS_ECDHE_ECDSA_WITH_AES_256_CBC_SHA, tls.TLS_ECDHE_RSA_WITH_AES_256_CBC_SHA,
	}
	oldSuites = []uint16{
		tls.TLS_RSA_WITH_AES_128_GCM_SHA256, tls.TLS_RSA_WITH_AES_256_GCM_SHA384,
		tls.TLS_RSA_WITH_AES_128_CBC_SHA, tls.TLS_RSA_WITH_AES_256_CBC_SHA,
	}
)

var versions = map[string]uint16{"1.0": tls.VersionTLS10, "1.1": tls.VersionTLS11, "1.2": tls.VersionTLS12, "1.3": tls.VersionTLS13}

// read reads the section's files; host is the URL's.
func (t *TLS) read(host string) (*nodeTLS, error) {
	cfg := &tls.Config{
		ServerName: host, NextProtos: []string{"http/1.1"}, MinVersion: versions[t.MinVersion],
		CipherSuites: suites, ClientSessionCache: tls.NewLRUClientSessionCache(256),
	}
	if cfg.MinVersion == 0 {
		cfg.MinVersion = tls.VersionTLS12
	}
	if cfg.MinVersion < tls.VersionTLS12 {
		cfg.CipherSuites = append(append([]uint16(nil), suites...), oldSuites...)
	}
	if t.ServerName != "" {
		cfg.ServerName = t.ServerName
	}
	out, sum := &nodeTLS{config: cfg}, sha256.New()
	if t.CA != "" {
		text, err := os.ReadFile(string(t.CA))
		if err != nil {
			return nil, fmt.Errorf("read tls.ca: %w", err)
		}
		sum.Write(text)
		cfg.RootCAs = x509.NewCertPool()
		if !cfg.RootCAs.AppendCertsFromPEM(text) {
			return nil, fmt.Errorf("tls.ca %s holds no certificate", t.CA)
		}
		for block, rest := pem.Decode(text); block != nil; block, rest = pem.Decode(rest) {
			if c, err := x509.ParseCertificate(block.Bytes); err == nil {
				out.authorities = append(out.authorities, c)
			}
		}
	}
	if t.Certificate != "" {
		certText, err := os.ReadFile(string(t.Certificate))
		if err != nil {
			return nil, fmt.Errorf("read tls.certificate: %w", err)
		}
		keyText, err := os.ReadFile(string(t.Key))
		if err != nil {
			return nil, fmt.Errorf("read tls.key: %w", err)
		}
		sum.Write(certText)
		sum.Write(keyText)
		cert, err := tls.X509KeyPair(certText, keyText)
		if err != nil {
			return nil, fmt.Errorf("load tls.certificate %s with tls.key %s: %w", t.Certificate, t.Key, err)
		}
		cfg.Certificates = []tls.Certificate{cert}
	}
	sum.Sum(out.sum[:0])
	return out, nil
}
