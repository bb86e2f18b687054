package chtest

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	Main()
	code := m.Run()
	if code == 0 {
		if err := goleak.Find(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			code = 1
		}
	}
	os.Exit(code)
}

// ways are how a client can talk to an engine.
var ways = []struct {
	name     string
	protocol clickhouse.Protocol
	method   clickhouse.CompressionMethod
}{
	{"native", clickhouse.Native, clickhouse.CompressionNone},
	{"native-lz4", clickhouse.Native, clickhouse.CompressionLZ4},
	{"native-zstd", clickhouse.Native, clickhouse.CompressionZSTD},
	{"http", clickhouse.HTTP, clickhouse.CompressionNone},
	{"http-lz4", clickhouse.HTTP, clickhouse.CompressionLZ4},
	{"http-gzip", clickhouse.HTTP, clickhouse.CompressionGZIP},
}

// each runs a test over each protocol and compression, on one engine.
func each(t *testing.T, f func(t *testing.T, e *Engine, db clickhouse.Conn)) {
	t.Helper()
	e := Start(t)
	for _, way := range ways {
		t.Run(way.name, func(t *testing.T) {
			f(t, e, connect(t, e, way.protocol, func(o *clickhouse.Options) {
				o.Compression = &clickhouse.Compression{Method: way.method}
			}))
		})
	}
}

// overNative tells whether the test of a way is one over the native protocol.
func overNative(t *testing.T) bool { return strings.Contains(t.Name(), "/native") }

func connect(t *testing.T, e *Engine, protocol clickhouse.Protocol, change func(*clickhouse.Options)) clickhouse.Conn {
	t.Helper()
	o := &clickhouse.Options{Addr: []string{e.Native}, Protocol: protocol, Auth: clickhouse.Auth{Username: e.User, Password: e.Password}}
	if protocol == clickhouse.HTTP {
		o.Addr = []string{e.HTTP}
	}
	if change != nil {
		change(o)
	}
	db, err := clickhouse.Open(o)
	must(t, err)
	t.Cleanup(func() { db.Close() })
	return db
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func wantCode(t *testing.T, err error, code int32) *clickhouse.Exception {
	t.Helper()
	var e *clickhouse.Exception
	if !errors.As(err, &e) || e.Code != code {
		t.Fatalf("got error %v, want code %d", err, code)
	}
	return e
}

func wantNumber(t *testing.T, db clickhouse.Conn, want uint64, sql string) {
	t.Helper()
	if got := number(t, db, sql); got != want {
		t.Errorf("%s: %d, want %d", sql, got, want)
	}
}

func number(t *testing.T, db clickhouse.Conn, sql string) (n uint64) {
	t.Helper()
	must(t, db.QueryRow(context.Background(), sql).Scan(&n))
	return n
}

// await waits for a condition; the limit is for a test that would hang.
func await(t *testing.T, what string, holds func() bool) {
	t.Helper()
	limit, tick := time.After(startLimit), time.NewTicker(5*time.Millisecond)
	defer tick.Stop()
	for !holds() {
		select {
		case <-limit:
			t.Fatalf("waited %v until %s", startLimit, what)
		case <-tick.C:
		}
	}
}

const eventsTable = `CREATE OR REPLACE TABLE events (seq UInt64, text String) ENGINE = MergeTree ORDER BY seq
	SETTINGS non_replicated_deduplication_window = 100`

// insertEvents inserts n rows from seq on.
func insertEvents(ctx context.Context, db clickhouse.Conn, seq, n int) error {
	batch, err := db.PrepareBatch(ctx, "INSERT INTO events")
	if err != nil {
		return err
	}
	for i := range n {
		if err := batch.Append(uint64(seq+i), fmt.Sprint("event ", seq+i)); err != nil {
			return err
		}
	}
	return batch.Send()
}
