package sqlite

import (
	"context"
	"database/sql"
	"slices"
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
	one, many *prepared
	rows      int     // collected in the arguments of many
	devices   []int64 // whose known values the collected rows tell of
	// collect, where set, is given the rows, and nothing is written.
	collect func(values []any)
}

func prepareInsert(ctx context.Context, conn *sql.Conn, table string, columns ...string) (*insert, error) {
	row := "(?" + strings.Repeat(", ?", len(columns)-1) + ")"
	// What fails ends the transaction in any case: OR ROLLBACK spares SQLite to
	// remember how to undo a statement alone.
	text := "INSERT OR ROLLBACK INTO " + table + " (" + strings.Join(columns, ", ") + ") VALUES " + row
	one, err := prepare(ctx, conn, text, len(columns))
	if err != nil {
		return nil, err
	}
	many, err := prepare(ctx, conn, text+strings.Repeat(", "+row, rowsPerInsert-1), len(columns)*rowsPerInsert)
	if err != nil {
		one.close()
		return nil, err
	}
	return &insert{table: table, columns: len(columns), one: one, many: many}, nil
}

// add takes one row: as many values as the table has columns here.
func (i *insert) add(values ...any) error {
	if len(values) != i.columns {
		panic("BUG: row of another width for " + i.table)
	}
	if i.collect != nil {
		i.collect(values)
		return nil
	}
	args := i.many.args[i.rows*i.columns:]
	for n, v := range values {
		args[n].Value = v
	}
	i.rows++
	if i.rows < rowsPerInsert {
		return nil
	}
	i.rows, i.devices = 0, i.devices[:0]
	return i.many.exec()
}

// tells notes that the next row tells something of the values known of a
// device, which a query would not see before flush.
func (i *insert) tells(device int64) { i.devices = append(i.devices, device) }

func (i *insert) tellsOf(device int64) bool { return slices.Contains(i.devices, device) }

// flush writes what add has collected.
func (i *insert) flush() error {
	defer i.drop()
	for row := range i.rows {
		for n := range i.columns {
			i.one.args[n].Value = i.many.args[row*i.columns+n].Value
		}
		if err := i.one.exec(); err != nil {
			return err
		}
	}
	return nil
}

func (i *insert) drop() {
	if i.rows > 0 {
		i.many.drop()
	}
	i.rows, i.devices = 0, i.devices[:0]
}

func (i *insert) close() {
	i.one.close()
	i.many.close()
}
