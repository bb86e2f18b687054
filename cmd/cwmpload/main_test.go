package main

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"io"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func openStub(t *testing.T, byConnection bool, cfg *tls.Config) (a *stubACS, address string) {
	t.Helper()
	a = newStubACS(byConnection)
	if err := a.Open("127.0.0.1:0", cfg); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { a.Close() })
	return a, a.listener.Addr().String()
}

// command runs cwmpload with --json and reads what it prints.
func command(t *testing.T, args ...string) (report, error) {
	t.Helper()
	var out bytes.Buffer
	err := run(t.Context(), append(args, "--json"), &out, io.Discard)
	var r report
	if out.Len() > 0 {
		if err := json.Unmarshal(out.Bytes(), &r); err != nil {
			t.Fatalf("%v in %s", err, out.String())
		}
	}
	return r, err
}

func TestSessionsAgainstOwnACS(t *testing.T) {
	for name, c := range map[string]struct {
		byConnection bool
		args         []string
		requests     int64
	}{
		"by cookie":                    {false, nil, 800},
		"by connection":                {true, nil, 800},
		"new connection per post":      {false, []string{"--new-connection-per-post"}, 800},
		"sessions on kept connections": {false, []string{"--keep-connection"}, 800},
		"kept connections":             {false, []string{"--keep-alive"}, 200},
		"rate and mix":                 {false, []string{"--rate", "2000", "--events", "2 PERIODIC=3,0 BOOTSTRAP+1 BOOT"}, 800},
		"warm-up":                      {false, []string{"--warmup", "50"}, 1000},
	} {
		t.Run(name, func(t *testing.T) {
			a, address := openStub(t, c.byConnection, nil)
			args := append([]string{"--target", "http://" + address + "/acs", "--sessions", "200", "--pid", strconv.Itoa(os.Getpid())}, c.args...)
			r, err := command(t, args...)
			if err != nil {
				t.Fatal(err)
			}
			if r.Sessions != 200 || r.Failed != 0 || r.Session.N != 200 || r.Inform.N != 200 || r.PerSecond <= 0 {
				t.Errorf("%+v", r)
			}
			if n := a.counts.requests.Load(); n != c.requests || a.counts.wrongDevice.Load() != 0 || a.counts.refused.Load() != 0 {
				t.Errorf("acs: %s", &a.counts)
			}
			if r.Process == nil || r.Process.RSS < 1<<20 || r.Process.Peak < r.Process.RSS/2 {
				t.Errorf("process: %+v", r.Process)
			}
		})
	}
}

func TestACSInside(t *testing.T) {
	address := freeAddress(t)
	var out bytes.Buffer
	err := run(t.Context(), []string{"--acs", address, "--target", "http://" + address, "--sessions", "200"}, &out, io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"200 sessions in ", " 0 failed", "\n       session  200  ", "acs: 200 connections, 800 requests, 200 informs, 200 sessions ended, 0 refused, 0 for a wrong device\n"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("no %q in\n%s", want, out.String())
		}
	}
}

func freeAddress(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// TestMixingProxyIsSeen shares the ACS's connections among all clients.
func TestMixingProxyIsSeen(t *testing.T) {
	_, address := openStub(t, true, nil)
	transport := &http.Transport{MaxConnsPerHost: 3}
	defer transport.CloseIdleConnections()
	u := &url.URL{Scheme: "http", Host: address}
	proxy := httptest.NewServer(&httputil.ReverseProxy{Transport: transport, Rewrite: func(r *httputil.ProxyRequest) { r.SetURL(u) }})
	defer proxy.Close()
	r, err := command(t, "--target", proxy.URL, "--sessions", "200")
	if err == nil || r.Errors["wrong-device"] == 0 {
		t.Errorf("errors %v, exit %v", r.Errors, err)
	}
}

func TestErrorsAreCounted(t *testing.T) {
	for kind, handler := range map[string]http.HandlerFunc{
		"status-503": func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(503) },
		"connection": func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) },
		"protocol":   func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "<a:Body><b:Fault>") },
		"timeout":    func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() },
	} {
		t.Run(kind, func(t *testing.T) {
			s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				io.Copy(io.Discard, r.Body)
				handler(w, r)
			}))
			defer s.Close()
			r, err := command(t, "--target", s.URL, "--sessions", "4", "--concurrency", "2", "--timeout", "200ms")
			if err == nil || r.Errors[kind] != 4 || r.Failed != 4 {
				t.Errorf("errors %v, exit %v", r.Errors, err)
			}
		})
	}
	r, err := command(t, "--target", "http://"+freeAddress(t), "--sessions", "2", "--concurrency", "1")
	if err == nil || r.Errors["connect"] != 2 {
		t.Errorf("errors %v, exit %v", r.Errors, err)
	}
}

func TestFlagsAreRefused(t *testing.T) {
	for _, c := range [][]string{
		{"--target is needed"},
		{"is no http or https URL", "--target", "ftp://127.0.0.1/"},
		{"not a loopback address", "--target", "http://192.0.2.1/"},
		{"not a loopback address", "--target", "http://127.0.0.1/", "--acs", "192.0.2.1:7550"},
		{"every address of this machine", "acs", "--listen", ":0"},
		{"--sessions is 0", "--target", "http://127.0.0.1/", "--sessions", "0"},
		{"--devices 2 is less", "--target", "http://127.0.0.1/", "--devices", "2"},
		{"not a number from 1", "--target", "http://127.0.0.1/", "--events", "2 PERIODIC=x"},
		{"not 1.2 or 1.3", "--target", "https://127.0.0.1/", "--tls-version", "1.1"},
		{"client-key", "--target", "https://127.0.0.1/", "--client-cert", "x.pem"},
		{"keep-alive", "--target", "https://127.0.0.1/", "--keep-alive", "--new-connection-per-post"},
		{"process 2147483647", "--target", "http://127.0.0.1/", "--pid", "2147483647"},
		{"is not one of them", "fleet", "--target", "http://127.0.0.1/", "--quirks", "Perfect"},
	} {
		err := run(t.Context(), c[1:], io.Discard, io.Discard)
		if err == nil || !strings.Contains(err.Error(), c[0]) {
			t.Errorf("%q: %v", c[1:], err)
		}
	}
}

func TestInterrupted(t *testing.T) {
	_, address := openStub(t, false, nil)
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	var out bytes.Buffer
	if err := run(ctx, []string{"--target", "http://" + address, "--sessions", "100000000", "--duration", "1h", "--json"}, &out, io.Discard); err != nil {
		t.Fatal(err)
	}
	var r report
	if err := json.Unmarshal(out.Bytes(), &r); err != nil || r.Failed != 0 {
		t.Errorf("%v, %v", r.Errors, err)
	}
}

func TestACSCommand(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	r, w := io.Pipe()
	ended := make(chan error, 1)
	go func() {
		ended <- run(ctx, []string{"acs", "--listen", "127.0.0.1:0"}, w, io.Discard)
		w.Close()
	}()
	line := make([]byte, 100)
	n, err := r.Read(line)
	if err != nil {
		t.Fatal(err)
	}
	target := strings.TrimPrefix(strings.TrimSpace(string(line[:n])), "acs at ")
	if _, err := command(t, "--target", target, "--sessions", "20"); err != nil {
		t.Error(err)
	}
	cancel()
	rest, err := io.ReadAll(r)
	if err != nil || !strings.Contains(string(rest), "20 sessions ended") {
		t.Errorf("%q, %v", rest, err)
	}
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

func TestFleetCommand(t *testing.T) {
	address := freeAddress(t)
	var out bytes.Buffer
	err := run(t.Context(), []string{"fleet", "--acs", address, "--target", "http://" + address, "--sessions", "60", "--devices", "12",
		"--quirks", "none,ReconnectEachPost,WrongID", "--faults", "0.1"}, &out, io.Discard)
	if err != nil || !strings.Contains(out.String(), "60 sessions in ") || !strings.Contains(out.String(), " 0 failed") {
		t.Errorf("%v\n%s", err, out.String())
	}
}

func TestTLS(t *testing.T) {
	dir := t.TempDir()
	pool := x509.NewCertPool()
	server := makeCertificate(t, dir, pool)
	clientCert, clientKey := filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	for name, c := range map[string]struct {
		auth    tls.ClientAuthType
		args    []string
		kind    string // of the errors
		resumed bool
		version uint16
	}{
		"1.3":                      {args: []string{"--tls-version", "1.3"}, version: tls.VersionTLS13},
		"1.2":                      {args: []string{"--tls-version", "1.2"}, version: tls.VersionTLS12},
		"resumed":                  {args: []string{"--resume"}, resumed: true},
		"with client certificate":  {auth: tls.RequireAndVerifyClientCert, args: []string{"--client-cert", clientCert, "--client-key", clientKey}},
		"1.2 without certificate":  {auth: tls.RequireAndVerifyClientCert, args: []string{"--tls-version", "1.2"}, kind: "tls"},
		"name that does not match": {args: []string{"--server-name", "other.example.test"}, kind: "tls"},
		"unchecked":                {args: []string{"--server-name", "other.example.test", "--insecure"}},
	} {
		t.Run(name, func(t *testing.T) {
			cfg := &tls.Config{Certificates: []tls.Certificate{server}, ClientCAs: pool, ClientAuth: c.auth,
				VerifyConnection: func(s tls.ConnectionState) error {
					if c.version != 0 && s.Version != c.version {
						t.Errorf("spoke %s", tls.VersionName(s.Version))
					}
					return nil
				}}
			_, address := openStub(t, false, cfg)
			args := append([]string{"--target", "https://" + address, "--sessions", "40", "--concurrency", "4", "--ca", clientCert}, c.args...)
			r, err := command(t, args...)
			if c.kind != "" {
				if err == nil || r.Errors[c.kind] != 40 {
					t.Errorf("errors %v %v, exit %v", r.Errors, r.Examples, err)
				}
				return
			}
			if err != nil || (r.Resumed > 0) != c.resumed {
				t.Errorf("%v %v, %d resumed, exit %v", r.Errors, r.Examples, r.Resumed, err)
			}
		})
	}
}

// makeCertificate writes cert.pem and key.pem, which are server's, client's and
// CA's at once.
func makeCertificate(t *testing.T, dir string, pool *x509.CertPool) tls.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	c := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "load"}, IsCA: true, BasicConstraintsValid: true,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth}}
	der, err := x509.CreateCertificate(rand.Reader, c, c, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	keyDER, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	certPEM := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	keyPEM := pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: keyDER})
	if err := os.WriteFile(filepath.Join(dir, "cert.pem"), certPEM, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "key.pem"), keyPEM, 0o600); err != nil {
		t.Fatal(err)
	}
	pool.AppendCertsFromPEM(certPEM)
	pair, err := tls.X509KeyPair(certPEM, keyPEM)
	if err != nil {
		t.Fatal(err)
	}
	return pair
}
