package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/cwmpgate/cwmpgate/audit"
	"github.com/cwmpgate/cwmpgate/cwmp/cwmptest"
)

// secretTexts are what the sample devices and their ACS keep from everybody.
var secretTexts = []string{
	"wifi-key-of-the-sample", "request-password-of-the-sample", "file-user-of-the-sample", "file-password-of-the-sample",
	"token-of-the-sample", "pw-of-00005E-", "config-secret-of-the-sample",
}

// sample has three devices do all that the audit commands show, in a gateway
// that logs at the level debug, and ends it.
func sample(t *testing.T) *rig {
	t.Helper()
	set := func(name, value string) cwmptest.Parameter {
		return cwmptest.Parameter{Name: testRoot + name, Value: value, Type: "string"}
	}
	first := []cwmptest.Task{
		cwmptest.GetParameterValues(testRoot+"DeviceInfo.", testRoot+"ManagementServer."),
		cwmptest.SetParameterValues(set("Time.NTPServer1", "ntp1.example.com"),
			set("ManagementServer.ConnectionRequestPassword", "request-password-of-the-sample"),
			set("LANDevice.1.WLANConfiguration.1.KeyPassphrase", "wifi-key-of-the-sample"),
			set("LANDevice.1.WLANConfiguration.1.SSID", "Café & <Flur>")),
		cwmptest.SetParameterValues(set("DeviceInfo.SoftwareVersion", "9.9")), // not writable
		{Method: "Download", Key: "fw-1", FileType: "1 Firmware Upgrade Image", URL: "/fw.bin?token=token-of-the-sample",
			Username: "file-user-of-the-sample", Password: "file-password-of-the-sample"},
		{Method: "X_00005E_Provision", Inner: "<SharedSecret>config-secret-of-the-sample</SharedSecret><Step>2</Step>"},
	}
	second := []cwmptest.Task{cwmptest.SetParameterValues(set("Time.NTPServer1", "ntp2.example.com")), cwmptest.Reboot("again")}
	sessions := map[string]int{}
	listen, _ := ports(t)
	acs := openACS(t, cwmptest.ACSConfig{
		Auth: cwmptest.AuthDigest, Character: cwmptest.ConnectionBound, FileBase: "https://" + listen,
		Files:    map[string][]byte{"/fw.bin": bytes.Repeat([]byte("firmware"), 1000)},
		FileUser: "file-user-of-the-sample", FilePassword: "file-password-of-the-sample",
		Script: func(i cwmptest.Informed) []cwmptest.Task { // one session at a time
			sessions[i.Identity.Serial]++
			switch sessions[i.Identity.Serial] {
			case 1:
				return first
			case 2:
				return second
			}
			return nil
		},
	})
	r := start(t, plan{acs: acs.Addr(), tls: true, listen: listen})
	for i := range 3 {
		cfg := device("https://"+r.addr+"/acs", fmt.Sprintf("SAMPLE-%d", i))
		cfg.TLS = trust(t, r.dir)
		d, err := cwmptest.NewDevice(cfg)
		if err != nil {
			t.Fatal(err)
		}
		for range 3 - i {
			if _, err := d.Session(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		d.Close()
	}
	raw(t, r.addr, "not TLS at all, with config-secret-of-the-sample\r\n\r\n", 1)
	r.close()
	return r
}

// TestAuditCommands asks everything of one store.
func TestAuditCommands(t *testing.T) {
	r := sample(t)
	a := openArchive(t, r.dir)
	t.Run("secrets", func(t *testing.T) { checkNoSecret(t, r, checkViews(t, r.file, a), secretTexts) })
	t.Run("filters", func(t *testing.T) { checkFilters(t, r.file, a) })
	t.Run("json", func(t *testing.T) { checkJSON(t, r.file) })
	t.Run("tables", func(t *testing.T) { checkTables(t, r.file, a) })
	t.Run("changes", func(t *testing.T) { checkOldAndNew(t, r.file) })
	t.Run("rebuild", func(t *testing.T) { checkRebuild(t, r.file) })
}

// checkFilters: each filter gives exactly the rows of the whole that it names.
func checkFilters(t *testing.T, file string, a *archive) {
	middle := a.records()[len(a.records())/2].At
	is := func(column, value string) func(row) bool {
		return func(r row) bool { return r.text(column) == value }
	}
	mark, err := time.Parse(time.RFC3339Nano, middle)
	if err != nil {
		t.Fatal(err)
	}
	session := a.rows(audit.Filter{View: audit.ViewSessions})[1].text("session")
	since := func(r row) bool { at, ok := r["at"].(time.Time); return ok && !at.Before(mark) }
	until := func(r row) bool { at, ok := r["at"].(time.Time); return ok && at.Before(mark) }
	name := func(re string) func(row) bool {
		return func(r row) bool { return regexp.MustCompile(re).MatchString(r.text("parameter")) }
	}
	for _, x := range []struct {
		command string
		flags   []string
		holds   func(row) bool
	}{
		{"tail", []string{"--device", "SAMPLE-1"}, is("serial", "SAMPLE-1")},
		{"tail", []string{"--device", "00005E-SAMPLE-2"}, is("serial", "SAMPLE-2")},
		{"tail", []string{"--device", "00005E-HG-SAMPLE-0"}, is("serial", "SAMPLE-0")},
		{"tail", []string{"--device", "SAMPLE"}, func(row) bool { return false }},
		{"tail", []string{"--kind", "session"}, is("kind", "session")},
		{"tail", []string{"--session", session}, is("session", session)},
		{"tail", []string{"--since", middle}, since},
		{"tail", []string{"--until", middle}, until},
		{"tail", []string{"--tenant", "home"}, is("tenant", "home")},
		{"tail", []string{"--tenant", "other"}, func(row) bool { return false }},
		{"tail", []string{"--since", "1h"}, func(row) bool { return true }},
		{"tail", []string{"--until", "1h"}, func(row) bool { return false }},
		{"changes", []string{"--device", "SAMPLE-0"}, is("serial", "SAMPLE-0")},
		{"changes", []string{"--outcome", "refused"}, is("outcome", "refused")},
		{"changes", []string{"--parameter", "**.NTPServer1"}, name(`\.NTPServer1$`)},
		{"changes", []string{"--parameter", "InternetGatewayDevice.*.NTPServer1"}, name(`Time\.NTPServer1$`)},
		{"changes", []string{"--parameter", "InternetGatewayDevice.LANDevice.*.WLANConfiguration.*.SSID"}, name(`SSID$`)},
		{"changes", []string{"--parameter", "InternetGatewayDevice.*"}, func(row) bool { return false }},
		{"changes", []string{"--rpc", "SetParameterValues", "--since", middle}, func(r row) bool { return since(r) && r.text("rpc") == "SetParameterValues" }},
		{"transfers", []string{"--outcome", "completed"}, is("outcome", "completed")},
		{"transfers", []string{"--rpc", "Download"}, is("rpc", "Download")},
		{"sessions", []string{"--outcome", "clean"}, is("how", "clean")},
		{"sessions", []string{"--session", session}, is("session", session)},
		{"rpcs", []string{"--rpc", "Reboot"}, func(r row) bool { return r.text("rpc") == "Reboot" || r.text("to") == "Reboot" }},
		{"rpcs", []string{"--session", session, "--outcome", "refused"}, func(r row) bool { return r.text("session") == session && r.text("outcome") == "refused" }},
	} {
		var want []int64
		for _, r := range a.rows(audit.Filter{View: auditCommands[x.command]}) {
			if x.holds(r) {
				want = append(want, r.number("seq"))
			}
		}
		var got []int64
		args := append([]string{"audit", x.command, "--config", file, "--json", "--limit", "0"}, x.flags...)
		for line := range strings.Lines(mustCLI(t, args...)) {
			var r struct{ Seq int64 }
			if err := json.Unmarshal([]byte(line), &r); err != nil {
				t.Fatal(err)
			}
			got = append(got, r.Seq)
		}
		if !slices.Equal(got, want) {
			t.Errorf("audit %s %q: records %v, want %v", x.command, x.flags, got, want)
		}
	}
	if out := mustCLI(t, "audit", "rpcs", "--config", file, "--json", "--limit", "3"); strings.Count(out, "\n") != 3 {
		t.Errorf("--limit 3: %s", out)
	}
	for _, wrong := range [][]string{
		{"changes", "--outcome", "refuesd"}, {"changes", "--since", "soon"}, {"changes", "--limit", "-1"},
		{"sessions", "--outcome", "accepted"}, {"tail", "--wide"}, {"sessions", "--parameter", "a"}, {"rpcs", "more"},
	} {
		if code, stdout, stderr := cli(append([]string{"audit", wrong[0], "--config", file}, wrong[1:]...)...); code != exitUsage || stdout != "" || stderr == "" {
			t.Errorf("audit %q: exit code %d, %s%s", wrong, code, stdout, stderr)
		}
	}
}

// checkJSON: an object a line with the view's columns in their order.
func checkJSON(t *testing.T, file string) {
	for command, view := range auditCommands {
		if view == audit.ViewRecords {
			continue // the records themselves
		}
		out := mustCLI(t, "audit", command, "--config", file, "--json", "--limit", "0")
		if out == "" {
			t.Errorf("audit %s has nothing", command)
		}
		for line := range strings.Lines(out) {
			d := json.NewDecoder(strings.NewReader(line))
			d.Token()
			at := -1
			for d.More() {
				key, err := d.Token()
				if err != nil {
					t.Fatalf("audit %s: %v: %s", command, err, line)
				}
				var value any
				if err := d.Decode(&value); err != nil {
					t.Fatalf("audit %s: %v: %s", command, err, line)
				}
				next := slices.Index(view.Columns(), key.(string))
				if next <= at {
					t.Errorf("audit %s: column %s is in the wrong place or unknown", command, key)
				}
				at = next
			}
		}
	}
}

// checkTables: tables fit the terminal where it is wide enough to say anything,
// and no text of a device steers it.
func checkTables(t *testing.T, file string, a *archive) {
	for command, view := range auditCommands {
		out := mustCLI(t, "audit", command, "--config", file, "--limit", "0")
		if strings.ContainsAny(out, "\x1b\x07\t\r") || strings.Count(out, "\n") < 2 {
			t.Errorf("audit %s: %q", command, out)
		}
		if view == audit.ViewRecords {
			continue
		}
		for _, width := range []int{80, 100, 120, 160} {
			var b bytes.Buffer
			table := &table{w: &b, columns: tableColumns(view), width: width}
			for r, err := range a.store.Query(context.Background(), audit.Filter{View: view}) {
				if err != nil {
					t.Fatal(err)
				}
				if err := table.row(r); err != nil {
					t.Fatal(err)
				}
			}
			if err := table.end(); err != nil {
				t.Fatal(err)
			}
			least := -2
			for i, c := range table.columns {
				if w := table.widths()[i]; w > 0 {
					least += 2 + min(w, max(c.least, len(c.title)))
				}
			}
			for line := range strings.Lines(b.String()) {
				if n := utf8.RuneCountInString(strings.TrimSuffix(line, "\n")); n > max(width, least) {
					t.Errorf("audit %s: %d columns on a terminal of %d: %s", command, n, width, line)
				}
			}
		}
	}
	if out := mustCLI(t, "audit", "changes", "--config", file, "--device", "nobody"); out != "nothing matches\n" {
		t.Errorf("nothing: %q", out)
	}
}

// checkOldAndNew: a change tells the value before, and a secret neither.
func checkOldAndNew(t *testing.T, file string) {
	out := mustCLI(t, "audit", "changes", "--config", file, "--device", "SAMPLE-0", "--parameter", "**.NTPServer1")
	if !regexp.MustCompile(`00005E-SAMPLE-0 .*Time\.NTPServer1 .*ntp1\.example\.com +ntp2\.example\.com +accepted`).MatchString(out) {
		t.Errorf("old and new value:\n%s", out)
	}
	out = mustCLI(t, "audit", "changes", "--config", file, "--device", "SAMPLE-0", "--parameter", "**.KeyPassphrase")
	if !strings.Contains(out, "(secret ") {
		t.Errorf("a secret:\n%s", out)
	}
	out = mustCLI(t, "audit", "changes", "--config", file, "--device", "SAMPLE-0", "--outcome", "refused")
	if !strings.Contains(out, "SoftwareVersion") || !regexp.MustCompile(`refused 90\d\d`).MatchString(out) {
		t.Errorf("a refused change:\n%s", out)
	}
	out = mustCLI(t, "audit", "transfers", "--config", file, "--device", "SAMPLE-0")
	if !regexp.MustCompile(`Download +fw-1 .*/fw\.bin\?token=\*\*\* .*7\.8 KiB .*completed`).MatchString(out) {
		t.Errorf("a download:\n%s", out)
	}
}

// checkRebuild: the tables made anew say the same.
func checkRebuild(t *testing.T, file string) {
	said := func() (all string) {
		for _, command := range []string{"changes", "transfers", "sessions", "rpcs", "tail"} {
			all += mustCLI(t, "audit", command, "--config", file, "--json", "--limit", "0")
		}
		return all
	}
	before := said()
	if out := mustCLI(t, "audit", "rebuild", "--config", file); !strings.Contains(out, "rebuilt") {
		t.Errorf("rebuild: %s", out)
	}
	if after := said(); after != before {
		t.Errorf("the rebuilt tables differ: %d bytes and %d", len(before), len(after))
	}
}

// TestFollow: tail --follow prints what is there and what comes, until its
// context ends.
func TestFollow(t *testing.T) {
	acs := openACS(t, cwmptest.ACSConfig{Script: chores})
	r := start(t, plan{acs: acs.Addr(), level: "warn"})
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	var out, errs logbook
	code := make(chan int, 1)
	go func() {
		code <- execute(ctx, []string{"audit", "tail", "--config", r.file, "--follow", "--json"}, &out, &errs)
	}()
	for _, serial := range []string{"FOLLOW-1", "FOLLOW-2"} {
		if err := soon(t, "a session", inSession(t, r.url(), serial)); err != nil {
			t.Fatal(err)
		}
		await(t, "the end of the session of "+serial+" is printed", func() bool {
			return regexp.MustCompile(`"kind":"session".*"serial":"` + serial + `"`).MatchString(out.String())
		})
	}
	cancel()
	if got := soon(t, "the end of tail", code); got != 0 || errs.String() != "" {
		t.Errorf("exit code %d, %s", got, &errs)
	}
	seq := 0
	for line := range strings.Lines(out.String()) {
		var rec record
		if err := json.Unmarshal([]byte(line), &rec); err != nil || int(rec.Seq) != seq+1 {
			t.Errorf("record behind %d: %v %s", seq, err, line)
		}
		seq = int(rec.Seq)
	}
}

// TestCheck: all mistakes at once, each at its place, with what was meant.
func TestCheck(t *testing.T) {
	file := plan{acs: "192.0.2.1:7550"}.write(t)
	if out := mustCLI(t, "check", "--config", file); !strings.Contains(out, "1 listener, 1 tenant") {
		t.Errorf("a right config: %s", out)
	}
	if entries, _ := os.ReadDir(filepath.Dir(file)); len(entries) != 1 {
		t.Errorf("check has changed something: %v", entries)
	}
	wrong := filepath.Join(t.TempDir(), "wrong.yaml")
	text := `listeners:
  - adress: ":7547"
  - address: "nowhere"
tenants:
  - name: a
    upstreams: [{url: "ftp://192.0.2.1/"}]
    redaction: {key: "file:k"}
journal: {directory: j, max_size: 1MiB, on_failure: shrug}
store: {sqlite: {file: a.db}}
timeouts: {answer: soon}
limts: {}
`
	if err := os.WriteFile(wrong, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	code, stdout, stderr := cli("check", "--config", wrong)
	if code != exitUsage || stdout != "" {
		t.Errorf("exit code %d, %s", code, stdout)
	}
	for _, want := range []string{
		`:2:5: .*adress.*address`, `:3:14: .*nowhere`, `:6:23: .*http://`, `:8:\d+: .*max_size.*16`, `:8:\d+: .*shrug.*refuse`, `:10:20: .*soon`, `:11:1: .*limts.*limits`,
	} {
		if !regexp.MustCompile(`(?m)^` + regexp.QuoteMeta(wrong) + want).MatchString(stderr) {
			t.Errorf("no mistake like %s in\n%s", want, stderr)
		}
	}
	if !regexp.MustCompile(`error: \d+ mistakes\n$`).MatchString(stderr) {
		t.Errorf("no count at the end:\n%s", stderr)
	}
	// What only sections as a whole can tell.
	whole := plan{acs: "192.0.2.1:7550", tenant: "    match: {listener: cpee}\n    files: {paths: [up]}\n",
		sections: "node: b\n", admin: "192.0.2.1:9547"}.write(t)
	if _, _, stderr := cli("check", "--config", whole); !strings.Contains(stderr, "node") {
		t.Errorf("a key that is there twice:\n%s", stderr)
	}
	whole = plan{acs: "192.0.2.1:7550", tenant: "    match: {listener: cpee}\n", admin: "192.0.2.1:9547"}.write(t)
	if _, _, stderr := cli("check", "--config", whole); !strings.Contains(stderr, `no listener is called "cpee"`) || !strings.Contains(stderr, "192.0.2.1:9547 is not a loopback address") {
		t.Errorf("mistakes of the whole:\n%s", stderr)
	}
}

// TestCommandLine: what is called wrongly says what was meant and exits with 2.
func TestCommandLine(t *testing.T) {
	for _, x := range []struct {
		args []string
		want string
	}{
		{[]string{"audit", "changes", "--devcie", "x"}, "did you mean --device?"},
		{[]string{"audit", "changes", "--zzzzzzzzzz"}, "unknown flag"},
		{[]string{"audit", "changes"}, `required flag(s) "config" not set`},
		{[]string{"run"}, `required flag(s) "config" not set`},
		{[]string{"chekc", "--config", "x"}, `unknown command "chekc"`},
		{[]string{"version", "more"}, "unknown command"},
		{[]string{"demo", "--devices", "0"}, "--devices 0"},
		{[]string{"demo", "--for", "long"}, "--for"},
	} {
		code, stdout, stderr := cli(x.args...)
		if code != exitUsage || stdout != "" || !strings.Contains(stderr, x.want) {
			t.Errorf("%q: exit code %d, %s%s", x.args, code, stdout, stderr)
		}
	}
	if out := mustCLI(t, "version"); !regexp.MustCompile(`^cwmpgate \S+ \(go1\.\d+\S*, \w+/\w+\)\n$`).MatchString(out) {
		t.Errorf("version: %q", out)
	}
	for _, shell := range []string{"bash", "zsh", "fish", "powershell"} {
		if out := mustCLI(t, "completion", shell); !strings.Contains(out, "cwmpgate") {
			t.Errorf("completion %s: %.80q", shell, out)
		}
	}
	if out := mustCLI(t, "__complete", "audit", "changes", "--outcome", ""); !strings.Contains(out, audit.OutcomeNotApplied+"\n") {
		t.Errorf("completion of outcomes: %s", out)
	}
	if out := mustCLI(t, "__complete", "audit", ""); !strings.Contains(out, "transfers\t") {
		t.Errorf("completion of commands: %s", out)
	}
	for _, args := range [][]string{{"--help"}, {"audit", "--help"}, {"run", "--help"}, {"audit", "changes", "--help"}} {
		if out := mustCLI(t, args...); !strings.Contains(out, "Usage:") {
			t.Errorf("%q: %s", args, out)
		}
	}
	absent := plan{acs: "192.0.2.1:7550"}.write(t)
	if code, _, stderr := cli("audit", "changes", "--config", absent); code != exitFailed || !strings.Contains(stderr, "hint: ") {
		t.Errorf("no store yet: exit code %d, %s", code, stderr)
	}
}

func TestReadTime(t *testing.T) {
	now := time.Date(2026, 11, 24, 15, 30, 0, 0, time.Local)
	for text, want := range map[string]time.Time{
		"":                            {},
		"90m":                         now.Add(-90 * time.Minute),
		"24h":                         now.Add(-24 * time.Hour),
		"7d":                          now.AddDate(0, 0, -7),
		"1d12h":                       now.AddDate(0, 0, -1).Add(-12 * time.Hour),
		"0s":                          now,
		"2026-11-24":                  time.Date(2026, 11, 24, 0, 0, 0, 0, time.Local),
		"2026-11-24T23:59":            time.Date(2026, 11, 24, 23, 59, 0, 0, time.Local),
		"2026-11-24 23:59:58":         time.Date(2026, 11, 24, 23, 59, 58, 0, time.Local),
		"2026-11-24T23:59:58.5Z":      time.Date(2026, 11, 24, 23, 59, 58, 5e8, time.UTC),
		"2026-11-24T23:59:58+09:00":   time.Date(2026, 11, 24, 14, 59, 58, 0, time.UTC),
		"2026-11-24T23:59:59.123456Z": time.Date(2026, 11, 24, 23, 59, 59, 123456000, time.UTC),
	} {
		if got, err := readTime("--since", text, now); err != nil || !got.Equal(want) {
			t.Errorf("%q: %v, %v, not %v", text, got, err, want)
		}
	}
	for _, text := range []string{"soon", "-5m", "7", "d", "1x", "2026-13-01", "24.11.2026", "-1d", "1d-2h", "7dd"} {
		if got, err := readTime("--since", text, now); err == nil || !strings.Contains(err.Error(), "--since") {
			t.Errorf("%q is read as %v, %v", text, got, err)
		}
	}
}
