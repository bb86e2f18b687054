package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	ch "github.com/ClickHouse/clickhouse-go/v2"

	"github.com/cwmpgate/cwmpgate/audit/clickhouse/chtest"
	"github.com/cwmpgate/cwmpgate/cwmp/cwmptest"
)

// TestClickHouseProof: a gateway whose store is in ClickHouse keeps its proof
// there; what is altered, lost, erased and too old is told apart, what was lost
// comes back from the journal, and what was erased does not.
func TestClickHouseProof(t *testing.T) {
	e := chtest.Start(t)
	client, err := ch.Open(&ch.Options{Addr: []string{e.Native}, Auth: ch.Auth{Database: "audit", Username: e.User, Password: e.Password}})
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	count := func(query string) (n uint64) {
		t.Helper()
		if err := client.QueryRow(t.Context(), "SELECT count() FROM "+query).Scan(&n); err != nil {
			t.Fatalf("%s: %v", query, err)
		}
		return n
	}
	exec := func(statement string) {
		t.Helper()
		if err := client.Exec(t.Context(), statement); err != nil {
			t.Fatalf("%s: %v", statement, err)
		}
	}
	acs := openACS(t, cwmptest.ACSConfig{Script: chores})
	p := plan{
		acs: acs.Addr(), dir: t.TempDir(), level: "info", sections: "proof: {site: north, checkpoint: {leaves: 10, every: 1s}}\n",
		store: fmt.Sprintf("{clickhouse: {servers: [%q], database: audit}}", e.Native),
	}
	r := start(t, p)
	for _, serial := range []string{"CH-1", "CH-2", "CH-3"} {
		if err := soon(t, "a session", inSession(t, r.url(), serial)); err != nil {
			t.Fatal(err)
		}
	}
	r.close()
	key := strings.TrimSpace(mustCLI(t, "proof", "key", "--config", r.file))
	verify := func(bad int, want string, more ...string) {
		t.Helper()
		code, stdout, stderr := cli(append([]string{"audit", "verify", "--config", r.file, "--key", key}, more...)...)
		if code != bad || !strings.Contains(stdout, want) {
			t.Errorf("exit code %d, want %d with %q:\n%s%s", code, bad, want, stdout, stderr)
		}
	}
	verify(0, "0 expired, 0 erased")
	if out := mustCLI(t, "audit", "prove", "5", "--config", r.file); !strings.Contains(out, `"checkpoint"`) {
		t.Errorf("audit prove: %s", out)
	}

	// A row that says otherwise is found, and a rebuild puts it right.
	exec("ALTER TABLE parameters UPDATE value = 'innocent' WHERE action = 'set' SETTINGS mutations_sync = 2")
	verify(1, "value is not what the record says")
	mustCLI(t, "audit", "rebuild", "--config", r.file)
	verify(0, "0 expired, 0 erased")

	// What was lost comes back.
	for _, table := range []string{"ledger", "rpcs", "parameters", "transfers", "sessions", "system"} {
		exec("ALTER TABLE " + table + " DELETE WHERE seq BETWEEN 5 AND 9 SETTINGS mutations_sync = 2")
	}
	verify(1, "records 5 to 9 are not there")
	verify(0, "5 records sent again, 0 that", "--repair")

	// By the command while no gateway runs, and by one that does.
	erase := func(serial string) {
		t.Helper()
		mustCLI(t, "audit", "erase", "--config", r.file, "--device", serial, "--reason", "asked to", "--yes")
		for _, table := range []string{"ledger", "rpcs", "parameters", "transfers", "sessions", "last_values"} {
			if n := count(table + " WHERE serial = '" + serial + "'"); n > 0 {
				t.Errorf("%s: %d rows of %s are left", serial, n, table)
			}
		}
		if n := count("ledger WHERE position(bytes, '" + serial + "') > 0"); n > 0 {
			t.Errorf("%s: its name stands in %d records", serial, n)
		}
	}
	erase("CH-1")
	p.store = fmt.Sprintf("{clickhouse: {servers: [%q], database: audit, protocol: http}}", e.HTTP)
	r = start(t, p)
	if err := soon(t, "a session", inSession(t, r.url(), "CH-4")); err != nil {
		t.Fatal(err)
	}
	await(t, "the store has it", func() bool { return count("sessions WHERE serial = 'CH-4'") == 1 })
	erase("CH-2")
	r.close()
	verify(0, " erased")
	mustCLI(t, "audit", "rebuild", "--config", r.file)
	if n := count("rpcs WHERE serial IN ('CH-1', 'CH-2')"); n > 0 {
		t.Errorf("a rebuild brought %d rows back", n)
	}
	// The journal still has what was erased, and does not bring it back.
	if err := os.Remove(filepath.Join(r.dir, "journal", "cursor-clickhouse")); err != nil {
		t.Fatal(err)
	}
	again := start(t, p)
	again.close()
	if n := count("ledger WHERE serial IN ('CH-1', 'CH-2')"); n > 0 {
		t.Errorf("the journal brought %d records back", n)
	}
	verify(0, " erased")
	if n := count("sessions WHERE serial IN ('CH-3', 'CH-4')"); n != 2 {
		t.Errorf("%d sessions of others", n)
	}
	rows := 0
	for out := range strings.Lines(mustCLI(t, "audit", "sessions", "--config", r.file, "--json")) {
		if strings.Contains(out, `"serial":"CH-`) {
			rows++
		}
	}
	if rows != 2 {
		t.Errorf("audit sessions shows %d", rows)
	}
}
