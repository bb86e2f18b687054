package main

import (
	"os"
	"path/filepath"
	"testing"
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
