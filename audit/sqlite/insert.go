package sqlite

import (
	"context"
	"database/sql"
	"strings"
)

// rowsPerInsert is how many rows one statement takes: a call to SQLite costs
// more than a row does.
const rowsPerInsert = 16

// insert collects rows of one table and writes them in statements of
// rowsPerInsert rows, the rest one by one.
type insert struct {
	table     string
	columns   int
	one, many *sql.Stmt
	args      []any
}

func prepareInsert(ctx context.Context, conn *sql.Conn, table string, columns ...string) (*insert, error) {
	row := "(?" + strings.Repeat(", ?", len(columns)-1) + ")"
	text := "INSERT INTO " + table + " (" + strings.Join(columns, ", ") + ") VALUES " + row
	one, err := conn.PrepareContext(ctx, text)
	if err != nil {
		return nil, err
	}
	many, err := conn.PrepareContext(ctx, text+strings.Repeat(", "+row, rowsPerInsert-1))
	if err != nil {
		_ = one.Close()
		return nil, err
	}
	return &insert{
		table: table, columns: len(columns), one: one, many: many,
		args: make([]any, 0, len(columns)*rowsPerInsert),
	}, nil
}

// add takes one row: as many values as the table has columns here.
func (i *insert) add(ctx context.Context, values ...any) error {
	if len(values) != i.columns {
		panic("BUG: row of another width for " + i.table)
	}
	i.args = append(i.args, values...)
	if len(i.args) < i.columns*rowsPerInsert {
		return nil
	}
	_, err := i.many.ExecContext(ctx, i.args...)
	i.drop()
	return err
}

// flush writes what add has collected.
func (i *insert) flush(ctx context.Context) error {
	defer i.drop()
	for row := i.args; len(row) > 0; row = row[i.columns:] {
		if _, err := i.one.ExecContext(ctx, row[:i.columns]...); err != nil {
			return err
		}
	}
	return nil
}

func (i *insert) drop() {
	clear(i.args) // values may be large
	i.args = i.args[:0]
}

func (i *insert) close() {
	_ = i.one.Close()
	_ = i.many.Close()
}
