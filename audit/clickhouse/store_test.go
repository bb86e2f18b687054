package clickhouse

import (
	"fmt"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/cwmpgate/cwmpgate/audit"
	"github.com/cwmpgate/cwmpgate/audit/clickhouse/chtest"
	"github.com/cwmpgate/cwmpgate/audit/sqlite"
	"github.com/cwmpgate/cwmpgate/audit/storetest"
	"github.com/cwmpgate/cwmpgate/audit/storetest/gotest"
	"github.com/cwmpgate/cwmpgate/configs"
)

func TestMain(m *testing.M) {
	chtest.Main()
	goleak.VerifyTestMain(m)
}

var protocols = []string{"native", "http"}

var databases atomic.Int64

// newConfig is a database of its own on an engine.
func newConfig(e *chtest.Engine, protocol string) Config {
	var c Config
	c.SetDefaults()
	c.Protocol, c.Servers = protocol, []configs.Address{configs.Address(e.Native)}
	if protocol == "http" {
		c.Servers[0] = configs.Address(e.HTTP)
	}
	c.Database = fmt.Sprintf("t%d", databases.Add(1))
	return c
}

// newStore makes a store that is closed when the test ends.
func newStore(t storetest.TB, c Config) *Store {
	t.Helper()
	s, err := New(c, false)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

func open(t storetest.TB, c Config) *Store {
	t.Helper()
	s := newStore(t, c)
	if err := s.Open(t.Context()); err != nil {
		t.Fatal(err)
	}
	return s
}

// TestStore is the conformance suite, whole over the native protocol; what HTTP
// can do otherwise is in the groups that write and read every kind of row. The
// suite asks the engine for thousands of answers, which the race detector learns
// nothing from: under it only the first group is run.
func TestStore(t *testing.T) {
	e := chtest.Start(t)
	groups := map[string][]string{"native": nil, "http": {"once"}}
	if raceDetector {
		groups = map[string][]string{"native": {"once"}}
	}
	for protocol, groups := range groups {
		t.Run(protocol, func(t *testing.T) {
			storetest.Run(gotest.T(t), func(t storetest.T) storetest.Store { return open(t, newConfig(e, protocol)) }, groups...)
		})
	}
}

// story is a log of one device's sessions, with a row for each table.
func story(name string, at time.Time) *storetest.Log {
	l := storetest.NewLog(name)
	l.Now = at
	l.Start()
	const dns = "Device.DNS.Client.Server.1.DNSServer"
	device := audit.Device{Manufacturer: "Example", OUI: "00005E", Class: "HG", Serial: name}
	for i := range 3 {
		s := l.Session(device, fmt.Sprintf("%s-%d", name, i))
		s.Inform([]string{"2 PERIODIC"}, storetest.Param(dns, fmt.Sprintf("192.0.2.%d", i), "string"), storetest.Param("Device.X", "same", "string"))
		s.Set("job", storetest.Param(dns, fmt.Sprintf("192.0.2.%d", i+1), "string"), storetest.Param("Device.Y", fmt.Sprint(i), "string"))
		s.Accept(`"Status":"0"`)
		s.Download(fmt.Sprint("dl-", i), "http://files.example.com/fw.bin")
		s.Started()
		s.Bytes("GET", "http://files.example.com/fw.bin", 200, 1000, "aa11")
		s.Complete(fmt.Sprint("dl-", i), "0", "0001-01-01T00:00:00Z", "9999-12-31T23:59:59Z")
		s.Confirm()
		s.End("clean", nil, nil)
		l.Refusal("doctype", i+1)
		l.Decision("rate", i+1)
	}
	l.System("stop", "stopped")
	return l
}

// handRows is how many rows of each table a story has, counted by hand. Of the
// parameters 6 are set, and the first Inform tells two for the first time; what
// the others tell was accepted before, or never changes.
var handRows = map[string]uint64{"rpcs": 24, "parameters": 8, "transfers": 12, "sessions": 3, "refusals": 3, "security": 0, "decisions": 3, "system": 2}

func dump(t *testing.T, r audit.Reader) (lines []string) {
	t.Helper()
	for _, view := range audit.Views() {
		for row, err := range r.Query(t.Context(), audit.Filter{View: view}) {
			if err != nil {
				t.Fatalf("query %s: %v", view, err)
			}
			lines = append(lines, fmt.Sprintf("%s %q", view, row.Values))
		}
	}
	return lines
}

// check holds a store to the logs that were written, in the order of their
// times: each record byte for byte, each row once, the answers those of the
// embedded store, and the last values those of the rows.
func check(t *testing.T, s *Store, logs ...*storetest.Log) {
	t.Helper()
	ctx := t.Context()
	other := sqlite.New(sqlite.Config{File: filepath.Join(t.TempDir(), "audit.db")})
	if err := other.Open(ctx); err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	want := map[string]uint64{}
	for _, l := range logs {
		if err := other.Write(ctx, l.All()); err != nil {
			t.Fatal(err)
		}
		want["ledger"] += uint64(len(l.Entries))
		for table, n := range handRows {
			want[table] += n
		}
		left := map[uint64]string{}
		for _, e := range l.Entries {
			left[e.Seq] = string(e.Bytes)
		}
		err := s.each(ctx, "SELECT seq, bytes FROM ledger WHERE log = "+literal(l.ID), func(scan func(...any) error) error {
			var seq uint64
			var text string
			if err := scan(&seq, &text); err != nil {
				return err
			}
			if left[seq] != text {
				t.Errorf("log %s: record %d is there twice, or is %s", l.ID, seq, text)
			}
			delete(left, seq)
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		if len(left) > 0 {
			t.Errorf("log %s: %d records are missing", l.ID, len(left))
		}
	}
	for table, n := range want {
		var got, apart uint64
		key := "log, seq"
		if table == "parameters" || table == "transfers" {
			key += ", item"
		}
		if err := (*s.conn.Load()).QueryRow(ctx, "SELECT count(), uniqExact("+key+") FROM "+table).Scan(&got, &apart); err != nil {
			t.Fatal(err)
		}
		if got != n || apart != n {
			t.Errorf("%s has %d rows, %d of them different, want %d", table, got, apart, n)
		}
	}
	got, expected := dump(t, s), dump(t, other)
	for i := range max(len(got), len(expected)) {
		switch {
		case i >= len(got):
			t.Fatalf("%d rows, want %d; the first that is missing:\n%s", len(got), len(expected), expected[i])
		case i >= len(expected):
			t.Fatalf("%d rows, want %d; the first too many:\n%s", len(got), len(expected), got[i])
		case got[i] != expected[i]:
			t.Fatalf("row %d is\n%s\nwant\n%s", i, got[i], expected[i])
		}
	}
	checkLatest(t, s)
}

// checkLatest holds last_values to the rows it was made from.
func checkLatest(t *testing.T, s *Store) {
	t.Helper()
	var differs uint64
	err := (*s.conn.Load()).QueryRow(t.Context(), `SELECT count() FROM (
		SELECT * FROM (SELECT tenant, serial, oui, class, name, max(last) AS m FROM last_values GROUP BY tenant, serial, oui, class, name) AS l
		FULL OUTER JOIN (`+s.writer.history("", "true", "true")+`) AS h USING (tenant, serial, oui, class, name)
		WHERE l.m != h.m)`).Scan(&differs)
	if err != nil {
		t.Fatal(err)
	}
	if differs > 0 {
		t.Errorf("%d last values are not those of the rows", differs)
	}
}

// insist writes a batch again and again, as a shipper does, and gives how often
// it failed.
func insist(t *testing.T, s *Store, b *audit.Batch) (failed int) {
	t.Helper()
	for {
		err := s.Write(t.Context(), b)
		if err == nil {
			return failed
		}
		if failed++; failed > 10 {
			t.Fatal(err)
		}
	}
}

// TestSeeds tries records made at random; CWMPGATE_SEEDS says how many times.
func TestSeeds(t *testing.T) {
	n := gotest.Seeds(t)
	e := chtest.Start(t)
	storetest.RunSeeds(gotest.T(t), func(t storetest.T) storetest.Store { return open(t, newConfig(e, "native")) }, 4, 3+n)
}
