package certs

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"time"
)

const (
	certName = "cwmpgate-selfsigned.pem"
	keyName  = "cwmpgate-selfsigned.key"
)

// selfSigned returns the kept certificate, or makes one.
func selfSigned(c SelfSigned) (tls.Certificate, error) {
	directory := string(c.Directory)
	certFile, keyFile := filepath.Join(directory, certName), filepath.Join(directory, keyName)
	cert, err := tls.LoadX509KeyPair(certFile, keyFile)
	if err == nil && time.Now().Before(cert.Leaf.NotAfter) && isFor(cert.Leaf, c.Names) {
		return cert, nil
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return cert, fmt.Errorf("load self-signed certificate: %w", err)
	}
	certPEM, keyPEM, err := makeSelfSigned(c.Names)
	if err != nil {
		return cert, fmt.Errorf("make self-signed certificate: %w", err)
	}
	if err := os.MkdirAll(directory, 0o700); err != nil {
		return cert, fmt.Errorf("make directory for the self-signed certificate: %w", err)
	}
	for _, f := range []struct {
		name string
		text []byte
	}{{keyFile, keyPEM}, {certFile, certPEM}} {
		// Aside first: a half-written pair would be taken for a broken one.
		if err := os.WriteFile(f.name+".new", f.text, 0o600); err != nil {
			return cert, fmt.Errorf("keep self-signed certificate: %w", err)
		}
	}
	for _, name := range []string{keyFile, certFile} {
		if err := os.Rename(name+".new", name); err != nil {
			return cert, fmt.Errorf("keep self-signed certificate: %w", err)
		}
	}
	return tls.X509KeyPair(certPEM, keyPEM)
}

// isFor tells whether a kept certificate is for the names that are asked for.
func isFor(leaf *x509.Certificate, names []string) bool {
	for _, n := range names {
		if leaf.VerifyHostname(n) != nil {
			return false
		}
	}
	return true
}

func makeSelfSigned(names []string) (certPEM, keyPEM []byte, err error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, nil, err
	}
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 120))
	if err != nil {
		return nil, nil, err
	}
	if len(names) == 0 {
		names = []string{"localhost", "127.0.0.1", "::1"}
	}
	t := &x509.Certificate{
		SerialNumber: serial,
		Subject:      pkix.Name{CommonName: names[0], Organization: []string{"cwmpgate self-signed"}},
		// CPEs boot with a clock that may be far behind.
		NotBefore: time.Now().Add(-30 * 24 * time.Hour), NotAfter: time.Now().Add(2 * 365 * 24 * time.Hour),
		KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		BasicConstraintsValid: true, IsCA: true, MaxPathLenZero: true,
	}
	for _, n := range names {
		if ip := net.ParseIP(n); ip != nil {
			t.IPAddresses = append(t.IPAddresses, ip)
		} else {
			t.DNSNames = append(t.DNSNames, n)
		}
	}
	der, err := x509.CreateCertificate(rand.Reader, t, t, &key.PublicKey, key)
	if err != nil {
		return nil, nil, err
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, nil, err
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: keyDER}), nil
}
