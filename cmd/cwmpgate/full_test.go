package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
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

	write("") // no store: nothing is ever trimmed
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

	write("store: {sqlite: {file: audit.db}}\n")
	r = startFile(t, file)
	await(t, "the journal takes records again", func() bool {
		status, _ := newCPE(t, r, true).post(informOf("AGAIN"))
		return status == 200
	})
}
