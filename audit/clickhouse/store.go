package clickhouse

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"sync"
	"sync/atomic"
	"time"

	ch "github.com/ClickHouse/clickhouse-go/v2"

	"github.com/cwmpgate/cwmpgate/audit"
)

// Store is a store in ClickHouse. Write and Rebuild take turns, Query may run
// at any time beside them.
type Store struct {
	config   Config
	tls      *tls.Config
	readOnly bool

	conn   atomic.Pointer[ch.Conn]
	server atomic.Pointer[string] // that a connection was last made to
	moved  atomic.Bool            // another server than before

	mu     sync.Mutex // held by whoever writes
	ready  bool       // the schema is up to date
	writer writer
}

var _ audit.Sink = (*Store)(nil)
var _ audit.Reader = (*Store)(nil)

// New makes a store and touches nothing; Open does. A read-only store changes
// nothing, not even its schema.
func New(c Config, readOnly bool) (*Store, error) {
	cfg, err := c.tlsConfig()
	if err != nil {
		return nil, fmt.Errorf("store.clickhouse.tls: %w", err)
	}
	s := &Store{config: c, tls: cfg, readOnly: readOnly}
	s.writer.store = s
	return s, nil
}

// Open connects and brings the schema up to date, or where the store is
// read-only sees that it is. A gateway need not wait for it: Write opens a store
// that is not open yet.
func (s *Store) Open(ctx context.Context) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.describe("open", s.open(ctx))
}

func (s *Store) open(ctx context.Context) error {
	if s.ready {
		return nil
	}
	if s.conn.Load() == nil {
		conn, err := s.connect(s.config.Database)
		if err != nil {
			return err
		}
		s.conn.Store(&conn)
	}
	if !s.readOnly {
		if err := s.makeDatabase(ctx); err != nil {
			return err
		}
	}
	all, err := s.migrations()
	if err != nil {
		return err
	}
	if s.readOnly {
		err = s.checkVersion(ctx, all)
	} else {
		err = s.migrate(ctx, all)
	}
	s.ready = err == nil
	return err
}

// connections is how many are open at most.
const connections = 6

func (s *Store) connect(database string) (ch.Conn, error) {
	o := &ch.Options{
		Auth:             ch.Auth{Database: database, Username: s.config.User.Reveal(), Password: s.config.Password.Reveal()},
		TLS:              s.tls,
		DialTimeout:      time.Duration(s.config.DialTimeout),
		ReadTimeout:      time.Duration(s.config.ReadTimeout),
		ConnOpenStrategy: ch.ConnOpenInOrder,
		MaxOpenConns:     connections,
		MaxIdleConns:     connections,
		Settings:         ch.Settings{"join_use_nulls": 0, "max_query_size": 64 << 20},
	}
	if o.Auth.Username == "" {
		o.Auth.Username = "default"
	}
	for _, a := range s.config.Servers {
		o.Addr = append(o.Addr, a.String())
	}
	if s.config.Protocol == "http" {
		o.Protocol = ch.HTTP
	}
	switch s.config.Compression {
	case "lz4":
		o.Compression = &ch.Compression{Method: ch.CompressionLZ4}
	case "zstd":
		o.Compression = &ch.Compression{Method: ch.CompressionZSTD, Level: 1}
	}
	if s.config.Cluster != "" {
		o.Settings["distributed_product_mode"] = "global"
		if s.config.Quorum != "none" {
			o.Settings["select_sequential_consistency"] = 1
		}
	}
	dialer := &net.Dialer{Timeout: o.DialTimeout}
	o.DialContext = func(ctx context.Context, addr string) (net.Conn, error) {
		conn, err := s.dial(ctx, dialer, addr)
		if err == nil {
			if last := s.server.Swap(&addr); last != nil && *last != addr {
				s.moved.Store(true)
			}
		}
		return conn, err
	}
	return ch.Open(o)
}

func (s *Store) dial(ctx context.Context, dialer *net.Dialer, addr string) (net.Conn, error) {
	// Over HTTP the driver adds TLS itself; natively a dialer of one's own must.
	if s.tls == nil || s.config.Protocol == "http" {
		return dialer.DialContext(ctx, "tcp", addr)
	}
	return (&tls.Dialer{NetDialer: dialer, Config: s.tls}).DialContext(ctx, "tcp", addr)
}

// makeDatabase makes the database where a connection says that it is absent.
func (s *Store) makeDatabase(ctx context.Context) error {
	err := (*s.conn.Load()).Ping(ctx)
	if err == nil || !isCode(err, unknownDatabase) {
		return err
	}
	conn, err := s.connect("default")
	if err != nil {
		return err
	}
	defer conn.Close()
	if err := conn.Exec(ctx, "CREATE DATABASE IF NOT EXISTS "+s.config.Database+s.onCluster()); err != nil {
		return fmt.Errorf("make database %s: %w", s.config.Database, err)
	}
	return (*s.conn.Load()).Ping(ctx)
}

const unknownDatabase = 81

// Drop drops the database with all that is in it: for tests of a server.
func (s *Store) Drop(ctx context.Context) error {
	conn, err := s.connect("default")
	if err != nil {
		return err
	}
	defer conn.Close()
	return s.describe("drop", conn.Exec(ctx, "DROP DATABASE IF EXISTS "+s.config.Database+s.onCluster()))
}

func (s *Store) onCluster() string {
	if s.config.Cluster == "" {
		return ""
	}
	return " ON CLUSTER '" + s.config.Cluster + "'"
}

// Close closes all connections. A store that was not opened, or only in part,
// closes as well.
func (s *Store) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ready = false
	if conn := s.conn.Swap(nil); conn != nil {
		return (*conn).Close()
	}
	return nil
}

var errNotOpen = errors.New("store is not open")

// describe names the store.
func (s *Store) describe(what string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s store clickhouse %s at %v: %w", what, s.config.Database, s.config.Servers, err)
}
