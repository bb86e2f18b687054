package main

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/cwmpgate/cwmpgate/cwmp/cwmptest"
)

// TestTop reads a gateway on which one session is open, one Inform waits and
// three were refused.
func TestTop(t *testing.T) {
	acs := openACS(t, cwmptest.ACSConfig{})
	p := limited(acs, "sessions: {mode: enforce, count: 1}")
	p.dir = t.TempDir()
	p.sections = "admission: {wait: 25s, device: {mode: enforce, count: 1, per: 24h, burst: 1}}\n"
	r := start(t, p)
	if status, _ := dialTalker(t, r.addr).say(inform("D0")); status != 200 {
		t.Fatal(status)
	}
	for range 3 {
		if got := raw(t, r.addr, inform("D0"), 1); len(got) != 1 || got[0].status != 503 {
			t.Fatalf("%v", got)
		}
	}
	waits := dialTalker(t, r.addr)
	io.WriteString(waits.c, inform("D1"))
	await(t, "one waits", func() bool { return informsSum(r, "waiting") == 1 })

	page := mustCLI(t, "top", "--config", r.file, "--once")
	for _, want := range []string{
		`(?m)^cwmpgate test-node .* 1 sessions`,
		`(?m)^home +acs-a +\d\.\d +– +1 +1 `,
		`(?m)^routine +1 +1 +0 +3 +0 +0$`,
		`(?m)^home +acs-a +device-rate +3$`,
		`(?m)^home +00005E-HG-D0 +4$`,
	} {
		if !regexp.MustCompile(want).MatchString(page) {
			t.Errorf("the page has no %s:\n%s", want, page)
		}
	}
	var state stateReport
	if err := json.Unmarshal([]byte(mustCLI(t, "top", "--config", r.file, "--json")), &state); err != nil {
		t.Fatal(err)
	}
	if state.Node != "test-node" || len(state.ACS) != 1 || state.ACS[0].Waiting != 1 || state.ACS[0].Refusals["device-rate"] != 3 {
		t.Errorf("%+v", state)
	}
	socket := filepath.Join(p.dir, "journal.sock")
	if info, err := os.Stat(socket); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%s: %v, %v", socket, info, err)
	}
	checkLive(t, socket, r.file)

	waits.c.Close()
	await(t, "nobody waits", func() bool { return informsSum(r, "waiting") == 0 })
	r.close()
	if code, _, stderr := cli("top", "--config", r.file, "--once"); code != exitFailed || !strings.Contains(stderr, "hint: ") {
		t.Errorf("without a gateway: %d %s", code, stderr)
	}
	if _, err := os.Stat(socket); !os.IsNotExist(err) {
		t.Errorf("the socket is still there: %v", err)
	}
}

// checkLive: the second page has what came since the first.
func checkLive(t *testing.T, socket, file string) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	var pages logbook
	done := make(chan error, 1)
	go func() { done <- (&top{socket: socket, file: file}).live(ctx, &pages, 100*time.Millisecond) }()
	await(t, "two pages", func() bool { return strings.Count(pages.String(), clearScreen) >= 3 })
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
	all := strings.Split(pages.String(), clearScreen)
	if !strings.Contains(all[1], "device-rate") || strings.Contains(all[2], "device-rate") {
		t.Errorf("pages:\n%s\n%s", all[1], all[2])
	}
}

// TestTopPage shows what a gateway would not: hostile names, and no ACS at all.
func TestTopPage(t *testing.T) {
	var s stateReport
	if err := json.Unmarshal([]byte(`{"node":"a\u001b[2J","devices":[{"tenant":"t","serial":"\u001b]0;x"}]}`), &s); err != nil {
		t.Fatal(err)
	}
	var page bytes.Buffer
	if err := writePage(&page, &s, nil); err != nil {
		t.Fatal(err)
	}
	if strings.ContainsRune(page.String(), '\x1b') {
		t.Errorf("%q", page.String())
	}
}
