package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/cwmpgate/cwmpgate/audit"
	"github.com/cwmpgate/cwmpgate/cwmp/cwmptest"
)

// A gateway whose journal is full starts all the same: only by that is the store
// fed, and the journal emptied.
func TestStartsWithAFullJournal(t *testing.T) {
	acs := plainACS(t, nil)
	const config = `listeners: [{address: "127.0.0.1:0"}]
tenants: [{name: a, upstreams: [{url: "http://%s/"}], redaction: {key: "file:redaction.key"}}]
journal: {directory: journal, max_size: 16MiB, segment_size: 1MiB, keep_after_ack: 0s}
admin: {metrics: "127.0.0.1:0"}
timeouts: {drain: 1s}
%s`
	dir := t.TempDir()
	file := filepath.Join(dir, "cwmpgate.yaml")
	write := func(store string) {
		if err := os.WriteFile(file, fmt.Appendf(nil, config, acs, store), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	// About 1 MiB of values, each short enough to be recorded whole.
	var list strings.Builder
	for i := range 32 {
		fmt.Fprintf(&list, `<ParameterValueStruct><Name>Device.X_00005E_Note.%d.Text</Name><Value>%s</Value></ParameterValueStruct>`, i, strings.Repeat("n", 32<<10))
	}
	large := strings.Replace(informOf("FULL"), "<ParameterList>", "<ParameterList>"+list.String(), 1)

	write("proof: {enabled: false}\n") // nobody reads it: nothing is ever trimmed
	r := startFile(t, file)
	full := false
	for range 40 {
		if status, _ := newCPE(t, r, true).post(large); status == 503 {
			full = true
			break
		}
	}
	if !full {
		t.Fatal("the journal was never full")
	}
	r.close()

	write("store: {sqlite: {file: audit.db}}\nproof: {enabled: false}\n")
	r = startFile(t, file)
	await(t, "the journal takes records again", func() bool {
		status, _ := newCPE(t, r, true).post(informOf("AGAIN"))
		return status == 200
	})
}

// TestGivesWayToMaxSize: what the store has goes before keep_after_ack is over,
// and that is counted and recorded; nothing is refused for it, and nothing lost.
func TestGivesWayToMaxSize(t *testing.T) {
	acs := openACS(t, cwmptest.ACSConfig{Script: chores})
	file := plan{acs: acs.Addr(), level: "info"}.write(t)
	text, err := os.ReadFile(file)
	if err == nil {
		err = os.WriteFile(file, bytes.Replace(text, []byte("max_size: 1GiB"), []byte("max_size: 16MiB"), 1), 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
	r := startFile(t, file)
	gone := func() float64 { return r.metrics()["cwmpgate_journal_gave_way_records_total"] }
	informs := 0
	for gone() == 0 {
		if informs++; informs > 60 {
			t.Fatal("nothing ever gives way")
		}
		if got := raw(t, r.addr, largeInform(fmt.Sprint("ROOM", informs)), 1); len(got) != 1 || got[0].status != 200 {
			t.Fatalf("Inform %d: %+v", informs, got)
		}
		await(t, "the store has it", func() bool { return r.metrics()[`cwmpgate_audit_sink_lag_records{sink="sqlite"}`] == 0 })
	}
	r.close()
	all := openArchive(t, r.dir).records()
	checkLedger(t, all)
	recorded, seen := 0, 0
	var next uint64 = 1
	for _, x := range all {
		switch {
		case x.What == audit.SystemTrim:
			var first, last uint64
			if _, err := fmt.Sscan(x.Detail["first"], &first); err != nil || first != next || x.Detail["log"] != x.Log {
				t.Errorf("%s", x.line)
			}
			if _, err := fmt.Sscan(x.Detail["last"], &last); err != nil || last < first || last >= x.Seq {
				t.Errorf("%s", x.line)
			}
			next = last + 1
			recorded += int(last - first + 1)
		case x.RPC == "Inform":
			seen++
		}
	}
	if counted := int(r.gate.metrics.GetOrCreateCounter("cwmpgate_journal_gave_way_records_total").Get()); recorded != counted || recorded == 0 {
		t.Errorf("%d records are recorded as gone, %d counted", recorded, counted)
	}
	if seen != informs || gaps(t, all) != 0 {
		t.Errorf("%d Informs recorded of %d, %d told as missing", seen, informs, gaps(t, all))
	}
}
