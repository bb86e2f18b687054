package chtest

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/ClickHouse/clickhouse-go/v2"
	"golang.org/x/sync/errgroup"

	"github.com/cwmpgate/cwmpgate/audit/clickhouse/chtest/internal/chdb"
)

// What was acknowledged is there after kill -9, at the same address.
func TestKillAndRestart(t *testing.T) {
	ctx := context.Background()
	e := Start(t)
	db := connect(t, e, clickhouse.Native, nil)
	must(t, db.Exec(ctx, eventsTable))
	for i := range 3 {
		must(t, insertEvents(ctx, db, i*10, 10))
		native, web := e.Native, e.HTTP
		e.Fault(Fault{Mode: Refuse, Count: -1})
		e.Kill()
		if err := db.Ping(ctx); err == nil {
			t.Fatal("a dead engine answered")
		}
		e.Restart()
		if e.Native != native || e.HTTP != web {
			t.Errorf("it moved from %s, %s to %s, %s", native, web, e.Native, e.HTTP)
		}
		if left := e.Faults(); len(left) != 0 {
			t.Errorf("faults survived: %v", left)
		}
		wantNumber(t, db, uint64(i+1)*10, "SELECT count() FROM events")
	}
}

// orphanVariable makes this test binary one that starts an engine and waits.
const orphanVariable = "CHTEST_ORPHAN"

// An engine must not outlive a test that was killed.
func TestEndsWithItsParent(t *testing.T) {
	if os.Getenv(orphanVariable) != "" {
		fmt.Println("engine at", Start(t).HTTP)
		io.Copy(io.Discard, os.Stdin)
		return
	}
	Start(t) // skips without a library
	parent := exec.Command(os.Args[0], "-test.run=^TestEndsWithItsParent$")
	parent.Env = append(os.Environ(), orphanVariable+"=1", "TMPDIR="+t.TempDir())
	stdin, err := parent.StdinPipe()
	must(t, err)
	defer stdin.Close()
	stdout, err := parent.StdoutPipe()
	must(t, err)
	must(t, parent.Start())
	line, err := bufio.NewReader(stdout).ReadString('\n')
	addr, ok := strings.CutPrefix(strings.TrimSpace(line), "engine at ")
	alive := func() bool {
		c, err := net.Dial("tcp", addr)
		if err == nil {
			c.Close()
		}
		return err == nil
	}
	if !ok || !alive() {
		t.Errorf("the other test said %q, %v", line, err)
	}
	must(t, parent.Process.Kill())
	await(t, "the engine has ended", func() bool { return !alive() })
	parent.Wait()
}

func TestTLSAndManyConnections(t *testing.T) {
	ctx := context.Background()
	e := Start(t, WithTLS("", ""))
	pem, err := os.ReadFile(e.Certificate)
	must(t, err)
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(pem)
	for protocol, addr := range map[clickhouse.Protocol]string{clickhouse.Native: e.NativeTLS, clickhouse.HTTP: e.HTTPS} {
		t.Run(protocol.String(), func(t *testing.T) {
			const clients = 32
			db := connect(t, e, protocol, func(o *clickhouse.Options) {
				o.Addr, o.TLS, o.MaxOpenConns = []string{addr}, &tls.Config{RootCAs: pool}, clients
			})
			must(t, db.Exec(ctx, eventsTable))
			var all errgroup.Group
			for i := range clients {
				all.Go(func() error { return insertEvents(ctx, db, i*100, 100) })
			}
			must(t, all.Wait())
			wantNumber(t, db, clients*100, "SELECT count() FROM events")
			stranger := connect(t, e, protocol, func(o *clickhouse.Options) { o.Addr, o.TLS = []string{addr}, &tls.Config{} })
			if err := stranger.Ping(ctx); err == nil {
				t.Error("a certificate of its own was trusted")
			}
		})
	}
}

func TestUsers(t *testing.T) {
	ctx := context.Background()
	e := Start(t, WithUser("audit", "secret"), WithUser("reader", "other"))
	if e.User != "audit" || e.Password != "secret" {
		t.Errorf("the user is %s:%s", e.User, e.Password)
	}
	for _, protocol := range []clickhouse.Protocol{clickhouse.Native, clickhouse.HTTP} {
		for _, c := range []struct {
			user, password, database string
			code                     int32
		}{
			{"audit", "secret", "", 0},
			{"reader", "other", "system", 0},
			{"audit", "other", "", 516},
			{"nobody", "", "", 516},
			{"default", "", "", 516},
			{"audit", "secret", "nowhere", 81},
		} {
			db := connect(t, e, protocol, func(o *clickhouse.Options) {
				o.Auth = clickhouse.Auth{Username: c.user, Password: c.password, Database: c.database}
			})
			err := db.Exec(ctx, "SELECT 1")
			if c.code == 0 {
				must(t, err)
			} else {
				wantCode(t, err, c.code)
			}
		}
	}
}

// Another engine is a client too: remote() and Distributed use the native protocol.
func TestRemote(t *testing.T) {
	ctx := context.Background()
	e := Start(t, WithUser("audit", "secret"))
	db := connect(t, e, clickhouse.Native, nil)
	must(t, db.Exec(ctx, "CREATE TABLE far (a UInt64) ENGINE = MergeTree ORDER BY a"))
	far := func(password string) string {
		return fmt.Sprintf("remote('%s', default.far, 'audit', '%s')", e.Native, password)
	}
	must(t, db.Exec(ctx, "INSERT INTO FUNCTION "+far("secret")+" SELECT number FROM numbers(200000)"))
	wantNumber(t, db, 200000*199999/2, "SELECT sum(a) FROM "+far("secret"))
	wantCode(t, db.Exec(ctx, "SELECT * FROM "+far("wrong")), 516)
}

func TestSingleNode(t *testing.T) {
	ctx := context.Background()
	db := connect(t, Start(t, WithSingleNode()), clickhouse.Native, nil)
	must(t, db.Exec(ctx, "DROP TABLE IF EXISTS events ON CLUSTER '{cluster}' SYNC"))
	must(t, db.Exec(ctx, `CREATE TABLE events ON CLUSTER main (seq UInt64, text String)
		ENGINE = ReplicatedReplacingMergeTree('/clickhouse/{shard}/events', '{replica}', seq) ORDER BY seq SETTINGS index_granularity = 1024`))
	var ddl string
	must(t, db.QueryRow(ctx, "SHOW CREATE TABLE events").Scan(&ddl))
	for _, part := range []string{"ENGINE = ReplacingMergeTree(seq)", "non_replicated_deduplication_window = 10000", "index_granularity = 1024"} {
		if !strings.Contains(ddl, part) {
			t.Errorf("no %s in %s", part, ddl)
		}
	}
	for range 2 { // the same block again, dropped as a replicated table does
		must(t, insertEvents(ctx, db, 1, 1))
	}
	wantNumber(t, db, 1, "SELECT count() FROM events")
}

// Data, and addresses, that a test gives outlast an engine.
func TestGivenPlace(t *testing.T) {
	ctx := context.Background()
	dir := filepath.Join(t.TempDir(), "tables")
	var first *Engine
	t.Run("write", func(t *testing.T) {
		first = Start(t, WithData(dir))
		db := connect(t, first, clickhouse.HTTP, nil)
		must(t, db.Exec(ctx, eventsTable))
		must(t, insertEvents(ctx, db, 1, 5))
	})
	t.Run("read", func(t *testing.T) {
		e := Start(t, WithData(dir), WithAddresses(first.Native, first.HTTP))
		if e.Native != first.Native || e.HTTP != first.HTTP || e.Data != dir {
			t.Errorf("it is at %s, %s, in %s", e.Native, e.HTTP, e.Data)
		}
		wantNumber(t, connect(t, e, clickhouse.Native, nil), 5, "SELECT count() FROM events")
	})
}

// A mistake in Go code stays a panic, though the library has signal handlers of
// its own; and one data directory after the other can be opened.
func TestInThisProcess(t *testing.T) {
	library := needLibrary(t)
	for range 2 {
		e, err := chdb.Open(library, t.TempDir())
		must(t, err)
		s, err := e.Connect()
		must(t, err)
		func() {
			defer func() {
				if recover() == nil {
					t.Error("no panic")
				}
			}()
			var nowhere *int
			*nowhere = 1
		}()
		must(t, s.Exec("CREATE TABLE mine (a UInt8) ENGINE = MergeTree ORDER BY a"))
		s.Close()
		if _, err := s.Query("SELECT 1", "TSV", nil); err == nil {
			t.Error("a closed session answered")
		}
		e.Close()
	}
}

func TestFindLibrary(t *testing.T) {
	t.Setenv("XDG_CACHE_HOME", t.TempDir())
	for _, c := range []struct{ name, lib, want string }{
		{"given", os.Args[0], ""},
		{"given and not there", "/nowhere/libchdb.so", "CHDB_LIB leads nowhere"},
		{"not fetched", "", "libchdb.so: run make chdb"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Setenv("CHDB_LIB", c.lib)
			path, err := findLibrary()
			if c.want == "" && (err != nil || path != c.lib) || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
				t.Errorf("got %q, %v", path, err)
			}
		})
	}
}
