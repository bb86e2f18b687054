package main

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/cwmpgate/cwmpgate/cwmp/cwmptest"
)

// secureACS is a stub ACS over TLS, and the file of the certificate that it is
// verified against.
func secureACS(t *testing.T, cfg cwmptest.ACSConfig) (acs *cwmptest.ACS, addr, ca string) {
	t.Helper()
	acs = cwmptest.NewACS(cfg)
	srv := httptest.NewTLSServer(acs)
	t.Cleanup(srv.Close)
	ca = filepath.Join(t.TempDir(), "acs-ca.pem")
	block := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: srv.Certificate().Raw})
	if err := os.WriteFile(ca, block, 0o600); err != nil {
		t.Fatal(err)
	}
	return acs, srv.Listener.Addr().String(), ca
}

// runConfig runs a gateway with a whole config of the test's own.
func runConfig(t *testing.T, text string) *rig {
	t.Helper()
	file := filepath.Join(t.TempDir(), "cwmpgate.yaml")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return startFile(t, file)
}

const ownConfig = `listeners: [{address: %q}]
tenants: [{name: a, upstreams: [{url: %q%s}], redaction: {key: "file:redaction.key"}%s}]
journal: {directory: journal, max_size: 1GiB, segment_size: 1MiB}
store: {sqlite: {file: audit.db}}
admin: {metrics: "127.0.0.1:0"}
log: {level: debug, format: json}
timeouts: {drain: 1s}
`

func session(t *testing.T, url string, identity string) error {
	t.Helper()
	d, err := cwmptest.NewDevice(cwmptest.DeviceConfig{Identity: cwmptest.Identity{OUI: "00005E", ProductClass: "HG", Serial: identity}, URL: url})
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	_, err = d.Session(context.Background())
	return err
}

// An ACS behind https is reached where its certificate is verified, and not
// where it is another's.
func TestHTTPSUpstream(t *testing.T) {
	acs, addr, ca := secureACS(t, cwmptest.ACSConfig{})
	r := runConfig(t, fmt.Sprintf(ownConfig, "127.0.0.1:0", "https://"+addr+"/", fmt.Sprintf(", tls: {ca: %q}", ca), ""))
	if err := session(t, r.url(), "TLS-1"); err != nil {
		t.Errorf("through TLS to the ACS: %v", err)
	}
	if acs.Ended() != 1 {
		t.Errorf("%d sessions ended at the ACS", acs.Ended())
	}
	other := httptest.NewTLSServer(http.NotFoundHandler())
	defer other.Close()
	wrong := runConfig(t, fmt.Sprintf(ownConfig, "127.0.0.1:0", "https://"+addr+"/", fmt.Sprintf(", tls: {ca: %q, server_name: other.example.net}", ca), ""))
	if err := session(t, wrong.url(), "TLS-2"); err == nil || cwmptest.ErrorKind(err) != "status-503" {
		t.Errorf("an ACS of another name: %v, want 503", err)
	}
	if got := wrong.metrics().sum(`cwmpgate_refusals_total{from="acs",reason="acs-unreachable"}`); got != 1 {
		t.Errorf("%v refusals for an ACS that is not the one meant", got)
	}
}

// The whole way over IPv6: sessions are bound to the /64 they came from.
func TestIPv6(t *testing.T) {
	ln, err := net.Listen("tcp", "[::1]:0")
	if err != nil {
		t.Skip("no IPv6 loopback here: ", err)
	}
	ln.Close()
	acs := cwmptest.NewACS(cwmptest.ACSConfig{Address: "[::1]:0"})
	if err := acs.Open(); err != nil {
		t.Fatal(err)
	}
	defer acs.Close()
	r := runConfig(t, fmt.Sprintf(ownConfig, "[::1]:0", "http://"+acs.Addr()+"/", ", forwarding: forwarded", ""))
	if err := session(t, "http://"+r.addr+"/acs", "V6"); err != nil {
		t.Fatal(err)
	}
	informs := acs.Informs()
	if len(informs) != 1 {
		t.Fatalf("%d Informs", len(informs))
	}
	if got := informs[0].Header.Get("Forwarded"); !strings.HasPrefix(got, `for="[::1]";`) {
		t.Errorf("Forwarded: %s", got)
	}
}

// Files go to the file server that the config names, messages to the ACS.
func TestFileUpstream(t *testing.T) {
	acs := cwmptest.NewACS(cwmptest.ACSConfig{})
	if err := acs.Open(); err != nil {
		t.Fatal(err)
	}
	defer acs.Close()
	image := bytes.Repeat([]byte{0xff, 0, 7}, 5000)
	files := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.Write(image) }))
	defer files.Close()
	r := runConfig(t, fmt.Sprintf(ownConfig, "127.0.0.1:0", "http://"+acs.Addr()+"/", "", fmt.Sprintf(", files: {upstream: {url: %q}}", files.URL)))
	if err := session(t, r.url(), "F-1"); err != nil {
		t.Fatal(err)
	}
	if status, body := get(t, "http://"+r.addr+"/fw.bin"); status != 200 || body != string(image) {
		t.Errorf("%d and %d bytes", status, len(body))
	}
	if len(acs.FileRequests()) != 0 {
		t.Error("the file was asked of the ACS")
	}
}

// A client that demands TLS 1.2 only, or sends no name, is served.
func TestTLSClients(t *testing.T) {
	acs := cwmptest.NewACS(cwmptest.ACSConfig{})
	if err := acs.Open(); err != nil {
		t.Fatal(err)
	}
	defer acs.Close()
	r := start(t, plan{acs: acs.Addr(), tls: true})
	roots := x509.NewCertPool()
	text, err := os.ReadFile(filepath.Join(r.dir, "cwmpgate-selfsigned.pem"))
	if err != nil {
		t.Fatal(err)
	}
	roots.AppendCertsFromPEM(text)
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		d, err := cwmptest.NewDevice(cwmptest.DeviceConfig{
			Identity: cwmptest.Identity{OUI: "00005E", Serial: fmt.Sprint("T", version)}, URL: "https://" + r.addr + "/acs",
			TLS: &tls.Config{RootCAs: roots, MinVersion: version, MaxVersion: version},
		})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := d.Session(context.Background()); err != nil {
			t.Errorf("%s: %v", tls.VersionName(version), err)
		}
		d.Close()
	}
}
