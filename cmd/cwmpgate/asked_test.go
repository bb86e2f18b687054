package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cwmpgate/cwmpgate/audit"
)

// TestWrongFilters: a value that no row can have is refused with what there is,
// before the store is opened.
func TestWrongFilters(t *testing.T) {
	for _, x := range []struct{ command, flag, value, want string }{
		{"tail", "--kind", "nonsense", strings.Join(audit.Kinds(), ", ")},
		{"tail", "--kind", "Message", "none of message"},
		{"changes", "--parameter", "a..b", "an empty step"},
		{"changes", "--parameter", "Device.[x].**..", "an empty step"},
		{"changes", "--parameter", "a.b**", "** must stand alone"},
	} {
		code, stdout, stderr := cli("audit", x.command, "--config", "absent.yaml", x.flag, x.value)
		if code != exitUsage || stdout != "" || !strings.Contains(stderr, x.want) || !strings.Contains(stderr, x.flag) {
			t.Errorf("audit %s %s %s: exit code %d, %s%s", x.command, x.flag, x.value, code, stdout, stderr)
		}
	}
	for _, path := range []string{"", "a.b", ".ManagementServer.Password", "Device.X.[a..b].C", "Device.WiFi.", "**.SSID"} {
		if err := checkParameter(path); err != nil {
			t.Errorf("%q: %v", path, err)
		}
	}
	if out := mustCLI(t, "__complete", "audit", "tail", "--kind", ""); !strings.Contains(out, audit.KindSecurity+"\n") {
		t.Errorf("completion of kinds: %s", out)
	}
}

// TestJSONHasEveryColumn: each line has the same keys, whatever is known.
func TestJSONHasEveryColumn(t *testing.T) {
	var b bytes.Buffer
	p := jsonLines{&b}
	for _, view := range audit.Views()[1:] {
		values := make([]any, len(view.Columns()))
		for _, some := range [][]any{{nil}, {"<ä>", int64(7), true, time.Date(2026, 11, 24, 23, 59, 59, 0, time.UTC), nil}} {
			for i := range values {
				values[i] = some[i%len(some)]
			}
			b.Reset()
			if err := p.row(audit.Row{Columns: view.Columns(), Values: values}); err != nil {
				t.Fatal(err)
			}
			var got map[string]any
			if err := json.Unmarshal(b.Bytes(), &got); err != nil {
				t.Fatalf("%s: %v: %s", view, err, &b)
			}
			for i, c := range view.Columns() {
				if v, ok := got[c]; !ok || (v == nil) != (values[i] == nil) {
					t.Errorf("%s: %s is %v (%v), was %v", view, c, v, ok, values[i])
				}
			}
			if len(got) != len(values) {
				t.Errorf("%s: %d keys of %d columns", view, len(got), len(values))
			}
		}
	}
}

// TestCheckSaysAllAtOnce: what a section finds wrong with itself stands beside
// what is wrong with single values in it.
func TestCheckSaysAllAtOnce(t *testing.T) {
	file := filepath.Join(t.TempDir(), "wrong.yaml")
	text := `listeners:
  - {name: cpe, address: ":7547"}
tenants:
  - name: a
    match: {path: acs, listener: cpee}
    upstreams: [{url: "ftp://192.0.2.1/"}]
    identity: "{oui"
  - name: a
    upstreams: [{url: "http://192.0.2.1/acs"}]
journal: {directory: j}
store: {sqlite: {file: a.db}}
admin: {metrics: "192.0.2.1:9547"}
`
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	code, _, stderr := cli("check", "--config", file)
	for _, want := range []string{
		`:5:19: .*match\.path`, `:5:34: .*no listener is called "cpee"`, `:6:23: .*http://`, `:7:15: .*identity`, `:8:11: .*there twice`,
		`:9:23: .*path or query`, `:\d+:\d+: .*tenants\[0\]\.redaction\.key`, `:\d+:\d+: .*tenants\[1\]\.redaction\.key`, `:12:18: .*loopback`,
	} {
		if n := len(regexp.MustCompile(`(?m)^`+regexp.QuoteMeta(file)+want).FindAllString(stderr, -1)); n != 1 {
			t.Errorf("%d mistakes like %s in\n%s", n, want, stderr)
		}
	}
	lines := strings.Split(strings.TrimSpace(stderr), "\n")
	if code != exitUsage || len(lines) != 10 || len(slices.Compact(slices.Sorted(slices.Values(lines)))) != len(lines) {
		t.Errorf("exit code %d, %d lines:\n%s", code, len(lines), stderr)
	}
}

// TestCheckOfCertificates: what cannot work together is said before it runs.
func TestCheckOfCertificates(t *testing.T) {
	dir := t.TempDir()
	newAuthority(t, "devices").write(t, dir, "devices.pem")
	newAuthority(t, "another").revoke(t, dir, "another.crl")
	if err := os.WriteFile(filepath.Join(dir, "text.pem"), []byte("no certificate"), 0o600); err != nil {
		t.Fatal(err)
	}
	const frame = `listeners:
  - {name: cpe, address: ":7547", tls: {self_signed: {directory: .}, %s}}
tenants:
  - {name: a, upstreams: [{url: "https://192.0.2.1/", %s}], redaction: {key: "file:k"}}
journal: {directory: j}
`
	const acmeFrame = `listeners:
  - {name: cpe, address: ":7547", tls: {acme: [%s]}}
tenants:
  - {name: a, upstreams: [{url: "https://192.0.2.1/"}], redaction: {key: "file:k"}}
%s
journal: {directory: j}
`
	for _, c := range []struct{ names, acme, want string }{
		{"acs.example.com", "", "tls.acme: there is no certificates.acme"},
		{"acs.example.com", "certificates: {acme: {storage: s}}", "set agree: true"},
		{"acs.example.com", "certificates: {acme: {agree: true}}", "storage"},
		{"acs.example.com", "certificates: {acme: {storage: s, agree: true, keys: [dsa]}}", `"dsa" is not ecdsa or rsa`},
		{"acs.example.com", "certificates: {acme: {storage: s, agree: true, http_port: 0, tls_port: 0}}", "no challenge left"},
		{"acs.example.com", "certificates: {acme: {storage: s, agree: true, ca: text.pem}}", "ca holds no certificate"},
		{"\"*.example.com\"", "certificates: {acme: {storage: s, agree: true}}", "a wildcard can only be shown by certificates.acme.dns"},
		{"A.example.com", "certificates: {acme: {storage: s, agree: true}}", `"A.example.com" is no host name`},
	} {
		file := filepath.Join(dir, "wrong.yaml")
		if err := os.WriteFile(file, fmt.Appendf(nil, acmeFrame, c.names, c.acme), 0o600); err != nil {
			t.Fatal(err)
		}
		if code, _, stderr := cli("check", "--config", file); code != exitUsage || !regexp.MustCompile(c.want).MatchString(stderr) {
			t.Errorf("%s %s: want %q, got exit code %d and\n%s", c.names, c.acme, c.want, code, stderr)
		}
	}
	for _, c := range []struct{ listener, upstream, want string }{
		{"profile: modern, triple_des: true", "", "triple_des: profile modern has no 3DES"},
		{"profile: tls13", "", "profile: .*modern"},
		{"client_certificates: {mode: required}", "", "mode required needs the authorities"},
		{"client_certificates: {authorities: [{file: devices.pem}]}", "", "set mode to optional or required"},
		{"client_certificates: {mode: required, authorities: [{file: absent.pem}]}", "", "authorities.0..file: .*no such file"},
		{"client_certificates: {mode: required, authorities: [{file: text.pem}]}", "", "is no PEM file of certificates"},
		{"client_certificates: {mode: required, authorities: [{file: devices.pem, crls: [another.crl]}]}", "", `crls.0.: check the signature`},
		{`client_certificates: {mode: required, authorities: [{file: devices.pem, device: {template: "{oui}"}}]}`, "", "device.template: .*names no device"},
		{`client_certificates: {mode: required, authorities: [{file: devices.pem, device: {pattern: "("}}]}`, "", "device.pattern: "},
		{`client_certificates: {mode: required, authorities: [{file: devices.pem, device: {}}]}`, "", "give a template or a pattern"},
		{"profile: strict", "identify: {fields: [{name: Host, value: subject}]}", "Host means something else"},
		{"profile: strict", "identify: {fields: [{name: \"a b\", value: subject}]}", "is no name of a field"},
		{"profile: strict", "identify: {fields: [{name: X_A, value: subject}, {name: x-a, value: serial}]}", "x-a is there twice"},
		{"profile: strict", "identify: {fields: [{name: X-A, value: dn}]}", "value: "},
		{"profile: strict", `tls: {min_version: "1.4"}`, "min_version: "},
		{"profile: strict", "tls: {ca: text.pem}", "holds no certificate"},
	} {
		file := filepath.Join(dir, "wrong.yaml")
		if err := os.WriteFile(file, fmt.Appendf(nil, frame, c.listener, c.upstream), 0o600); err != nil {
			t.Fatal(err)
		}
		if code, _, stderr := cli("check", "--config", file); code != exitUsage || !regexp.MustCompile(`(?m)^`+regexp.QuoteMeta(file)+`:[24]:\d+: .*`+c.want).MatchString(stderr) {
			t.Errorf("%s %s: want %q, got exit code %d and\n%s", c.listener, c.upstream, c.want, code, stderr)
		}
	}
}
