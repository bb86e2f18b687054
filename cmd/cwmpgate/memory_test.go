package main

import (
	"bufio"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
	"testing"

	"github.com/cwmpgate/cwmpgate/cwmp/cwmptest"
)

// TestMemoryBound is a small run of "cwmpload memory": what is resident stays
// below what docs/performance.md says, and no byte is counted as a body when all
// are gone.
func TestMemoryBound(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("what is resident is read from /proc")
	}
	if _, err := exec.LookPath("taskset"); err != nil {
		t.Skip("taskset is not installed")
	}
	const sessions, slow, large, limit, largeSize = 300, 100, 24, 48, 8_000_000
	cmd := exec.CommandContext(t.Context(), buildLoad(t), "memory", "--json", "--gateway", buildProgram(t), "--directory", t.TempDir(),
		"--sessions", strconv.Itoa(sessions), "--slow", strconv.Itoa(slow), "--slow-size", "65536",
		"--large", strconv.Itoa(large), "--large-size", strconv.Itoa(largeSize), "--limit", strconv.Itoa(limit))
	var trouble strings.Builder
	cmd.Stderr = &trouble
	out, err := cmd.Output()
	if err != nil {
		t.Errorf("%v: %s", err, trouble.String())
	}
	seen := map[string]bool{}
	for line := range strings.Lines(string(out)) {
		var got struct {
			Case       string
			Held, Peak int64
			Bound      int64
			Most       int64  `json:"most_bodies"`
			Left       *int64 `json:"left_bodies"`
			Answered   map[string]int
		}
		if err := json.Unmarshal([]byte(line), &got); err != nil {
			t.Fatalf("%s: %v", line, err)
		}
		seen[got.Case] = true
		t.Logf("figures: %s", strings.TrimSpace(line))
		const mib = 1 << 20
		// What is held and what was held at most are two counters of the kernel, which
		// adds up some pages of each thread late.
		if got.Held <= 0 || got.Peak+mib < got.Held || got.Peak > got.Bound || got.Bound > (limit+256+3*8)*mib {
			t.Errorf("%s: %d bytes held, %d at most, bound %d", got.Case, got.Held, got.Peak, got.Bound)
		}
		if got.Left == nil || *got.Left != 0 || got.Most > limit*mib {
			t.Errorf("%s: %d bytes of bodies at most, left: %v", got.Case, got.Most, got.Left)
		}
		switch got.Case {
		case "idle":
			if got.Answered["200"] != sessions {
				t.Errorf("idle: answered %v", got.Answered)
			}
		case "slow": // 64 KiB have come of each, and none is over
			if got.Answered["200"] != slow || got.Most < slow*(48<<10) {
				t.Errorf("slow: answered %v, %d bytes of bodies", got.Answered, got.Most)
			}
		case "large": // they have no room all together
			if got.Answered["200"] == 0 || got.Answered["503"] == 0 || got.Answered["200"]+got.Answered["503"] != large+1 {
				t.Errorf("large: answered %v", got.Answered)
			}
		}
	}
	if len(seen) != 3 {
		t.Errorf("cases: %v", seen)
	}
}

// TestIdleSessionHoldsNoBuffer: a session in which nothing happens keeps neither
// a buffer of its CPE's connection nor one of the ACS's.
func TestIdleSessionHoldsNoBuffer(t *testing.T) {
	const sessions = 200
	acs := openACS(t, cwmptest.ACSConfig{Character: cwmptest.ConnectionOnly, Script: chores})
	r := start(t, plan{acs: acs.Addr(), tls: true, level: "info"})
	trusted := trust(t, r.dir)
	open := func(i int) {
		c, err := tls.Dial("tcp", r.addr, trusted)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { c.NetConn().Close() })
		b := bufio.NewReaderSize(c, 512)
		for _, request := range []string{inform(fmt.Sprint("IDLE", i)), post("")} {
			if _, err := io.WriteString(c, request); err != nil {
				t.Fatal(err)
			}
			res, err := http.ReadResponse(b, nil)
			if err != nil || res.StatusCode != 200 {
				t.Fatalf("session %d: %v, %v", i, res, err)
			}
			io.Copy(io.Discard, res.Body)
			res.Body.Close()
		}
	}
	heap := func() int64 {
		var m runtime.MemStats
		runtime.GC()
		runtime.GC() // a pool lets go at the second
		runtime.ReadMemStats(&m)
		return int64(m.HeapAlloc)
	}
	open(0)
	before := heap()
	for i := range sessions {
		open(1 + i)
	}
	// 29 KiB here, of which the test's CPE and ACS have half.
	await(t, "sessions hold little", func() bool { return (heap()-before)/sessions < 38<<10 })
	t.Logf("figures: an idle session takes %d bytes, CPE, gateway and ACS together", (heap()-before)/sessions)
}
