package chdb

import (
	"fmt"
	"strings"
	"sync"
	"unsafe"
)

// Engine is the one ClickHouse engine of this process, on one data directory
// that all its sessions share.
type Engine struct {
	Version  string // of ClickHouse, such as 26.5.1.1
	Timezone string

	lib        *library
	args       []string
	connecting sync.Mutex // the library opens one connection at a time
	root       *Session   // keeps the engine up while no client is connected

	mu    sync.Mutex
	idle  []*Session // for HTTP, which has no connections of its own
	named map[string]*Session
}

// Open loads the library and opens a data directory, which is made where it is
// not there.
func Open(path, data string) (*Engine, error) {
	lib, err := bind(path)
	if err != nil {
		return nil, err
	}
	e := &Engine{lib: lib, args: []string{"clickhouse", "--path=" + data}, named: map[string]*Session{}}
	if e.root, err = e.Connect(); err != nil {
		return nil, err
	}
	out, err := e.root.Query("SELECT version(), timezone()", "TSV", nil)
	if err != nil {
		e.root.Close()
		return nil, fmt.Errorf("ask for the version: %w", err)
	}
	e.Version, e.Timezone, _ = strings.Cut(strings.TrimSpace(string(out.Data)), "\t")
	return e, nil
}

// Close ends the engine; sessions from Connect must have been closed before.
func (e *Engine) Close() {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, s := range e.idle {
		s.Close()
	}
	for _, s := range e.named {
		s.Close()
	}
	e.idle, e.named = nil, map[string]*Session{}
	e.root.Close()
}

// Connect opens a session, which the caller closes.
func (e *Engine) Connect() (*Session, error) {
	e.connecting.Lock()
	defer e.connecting.Unlock()
	handle := e.lib.open(e.args)
	if handle == nil {
		return nil, fmt.Errorf("open the engine with %q: the library gives no reason", e.args)
	}
	return &Session{lib: e.lib, handle: handle, conn: *(*unsafe.Pointer)(handle), own: map[string]string{}}, nil
}

// Borrow gives a session for one request: the named one, which lasts, or any
// idle one for an empty name. giveBack must be called when it is done with; a
// session that has no name and is not clean is closed then.
func (e *Engine) Borrow(name string) (s *Session, giveBack func(clean bool), err error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if name != "" {
		if s = e.named[name]; s == nil {
			if s, err = e.Connect(); err != nil {
				return nil, nil, err
			}
			e.named[name] = s
		}
		return s, func(bool) {}, nil
	}
	if n := len(e.idle); n > 0 {
		s, e.idle = e.idle[n-1], e.idle[:n-1]
	} else if s, err = e.Connect(); err != nil {
		return nil, nil, err
	}
	return s, func(clean bool) {
		if !clean {
			s.Close()
			return
		}
		e.mu.Lock()
		defer e.mu.Unlock()
		e.idle = append(e.idle, s)
	}, nil
}

// KillQuery ends the queries that have mark in their text.
func (e *Engine) KillQuery(mark string) error {
	_, err := e.root.Query("KILL QUERY WHERE position(query, "+Quote(mark)+") > 0 ASYNC", "Null", nil)
	return err
}
