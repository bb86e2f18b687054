package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

const warnedConfig = `listeners:
  - name: cpe
    address: "127.0.0.1:7547"
    tls: {certificates: [{certificate: cpe.pem, key: cpe.key}]}
tenants:
  - name: north
    match: {sni: [North.example.test, south.example.test]}
    upstreams: [{url: "http://127.0.0.1:7550/"}]
    redaction: {key: "file:redaction.key"}
    client_certificates: {mode: required, authorities: [{file: north.pem}]}
journal: {directory: journal}
store: {sqlite: {file: audit.db}}
certificates: {warn_before: %s}
`

// TestCheckWarns: a config may be right and not stay so, or be of no use.
func TestCheckWarns(t *testing.T) {
	dir := t.TempDir()
	a := newAuthority(t, "north")
	a.write(t, dir, "north.pem")
	a.server(t, dir, "north.example.test")
	for _, end := range []string{".pem", ".key"} {
		if err := os.Rename(filepath.Join(dir, "north.example.test"+end), filepath.Join(dir, "cpe"+end)); err != nil {
			t.Fatal(err)
		}
	}
	const uncovered = "tenant north: listener cpe has no certificate for south.example.test"
	for before, want := range map[string][]string{
		"1s": {uncovered},
		"2h": {"listener cpe: certificate ", `tenant north: authority `, uncovered},
	} {
		file := filepath.Join(dir, "cwmpgate.yaml")
		if err := os.WriteFile(file, fmt.Appendf(nil, warnedConfig, before), 0o600); err != nil {
			t.Fatal(err)
		}
		code, stdout, stderr := cli("check", "--config", file)
		if code != 0 || !strings.Contains(stdout, "is right") || strings.Count(stderr, "warning: ") != len(want) {
			t.Errorf("warn_before %s: %d, %s%s", before, code, stdout, stderr)
		}
		for _, w := range want {
			if !strings.Contains(stderr, "warning: "+w) {
				t.Errorf("warn_before %s: no %q in\n%s", before, w, stderr)
			}
		}
	}
}
