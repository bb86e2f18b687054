package audit

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/VictoriaMetrics/metrics"

	"github.com/cwmpgate/cwmpgate/audit/journal"
	"github.com/cwmpgate/cwmpgate/audit/journal/journaltest"
	"github.com/cwmpgate/cwmpgate/cwmp"
)

var (
	errDisk = errors.New("disk is broken")
	reboot  = cwmp.Turn{From: cwmp.PartyACS, Message: say("Reboot", "1", &cwmp.Reboot{CommandKey: cwmp.T("k")})}
	read    = cwmp.Turn{From: cwmp.PartyACS, Message: say("GetParameterNames", "2", &cwmp.GetParameterNames{})}
)

// bench is a recorder over a journal in memory, on a clock of its own.
type bench struct {
	*Recorder
	fs      *journaltest.FS
	journal *journal.Journal
	set     *metrics.Set
}

// withRecorder runs a test in a bubble whose clock stands while it works.
func withRecorder(t *testing.T, cfg Config, test func(t *testing.T, b bench)) {
	synctest.Test(t, func(t *testing.T) {
		fs := journaltest.New()
		j := journal.New(journal.Config{Directory: "j", FS: fs, RetryEvery: time.Second})
		if err := j.Open(); err != nil {
			t.Fatal(err)
		}
		set := metrics.NewSet()
		r := NewRecorder(cfg, j, set)
		defer func() {
			r.Close()
			_ = j.Close(context.Background())
		}()
		test(t, bench{r, fs, j, set})
	})
}

func (b bench) breakDisk() {
	for _, op := range []journaltest.Op{journaltest.Sync, journaltest.Append} {
		b.fs.Fail(journaltest.Fault{Op: op, Times: -1, Err: errDisk})
	}
}

// heal mends the disk and lets the journal find out.
func (b bench) heal() {
	b.fs.Heal()
	time.Sleep(3 * time.Second)
}

// metric gives the value of a counter as a scrape shows it.
func (b bench) metric(t *testing.T, name string) string {
	t.Helper()
	var out strings.Builder
	b.set.WritePrometheus(&out)
	for line := range strings.Lines(out.String()) {
		if value, ok := strings.CutPrefix(line, name+" "); ok {
			return strings.TrimSpace(value)
		}
	}
	t.Fatalf("no metric %s in\n%s", name, out.String())
	return ""
}

// message records one and waits where it must.
func (b bench) message(o *Origin, turn cwmp.Turn) error {
	ticket, err := b.Message(o, turn, Pass)
	if err != nil || !Waits(turn.Message) {
		return err
	}
	return ticket.Wait(context.Background())
}

func TestRecorderWritesDurably(t *testing.T) {
	withRecorder(t, Config{Node: "gw-1"}, func(t *testing.T, b bench) {
		o := testOrigin(t)
		o.N = 0
		o.Connection = &Connection{Peer: "192.0.2.7:40001"}
		for i := range 2 {
			if err := b.message(o, reboot); err != nil {
				t.Fatal(err)
			}
			if o.N != i+1 || o.Connection != nil {
				t.Errorf("place %d, connection %v", o.N, o.Connection)
			}
		}
		if ticket, err := b.SessionEnd(o, SessionEnd{How: EndClean}); err != nil || ticket.Seq() != 3 || ticket.Wait(t.Context()) != nil {
			t.Errorf("record %d: %v", ticket.Seq(), err)
		}
		lines := recorded(t, b.journal)
		if len(lines) != 3 || !strings.Contains(lines[0], `"n":1,`) || !strings.Contains(lines[0], `"peer":"192.0.2.7:40001"`) ||
			strings.Contains(lines[1], "peer") || !strings.Contains(lines[2], `"kind":"session"`) || !strings.Contains(lines[2], `"n":3,`) {
			t.Errorf("records:\n%s", strings.Join(lines, "\n"))
		}
		for _, line := range lines {
			checkCanonical(t, []byte(line))
		}
		if ticket, err := b.Message(o, cwmp.Turn{From: cwmp.PartyCPE}, Pass); err != nil || ticket.Seq() != 0 || ticket.Wait(t.Context()) != nil {
			t.Error("an empty message has a record")
		}
		if got := b.metric(t, `cwmpgate_audit_records_total{kind="message"}`); got != "2" {
			t.Errorf("%s messages are counted", got)
		}
	})
}

// TestRefuse: what must be durable is refused, what need not passes, and of
// what passed unrecorded a gap record tells afterwards.
func TestRefuse(t *testing.T) {
	withRecorder(t, Config{}, func(t *testing.T, b bench) {
		o := testOrigin(t)
		b.breakDisk()
		if err := b.message(o, reboot); !errors.Is(err, journal.ErrNotWritable) {
			t.Fatalf("refused with %v", err)
		}
		if err := b.message(o, reboot); !errors.Is(err, journal.ErrNotWritable) {
			t.Fatalf("refused with %v", err)
		}
		for range 3 {
			if err := b.message(o, read); err != nil {
				t.Fatalf("a read is refused: %v", err)
			}
		}
		b.heal()
		if err := b.message(o, reboot); err != nil {
			t.Fatal(err)
		}
		b.expectGap(t, "3")
	})
}

// expectGap wants the last record to be a gap of so many.
func (b bench) expectGap(t *testing.T, count string) {
	t.Helper()
	lines := recorded(t, b.journal)
	gaps := 0
	for _, line := range lines {
		if strings.Contains(line, `"what":"gap"`) {
			gaps++
		}
	}
	if last := lines[len(lines)-1]; gaps != 1 || !strings.Contains(last, `"what":"gap"`) || !strings.Contains(last, `"count":"`+count+`"`) {
		t.Errorf("%d gaps; last record %s", gaps, last)
	}
	if got := b.metric(t, "cwmpgate_audit_lost_records_total"); got != count {
		t.Errorf("%s lost records are counted, want %s", got, count)
	}
}

func TestPass(t *testing.T) {
	withRecorder(t, Config{OnFailure: FailPass}, func(t *testing.T, b bench) {
		o := testOrigin(t)
		b.breakDisk()
		for _, turn := range []cwmp.Turn{reboot, reboot, read} {
			if err := b.message(o, turn); err != nil {
				t.Fatalf("not passed: %v", err)
			}
		}
		if _, err := b.Transfer(o, Transfer{Method: "GET", URL: "/fw.bin"}); err != nil {
			t.Fatal(err)
		}
		b.heal()
		if err := b.message(o, reboot); err != nil {
			t.Fatal(err)
		}
		b.expectGap(t, "4")
	})
}

// TestPassOnHang: a disk that neither answers nor fails must not stop anyone
// longer than the caller's own patience.
func TestPassOnHang(t *testing.T) {
	withRecorder(t, Config{OnFailure: FailPass}, func(t *testing.T, b bench) {
		hang := make(chan struct{})
		b.fs.Fail(journaltest.Fault{Op: journaltest.Sync, Hang: hang})
		ticket, err := b.Message(testOrigin(t), reboot, Pass)
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := ticket.Wait(ctx); err != nil {
			t.Errorf("not passed: %v", err)
		}
		close(hang)
	})
}

func TestStop(t *testing.T) {
	var stops []error
	withRecorder(t, Config{OnFailure: FailStop, Stop: func(err error) { stops = append(stops, err) }}, func(t *testing.T, b bench) {
		b.breakDisk()
		for range 2 {
			if err := b.message(testOrigin(t), reboot); err == nil {
				t.Error("passed")
			}
		}
	})
	if len(stops) != 1 || !errors.Is(stops[0], journal.ErrNotWritable) {
		t.Errorf("stopped by %v", stops)
	}
}

// TestGapSurvivesItsOwnLoss: where the gap record itself cannot be written at
// first, it is there once when the disk is well.
func TestGapSurvivesItsOwnLoss(t *testing.T) {
	withRecorder(t, Config{OnFailure: FailPass}, func(t *testing.T, b bench) {
		b.lost(2, time.Now())
		b.breakDisk()
		if _, err := b.Message(testOrigin(t), read, Pass); err != nil { // taken, and the gap behind it
			t.Fatal(err)
		}
		time.Sleep(3 * time.Second)
		b.tellGap(true) // the journal takes none now
		b.heal()
		b.expectGap(t, "2")
	})
}

// TestGapWithoutAWait: what was lost is told behind the next record, although
// nobody waits for it.
func TestGapWithoutAWait(t *testing.T) {
	for name, next := range map[string]func(b bench, o *Origin) error{
		"read":    func(b bench, o *Origin) error { return b.message(o, read) },
		"session": func(b bench, o *Origin) error { _, err := b.SessionEnd(o, SessionEnd{How: EndClean}); return err },
		"stop":    func(b bench, _ *Origin) error { _, err := b.System(System{What: SystemStop}); return err },
		"transfer": func(b bench, o *Origin) error {
			_, err := b.Transfer(o, Transfer{Method: "GET", URL: "/fw.bin"})
			return err
		},
		"nothing": func(b bench, _ *Origin) error { b.Close(); return nil },
	} {
		t.Run(name, func(t *testing.T) {
			withRecorder(t, Config{}, func(t *testing.T, b bench) {
				o := testOrigin(t)
				b.breakDisk()
				if err := b.message(o, reboot); err == nil {
					t.Fatal("not refused")
				}
				for range 5 {
					if err := b.message(o, read); err != nil {
						t.Fatal(err)
					}
				}
				b.heal()
				if err := next(b, o); err != nil {
					t.Fatal(err)
				}
				time.Sleep(time.Second) // the journal writes
				b.expectGap(t, "5")
			})
		})
	}
}

// TestOneGapWhileADiskHangs: losses behind a gap record that is not durable
// yet are told together by the next.
func TestOneGapWhileADiskHangs(t *testing.T) {
	withRecorder(t, Config{OnFailure: FailPass}, func(t *testing.T, b bench) {
		hang := make(chan struct{})
		b.fs.Fail(journaltest.Fault{Op: journaltest.Sync, Hang: hang})
		o := testOrigin(t)
		pass := func() {
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			defer cancel()
			ticket, err := b.Message(o, reboot, Pass)
			if err == nil {
				err = ticket.Wait(ctx)
			}
			if err != nil {
				t.Error("not passed:", err)
			}
		}
		for range 10 {
			pass()
		}
		close(hang)
		time.Sleep(time.Second)
		pass()
		time.Sleep(time.Second)
		var counts []string
		for _, line := range recorded(t, b.journal) {
			if _, rest, ok := strings.Cut(line, `"what":"gap"`); ok {
				_, rest, _ = strings.Cut(rest, `"count":"`)
				count, _, _ := strings.Cut(rest, `"`)
				counts = append(counts, count)
			}
		}
		if strings.Join(counts, " ") != "1 9" {
			t.Errorf("gaps of %q, want one of the first and one of the other nine", counts)
		}
	})
}

func TestWaits(t *testing.T) {
	exempt := map[string]bool{"InformResponse": true}
	for _, name := range []string{"GetRPCMethods", "GetParameterValues", "GetParameterNames", "GetParameterAttributes",
		"GetQueuedTransfers", "GetAllQueuedTransfers", "GetOptions"} {
		exempt[name], exempt[name+"Response"] = true, true
	}
	names := []string{"Fault", "X_00005E_Do", "X_00005E_DoResponse"}
	for m := cwmp.MethodGetRPCMethods; m <= cwmp.MethodKicked; m++ {
		names = append(names, m.String(), m.String()+"Response")
	}
	for _, name := range names {
		method, kind := cwmp.ParseMethod([]byte(name))
		if got := Waits(&cwmp.Message{Kind: kind, Method: method}); got == exempt[name] {
			t.Errorf("%s waits: %v", name, got)
		}
	}
}

func TestCoalescing(t *testing.T) {
	withRecorder(t, Config{}, func(t *testing.T, b bench) {
		refusal := func(reason, peer, source, serial string) {
			b.Refusal(nil, Refusal{From: "cpe", Reason: reason, Offset: 3, Size: 9, Status: 400, Peer: peer, Source: source, Device: Device{Serial: serial}})
		}
		for i := range 5 {
			refusal("doctype", fmt.Sprintf("192.0.2.7:%d", 40000+i), "192.0.2.7/32", "T1")
		}
		refusal("doctype", "192.0.2.7:40009", "192.0.2.7/32", "T2")
		refusal("doctype", "192.0.2.8:40000", "192.0.2.8/32", "T1")
		refusal("bad-entity", "192.0.2.7:40000", "192.0.2.7/32", "T1")
		b.Security(testOrigin(t), Security{Reason: "identity-mismatch", Claimed: "a", Peer: "192.0.2.7:1"})
		b.Security(testOrigin(t), Security{Reason: "identity-mismatch", Claimed: "b", Peer: "192.0.2.7:1"})
		if got := b.journal.Stats(); got.Newest != 0 {
			t.Errorf("%d records before the second is over", got.Newest)
		}
		time.Sleep(time.Second + 10*time.Millisecond)
		refusal("doctype", "192.0.2.7:40000", "192.0.2.7/32", "T1")
		time.Sleep(time.Second + 10*time.Millisecond)

		lines := recorded(t, b.journal)
		want := []string{
			`"serial":"T1"},"from":"cpe","reason":"doctype","offset":3,"size":9,"status":400,"peer":"192.0.2.7:40000","source":"192.0.2.7/32","count":5}`,
			`"serial":"T2"},"from":"cpe","reason":"doctype",`,
			`"peer":"192.0.2.8:40000","source":"192.0.2.8/32","count":1}`,
			`"reason":"bad-entity"`,
			`"reason":"identity-mismatch","claimed":"a","peer":"192.0.2.7:1","source":"192.0.2.7:1","count":2}`,
			`"count":1}`,
		}
		if len(lines) != len(want) {
			t.Fatalf("%d records:\n%s", len(lines), strings.Join(lines, "\n"))
		}
		for i, line := range lines {
			if !strings.Contains(line, want[i]) {
				t.Errorf("record %d is %s\nwant %s", i+1, line, want[i])
			}
		}
		if got := b.metric(t, "cwmpgate_audit_coalesced_events_total"); got != "5" {
			t.Errorf("%s events are counted as put together", got)
		}
	})
}

// TestDecisionsCoalesce: alike by reason, class, tenant, ACS and source; a device
// is named where all were of one, and the sums are exact in any flood.
func TestDecisionsCoalesce(t *testing.T) {
	withRecorder(t, Config{Coalesce: 10}, func(t *testing.T, b bench) {
		decide := func(class, source, serial string) {
			b.Decision(&Origin{Tenant: "isp", ACS: "acs"}, Decision{By: ByAdmission, Reason: "upstream-rate", Class: class, Status: 503, Peer: source + ":1", Source: source, Device: Device{Serial: serial}})
		}
		for range 3 {
			decide("boot", "192.0.2.7", "T1")
		}
		decide("boot", "192.0.2.8", "T1")
		decide("boot", "192.0.2.8", "T2")
		decide("routine", "192.0.2.7", "T1")
		for i := range 1000 {
			decide("boot", fmt.Sprint("198.51.100.", i), fmt.Sprint("F", i))
		}
		b.Close()
		time.Sleep(time.Second)
		sum := map[string]int{}
		var rows Rows
		for i, line := range recorded(t, b.journal) {
			rows.Reset()
			if err := Project(b.journal.ID(), uint64(i+1), []byte(line), &rows); err != nil {
				t.Fatal(err)
			}
			d := rows.Decisions[0]
			sum[d.Class] += d.Count
			switch {
			case d.Source == "192.0.2.7" && d.Class == "boot" && (d.Count != 3 || d.Serial != "T1"), d.Source == "192.0.2.8" && (d.Count != 2 || d.Serial != ""):
				t.Errorf("%s", line)
			case d.Tenant != "isp" || d.ACS != "acs" || d.By != ByAdmission || d.Reason != "upstream-rate" || d.Status != 503:
				t.Errorf("%s", line)
			}
		}
		if sum["boot"] != 1005 || sum["routine"] != 1 {
			t.Errorf("sums %v, want 1005 and 1", sum)
		}
	})
}

// TestCoalescingIsBounded: a flood from ever other sources and devices makes
// no more records a second than the bound and one for each reason.
func TestCoalescingIsBounded(t *testing.T) {
	withRecorder(t, Config{Coalesce: 10}, func(t *testing.T, b bench) {
		for i := range 1000 {
			b.Refusal(nil, Refusal{From: "cpe", Reason: "doctype", Peer: fmt.Sprint("192.0.2.", i), Device: Device{Serial: fmt.Sprint(i)}})
		}
		b.Close()
		b.Refusal(nil, Refusal{From: "cpe", Reason: "late"})
		time.Sleep(time.Second)
		lines := recorded(t, b.journal)
		if len(lines) != 12 || !strings.Contains(lines[10], `"reason":"doctype","count":990}`) || !strings.Contains(lines[11], `"reason":"late"`) {
			t.Errorf("%d records:\n%s", len(lines), strings.Join(lines, "\n"))
		}
	})
}
