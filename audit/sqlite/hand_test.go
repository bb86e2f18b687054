package sqlite

import (
	"database/sql"
	"path/filepath"
	"strings"
	"testing"

	"github.com/cwmpgate/cwmpgate/audit/storetest"
	"github.com/cwmpgate/cwmpgate/audit/storetest/gotest"
	"github.com/cwmpgate/cwmpgate/audit/verify"
)

// TestVerify tampers with a store's file.
func TestVerify(t *testing.T) {
	storetest.RunVerify(gotest.T(t), func(t storetest.T) (storetest.Ledger, storetest.Hand) {
		file := filepath.Join(t.TempDir(), "audit.db")
		s := open(t, file)
		db, err := sql.Open("sqlite", file)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			if err := db.Close(); err != nil {
				t.Error(err)
			}
		})
		return s, hand{db}
	})
}

// TestColumns: a column of the ledger or of a table beside it that no longer says
// what the records do is found.
func TestColumns(t *testing.T) {
	for statement, want := range map[string]string{
		"UPDATE ledger SET tenant = 'other' WHERE seq = 5":                                                           "table ledger, row 0 of record 5: tenant",
		"UPDATE ledger SET at = at + 1 WHERE seq = 5":                                                                "table ledger, row 0 of record 5: at",
		"UPDATE ledger SET device = NULL WHERE seq = 5":                                                              "table ledger, row 0 of record 5: device",
		"UPDATE parameters SET changed = 0 WHERE action = 'set' AND seq = 6":                                         "record 6: changed",
		"UPDATE names SET name = 'Device.Harmless' WHERE name LIKE '%DNSServer'":                                     "record 6: name",
		"UPDATE devices SET serial = 'T7' WHERE serial = 'T1'":                                                       "device",
		"UPDATE devices SET same = 99 WHERE serial = 'T1'":                                                           "table devices",
		"DELETE FROM decisions":                                                                                      "table decisions",
		"UPDATE security SET claimed = 'me'":                                                                         "claimed",
		"UPDATE sessions SET how = 'timeout' WHERE seq = (SELECT max(seq) FROM sessions)":                            "how",
		"UPDATE transfers SET url = 'http://example.com/' WHERE step = 'request'":                                    "url",
		"INSERT INTO refusals (log, seq, at, sender, reason, status, count) VALUES (1, 5000, 1, 'cpe', 'x', 400, 1)": "added",
	} {
		t.Run(statement, func(t *testing.T) {
			file := filepath.Join(t.TempDir(), "audit.db")
			s := open(t, file)
			l := storetest.Sample(2)
			if err := s.Write(t.Context(), l.All()); err != nil {
				t.Fatal(err)
			}
			db, err := sql.Open("sqlite", file)
			if err != nil {
				t.Fatal(err)
			}
			defer db.Close()
			hand{db}.run(t, l.ID, statement)
			r, err := verify.Run(t.Context(), verify.Config{Store: s})
			if err != nil {
				t.Fatal(err)
			}
			for _, f := range r.Findings {
				if strings.Contains(f.Text, want) || f.What == want {
					return
				}
			}
			t.Errorf("found %+v", r.Findings)
		})
	}
}

// hand is somebody with a SQLite shell.
type hand struct{ db *sql.DB }

// run runs a statement in which :log stands for the number of the log.
func (h hand) run(t storetest.TB, log, statement string, args ...any) {
	t.Helper()
	if h.try(t, log, statement, args...) == 0 {
		t.Fatalf("%s: no row", statement)
	}
}

func (h hand) try(t storetest.TB, log, statement string, args ...any) int64 {
	t.Helper()
	statement = strings.ReplaceAll(statement, ":log", "(SELECT id FROM logs WHERE log = '"+log+"')")
	r, err := h.db.ExecContext(t.Context(), statement, args...)
	if err != nil {
		t.Fatalf("%s: %v", statement, err)
	}
	n, err := r.RowsAffected()
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func (h hand) Take(t storetest.TB, log string, first, last uint64) {
	t.Helper()
	h.run(t, log, "DELETE FROM ledger WHERE log = :log AND seq BETWEEN ? AND ?", int64(first), int64(last))
	for _, table := range projections {
		h.try(t, log, "DELETE FROM "+table+" WHERE log = :log AND seq BETWEEN ? AND ?", int64(first), int64(last))
	}
}

func (h hand) Forge(t storetest.TB, log string, seq uint64, leaf, salt, record []byte) {
	t.Helper()
	h.run(t, log, "UPDATE ledger SET leaf = ?, salt = coalesce(?, X''), bytes = coalesce(?, X'') WHERE log = :log AND seq = ?", leaf, salt, record, int64(seq))
}

func (h hand) Double(t storetest.TB, log string, seq uint64) {
	t.Helper()
	h.try(t, log, "DROP INDEX ledger_place")
	h.run(t, log, `INSERT INTO ledger (log, seq, at, kind, node, tenant, device, session, n, identity, leaf, salt, bytes)
		SELECT log, seq, at, kind, node, tenant, device, session, n, identity, leaf, salt, bytes FROM ledger WHERE log = :log AND seq = ?`, int64(seq))
}

func (h hand) Alter(t storetest.TB, log string, seq uint64) {
	t.Helper()
	h.run(t, log, "UPDATE parameters SET value = 'innocent' WHERE log = :log AND seq = ?", int64(seq))
}

func (h hand) TakeRow(t storetest.TB, log string, seq uint64) {
	t.Helper()
	h.run(t, log, "DELETE FROM rpcs WHERE log = :log AND seq = ?", int64(seq))
}

func (h hand) AddRow(t storetest.TB, log string, seq uint64) {
	t.Helper()
	h.run(t, log, "INSERT INTO system (log, seq, at, what) SELECT log, seq, at, 'start' FROM ledger WHERE log = :log AND seq = ?", int64(seq))
}

func (h hand) TakeCheckpoints(t storetest.TB, log string, epoch uint64, size int64) {
	t.Helper()
	h.run(t, log, "DELETE FROM checkpoints WHERE log = :log AND epoch = ? AND size > ?", int64(epoch), size)
}
