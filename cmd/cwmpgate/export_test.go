package main

import (
	"bytes"
	"context"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cwmpgate/cwmpgate/audit"
	"github.com/cwmpgate/cwmpgate/audit/sqlite"
	"github.com/cwmpgate/cwmpgate/audit/storetest"
)

// stored is a config whose store holds a log, and no gateway.
func stored(t *testing.T, logs ...*storetest.Log) (file string) {
	t.Helper()
	file = plan{acs: "192.0.2.1:7550"}.write(t)
	s := sqlite.New(sqlite.Config{File: filepath.Join(filepath.Dir(file), "audit.db")})
	if err := s.Open(t.Context()); err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	for _, l := range logs {
		if err := s.Write(t.Context(), l.All()); err != nil {
			t.Fatal(err)
		}
	}
	return file
}

// TestExport: every row of every view, as --json gives it and as CSV that a
// reader of another make reads back.
func TestExport(t *testing.T) {
	l := storetest.Sample(5)
	s := l.Session(audit.Device{Manufacturer: "Example", OUI: "00005E", Class: "HG", Serial: "ODD"}, "odd")
	s.Inform([]string{"2 PERIODIC"})
	const odd = "=cmd|' /c calc'!A1,\"quoted\"\r\nsecond\nthird"
	s.Set("job", storetest.Param("Device.X", odd, "string"), storetest.Param("Device.Y", "", "string"))
	s.Accept(`"Status":"0"`)
	file := stored(t, l)
	commands := map[audit.View]string{}
	for command, view := range auditCommands {
		commands[view] = command
	}
	for _, view := range audit.Views() {
		lines := mustCLI(t, "audit", commands[view], "--config", file, "--json", "--limit", "0")
		if got := mustCLI(t, "audit", "export", "--config", file, "--view", string(view)); got != lines || got == "" {
			t.Errorf("--view %s: %d bytes of JSON lines, --json gives %d", view, len(got), len(lines))
		}
		text := mustCLI(t, "audit", "export", "--config", file, "--view", string(view), "--format", "csv")
		if plain := strings.ReplaceAll(text, strings.ReplaceAll(odd, `"`, `""`), ""); strings.Count(plain, "\n") != strings.Count(plain, "\r\n") {
			t.Errorf("--view %s: a line of CSV does not end with CR LF", view)
		}
		rows, err := csv.NewReader(strings.NewReader(text)).ReadAll()
		if err != nil {
			t.Fatalf("--view %s: %v", view, err)
		}
		if !slices.Equal(rows[0], view.Columns()) {
			t.Errorf("--view %s: header %q", view, rows[0])
		}
		if n := strings.Count(lines, "\n") + 1; len(rows) != n {
			t.Errorf("--view %s: %d lines of CSV, want %d", view, len(rows), n)
		}
	}
	changes := []string{"audit", "export", "--config", file, "--view", "changes", "--device", "ODD", "--format", "csv"}
	if text := mustCLI(t, changes...); !strings.Contains(text, `,"=cmd|' /c calc'!A1,""quoted""`+"\r\nsecond\nthird\",") {
		t.Errorf("a value in CSV is not what the record has:\n%q", text)
	}
	if text := mustCLI(t, append(changes, "--spreadsheet")...); !strings.Contains(text, `,"'=cmd|`) {
		t.Errorf("a formula was let through:\n%q", text)
	}
	if text := mustCLI(t, "audit", "export", "--config", file, "--view", "sessions", "--limit", "2"); strings.Count(text, "\n") != 2 {
		t.Errorf("--limit 2:\n%s", text)
	}
}

// TestExportFile: the file is there when it is whole, and only then.
func TestExportFile(t *testing.T) {
	file := stored(t, storetest.Sample(3))
	dir := t.TempDir()
	out := filepath.Join(dir, "rpcs.jsonl")
	mustCLI(t, "audit", "export", "--config", file, "--view", "rpcs", "-o", out)
	got, err := os.ReadFile(out)
	if want := mustCLI(t, "audit", "export", "--config", file, "--view", "rpcs"); err != nil || string(got) != want {
		t.Errorf("%v, %d bytes, want %d", err, len(got), len(want))
	}
	if info, err := os.Stat(out); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v %v", info, err)
	}
	broken := errors.New("broken off")
	for _, write := range []func(io.Writer) error{
		func(w io.Writer) error { io.WriteString(w, "half"); return broken },
		func(w io.Writer) error { return errors.Join(broken, context.Canceled) },
	} {
		if err := writeWhole(out, write); !errors.Is(err, broken) {
			t.Errorf("%v", err)
		}
	}
	if now, err := os.ReadFile(out); err != nil || !bytes.Equal(now, got) {
		t.Errorf("an export that was broken off has changed the file: %v", err)
	}
	if entries, _ := os.ReadDir(dir); len(entries) != 1 {
		t.Errorf("left behind: %v", entries)
	}
	parquet := filepath.Join(dir, "rpcs.parquet")
	code, _, stderr := cli("audit", "export", "--config", file, "--view", "rpcs", "--format", "parquet", "-o", parquet)
	if code != exitFailed || !strings.Contains(stderr, "ClickHouse") || !strings.Contains(stderr, "--format jsonl or csv") {
		t.Errorf("Parquet: exit code %d, %s", code, stderr)
	}
	if _, err := os.Stat(parquet); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("Parquet that could not be made is there: %v", err)
	}
}

// parquetStore makes Parquet, as it says.
type parquetStore struct{ audit.Reader }

func (parquetStore) ExportParquet(_ context.Context, f audit.Filter, w io.Writer) error {
	_, err := fmt.Fprintf(w, "PAR1 %s %s", f.View, f.Device)
	return err
}

// TestExportParquet: a store that makes it is asked for it.
func TestExportParquet(t *testing.T) {
	e := &export{format: formatParquet, view: "rpcs"}
	e.filter = audit.Filter{View: audit.ViewRPCs, Device: "T1"}
	var b bytes.Buffer
	if err := e.write(t.Context(), parquetStore{}, &b); err != nil || b.String() != "PAR1 rpcs T1" {
		t.Errorf("%v %s", err, &b)
	}
}

// twins is a log in which two tenants have a device of the same name, and a
// refusal knows no more of one than its OUI and serial.
func twins() *storetest.Log {
	l := storetest.NewLog("twins")
	for _, x := range []struct{ tenant, class, value string }{{"isp", "HG", "of-isp"}, {"other", "HG", "of-other"}, {"isp", "HG2", "of-class-2"}} {
		s := l.Session(audit.Device{Manufacturer: "Example", OUI: "00005E", Class: x.class, Serial: "T1"}, "s-"+x.value)
		s.Tenant = x.tenant
		s.Inform([]string{"2 PERIODIC"}, storetest.Param("Device.Value", x.value, "string"))
		s.Set("job", storetest.Param("Device.Value", x.value+"-set", "string"))
		s.Accept(`"Status":"0"`)
		s.Read(storetest.Param("Device.Value", x.value+"-moved", "string"))
		s.End("clean", nil, nil)
	}
	return l
}

// TestExportSubject: all that is known of one device, and nothing of another.
func TestExportSubject(t *testing.T) {
	file := stored(t, twins())
	export := []string{"audit", "export", "--config", file, "--device"}
	code, stdout, stderr := cli(append(export, "T1")...)
	if code != exitUsage || stdout != "" {
		t.Errorf("exit code %d, %s", code, stdout)
	}
	for _, want := range []string{"00005E-HG-T1 of tenant isp", "00005E-HG-T1 of tenant other", "00005E-HG2-T1 of tenant isp", "--tenant"} {
		if !strings.Contains(stderr, want) {
			t.Errorf("no %s in %s", want, stderr)
		}
	}
	out := mustCLI(t, append(export, "00005e-HG-T1", "--tenant", "isp")...)
	if strings.Contains(out, "of-other") || strings.Contains(out, "of-class-2") {
		t.Errorf("rows of another device:\n%s", out)
	}
	views := map[string]int{}
	for line := range strings.Lines(out) {
		var r struct {
			View   string
			Record *struct{ Seq uint64 }
			Seq    uint64
		}
		if err := json.Unmarshal([]byte(line), &r); err != nil {
			t.Fatalf("%v: %s", err, line)
		}
		if (r.Record != nil) != (r.View == "records") || r.Record == nil && r.Seq == 0 {
			t.Errorf("%s", line)
		}
		views[r.View]++
	}
	if want := map[string]int{"records": 7, "changes": 2, "sessions": 1, "rpcs": 6}; fmt.Sprint(views) != fmt.Sprint(want) {
		t.Errorf("views %v, want %v", views, want)
	}
	if code, _, stderr := cli(append(export, "nobody")...); code != exitFailed || !strings.Contains(stderr, `"nobody"`) {
		t.Errorf("nobody: exit code %d, %s", code, stderr)
	}
}

// TestWrongExports: what cannot be meant is refused before the store is opened.
func TestWrongExports(t *testing.T) {
	for _, x := range []struct {
		flags []string
		want  string
	}{
		{nil, "name a --view"},
		{[]string{"--view", "tail"}, `"tail" is none of`},
		{[]string{"--view", "rpcs", "--format", "xml"}, "none of jsonl, csv, parquet"},
		{[]string{"--device", "a", "--format", "csv"}, "name a --view"},
		{[]string{"--device", "a", "--rpc", "Reboot"}, "--rpc narrows one view"},
		{[]string{"--view", "sessions", "--rpc", "Reboot"}, "--rpc is not for --view sessions"},
		{[]string{"--view", "rpcs", "--kind", "message"}, "--kind is not for --view rpcs"},
		{[]string{"--view", "rpcs", "--spreadsheet"}, "--spreadsheet is for --format csv"},
		{[]string{"--view", "rpcs", "--outcome", "fine"}, "--outcome"},
		{[]string{"--view", "rpcs", "--limit", "-1"}, "--limit"},
	} {
		code, stdout, stderr := cli(append([]string{"audit", "export", "--config", "absent.yaml"}, x.flags...)...)
		if code != exitUsage || stdout != "" || !strings.Contains(stderr, x.want) {
			t.Errorf("%q: exit code %d, %s%s", x.flags, code, stdout, stderr)
		}
	}
}

// portraitJSON is what audit device --json prints, as far as the tests look.
type portraitJSON struct {
	Tenant, Manufacturer, OUI, Class, Serial, Identity string
	At                                                 *string
	FirstSeen                                          time.Time `json:"first_seen"`
	LastSeen                                           time.Time `json:"last_seen"`
	Records, Unread                                    int
	Addresses                                          []struct {
		Address  string
		Sessions int
	}
	Parameters []struct {
		Parameter string
		Value     *string
		By        string
		ACS       string
		At        time.Time
	}
	Unasked []struct {
		Parameter string
		Old, New  *string
		Action    string
	} `json:"changed_without_rpc"`
	Transfers []struct {
		CommandKey string `json:"command_key"`
		Outcome    string
		Bytes      *int64
		Completed  *int64
	}
	Sessions []struct{ Session, How string }
}

func askDevice(t *testing.T, args ...string) (p portraitJSON) {
	t.Helper()
	out := mustCLI(t, append([]string{"audit", "device", "--json", "--config"}, args...)...)
	if err := json.Unmarshal([]byte(out), &p); err != nil || strings.Count(out, "\n") != 1 {
		t.Fatalf("%v: %s", err, out)
	}
	return p
}

// TestDevice: a device as it is known, and as it was known at each moment of a
// transfer.
func TestDevice(t *testing.T) {
	l := twins()
	s := l.Session(audit.Device{Manufacturer: "Example", OUI: "00005E", Class: "HG", Serial: "T2"}, "s-t2")
	s.Inform([]string{"1 BOOT"}, storetest.Param("Device.Value", "first\x1b[31m", "string"))
	asked := s.Download("fw", "http://files.example.com/fw.bin")
	answered := s.Started()
	moved := s.Bytes("GET", "http://files.example.com/fw.bin", 200, 1000, "ab")
	s.End("clean", nil, nil)
	s = l.Session(audit.Device{Manufacturer: "Example", OUI: "00005E", Class: "HG", Serial: "T2"}, "s-t2b")
	s.Inform([]string{"7 TRANSFER COMPLETE"}, storetest.Param("Device.Value", "second", "string"))
	completed := s.Complete("fw", "0", "2026-11-24T20:00:00Z", "2026-11-24T20:01:00Z")
	s.Confirm()
	s.End("clean", nil, nil)
	file := stored(t, l)

	at := func(seq uint64) string { return l.At(seq).Format(time.RFC3339Nano) }
	for _, x := range []struct {
		at                 string
		outcome            string
		bytes, completed   bool
		value              string
		unasked, sessions_ int
	}{
		{"", "completed", true, true, "second", 1, 2},
		{at(completed), "completed", true, true, "second", 1, 1},
		{at(completed - 1), "started", false, false, "second", 1, 1},
		{at(moved), "started", false, false, "first\x1b[31m", 0, 0},
		{at(answered), "started", false, false, "first\x1b[31m", 0, 0},
		{at(asked), "unanswered", false, false, "first\x1b[31m", 0, 0},
	} {
		args := []string{file, "T2"}
		if x.at != "" {
			args = append(args, "--at", x.at)
		}
		p := askDevice(t, args...)
		if p.Serial != "T2" || p.Manufacturer != "Example" || p.Tenant != "isp" || p.Identity != "http" || (p.At != nil) != (x.at != "") {
			t.Errorf("at %q: %+v", x.at, p)
		}
		if len(p.Transfers) != 1 || len(p.Parameters) != 1 || len(p.Addresses) != 1 {
			t.Fatalf("at %q: %+v", x.at, p)
		}
		d := p.Transfers[0]
		if d.Outcome != x.outcome || (d.Bytes != nil) != x.bytes || (d.Completed != nil) != x.completed {
			t.Errorf("at %q: transfer %+v", x.at, d)
		}
		if v := p.Parameters[0].Value; v == nil || *v != x.value || len(p.Unasked) != x.unasked || len(p.Sessions) != x.sessions_ {
			t.Errorf("at %q: %+v", x.at, p)
		}
	}
	if code, _, stderr := cli("audit", "device", "T2", "--config", file, "--at", "2026-11-24T00:00:00Z"); code != exitFailed || !strings.Contains(stderr, "as old as") {
		t.Errorf("before its first record: exit code %d, %s", code, stderr)
	}
	p := askDevice(t, file, "T1", "--tenant", "other")
	if len(p.Unasked) != 1 || *p.Unasked[0].Old != "of-other-set" || *p.Unasked[0].New != "of-other-moved" || p.Unasked[0].Action != "read" {
		t.Errorf("%+v", p)
	}
	if code, _, stderr := cli("audit", "device", "T1", "--config", file); code != exitUsage || strings.Count(stderr, "T1 of tenant") != 3 {
		t.Errorf("three of a name: exit code %d, %s", code, stderr)
	}
	if code, _, stderr := cli("audit", "device", "--config", file); code != exitUsage || !strings.Contains(stderr, "name one device") {
		t.Errorf("none: exit code %d, %s", code, stderr)
	}
	out := mustCLI(t, "audit", "device", "T2", "--config", file)
	for _, want := range []string{"DEVICE        00005E-HG-T2\n", "IDENTITY      http\n", "Addresses\n", "192.0.2.7", "Last known parameters\n",
		"Changed without an RPC that set it\n", "first·[31m", "Transfers\n", "Latest sessions\n", "completed"} {
		if !strings.Contains(out, want) {
			t.Errorf("no %q in\n%s", want, out)
		}
	}
	if strings.Contains(out, "\x1b") {
		t.Error("a device's text steers the terminal")
	}
}
