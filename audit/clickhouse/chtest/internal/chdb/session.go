package chdb

import (
	"bytes"
	"errors"
	"fmt"
	"sync"
	"unsafe"
)

// Session is one connection to the engine, with settings, a current database
// and temporary tables of its own. It runs one query at a time; different
// sessions run theirs side by side.
type Session struct {
	lib    *library
	mu     sync.Mutex
	handle unsafe.Pointer    // nil after Close
	conn   unsafe.Pointer    // what handle points to
	own    map[string]string // what Remember was told, as SQL literals
}

// Result is what a query gave: its output in the asked format and the counters.
type Result struct {
	Data                      []byte
	ReadRows, ReadBytes       uint64 // from tables
	WrittenRows, WrittenBytes uint64
	ResultRows, ResultBytes   uint64
}

// Params are the values of {name:Type} placeholders, in ClickHouse's escaped text.
type Params map[string]string

var (
	errClosed   = errors.New("the session is closed")
	errNoResult = errors.New("the engine gave no result")
)

// Close ends the session; closing it again does nothing.
func (s *Session) Close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.handle != nil {
		s.lib.closeConn(s.handle)
		s.handle = nil
	}
}

// Query runs sql and gives its whole output. What the engine objects to is an
// *Exception.
func (s *Session) Query(sql, format string, params Params) (Result, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.handle == nil {
		return Result{}, errClosed
	}
	r := s.lib.run(s.lib.query, s.conn, sql, format, params)
	if r == nil {
		return Result{}, errNoResult
	}
	defer s.lib.free(r)
	res, err := s.lib.result(r)
	res.Data = bytes.Clone(res.Data)
	return res, err
}

// Exec runs sql for what it does.
func (s *Session) Exec(sql string) error {
	_, err := s.Query(sql, "Null", nil)
	return err
}

// Stream runs sql and hands its output to each, block by block. The bytes are
// only valid during the call.
func (s *Session) Stream(sql, format string, params Params, each func(Result) error) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.handle == nil {
		return errClosed
	}
	r := s.lib.run(s.lib.stream, s.conn, sql, format, params)
	if r == nil {
		return errNoResult
	}
	defer s.lib.free(r)
	if text := s.lib.err(r); text != nil {
		return parseException(goText(text))
	}
	for {
		more, err := s.next(r, each)
		if err != nil || !more {
			return err
		}
	}
}

// next hands one block of a stream to each; there are no more after an empty one.
func (s *Session) next(stream unsafe.Pointer, each func(Result) error) (more bool, err error) {
	block := s.lib.fetch(s.conn, stream)
	if block == nil {
		return false, nil
	}
	defer s.lib.free(block)
	res, err := s.lib.result(block)
	if err != nil || len(res.Data) == 0 {
		return false, err
	}
	if err := each(res); err != nil {
		s.lib.cancel(s.conn, stream)
		return false, err
	}
	return true, nil
}

// Insert runs the INSERT that statement makes of the path of a file with rows.
// The engine cannot be handed rows within a statement unless they are text.
func (s *Session) Insert(statement func(file string) string, rows ...[]byte) (Result, error) {
	f, err := s.lib.memoryFile()
	if err != nil {
		return Result{}, err
	}
	defer f.Close()
	for _, b := range rows {
		if _, err := f.Write(b); err != nil {
			return Result{}, fmt.Errorf("write rows: %w", err)
		}
	}
	return s.Query(statement(fmt.Sprintf("/proc/self/fd/%d", f.Fd())), "Null", nil)
}
