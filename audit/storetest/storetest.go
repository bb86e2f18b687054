package storetest

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/cwmpgate/cwmpgate/audit"
)

// Store is what the suite tests.
type Store interface {
	audit.Sink
	audit.Reader
	// Rebuild makes all projections anew from the ledger.
	Rebuild(ctx context.Context) error
}

// Run runs the suite, or those of its groups that are named. open gives a new,
// empty, opened store and sees to it that it is closed when its test ends.
func Run(t T, open func(t T) Store, groups ...string) {
	for _, group := range []struct {
		name  string
		tests []test
	}{
		{"once", onceTests}, {"changes", changeTests}, {"known", knownTests},
		{"transfers", transferTests}, {"views", viewTests}, {"fuzzed", fuzzedTests},
	} {
		if len(groups) > 0 && !slices.Contains(groups, group.name) {
			continue
		}
		t.Run(group.name, func(t T) {
			for _, test := range group.tests {
				t.Run(test.name, func(t T) { test.run(t, open(t)) })
			}
		})
	}
}

type test struct {
	name string
	run  func(t T, s Store)
}

// write writes a cut, and sees that the rows do not depend on how the log was
// cut, nor on whether they were made at once or by a rebuild.
func write(t T, s Store, b *audit.Batch) {
	t.Helper()
	if err := s.Write(t.Context(), b); err != nil {
		t.Fatal(err)
	}
}

// settle writes a whole log and checks that a rebuild changes nothing.
func settle(t T, s Store, l *Log) {
	t.Helper()
	write(t, s, l.All())
	before := dump(t, s)
	if err := s.Rebuild(t.Context()); err != nil {
		t.Fatal(err)
	}
	same(t, "after a rebuild", dump(t, s), before)
}

// ask collects the rows of a filter, each as a map by column.
func ask(t T, s Store, f audit.Filter) []map[string]any {
	t.Helper()
	var all []map[string]any
	for row, err := range s.Query(t.Context(), f) {
		if err != nil {
			t.Fatalf("query %+v: %v", f, err)
		}
		columns := f.View.Columns()
		if len(row.Values) != len(columns) || &row.Columns[0] != &columns[0] {
			t.Fatalf("a row of %s has columns %v", f.View, row.Columns)
		}
		m := make(map[string]any)
		for i, v := range row.Values {
			switch v.(type) {
			case nil, string, int64, bool, time.Time:
			default:
				t.Fatalf("column %s of %s is a %T", columns[i], f.View, v)
			}
			m[columns[i]] = v
		}
		all = append(all, m)
	}
	return all
}

// dump is all that a store shows, as texts.
func dump(t T, s Store) (lines []string) {
	t.Helper()
	for _, view := range audit.Views() {
		for row, err := range s.Query(t.Context(), audit.Filter{View: view}) {
			if err != nil {
				t.Fatalf("query %s: %v", view, err)
			}
			lines = append(lines, fmt.Sprintf("%s %q", view, row.Values))
		}
	}
	return lines
}

func same(t T, what string, got, want []string) {
	t.Helper()
	for i := range max(len(got), len(want)) {
		switch {
		case i >= len(got):
			t.Fatalf("%s: %d rows, want %d; the first that is missing:\n%s", what, len(got), len(want), want[i])
		case i >= len(want):
			t.Fatalf("%s: %d rows, want %d; the first too many:\n%s", what, len(got), len(want), got[i])
		case got[i] != want[i]:
			t.Fatalf("%s: row %d is\n%s\nwant\n%s", what, i, got[i], want[i])
		}
	}
}

// want is one expected row: columns and their values, nothing said of others.
type want map[string]any

// expect compares rows with what is expected of some of their columns.
func expect(t T, got []map[string]any, all ...want) {
	t.Helper()
	for i, w := range all {
		if i >= len(got) {
			break
		}
		for column, value := range w {
			have, ok := got[i][column]
			if !ok {
				t.Fatalf("there is no column %s", column)
			}
			if n, ok := value.(int); ok {
				value = int64(n)
			}
			if n, ok := value.(uint64); ok {
				value = int64(n)
			}
			if at, ok := value.(time.Time); ok {
				if h, ok := have.(time.Time); ok && h.Equal(at) && h.Location() == time.UTC {
					continue
				}
			}
			if have != value {
				t.Errorf("row %d: %s is %#v, want %#v\n%v", i, column, have, value, got[i])
			}
		}
	}
	if len(got) != len(all) {
		t.Errorf("%d rows, want %d", len(got), len(all))
		for i, row := range got {
			t.Logf("row %d: %v", i, row)
		}
	}
}

// The devices of the suite. The second's names hold hyphens.
var (
	router = audit.Device{Manufacturer: "Example", OUI: "00005E", Class: "HG", Serial: "T1"}
	modem  = audit.Device{Manufacturer: "Example", OUI: "00005e", Class: "A-B", Serial: "C-D"}
)

// world is a log with something of everything: the background against which
// cuts and filters are tried.
func world() *Log { return rounds("world", 3) }

func rounds(name string, n int) *Log {
	l := NewLog(name)
	l.Start()
	for i := range n {
		for _, d := range []audit.Device{router, modem} {
			s := l.Session(d, fmt.Sprintf("s-%d-%s", i, d.Serial))
			s.Inform([]string{"2 PERIODIC"}, Param("Device.DeviceInfo.SoftwareVersion", "1."+fmt.Sprint(i), "string"))
			s.Read(Param("Device.WiFi.SSID.1.SSID", "home", "string"), Param("Device.X", "a\"\\\n\x01é", "string"))
			s.Set(fmt.Sprintf("job-%d", i), Param("Device.DNS.Client.Server.1.DNSServer", fmt.Sprintf("192.0.2.%d", i), "string"),
				Secret("Device.ManagementServer.Password", fmt.Sprintf("%016x", i)))
			s.Accept(member("Status", "0"))
			s.Download(fmt.Sprintf("dl-%d", i), "http://files.example.com/fw.bin")
			s.Started()
			s.End("clean", nil, nil)
			s = l.Session(d, fmt.Sprintf("t-%d-%s", i, d.Serial))
			s.Bytes("GET", "http://files.example.com/fw.bin", 200, 1000, "aa11")
			s.Inform([]string{"7 TRANSFER COMPLETE"})
			s.Complete(fmt.Sprintf("dl-%d", i), "0", unknownTime, unknownTime)
			s.Confirm()
			s.End("clean", nil, nil)
		}
		l.Refusal("doctype", i+1)
		l.Security("certificate-mismatch", i+1)
		l.Decision("tenant-limit", i+1)
	}
	l.System("stop", "stopped")
	return l
}

// Sample is a log of n rounds of two devices' sessions, for tests and
// benchmarks of one store.
func Sample(n int) *Log { return rounds("sample", n) }
