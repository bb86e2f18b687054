package clickhouse

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/fstest"

	"github.com/cwmpgate/cwmpgate/audit/clickhouse/chtest"
)

var update = flag.Bool("update", false, "write golden files anew")

func TestMigrations(t *testing.T) {
	e := chtest.Start(t)
	t.Run("two at once", func(t *testing.T) {
		c := newConfig(e, "native")
		var opening sync.WaitGroup
		for range 3 {
			s := newStore(t, c)
			opening.Go(func() {
				if err := s.Open(t.Context()); err != nil {
					t.Error(err)
				}
			})
		}
		opening.Wait()
		s := open(t, c)
		var rows, apart uint64
		if err := (*s.conn.Load()).QueryRow(t.Context(), "SELECT count(), uniqExact(version) FROM migrations").Scan(&rows, &apart); err != nil {
			t.Fatal(err)
		}
		all, err := s.migrations()
		if err != nil {
			t.Fatal(err)
		}
		if want := uint64(len(all)); rows != want || apart != want {
			t.Errorf("%d migrations were made, %d of them different, want %d", rows, apart, want)
		}
	})
	t.Run("one holder at a time", func(t *testing.T) {
		s := open(t, newConfig(e, "native"))
		var mu sync.Mutex
		var holders sync.WaitGroup
		inside, most, turns := 0, 0, 0
		for range 4 {
			holders.Go(func() {
				err := s.locked(t.Context(), func(ctx context.Context) error {
					mu.Lock()
					inside++
					most, turns = max(most, inside), turns+1
					mu.Unlock()
					// As long as others need to look.
					for range 3 {
						if _, err := s.claims(ctx, ""); err != nil {
							return err
						}
					}
					mu.Lock()
					inside--
					mu.Unlock()
					return nil
				})
				if err != nil {
					t.Error(err)
				}
			})
		}
		holders.Wait()
		if most != 1 || turns != 4 {
			t.Errorf("%d held the lock at once, %d in all; want 1 and 4", most, turns)
		}
	})
	t.Run("broken off", func(t *testing.T) {
		c := newConfig(e, "native")
		e.Fault(chtest.Fault{Mode: chtest.Error, Code: 159, On: chtest.OnAny, Match: "CREATE TABLE IF NOT EXISTS transfers "})
		if err := newStore(t, c).Open(t.Context()); !isCode(err, 159) || !strings.Contains(err.Error(), "0002_projections.sql") {
			t.Fatalf("%v, want code 159 and the migration's name", err)
		}
		open(t, c)
	})
	t.Run("another text", func(t *testing.T) {
		c := newConfig(e, "native")
		s := open(t, c)
		if err := (*s.conn.Load()).Exec(t.Context(), "ALTER TABLE migrations UPDATE checksum = 'other' WHERE version = 2 SETTINGS mutations_sync = 2"); err != nil {
			t.Fatal(err)
		}
		wantSchemaError(t, c, "migration 0002_projections.sql: the store was made with another text of it")
	})
	t.Run("a newer schema", func(t *testing.T) {
		c := newConfig(e, "native")
		s := open(t, c)
		if err := (*s.conn.Load()).Exec(t.Context(), "INSERT INTO migrations (version, name, checksum) SELECT 99, 'x', 'y'"); err != nil {
			t.Fatal(err)
		}
		wantSchemaError(t, c, "its schema has version 99, of a newer cwmpgate; this one knows 3")
	})
	t.Run("read only", func(t *testing.T) {
		c := newConfig(e, "http")
		s, err := New(c, true)
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		var schema *SchemaError
		if err := s.Open(t.Context()); !errors.As(err, &schema) || !strings.Contains(err.Error(), "holds no tables") {
			t.Errorf("an empty server: %v", err)
		}
		open(t, c)
		if err := s.Open(t.Context()); err != nil {
			t.Error(err)
		}
	})
}

func wantSchemaError(t *testing.T, c Config, text string) {
	t.Helper()
	for _, readOnly := range []bool{false, true} {
		s, err := New(c, readOnly)
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		var schema *SchemaError
		if err := s.Open(t.Context()); !errors.As(err, &schema) || !strings.Contains(err.Error(), text) {
			t.Errorf("%v, want %q", err, text)
		}
	}
}

func TestMigrationFiles(t *testing.T) {
	_, err := readMigrations(fstest.MapFS{"0001_a.sql": {}, "0003_b.sql": {}}, "")
	if err == nil || !strings.Contains(err.Error(), "0003_b.sql: number 2 was to come next") {
		t.Errorf("a gap in the numbers: %v", err)
	}
}

// TestClusterSchema holds what is made on a cluster to a golden file, and has
// the engine parse it. It is not run: that needs a cluster.
func TestClusterSchema(t *testing.T) {
	e := chtest.Start(t)
	conn, err := newStore(t, newConfig(e, "native")).connect("default")
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	var c Config
	c.SetDefaults()
	c.Cluster = "fleet"
	s := newStore(t, c)
	all, err := s.migrations()
	if err != nil {
		t.Fatal(err)
	}
	var text strings.Builder
	for _, m := range all {
		fmt.Fprintf(&text, "-- %s\n", m.name)
		for _, statement := range m.statements {
			var formatted string
			if err := conn.QueryRow(t.Context(), "SELECT formatQuery("+literal(statement)+")").Scan(&formatted); err != nil {
				t.Errorf("%s: %v\n%s", m.name, err, statement)
			}
			text.WriteString(formatted + ";\n\n")
		}
	}
	file := filepath.Join("testdata", "cluster.golden.sql")
	if *update {
		if err := os.WriteFile(file, []byte(text.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if text.String() != string(want) {
		t.Errorf("%s is not what a cluster would be given; run the test with -update and look at the difference", file)
	}
}
