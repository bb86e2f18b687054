package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	driver "modernc.org/sqlite"
	lib "modernc.org/sqlite/lib"
)

// Config says where the store is.
type Config struct {
	File string `yaml:"file" required:"true" doc:"File of the embedded store; made with mode 0600, and its directory with 0700, where they are absent."`

	// Memory is about how many bytes the writer remembers of devices, names and
	// last known values, so that it need not look them up. The garbage collector
	// makes about three times that of it. 0: 4 MiB.
	Memory int `yaml:"-"`

	// ReadOnly opens an existing store to read it, beside a gateway that
	// writes or without one.
	ReadOnly bool `yaml:"-"`

	// BusyTimeout is how long a write waits for another process that writes,
	// a rebuild for example. 0: 10 s.
	BusyTimeout time.Duration `yaml:"-"`
}

// readers is the number of connections that read at most; each is opened when it
// is first needed.
const readers = 4

// Page caches of a connection, in KiB. Twice as much made no write cheaper;
// what is not there is as a rule in the system's.
const (
	writerCache = 4096
	readerCache = 2048
)

// Store is the embedded store. Write and Rebuild take turns, Query may run at
// any time beside them.
type Store struct {
	config   Config
	file     string // absolute
	pageRows int

	mu     sync.Mutex // held by whoever uses writer
	writer *writer    // nil where read-only
	db     *sql.DB    // the writer's one connection
	read   atomic.Pointer[sql.DB]
}

// New makes a store and touches nothing; Open does.
func New(c Config) *Store {
	if c.BusyTimeout <= 0 {
		c.BusyTimeout = 10 * time.Second
	}
	if c.Memory <= 0 {
		c.Memory = 4 << 20
	}
	return &Store{config: c, pageRows: pageRows}
}

// Open opens the file, makes it and its directory where they are absent, and
// brings its schema up to date. Read-only, it changes nothing: the file must
// be there and its schema must be this version's.
func (s *Store) Open(ctx context.Context) (err error) {
	defer func() {
		if err != nil {
			err = errors.Join(s.describe("open", err), s.Close())
		}
	}()
	if s.file, err = filepath.Abs(s.config.File); err != nil {
		return err
	}
	if s.config.ReadOnly {
		if _, err := os.Stat(s.file); err != nil {
			return err
		}
	} else if err := create(s.file); err != nil {
		return err
	} else if s.db, err = s.connect(false, 1); err != nil {
		return err
	} else if s.writer, err = openWriter(ctx, s.db, s.config.Memory); err != nil {
		return err
	}
	read, err := s.connect(true, readers)
	if err != nil {
		return err
	}
	s.read.Store(read)
	if !s.config.ReadOnly {
		return nil // the writer has brought it up to date
	}
	return checkVersion(ctx, read)
}

// create makes the file with mode 0600; SQLite gives its -wal and -shm the
// same. A file that is there is not opened here: closing it would drop the
// locks that other connections of this process hold on it.
func create(file string) error {
	if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
		return err
	}
	f, err := os.OpenFile(file, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	if errors.Is(err, fs.ErrExist) {
		return nil
	}
	if err != nil {
		return err
	}
	return f.Close()
}

func (s *Store) connect(readOnly bool, connections int) (*sql.DB, error) {
	q := url.Values{
		"_busy_timeout": {strconv.FormatInt(s.config.BusyTimeout.Milliseconds(), 10)},
		"_dqs":          {"0"},
		"_defensive":    {"1"},
		"_error_rc":     {"1"},
		"_pragma":       {"temp_store(memory)"},
	}
	cache := writerCache
	if readOnly {
		cache = readerCache
		q.Set("mode", "ro")
		q.Set("_query_only", "1")
	} else {
		q.Set("_journal_mode", "WAL")
		q.Set("_synchronous", "FULL")
		// A rebuild makes the log long; it need not stay so.
		q.Add("_pragma", "journal_size_limit(67108864)")
	}
	q.Add("_pragma", fmt.Sprintf("cache_size(-%d)", cache))
	u := url.URL{Scheme: "file", Path: s.file, RawQuery: q.Encode()}
	c, err := driver.NewConnector(u.String())
	if err != nil {
		return nil, err
	}
	db := sql.OpenDB(c)
	db.SetMaxOpenConns(connections)
	db.SetMaxIdleConns(connections)
	return db, nil
}

// Close closes all connections. A store that was not opened, or only in part,
// closes as well.
func (s *Store) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	var errs []error
	if read := s.read.Swap(nil); read != nil {
		errs = append(errs, read.Close())
	}
	if s.writer != nil {
		errs = append(errs, s.writer.close())
		s.writer = nil
	}
	if s.db != nil {
		errs = append(errs, s.db.Close())
		s.db = nil
	}
	return errors.Join(errs...)
}

var (
	errClosed  = errors.New("store is not open for writing")
	errNotOpen = errors.New("store is not open")
)

// describe names the file, and what a person can do where it is damaged.
func (s *Store) describe(what string, err error) error {
	if err == nil {
		return nil
	}
	hint := ""
	if e := (*driver.Error)(nil); errors.As(err, &e) {
		switch e.Code() & 0xff {
		case lib.SQLITE_NOTADB, lib.SQLITE_CORRUPT:
			hint = "; nothing was changed: move the file away, with its -wal and -shm, and restore it from a backup, or start with an empty store"
		case lib.SQLITE_BUSY, lib.SQLITE_LOCKED:
			hint = "; another process is writing to it"
		case lib.SQLITE_FULL:
			hint = "; the disk is full"
		}
	}
	return fmt.Errorf("%s store %s: %w%s", what, s.config.File, err, hint)
}
