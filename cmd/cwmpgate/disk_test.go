package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/cwmpgate/cwmpgate/audit"
	"github.com/cwmpgate/cwmpgate/cwmp/cwmptest"
)

// talker is a CPE that is led by hand: one connection, one POST at a time.
type talker struct {
	t testing.TB
	c net.Conn
	b *bufio.Reader
}

func dialTalker(t testing.TB, addr string) *talker {
	t.Helper()
	c, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	c.SetDeadline(time.Now().Add(2 * patience))
	return &talker{t, c, bufio.NewReader(c)}
}

// say sends a request and reads its answer.
func (k *talker) say(request string) (status int, body string) {
	k.t.Helper()
	if _, err := io.WriteString(k.c, request); err != nil {
		k.t.Fatal(err)
	}
	res, err := http.ReadResponse(k.b, nil)
	if err != nil {
		k.t.Fatal(err)
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		k.t.Fatal(err)
	}
	return res.StatusCode, string(text)
}

// idOf is the cwmp:ID of a message, read as text.
func idOf(message string) string {
	_, rest, _ := strings.Cut(message, `:ID soapenv:mustUnderstand="1">`)
	id, _, _ := strings.Cut(rest, "<")
	return id
}

func answerTo(message, rpc string) string {
	return post(string(cwmptest.Envelope{ID: idOf(message), RPC: rpc}.Append(nil)))
}

// TestJournalFails: while no record can be made durable, what must be recorded
// first is answered 503, reads pass, and readyz says why; when the disk is well
// again everything goes on without a restart.
func TestJournalFails(t *testing.T) {
	t.Run("gone", func(t *testing.T) {
		dir := t.TempDir()
		journal := filepath.Join(dir, "journal")
		must := func(err error) {
			if err != nil {
				t.Fatal(err)
			}
		}
		journalFails(t, dir,
			func() { must(os.Rename(journal, journal+".away")) },
			func() { must(os.Rename(journal+".away", journal)) })
	})
	t.Run("full", func(t *testing.T) {
		dir := t.TempDir()
		journal := filepath.Join(dir, "journal")
		mountSmall(t, journal)
		ballast := filepath.Join(journal, "ballast")
		r := journalFails(t, dir, func() { fill(t, ballast) }, func() { os.Remove(ballast) })
		if _, known := diskFree(dir); known && !strings.Contains(r.log.String(), "the journal's disk is nearly full") {
			t.Errorf("no alarm before the disk was full:\n%s", r.log)
		}
	})
}

// mountSmall makes a directory that is a disk of 2 MiB.
func mountSmall(t *testing.T, dir string) {
	t.Helper()
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size=2m,mode=0700"); err != nil {
		t.Skipf("a small file system cannot be mounted: %v", err)
	}
	t.Cleanup(func() { syscall.Unmount(dir, 0) })
}

// fill writes a file until its disk is full.
func fill(t *testing.T, name string) {
	t.Helper()
	f, err := os.OpenFile(name, os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for err == nil {
		_, err = f.Write(make([]byte, 4096))
	}
	if !errors.Is(err, syscall.ENOSPC) {
		t.Fatal(err)
	}
}

func journalFails(t *testing.T, dir string, breaks, heals func()) *rig {
	acs := openACS(t, cwmptest.ACSConfig{Character: cwmptest.ConnectionOnly, Script: chores})
	r := start(t, plan{acs: acs.Addr(), dir: dir, level: "info"})
	k := dialTalker(t, r.addr)
	if status, text := k.say(inform("DISK1")); status != 200 {
		t.Fatalf("Inform: %d %s", status, text)
	}
	if status, text := get(t, "http://"+r.admin+"/readyz"); status != 200 {
		t.Fatalf("readyz: %d %s", status, text)
	}
	breaks()
	n := 0
	await(t, "Informs are refused", func() bool {
		n++
		return raw(t, r.addr, inform(fmt.Sprintf("FULL%d", n)), 1)[0].status == 503
	})
	informs := len(acs.Informs())
	if status, text := get(t, "http://"+r.admin+"/readyz"); status != 503 || !strings.Contains(text, "journal") {
		t.Errorf("readyz: %d %s", status, text)
	}
	if status, _ := get(t, "http://"+r.admin+"/healthz"); status != 200 {
		t.Errorf("healthz: %d", status)
	}
	await(t, "the metrics tell it", func() bool {
		m := r.metrics()
		return m["cwmpgate_journal_writable"] == 0 && m.sum("cwmpgate_journal_failures_total") > 0 &&
			m[`cwmpgate_refusals_total{from="cpe",reason="journal-not-writable"}`] > 0
	})
	read := "" // reads pass, in the session that was open
	if status, text := k.say(post("")); status != 200 || !strings.Contains(text, ":GetParameterValues>") {
		t.Errorf("empty POST: %d %s", status, text)
	} else {
		read = text
	}
	values := `<cwmp:GetParameterValuesResponse><ParameterList></ParameterList></cwmp:GetParameterValuesResponse>`
	if status, text := k.say(answerTo(read, values)); status != 503 || strings.Contains(text, "SetParameterValues") {
		t.Errorf("a SetParameterValues that could not be recorded: %d %s", status, text)
	}
	if !acs.Deliveries()[0].Answered {
		t.Error("the answer to a read did not reach the ACS")
	}
	if got := len(acs.Informs()); got != informs {
		t.Errorf("%d Informs reached the ACS that were not recorded", got-informs)
	}
	heals()
	await(t, "readyz says ready", func() bool { status, _ := get(t, "http://"+r.admin+"/readyz"); return status == 200 })
	d, err := cwmptest.NewDevice(device(r.url(), "DISK2"))
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	if report, err := d.Session(t.Context()); err != nil || report.RPCs != 2 {
		t.Errorf("a session behind it: %+v, %v", report, err)
	}
	r.close()
	// What could not be brought to the store meanwhile is brought at the next start.
	start(t, plan{acs: acs.Addr(), dir: dir, level: "info"}).close()
	all := openArchive(t, dir).records()
	checkLedger(t, all)
	// The session that was open has its end, though the journal took none then.
	ends := 0
	for _, x := range ofKind(all, audit.KindSession) {
		if x.Device.Serial == "DISK1" {
			if ends++; x.How != audit.EndRefused || x.Messages == 0 {
				t.Errorf("%s", x.line)
			}
		}
	}
	if ends != 1 {
		t.Errorf("%d ends of the session that was open", ends)
	}
	// A read that passed is recorded, or told as missing.
	reads, missing := 0, 0
	for _, x := range all {
		switch {
		case x.What == audit.SystemGap:
			var n int
			if _, err := fmt.Sscan(x.Detail["count"], &n); err != nil || x.Detail["since"] == "" || x.Detail["until"] == "" {
				t.Errorf("%s", x.line)
			}
			missing += n
		case x.Device.Serial == "DISK1" && strings.HasPrefix(x.RPC, "GetParameterValues"):
			reads++
		}
	}
	if reads < 2 && reads+missing < 2 {
		t.Errorf("%d reads recorded, %d records told as missing", reads, missing)
	}
	return r
}

// TestJournalFailsAndStops: with on_failure stop the gateway ends, and says so.
func TestJournalFailsAndStops(t *testing.T) {
	acs := openACS(t, cwmptest.ACSConfig{Script: chores})
	listen, admin := ports(t)
	file := plan{acs: acs.Addr(), listen: listen, admin: admin, journal: ", on_failure: stop"}.write(t)
	c := spawn(t, file, admin)
	if err := os.Rename(filepath.Join(c.dir, "journal"), filepath.Join(c.dir, "journal.away")); err != nil {
		t.Fatal(err)
	}
	// The journal looks now and then whether its file is still in its place.
	passed := 0
	await(t, "an Inform is refused", func() bool {
		got := raw(t, listen, inform(fmt.Sprintf("STOP%d", passed)), 1)
		if len(got) == 1 && got[0].status == 200 {
			passed++
			return false
		}
		return true
	})
	if code := c.wait(); code != exitFailed || !strings.Contains(c.log.String(), "on_failure is stop") {
		t.Errorf("exit code %d\n%s", code, c.log)
	}
	if n := len(acs.Informs()); n != passed {
		t.Errorf("%d Informs reached the ACS of %d that passed", n, passed)
	}
}
