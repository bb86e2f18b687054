package sqlite

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"embed"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"strconv"
	"strings"
)

//go:embed migrations/*.sql
var migrationFiles embed.FS

// migration is one step of the schema. Steps go forward only, and one that
// was released is never changed: a store remembers its checksum.
type migration struct {
	version  int
	name     string
	sql      string
	checksum string
}

// migrations reads the steps of a directory, named like 0001_ledger.sql, and
// numbered without a gap.
func migrations(dir fs.FS) ([]migration, error) {
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
		number, _, _ := strings.Cut(name, "_")
		version, err := strconv.Atoi(number)
		if err != nil || version != len(all)+1 {
			return nil, fmt.Errorf("migration %s: number %d was to come next", name, len(all)+1)
		}
		sum := sha256.Sum256(text)
		all = append(all, migration{version, name, string(text), hex.EncodeToString(sum[:])})
	}
	return all, nil
}

func embedded() ([]migration, error) {
	dir, err := fs.Sub(migrationFiles, "migrations")
	if err != nil {
		return nil, err
	}
	return migrations(dir)
}

// migrate brings the schema up to date, each step in a transaction of its own.
// The lock of the transaction keeps a second gateway from doing the same.
func migrate(ctx context.Context, conn *sql.Conn, all []migration) error {
	_, err := conn.ExecContext(ctx, `CREATE TABLE IF NOT EXISTS migrations (
		version INTEGER PRIMARY KEY, name TEXT NOT NULL, checksum TEXT NOT NULL, at TEXT NOT NULL)`)
	if err != nil {
		return err
	}
	for _, m := range all {
		err := transact(ctx, conn, func() error {
			done, err := applied(ctx, conn, m)
			if err != nil || done {
				return err
			}
			if _, err := conn.ExecContext(ctx, m.sql); err != nil {
				return fmt.Errorf("migration %s: %w", m.name, err)
			}
			_, err = conn.ExecContext(ctx,
				`INSERT INTO migrations (version, name, checksum, at) VALUES (?, ?, ?, strftime('%Y-%m-%dT%H:%M:%SZ', 'now'))`,
				m.version, m.name, m.checksum)
			return err
		})
		if err != nil {
			return err
		}
	}
	return checkNewest(ctx, conn, len(all))
}

// querier is what *sql.DB and *sql.Conn share.
type querier interface {
	QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row
}

func applied(ctx context.Context, q querier, m migration) (bool, error) {
	var checksum string
	err := q.QueryRowContext(ctx, `SELECT checksum FROM migrations WHERE version = ?`, m.version).Scan(&checksum)
	if errors.Is(err, sql.ErrNoRows) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	if checksum != m.checksum {
		return false, fmt.Errorf("migration %s: the store was made with another text of it", m.name)
	}
	return true, nil
}

func checkNewest(ctx context.Context, q querier, known int) error {
	var newest int
	if err := q.QueryRowContext(ctx, `SELECT coalesce(max(version), 0) FROM migrations`).Scan(&newest); err != nil {
		return err
	}
	if newest > known {
		return fmt.Errorf("its schema has version %d, of a newer cwmpgate; this one knows %d", newest, known)
	}
	return nil
}

// checkVersion says whether the schema is exactly this version's, as one that
// only reads must know.
func checkVersion(ctx context.Context, q querier) error {
	all, err := embedded()
	if err != nil {
		return err
	}
	var tables int
	if err := q.QueryRowContext(ctx, `SELECT count(*) FROM sqlite_schema WHERE name = 'migrations'`).Scan(&tables); err != nil {
		return err
	}
	if tables == 0 {
		return errors.New("it holds no tables of cwmpgate; the gateway makes them when it starts")
	}
	for _, m := range all {
		done, err := applied(ctx, q, m)
		if err != nil {
			return err
		}
		if !done {
			return fmt.Errorf("its schema lacks migration %s; the gateway brings it up to date when it starts", m.name)
		}
	}
	return checkNewest(ctx, q, len(all))
}

// transact runs f in a transaction that has the write lock from its beginning,
// so that it cannot fail for it later. A context that ends breaks it off
// before the commit, never within: an error means that nothing was written.
func transact(ctx context.Context, conn *sql.Conn, f func() error) (err error) {
	defer func() {
		if err != nil {
			// Even a BEGIN that failed may have begun, where its context ended
			// as it did. There may as well be nothing left to roll back: that
			// SQLite says so adds nothing to the first error.
			_, _ = conn.ExecContext(context.WithoutCancel(ctx), `ROLLBACK`)
		}
	}()
	if _, err := conn.ExecContext(ctx, `BEGIN IMMEDIATE`); err != nil {
		return err
	}
	if err := f(); err != nil {
		return err
	}
	_, err = conn.ExecContext(context.WithoutCancel(ctx), `COMMIT`)
	return err
}
