package clickhouse

import (
	"fmt"
	"path/filepath"
	"slices"
	"testing"

	"github.com/cwmpgate/cwmpgate/audit"
	"github.com/cwmpgate/cwmpgate/audit/clickhouse/chtest"
	"github.com/cwmpgate/cwmpgate/audit/sqlite"
	"github.com/cwmpgate/cwmpgate/audit/storetest"
)

// TestRefusedInAnotherCut: what an Inform told is not known once it was refused,
// wherever a cut ends between the two, and whether the writer is in doubt or not.
func TestRefusedInAnotherCut(t *testing.T) {
	if raceDetector {
		t.Skip("it is the engine that works here; without the race detector this is run")
	}
	const dns, first = "Device.DNS.Client.Server.1.DNSServer", "Device.First"
	e := chtest.Start(t)
	s := open(t, newConfig(e, "native"))
	other := sqlite.New(sqlite.Config{File: filepath.Join(t.TempDir(), "audit.db")})
	if err := other.Open(t.Context()); err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	story := func(name string) *storetest.Log {
		l := storetest.NewLog(name)
		l.Start()
		cpe := l.Session(audit.Device{Manufacturer: "Example", OUI: "00005E", Class: "HG", Serial: name}, name+"-1")
		cpe.Inform([]string{"2 PERIODIC"}, storetest.Param(dns, "a", "string"))
		cpe.BareInform([]string{"2 PERIODIC"}, storetest.Param(dns, "b", "string"), storetest.Param(first, "x", "string"))
		cpe.Reject("8005", "Retry request")
		cpe.Read(storetest.Param(dns, "a", "string"), storetest.Param(first, "x", "string"))
		cpe.BareInform([]string{"2 PERIODIC"}, storetest.Param(dns, "c", "string"))
		cpe.Set("job", storetest.Param(dns, "d", "string"))
		cpe.Accept(`"Status":"0"`)
		cpe.Reject("8005", "Retry request")
		cpe.Inform([]string{"4 VALUE CHANGE"}, storetest.Param(dns, "d", "string"))
		cpe.End("clean", nil, nil)
		return l
	}
	last := story("x").Last()
	for cut := uint64(1); cut < last; cut++ {
		for _, doubt := range []bool{false, true} {
			l := story(fmt.Sprintf("cut-%d-%t", cut, doubt))
			if err := other.Write(t.Context(), l.All()); err != nil {
				t.Fatal(err)
			}
			writer := s
			for i, b := range []*audit.Batch{l.Batch(1, cut), l.Batch(cut+1, last)} {
				if doubt && i > 0 {
					writer = open(t, s.config)
				}
				if err := writer.Write(t.Context(), b); err != nil {
					t.Fatal(err)
				}
			}
		}
	}
	for _, when := range []string{"as written", "made anew"} {
		got, want := dump(t, s), dump(t, other)
		slices.Sort(got) // logs of one time stand in no order of their own
		slices.Sort(want)
		for i := range max(len(got), len(want)) {
			if i >= len(got) || i >= len(want) || got[i] != want[i] {
				t.Fatalf("%s: %d rows, want %d; row %d is\n%s\nwant\n%s", when, len(got), len(want), i, got[min(i, len(got)-1)], want[min(i, len(want)-1)])
			}
		}
		if err := s.Rebuild(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
}
