package sqlite

import (
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/cwmpgate/cwmpgate/audit"
	"github.com/cwmpgate/cwmpgate/audit/storetest"
)

// TestPlans sees that what the command line asks is found through indexes: no
// large table is read from end to end, and the newest rows of the whole store
// need no sorting.
func TestPlans(t *testing.T) {
	s := open(t, filepath.Join(t.TempDir(), "audit.db"))
	if err := s.Write(t.Context(), storetest.Sample(10).All()); err != nil {
		t.Fatal(err)
	}
	// The large tables under their names in the views. In the order of time, a
	// scan of an index ends at the limit.
	large := regexp.MustCompile(`^SCAN [lprst]( |$)`)
	since := time.Date(2026, 11, 24, 20, 1, 0, 0, time.UTC)
	var filters []audit.Filter
	for _, view := range audit.Views() {
		filters = append(filters,
			audit.Filter{View: view, Limit: 50},
			audit.Filter{View: view, Device: "T1", Limit: 50},
			audit.Filter{View: view, Since: since, Until: since.Add(time.Hour)},
			audit.Filter{View: view, Tenant: "isp", Outcome: "refused", Since: since, Limit: 50},
			audit.Filter{View: view, After: 100, Limit: 50})
	}
	filters = append(filters,
		audit.Filter{View: audit.ViewChanges, Parameter: "Device.DNS.**", Limit: 50},
		audit.Filter{View: audit.ViewChanges, Parameter: "Device.DNS.**", Device: "00005E-T1"},
		audit.Filter{View: audit.ViewRecords, Session: "s-1-T1"},
		audit.Filter{View: audit.ViewRPCs, Session: "s-1-T1"})
	for _, f := range filters {
		q, err := conditions(t.Context(), s.read.Load(), f)
		if err != nil {
			t.Fatal(err)
		}
		text, args := q.text(f)
		plan := explain(t, s, text, args)
		q.behind = &place{at: since.UnixMicro(), log: 1, seq: 100}
		text2, args2 := q.text(f)
		plan = append(plan, explain(t, s, text2, args2)...)
		for _, step := range plan {
			scan := large.MatchString(step)
			narrowed := f.Device != "" || f.Parameter != "" || f.Session != "" || f.After > 0
			// Lives of transfers are folded from all steps, but for those of a device.
			if f.View == audit.ViewTransfers && f.Device == "" {
				scan = false
			}
			if scan && !strings.Contains(step, "USING INDEX") || strings.HasSuffix(step, "(log=?)") {
				t.Errorf("%+v reads a whole table\n%s\n\t%s", f, text, strings.Join(plan, "\n\t"))
				break
			}
			if scan && narrowed {
				t.Errorf("%+v is not narrowed by an index\n%s\n\t%s", f, text, strings.Join(plan, "\n\t"))
				break
			}
			if step == "USE TEMP B-TREE FOR ORDER BY" && !narrowed && f.View != audit.ViewTransfers && f.Limit == 0 {
				t.Errorf("%+v sorts all rows\n%s\n\t%s", f, text, strings.Join(plan, "\n\t"))
				break
			}
		}
	}
}

func explain(t *testing.T, s *Store, text string, args []any) (steps []string) {
	t.Helper()
	rows, err := s.read.Load().QueryContext(t.Context(), "EXPLAIN QUERY PLAN "+text, args...)
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	for rows.Next() {
		var id, parent, unused int
		var detail string
		if err := rows.Scan(&id, &parent, &unused, &detail); err != nil {
			t.Fatal(err)
		}
		steps = append(steps, detail)
	}
	return steps
}
