package main

import (
	"bytes"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/cwmpgate/cwmpgate/audit/clickhouse"
)

// An auditor need not be able to read the key of the hashes; other mistakes of
// a config are still told.
func TestStoreIsFoundWithoutTheKey(t *testing.T) {
	const config = `listeners: [{address: ":7547"}]
tenants: [{name: a, upstreams: [{url: "http://127.0.0.1:7550/"}], redaction: {key: "env:CWMPGATE_TEST_NO_SUCH_KEY"}}]
journal: {directory: journal}
store: {sqlite: {file: state/audit.db}}
`
	dir := t.TempDir()
	file := filepath.Join(dir, "cwmpgate.yaml")
	write := func(text string) {
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write(config)
	if got, err := storeOf(file); err != nil || string(got.Store.SQLite.File) != filepath.Join(dir, "state/audit.db") {
		t.Errorf("%+v, %v", got, err)
	}
	if _, err := loadConfig(file); err == nil {
		t.Error("a gateway would run without its key")
	}
	write(config + "timeoust: {}\n")
	if _, err := storeOf(file); err == nil {
		t.Error("a mistake in the config is not told")
	}
}

// TestClickHouseConfig holds configs/clickhouse.yaml to what it is: a config
// that is right, and whose store is ClickHouse with the defaults it names.
func TestClickHouseConfig(t *testing.T) {
	text, err := os.ReadFile("../../configs/clickhouse.yaml")
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	for _, name := range []string{"redaction.key", "clickhouse.user", "clickhouse.password"} {
		if err := os.WriteFile(filepath.Join(dir, name), bytes.Repeat([]byte("k"), 64), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	file := filepath.Join(dir, "cwmpgate.yaml")
	write := func(text []byte) {
		if err := os.WriteFile(file, bytes.ReplaceAll(text, []byte("/etc/cwmpgate"), []byte(dir)), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write(text)
	c, err := loadConfig(file)
	if err != nil {
		t.Fatal(err)
	}
	var d clickhouse.Config
	d.SetDefaults()
	d.Servers, d.User, d.Password, d.TLS.Enabled = c.Store.ClickHouse.Servers, c.Store.ClickHouse.User, c.Store.ClickHouse.Password, true
	if !reflect.DeepEqual(*c.Store.ClickHouse, d) {
		t.Errorf("store.clickhouse is %+v, with the defaults %+v", *c.Store.ClickHouse, d)
	}
	for wrong, want := range map[string]string{
		"  sqlite: {file: audit.db}\n": "sqlite and clickhouse are both set",
		"    quorum: auto\n":           "without a cluster there are no replicas",
		"    cluster: \"a'b\"\n":       "is no name for a cluster",
		"    password2: x\n":           "password2",
		"    servers: []\n":            "servers",
	} {
		write(append(bytes.Clone(text), wrong...))
		if _, err := loadConfig(file); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %q", wrong, err, want)
		}
	}
}
