package clickhouse

import (
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/VictoriaMetrics/metrics"

	"github.com/cwmpgate/cwmpgate/audit"
	"github.com/cwmpgate/cwmpgate/audit/clickhouse/chtest"
	"github.com/cwmpgate/cwmpgate/audit/journal"
	"github.com/cwmpgate/cwmpgate/audit/storetest"
	"github.com/cwmpgate/cwmpgate/configs"
)

var noon = time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)

// TestExactlyOnce is the fault matrix: whatever goes wrong between the gateway
// and the server, at the end each record and each row is there once.
func TestExactlyOnce(t *testing.T) {
	e := chtest.Start(t)
	for _, protocol := range protocols {
		if raceDetector && protocol == "http" {
			continue // what it can race with is the same
		}
		t.Run(protocol, func(t *testing.T) { onceOver(t, e, protocol) })
	}
}

func onceOver(t *testing.T, e *chtest.Engine, protocol string) {
	// Each insert of a cut fails once, before and after it was applied. All cases
	// share a store: a log and a device each.
	t.Run("each insert", func(t *testing.T) {
		s := open(t, newConfig(e, protocol))
		var logs []*storetest.Log
		for _, f := range []chtest.Fault{
			{Mode: chtest.Close}, {Mode: chtest.ApplyClose, Reset: true}, {Mode: chtest.Error, Code: 252}, {Mode: chtest.ApplyError, Code: 159},
		} {
			for _, table := range []string{"rpcs", "parameters", "transfers", "sessions", "refusals", "system", "ledger", "last_values"} {
				name := fmt.Sprintf("%s-%d-%v-%s", f.Mode, f.Code, f.Reset, table)
				l := story(name, noon.Add(time.Duration(len(logs))*time.Hour))
				logs = append(logs, l)
				insist(t, s, l.Batch(1, 5)) // so that nothing is in doubt
				f.Match = "INTO " + table + " "
				e.Fault(f)
				if failed := insist(t, s, l.Batch(6, l.Last())); failed != 1 {
					t.Errorf("%s: failed %d times, want 1", name, failed)
				}
				e.ClearFaults()
			}
		}
		check(t, s, logs...)
	})
	t.Run("killed during an insert", func(t *testing.T) {
		c := newConfig(e, protocol)
		s := open(t, c)
		l := story("killed", noon)
		for i, table := range []string{"parameters", "ledger"} {
			b := l.Batch(uint64(i*15+1), uint64(i*15+15))
			e.Fault(chtest.Fault{Mode: chtest.Delay, Delay: time.Minute, Match: "INTO " + table + " "})
			written := make(chan error)
			go func() { written <- s.Write(t.Context(), b) }()
			for e.Faults()[0].Struck == 0 {
				time.Sleep(time.Millisecond)
			}
			e.Kill()
			if err := <-written; err == nil {
				t.Error("a write to a server that was killed was acknowledged")
			}
			e.Restart()
			insist(t, s, b)
		}
		insist(t, s, l.Batch(31, l.Last()))
		check(t, s, l)
	})
	t.Run("applied, cut, forgotten, restarted", func(t *testing.T) {
		c := newConfig(e, protocol)
		s := open(t, c)
		conn := *s.conn.Load()
		// A short window stands for 10,000 inserts.
		for _, table := range []string{"ledger", "rpcs", "parameters"} {
			if err := conn.Exec(t.Context(), "ALTER TABLE "+table+" MODIFY SETTING non_replicated_deduplication_window = 3"); err != nil {
				t.Fatal(err)
			}
		}
		l, other := story("applied", noon), story("other", noon.Add(time.Hour))
		e.Fault(chtest.Fault{Mode: chtest.ApplyClose, Match: "INTO ledger "})
		if err := s.Write(t.Context(), l.Batch(1, 20)); err == nil {
			t.Fatal("the fault did not strike")
		}
		for seq := uint64(1); seq <= other.Last(); seq += 4 {
			insist(t, s, other.Batch(seq, min(seq+3, other.Last())))
		}
		again := open(t, c)
		insist(t, again, l.Batch(1, 20)) // the cut that was written down
		for seq := uint64(21); seq <= l.Last(); seq += 3 {
			insist(t, again, l.Batch(seq, min(seq+2, l.Last())))
		}
		check(t, again, l, other)
	})
	t.Run("lost by the server, known by its tokens", func(t *testing.T) {
		s := open(t, newConfig(e, protocol))
		l := story("lost", noon)
		insist(t, s, l.All())
		conn := *s.conn.Load()
		for _, table := range []string{"ledger", "rpcs", "parameters", "transfers", "sessions", "refusals", "system", "last_values"} {
			if err := conn.Exec(t.Context(), "ALTER TABLE "+table+" DELETE WHERE true SETTINGS mutations_sync = 2"); err != nil {
				t.Fatal(err)
			}
		}
		insist(t, s, l.All())
		check(t, s, l)
	})
	t.Run("the same token with other rows", func(t *testing.T) {
		s := open(t, newConfig(e, protocol))
		l := story("token", noon)
		insist(t, s, l.Batch(1, 10))
		b := l.Batch(1, 20)
		b.Entries[4].Salt[0] ^= 1
		var differs *DiffersError
		if err := s.Write(t.Context(), b); !errors.As(err, &differs) || differs.Seq != 5 {
			t.Errorf("another record at the same place: %v", err)
		}
		insist(t, s, l.All())
		check(t, s, l)
	})
	t.Run("a copied journal", func(t *testing.T) {
		s := open(t, newConfig(e, protocol))
		l, copied := story("original", noon), story("copy", noon.Add(time.Hour))
		insist(t, s, l.Batch(1, 20))
		insist(t, s, copied.Batch(1, 20)) // the same numbers under another log
		insist(t, s, l.Batch(21, l.Last()))
		insist(t, s, copied.Batch(21, copied.Last()))
		check(t, s, l, copied)
	})
	t.Run("slow answers", func(t *testing.T) {
		c := newConfig(e, protocol)
		patient := open(t, c)
		c.ReadTimeout = configs.Duration(time.Second)
		s := open(t, c)
		l := story("slow", noon)
		for _, table := range []string{"rpcs", "ledger"} {
			e.Fault(chtest.Fault{Mode: chtest.Delay, Delay: 3 * time.Second, Match: "INTO " + table + " "})
		}
		if failed := insist(t, s, l.All()); failed == 0 {
			t.Error("nothing was slow")
		}
		e.ClearFaults()
		check(t, patient, l)
	})
	t.Run("a torn cursor", func(t *testing.T) { tornCursor(t, e, protocol) })
}

// tornCursor ships from a journal whose cursor is lost between two shippers.
func tornCursor(t *testing.T, e *chtest.Engine, protocol string) {
	s := open(t, newConfig(e, protocol))
	dir := filepath.Join(t.TempDir(), "journal")
	ship := func(records int) {
		t.Helper()
		j := journal.New(journal.Config{Directory: dir})
		if err := j.Open(); err != nil {
			t.Fatal(err)
		}
		defer func() {
			if err := j.Close(t.Context()); err != nil {
				t.Error(err)
			}
		}()
		r := audit.NewRecorder(audit.Config{Node: "gw-1", OnFailure: "refuse"}, j, metrics.NewSet())
		for range records {
			ticket, err := r.System(audit.System{What: audit.SystemStart, Why: "run"})
			if err != nil {
				t.Fatal(err)
			}
			if err := ticket.Wait(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		cursor, err := j.Cursor("clickhouse")
		if err != nil {
			t.Fatal(err)
		}
		for {
			if n, _ := cursor.Lag(); n == 0 {
				return
			}
			cut, err := cursor.Cut(t.Context(), 4, 1<<20)
			if err != nil {
				t.Fatal(err)
			}
			b := &audit.Batch{Log: cut.Log, First: cut.First, Last: cut.Last}
			for entry, err := range cursor.Read(cut) {
				if err != nil {
					t.Fatal(err)
				}
				b.Entries = append(b.Entries, entry)
			}
			insist(t, s, b)
			if err := cursor.Commit(cut); err != nil {
				t.Fatal(err)
			}
		}
	}
	ship(10)
	cursors, err := filepath.Glob(filepath.Join(dir, "cursor*"))
	if err != nil || len(cursors) != 1 {
		t.Fatalf("cursors %v, %v", cursors, err)
	}
	if err := os.Remove(cursors[0]); err != nil {
		t.Fatal(err)
	}
	ship(3)
	var n, apart uint64
	if err := (*s.conn.Load()).QueryRow(t.Context(), "SELECT count(), uniqExact(log, seq) FROM ledger").Scan(&n, &apart); err != nil {
		t.Fatal(err)
	}
	if n != 13 || apart != 13 {
		t.Errorf("%d records, %d of them different, want 13", n, apart)
	}
}

// TestWrongPassword sees that a store whose password is wrong takes nothing, and
// all once it is right.
func TestWrongPassword(t *testing.T) {
	e := chtest.Start(t, chtest.WithUser("writer", "right"))
	for _, protocol := range protocols {
		c := newConfig(e, protocol)
		for _, password := range []string{"wrong", "right"} {
			t.Setenv("CWMPGATE_TEST_USER", "writer")
			t.Setenv("CWMPGATE_TEST_PASSWORD", password)
			c.User, c.Password = secret(t, "env:CWMPGATE_TEST_USER"), secret(t, "env:CWMPGATE_TEST_PASSWORD")
			s := newStore(t, c)
			l := story("password", noon)
			err := s.Write(t.Context(), l.All())
			if password == "right" {
				if err != nil {
					t.Fatal(err)
				}
				check(t, s, l)
			} else if !isCode(err, 516) {
				t.Errorf("%s: %v, want code 516", protocol, err)
			}
		}
	}
}

func secret(t *testing.T, reference string) (s configs.Secret) {
	t.Helper()
	if err := s.UnmarshalText([]byte(reference)); err != nil {
		t.Fatal(err)
	}
	if err := s.Read(); err != nil {
		t.Fatal(err)
	}
	return s
}

// TestRefused sees which errors are of the rows and which may pass.
func TestRefused(t *testing.T) {
	e := chtest.Start(t)
	for _, protocol := range protocols {
		s := open(t, newConfig(e, protocol))
		l := story("refused-"+protocol, noon)
		for _, test := range []struct {
			code    int
			refused bool
		}{{53, true}, {62, true}, {117, true}, {252, false}, {241, false}, {242, false}, {60, false}, {497, false}} {
			e.Fault(chtest.Fault{Mode: chtest.Error, Code: test.code, Match: "INTO ledger ", At: chtest.AtData})
			err := s.Write(t.Context(), l.All())
			var refused *RefusedError
			var permanent interface{ Permanent() bool }
			if err == nil || errors.As(err, &refused) != test.refused || errors.As(err, &permanent) {
				t.Errorf("%s: code %d: %v, want it refused: %v", protocol, test.code, err, test.refused)
			}
			e.ClearFaults()
		}
		insist(t, s, l.All())
		check(t, s, l)
	}
}

// TestServers sees that a second server is tried where the first is away, and
// that what is there is then asked after.
func TestServers(t *testing.T) {
	e := chtest.Start(t, chtest.WithTLS("", ""))
	nobody, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	nobody.Close()
	for protocol, address := range map[string]string{"native": e.NativeTLS, "http": e.HTTPS} {
		c := newConfig(e, protocol)
		c.Servers = []configs.Address{configs.Address(nobody.Addr().String()), configs.Address(address)}
		c.TLS = TLS{Enabled: true, CA: configs.Path(e.Certificate)}
		c.Compression = "zstd"
		s := open(t, c)
		l := story("servers", noon)
		insist(t, s, l.Batch(1, 10))
		insist(t, s, l.Batch(11, l.Last()))
		check(t, s, l)
		c.TLS.CA = ""
		if err := newStore(t, c).Open(t.Context()); err == nil || !strings.Contains(err.Error(), "certificate") {
			t.Errorf("%s: a server whose certificate nobody has signed: %v", protocol, err)
		}
	}
}
