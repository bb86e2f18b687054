package certs

import (
	"crypto/tls"
	"crypto/x509"
	"net"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/rs/zerolog"

	"github.com/cwmpgate/cwmpgate/configs"
)

// handshake connects to a server with cfg and returns the certificate shown.
func handshake(t *testing.T, s *Server, client *tls.Config) *x509.Certificate {
	t.Helper()
	a, b := net.Pipe()
	defer a.Close()
	defer b.Close()
	served := make(chan error, 1)
	go func() { served <- serve(s, a) }()
	c := tls.Client(b, client)
	if err := c.Handshake(); err != nil {
		t.Fatalf("handshake: %v", err)
	}
	if err := <-served; err != nil {
		t.Fatalf("handshake, the server's side: %v", err)
	}
	return c.ConnectionState().PeerCertificates[0]
}

func serve(s *Server, c net.Conn) error {
	conn, _ := s.Server(c)
	return conn.Handshake()
}

// firstRun is a listener's defaults with a self-signed certificate.
func firstRun(dir string) (c Config) {
	c.SetDefaults()
	c.Clients.SetDefaults()
	c.SelfSigned.Directory = configs.Path(dir)
	return c
}

func TestSelfSignedIsMadeOnceAndKept(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "state")
	c := firstRun(dir)
	c.SelfSigned.Names = []string{"acs.example.com", "192.0.2.1"}
	first, err := New(c, []Behind{{}}, nil, zerolog.Nop())
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{certName, keyName} {
		info, err := os.Stat(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		if info.Mode().Perm() != 0o600 {
			t.Errorf("%s has mode %o", name, info.Mode().Perm())
		}
	}
	roots := x509.NewCertPool()
	pem, err := os.ReadFile(filepath.Join(dir, certName))
	if err != nil {
		t.Fatal(err)
	}
	roots.AppendCertsFromPEM(pem)
	made := handshake(t, first, &tls.Config{ServerName: "acs.example.com", RootCAs: roots})
	second, err := New(c, []Behind{{}}, nil, zerolog.Nop())
	if err != nil {
		t.Fatal(err)
	}
	if kept := handshake(t, second, &tls.Config{ServerName: "192.0.2.1", RootCAs: roots}); !kept.Equal(made) {
		t.Error("the certificate was made anew")
	}
}

func TestBrokenKeyIsAnError(t *testing.T) {
	dir := t.TempDir()
	c := firstRun(dir)
	if _, err := New(c, []Behind{{}}, nil, zerolog.Nop()); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, keyName), []byte("no key"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := New(c, []Behind{{}}, nil, zerolog.Nop()); err == nil {
		t.Error("a broken key was taken, or silently replaced")
	}
}

func TestALPNNeverOffersHTTP2(t *testing.T) {
	cfg, err := New(firstRun(t.TempDir()), []Behind{{}}, nil, zerolog.Nop())
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range cfg.current().tls.NextProtos {
		if p != "http/1.1" {
			t.Errorf("ALPN offers %s", p)
		}
	}
}

func TestNoSNIAndUnknownSNIAreServed(t *testing.T) {
	cfg, err := New(firstRun(t.TempDir()), []Behind{{}}, nil, zerolog.Nop())
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"", "unknown.example.com"} {
		handshake(t, cfg, &tls.Config{ServerName: name, InsecureSkipVerify: true})
	}
}

// TestPublicRoots: a certificate that leads to one of the system's authorities is
// named, one of the operator's own is not.
func TestPublicRoots(t *testing.T) {
	root, other := issue(t, "public root", nil, isCA), issue(t, "own root", nil, isCA)
	between := issue(t, "between", root, isCA)
	server := func(c *x509.Certificate) {
		c.ExtKeyUsage, c.DNSNames = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}, []string{"acs.example.com"}
	}
	pool := x509.NewCertPool()
	pool.AddCert(root.cert)
	c := Config{Certificates: []Files{
		{Certificate: file(t, issue(t, "a", between, server), between)}, {Certificate: file(t, issue(t, "b", root, server))},
		{Certificate: file(t, issue(t, "c", other, server))},
	}}
	if got, err := c.PublicRoots(pool); err != nil || !slices.Equal(got, []string{"CN=public root"}) {
		t.Errorf("%q, %v", got, err)
	}
	c.Certificates = c.Certificates[2:]
	if got, err := c.PublicRoots(pool); err != nil || len(got) > 0 {
		t.Errorf("%q, %v", got, err)
	}
}
