package main

import (
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cwmpgate/cwmpgate/cwmp/cwmptest"
)

// server is the certificate of a gateway or an ACS on loopback.
func (a *authority) server(t testing.TB, dir, name string) tls.Certificate {
	t.Helper()
	c := a.sign(t, &x509.Certificate{
		Subject: pkix.Name{CommonName: name}, DNSNames: []string{"localhost", name}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		NotBefore:   time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
	})
	writePair(t, c, dir, name)
	return c
}

// writePair puts a certificate and its key into name.pem and name.key.
func writePair(t testing.TB, c tls.Certificate, dir, name string) {
	t.Helper()
	key, err := x509.MarshalPKCS8PrivateKey(c.PrivateKey.(*ecdsa.PrivateKey))
	if err != nil {
		t.Fatal(err)
	}
	for file, block := range map[string]*pem.Block{
		name + ".key": {Type: "PRIVATE KEY", Bytes: key}, name + ".pem": {Type: "CERTIFICATE", Bytes: c.Certificate[0]},
	} {
		if err := os.WriteFile(filepath.Join(dir, file), pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

// revoke writes the authority's list of revoked certificates.
func (a *authority) revoke(t testing.TB, dir, name string, revoked ...tls.Certificate) {
	t.Helper()
	list := &x509.RevocationList{Number: big.NewInt(time.Now().UnixNano()), ThisUpdate: time.Now().Add(-time.Hour), NextUpdate: time.Now().Add(time.Hour)}
	for _, r := range revoked {
		list.RevokedCertificateEntries = append(list.RevokedCertificateEntries, x509.RevocationListEntry{SerialNumber: r.Leaf.SerialNumber, RevocationTime: time.Now()})
	}
	der, err := x509.CreateRevocationList(rand.Reader, list, a.cert, a.key)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, name), der, 0o600); err != nil {
		t.Fatal(err)
	}
}

const certificatesConfig = `node: test-node
listeners:
  - name: cpe
    address: "127.0.0.1:0"
    tls:
      certificates: [{certificate: cpe.pem, key: cpe.key}]
      client_certificates: {mode: optional, authorities: [{file: devices.pem, crls: [devices.crl]}]}
tenants:
  - name: home
    upstreams: [{url: "http://%s/"}]
    redaction: {key: "file:redaction.key"}
journal: {directory: journal, max_size: 1GiB, segment_size: 1MiB}
store: {sqlite: {file: audit.db}}
admin: {metrics: "127.0.0.1:0"}
timeouts: {drain: 1s}
certificates: {check_every: 10ms}
`

// TestCertificatesAreReloaded: what the files hold now is shown and judged by,
// and no session is dropped for it.
func TestCertificatesAreReloaded(t *testing.T) {
	acs := openACS(t, cwmptest.ACSConfig{})
	dir := t.TempDir()
	ca, devices := newAuthority(t, "ca"), newAuthority(t, "devices")
	devices.write(t, dir, "devices.pem")
	devices.revoke(t, dir, "devices.crl")
	first := ca.server(t, dir, "cpe")
	file := filepath.Join(dir, "cwmpgate.yaml")
	if err := os.WriteFile(file, fmt.Appendf(nil, certificatesConfig, acs.Addr()), 0o600); err != nil {
		t.Fatal(err)
	}
	r := startFile(t, file)
	roots := x509.NewCertPool()
	roots.AddCert(ca.cert)
	dial := func(shown ...tls.Certificate) (*line, error) {
		c, err := tls.Dial("tcp", r.addr, &tls.Config{RootCAs: roots, Certificates: shown, MaxVersion: tls.VersionTLS12})
		if err != nil {
			return nil, err
		}
		t.Cleanup(func() { c.Close() })
		return newLine(c), nil
	}
	must := func(l *line, err error) *line {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return l
	}
	device := devices.client(t, "device")
	open := must(dial(device))
	plain := must(dial())
	if got := open.ConnectionState().PeerCertificates[0]; !got.Equal(first.Leaf) {
		t.Fatalf("shown is %s", got.SerialNumber)
	}
	_, cookies := plain.say(t, inform("R1"))
	if status, _ := open.say(t, inform("R2")); status != 200 {
		t.Fatalf("answered %d", status)
	}

	second := ca.server(t, dir, "cpe")
	await(t, "the new certificate is shown", func() bool {
		return must(dial()).ConnectionState().PeerCertificates[0].Equal(second.Leaf)
	})
	if status, _ := plain.say(t, post("", "Cookie: "+cookies)); status/100 != 2 {
		t.Errorf("a session that was open is answered %d", status)
	}

	devices.revoke(t, dir, "devices.crl", device)
	await(t, "the device is refused", func() bool {
		_, err := dial(device)
		return err != nil
	})
	if _, err := dial(devices.client(t, "another")); err != nil {
		t.Errorf("another device: %v", err)
	}
	if status, _ := open.say(t, inform("R2")); status != 403 {
		t.Errorf("on its open connection the revoked device is answered %d", status)
	}

	os.Remove(filepath.Join(dir, "cpe.key"))
	await(t, "the failure is counted", func() bool { return r.metrics()["cwmpgate_certificates_reload_failures_total"] > 0 })
	if got := must(dial()).ConnectionState().PeerCertificates[0]; !got.Equal(second.Leaf) {
		t.Errorf("shown is %s", got.SerialNumber)
	}
	m := r.metrics()
	if got := m[`cwmpgate_certificates_end_timestamp_seconds{of="listener cpe",what="certificate"}`]; got != float64(second.Leaf.NotAfter.Unix()) {
		t.Errorf("the end of the certificate is told as %v", got)
	}
	if m["cwmpgate_certificates_reloads_total"] < 2 || m[`cwmpgate_tls_handshake_failures_total{reason="certificate-revoked"}`] < 1 {
		t.Errorf("metrics: %v", m)
	}
	if !strings.Contains(r.log.String(), "ends soon") {
		t.Error("the log does not warn of a certificate that ends in an hour")
	}
}

// TestCertsCommand holds the list to what was made.
func TestCertsCommand(t *testing.T) {
	dir := t.TempDir()
	ca, devices := newAuthority(t, "ca"), newAuthority(t, "devices")
	devices.write(t, dir, "devices.pem")
	ca.write(t, dir, "acs-ca.pem")
	own := devices.client(t, "gateway")
	writePair(t, own, dir, "gateway")
	devices.revoke(t, dir, "devices.crl", own, own)
	shown := ca.server(t, dir, "cpe")
	text := strings.Replace(fmt.Sprintf(certificatesConfig, "acs.example.com"), `{url: "http://acs.example.com/"}`,
		`{url: "https://acs.example.com/", tls: {ca: acs-ca.pem, certificate: gateway.pem, key: gateway.key}}`, 1)
	file := filepath.Join(dir, "cwmpgate.yaml")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	got := map[string]bool{}
	for l := range strings.Lines(mustCLI(t, "certs", "--config", file, "--json")) {
		var i struct {
			Of, What, File, Subject, Names, Key string
			Until                               *time.Time
			Revoked                             *int
		}
		if err := json.Unmarshal([]byte(l), &i); err != nil {
			t.Fatal(err)
		}
		text := fmt.Sprintf("%s, %s, %s, %s, %s, %s", i.Of, i.What, filepath.Base(i.File), i.Subject, i.Names, i.Key)
		if i.Revoked != nil {
			text += fmt.Sprintf(", %d revoked", *i.Revoked)
		}
		if i.Until == nil {
			t.Errorf("%s ends never", text)
		}
		got[text] = true
	}
	for _, want := range []string{
		"listener cpe, certificate, cpe.pem, CN=cpe, 127.0.0.1 cpe localhost, ECDSA P-256",
		"listener cpe, authority, devices.pem, CN=devices, , ECDSA P-256",
		"listener cpe, crl, devices.crl, CN=devices, , , 1 revoked",
		"tenant home to https://acs.example.com/, authority, acs-ca.pem, CN=ca, , ECDSA P-256",
		"tenant home to https://acs.example.com/, certificate, gateway.pem, CN=gateway, , ECDSA P-256",
	} {
		if !got[want] {
			t.Errorf("not listed: %s", want)
		}
		delete(got, want)
	}
	if len(got) > 0 {
		t.Errorf("listed, too: %v", got)
	}
	if out := mustCLI(t, "certs", "--config", file); !strings.Contains(out, shown.Leaf.NotAfter.Local().Format("2006-01-02")) || !strings.Contains(out, "0 h") {
		t.Errorf("the table:\n%s", out)
	}
}

// TestCertsAudit tells who a stricter profile would cut off.
func TestCertsAudit(t *testing.T) {
	acs := openACS(t, cwmptest.ACSConfig{})
	r := start(t, plan{acs: acs.Addr(), tls: true, tlsKeys: "profile: legacy"})
	for serial, v := range map[string]struct {
		version uint16
		suites  []uint16
	}{
		"V13": {tls.VersionTLS13, nil},
		"V12": {tls.VersionTLS12, []uint16{tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256}},
		"V10": {tls.VersionTLS10, []uint16{tls.TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA}},
	} {
		cfg := device("https://"+r.addr+"/acs", serial)
		cfg.TLS = trust(t, r.dir)
		cfg.TLS.MinVersion, cfg.TLS.MaxVersion, cfg.TLS.CipherSuites = v.version, v.version, v.suites
		d, err := cwmptest.NewDevice(cfg)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := d.Session(t.Context()); err != nil {
			t.Fatal(err)
		}
		d.Close()
	}
	r.close()
	for profile, want := range map[string]string{
		"modern": "V10 needs legacy, V12 needs strict, ", "strict": "V10 needs legacy, ", "intermediate": "V10 needs legacy, ", "legacy": "",
	} {
		var all []string
		for l := range strings.Lines(mustCLI(t, "certs", "audit", "--config", r.file, "--json", "--profile", profile)) {
			var row struct{ Serial, Needs string }
			if err := json.Unmarshal([]byte(l), &row); err != nil {
				t.Fatal(err)
			}
			all = append(all, row.Serial+" needs "+row.Needs+", ")
		}
		slices.Sort(all)
		if got := strings.Join(all, ""); got != want {
			t.Errorf("%s cuts off %q, want %q", profile, got, want)
		}
	}
	if out := mustCLI(t, "certs", "audit", "--config", r.file, "--profile", "legacy"); !strings.Contains(out, "profile legacy serves all of 3 devices seen") {
		t.Errorf("the table:\n%s", out)
	}
	if code, _, _ := cli("certs", "audit", "--config", r.file, "--profile", "strictest"); code != exitUsage {
		t.Errorf("exit code %d", code)
	}
}
