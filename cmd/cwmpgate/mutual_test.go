package main

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
	"fmt"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/cwmpgate/cwmpgate/audit"
	"github.com/cwmpgate/cwmpgate/cwmp/cwmptest"
)

// authority signs certificates of CPEs.
type authority struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
	last int64
}

func newAuthority(t testing.TB, name string) *authority {
	t.Helper()
	a := &authority{}
	form := &x509.Certificate{
		Subject: pkix.Name{CommonName: name}, IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
	}
	c := a.sign(t, form)
	a.cert, a.key = c.Leaf, c.PrivateKey.(*ecdsa.PrivateKey)
	return a
}

func (a *authority) sign(t testing.TB, form *x509.Certificate) tls.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	a.last++
	form.SerialNumber = big.NewInt(a.last)
	signer, signerKey := a.cert, a.key
	if signer == nil {
		signer, signerKey = form, key
	}
	der, err := x509.CreateCertificate(rand.Reader, form, signer, key.Public(), signerKey)
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key, Leaf: leaf}
}

// client is the certificate of a CPE.
func (a *authority) client(t testing.TB, name string) tls.Certificate {
	t.Helper()
	return a.sign(t, &x509.Certificate{
		Subject: pkix.Name{CommonName: name}, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
	})
}

// write puts the authority's certificate into a file.
func (a *authority) write(t testing.TB, dir, name string) {
	t.Helper()
	text := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: a.cert.Raw})
	if err := os.WriteFile(filepath.Join(dir, name), text, 0o600); err != nil {
		t.Fatal(err)
	}
}

// visit plays a session of a device over mutual TLS.
func visit(t testing.TB, r *rig, serial string, shown ...tls.Certificate) error {
	t.Helper()
	cfg := device("https://"+r.addr+"/acs", serial)
	cfg.TLS = trust(t, r.dir)
	if len(shown) > 0 { // also where the gateway does not name its authority
		cfg.TLS.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &shown[0], nil }
	}
	d, err := cwmptest.NewDevice(cfg)
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	_, err = d.Session(t.Context())
	return err
}

// TestMutualTLS holds what is recorded and counted to the certificates that were
// shown.
func TestMutualTLS(t *testing.T) {
	acs := cwmptest.NewACS(cwmptest.ACSConfig{})
	if err := acs.Open(); err != nil {
		t.Fatal(err)
	}
	defer acs.Close()
	dir := t.TempDir()
	devices := newAuthority(t, "Example Devices")
	devices.write(t, dir, "devices.pem")
	r := start(t, plan{dir: dir, acs: acs.Addr(), tls: true, tlsKeys: "client_certificates: {mode: required, authorities: [{file: devices.pem}]}"})

	shown := devices.client(t, "00005E-M1")
	if err := visit(t, r, "M1", shown); err != nil {
		t.Fatal(err)
	}
	if err := visit(t, r, "M2"); err == nil {
		t.Error("a CPE without a certificate was served")
	}
	if err := visit(t, r, "M3", newAuthority(t, "another").client(t, "00005E-M3")); err == nil {
		t.Error("a CPE with another's certificate was served")
	}
	m := r.metrics()
	for name, want := range map[string]float64{
		`cwmpgate_tls_handshake_failures_total{reason="certificate-missing"}`:                                 1,
		`cwmpgate_tls_handshake_failures_total{reason="certificate-unknown-authority"}`:                       1,
		`cwmpgate_tls_connections_total{profile="intermediate",version="1.3",suite="TLS_AES_128_GCM_SHA256"}`: m["cwmpgate_tls_handshakes_total"],
	} {
		if m[name] != want || want == 0 {
			t.Errorf("%s is %v, want %v", name, m[name], want)
		}
	}
	r.close()
	all := openArchive(t, r.dir).records()
	sum := sha256.Sum256(shown.Certificate[0])
	want := fmt.Sprintf(`"certificate":{"subject":"CN=00005E-M1","serial":"2","sha256":%q,"not_after":%q}`, hex.EncodeToString(sum[:]), shown.Leaf.NotAfter.UTC().Format("2006-01-02T15:04:05.000000Z"))
	if first := ofKind(all, audit.KindMessage)[0]; !strings.Contains(first.line, want) {
		t.Errorf("no %s in %s", want, first.line)
	}
	refused := ofKind(all, audit.KindSecurity)
	if len(refused) != 1 || refused[0].Reason != "certificate-unknown-authority" || refused[0].Claimed != "CN=00005E-M3" {
		t.Errorf("security records: %v", refused)
	}
}
