package chdb

import (
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"

	"github.com/ClickHouse/ch-go/proto"
)

// Exception is an error as ClickHouse reports it.
type Exception struct {
	Code    int
	Name    string // such as UNKNOWN_TABLE
	Message string // without code and name
}

func (e *Exception) Error() string {
	return fmt.Sprintf("Code: %d. DB::Exception: %s. (%s)", e.Code, strings.TrimSuffix(e.Message, "."), e.Name)
}

// Errorf makes an exception with ClickHouse's name for the code.
func Errorf(code int, format string, args ...any) *Exception {
	return &Exception{code, errorName(code), fmt.Sprintf(format, args...)}
}

// AsException gives any error the shape that clients expect.
func AsException(err error) *Exception {
	var e *Exception
	if errors.As(err, &e) {
		return e
	}
	return &Exception{1001, "STD_EXCEPTION", err.Error()}
}

func errorName(code int) string {
	if name := proto.Error(code).String(); !strings.HasPrefix(name, "Error(") {
		return name
	}
	return "UNKNOWN_EXCEPTION"
}

var (
	exceptionHead = regexp.MustCompile(`(?s)^.*?Code: (\d+)\. (?:[\w:]*Exception: )?(.*)$`)
	exceptionTail = regexp.MustCompile(`(?s)^(.*?)\.? \(([A-Z][A-Z0-9_]+)\)\s*(?:\(version [^)]*\))?\s*$`)
)

// parseException takes the engine's text apart.
func parseException(text string) *Exception {
	m := exceptionHead.FindStringSubmatch(text)
	if m == nil {
		return &Exception{1001, "STD_EXCEPTION", strings.TrimSpace(text)}
	}
	e := &Exception{Message: strings.TrimSpace(m[2])}
	e.Code, _ = strconv.Atoi(m[1]) // digits; out of range it is the highest
	e.Name = errorName(e.Code)
	if m := exceptionTail.FindStringSubmatch(e.Message); m != nil {
		e.Message, e.Name = m[1], m[2]
	}
	return e
}
