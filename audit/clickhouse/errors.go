package clickhouse

import (
	"errors"
	"fmt"

	ch "github.com/ClickHouse/clickhouse-go/v2"
)

// DiffersError says that the ledger holds a record whose bytes or salt are
// not those that came. Trying again does not help.
type DiffersError struct {
	Log string
	Seq uint64
}

func (e *DiffersError) Error() string {
	return fmt.Sprintf("log %s: record %d is in the ledger with other bytes or another salt; it was left as it is", e.Log, e.Seq)
}

// Permanent says that the batch will never be taken.
func (e *DiffersError) Permanent() bool { return true }

// SchemaError says that the tables are not those that this version works on.
type SchemaError struct{ Text string }

func (e *SchemaError) Error() string { return e.Text }

// Permanent says that trying again does not help.
func (e *SchemaError) Permanent() bool { return true }

// unfitError is of the driver: a value that its column cannot hold.
type unfitError struct{ error }

func (e *unfitError) Unwrap() error { return e.error }

// RefusedError says that the server will never take this batch, for what is in
// it; those behind it may well be taken.
type RefusedError struct{ Err error }

func (e *RefusedError) Error() string { return e.Err.Error() }
func (e *RefusedError) Unwrap() error { return e.Err }

// Refused says that the batch is to be put aside.
func (e *RefusedError) Refused() bool { return true }

// refusals are the server's codes that speak of the rows themselves. All others
// may pass, or an operator can make them pass: a table that is not there, a
// right that is missing, too many parts.
var refusals = map[int32]bool{
	6:   true, // CANNOT_PARSE_TEXT
	27:  true, // CANNOT_PARSE_INPUT_ASSERTION_FAILED
	36:  true, // BAD_ARGUMENTS
	43:  true, // ILLEGAL_TYPE_OF_ARGUMENT
	53:  true, // TYPE_MISMATCH
	62:  true, // SYNTAX_ERROR
	69:  true, // ARGUMENT_OUT_OF_BOUND
	70:  true, // CANNOT_CONVERT_TYPE
	72:  true, // CANNOT_PARSE_NUMBER
	117: true, // INCORRECT_DATA
	128: true, // TOO_LARGE_ARRAY_SIZE
	131: true, // TOO_LARGE_STRING_SIZE
	321: true, // VALUE_IS_OUT_OF_RANGE_OF_DATA_TYPE
	349: true, // CANNOT_INSERT_NULL_IN_ORDINARY_COLUMN
	469: true, // VIOLATED_CONSTRAINT
}

// refused marks an error of an insert that will be the same at every try.
func refused(err error) error {
	var unfit *unfitError
	var e *ch.Exception
	if errors.As(err, &unfit) || errors.As(err, &e) && refusals[e.Code] {
		return &RefusedError{err}
	}
	return err
}

func isCode(err error, code int32) bool {
	var e *ch.Exception
	return errors.As(err, &e) && e.Code == code
}
