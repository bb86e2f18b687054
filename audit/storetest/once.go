package storetest

import (
	"context"
	"crypto/sha256"
	"errors"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/cwmpgate/cwmpgate/audit"
)

// Records come into a store exactly once, whatever comes again.
var onceTests = []test{
	{"bytes come back", func(t T, s Store) {
		l := world()
		write(t, s, l.All())
		rows := ask(t, s, audit.Filter{View: audit.ViewRecords})
		if len(rows) != len(l.Entries) {
			t.Fatalf("%d records, want %d", len(rows), len(l.Entries))
		}
		for i, e := range l.Entries {
			expect(t, rows[i:i+1], want{"seq": e.Seq, "log": l.ID, "record": string(e.Bytes), "at": l.At(e.Seq)})
		}
	}},
	{"the same cut again", func(t T, s Store) {
		l := world()
		write(t, s, l.All())
		before := dump(t, s)
		write(t, s, l.All())
		same(t, "after the same cut", dump(t, s), before)
	}},
	{"overlapping cuts", func(t T, s Store) {
		l := world()
		for first := uint64(1); first <= l.Last(); first += 3 {
			write(t, s, l.Batch(first, min(first+6, l.Last())))
		}
		got := dump(t, s)
		if err := s.Rebuild(t.Context()); err != nil {
			t.Fatal(err)
		}
		same(t, "after a rebuild", dump(t, s), got)
		checkRecords(t, s, l)
	}},
	{"one record at a time", func(t T, s Store) {
		l := world()
		for seq := range l.Last() {
			write(t, s, l.Batch(seq+1, seq+1))
		}
		checkRecords(t, s, l)
		got := dump(t, s)
		if err := s.Rebuild(t.Context()); err != nil {
			t.Fatal(err)
		}
		same(t, "after a rebuild", dump(t, s), got)
	}},
	{"a cut with a gap", func(t T, s Store) {
		l := world()
		b := l.All()
		b.Entries = slices.Delete(slices.Clone(b.Entries), 3, 5)
		write(t, s, b)
		write(t, s, l.All())
		rows := ask(t, s, audit.Filter{View: audit.ViewRecords})
		if len(rows) != len(l.Entries) {
			t.Fatalf("%d records, want %d", len(rows), len(l.Entries))
		}
	}},
	{"an empty cut", func(t T, s Store) {
		write(t, s, &audit.Batch{Log: NewLog("empty").ID, First: 1, Last: 4})
	}},
	{"two logs", func(t T, s Store) {
		a, b := world(), NewLog("other")
		b.Start()
		write(t, s, a.All())
		write(t, s, b.All())
		expect(t, ask(t, s, audit.Filter{View: audit.ViewRecords, Log: b.ID}), want{"seq": 1, "log": b.ID, "kind": "system"})
		if n := len(ask(t, s, audit.Filter{View: audit.ViewRecords})); n != len(a.Entries)+1 {
			t.Fatalf("%d records, want %d", n, len(a.Entries)+1)
		}
	}},
	{"other bytes at the same place", func(t T, s Store) {
		differs(t, s, func(b *audit.Batch) { b.Entries[4].Bytes = b.Entries[3].Bytes })
	}},
	{"another salt at the same place", func(t T, s Store) { differs(t, s, func(b *audit.Batch) { b.Entries[4].Salt[3] ^= 1 }) }},
	{"a record of another place", func(t T, s Store) {
		l := world()
		b := l.Batch(1, 3)
		b.Entries[1].Bytes = l.Entries[7].Bytes
		if err := s.Write(t.Context(), b); err == nil {
			t.Fatal("a record that says that it is another was taken")
		}
		if got := dump(t, s); len(got) > 0 {
			t.Fatalf("something of the cut was written: %s", got[0])
		}
	}},
	{"records that cannot be projected", func(t T, s Store) {
		l, cpe := begin("unreadable")
		cpe.Inform([]string{"2 PERIODIC"}, Param(ssid, "home", "string"))
		var bad []uint64
		for _, body := range []string{
			`"Elements":[{"Name":"X_A","Value":"\q"}]`, `"Elements":[{"Name":"X_A"}]},"more":{`, `"ParameterList":7`,
			`"Elements":` + strings.Repeat(`[`, 100_000) + strings.Repeat(`]`, 100_000),
		} {
			bad = append(bad, cpe.Tell("X_00005E_Do", body))
		}
		l.Entries[bad[1]-1].Bytes = append(l.Entries[bad[1]-1].Bytes, "{}"...)
		last := cpe.Inform([]string{"2 PERIODIC"}, Param(ssid, "away", "string"))
		b := l.All()
		write(t, s, b)
		if b.Unprojected != len(bad) {
			t.Errorf("%d records are told to have no rows, want %d", b.Unprojected, len(bad))
		}
		settle(t, s, l)
		checkRecords(t, s, l)
		rows := ask(t, s, audit.Filter{View: audit.ViewRecords, Device: "T1", Session: "s-1", Kind: "message"})
		expect(t, rows[2:3], want{"seq": bad[0], "at": l.At(bad[0]), "tenant": "isp", "oui": "00005E", "class": "HG", "log": l.ID})
		if len(rows) != 4+len(bad) {
			t.Errorf("%d messages of the session, want %d", len(rows), 4+len(bad))
		}
		expect(t, ask(t, s, audit.Filter{View: audit.ViewRPCs, RPC: "X_00005E_Do"}))
		expect(t, ask(t, s, audit.Filter{View: audit.ViewChanges}), want{"seq": last, "old": "home", "new": "away"})
		if b = l.All(); s.Write(t.Context(), b) != nil || b.Unprojected != 0 {
			t.Errorf("the same cut again: %d records are told to have no rows", b.Unprojected)
		}
	}},
	{"broken off", func(t T, s Store) {
		l := world()
		write(t, s, l.Batch(1, 5))
		before := dump(t, s)
		for n := 1; n < 40; n += 3 {
			ctx := &expiring{Context: t.Context(), done: make(chan struct{}), left: n}
			if err := s.Write(ctx, l.All()); err != nil {
				same(t, "after a write that failed", dump(t, s), before)
			} else if ctx.ended() {
				break
			}
		}
		write(t, s, l.All())
		checkRecords(t, s, l)
		got := dump(t, s)
		if err := s.Rebuild(t.Context()); err != nil {
			t.Fatal(err)
		}
		same(t, "after a rebuild", dump(t, s), got)
	}},
	{"a rebuild that is broken off", func(t T, s Store) {
		write(t, s, world().All())
		before := dump(t, s)
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if err := s.Rebuild(ctx); !errors.Is(err, context.Canceled) {
			t.Fatalf("the rebuild says %v", err)
		}
		same(t, "after it", dump(t, s), before)
	}},
}

// expiring is a context that ends after it was asked so many times.
type expiring struct {
	context.Context
	done chan struct{}

	mu   sync.Mutex
	left int // calls
}

func (c *expiring) ended() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.left <= 0
}

func (c *expiring) Done() <-chan struct{} { _ = c.Err(); return c.done }

func (c *expiring) Err() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.left--
	if c.left == 0 {
		close(c.done)
	}
	if c.left <= 0 {
		return context.Canceled
	}
	return nil
}

func (c *expiring) Deadline() (time.Time, bool) { return time.Time{}, false }

func differs(t T, s Store, change func(*audit.Batch)) {
	l := world()
	write(t, s, l.Batch(1, 10))
	before := dump(t, s)
	b := l.Batch(1, 20)
	change(b)
	err := s.Write(t.Context(), b)
	if err == nil {
		t.Fatal("it was taken")
	}
	if !strings.Contains(err.Error(), "record 5") || !strings.Contains(err.Error(), l.ID) {
		t.Errorf("the error does not name the record: %v", err)
	}
	same(t, "after it", dump(t, s), before)
	write(t, s, l.Batch(1, 20))
}

// checkRecords compares the ledger with the log, by hash.
func checkRecords(t T, s Store, l *Log) {
	t.Helper()
	rows := ask(t, s, audit.Filter{View: audit.ViewRecords})
	if len(rows) != len(l.Entries) {
		t.Fatalf("%d records, want %d", len(rows), len(l.Entries))
	}
	for i, row := range rows {
		if sha256.Sum256([]byte(row["record"].(string))) != sha256.Sum256(l.Entries[i].Bytes) {
			t.Fatalf("record %d came back as %s", l.Entries[i].Seq, row["record"])
		}
	}
}
