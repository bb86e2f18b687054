// Package certs has the certificates that CPEs are shown: static files, or a
// self-signed one that the gateway makes for a first run and keeps.
package certs

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"time"

	"github.com/rs/zerolog"

	"github.com/cwmpgate/cwmpgate/configs"
)

// Config is the TLS of one listener.
type Config struct {
	Certificates []Files    `yaml:"certificates" doc:"Certificates to serve; a CPE gets the first that its name and algorithms fit, else the first of all."`
	SelfSigned   SelfSigned `yaml:"self_signed" doc:"A certificate that the gateway makes for a first run, where no other is given."`
}

// Files is one certificate with its key.
type Files struct {
	Certificate configs.Path `yaml:"certificate" required:"true" doc:"PEM file of the certificate and the chain behind it, without the root."`
	Key         configs.Path `yaml:"key" required:"true" doc:"PEM file of the private key."`
}

// SelfSigned is where a made certificate is kept, and for whom it is.
type SelfSigned struct {
	Directory configs.Path `yaml:"directory" doc:"Directory that holds cwmpgate-selfsigned.pem and .key (mode 0600); made where it is absent."`
	Names     []string     `yaml:"names" doc:"Host names and addresses in the certificate; localhost, 127.0.0.1 and ::1 where none are given."`
}

// Validate reports a listener with no certificate at all, or with both kinds.
func (c *Config) Validate(at configs.At) {
	switch {
	case len(c.Certificates) == 0 && c.SelfSigned.Directory == "" && !at.Wrong("self_signed"):
		at.Errorf("certificates", "TLS needs certificates, or self_signed with a directory for a first run")
	case len(c.Certificates) > 0 && c.SelfSigned.Directory != "":
		at.Errorf("self_signed", "certificates are given, so self_signed would never be used")
	}
	for i, f := range c.Certificates {
		if _, err := tls.LoadX509KeyPair(string(f.Certificate), string(f.Key)); err != nil {
			at.Item("certificates", i).Errorf("", "%v", err)
		}
	}
}

// ServerConfig reads the certificates of c, or makes the self-signed one.
func ServerConfig(c Config, log zerolog.Logger) (*tls.Config, error) {
	cfg := &tls.Config{
		MinVersion: tls.VersionTLS12,
		NextProtos: []string{"http/1.1"},
		// One record carries a message whole: CPEs gain nothing from small ones.
		DynamicRecordSizingDisabled: true,
	}
	for _, f := range c.Certificates {
		cert, err := tls.LoadX509KeyPair(string(f.Certificate), string(f.Key))
		if err != nil {
			return nil, fmt.Errorf("load certificate %s with key %s: %w", f.Certificate, f.Key, err)
		}
		if left := time.Until(cert.Leaf.NotAfter); left < 14*24*time.Hour {
			log.Warn().Str("certificate", string(f.Certificate)).Time("not_after", cert.Leaf.NotAfter).Msg("certificate ends soon or has ended")
		}
		cfg.Certificates = append(cfg.Certificates, cert)
	}
	if len(cfg.Certificates) == 0 {
		cert, err := selfSigned(c.SelfSigned)
		if err != nil {
			return nil, err
		}
		sum := sha256.Sum256(cert.Certificate[0])
		log.Info().Str("certificate", filepath.Join(string(c.SelfSigned.Directory), certName)).Str("sha256", hex.EncodeToString(sum[:])).
			Msg("serving a self-signed certificate: for a first run only")
		cfg.Certificates = append(cfg.Certificates, cert)
	}
	return cfg, nil
}

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
