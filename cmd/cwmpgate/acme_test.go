package main

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"net/http"
	"net/http/httptest"
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
	p := acmetest.Start(t, acmetest.Config{Validity: time.Hour})
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
    external_account: {id: account-1, mac: "file:account.key"}
    dns: {%s, resolvers: [%q]}
journal: {directory: journal, max_size: 1GiB, segment_size: 1MiB}
store: {sqlite: {file: audit.db}}
admin: {metrics: "127.0.0.1:0"}
timeouts: {drain: 1s}
`

// accountKey is that of an account at the CA, and wrongKey one of nothing.
const (
	accountKey = "enFjdzE0MjM0MzQ1NjU0NjU3NTY3Njc2NzY3NTY3NTY"
	wrongKey   = "YW5vdGhlciBrZXkgb2YgdGhpcnR5LXR3byBieXRlcyE"
)

// TestACMEByDNS: a wildcard is got, by an account that is bound to one at the CA,
// each way of setting a record of the zone, and nothing is left behind. Where the
// way or the account is wrong the failure is counted.
func TestACMEByDNS(t *testing.T) {
	p := acmetest.Start(t, acmetest.Config{Validity: time.Hour, Accounts: map[string]string{"account-1": accountKey}})
	roots := p.Roots(t)
	script := filepath.Join(t.TempDir(), "record")
	if err := os.WriteFile(script, fmt.Appendf(nil, "#!/bin/sh -e\n[ \"$1\" = --well ]\ncase \"$2\" in\npresent) echo \"$4\" >> '%[1]s/'\"$3\" ;;\ncleanup) rm '%[1]s/'\"$3\" ;;\nesac\n", p.TXT), 0o700); err != nil {
		t.Fatal(err)
	}
	hook := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var ask struct{ FQDN, Value string }
		user, password, _ := r.BasicAuth()
		err := json.NewDecoder(r.Body).Decode(&ask)
		switch file := filepath.Join(p.TXT, filepath.Base(ask.FQDN)); {
		case err != nil:
		case user != "gateway" || password != "secret":
			w.WriteHeader(http.StatusUnauthorized)
		case r.URL.Path == "/hook/present":
			err = os.WriteFile(file, []byte(ask.Value), 0o600)
		case r.URL.Path == "/hook/cleanup":
			err = os.Remove(file)
		default:
			w.WriteHeader(http.StatusNotFound)
		}
		if err != nil {
			t.Errorf("%s: %v", r.URL, err)
		}
	}))
	t.Cleanup(hook.Close)
	update := fmt.Sprintf(`server: %q, key_name: gateway, key: "file:way.key"`, p.DNS)
	webhook := fmt.Sprintf(`webhook: {url: "%s/hook", ca: hook.pem, user: gateway, password: "file:way.key"}`, hook.URL)
	for _, x := range []struct {
		name, way, key, account string
		fails                   bool
	}{
		{"update", update, acmetest.Key, accountKey, false},
		{"update with a wrong key", update, wrongKey + "=", accountKey, true},
		{"another account", update, acmetest.Key, wrongKey, true},
		{"program", fmt.Sprintf(`exec: {command: [%q, --well]}`, script), "-", accountKey, false},
		{"program that fails", fmt.Sprintf(`exec: {command: [%q, --ill]}`, script), "-", accountKey, true},
		{"webhook", webhook, "secret", accountKey, false},
		{"webhook that says no", webhook, "guess", accountKey, true},
	} {
		t.Run(x.name, func(t *testing.T) {
			dir := t.TempDir()
			for name, text := range map[string]string{
				"way.key": x.key, "account.key": x.account,
				"hook.pem":      string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: hook.Certificate().Raw})),
				"cwmpgate.yaml": fmt.Sprintf(acmeDNSConfig, p.Directory, p.CA, x.way, p.DNS),
			} {
				if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			r := startFile(t, filepath.Join(dir, "cwmpgate.yaml"))
			defer r.close()
			if x.fails {
				acmetest.Await(t, "the failure is counted", func() bool { return r.metrics()["cwmpgate_acme_failures_total"] > 0 })
				if m := r.metrics(); m["cwmpgate_acme_certificates_total"] > 0 {
					t.Error("a certificate was got")
				}
				return
			}
			acmetest.Await(t, "a certificate is shown", func() bool {
				c, err := tls.Dial("tcp", r.addr, &tls.Config{RootCAs: roots, ServerName: "any.example.test"})
				if err == nil {
					c.Close()
				}
				return err == nil
			})
			acmetest.Await(t, "the zone is as before", func() bool {
				left, err := os.ReadDir(p.TXT)
				return err == nil && p.Records()+len(left) == 0
			})
		})
	}
}
