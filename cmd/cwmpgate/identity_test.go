package main

import (
	"bufio"
	"crypto/tls"
	"encoding/base64"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/cwmpgate/cwmpgate/audit"
	"github.com/cwmpgate/cwmpgate/cwmp/cwmptest"
)

// identityConfig has tenants that know devices by what they show: home takes
// what names its device, or a certificate of the product; far has another
// authority; open asks, and takes who shows nothing.
const identityConfig = `node: test-node
listeners:
  - {name: cpe, address: "127.0.0.1:0", tls: {self_signed: {directory: .}}}
tenants:
  - name: home
    user_mismatch: refuse
    match: {hosts: [home.example.test]}
    upstreams: [{url: "http://%[1]s/"}]
    redaction: {key: "file:redaction.key"}
    client_certificates:
      mode: required
      authorities:
        - {file: devices.pem, device: {template: "{oui}-{serial}"}}
        - {file: product.pem}
  - name: far
    match: {hosts: [far.example.test]}
    upstreams: [{url: "http://%[1]s/"}]
    redaction: {key: "file:redaction.key"}
    client_certificates: {mode: required, authorities: [{file: far.pem}]}
  - name: open
    user_mismatch: refuse
    match: {hosts: [open.example.test]}
    upstreams: [{url: "http://%[1]s/"}]
    redaction: {key: "file:redaction.key"}
    client_certificates: {mode: optional, authorities: [{file: devices.pem, device: {template: "{oui}-{serial}"}}]}
journal: {directory: journal, max_size: 1GiB, segment_size: 1MiB}
store: {sqlite: {file: audit.db}}
admin: {metrics: "127.0.0.1:0"}
timeouts: {drain: 1s}
`

// line is a TLS connection of a CPE.
type line struct {
	*tls.Conn
	r *bufio.Reader
}

func dialLine(t *testing.T, r *rig, shown ...tls.Certificate) *line {
	t.Helper()
	cfg := trust(t, r.dir)
	cfg.ServerName = "localhost"
	if len(shown) > 0 {
		cfg.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &shown[0], nil }
	}
	c, err := tls.Dial("tcp", r.addr, cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return newLine(c)
}

func newLine(c *tls.Conn) *line {
	c.SetDeadline(time.Now().Add(patience))
	return &line{c, bufio.NewReader(c)}
}

// say sends a request and returns the answer's status and cookies.
func (l *line) say(t *testing.T, text string) (status int, cookies string) {
	t.Helper()
	if _, err := io.WriteString(l, text); err != nil {
		t.Fatal(err)
	}
	res, err := http.ReadResponse(l.r, nil)
	if err != nil {
		t.Fatal(err)
	}
	io.Copy(io.Discard, res.Body)
	res.Body.Close()
	for _, c := range res.Cookies() {
		cookies += c.Name + "=" + c.Value + "; "
	}
	return res.StatusCode, strings.TrimSuffix(cookies, "; ")
}

func basic(user string) string {
	return "Authorization: Basic " + base64.StdEncoding.EncodeToString([]byte(user+":secret-of-the-user"))
}

// TestIdentityBinding: what a CPE shows must be the device that it says it is,
// and records say what that rests on.
func TestIdentityBinding(t *testing.T) {
	acs := openACS(t, cwmptest.ACSConfig{})
	dir := t.TempDir()
	devices, product, far := newAuthority(t, "devices"), newAuthority(t, "product"), newAuthority(t, "far")
	devices.write(t, dir, "devices.pem")
	product.write(t, dir, "product.pem")
	far.write(t, dir, "far.pem")
	file := filepath.Join(dir, "cwmpgate.yaml")
	if err := os.WriteFile(file, fmt.Appendf(nil, identityConfig, acs.Addr()), 0o600); err != nil {
		t.Fatal(err)
	}
	r := startFile(t, file)
	none := []tls.Certificate(nil)
	own := func(name string) []tls.Certificate { return []tls.Certificate{devices.client(t, name)} }
	ofProduct, ofFar := []tls.Certificate{product.client(t, "any")}, []tls.Certificate{far.client(t, "any")}
	for _, c := range []struct {
		name, tenant, serial string
		shown                []tls.Certificate
		user                 string
		level                string // "": refused
		reason               string
	}{
		{"its own", "home", "A1", own("00005E-A1"), "", "certificate", ""},
		{"its own, and its user", "home", "A2", own("00005e-A2"), "00005E-A2", "certificate", ""},
		{"of the product", "home", "A3", ofProduct, "", "class", ""},
		{"of the product, and its user", "home", "A4", ofProduct, "00005E-A4", "http", ""},
		{"another user than its own", "home", "A5", ofProduct, "somebody", "class", ""},
		{"of another device", "home", "B1", own("00005E-A1"), "", "", "identity-mismatch"},
		{"of another device, with its user", "home", "B2", own("00005E-A1"), "00005E-B2", "", "identity-mismatch"},
		{"its own, with another's user", "home", "B3", own("00005E-B3"), "00005E-A1", "", "identity-mismatch"},
		{"of the product, with another's user", "home", "B4", ofProduct, "00005E-A1", "", "identity-mismatch"},
		{"none", "home", "B5", none, "00005E-B5", "", "certificate-missing"},
		{"of another tenant", "home", "B6", ofFar, "", "", "certificate-unknown-authority"},
		{"of its tenant", "far", "C1", ofFar, "", "class", ""},
		{"of its tenant, with another's user", "far", "C3", ofFar, "00005E-A1", "class", ""},
		{"of another tenant, its own", "far", "C2", own("00005E-C2"), "", "", "certificate-unknown-authority"},
		{"none, where none is needed", "open", "D1", none, "", "claimed", ""},
		{"its own, where none is needed", "open", "D2", own("00005E-D2"), "", "certificate", ""},
		{"another's, where none is needed", "open", "D3", own("00005E-D2"), "", "", "identity-mismatch"},
		{"another's user", "open", "D4", none, "00005E-D2", "", "identity-mismatch"},
	} {
		t.Run(c.name, func(t *testing.T) {
			before := r.metrics()
			var header []string
			if c.user != "" {
				header = append(header, basic(c.user))
			}
			text := strings.Replace(inform(c.serial, header...), "acs.example.test", c.tenant+".example.test", 1)
			l := dialLine(t, r, c.shown...)
			status, cookies := l.say(t, text)
			if c.level == "" {
				if status != 403 {
					t.Errorf("answered %d", status)
				}
				name := fmt.Sprintf(`cwmpgate_refusals_total{from="cpe",reason=%q}`, c.reason)
				if after := r.metrics(); after[name] != before[name]+1 {
					t.Errorf("%s went from %v to %v", name, before[name], after[name])
				}
				return
			}
			if status != 200 {
				t.Fatalf("answered %d", status)
			}
			if status, _ := l.say(t, strings.Replace(post("", "Cookie: "+cookies), "acs.example.test", c.tenant+".example.test", 1)); status/100 != 2 {
				t.Errorf("the session's end was answered %d", status)
			}
		})
	}
	t.Run("swapped within a session", func(t *testing.T) {
		first := dialLine(t, r, own("00005E-E1")...)
		at := func(text string) string { return strings.Replace(text, "acs.example.test", "home.example.test", 1) }
		status, cookies := first.say(t, at(inform("E1")))
		if status != 200 {
			t.Fatalf("answered %d", status)
		}
		for name, shown := range map[string][]tls.Certificate{"another device's": own("00005E-A1"), "the product's": ofProduct} {
			if status, _ := dialLine(t, r, shown...).say(t, at(post("", "Cookie: "+cookies))); status != 403 {
				t.Errorf("with %s certificate: answered %d", name, status)
			}
		}
		if status, _ := first.say(t, at(post("", "Cookie: "+cookies))); status/100 != 2 {
			t.Errorf("the session's own connection: answered %d", status)
		}
	})
	t.Run("a claim ends no session", func(t *testing.T) {
		at := func(text string) string { return strings.Replace(text, "acs.example.test", "open.example.test", 1) }
		first := dialLine(t, r, own("00005E-F1")...)
		first.say(t, at(inform("F1")))
		superseded := func() float64 { return r.metrics()[`cwmpgate_sessions_ended_total{how="superseded"}`] }
		before := superseded()
		if status, _ := dialLine(t, r).say(t, at(inform("F1"))); status != 200 {
			t.Fatalf("the claim was answered %d", status)
		}
		if superseded() != before {
			t.Error("it ended the session of who has shown its certificate")
		}
		if dialLine(t, r, own("00005E-F1")...).say(t, at(inform("F1"))); superseded() != before+2 {
			t.Error("an Inform with the certificate did not end both")
		}
	})
	r.close()
	checkIdentities(t, dir, file)
}

// checkIdentities holds the store to what TestIdentityBinding did.
func checkIdentities(t *testing.T, dir, file string) {
	a := openArchive(t, dir)
	levels := map[string]string{}
	for _, s := range a.rows(audit.Filter{View: audit.ViewSessions}) {
		if s.text("serial") == "F1" {
			continue // which has shown itself in one session, and not in another
		}
		levels[s.text("serial")] = s.text("identity")
	}
	for serial, want := range map[string]string{"A1": "certificate", "A2": "certificate", "A3": "class", "A4": "http", "A5": "class", "C1": "class", "D1": "claimed", "D2": "certificate"} {
		if levels[serial] != want {
			t.Errorf("%s: identity %q, want %q", serial, levels[serial], want)
		}
	}
	for serial := range levels {
		if strings.HasPrefix(serial, "B") || serial == "C2" || serial == "D3" || serial == "D4" {
			t.Errorf("%s had a session", serial)
		}
	}
	refused := map[string]record{}
	for _, s := range ofKind(a.records(), audit.KindSecurity) {
		refused[s.Device.Serial] = s
	}
	for _, serial := range []string{"B1", "B2", "B3", "B4", "D3", "D4"} {
		if s := refused[serial]; s.Reason != "identity-mismatch" || s.Claimed != "00005E-HG-"+serial {
			t.Errorf("%s: %s", serial, s.line)
		}
	}
	if got := refused["B1"].Verified; got != "CN=00005E-A1" {
		t.Errorf("B1 is verified as %q", got)
	}
	if s := ofKind(a.records(), audit.KindSecurity); !strings.Contains(fmt.Sprint(s), "certificate-missing") || strings.Contains(fmt.Sprint(s), "secret-of-the-user") {
		t.Errorf("security records: %v", s)
	}
	for least, want := range map[string]int{"claimed": len(levels), "http": 0, "certificate": 0} {
		for _, l := range levels {
			if least == "http" && (l == "http" || l == "certificate") || least == "certificate" && l == "certificate" {
				want++
			}
		}
		seen := map[string]bool{}
		for line := range strings.Lines(mustCLI(t, "audit", "sessions", "--config", file, "--json", "--min-identity", least)) {
			_, rest, _ := strings.Cut(line, `"serial":"`)
			serial, _, _ := strings.Cut(rest, `"`)
			if serial != "F1" {
				seen[serial] = true
			}
		}
		if len(seen) != want {
			t.Errorf("--min-identity %s shows %d devices, want %d", least, len(seen), want)
		}
	}
}
