package clickhouse

import (
	"fmt"
	"testing"

	"github.com/cwmpgate/cwmpgate/audit"
	"github.com/cwmpgate/cwmpgate/audit/clickhouse/chtest"
	"github.com/cwmpgate/cwmpgate/audit/storetest"
)

// TestRemovalBrokenOff cuts the connection at each statement of an erasure that
// changes anything, before and after it is applied, and has it done again: each
// record is then there once, and nothing of the device.
func TestRemovalBrokenOff(t *testing.T) {
	if raceDetector {
		t.Skip("it is the engine that works here; without the race detector this is run")
	}
	e := chtest.Start(t)
	s := open(t, newConfig(e, "native"))
	ctx := t.Context()
	for _, f := range []chtest.Fault{
		{Mode: chtest.Close, Match: "ALTER TABLE", On: chtest.OnAny},
		{Mode: chtest.ApplyClose, Match: "ALTER TABLE", On: chtest.OnAny},
		{Mode: chtest.Close, Match: "INTO ledger", On: chtest.OnAny, At: chtest.AtQuery},
		{Mode: chtest.ApplyClose, Match: "INTO ledger", On: chtest.OnAny},
		{Mode: chtest.Close, Match: "INTO last_values", On: chtest.OnAny, At: chtest.AtQuery},
		{Mode: chtest.ApplyClose, Match: "INTO last_values", On: chtest.OnAny},
	} {
		struck := true
		for skip := 0; struck; skip++ {
			name := fmt.Sprintf("%s %s %d", f.Mode, f.Match, skip)
			if skip > 20 {
				t.Fatalf("%s: it is cut off for ever", name)
			}
			mark := fmt.Sprintf("%s-%s-%d", f.Mode, f.Match[5:], skip)
			l, spans := storetest.Erasable(mark)
			l = l.Renamed(name)
			if err := s.Write(ctx, l.All()); err != nil {
				t.Fatal(err)
			}
			order := []audit.Removal{{Log: l.ID, Seq: 1, Of: l.ID, Spans: spans}}
			f.Skip = skip
			e.Fault(f)
			_, err := s.Remove(ctx, order)
			struck = e.Faults()[0].Struck > 0
			e.ClearFaults()
			if skip == 0 && !struck {
				t.Errorf("%s: nothing was cut off", name)
			}
			if struck != (err != nil) {
				t.Fatalf("%s: struck is %t, but the removal says %v", name, struck, err)
			}
			done, err := s.Removed(ctx, l.ID, 1)
			if err != nil || done == struck {
				t.Errorf("%s: done is %t, %v", name, done, err)
			}
			for range 2 {
				if _, err := s.Remove(ctx, order); err != nil {
					t.Fatalf("%s: again: %v", name, err)
				}
			}
			var rows, apart, empty uint64
			err = (*s.conn.Load()).QueryRow(ctx, "SELECT count(), uniqExact(seq), countIf(bytes = '' AND salt = '') FROM ledger WHERE log = "+literal(l.ID)).Scan(&rows, &apart, &empty)
			if err != nil {
				t.Fatal(err)
			}
			if want := uint64(len(l.Entries)); rows != want || apart != want || empty != 24 {
				t.Errorf("%s: %d rows of %d records, %d of them empty, want %d and 24", name, rows, apart, empty, want)
			}
			for _, table := range []string{"ledger", "rpcs", "parameters", "transfers", "sessions", "last_values"} {
				if n, err := s.count(ctx, table, "serial = "+literal(mark)); err != nil || n > 0 {
					t.Errorf("%s: %d rows of %s are left, %v", name, n, table, err)
				}
			}
		}
	}
	checkLatest(t, s)
}
