package sqlite

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
)

// prepared is a prepared statement of the driver itself: database/sql copies
// and checks the arguments of every call, which costs more than a row does.
// Its arguments are kept and filled again. It lives as long as the connection
// it was prepared on, which must be used by one goroutine at a time.
type prepared struct {
	stmt driverStatement
	args []driver.NamedValue
	row  []driver.Value
}

type driverStatement interface {
	driver.Stmt
	driver.StmtExecContext
	driver.StmtQueryContext
}

// prepare makes a statement of so many arguments.
func prepare(ctx context.Context, conn *sql.Conn, text string, arguments int) (*prepared, error) {
	s := &prepared{args: make([]driver.NamedValue, arguments)}
	for i := range s.args {
		s.args[i].Ordinal = i + 1
	}
	err := conn.Raw(func(c any) error {
		preparer, ok := c.(driver.ConnPrepareContext)
		if !ok {
			panic(fmt.Sprintf("BUG: %T prepares nothing", c))
		}
		stmt, err := preparer.PrepareContext(ctx, text)
		if err != nil {
			return err
		}
		if s.stmt, ok = stmt.(driverStatement); !ok {
			panic(fmt.Sprintf("BUG: %T takes no context", stmt))
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return s, nil
}

func (s *prepared) close() {
	if s != nil {
		_ = s.stmt.Close()
	}
}

// set fills in the arguments.
func (s *prepared) set(values ...any) {
	if len(values) != len(s.args) {
		panic("BUG: statement with other arguments than it was prepared for")
	}
	for i, v := range values {
		s.args[i].Value = v
	}
}

// drop lets go of the arguments: values may be large.
func (s *prepared) drop() {
	for i := range s.args {
		s.args[i].Value = nil
	}
}

// exec runs the statement. It cannot be interrupted: a context that may end
// costs a goroutine per call, so whoever writes asks its own between records.
func (s *prepared) exec() error {
	defer s.drop()
	_, err := s.stmt.ExecContext(context.Background(), s.args)
	return err
}

// query runs the statement and calls each with its rows. What a row holds is
// its receiver's, the slice is not.
func (s *prepared) query(each func(row []driver.Value) error) (err error) {
	defer s.drop()
	rows, err := s.stmt.QueryContext(context.Background(), s.args)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	if s.row == nil {
		s.row = make([]driver.Value, len(rows.Columns()))
	}
	defer clear(s.row)
	for {
		err := rows.Next(s.row)
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
		if err := each(s.row); err != nil {
			return err
		}
	}
}

// integers gives the numbers of the one row that the statement finds.
func (s *prepared) integers(into ...*int64) (found bool, err error) {
	err = s.query(func(row []driver.Value) error {
		found = true
		for i := range into {
			*into[i], _ = row[i].(int64)
		}
		return nil
	})
	return found, err
}
