package clickhouse

import (
	"bytes"
	"context"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"fmt"
	"io/fs"
	"strconv"
	"strings"
	"text/template"
)

//go:embed migrations/*.sql
var migrationFiles embed.FS

// migration is one step of the schema. Steps go forward only, and one that
// was released is never changed: a store remembers its checksum.
type migration struct {
	version    int
	name       string
	checksum   string
	statements []string
}

// migrations gives the steps as this store takes them.
func (s *Store) migrations() ([]migration, error) {
	dir, err := fs.Sub(migrationFiles, "migrations")
	if err != nil {
		return nil, err
	}
	all, err := readMigrations(dir, s.config.Cluster)
	if err != nil {
		return nil, err
	}
	views, err := viewsMigration(s.onCluster())
	return append(all, views), err
}

// readMigrations reads the steps of a directory, named like 0001_ledger.sql,
// and numbered without a gap. Each is a template of statements, since one text
// makes the tables of a single server and of a cluster.
func readMigrations(dir fs.FS, cluster string) ([]migration, error) {
	names, err := fs.Glob(dir, "*.sql") // sorted
	if err != nil {
		return nil, err
	}
	var all []migration
	for _, name := range names {
		text, err := fs.ReadFile(dir, name)
		if err != nil {
			return nil, err
		}
		digits, _, _ := strings.Cut(name, "_")
		version, err := strconv.Atoi(digits)
		if err != nil || version != len(all)+1 {
			return nil, fmt.Errorf("migration %s: number %d was to come next", name, len(all)+1)
		}
		t, err := template.New(name).Funcs(dialect(cluster)).Parse(string(text))
		if err != nil {
			return nil, err
		}
		var sql bytes.Buffer
		if err := t.Execute(&sql, nil); err != nil {
			return nil, err
		}
		all = append(all, migration{version, name, checksum(string(text)), statements(sql.String())})
	}
	return all, nil
}

func checksum(text string) string {
	sum := sha256.Sum256([]byte(text))
	return hex.EncodeToString(sum[:])
}

// statements cuts a text at the semicolons that end lines; what is empty or
// nothing but comments is left out.
func statements(text string) (all []string) {
	for _, s := range strings.Split(text, ";\n") {
		var lines []string
		for line := range strings.Lines(s) {
			if !strings.HasPrefix(line, "--") {
				lines = append(lines, line)
			}
		}
		if s = strings.TrimSpace(strings.Join(lines, "")); s != "" && s != ";" {
			all = append(all, s)
		}
	}
	return all
}

// dialect is what a single server and a cluster say differently. On a cluster
// the rows of table t are in t_local, and t is a Distributed table over all of
// those, to be read.
func dialect(cluster string) template.FuncMap {
	on, local := "", ""
	if cluster != "" {
		on, local = " ON CLUSTER '"+cluster+"'", "_local"
	}
	return template.FuncMap{
		"local":  func(table string) string { return table + local },
		"create": func(table string) string { return "CREATE TABLE IF NOT EXISTS " + table + local + on },
		"view": func(target string) string {
			return "CREATE MATERIALIZED VIEW IF NOT EXISTS make_" + target + on + " TO " + target + local
		},
		"engine": func(kind string) string {
			if cluster == "" {
				return kind
			}
			return "Replicated" + kind + "('/clickhouse/tables/{uuid}/{shard}', '{replica}')"
		},
		"settings": func() string {
			if cluster == "" {
				return "non_replicated_deduplication_window = 10000"
			}
			return "replicated_deduplication_window = 10000, replicated_deduplication_window_seconds = 604800"
		},
		"distributed": func(table string) string {
			if cluster == "" {
				return ""
			}
			return "CREATE TABLE IF NOT EXISTS " + table + on + " AS " + table + local +
				" ENGINE = Distributed('" + cluster + "', currentDatabase(), " + table + local + ")"
		},
	}
}

// local is the table that a server's own rows of a table are in.
func (s *Store) local(table string) string {
	if s.config.Cluster == "" {
		return table
	}
	return table + "_local"
}

// migrate brings the schema up to date. Two tables stand outside of it: the one
// that says how far it is, and the one by which gateways take turns.
func (s *Store) migrate(ctx context.Context, all []migration) error {
	done, err := s.applied(ctx)
	if err == nil {
		if missing, err := compare(done, all); err != nil || len(missing) == 0 {
			return err
		}
	} else if !isCode(err, unknownTable) {
		return err
	}
	conn, d := *s.conn.Load(), dialect(s.config.Cluster)
	create, engine, settings := d["create"].(func(string) string), d["engine"].(func(string) string), d["settings"].(func() string)
	distributed := d["distributed"].(func(string) string)
	for _, text := range []string{
		create("migrations") + ` (version UInt32, name String, checksum String, at DateTime64(3, 'UTC') DEFAULT now64(3))
			ENGINE = ` + engine("MergeTree") + ` ORDER BY version SETTINGS ` + settings(),
		distributed("migrations"),
		create("locks") + ` (name String, holder String, step UInt32, until DateTime64(3, 'UTC'))
			ENGINE = ` + engine("MergeTree") + ` ORDER BY name TTL toDateTime(until) + INTERVAL 1 DAY SETTINGS ` + settings(),
		distributed("locks"),
	} {
		if text == "" {
			continue
		}
		if err := conn.Exec(ctx, text); err != nil {
			return fmt.Errorf("make the table of migrations: %w", err)
		}
	}
	return s.locked(ctx, func(ctx context.Context) error {
		done, err := s.applied(ctx)
		if err != nil {
			return err
		}
		missing, err := compare(done, all)
		if err != nil {
			return err
		}
		for _, m := range missing {
			if err := s.apply(ctx, m); err != nil {
				return fmt.Errorf("migration %s: %w", m.name, err)
			}
		}
		return nil
	})
}

const unknownTable = 60

// apply makes one step. Each statement may have been made before, by a
// migration that was broken off.
func (s *Store) apply(ctx context.Context, m migration) error {
	conn := *s.conn.Load()
	for _, text := range m.statements {
		if err := conn.Exec(ctx, text); err != nil {
			return err
		}
	}
	return conn.Exec(ctx, fmt.Sprintf("INSERT INTO %s (version, name, checksum) SELECT %d, %s, %s",
		s.local("migrations"), m.version, literal(m.name), literal(m.checksum)))
}

// applied gives the checksums of the steps that were made, by their numbers.
// The views, number 0, are made anew whenever their text has changed.
func (s *Store) applied(ctx context.Context) (map[int]string, error) {
	rows, err := (*s.conn.Load()).Query(ctx, "SELECT version, argMax(checksum, at) FROM migrations GROUP BY version")
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	done := map[int]string{}
	for rows.Next() {
		var version uint32
		var sum string
		if err := rows.Scan(&version, &sum); err != nil {
			return nil, err
		}
		done[int(version)] = sum
	}
	return done, rows.Err()
}

// compare gives the steps that are missing.
func compare(done map[int]string, all []migration) (missing []migration, err error) {
	known := 0
	for _, m := range all {
		known = max(known, m.version)
		sum, made := done[m.version]
		switch {
		case made && sum == m.checksum:
		case made && m.version > 0:
			return nil, &SchemaError{fmt.Sprintf("migration %s: the store was made with another text of it", m.name)}
		default:
			missing = append(missing, m)
		}
	}
	for version := range done {
		if version > known {
			return nil, &SchemaError{fmt.Sprintf("its schema has version %d, of a newer cwmpgate; this one knows %d", version, known)}
		}
	}
	return missing, nil
}

// checkVersion says whether the schema is exactly this version's, as one that
// only reads must know.
func (s *Store) checkVersion(ctx context.Context, all []migration) error {
	done, err := s.applied(ctx)
	switch {
	case isCode(err, unknownTable) || isCode(err, unknownDatabase):
		return &SchemaError{"it holds no tables of cwmpgate; the gateway makes them when it starts"}
	case err != nil:
		return err
	}
	missing, err := compare(done, all)
	if err != nil {
		return err
	}
	for _, m := range missing {
		if m.version > 0 { // the reader brings views of its own
			return &SchemaError{fmt.Sprintf("its schema lacks migration %s; the gateway brings it up to date when it starts", m.name)}
		}
	}
	return nil
}
