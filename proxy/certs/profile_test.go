package certs

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"io"
	"math/big"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"github.com/cwmpgate/cwmpgate/configs"
)

// serverFiles makes a certificate of a server for each key, signed by itself.
func serverFiles(t testing.TB, keys ...interface{ Public() any }) (list []Files) {
	t.Helper()
	for i, key := range keys {
		list = append(list, writePair(t, t.TempDir(), int64(i+1), key, time.Now().Add(24*time.Hour)))
	}
	return list
}

type ecdsaKey struct{ *ecdsa.PrivateKey }

func (k ecdsaKey) Public() any { return k.PrivateKey.Public() }

type rsaKey struct{ *rsa.PrivateKey }

func (k rsaKey) Public() any { return k.PrivateKey.Public() }

func newECDSA(t testing.TB) ecdsaKey {
	t.Helper()
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return ecdsaKey{k}
}

func newRSA(t testing.TB) rsaKey {
	t.Helper()
	k, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	return rsaKey{k}
}

func writePair(t testing.TB, dir string, serial int64, key interface{ Public() any }, end time.Time) Files {
	t.Helper()
	var signer any
	switch k := key.(type) {
	case ecdsaKey:
		signer = k.PrivateKey
	case rsaKey:
		signer = k.PrivateKey
	}
	form := &x509.Certificate{
		SerialNumber: big.NewInt(serial), Subject: pkix.Name{CommonName: "acs.example.com"}, DNSNames: []string{"acs.example.com"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: end, KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageKeyEncipherment,
	}
	der, err := x509.CreateCertificate(rand.Reader, form, form, key.Public(), signer)
	if err != nil {
		t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(signer)
	if err != nil {
		t.Fatal(err)
	}
	f := Files{Certificate: configs.Path(filepath.Join(dir, "cert.pem")), Key: configs.Path(filepath.Join(dir, "key.pem"))}
	for name, block := range map[configs.Path]*pem.Block{
		f.Certificate: {Type: "CERTIFICATE", Bytes: der}, f.Key: {Type: "PRIVATE KEY", Bytes: private},
	} {
		if err := os.WriteFile(string(name), pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return f
}

// open serves handshakes until the test ends, and says how those end that fail.
func open(t testing.TB, s *Server) (address string, failures <-chan string) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	failed := make(chan string, 1000)
	var running sync.WaitGroup
	running.Go(func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			running.Go(func() {
				defer c.Close()
				c.SetDeadline(time.Now().Add(10 * time.Second))
				conn, _ := s.Server(c)
				if err := conn.Handshake(); err != nil {
					failed <- FailureReason(err)
					return
				}
				conn.Read(make([]byte, 1)) // until the client closes
			})
		}
	})
	t.Cleanup(func() {
		ln.Close()
		running.Wait()
	})
	return ln.Addr().String(), failed
}

// suite is one that OpenSSL can speak, by its name there.
type suite struct {
	name     string
	id       uint16
	versions []uint16
}

var (
	only12 = []uint16{tls.VersionTLS12}
	old    = []uint16{tls.VersionTLS10, tls.VersionTLS11, tls.VersionTLS12}
)

// What profiles promise, written down by hand: docs/tls.md has the same table.
var promised = map[string][]suite{
	ProfileStrict: {
		{"ECDHE-ECDSA-AES128-GCM-SHA256", tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256, only12},
		{"ECDHE-ECDSA-AES256-GCM-SHA384", tls.TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384, only12},
		{"ECDHE-ECDSA-CHACHA20-POLY1305", tls.TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256, only12},
		{"ECDHE-RSA-AES128-GCM-SHA256", tls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256, only12},
		{"ECDHE-RSA-AES256-GCM-SHA384", tls.TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384, only12},
		{"ECDHE-RSA-CHACHA20-POLY1305", tls.TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256, only12},
	},
	ProfileIntermediate: {
		{"AES128-SHA", tls.TLS_RSA_WITH_AES_128_CBC_SHA, old},
		{"AES256-SHA", tls.TLS_RSA_WITH_AES_256_CBC_SHA, old},
	},
	ProfileLegacy: {
		{"ECDHE-ECDSA-AES128-SHA", tls.TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA, old},
		{"ECDHE-ECDSA-AES256-SHA", tls.TLS_ECDHE_ECDSA_WITH_AES_256_CBC_SHA, old},
		{"ECDHE-RSA-AES128-SHA", tls.TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA, old},
		{"ECDHE-RSA-AES256-SHA", tls.TLS_ECDHE_RSA_WITH_AES_256_CBC_SHA, old},
		{"AES128-GCM-SHA256", tls.TLS_RSA_WITH_AES_128_GCM_SHA256, only12},
		{"AES256-GCM-SHA384", tls.TLS_RSA_WITH_AES_256_GCM_SHA384, only12},
	},
	"": { // in none, though OpenSSL has them
		{"DHE-RSA-AES128-SHA", 0, old},
		{"DHE-RSA-AES128-GCM-SHA256", 0, only12},
		{"ECDHE-RSA-AES128-SHA256", 0, only12},
		{"AES128-SHA256", 0, only12},
		{"CAMELLIA128-SHA", 0, old},
	},
}

// allows is what a profile's suites must be.
func allows(profile string, version uint16, of string) bool {
	order := []string{ProfileModern, ProfileStrict, ProfileIntermediate, ProfileLegacy}
	least := map[string]uint16{ProfileModern: tls.VersionTLS13, ProfileLegacy: tls.VersionTLS10}[profile]
	if least == 0 {
		least = tls.VersionTLS12
	}
	return version >= least && of != "" && slices.Index(order, of) <= slices.Index(order, profile)
}

// TestProfiles has OpenSSL speak each version and suite to each profile.
func TestProfiles(t *testing.T) {
	program, err := exec.LookPath("openssl")
	if err != nil {
		t.Skip(err)
	}
	files := serverFiles(t, newECDSA(t), newRSA(t))
	flags := map[uint16]string{tls.VersionTLS10: "-tls1", tls.VersionTLS11: "-tls1_1", tls.VersionTLS12: "-tls1_2"}
	for _, profile := range []string{ProfileModern, ProfileStrict, ProfileIntermediate, ProfileLegacy} {
		t.Run(profile, func(t *testing.T) {
			t.Parallel()
			c := Config{Certificates: files, Profile: profile, Clients: Clients{Mode: ModeOff}}
			s, err := New(c, []Behind{{}}, nil, zerolog.Nop())
			if err != nil {
				t.Fatal(err)
			}
			address, failures := open(t, s)
			for of, suites := range promised {
				for _, u := range suites {
					for _, version := range u.versions {
						got := dialOpenSSL(t, program, address, flags[version], "-cipher", u.name+":@SECLEVEL=0")
						want := ""
						if allows(profile, version, of) {
							want = u.name
						}
						if got != want {
							t.Errorf("%s with %s: got %q, want %q", tls.VersionName(version), u.name, got, want)
						}
						if want != "" || got != "" {
							continue
						}
						reason := "no-suite"
						if !allows(profile, version, ProfileModern) {
							reason = "no-version"
						}
						if got := <-failures; got != reason {
							t.Errorf("%s with %s: failed for %s, want %s", tls.VersionName(version), u.name, got, reason)
						}
					}
				}
			}
			for _, name := range []string{"TLS_AES_128_GCM_SHA256", "TLS_AES_256_GCM_SHA384", "TLS_CHACHA20_POLY1305_SHA256"} {
				if got := dialOpenSSL(t, program, address, "-tls1_3", "-ciphersuites", name); got != name {
					t.Errorf("TLS 1.3 with %s: got %q", name, got)
				}
			}
		})
	}
}

var agreed = regexp.MustCompile(`(?m)^New, \S+, Cipher is (\S+)$`)

// dialOpenSSL does one handshake and returns the suite that OpenSSL says was
// agreed on, "" where none was.
func dialOpenSSL(t *testing.T, program, address string, flags ...string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	out, _ := exec.CommandContext(ctx, program, append([]string{"s_client", "-connect", address}, flags...)...).CombinedOutput()
	m := agreed.FindSubmatch(out)
	if m == nil {
		t.Fatalf("openssl %s: %s", strings.Join(flags, " "), out)
	}
	return strings.TrimPrefix(string(m[1]), "(NONE)")
}

// TestTripleDES does what OpenSSL as distributed no longer can.
func TestTripleDES(t *testing.T) {
	files := serverFiles(t, newRSA(t))
	for _, allowed := range []bool{false, true} {
		s, err := New(Config{Certificates: files, Profile: ProfileLegacy, TripleDES: allowed, Clients: Clients{Mode: ModeOff}}, []Behind{{}}, nil, zerolog.Nop())
		if err != nil {
			t.Fatal(err)
		}
		for _, id := range tripleDESSuites {
			for _, version := range old {
				_, state, err := try(t, s, &tls.Config{InsecureSkipVerify: true, CipherSuites: []uint16{id}, MinVersion: version, MaxVersion: version})
				if (err == nil) != allowed || allowed && (state.CipherSuite != id || state.Version != version) {
					t.Errorf("allowed %v: %s with %s: %v", allowed, tls.VersionName(version), tls.CipherSuiteName(id), err)
				}
			}
		}
	}
}

// TestEachGetsWhatItCanVerify has ECDSA and RSA side by side.
func TestEachGetsWhatItCanVerify(t *testing.T) {
	for i, keys := range [][]interface{ Public() any }{{newECDSA(t), newRSA(t)}, {newRSA(t), newECDSA(t)}} {
		s, err := New(Config{Certificates: serverFiles(t, keys...), Profile: ProfileIntermediate, Clients: Clients{Mode: ModeOff}}, []Behind{{}}, nil, zerolog.Nop())
		if err != nil {
			t.Fatal(err)
		}
		address, _ := open(t, s)
		for _, c := range []struct {
			suite uint16
			want  x509.PublicKeyAlgorithm
		}{
			{tls.TLS_RSA_WITH_AES_128_CBC_SHA, x509.RSA},
			{tls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256, x509.RSA},
			{tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256, x509.ECDSA},
			{0, x509.ECDSA}, // all of TLS 1.3: ECDSA is cheaper
		} {
			cfg := &tls.Config{InsecureSkipVerify: true}
			if c.suite != 0 {
				cfg.CipherSuites, cfg.MaxVersion = []uint16{c.suite}, tls.VersionTLS12
			}
			conn, err := tls.Dial("tcp", address, cfg)
			if err != nil {
				t.Errorf("order %d, %s: %v", i, tls.CipherSuiteName(c.suite), err)
				continue
			}
			if got := conn.ConnectionState().PeerCertificates[0].PublicKeyAlgorithm; got != c.want {
				t.Errorf("order %d, %s: got %s, want %s", i, tls.CipherSuiteName(c.suite), got, c.want)
			}
			conn.Close()
		}
	}
}

// TestHandshakeFailures holds each reason to a client that causes it.
func TestHandshakeFailures(t *testing.T) {
	root := issue(t, "root", nil, isCA)
	s := asking(t, ModeRequired, root)
	address, failures := open(t, s)
	right := issue(t, "a", root, nil)
	short, weak := weakCertificate(t, root)
	hello := func(cfg *tls.Config) func(net.Conn) {
		cfg.InsecureSkipVerify = true
		return func(c net.Conn) {
			conn := tls.Client(c, cfg)
			if conn.Handshake() == nil {
				conn.Read(make([]byte, 1))
			}
		}
	}
	shows := func(der []byte, key crypto.PrivateKey) func(net.Conn) {
		return hello(&tls.Config{MaxVersion: tls.VersionTLS12, GetClientCertificate: func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
			return &tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, nil
		}})
	}
	bytes := func(b ...byte) func(net.Conn) { return func(c net.Conn) { c.Write(b); c.Read(b) } }
	for _, c := range []struct {
		reason string
		client func(net.Conn)
	}{
		{"no-version", hello(&tls.Config{MinVersion: tls.VersionTLS10, MaxVersion: tls.VersionTLS11})},
		{"no-version", bytes(sslv3Hello...)},
		{"no-suite", hello(&tls.Config{MaxVersion: tls.VersionTLS12, CipherSuites: []uint16{tls.TLS_RSA_WITH_AES_128_CBC_SHA}})},
		{"certificate-missing", hello(&tls.Config{})},
		{"certificate-missing", hello(&tls.Config{MaxVersion: tls.VersionTLS12})},
		{reasonBroken, shows([]byte{1, 2, 3}, root.key)},
		{reasonKey, shows(right.cert.Raw, newECDSA(t).PrivateKey)},
		{reasonKey, shows(weak, short)},
		{"not-tls", bytes([]byte("POST / HTTP/1.1\r\n\r\n")...)},
		{"sslv2", bytes(0x80, 0x2e, 1, 0, 2, 0, 0x15, 0, 0, 0, 0x10)},
		{"closed", func(net.Conn) {}},
		{"closed", func(c net.Conn) { c.Write([]byte{22, 3, 1}) }},
		{"alert", func(c net.Conn) { tls.Client(c, &tls.Config{ServerName: "another.example.com"}).Handshake() }},
	} {
		conn, err := net.Dial("tcp", address)
		if err != nil {
			t.Fatal(err)
		}
		conn.SetDeadline(time.Now().Add(10 * time.Second))
		c.client(conn)
		conn.Close()
		if got := <-failures; got != c.reason {
			t.Errorf("got %s, want %s", got, c.reason)
		}
	}
	if got := FailureReason(fmt.Errorf("handshake: %w", os.ErrDeadlineExceeded)); got != "time-out" {
		t.Errorf("a time-out is %s", got)
	}
}

// weakKey signs what a CPE with an RSA key of 512 bits would: Go makes none, so
// that the signature is wrong, but that is not looked at.
type weakKey struct{ rsa.PublicKey }

func (k weakKey) Public() crypto.PublicKey { return &k.PublicKey }

func (k weakKey) Sign(io.Reader, []byte, crypto.SignerOpts) ([]byte, error) {
	return make([]byte, k.Size()), nil
}

func weakCertificate(t *testing.T, by *holder) (weakKey, []byte) {
	t.Helper()
	n := new(big.Int).SetBit(big.NewInt(1), 511, 1)
	key := weakKey{rsa.PublicKey{N: n, E: 65537}}
	form := &x509.Certificate{SerialNumber: big.NewInt(1), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, form, by.cert, &key.PublicKey, by.key)
	if err != nil {
		t.Fatal(err)
	}
	return key, der
}

// sslv3Hello is a ClientHello of SSL 3.0 with RC4 alone.
var sslv3Hello = append([]byte{22, 3, 0, 0, 45, 1, 0, 0, 41, 3, 0}, append(make([]byte, 32), 0, 0, 2, 0, 4, 1, 0)...)
