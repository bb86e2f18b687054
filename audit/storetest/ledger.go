package storetest

import (
	"bytes"
	"context"
	"math"
	"slices"

	"github.com/cwmpgate/cwmpgate/audit"
)

// Ledger is a store whose records can be proved.
type Ledger interface {
	Store
	audit.LedgerReader
	audit.RowChecker
	audit.CheckpointSink
}

// RunLedger runs the part of the suite that a proof rests on. open gives a new,
// empty, opened store.
func RunLedger(t T, open func(t T) Ledger) {
	for _, test := range []struct {
		name string
		run  func(t T, s Ledger)
	}{
		{"records", ledgerRecords}, {"checkpoints", ledgerCheckpoints}, {"rows", ledgerRows}, {"rows of other records", ledgerOtherRows},
	} {
		t.Run(test.name, func(t T) { test.run(t, open(t)) })
	}
}

// ledgerRecords: the ledger gives back what it was given, of each log its own,
// by number whatever the order in which they came.
func ledgerRecords(t T, s Ledger) {
	one, two := world(), rounds("other", 1)
	write(t, s, two.All())
	write(t, s, one.Batch(20, one.Last()))
	write(t, s, one.Batch(1, 25))
	logs, err := s.Logs(t.Context())
	slices.Sort(logs)
	want := []string{one.ID, two.ID}
	slices.Sort(want)
	if err != nil || !slices.Equal(logs, want) {
		t.Fatalf("logs %v %v, want %v", logs, err, want)
	}
	for _, l := range []*Log{one, two} {
		next := uint64(7)
		for r, err := range s.Ledger(t.Context(), l.ID, 7) {
			if err != nil {
				t.Fatal(err)
			}
			e := l.Entries[next-1]
			if r.Seq != next || !bytes.Equal(r.Salt, e.Salt[:]) || !bytes.Equal(r.Bytes, e.Bytes) || len(r.Leaf) != 32 || !r.At.Equal(l.At(next)) {
				t.Fatalf("log %s, record %d: %+v", l.ID, next, r)
			}
			next++
		}
		if next != l.Last()+1 {
			t.Errorf("log %s ends before record %d", l.ID, next)
		}
	}
	for r, err := range s.Ledger(t.Context(), "no such log", 0) {
		t.Errorf("a log that is not there: %v %v", r, err)
	}
}

// ledgerCheckpoints: they come by epoch and size, the same one once.
func ledgerCheckpoints(t T, s Ledger) {
	add := func(log string, epoch uint64, size int64, note string) audit.Checkpoint {
		c := audit.Checkpoint{Log: log, Epoch: epoch, Size: size, Last: epoch + uint64(size), Note: note}
		for range 2 {
			if err := s.AddCheckpoint(t.Context(), c); err != nil {
				t.Fatal(err)
			}
		}
		return c
	}
	d := add("one", 30, 2, "d\n")
	c := add("one", 5, 9, "c\nand a signature\n")
	b := add("one", 5, 9, "c\n")
	a := add("one", 5, 3, "a\n")
	other := add("two", 1, 1, "e\n")
	for log, want := range map[string][]audit.Checkpoint{"one": {a, b, c, d}, "two": {other}, "three": nil} {
		var got []audit.Checkpoint
		for c, err := range s.Checkpoints(t.Context(), log) {
			if err != nil {
				t.Fatal(err)
			}
			got = append(got, c)
		}
		if !slices.Equal(got, want) {
			t.Errorf("checkpoints of %s: %+v, want %+v", log, got, want)
		}
	}
	if logs, err := s.Logs(t.Context()); err != nil || len(logs) != 2 {
		t.Errorf("logs %v %v: those of checkpoints alone count too", logs, err)
	}
}

func project(t T, l *Log, first, last uint64) *audit.Rows {
	t.Helper()
	var rows audit.Rows
	for _, e := range l.Batch(first, last).Entries {
		if err := audit.Project(l.ID, e.Seq, e.Bytes, &rows); err != nil {
			t.Fatal(err)
		}
	}
	return &rows
}

// ledgerRows: a store that nobody touched has the rows that its records make.
func ledgerRows(t T, s Ledger) {
	l, other := world(), world().Renamed("other")
	write(t, s, other.All())
	write(t, s, l.All())
	for _, span := range [][2]uint64{{0, 1}, {2, 30}, {31, math.MaxUint64}, {0, math.MaxUint64}} {
		faults, err := s.CheckRows(t.Context(), l.ID, span[0], span[1], project(t, l, span[0], span[1]))
		if err != nil || len(faults) > 0 {
			t.Errorf("records %d to %d: %v %v", span[0], span[1], faults, err)
		}
	}
}

// ledgerOtherRows: rows that records do not make, and those that they make and
// that are not there, are named.
func ledgerOtherRows(t T, s Ledger) {
	l := world()
	write(t, s, l.All())
	faults, err := s.CheckRows(context.Background(), l.ID, 1, 10, project(t, l, 1, 9))
	if err != nil || len(faults) == 0 {
		t.Fatalf("a record too few: %v %v", faults, err)
	}
	for _, f := range faults {
		if f.Seq != 10 || f.What != audit.Added {
			t.Errorf("a record too few: %+v", f)
		}
	}
	longer := rounds("world", 4)
	n := longer.Last()
	faults, err = s.CheckRows(context.Background(), l.ID, l.Last()+1, n, project(t, longer, l.Last()+1, n))
	if err != nil || len(faults) == 0 {
		t.Fatalf("records too many: %v %v", faults, err)
	}
	for _, f := range faults {
		if f.Seq <= l.Last() || f.What != audit.Missing {
			t.Errorf("records too many: %+v", f)
		}
	}
}
