package acme

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"github.com/cwmpgate/cwmpgate/configs"
	"github.com/cwmpgate/cwmpgate/proxy/acme/acmetest"
	"github.com/cwmpgate/cwmpgate/proxy/certs"
)

// patience is how long a test waits.
const patience = 60 * time.Second

// listen serves handshakes of s until the test ends.
func listen(t *testing.T, s *certs.Server, port int) (address string) {
	t.Helper()
	ln, err := net.Listen("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port)))
	if err != nil {
		t.Fatal(err)
	}
	var running sync.WaitGroup
	running.Go(func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			running.Go(func() {
				defer c.Close()
				c.SetDeadline(time.Now().Add(patience))
				if conn, _ := s.Server(c); conn.Handshake() == nil {
					conn.Read(make([]byte, 1))
				}
			})
		}
	})
	t.Cleanup(func() {
		ln.Close()
		running.Wait()
	})
	return ln.Addr().String()
}

// shown is the certificate that a client gets which can do with so much.
func shown(address string, roots *x509.CertPool, name string, suite uint16, own ...tls.Certificate) (*x509.Certificate, error) {
	cfg := &tls.Config{RootCAs: roots, ServerName: name, Certificates: own}
	if suite != 0 {
		cfg.CipherSuites, cfg.MaxVersion = []uint16{suite}, tls.VersionTLS12
	}
	c, err := tls.DialWithDialer(&net.Dialer{Timeout: patience}, "tcp", address, cfg)
	if err != nil {
		return nil, err
	}
	defer c.Close()
	return c.ConnectionState().PeerCertificates[0], nil
}

// TestACMERenewal: certificates that live for seconds are renewed again and
// again, and no client is kept out meanwhile. CWMPGATE_RENEWALS says how often,
// CWMPGATE_VALIDITY for how many seconds they live.
func TestACMERenewal(t *testing.T) {
	renewals, validity := number(t, "CWMPGATE_RENEWALS", 3), time.Duration(number(t, "CWMPGATE_VALIDITY", 20))*time.Second
	p := acmetest.Start(t, acmetest.Config{Validity: validity})
	roots := p.Roots(t)
	var directory configs.URL
	if err := directory.UnmarshalText([]byte(p.Directory)); err != nil {
		t.Fatal(err)
	}
	for _, kind := range []string{"HTTP-01", "TLS-ALPN-01 at the listener"} {
		// Names of its own: certmagic knows the challenges of one name once in a
		// process, and one that was broken off may still be there.
		name, other := "acs.http.example.test", "other.http.example.test"
		if kind != "HTTP-01" {
			name, other = "acs.tls.example.test", "other.tls.example.test"
		}
		t.Run(kind, func(t *testing.T) {
			storage := filepath.Join(t.TempDir(), "acme")
			cfg := Config{Storage: configs.Path(storage), Directory: directory, CA: configs.Path(p.CA), Agree: true, Keys: []string{"rsa", "ecdsa"}, HTTPPort: p.HTTP}
			listener := certs.Config{Profile: certs.ProfileIntermediate, ACME: []string{name, other}, Clients: certs.Clients{Mode: certs.ModeOff}}
			port, device := 0, []tls.Certificate(nil)
			if kind != "HTTP-01" {
				cfg.HTTPPort, cfg.TLSPort, port = 0, p.TLS, p.TLS
				// The CA has no device's certificate, and is served all the same.
				listener.Clients = certs.Clients{Mode: certs.ModeRequired, Authorities: []certs.Authority{{File: configs.Path(p.CA)}}}
				device = append(device, p.Own(t))
			}
			var failures, obtained atomic.Int64
			m, err := New(cfg, Options{
				Names: listener.ACME, Log: zerolog.Nop(), Renewal: 0.9, Look: validity / 40, NoARI: true,
				Obtained: func(string) { obtained.Add(1) }, Failed: func(string) { failures.Add(1) },
			})
			if err != nil {
				t.Fatal(err)
			}
			s, err := certs.New(listener, []certs.Behind{{}}, m, zerolog.Nop())
			if err != nil {
				t.Fatal(err)
			}
			address := listen(t, s, port)
			if _, err := m.Certificate(&tls.ClientHelloInfo{ServerName: name}, listener.ACME); !errors.Is(err, certs.ErrNone) {
				t.Errorf("before it runs: %v", err)
			}
			ctx, cancel := context.WithCancel(t.Context())
			ran := make(chan error, 1)
			go func() { ran <- m.Run(ctx) }()
			acmetest.Await(t, "there is one certificate for each name and kind of key", func() bool { return obtained.Load() >= 4 && len(m.Held(listener.ACME)) >= 4 })
			if info, err := os.Stat(storage); err != nil || info.Mode().Perm() != 0o700 {
				t.Errorf("storage: %v, %v", info, err)
			}
			serials := map[x509.PublicKeyAlgorithm]map[string]bool{x509.ECDSA: {}, x509.RSA: {}}
			for until := time.Now().Add(time.Duration(renewals+5) * validity); len(serials[x509.ECDSA]) <= renewals || len(serials[x509.RSA]) <= renewals; {
				if time.Now().After(until) {
					t.Fatalf("%d and %d certificates were seen", len(serials[x509.ECDSA]), len(serials[x509.RSA]))
				}
				for _, c := range []struct {
					name  string
					suite uint16
					want  x509.PublicKeyAlgorithm
					is    string
				}{
					{name, 0, x509.ECDSA, name}, {name, tls.TLS_RSA_WITH_AES_128_CBC_SHA, x509.RSA, name},
					{other, 0, x509.ECDSA, other},
				} {
					cert, err := shown(address, roots, c.name, c.suite, device...)
					if err != nil {
						t.Fatalf("a client is kept out: %v", err)
					}
					if cert.PublicKeyAlgorithm != c.want || cert.VerifyHostname(c.is) != nil {
						t.Fatalf("%s with suite %d: shown is %s, %s", c.name, c.suite, cert.PublicKeyAlgorithm, cert.DNSNames)
					}
					if c.name == name {
						serials[c.want][cert.SerialNumber.String()] = true
					}
				}
			}
			t.Logf("figures: %d renewals by %s, no handshake failed", len(serials[x509.ECDSA])+len(serials[x509.RSA])-2, kind)
			if failures.Load() > 0 {
				t.Errorf("%d certificates could not be got", failures.Load())
			}
			cancel() // which may break one off
			if err := <-ran; err != nil {
				t.Error(err)
			}
		})
	}
}

// TestOnDemand: a name's certificate is got when it is asked for, by who waits
// for it, and kept from then on; names that are not configured get none.
func TestOnDemand(t *testing.T) {
	p := acmetest.Start(t, acmetest.Config{Validity: time.Hour})
	roots := p.Roots(t)
	var directory configs.URL
	if err := directory.UnmarshalText([]byte(p.Directory)); err != nil {
		t.Fatal(err)
	}
	names := []string{"one.demand.example.test", "two.demand.example.test", "three.demand.example.test"}
	cfg := Config{Storage: configs.Path(t.TempDir()), Directory: directory, CA: configs.Path(p.CA), Agree: true, Keys: []string{"rsa", "ecdsa"}, HTTPPort: p.HTTP, OnDemand: true}
	var obtained atomic.Int64
	run := func() (m *Manager, address string, stop func()) {
		m, err := New(cfg, Options{Names: names, Log: zerolog.Nop(), Obtained: func(string) { obtained.Add(1) }})
		if err != nil {
			t.Fatal(err)
		}
		s, err := certs.New(certs.Config{Profile: certs.ProfileIntermediate, ACME: names, Clients: certs.Clients{Mode: certs.ModeOff}}, []certs.Behind{{}}, m, zerolog.Nop())
		if err != nil {
			t.Fatal(err)
		}
		address = listen(t, s, 0)
		ctx, cancel := context.WithCancel(t.Context())
		ran := make(chan error, 1)
		go func() { ran <- m.Run(ctx) }()
		acmetest.Await(t, "it runs", func() bool { return m.running.Load() != nil })
		return m, address, func() {
			cancel()
			if err := <-ran; err != nil {
				t.Error(err)
			}
		}
	}
	m, address, stop := run()
	for _, c := range []struct {
		name  string
		suite uint16
		is    string
	}{
		{names[1], 0, names[1]},
		{names[1], tls.TLS_RSA_WITH_AES_128_CBC_SHA, names[1]},
		{"elsewhere.demand.example.test", 0, ""},
	} {
		cert, err := shown(address, roots, c.name, c.suite)
		switch {
		case c.is == "" && err == nil:
			t.Errorf("%s: a certificate of %q is shown", c.name, cert.DNSNames)
		case c.is != "" && err != nil:
			t.Errorf("%s with suite %d: %v", c.name, c.suite, err)
		case c.is != "" && cert.VerifyHostname(c.is) != nil:
			t.Errorf("%s: shown is %q", c.name, cert.DNSNames)
		}
	}
	// The one that is nobody's got the first name's.
	acmetest.Await(t, "two names have both kinds", func() bool { return obtained.Load() == 4 && len(m.Held(names)) == 4 })
	if held := m.Held(names[2:]); len(held) > 0 {
		t.Error("a certificate was got that nobody asked for")
	}
	stop()
	m, _, stop = run()
	acmetest.Await(t, "what was got once is kept", func() bool { return len(m.Held(names)) == 4 })
	stop()
	if n := obtained.Load(); n != 4 {
		t.Errorf("%d certificates were got", n)
	}
}

func number(t *testing.T, name string, ordinary int) int {
	t.Helper()
	text := os.Getenv(name)
	if text == "" {
		return ordinary
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 {
		t.Fatalf("%s=%s is no number from 1", name, text)
	}
	return n
}
