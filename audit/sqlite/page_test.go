package sqlite

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/cwmpgate/cwmpgate/audit"
	"github.com/cwmpgate/cwmpgate/audit/storetest"
)

// TestPages: rows are the same, whatever the size of the pages they are read in.
func TestPages(t *testing.T) {
	s := open(t, filepath.Join(t.TempDir(), "audit.db"))
	for _, l := range []*storetest.Log{storetest.Sample(6), second()} {
		if err := s.Write(t.Context(), l.All()); err != nil {
			t.Fatal(err)
		}
	}
	ask := func(f audit.Filter, page int) (lines []string) {
		s.pageRows = page
		for row, err := range s.Query(t.Context(), f) {
			if err != nil {
				t.Fatalf("%+v: %v", f, err)
			}
			lines = append(lines, fmt.Sprintf("%q", row.Values))
		}
		return lines
	}
	rows := 0
	for _, view := range audit.Views() {
		for _, f := range []audit.Filter{
			{}, {Limit: 7}, {Limit: 1}, {After: 3}, {After: 3, Limit: 7}, {Device: "T1"}, {Device: "T1", Limit: 4}, {Outcome: "accepted"},
			{Since: time.Date(2026, 11, 24, 20, 0, 2, 0, time.UTC)},
		} {
			f.View = view
			want := ask(f, pageRows)
			rows += len(want)
			for _, page := range []int{1, 2, 3, len(want), len(want) + 1} {
				if got := ask(f, max(page, 1)); !slices.Equal(got, want) {
					t.Errorf("%+v in pages of %d: %d rows, want %d", f, page, len(got), len(want))
				}
			}
		}
	}
	if rows < 200 {
		t.Errorf("only %d rows were asked for", rows)
	}
}

// second is a log whose records have the times of another's.
func second() *storetest.Log {
	l := storetest.NewLog("second")
	cpe := l.Session(audit.Device{OUI: "00005E", Class: "HG", Serial: "T1"}, "s-9")
	cpe.Inform([]string{"4 VALUE CHANGE"}, storetest.Param("Device.X", "a", "string"), storetest.Param("Device.Y", "b", "string"))
	for i := range 5 {
		cpe.Set("job", storetest.Param("Device.X", fmt.Sprint(i), "string"), storetest.Param("Device.Y", fmt.Sprint(i), "string"))
		cpe.Accept(`"Status":"0"`)
	}
	cpe.End("clean", nil, nil)
	return l
}

// TestStandingReader: while somebody reads, row by row and as slowly as a person,
// the write-ahead log is used again and again.
func TestStandingReader(t *testing.T) {
	file := filepath.Join(t.TempDir(), "audit.db")
	s := open(t, file)
	s.pageRows = 10
	l := storetest.NewLog("standing")
	cpe := l.Session(audit.Device{OUI: "00005E", Class: "HG", Serial: "T1"}, "s-1")
	write := func() (bytes int) {
		first := l.Last() + 1
		for i := range 20 {
			value := fmt.Sprintf("%d %0*d", first, 60_000, i)
			cpe.Read(storetest.Param(fmt.Sprintf("Device.X.%d", i), value, "string"))
			bytes += len(value)
		}
		if err := s.Write(t.Context(), l.Batch(first, l.Last())); err != nil {
			t.Fatal(err)
		}
		return bytes
	}
	write()
	longest, written, rows := int64(0), 0, 0
	for _, err := range s.Query(t.Context(), audit.Filter{View: audit.ViewRecords}) {
		if err != nil {
			t.Fatal(err)
		}
		if rows++; rows > 20 {
			break // those that were written meanwhile
		}
		written += write()
		info, err := os.Stat(file + "-wal")
		if err != nil {
			t.Fatal(err)
		}
		longest = max(longest, info.Size())
	}
	t.Logf("figures: %d bytes of values written beside a reader, the write-ahead log had %d at most", written, longest)
	if rows < 20 || written < 20<<20 || longest > int64(written)/2 {
		t.Errorf("the write-ahead log has grown to %d bytes beside a reader, %d were written", longest, written)
	}
}
