package chtest

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"time"
)

// Option changes how an engine is started; dir is a directory of the test's.
type Option func(e *Engine, dir string) error

// WithUser lets a user log in, instead of "default" without a password. Given
// again it lets in more; Engine.User is the first one.
func WithUser(name, password string) Option {
	return func(e *Engine, _ string) error {
		if len(e.plan.Users) == 0 {
			e.User, e.Password = name, password
		}
		e.plan.Users[name] = password
		return nil
	}
}

// WithTLS serves both protocols with TLS as well, on addresses of their own.
// The files are PEM; for empty names a certificate for localhost, 127.0.0.1 and
// ::1 is made, which clients can trust by Engine.Certificate.
func WithTLS(certificate, key string) Option {
	return func(e *Engine, dir string) error {
		if certificate == "" {
			certificate, key = filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
			if err := makeCertificate(certificate, key); err != nil {
				return fmt.Errorf("make a certificate: %w", err)
			}
		}
		e.plan.Certificate, e.plan.Key = certificate, key
		e.plan.Addresses.NativeTLS, e.plan.Addresses.HTTPS = "127.0.0.1:0", "127.0.0.1:0"
		return nil
	}
}

// WithSingleNode executes the DDL of a replicated cluster as one server without
// a keeper can: ON CLUSTER is dropped, and Replicated*MergeTree('path',
// 'replica', ...) becomes *MergeTree(...), with the window of insert
// deduplication that replicated tables have.
func WithSingleNode() Option {
	return func(e *Engine, _ string) error {
		e.plan.SingleNode = true
		return nil
	}
}

// WithAddresses is for fixed ports; by default both are free ones of 127.0.0.1.
func WithAddresses(native, http string) Option {
	return func(e *Engine, _ string) error {
		e.plan.Addresses.Native, e.plan.Addresses.HTTP = native, http
		return nil
	}
}

// WithData has the tables in this directory, which stays.
func WithData(dir string) Option {
	return func(e *Engine, _ string) error {
		e.plan.Data = dir
		return nil
	}
}

func makeCertificate(certificate, key string) error {
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	now := time.Now()
	template := &x509.Certificate{
		SerialNumber: big.NewInt(now.UnixNano()), Subject: pkix.Name{CommonName: "localhost"},
		NotBefore: now.Add(-time.Hour), NotAfter: now.AddDate(1, 0, 0),
		DNSNames: []string{"localhost"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1), net.IPv6loopback},
		KeyUsage:    x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		IsCA:        true, BasicConstraintsValid: true,
	}
	public, err := x509.CreateCertificate(rand.Reader, template, template, &private.PublicKey, private)
	if err != nil {
		return err
	}
	secret, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		return err
	}
	if err := os.WriteFile(certificate, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: public}), 0o600); err != nil {
		return err
	}
	return os.WriteFile(key, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: secret}), 0o600)
}
