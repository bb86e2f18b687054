package main

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/cwmpgate/cwmpgate/cwmp/cwmptest"
	"github.com/cwmpgate/cwmpgate/proxy/acme/acmetest"
)

const acmeConfig = `node: test-node
listeners:
  - {name: cpe, address: "127.0.0.1:%d", tls: {acme: [acs.example.test]}}
tenants:
  - name: home
    upstreams: [{url: "http://%s/"}]
    redaction: {key: "file:redaction.key"}
certificates: {acme: {storage: acme, directory: %q, ca: %q, agree: true, http_port: 0, tls_port: %[1]d}}
journal: {directory: journal, max_size: 1GiB, segment_size: 1MiB}
store: {sqlite: {file: audit.db}}
admin: {metrics: "127.0.0.1:0"}
timeouts: {drain: 1s}
`

// TestACMEListener: a listener gets its certificate by itself, answers the CA on
// its own port, and still has it after another start.
func TestACMEListener(t *testing.T) {
	acs := openACS(t, cwmptest.ACSConfig{})
	p := acmetest.Start(t, time.Hour)
	file := filepath.Join(t.TempDir(), "cwmpgate.yaml")
	if err := os.WriteFile(file, fmt.Appendf(nil, acmeConfig, p.TLS, acs.Addr(), p.Directory, p.CA), 0o600); err != nil {
		t.Fatal(err)
	}
	roots := p.Roots(t)
	var serials []string
	for start := range 2 {
		r := startFile(t, file)
		var shown *x509.Certificate
		acmetest.Await(t, "a certificate is shown", func() bool {
			c, err := tls.Dial("tcp", r.addr, &tls.Config{RootCAs: roots, ServerName: "acs.example.test"})
			if err != nil {
				return false
			}
			defer c.Close()
			shown = c.ConnectionState().PeerCertificates[0]
			return true
		})
		serials = append(serials, shown.SerialNumber.String())
		cfg := device("https://"+r.addr+"/acs", "C1")
		cfg.TLS = &tls.Config{RootCAs: roots, ServerName: "acs.example.test"}
		d, err := cwmptest.NewDevice(cfg)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := d.Session(t.Context()); err != nil {
			t.Error(err)
		}
		d.Close()
		m := r.metrics()
		if got, want := m["cwmpgate_acme_certificates_total"], float64(1-start); got != want {
			t.Errorf("start %d: %v certificates were got, want %v", start+1, got, want)
		}
		if got := m[`cwmpgate_certificates_end_timestamp_seconds{of="listener cpe",what="certificate"}`]; got != float64(shown.NotAfter.Unix()) {
			t.Errorf("the end of the certificate is told as %v", got)
		}
		r.close()
	}
	if serials[0] != serials[1] {
		t.Error("another start got another certificate")
	}
	if out := mustCLI(t, "certs", "--config", file, "--json"); !strings.Contains(out, `"names":"acs.example.test"`) {
		t.Errorf("cwmpgate certs: %s", out)
	}
}

const acmeDNSConfig = `node: test-node
listeners:
  - {name: cpe, address: "127.0.0.1:0", tls: {acme: ["*.example.test"]}}
tenants:
  - name: home
    upstreams: [{url: "http://192.0.2.1/"}]
    redaction: {key: "file:redaction.key"}
certificates:
  acme:
    storage: acme
    directory: %q
    ca: %q
    agree: true
    http_port: 0
    tls_port: 0
    dns: {server: %q, key_name: gateway, key: "file:dns.key", resolvers: [%[3]q]}
journal: {directory: journal, max_size: 1GiB, segment_size: 1MiB}
store: {sqlite: {file: audit.db}}
admin: {metrics: "127.0.0.1:0"}
timeouts: {drain: 1s}
`

// TestACMEByDNS: a wildcard is got by updates of the zone, signed by the key that
// the name server knows, and nothing is left behind.
func TestACMEByDNS(t *testing.T) {
	p := acmetest.Start(t, time.Hour)
	run := func(key string) *rig {
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, "dns.key"), []byte(key+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		file := filepath.Join(dir, "cwmpgate.yaml")
		if err := os.WriteFile(file, fmt.Appendf(nil, acmeDNSConfig, p.Directory, p.CA, p.DNS), 0o600); err != nil {
			t.Fatal(err)
		}
		return startFile(t, file)
	}
	r := run(acmetest.Key)
	roots := p.Roots(t)
	acmetest.Await(t, "a certificate is shown", func() bool {
		c, err := tls.Dial("tcp", r.addr, &tls.Config{RootCAs: roots, ServerName: "any.example.test"})
		if err == nil {
			c.Close()
		}
		return err == nil
	})
	acmetest.Await(t, "the zone is as before", func() bool { return p.Records() == 0 })
	r.close()
	r = run("YW5vdGhlciBrZXkgb2YgdGhpcnR5LXR3byBieXRlcyE=")
	acmetest.Await(t, "the failure is counted", func() bool { return r.metrics()["cwmpgate_acme_failures_total"] > 0 })
	if m := r.metrics(); m[`cwmpgate_acme_certificates_total`] > 0 {
		t.Error("a certificate was got with a wrong key")
	}
}
