package main

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/cwmpgate/cwmpgate/cwmp/cwmptest"
)

const acsTLSConfig = `node: test-node
listeners:
  - name: cpe
    address: "127.0.0.1:0"
    tls:
      self_signed: {directory: .}
      client_certificates: {mode: optional, authorities: [{file: devices.pem, device: {template: "{oui}-{serial}"}}]}
tenants:
  - name: home
    upstreams:
      - url: "https://%s/"
        tls: {ca: acs-ca.pem, server_name: acs.example.test, certificate: gateway.pem, key: gateway.key, min_version: "%s"}
        identify:
          rfc9440: chain
          fields:
            - {name: X-Device-Verify, value: verify}
            - {name: x_device_dn, value: subject}
            - {name: X-Device-Issuer, value: issuer}
            - {name: X-Device-Serial, value: serial}
            - {name: X-Device-Pem, value: certificate}
            - {name: X-Device-Identity, value: identity}
    redaction: {key: "file:redaction.key"}
journal: {directory: journal, max_size: 1GiB, segment_size: 1MiB}
store: {sqlite: {file: audit.db}}
admin: {metrics: "127.0.0.1:0"}
timeouts: {drain: 1s}
certificates: {check_every: 10ms}
`

// tlsACS is an ACS that requires the gateway's certificate, and keeps what it
// was told.
type tlsACS struct {
	*cwmptest.ACS
	mu    sync.Mutex
	heads []http.Header
	shown []*x509.Certificate
}

func openTLSACS(t *testing.T, cfg *tls.Config) *tlsACS {
	a := &tlsACS{}
	a.ACS = openACS(t, cwmptest.ACSConfig{TLS: cfg, Intercept: func(_ http.ResponseWriter, r *http.Request) bool {
		a.mu.Lock()
		defer a.mu.Unlock()
		a.heads = append(a.heads, r.Header.Clone())
		a.shown = append(a.shown, r.TLS.PeerCertificates[0])
		return false
	}})
	return a
}

func (a *tlsACS) last() (http.Header, *x509.Certificate) {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.heads[len(a.heads)-1], a.shown[len(a.shown)-1]
}

// TestACSOverTLS: the gateway and the ACS verify each other, and the ACS is told
// whom the gateway has verified, by the gateway alone.
func TestACSOverTLS(t *testing.T) {
	dir := t.TempDir()
	ca, devices, gateways := newAuthority(t, "acs-ca"), newAuthority(t, "devices"), newAuthority(t, "gateways")
	ca.write(t, dir, "acs-ca.pem")
	devices.write(t, dir, "devices.pem")
	own := gateways.client(t, "gateway")
	writePair(t, own, dir, "gateway")
	pool := x509.NewCertPool()
	pool.AddCert(gateways.cert)
	acs := openTLSACS(t, &tls.Config{
		Certificates: []tls.Certificate{ca.server(t, t.TempDir(), "acs.example.test")},
		ClientAuth:   tls.RequireAndVerifyClientCert, ClientCAs: pool, MaxVersion: tls.VersionTLS12,
	})
	write := func(version string) string {
		file := filepath.Join(dir, "cwmpgate.yaml")
		if err := os.WriteFile(file, fmt.Appendf(nil, acsTLSConfig, acs.Addr(), version), 0o600); err != nil {
			t.Fatal(err)
		}
		return file
	}
	forged := []string{
		"Client-Cert: :AAAA:", "Client-Cert-Chain: :AAAA:", "client_cert: :AAAA:", "X-Device-Verify: SUCCESS", "X-DEVICE-DN: CN=00005E-T9",
		"X_Device_Identity: certificate", "X-Device-Pem: forged", "x-device_serial: 99",
	}
	r := startFile(t, write("1.2"))
	device := devices.client(t, "00005E-T1")
	t.Run("shown", func(t *testing.T) {
		if status, _ := dialLine(t, r, device).say(t, inform("T1", forged...)); status != 200 {
			t.Fatalf("answered %d", status)
		}
		head, shown := acs.last()
		if !shown.Equal(own.Leaf) {
			t.Errorf("the gateway has shown %s", shown.Subject)
		}
		seq := func(der []byte) string { return ":" + base64.StdEncoding.EncodeToString(der) + ":" }
		pemText, _ := url.QueryUnescape(head.Get("X-Device-Pem"))
		for name, want := range map[string]string{
			"Client-Cert": seq(device.Certificate[0]), "Client-Cert-Chain": seq(devices.cert.Raw),
			"X-Device-Verify": "SUCCESS", "X_device_dn": "CN=00005E-T1", "X-Device-Issuer": "CN=devices", "X-Device-Serial": "2",
			"X-Device-Identity": "certificate",
		} {
			if got := head.Values(name); len(got) != 1 || got[0] != want {
				t.Errorf("%s: %q, want %q", name, got, want)
			}
		}
		if block, _ := pem.Decode([]byte(pemText)); block == nil || string(block.Bytes) != string(device.Certificate[0]) {
			t.Errorf("X-Device-Pem: %s", head.Get("X-Device-Pem"))
		}
		checkNothingForged(t, head)
	})
	t.Run("not shown", func(t *testing.T) {
		if status, _ := dialLine(t, r).say(t, inform("T2", forged...)); status != 200 {
			t.Fatalf("answered %d", status)
		}
		head, _ := acs.last()
		if head.Get("X-Device-Verify") != "NONE" || head.Get("X-Device-Identity") != "claimed" {
			t.Errorf("verify %q, identity %q", head.Get("X-Device-Verify"), head.Get("X-Device-Identity"))
		}
		for _, name := range []string{"Client-Cert", "Client-Cert-Chain", "X_device_dn", "X-Device-Serial", "X-Device-Pem"} {
			if got := head.Values(name); len(got) > 0 {
				t.Errorf("%s: %q", name, got)
			}
		}
		checkNothingForged(t, head)
	})
	t.Run("a name that would end a field", func(t *testing.T) {
		evil := devices.client(t, "00005E-T3\r\nX-Device-Identity: certificate")
		dialLine(t, r, evil).say(t, inform("T3")) // refused, or told in one field
		head, _ := acs.last()
		if got := head.Values("X-Device-Identity"); len(got) != 1 {
			t.Errorf("X-Device-Identity: %q", got)
		}
	})
	t.Run("the gateway's certificate is replaced", func(t *testing.T) {
		next := gateways.client(t, "gateway")
		writePair(t, next, dir, "gateway")
		await(t, "the new certificate is shown", func() bool {
			dialLine(t, r, device).say(t, inform("T1"))
			_, shown := acs.last()
			return shown.Equal(next.Leaf)
		})
	})
	r.close()
	t.Run("too old an ACS", func(t *testing.T) {
		r := startFile(t, write("1.3"))
		if status, _ := dialLine(t, r).say(t, inform("T2")); status != 503 {
			t.Errorf("answered %d", status)
		}
	})
	t.Run("another ACS", func(t *testing.T) {
		newAuthority(t, "acs-ca").write(t, dir, "acs-ca.pem")
		r := startFile(t, write("1.2"))
		if status, _ := dialLine(t, r).say(t, inform("T2")); status != 503 {
			t.Errorf("answered %d", status)
		}
	})
}

func checkNothingForged(t *testing.T, head http.Header) {
	t.Helper()
	for name, values := range head {
		text := strings.Join(values, " ")
		if strings.Contains(text, "AAAA:") && len(text) < 10 || strings.Contains(text, "CN=00005E-T9") || text == "forged" || text == "99" {
			t.Errorf("%s: %s", name, text)
		}
		if folded := strings.ReplaceAll(strings.ToLower(name), "_", "-"); strings.HasPrefix(folded, "x-device-") && len(values) != 1 {
			t.Errorf("%s: %q", name, values)
		}
	}
}
