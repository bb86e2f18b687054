package main

import (
	"context"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cwmpgate/cwmpgate/audit"
	"github.com/cwmpgate/cwmpgate/audit/retention"
	"github.com/cwmpgate/cwmpgate/audit/sqlite"
	"github.com/cwmpgate/cwmpgate/audit/storetest"
	"github.com/cwmpgate/cwmpgate/cwmp/cwmptest"
)

// storeHas says whether a text stands in the store's files as they lie there.
func storeHas(t *testing.T, dir, text string) bool {
	t.Helper()
	return slices.ContainsFunc(filesWith(t, dir, []byte(text)), func(name string) bool { return strings.HasPrefix(filepath.Base(name), "audit.db") })
}

// TestErase: by the gateway while it runs, by the command while it does not, and
// for good: neither a restart, nor a rebuild, nor a store that is filled again
// brings it back.
func TestErase(t *testing.T) {
	acs := openACS(t, cwmptest.ACSConfig{Script: chores})
	p := plan{acs: acs.Addr(), dir: t.TempDir(), level: "info"}
	r := start(t, p)
	for _, serial := range []string{"GONE-1", "GONE-2", "STAYS-1"} {
		if err := soon(t, "a session", inSession(t, r.url(), serial)); err != nil {
			t.Fatal(err)
		}
	}
	await(t, "the store has the sessions", func() bool {
		return len(openArchive(t, r.dir).rows(audit.Filter{View: audit.ViewSessions})) == 3
	})
	erase := func(serial string, more ...string) (code int, stdout, stderr string) {
		return cli(append([]string{"audit", "erase", "--config", r.file, "--device", serial, "--reason", "asked to, case 7"}, more...)...)
	}
	if code, stdout, stderr := erase("GONE-1"); code != 0 || !strings.Contains(stdout, "would be erased") || !storeHas(t, r.dir, "GONE-1") {
		t.Errorf("without --yes: exit code %d, %s%s", code, stdout, stderr)
	}
	code, stdout, stderr := erase("GONE-1", "--yes")
	if code != 0 || !strings.Contains(stderr, "the gateway runs") {
		t.Fatalf("exit code %d, %s%s", code, stdout, stderr)
	}
	for _, want := range []string{"of 00005E-HG-GONE-1 of tenant home erased", "says so", "leaf hashes", "journal.keep_after_ack (24h)"} {
		if !strings.Contains(stdout, want) {
			t.Errorf("no %q in %s", want, stdout)
		}
	}
	check := func(when string, gone ...string) {
		t.Helper()
		for _, serial := range gone {
			if storeHas(t, r.dir, serial) {
				t.Errorf("%s: %s is in the store", when, serial)
			}
		}
		if !storeHas(t, r.dir, "STAYS-1") {
			t.Errorf("%s: STAYS-1 is not in the store", when)
		}
	}
	check("by the gateway", "GONE-1")
	if len(filesWith(t, filepath.Join(r.dir, "journal", "requests"), []byte("GONE"))) > 0 {
		t.Error("the request is still there")
	}
	if code, _, stderr := erase("GONE-1", "--yes"); code != exitFailed || !strings.Contains(stderr, "no record is of a device") {
		t.Errorf("once more: exit code %d, %s", code, stderr)
	}
	r.close()

	code, stdout, stderr = erase("GONE-2", "--yes")
	if code != 0 || strings.Contains(stderr, "the gateway runs") {
		t.Fatalf("exit code %d, %s%s", code, stdout, stderr)
	}
	check("by the command", "GONE-1", "GONE-2")
	if len(filesWith(t, filepath.Join(r.dir, "journal"), []byte("GONE-2"))) == 0 {
		t.Error("the journal has no copy any more: this test shows nothing")
	}
	all := openArchive(t, r.dir).rows(audit.Filter{View: audit.ViewRecords, Kind: audit.KindSystem})
	said := 0
	for _, r := range all {
		if strings.Contains(r.text("record"), `"what":"erasure"`) && strings.Contains(r.text("record"), `"reason":"asked to, case 7"`) {
			said++
		}
	}
	if said != 2 {
		t.Errorf("%d records of erasures", said)
	}
	mustCLI(t, "audit", "rebuild", "--config", r.file)
	check("behind a rebuild", "GONE-1", "GONE-2")

	// As docs/journal.md says that a store is filled again.
	if err := os.Remove(filepath.Join(r.dir, "journal", "cursor-sqlite")); err != nil {
		t.Fatal(err)
	}
	start(t, p).close()
	check("behind the same records once more", "GONE-1", "GONE-2")
	for _, name := range []string{"audit.db", "journal/cursor-sqlite"} {
		if err := os.Remove(filepath.Join(r.dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	again := start(t, p)
	await(t, "a new store is without them", func() bool {
		return storeHas(t, r.dir, "STAYS-1") && !storeHas(t, r.dir, "GONE-1") && !storeHas(t, r.dir, "GONE-2")
	})
	again.close()
	check("a new store", "GONE-1", "GONE-2")
}

// TestHoldCommand: a held device is not erased, until it is released.
func TestHoldCommand(t *testing.T) {
	l := twins()
	file := stored(t, l)
	hold := func(more ...string) (int, string, string) {
		return cli(append([]string{"audit", "hold", "--config", file}, more...)...)
	}
	device := []string{"--device", "00005E-HG-T1", "--tenant", "other"}
	if code, stdout, _ := hold(); code != 0 || stdout != "no device is under a legal hold\n" {
		t.Errorf("exit code %d, %s", code, stdout)
	}
	for _, x := range []struct {
		flags []string
		want  string
	}{
		{[]string{"--reason", "a"}, "name the --device"},
		{device, "give a --reason"},
		{append(slices.Clone(device), "--reason", strings.Repeat("a", 201)), "200 are recorded"},
		{append(slices.Clone(device), "--reason", "a", "--until", "2020-01-01"), "is over"},
		{append(slices.Clone(device), "--reason", "a", "--until", "2120-01-01", "--release"), "not of its --release"},
		{[]string{"--device", "T1", "--reason", "a"}, "3 devices"},
	} {
		if code, stdout, stderr := hold(x.flags...); code != exitUsage || stdout != "" || !strings.Contains(stderr, x.want) {
			t.Errorf("%q: exit code %d, %s%s", x.flags, code, stdout, stderr)
		}
	}
	if code, stdout, stderr := hold(append(slices.Clone(device), "--reason", "case 8")...); code != 0 || !strings.Contains(stdout, "00005E-HG-T1 of tenant other is under a legal hold; record ") {
		t.Fatalf("exit code %d, %s%s", code, stdout, stderr)
	}
	if _, stdout, _ := hold(); !strings.Contains(stdout, "00005E-HG-T1") || !strings.Contains(stdout, "case 8") || !strings.Contains(stdout, "released") {
		t.Errorf("%s", stdout)
	}
	erase := append([]string{"audit", "erase", "--config", file, "--reason", "asked to", "--yes"}, device...)
	if code, _, stderr := cli(erase...); code != exitFailed || !strings.Contains(stderr, "under a legal hold (case 8)") {
		t.Errorf("exit code %d, %s", code, stderr)
	}
	if code, _, stderr := hold(append(slices.Clone(device), "--reason", "case 8 is closed", "--release")...); code != 0 {
		t.Fatal(stderr)
	}
	if out := mustCLI(t, erase...); !strings.Contains(out, "7 records of 00005E-HG-T1 of tenant other erased") {
		t.Errorf("%s", out)
	}
	dir := filepath.Dir(file)
	if storeHas(t, dir, "of-other") || !storeHas(t, dir, "of-isp") || !storeHas(t, dir, "of-class-2") {
		t.Error("not what was to be erased")
	}
}

// TestRetentionAtStart: what is too old goes when the gateway starts, and is
// recorded.
func TestRetentionAtStart(t *testing.T) {
	l := storetest.NewLog("old")
	l.Now = time.Now().UTC().Truncate(time.Microsecond).Add(-100 * time.Hour)
	for _, serial := range []string{"T1", "T2"} {
		s := l.Session(audit.Device{Manufacturer: "Example", OUI: "00005E", Class: "HG", Serial: serial}, "s-"+serial)
		s.Tenant = "home"
		s.Inform([]string{"2 PERIODIC"}, storetest.Param("Device.Value", "value-of-"+serial, "string"))
		s.End("clean", nil, nil)
	}
	acs := openACS(t, cwmptest.ACSConfig{})
	p := plan{acs: acs.Addr(), dir: filepath.Dir(stored(t, l)), sections: "retention: {default: {message: 2d, session: forever}}\n"}
	r := start(t, p)
	a := openArchive(t, r.dir)
	await(t, "the messages go", func() bool { return len(a.rows(audit.Filter{View: audit.ViewRPCs})) == 0 })
	if n := len(a.rows(audit.Filter{View: audit.ViewSessions})); n != 2 {
		t.Errorf("%d sessions", n)
	}
	await(t, "it is counted", func() bool { return r.metrics().sum("cwmpgate_audit_removed_records_total") == 4 })
	said := 0
	for _, x := range a.records() {
		if x.What == audit.SystemRetention && x.Detail["log"] == l.ID && x.Detail["kind"] == "message" && x.Detail["count"] == "4" {
			said++
		}
	}
	if said != 1 {
		t.Errorf("%d records of it", said)
	}
	r.close()
	// What SQLite leaves in the unused part of pages is overwritten with them.
	if storeHas(t, r.dir, "value-of-T1") {
		t.Error("a value is still in the store's file")
	}
}

// TestRequests: what is no request is answered, and nothing stays.
func TestRequests(t *testing.T) {
	acs := openACS(t, cwmptest.ACSConfig{})
	r := start(t, plan{acs: acs.Addr(), level: "info"})
	dir := requestsOf(r.gate.config)
	if err := os.MkdirAll(string(dir), 0o700); err != nil {
		t.Fatal(err)
	}
	for id, text := range map[string]string{"1": "{", "2": `{"do":"erase","more":1}`, "3": `{"do":"dance","serial":"T1","reason":"r"}`, "4": `{"do":"erase","serial":"T1","reason":"r"}`} {
		if err := writeWhole(dir.file(id, requestSuffix), func(w io.Writer) error { _, err := w.Write([]byte(text)); return err }); err != nil {
			t.Fatal(err)
		}
	}
	for _, id := range []string{"1", "2", "3", "4"} {
		var result retention.Result
		await(t, "request "+id+" is answered", func() (ok bool) {
			var err error
			result, ok, err = dir.result(id)
			if err != nil {
				t.Fatal(err)
			}
			return ok
		})
		if result.Error == "" || result.First != 0 {
			t.Errorf("request %s: %+v", id, result)
		}
	}
	// What is put aside may be of the device.
	aside := audit.Quarantine{Directory: r.gate.config.quarantine()}
	batch := storetest.Sample(1).All()
	if err := aside.Keep(batch, io.ErrUnexpectedEOF); err != nil {
		t.Fatal(err)
	}
	if result := r.gate.do(t.Context(), retention.Request{Do: retention.Erase, Serial: "T1", Reason: "r"}); !strings.Contains(result.Error, "store retry") {
		t.Errorf("%+v", result)
	}
	old := dir.file("old", resultSuffix)
	if err := writeJSON(old, retention.Result{}); err != nil {
		t.Fatal(err)
	}
	if err := dir.tidy(time.Now()); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(old); err != nil {
		t.Errorf("a young result: %v", err)
	}
	if err := dir.tidy(time.Now().Add(2 * keepResults)); err != nil {
		t.Fatal(err)
	}
	entries, err := os.ReadDir(string(dir))
	if err != nil || len(entries) > 0 {
		t.Errorf("left behind: %v %v", entries, err)
	}
	// Who does not wait has it done all the same.
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	var stderr logbook
	if _, err := askGateway(ctx, dir, retention.Request{Do: retention.Hold, Serial: "T9", Reason: "r"}, &stderr); err == nil || !strings.Contains(err.Error(), "all the same") {
		t.Errorf("%v", err)
	}
	await(t, "it is done", func() bool {
		store := sqlite.New(sqlite.Config{File: filepath.Join(r.dir, "audit.db"), ReadOnly: true})
		if err := store.Open(t.Context()); err != nil {
			t.Fatal(err)
		}
		defer store.Close()
		holds, err := retention.Holds(t.Context(), store, time.Now())
		return err == nil && len(holds) == 1 && holds[0].Device.Serial == "T9"
	})
}

// TestRetentionConfig: what cannot be meant is named at its place.
func TestRetentionConfig(t *testing.T) {
	for _, x := range []struct{ section, want string }{
		{"retention: {default: {message: 400d}, tenants: {home: {message: 30d, refusal: forever}}}\n", ""},
		{"retention: {tenants: {hom: {message: 30d}}}\n", `no tenant is called "hom"`},
		{"retention: {default: {message: 400}}\n", "400d"},
		{"retention: {default: {message: 400h}}\n", "whole days"},
		{"retention: {default: {message: 0d}}\n", "whole days"},
		{"retention: {default: {system: 400d}}\n", "system"},
	} {
		file := plan{acs: "192.0.2.1:7550", sections: x.section}.write(t)
		_, err := loadConfig(file)
		if (err == nil) != (x.want == "") || err != nil && !strings.Contains(err.Error(), x.want) {
			t.Errorf("%s: %v", x.section, err)
		}
	}
	file := plan{acs: "192.0.2.1:7550", sections: "retention: {default: {message: 400d}}\n"}.write(t)
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, []byte(strings.Replace(string(text), "store: {sqlite: {file: audit.db}}\n", "", 1)), fs.FileMode(0o600)); err != nil {
		t.Fatal(err)
	}
	if _, err := loadConfig(file); err == nil || !strings.Contains(err.Error(), "there is no store to remove records from") {
		t.Errorf("without a store: %v", err)
	}
}
