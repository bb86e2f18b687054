package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	ch "github.com/ClickHouse/clickhouse-go/v2"

	"github.com/cwmpgate/cwmpgate/audit"
	"github.com/cwmpgate/cwmpgate/audit/clickhouse/chtest"
	"github.com/cwmpgate/cwmpgate/audit/storetest"
)

// TestStoreSelftest: an embedded store passes every group, and nothing stays.
func TestStoreSelftest(t *testing.T) {
	t.Setenv("TMPDIR", t.TempDir())
	file := plan{acs: "192.0.2.1:7550"}.write(t)
	out := mustCLI(t, "store", "selftest", "--config", file)
	for _, g := range selftestNames() {
		if !strings.Contains(out, "ok     "+g+"/") {
			t.Errorf("nothing of group %s:\n%s", g, out)
		}
	}
	if !strings.HasSuffix(out, " tests, all ok\n") || strings.Contains(out, "FAILED") {
		t.Errorf("it ends with %s", out[max(0, len(out)-200):])
	}
	if left, err := os.ReadDir(os.TempDir()); err != nil || len(left) > 0 {
		t.Errorf("left behind: %v %v", left, err)
	}
	if _, err := os.Stat(filepath.Join(filepath.Dir(file), "audit.db")); err == nil {
		t.Error("the gateway's own store was made")
	}
	if code, _, stderr := cli("store", "selftest", "--config", file, "--group", "twice"); code != exitUsage || !strings.Contains(stderr, "removal") {
		t.Errorf("no such group: exit code %d, %s", code, stderr)
	}
}

// TestStoreSelftestOnClickHouse: a server is tested in databases of the tests'
// own, which are dropped, also where it is broken off; who may not come in is
// told so.
func TestStoreSelftestOnClickHouse(t *testing.T) {
	e := chtest.Start(t, chtest.WithUser("auditor", "right"))
	client, err := ch.Open(&ch.Options{Addr: []string{e.Native}, Auth: ch.Auth{Username: "auditor", Password: "right"}})
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	databases := func() (list string) {
		t.Helper()
		if err := client.QueryRow(t.Context(), "SELECT arrayStringConcat(groupArray(name), ' ') FROM system.databases WHERE name NOT IN ('default', 'system') AND lower(name) != 'information_schema'").Scan(&list); err != nil {
			t.Fatal(err)
		}
		return list
	}
	config := func(password string) string {
		dir := t.TempDir()
		for name, text := range map[string]string{"user": "auditor", "password": password} {
			if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		return plan{acs: "192.0.2.1:7550", dir: dir, store: fmt.Sprintf(`{clickhouse: {servers: [%q], database: theirs, user: "file:user", password: "file:password"}}`, e.Native)}.write(t)
	}
	right := config("right")
	out := mustCLI(t, "store", "selftest", "--config", right, "--group", "ledger,removal")
	if !strings.Contains(out, "ok     ledger/records") || !strings.Contains(out, "ok     removal/erasure") || strings.Contains(out, "FAILED") {
		t.Error(out)
	}
	if left := databases(); left != "" {
		t.Errorf("left behind: %s", left)
	}
	if code, stdout, stderr := cli("store", "selftest", "--config", config("wrong"), "--group", "ledger"); code != exitFailed || stdout != "" || !strings.Contains(stderr, "Authentication failed") || strings.Count(stderr, "\n") > 3 {
		t.Errorf("with a wrong password: exit code %d\n%s%s", code, stdout, stderr)
	}
	ctx, cancel := context.WithCancelCause(t.Context())
	stops := &stopper{after: "ok     ledger/records", stop: func() { cancel(errors.New("interrupted")) }}
	if code := execute(ctx, []string{"store", "selftest", "--config", right, "--group", "ledger"}, stops, &logbook{}); code != exitFailed {
		t.Errorf("broken off: exit code %d", code)
	}
	if left := databases(); left != "" {
		t.Errorf("left behind: %s", left)
	}
}

// stopper breaks off once something was printed.
type stopper struct {
	after string
	stop  func()
}

func (s *stopper) Write(p []byte) (int, error) {
	if strings.Contains(string(p), s.after) {
		s.stop()
	}
	return len(p), nil
}

// forgetful is a store that loses the last record of each cut.
type forgetful struct{ provable }

func (f forgetful) Write(ctx context.Context, b *audit.Batch) error {
	less := *b
	if n := len(b.Entries); n > 1 {
		less.Entries = b.Entries[:n-1]
	}
	return f.provable.Write(ctx, &less)
}

// TestSelftestFails: a store that is not right is told so, by each test that
// shows it, and a test that panics is one that fails.
func TestSelftestFails(t *testing.T) {
	var out logbook
	sound := scratch(&storeConfig{SQLite: &sqliteConfig{}})
	err := selftest(t.Context(), &out, func(t storetest.T) provable { return forgetful{sound(t)} }, []string{"once", "ledger"})
	if err == nil || !strings.Contains(out.String(), "FAILED once/bytes come back") || !strings.Contains(out.String(), "records, want") || !strings.Contains(out.String(), "FAILED ledger/records") {
		t.Errorf("%v\n%s", err, &out)
	}
	err = selftest(t.Context(), &out, func(t storetest.T) provable { panic("no store") }, []string{"removal"})
	if err == nil || !strings.Contains(err.Error(), "3 of 3") || !strings.Contains(out.String(), "panic: no store") {
		t.Errorf("%v\n%s", err, &out)
	}
}

// TestDemoNight: the example of the docs comes into an empty store, and into no
// other.
func TestDemoNight(t *testing.T) {
	file := plan{acs: "192.0.2.1:7550"}.write(t)
	if out := mustCLI(t, "demo", "--night", file); !strings.Contains(out, "109 records") {
		t.Error(out)
	}
	if out := mustCLI(t, "audit", "changes", "--config", file, "--since", "2026-11-24T20:00:00Z", "--parameter", "**.DNSServer"); !strings.Contains(out, "203.0.113.66") {
		t.Error(out)
	}
	if code, _, stderr := cli("demo", "--night", file); code != exitUsage || !strings.Contains(stderr, "has records already") {
		t.Errorf("once more: exit code %d, %s", code, stderr)
	}
}
