package main

import (
	"bytes"
	"context"
	"database/sql"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"github.com/cwmpgate/cwmpgate/audit"
	"github.com/cwmpgate/cwmpgate/audit/journal"
	"github.com/cwmpgate/cwmpgate/cwmp/cwmptest"
)

// TestFaults: what journal.on_failure and journal.max_size promise is what
// happens while the disk of the journal fails or the store does, and afterwards
// the store has everything that went through, or a gap record says how much it
// has not. TestJournalFails and TestJournalFailsAndStops are the same for the
// other values of on_failure, package journal for each single operation.
func TestFaults(t *testing.T) {
	t.Run("disk gone, pass", func(t *testing.T) {
		t.Parallel()
		journal := filepath.Join(t.TempDir(), "journal")
		testDiskPass(t, filepath.Dir(journal), func() error { return os.Rename(journal, journal+".away") }, func() error { return os.Rename(journal+".away", journal) })
	})
	t.Run("disk full, pass", func(t *testing.T) {
		t.Parallel()
		journal := filepath.Join(t.TempDir(), "journal")
		mountSmall(t, journal)
		ballast := filepath.Join(journal, "ballast")
		testDiskPass(t, filepath.Dir(journal), func() error { fill(t, ballast); return nil }, func() error { return os.Remove(ballast) })
	})
	t.Run("full behind a locked store", testFull)
	for _, x := range []struct {
		name string
		// breaks lets the store under dir fail and returns what heals it again.
		breaks func(t *testing.T, dir string) (heals func())
		fails  bool // the store says so
	}{
		{"store locked", lockStore, true},
		{"store slow", slowStore, false},
		{"store gone", moveStore, false},
	} {
		t.Run(x.name, func(t *testing.T) { testStoreFails(t, x.breaks, x.fails) })
	}
	t.Run("store corrupt", testStoreCorrupt)
}

// testDiskPass: with on_failure pass everything passes while nothing can be
// recorded; it is counted, readyz and the log tell, and behind it a gap record.
func testDiskPass(t *testing.T, dir string, breaks, heals func() error) {
	acs := openACS(t, cwmptest.ACSConfig{Character: cwmptest.ConnectionOnly, Script: chores})
	r := start(t, plan{acs: acs.Addr(), dir: dir, level: "info", journal: ", on_failure: pass"})
	if err := breaks(); err != nil {
		t.Fatal(err)
	}
	lost := func() float64 { return r.metrics()["cwmpgate_audit_lost_records_total"] }
	informs := 0
	await(t, "records are lost", func() bool {
		informs++
		if got := raw(t, r.addr, inform(fmt.Sprintf("PASS%d", informs)), 1); len(got) != 1 || got[0].status != 200 {
			t.Fatalf("an Inform was not passed: %+v", got)
		}
		return lost() > 0
	})
	d, err := cwmptest.NewDevice(device(r.url(), "PASSED"))
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	before := lost()
	if report, err := d.Session(t.Context()); err != nil || report.RPCs != 2 {
		t.Errorf("a session while nothing can be recorded: %+v, %v", report, err)
	}
	if n := lost() - before; n < 5 { // Inform, its answer, two requests, two answers
		t.Errorf("%v records are counted as lost", n)
	}
	if n := len(acs.Informs()); n != informs+1 {
		t.Errorf("%d Informs reached the ACS of %d", n, informs+1)
	}
	if status, text := get(t, "http://"+r.admin+"/readyz"); status != 503 || !strings.Contains(text, "journal") {
		t.Errorf("readyz: %d %s", status, text)
	}
	if err := heals(); err != nil {
		t.Fatal(err)
	}
	await(t, "readyz says ready", func() bool { status, _ := get(t, "http://"+r.admin+"/readyz"); return status == 200 })
	if _, err := d.Session(t.Context()); err != nil {
		t.Error(err)
	}
	r.close()
	all := openArchive(t, dir).records()
	checkLedger(t, all)
	if told := gaps(t, all); told != int(r.gateLost()) || told == 0 {
		t.Errorf("gap records tell of %d records, %v are counted as lost", told, r.gateLost())
	}
	sets := 0
	for _, m := range all {
		if m.RPC == "SetParameterValues" && m.Device.Serial == "PASSED" {
			sets++
		}
	}
	if sets == 0 || !strings.Contains(r.log.String(), "journal") {
		t.Errorf("%d sets recorded behind it; log:\n%s", sets, r.log)
	}
}

// gateLost is the count of lost records, also when /metrics is not served any
// more.
func (r *rig) gateLost() uint64 {
	return r.gate.metrics.GetOrCreateCounter("cwmpgate_audit_lost_records_total").Get()
}

// gaps adds up what the gap records tell.
func gaps(t *testing.T, all []record) (total int) {
	t.Helper()
	for _, r := range all {
		if r.What != audit.SystemGap {
			continue
		}
		var n int
		if _, err := fmt.Sscan(r.Detail["count"], &n); err != nil || r.Detail["since"] == "" || r.Detail["until"] < r.Detail["since"] {
			t.Errorf("%s", r.line)
		}
		total += n
	}
	return total
}

// largeInform has a record of some 900 KB.
func largeInform(serial string) string {
	var more []cwmptest.Parameter
	for i := range 15 {
		more = append(more, cwmptest.Parameter{Name: fmt.Sprintf("%sX_00005E_Note.%d.Text", testRoot, i), Value: strings.Repeat("n", 60<<10), Type: "string"})
	}
	id := cwmptest.Identity{Manufacturer: "Example Networks", OUI: "00005E", ProductClass: "HG", Serial: serial}
	rpc := cwmptest.InformRPC(id, []cwmptest.Event{{Code: "2 PERIODIC"}}, 0, "2026-11-24T12:00:00Z", more)
	return post(string(cwmptest.Envelope{ID: "i-" + serial, RPC: rpc}.Append(nil)))
}

// testFull: behind a store that takes nothing the journal fills up to max_size;
// the log and the metrics tell in time, then on_failure decides, and when the
// store is well again everything that passed comes to it.
func testFull(t *testing.T) {
	for _, failure := range []string{"refuse", "pass"} {
		t.Run(failure, func(t *testing.T) {
			t.Parallel()
			acs := openACS(t, cwmptest.ACSConfig{Script: chores})
			file := plan{acs: acs.Addr(), level: "info", journal: ", keep_after_ack: 0s, on_failure: " + failure}.write(t)
			text, err := os.ReadFile(file)
			if err == nil {
				err = os.WriteFile(file, bytes.Replace(text, []byte("max_size: 1GiB"), []byte("max_size: 16MiB"), 1), 0o600)
			}
			if err != nil {
				t.Fatal(err)
			}
			r := startFile(t, file)
			heals := lockStore(t, r.dir)
			alarm := func(level string) bool {
				return strings.Contains(r.log.String(), `{"level":"`+level+`","held_bytes":`)
			}
			passed := 0
			for full := false; !full; passed++ {
				if passed > 40 {
					t.Fatalf("the journal does not fill up: %v", r.metrics().sum("cwmpgate_journal_size_bytes"))
				}
				m := r.metrics()
				held, most := m["cwmpgate_journal_held_bytes"], m["cwmpgate_journal_max_size_bytes"]
				if most != 16<<20 || held > 0.85*most && !alarm("warn") || held > 0.99*most && !alarm("error") {
					t.Fatalf("%v bytes of %v held, and the log says nothing of it", held, most)
				}
				got := raw(t, r.addr, largeInform(fmt.Sprintf("BULK%d", passed)), 1)
				if len(got) != 1 {
					t.Fatal("no answer")
				}
				if failure == "pass" {
					full = r.metrics()["cwmpgate_audit_lost_records_total"] > 1 // an Inform and its answer
				} else {
					full = got[0].status == 503
				}
				if got[0].status != 200 && (failure == "pass" || !full) {
					t.Fatalf("answer %+v", got[0])
				}
			}
			if !alarm("warn") || !alarm("error") {
				t.Errorf("no alarm before the journal was full:\n%s", r.log)
			}
			if status, text := get(t, "http://"+r.admin+"/readyz"); status != 503 || !strings.Contains(text, "max_size") {
				t.Errorf("readyz: %d %s", status, text)
			}
			m := r.metrics()
			if size := m["cwmpgate_journal_size_bytes"]; size > 16<<20+1<<20 || m["cwmpgate_journal_writable"] != 0 {
				t.Errorf("%v bytes in the journal, writable: %v", size, m["cwmpgate_journal_writable"])
			}
			heals()
			await(t, "readyz says ready", func() bool { status, _ := get(t, "http://"+r.admin+"/readyz"); return status == 200 })
			if got := raw(t, r.addr, inform("BEHIND"), 1); len(got) != 1 || got[0].status != 200 {
				t.Errorf("behind it: %+v", got)
			}
			r.close()
			all := openArchive(t, r.dir).records()
			checkLedger(t, all)
			informs := 0
			for _, x := range all {
				if x.RPC == "Inform" {
					informs++
				}
			}
			lost := int(r.gateLost())
			if told := gaps(t, all); told != lost || failure == "pass" && lost == 0 {
				t.Errorf("%d records lost, gap records tell of %d", lost, told)
			}
			if informs != passed { // the last one was refused or lost, and one came behind it
				t.Errorf("%d Informs recorded of %d", informs, passed)
			}
		})
	}
}

// testStoreFails: the gateway serves on; what the store lacks comes to it when it
// is well again, once.
func testStoreFails(t *testing.T, breaks func(*testing.T, string) func(), fails bool) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "gate")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	acs := openACS(t, cwmptest.ACSConfig{Character: cwmptest.ConnectionOnly, Script: chores})
	r := start(t, plan{acs: acs.Addr(), dir: dir, level: "info"})
	lag := func() float64 { return r.metrics()[`cwmpgate_audit_sink_lag_records{sink="sqlite"}`] }
	failed := func() float64 { return r.metrics()[`cwmpgate_audit_sink_errors_total{sink="sqlite"}`] }
	sessions := 0
	session := func() {
		t.Helper()
		d, err := cwmptest.NewDevice(device(r.url(), fmt.Sprintf("STORE%d", sessions)))
		if err != nil {
			t.Fatal(err)
		}
		defer d.Close()
		sessions++
		if report, err := d.Session(t.Context()); err != nil || report.RPCs != 2 {
			t.Fatalf("session %d: %+v, %v", sessions, report, err)
		}
	}
	session()
	await(t, "the store has it", func() bool { return lag() == 0 })
	heals := breaks(t, dir)
	for range 5 {
		session()
	}
	if fails {
		await(t, "the store is in trouble", func() bool { session(); return failed() > 0 })
		if status, text := get(t, "http://"+r.admin+"/readyz"); status != 200 {
			t.Errorf("readyz: %d %s", status, text)
		}
		if lag() == 0 {
			t.Error("the store lacks nothing")
		}
	}
	heals()
	session()
	await(t, "the store has caught up", func() bool { return lag() == 0 })
	r.close()
	if fails && (!strings.Contains(r.log.String(), `"level":"error"`) || !strings.Contains(r.log.String(), "the store takes records again")) {
		t.Errorf("the log does not tell of it:\n%s", r.log)
	}
	all := openArchive(t, dir).records()
	checkLedger(t, all)
	answered := map[string]int{}
	for _, x := range all {
		if x.RPC == "SetParameterValuesResponse" {
			answered[x.Device.Serial]++
		}
	}
	for i := range sessions {
		if n := answered[fmt.Sprintf("STORE%d", i)]; n != 1 {
			t.Errorf("%d outcomes of session %d in the store", n, i)
		}
	}
	if n := gaps(t, all); n > 0 {
		t.Errorf("%d records are told as missing", n)
	}
}

// testStoreCorrupt: a gateway does not start on a store that is damaged, names it
// and changes nothing; with the file restored it goes on where the journal says,
// and what the store never got comes to it.
func testStoreCorrupt(t *testing.T) {
	t.Parallel()
	acs := openACS(t, cwmptest.ACSConfig{Script: chores})
	listen, admin := ports(t)
	file := plan{acs: acs.Addr(), listen: listen, admin: admin, level: "info"}.write(t)
	c := spawn(t, file, admin)
	lag := func() float64 { return readMetrics(t, admin)[`cwmpgate_audit_sink_lag_records{sink="sqlite"}`] }
	say := func(serial string) {
		t.Helper()
		if got := raw(t, listen, inform(serial), 1); len(got) != 1 || got[0].status != 200 {
			t.Fatalf("%s: %+v", serial, got)
		}
	}
	say("KEPT")
	await(t, "the store has it", func() bool { return lag() == 0 })
	letGo := lockStore(t, c.dir)
	for i := range 5 {
		say(fmt.Sprintf("OWED%d", i))
	}
	c.kill()
	letGo()
	store := filepath.Join(c.dir, "audit.db")
	was, err := os.ReadFile(store)
	if err != nil {
		t.Fatal(err)
	}
	spoilt := append(bytes.Repeat([]byte("spoilt! "), 512), was[min(4096, len(was)):]...)
	if err := os.WriteFile(store, spoilt, 0o600); err != nil {
		t.Fatal(err)
	}
	code, _, stderr := cli("run", "--config", file)
	if code == 0 || !strings.Contains(stderr, "audit.db") {
		t.Errorf("on a damaged store: exit code %d\n%s", code, stderr)
	}
	if now, err := os.ReadFile(store); err != nil || !bytes.Equal(now, spoilt) {
		t.Errorf("the damaged store was changed: %v", err)
	}
	if err := os.WriteFile(store, was, 0o600); err != nil {
		t.Fatal(err)
	}
	c = spawn(t, file, admin)
	await(t, "the store has caught up", func() bool { return lag() == 0 })
	if code := c.stop(); code != 0 {
		t.Errorf("exit code %d\n%s", code, c.log)
	}
	all := openArchive(t, c.dir).records()
	checkLedger(t, all)
	informs := map[string]int{}
	for _, x := range all {
		if x.RPC == "Inform" {
			informs[x.Device.Serial]++
		}
	}
	for _, serial := range []string{"KEPT", "OWED0", "OWED1", "OWED2", "OWED3", "OWED4"} {
		if informs[serial] != 1 {
			t.Errorf("%d Informs of %s in the store", informs[serial], serial)
		}
	}
}

// holdStore takes the store's lock, as a backup or another program would.
func holdStore(t *testing.T, dir string) (letGo func()) {
	t.Helper()
	db, err := sql.Open("sqlite", "file:"+filepath.Join(dir, "audit.db")+"?_busy_timeout=20000&_pragma=busy_timeout(20000)")
	if err != nil {
		t.Fatal(err)
	}
	c, err := db.Conn(context.Background())
	if err == nil {
		_, err = c.ExecContext(context.Background(), "BEGIN IMMEDIATE")
	}
	if err != nil {
		t.Fatal(err)
	}
	return func() {
		if _, err := c.ExecContext(context.Background(), "ROLLBACK"); err != nil {
			t.Error(err)
		}
		c.Close()
		db.Close()
	}
}

func lockStore(t *testing.T, dir string) func() { return holdStore(t, dir) }

// slowStore lets the store write for a moment only, now and then.
func slowStore(t *testing.T, dir string) func() {
	end, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		for {
			letGo := holdStore(t, dir)
			hold := time.NewTimer(150 * time.Millisecond)
			select {
			case <-end:
				hold.Stop()
				letGo()
				return
			case <-hold.C:
				letGo()
			}
		}
	}()
	return func() { close(end); <-ended }
}

// moveStore takes the files away, as somebody who tidies up would.
func moveStore(t *testing.T, dir string) func() {
	away := filepath.Join(filepath.Dir(dir), "away")
	if err := os.Mkdir(away, 0o700); err != nil {
		t.Fatal(err)
	}
	move := func(from, to string) {
		for _, end := range []string{"", "-wal", "-shm"} {
			if err := os.Rename(filepath.Join(from, "audit.db"+end), filepath.Join(to, "audit.db"+end)); err != nil && !os.IsNotExist(err) {
				t.Error(err)
			}
		}
	}
	move(dir, away)
	return func() { move(away, dir) }
}

// TestSizeAlarm: once a level, again after a while, and back only some way below.
func TestSizeAlarm(t *testing.T) {
	const most = 1000
	var log bytes.Buffer
	a := &sizeAlarm{log: zerolog.New(&log), settings: journalConfig{MaxSize: most, SegmentSize: 50, OnFailure: "stop"},
		free: func(string) (int64, bool) { return 0, false }}
	now := time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)
	for i, x := range []struct {
		held  int64
		after time.Duration
		says  string
	}{
		{790, 0, ""}, {800, 0, `{"level":"warn","held_bytes":800,"max_size_bytes":1000,"percent":80,"on_failure":"stop"`},
		{940, time.Second, ""}, {760, time.Second, ""}, {810, time.Second, ""}, {820, 10 * time.Minute, `{"level":"warn","held_bytes":820`},
		{950, time.Second, `{"level":"error","held_bytes":950`}, {910, time.Second, ""}, {999, 9 * time.Minute, ""},
		{960, 2 * time.Minute, `{"level":"error"`}, {890, time.Second, ""}, {950, time.Second, `{"level":"error"`},
		{740, time.Second, `{"level":"info","message":"the journal has room again"`}, {700, time.Hour, ""}, {960, time.Second, `{"level":"error"`},
	} {
		log.Reset()
		now = now.Add(x.after)
		a.look(x.held, now)
		if got := log.String(); !strings.HasPrefix(got, x.says) || x.says == "" && got != "" {
			t.Errorf("step %d, %d bytes: %q, want %q", i, x.held, got, x.says)
		}
	}
	looked := 0
	stats := func() journal.Stats { looked++; return journal.Stats{} }
	for range 100 {
		a.committed(3, stats)
	}
	if looked != 25 || a.disk.level != 0 {
		t.Errorf("looked %d times for 300 of %d bytes", looked, most)
	}
	for _, x := range []struct {
		stats journal.Stats
		held  int64
	}{
		{journal.Stats{Bytes: 900}, 900},
		{journal.Stats{Bytes: 900, Cursors: []journal.CursorStats{{Bytes: 0}}}, 0},
		{journal.Stats{Bytes: 900, Cursors: []journal.CursorStats{{Bytes: 0}, {Bytes: 700}}}, 750},
		{journal.Stats{Bytes: 900, Cursors: []journal.CursorStats{{Bytes: 890}}}, 900},
	} {
		if got := held(x.stats, a.settings); got != x.held {
			t.Errorf("%+v holds %d, want %d", x.stats, got, x.held)
		}
	}
}

// TestDiskAlarm: likewise of what is free on the journal's disk, whoever fills it.
func TestDiskAlarm(t *testing.T) {
	var log bytes.Buffer
	var free int64
	a := &sizeAlarm{log: zerolog.New(&log), settings: journalConfig{Directory: "there", MaxSize: 1000, SegmentSize: 100, OnFailure: "stop"},
		free: func(dir string) (int64, bool) { return free, dir == "there" }}
	now := time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)
	for i, x := range []struct {
		free  int64
		after time.Duration
		says  string
	}{
		{400, 0, ""}, {399, time.Second, `{"level":"warn","free_bytes":399,"on_failure":"stop"`}, {450, time.Second, ""}, {101, time.Second, ""},
		{99, time.Second, `{"level":"error","free_bytes":99`}, {120, time.Second, ""}, {0, 11 * time.Minute, `{"level":"error"`},
		{126, time.Hour, `{"level":"warn"`}, {500, time.Second, `{"level":"info","free_bytes":500`}, {400, time.Hour, ""}, {50, time.Second, `{"level":"error"`},
	} {
		log.Reset()
		now = now.Add(x.after)
		a.lookDisk(x.free, now)
		if got := log.String(); !strings.HasPrefix(got, x.says) || x.says == "" && got != "" {
			t.Errorf("step %d, %d bytes free: %q, want %q", i, x.free, got, x.says)
		}
	}
	log.Reset()
	free, a.disk = 10, alarm{}
	a.committed(1, func() journal.Stats { return journal.Stats{} })
	a.committed(1, func() journal.Stats { return journal.Stats{} }) // within a second
	if n := strings.Count(log.String(), "nearly full"); n != 1 {
		t.Errorf("said %d times: %s", n, log.String())
	}
	if n, known := diskFree(t.TempDir()); known && n <= 0 {
		t.Errorf("%d bytes are free", n)
	}
	if _, known := diskFree("/there/is/none"); known {
		t.Error("what is free where nothing is")
	}
}
