package certs

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"github.com/cwmpgate/cwmpgate/configs"
)

// holder is a certificate with its key.
type holder struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

var serials int64

// issue has by sign what change makes of an ordinary client's certificate; a
// nil by means that it signs itself.
func issue(t testing.TB, name string, by *holder, change func(*x509.Certificate)) *holder {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	serials++
	form := &x509.Certificate{
		SerialNumber: big.NewInt(serials), Subject: pkix.Name{CommonName: name},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	}
	if change != nil {
		change(form)
	}
	signer, signerKey := form, key
	if by != nil {
		signer, signerKey = by.cert, by.key
	}
	der, err := x509.CreateCertificate(rand.Reader, form, signer, key.Public(), signerKey)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return &holder{cert, key}
}

// isCA makes a form one of an authority that may have others below it.
func isCA(c *x509.Certificate) {
	c.IsCA, c.BasicConstraintsValid, c.ExtKeyUsage = true, true, nil
	c.KeyUsage = x509.KeyUsageCertSign | x509.KeyUsageCRLSign
}

// tls is the certificate as a client shows it, with what stands above it.
func (i *holder) tls(above ...*holder) []tls.Certificate {
	c := tls.Certificate{Certificate: [][]byte{i.cert.Raw}, PrivateKey: i.key}
	for _, a := range above {
		c.Certificate = append(c.Certificate, a.cert.Raw)
	}
	return []tls.Certificate{c}
}

// file writes certificates as PEM.
func file(t testing.TB, list ...*holder) configs.Path {
	t.Helper()
	var text bytes.Buffer
	for _, i := range list {
		pem.Encode(&text, &pem.Block{Type: "CERTIFICATE", Bytes: i.cert.Raw})
	}
	name := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(name, text.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	return configs.Path(name)
}

// asking is a server that asks for certificates.
func asking(t testing.TB, mode string, authorities ...*holder) *Server {
	t.Helper()
	c := firstRun(t.TempDir())
	c.Clients = Clients{Mode: mode, Authorities: []Authority{{File: file(t, authorities...)}}}
	s, err := New(c, []Behind{{}}, nil, zerolog.Nop())
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// try does one handshake, and one byte each way, so that the client has seen
// the server's verdict and its tickets.
func try(t testing.TB, s *Server, client *tls.Config) (peer *Peer, state tls.ConnectionState, err error) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		c, err := net.Dial("tcp", ln.Addr().String())
		if err != nil {
			return
		}
		defer c.Close()
		conn := tls.Client(c, client)
		b := []byte{1}
		if _, err := conn.Write(b); err == nil {
			conn.Read(b)
		}
	}()
	c, err := ln.Accept()
	if err != nil {
		t.Fatal(err)
	}
	conn, peer := s.Server(c)
	conn.SetDeadline(time.Now().Add(10 * time.Second))
	if err = conn.Handshake(); err == nil {
		b := []byte{1}
		if _, err = conn.Read(b); err == nil {
			_, err = conn.Write(b)
		}
	}
	state = conn.ConnectionState()
	conn.Close()
	<-ended
	return peer, state, err
}

func client(certificates []tls.Certificate) *tls.Config {
	return &tls.Config{InsecureSkipVerify: true, Certificates: certificates}
}

func TestClientCertificatesAreJudged(t *testing.T) {
	root := issue(t, "root", nil, isCA)
	between := issue(t, "between", root, isCA)
	other := issue(t, "other root", nil, isCA)
	narrow := issue(t, "narrow", root, func(c *x509.Certificate) {
		isCA(c)
		c.MaxPathLenZero = true
	})
	below := issue(t, "below narrow", narrow, isCA)
	named := issue(t, "named", root, func(c *x509.Certificate) {
		isCA(c)
		c.PermittedDNSDomainsCritical, c.PermittedDNSDomains = true, []string{"example.com"}
	})
	notCA := issue(t, "no authority", root, nil)
	past := func(c *x509.Certificate) { c.NotAfter = time.Now().Add(-time.Minute) }
	s := asking(t, ModeOptional, root)
	for _, c := range []struct {
		name   string
		shown  []tls.Certificate
		reason string // "": accepted
	}{
		{"by the root", issue(t, "a", root, nil).tls(), ""},
		{"by one between", issue(t, "a", between, nil).tls(between), ""},
		{"no usage at all", issue(t, "a", root, func(c *x509.Certificate) { c.ExtKeyUsage = nil }).tls(), ""},
		{"none", nil, ""},
		{"one between is not sent", issue(t, "a", between, nil).tls(), reasonUnknownAuthority},
		{"another root", issue(t, "a", other, nil).tls(), reasonUnknownAuthority},
		{"signed by itself", issue(t, "a", nil, nil).tls(), reasonUnknownAuthority},
		{"another root of the same name", issue(t, "a", issue(t, "root", nil, isCA), nil).tls(), reasonUnknownAuthority},
		{"expired", issue(t, "a", root, past).tls(), reasonExpired},
		{"one between has expired", func() []tls.Certificate {
			old := issue(t, "old", root, func(c *x509.Certificate) { isCA(c); past(c) })
			return issue(t, "a", old, nil).tls(old)
		}(), reasonExpired},
		{"not yet valid", issue(t, "a", root, func(c *x509.Certificate) { c.NotBefore = time.Now().Add(time.Minute) }).tls(), reasonNotYetValid},
		{"of a server", issue(t, "a", root, func(c *x509.Certificate) {
			c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
		}).tls(), reasonUsage},
		{"path too long", issue(t, "a", below, nil).tls(below, narrow), reasonConstraints},
		{"name not allowed", issue(t, "a", named, func(c *x509.Certificate) { c.DNSNames = []string{"example.org"} }).tls(named), reasonConstraints},
		{"name allowed", issue(t, "a", named, func(c *x509.Certificate) { c.DNSNames = []string{"x.example.com"} }).tls(named), ""},
		{"signed by no authority", issue(t, "a", notCA, nil).tls(notCA), reasonUnknownAuthority},
	} {
		t.Run(c.name, func(t *testing.T) {
			for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
				cfg := client(c.shown)
				cfg.MaxVersion = version
				if len(c.shown) > 0 { // also where the server does not name its authority
					cfg.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &c.shown[0], nil }
				}
				peer, _, err := try(t, s, cfg)
				var refused *Refusal
				switch {
				case c.reason == "" && err != nil:
					t.Errorf("refused: %v", err)
				case c.reason == "" && (len(peer.Chains) > 0) != (len(c.shown) > 0):
					t.Errorf("%d chains", len(peer.Chains))
				case c.reason != "" && (!errors.As(err, &refused) || refused.Reason != c.reason):
					t.Errorf("want %s, got %v", c.reason, err)
				case c.reason != "" && len(peer.Chains) > 0:
					t.Error("refused, and yet with chains")
				}
			}
		})
	}
}

func TestModes(t *testing.T) {
	root := issue(t, "root", nil, isCA)
	right := issue(t, "a", root, nil).tls()
	for _, c := range []struct {
		mode        string
		shown       []tls.Certificate
		fails, seen bool
	}{
		{ModeOff, right, false, false},
		{ModeOptional, nil, false, false},
		{ModeOptional, right, false, true},
		{ModeRequired, nil, true, false},
		{ModeRequired, right, false, true},
	} {
		peer, state, err := try(t, asking(t, c.mode, root), client(c.shown))
		if (err != nil) != c.fails || (len(peer.Chains) > 0) != c.seen || (len(state.PeerCertificates) > 0) != c.seen {
			t.Errorf("%s: %v, %d chains", c.mode, err, len(peer.Chains))
		}
	}
}

func TestAuthorityFiles(t *testing.T) {
	root := issue(t, "root", nil, isCA)
	write := func(text []byte) Authority {
		name := filepath.Join(t.TempDir(), "f.pem")
		if err := os.WriteFile(name, text, 0o600); err != nil {
			t.Fatal(err)
		}
		return Authority{File: configs.Path(name)}
	}
	good := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: root.cert.Raw})
	for name, c := range map[string]struct {
		file Authority
		n    int // 0: refused
	}{
		"one":           {write(good), 1},
		"two":           {write(append(append([]byte("a comment\n"), good...), good...)), 2},
		"absent":        {Authority{File: "nowhere.pem"}, 0},
		"empty":         {write(nil), 0},
		"text":          {write([]byte("no certificate")), 0},
		"cut off":       {write(append(append([]byte{}, good...), good[:100]...)), 0},
		"a key":         {write(append(append([]byte{}, good...), "-----BEGIN PRIVATE KEY-----\n-----END PRIVATE KEY-----\n"...)), 0},
		"not a CA":      {Authority{File: file(t, issue(t, "a", root, func(c *x509.Certificate) { c.BasicConstraintsValid = true }))}, 0},
		"broken inside": {write(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: root.cert.Raw[1:]})), 0},
	} {
		text, err := readFile(c.file.File)
		var list []*x509.Certificate
		if err == nil {
			list, err = parseAuthorities(c.file.File, text)
		}
		if len(list) != c.n || (err == nil) != (c.n > 0) {
			t.Errorf("%s: %d certificates, %v", name, len(list), err)
		}
	}
}
