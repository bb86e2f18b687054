package main

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/cwmpgate/cwmpgate/audit"
	"github.com/cwmpgate/cwmpgate/cwmp/cwmptest"
)

const sniConfig = `node: test-node
listeners:
  - name: cpe
    address: "127.0.0.1:0"
    tls: {self_signed: {directory: .}}
tenants:
  - name: north
    match: {sni: [North.example.test], hosts: [north.example.test]}
    upstreams: [{url: "http://%[1]s/"}]
    redaction: {key: "file:redaction.key"}
    client_certificates: {mode: required, authorities: [{file: north.pem}]}
  - name: south
    match: {sni: [south.example.test], hosts: [south.example.test]}
    upstreams: [{url: "http://%[1]s/"}]
    redaction: {key: "file:redaction.key"}
journal: {directory: journal, max_size: 1GiB, segment_size: 1MiB}
store: {sqlite: {file: audit.db}}
admin: {metrics: "127.0.0.1:0"}
timeouts: {drain: 1s}
`

// TestTenantsByName: the name in the handshake says which tenants a connection
// may come to, whatever its requests say.
func TestTenantsByName(t *testing.T) {
	acs := openACS(t, cwmptest.ACSConfig{})
	dir := t.TempDir()
	north := newAuthority(t, "north")
	north.write(t, dir, "north.pem")
	file := filepath.Join(dir, "cwmpgate.yaml")
	if err := os.WriteFile(file, fmt.Appendf(nil, sniConfig, acs.Addr()), 0o600); err != nil {
		t.Fatal(err)
	}
	r := startFile(t, file)
	for _, c := range []struct {
		sni, host, serial string
		shown             bool
		status            int // 0: the handshake fails
	}{
		{"north.example.test", "north", "A1", true, 200},
		{"NORTH.example.test", "north", "A2", true, 200},
		{"north.example.test", "north", "A3", false, 0},
		{"south.example.test", "south", "A4", false, 200}, // is not asked for a certificate
		{"south.example.test", "north", "A5", true, 421},
		{"north.example.test", "south", "A6", true, 421},
		{"other.example.test", "north", "A7", true, 421},
		{"", "north", "A8", true, 421},
		{"north.example.test", "nobody", "A9", true, 404},
	} {
		cfg := trust(t, r.dir)
		// The certificate is of other names: it is verified under its own.
		roots := cfg.RootCAs
		cfg.InsecureSkipVerify, cfg.ServerName = true, c.sni
		cfg.VerifyConnection = func(s tls.ConnectionState) error {
			_, err := s.PeerCertificates[0].Verify(x509.VerifyOptions{Roots: roots})
			return err
		}
		if c.shown {
			cfg.Certificates = []tls.Certificate{north.client(t, "00005E-"+c.serial)}
		}
		// In TLS 1.2 the client knows the server's verdict when it is done.
		cfg.MaxVersion = tls.VersionTLS12
		conn, err := tls.Dial("tcp", r.addr, cfg)
		if c.status == 0 {
			if err == nil {
				conn.Close()
				t.Errorf("%q without a certificate: let in", c.sni)
			}
			continue
		}
		if err != nil {
			t.Errorf("%q: %v", c.sni, err)
			continue
		}
		status, _ := newLine(conn).say(t, strings.Replace(inform(c.serial), "acs.example.test", c.host+".example.test", 1))
		conn.Close()
		if status != c.status {
			t.Errorf("%q, Host %s: answered %d, want %d", c.sni, c.host, status, c.status)
		}
	}
	if got := r.metrics()[`cwmpgate_refusals_total{from="cpe",reason="misdirected"}`]; got != 4 {
		t.Errorf("%v requests are counted as misdirected", got)
	}
	r.close()
	named := 0
	for _, rec := range ofKind(openArchive(t, r.dir).records(), audit.KindSecurity) {
		if rec.Reason == "misdirected" {
			named += rec.Count // alike ones of a second are one record
		}
	}
	if named != 3 {
		t.Errorf("%d security records of misdirected requests", named)
	}
}

func TestNamesNeedTLS(t *testing.T) {
	file := plan{acs: "192.0.2.1:7550", tenant: "    match: {sni: [north.example.test]}\n"}.write(t)
	if _, _, stderr := cli("check", "--config", file); !strings.Contains(stderr, "no listener of the tenant has TLS") {
		t.Errorf("a name where there is no TLS:\n%s", stderr)
	}
	file = plan{acs: "192.0.2.1:7550", tls: true, tenant: "    match: {sni: [\"*.example.test\", 192.0.2.1]}\n"}.write(t)
	if _, _, stderr := cli("check", "--config", file); strings.Count(stderr, "is no host name") != 2 {
		t.Errorf("names that no CPE sends:\n%s", stderr)
	}
}
