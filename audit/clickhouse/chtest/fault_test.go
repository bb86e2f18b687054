package chtest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2"
)

// Each fault strikes the first insert, and the second goes through.
func TestFaultsOfInserts(t *testing.T) {
	ctx := context.Background()
	cases := []struct {
		fault   Fault
		code    int32 // of the exception; 0 for a broken connection
		applied uint64
	}{
		{Fault{Mode: Close}, 0, 0},
		{Fault{Mode: Close, At: AtQuery}, 0, 0},
		{Fault{Mode: Close, Reset: true}, 0, 0},
		{Fault{Mode: ApplyClose}, 0, 100},
		{Fault{Mode: Error, Code: 252}, 252, 0},
		{Fault{Mode: Error, Code: 241}, 241, 0},
		{Fault{Mode: Error, Code: 242}, 242, 0},
		{Fault{Mode: Error, Code: 202}, 202, 0},
		{Fault{Mode: ApplyError, Code: 319}, 319, 100},
	}
	each(t, func(t *testing.T, e *Engine, db clickhouse.Conn) {
		for _, c := range cases {
			t.Run(fmt.Sprint(c.fault.Mode, c.fault.Code, c.fault.At, c.fault.Reset), func(t *testing.T) {
				must(t, db.Exec(ctx, eventsTable))
				e.Fault(c.fault)
				t.Cleanup(e.ClearFaults)
				err := insertEvents(ctx, db, 0, 100)
				if c.code != 0 {
					wantCode(t, err, c.code)
				} else if ex := (*clickhouse.Exception)(nil); err == nil || errors.As(err, &ex) {
					t.Errorf("got error %v, want a broken connection", err)
				}
				if reset := err != nil && strings.Contains(err.Error(), "reset by peer"); reset != c.fault.Reset {
					t.Errorf("reset %t: %v", reset, err)
				}
				wantNumber(t, db, c.applied, "SELECT count() FROM events")
				must(t, insertEvents(ctx, db, 200, 100))
				wantNumber(t, db, c.applied+100, "SELECT count() FROM events")
				if f := e.Faults(); len(f) != 1 || f[0].Struck != 1 || f[0].Count != 0 {
					t.Errorf("faults: %+v", f)
				}
			})
		}
	})
}

// A late answer is one to an insert that was applied.
func TestDelay(t *testing.T) {
	each(t, func(t *testing.T, e *Engine, db clickhouse.Conn) {
		must(t, db.Exec(context.Background(), eventsTable))
		e.Fault(Fault{Mode: Delay, Delay: time.Hour})
		t.Cleanup(e.ClearFaults)
		ctx, cancel := context.WithTimeout(context.Background(), 100*time.Millisecond)
		defer cancel()
		if err := insertEvents(ctx, db, 0, 100); err == nil {
			t.Error("it was answered in time")
		}
		await(t, "the rows are there", func() bool { return number(t, db, "SELECT count() FROM events") == 100 })
	})
}

func TestCut(t *testing.T) {
	each(t, func(t *testing.T, e *Engine, db clickhouse.Conn) {
		e.Fault(Fault{Mode: Cut, Match: "numbers"})
		t.Cleanup(e.ClearFaults)
		rows, err := db.Query(context.Background(), "SELECT number, toString(number) FROM numbers(100000)")
		n := 0
		if err == nil {
			for rows.Next() {
				n++
			}
			err = rows.Err()
		}
		if err == nil || n == 100000 {
			t.Errorf("%d rows, error %v", n, err)
		}
	})
}

// Which occasions a fault strikes.
func TestOccasions(t *testing.T) {
	ctx := context.Background()
	e := Start(t)
	for _, c := range []struct {
		name   string
		fault  Fault
		struck []int // which of four SELECTs over HTTP
	}{
		{"once", Fault{Mode: Error, Code: 999, On: OnSelect}, []int{0}},
		{"for ever", Fault{Mode: Error, Code: 999, On: OnAny, Count: -1}, []int{0, 1, 2, 3}},
		{"later", Fault{Mode: Error, Code: 999, On: OnSelect, Skip: 2, Count: -1}, []int{2, 3}},
		{"matching", Fault{Mode: Error, Code: 999, On: OnSelect, Match: "SELECT 2"}, []int{2}},
		{"inserts only", Fault{Mode: Error, Code: 999}, nil},
		{"others only", Fault{Mode: Error, Code: 999, On: OnOther}, nil},
		{"native only", Fault{Mode: Error, Code: 999, On: OnSelect, Protocol: Native}, nil},
		{"refused", Fault{Mode: Refuse, Protocol: HTTP}, []int{0}},
	} {
		t.Run(c.name, func(t *testing.T) {
			db := connect(t, e, clickhouse.HTTP, nil)
			must(t, db.Ping(ctx)) // clients ask for the time zone first
			e.Fault(c.fault)
			t.Cleanup(e.ClearFaults)
			var struck []int
			for i := range 4 {
				if err := db.Exec(ctx, fmt.Sprint("SELECT ", i)); err != nil {
					struck = append(struck, i)
				}
			}
			if !slices.Equal(struck, c.struck) {
				t.Errorf("struck %v, want %v", struck, c.struck)
			}
		})
	}
	t.Run("native connections", func(t *testing.T) {
		e.Fault(Fault{Mode: Refuse, Count: 2, Protocol: Native})
		t.Cleanup(e.ClearFaults)
		db := connect(t, e, clickhouse.Native, nil)
		for i := range 3 {
			if err := db.Ping(ctx); (err == nil) != (i == 2) {
				t.Errorf("ping %d: %v", i, err)
			}
		}
	})
}

func TestImpossibleFaults(t *testing.T) {
	e := Start(t)
	for _, c := range []struct {
		fault Fault
		want  string
	}{
		{Fault{Mode: "explode"}, `no mode "explode"`},
		{Fault{Mode: Error}, "needs a code"},
		{Fault{Mode: Delay}, "needs a delay"},
	} {
		if _, err := e.tryFaults("POST", c.fault); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%+v: %v", c.fault, err)
		}
	}
}
