package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/cwmpgate/cwmpgate/audit"
	"github.com/cwmpgate/cwmpgate/audit/storetest"
)

// The file itself: made, read beside a writer, locked, damaged, of another
// version.

func TestFileMode(t *testing.T) {
	file := filepath.Join(t.TempDir(), "a", "b?c#d%20", "audit.db")
	s := open(t, file)
	if err := s.Write(t.Context(), storetest.Sample(1).All()); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{file, file + "-wal", file + "-shm"} {
		info, err := os.Stat(name)
		if err != nil {
			t.Fatal(err)
		}
		if info.Mode().Perm() != 0o600 {
			t.Errorf("%s has mode %o", name, info.Mode().Perm())
		}
	}
	var journal string
	var sync int
	if err := s.writer.conn.QueryRowContext(t.Context(), `PRAGMA journal_mode`).Scan(&journal); err != nil || journal != "wal" {
		t.Errorf("journal mode %s, %v", journal, err)
	}
	if err := s.writer.conn.QueryRowContext(t.Context(), `PRAGMA synchronous`).Scan(&sync); err != nil || sync != 2 {
		t.Errorf("synchronous %d, %v", sync, err)
	}
}

func TestReadOnly(t *testing.T) {
	file := filepath.Join(t.TempDir(), "audit.db")
	reader := New(Config{File: file, ReadOnly: true})
	if err := reader.Open(t.Context()); !errors.Is(err, os.ErrNotExist) {
		t.Fatalf("a file that is not there: %v", err)
	}
	l := storetest.Sample(3)
	s := New(Config{File: file})
	if err := s.Open(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := reader.Open(t.Context()); err != nil {
		t.Fatal(err)
	}
	defer reader.Close()
	for seq := range l.Last() {
		if err := s.Write(t.Context(), l.Batch(seq+1, seq+1)); err != nil {
			t.Fatal(err)
		}
		if n := count(t, reader, audit.ViewRecords); n != int(seq)+1 {
			t.Fatalf("the reader sees %d records, want %d", n, seq+1)
		}
	}
	if err := reader.Write(t.Context(), l.All()); !errors.Is(err, errClosed) {
		t.Errorf("a write to a reader: %v", err)
	}
	if err := reader.Rebuild(t.Context()); !errors.Is(err, errClosed) {
		t.Errorf("a rebuild by a reader: %v", err)
	}
	if err := reader.Close(); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	// Without a writer.
	if err := reader.Open(t.Context()); err != nil {
		t.Fatal(err)
	}
	if n := count(t, reader, audit.ViewRecords); n != int(l.Last()) {
		t.Fatalf("the reader sees %d records, want %d", n, l.Last())
	}
}

// TestOtherProcess reads, in a process of its own, a store that is being
// written.
func TestOtherProcess(t *testing.T) {
	if file := os.Getenv("SQLITE_TEST_READ"); file != "" {
		reader := New(Config{File: file, ReadOnly: true})
		if err := reader.Open(t.Context()); err != nil {
			t.Fatal(err)
		}
		defer reader.Close()
		fmt.Printf("read %d records\n", count(t, reader, audit.ViewRecords))
		return
	}
	file := filepath.Join(t.TempDir(), "audit.db")
	s := open(t, file)
	l := storetest.Sample(20)
	if err := s.Write(t.Context(), l.Batch(1, 40)); err != nil {
		t.Fatal(err)
	}
	// A write that is under way: the reader sees what was committed.
	err := s.writer.transact(t.Context(), func() error {
		if err := s.writer.write(t.Context(), l.All()); err != nil {
			return err
		}
		if err := s.writer.tables.flush(t.Context()); err != nil {
			return err
		}
		child := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestOtherProcess$")
		child.Env = append(os.Environ(), "SQLITE_TEST_READ="+file)
		out, err := child.CombinedOutput()
		if err != nil || !strings.Contains(string(out), "read 40 records\n") {
			return fmt.Errorf("the other process: %w\n%s", err, out)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if n := count(t, s, audit.ViewRecords); n != int(l.Last()) {
		t.Fatalf("%d records, want %d", n, l.Last())
	}
}

// TestTwoWriters writes one log in turns through two stores: neither may
// believe in what it remembers once the other has written.
func TestTwoWriters(t *testing.T) {
	file := filepath.Join(t.TempDir(), "audit.db")
	stores := []*Store{open(t, file), open(t, file)}
	l := storetest.Sample(2)
	cpe := l.Session(audit.Device{OUI: "00005E", Class: "HG", Serial: "T9"}, "s-9")
	for _, value := range []string{"a", "a", "b", "b", "a", "a", "a"} {
		cpe.BareInform([]string{"2 PERIODIC"}, storetest.Param("Device.X", value, "string"))
	}
	for seq := range l.Last() {
		if err := stores[seq%2].Write(t.Context(), l.Batch(seq+1, seq+1)); err != nil {
			t.Fatal(err)
		}
	}
	alone := open(t, filepath.Join(t.TempDir(), "audit.db"))
	if err := alone.Write(t.Context(), l.All()); err != nil {
		t.Fatal(err)
	}
	for _, table := range projections {
		got, want := raw(t, stores[0], table), raw(t, alone, table)
		if got != want {
			t.Errorf("%s by two writers\n%s\nby one\n%s", table, got, want)
		}
	}
}

// TestRebuildDamaged: bytes that are not those that were written stop a
// rebuild, and the rows stay.
func TestRebuildDamaged(t *testing.T) {
	s := open(t, filepath.Join(t.TempDir(), "audit.db"))
	if err := s.Write(t.Context(), storetest.Sample(2).All()); err != nil {
		t.Fatal(err)
	}
	count := func() (n int) {
		if err := s.read.Load().QueryRow(`SELECT count(*) FROM rpcs`).Scan(&n); err != nil {
			t.Fatal(err)
		}
		return n
	}
	before := count()
	if _, err := s.writer.conn.ExecContext(t.Context(), `UPDATE ledger SET bytes = CAST(substr(bytes, 1, length(bytes) - 1) AS BLOB) WHERE seq = 4`); err != nil {
		t.Fatal(err)
	}
	if err := s.Rebuild(t.Context()); err == nil || !strings.Contains(err.Error(), "record 4 ") || !strings.Contains(err.Error(), "not those that were written") {
		t.Errorf("the rebuild says %v", err)
	}
	if n := count(); before == 0 || n != before {
		t.Errorf("%d rows, %d before", n, before)
	}
}

// TestRebuildRaw compares the tables themselves, to the byte.
func TestRebuildRaw(t *testing.T) {
	s := open(t, filepath.Join(t.TempDir(), "audit.db"))
	l := storetest.Sample(20)
	for first := uint64(1); first <= l.Last(); first += 10 {
		if err := s.Write(t.Context(), l.Batch(first, first+9)); err != nil {
			t.Fatal(err)
		}
	}
	before := map[string]string{}
	for _, table := range append(projections[:], "ledger", "devices", "names", "logs") {
		before[table] = raw(t, s, table)
	}
	if _, err := s.writer.conn.ExecContext(t.Context(), `UPDATE parameters SET value = 'forged'; DELETE FROM sessions`); err != nil {
		t.Fatal(err)
	}
	if err := s.Rebuild(t.Context()); err != nil {
		t.Fatal(err)
	}
	for table, want := range before {
		if got := raw(t, s, table); got != want {
			t.Errorf("%s after a rebuild\n%s\nbefore\n%s", table, got, want)
		}
	}
}

// TestCrash takes the file and its log as a crash in the middle of a cut would
// leave them: what was committed is there, nothing of the cut, and the cut
// can be written again.
func TestCrash(t *testing.T) {
	file := filepath.Join(t.TempDir(), "audit.db")
	s := open(t, file)
	// Little memory for pages, so that the cut is on disk before its end.
	if _, err := s.writer.conn.ExecContext(t.Context(), `PRAGMA cache_size = 10; PRAGMA cache_spill = 1`); err != nil {
		t.Fatal(err)
	}
	l := storetest.Sample(60)
	if err := s.Write(t.Context(), l.Batch(1, 40)); err != nil {
		t.Fatal(err)
	}
	left := filepath.Join(t.TempDir(), "audit.db")
	err := s.writer.transact(t.Context(), func() error {
		if err := s.writer.write(t.Context(), l.All()); err != nil {
			return err
		}
		if err := s.writer.tables.flush(t.Context()); err != nil {
			return err
		}
		before := len(mustRead(t, file+"-wal"))
		for _, end := range []string{"", "-wal"} {
			if err := os.WriteFile(left+end, mustRead(t, file+end), 0o600); err != nil {
				return err
			}
		}
		if before < 100_000 {
			t.Errorf("only %d bytes of the cut were on disk", before)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	after := open(t, left)
	if n := count(t, after, audit.ViewRecords); n != 40 {
		t.Fatalf("after a crash there are %d records, want 40", n)
	}
	if err := after.Write(t.Context(), l.All()); err != nil {
		t.Fatal(err)
	}
	for _, table := range append(projections[:], "ledger") {
		if got, want := raw(t, after, table), raw(t, s, table); got != want {
			t.Errorf("%s differs from a store that did not crash", table)
		}
	}
}

func mustRead(t *testing.T, file string) []byte {
	t.Helper()
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestLocked(t *testing.T) {
	file := filepath.Join(t.TempDir(), "audit.db")
	holder := open(t, file)
	s := New(Config{File: file, BusyTimeout: 20 * time.Millisecond})
	if err := s.Open(t.Context()); err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	l := storetest.Sample(2)
	if err := s.Write(t.Context(), l.Batch(1, 4)); err != nil {
		t.Fatal(err)
	}
	err := transact(t.Context(), holder.writer.conn, func() error {
		err := s.Write(t.Context(), l.All())
		if err == nil || !strings.Contains(err.Error(), file) || !strings.Contains(err.Error(), "another process is writing") {
			t.Errorf("a locked store says %v", err)
		}
		if n := count(t, s, audit.ViewRecords); n != 4 {
			t.Errorf("%d records can be read, want 4", n)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	// A caller that gives up does not wait for the lock.
	patient := New(Config{File: file, BusyTimeout: time.Hour})
	if err := patient.Open(t.Context()); err != nil {
		t.Fatal(err)
	}
	defer patient.Close()
	err = transact(t.Context(), holder.writer.conn, func() error {
		ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
		defer cancel()
		if err := patient.Write(ctx, l.All()); err == nil || ctx.Err() == nil {
			t.Errorf("a write that was given up says %v", err)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, w := range []*Store{s, patient} {
		if err := w.Write(t.Context(), l.All()); err != nil {
			t.Errorf("when the lock is free: %v", err)
		}
	}
}

func TestDamaged(t *testing.T) {
	for name, damage := range map[string]func(t *testing.T, file string){
		"no database": func(t *testing.T, file string) { overwrite(t, file, 0, strings.Repeat("not a database. ", 512)) },
		"torn page":   func(t *testing.T, file string) { overwrite(t, file, 4096, strings.Repeat("\xff", 200*4096)) },
	} {
		t.Run(name, func(t *testing.T) {
			file := filepath.Join(t.TempDir(), "audit.db")
			s := New(Config{File: file})
			if err := s.Open(t.Context()); err != nil {
				t.Fatal(err)
			}
			if err := s.Write(t.Context(), storetest.Sample(50).All()); err != nil {
				t.Fatal(err)
			}
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
			damage(t, file)
			before, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			for _, readOnly := range []bool{false, true} {
				s := New(Config{File: file, ReadOnly: readOnly})
				err := s.Open(t.Context())
				if err == nil {
					for _, err = range s.Query(t.Context(), audit.Filter{View: audit.ViewRecords}) {
						if err != nil {
							break
						}
					}
				}
				if err == nil || !strings.Contains(err.Error(), file) || !strings.Contains(err.Error(), "nothing was changed") {
					t.Errorf("read-only %v: the error is %v", readOnly, err)
				}
				_ = s.Close()
			}
			if after, err := os.ReadFile(file); err != nil || string(after) != string(before) {
				t.Errorf("the damaged file was changed (%v)", err)
			}
		})
	}
}

func overwrite(t *testing.T, file string, at int64, text string) {
	t.Helper()
	f, err := os.OpenFile(file, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.WriteAt([]byte(text)[:min(int64(len(text)), info.Size()-at)], at); err != nil {
		t.Fatal(err)
	}
}

func TestMigrations(t *testing.T) {
	all, err := embedded()
	if err != nil || len(all) == 0 {
		t.Fatalf("%d migrations, %v", len(all), err)
	}
	if _, err := migrations(fstest.MapFS{"0001_a.sql": {}, "0003_c.sql": {}}); err == nil {
		t.Error("a gap in the numbers was taken")
	}
	db, err := sql.Open("sqlite", filepath.Join(t.TempDir(), "audit.db"))
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	conn, err := db.Conn(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	steps := []migration{{1, "0001_a.sql", "CREATE TABLE a (x)", "sum-a"}, {2, "0002_b.sql", "CREATE TABLE b (x)", "sum-b"}}
	for range 2 { // the second time there is nothing to do
		if err := migrate(t.Context(), conn, steps); err != nil {
			t.Fatal(err)
		}
	}
	bad := append(steps[:2:2], migration{3, "0003_c.sql", "CREATE TABLE c (x); CREATE TABLE a (x)", "sum-c"})
	if err := migrate(t.Context(), conn, bad); err == nil || !strings.Contains(err.Error(), "0003_c.sql") {
		t.Errorf("a migration that fails: %v", err)
	}
	var tables int
	if err := conn.QueryRowContext(t.Context(), `SELECT count(*) FROM sqlite_schema WHERE name = 'c'`).Scan(&tables); err != nil || tables != 0 {
		t.Errorf("the failed migration left %d tables, %v", tables, err)
	}
	changed := []migration{steps[0], {2, "0002_b.sql", "CREATE TABLE b (y)", "sum-other"}}
	if err := migrate(t.Context(), conn, changed); err == nil || !strings.Contains(err.Error(), "another text") {
		t.Errorf("a migration that was changed: %v", err)
	}
	if err := migrate(t.Context(), conn, steps[:1]); err == nil || !strings.Contains(err.Error(), "newer cwmpgate") {
		t.Errorf("a store of a newer version: %v", err)
	}
}

func TestReadOnlyOfAnotherVersion(t *testing.T) {
	file := filepath.Join(t.TempDir(), "audit.db")
	s := open(t, file)
	reader := New(Config{File: file, ReadOnly: true})
	for change, text := range map[string]string{
		`DELETE FROM migrations WHERE version = 3`:                          "lacks migration 0003",
		`INSERT INTO migrations VALUES (3, '3', 'x', ''), (99, '', '', '')`: "another text",
		`DROP TABLE migrations`:                                             "no tables of cwmpgate",
	} {
		err := transact(t.Context(), s.writer.conn, func() error {
			if _, err := s.writer.conn.ExecContext(t.Context(), `SAVEPOINT before; `+strings.Replace(change, "INSERT", "DELETE FROM migrations WHERE version = 3; INSERT", 1)); err != nil {
				return err
			}
			if err := checkVersion(t.Context(), s.writer.conn); err == nil || !strings.Contains(err.Error(), text) {
				t.Errorf("after %s: %v", change, err)
			}
			_, err := s.writer.conn.ExecContext(t.Context(), `ROLLBACK TO before`)
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := reader.Open(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := reader.Close(); err != nil {
		t.Fatal(err)
	}
}

func count(t *testing.T, s *Store, view audit.View) (n int) {
	t.Helper()
	for _, err := range s.Query(t.Context(), audit.Filter{View: view}) {
		if err != nil {
			t.Fatal(err)
		}
		n++
	}
	return n
}

// raw is a whole table as text, in the order in which it lies in the file.
func raw(t *testing.T, s *Store, table string) string {
	t.Helper()
	rows, err := s.writer.conn.QueryContext(t.Context(), "SELECT * FROM "+table)
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	columns, err := rows.Columns()
	if err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	values := make([]any, len(columns))
	for rows.Next() {
		into := make([]any, len(columns))
		for i := range into {
			into[i] = &values[i]
		}
		if err := rows.Scan(into...); err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(&b, "%q\n", values)
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	return b.String()
}
