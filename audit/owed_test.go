package audit

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

// ends gives the sessions whose end is recorded, in order.
func (b bench) ends(t *testing.T) (ids []string) {
	t.Helper()
	for _, line := range recorded(t, b.journal) {
		checkCanonical(t, []byte(line))
		if strings.Contains(line, `"kind":"session"`) {
			_, rest, _ := strings.Cut(line, `"session":"`)
			id, _, _ := strings.Cut(rest, `"`)
			ids = append(ids, id)
		}
	}
	return ids
}

// TestEndIsOwed: the end of a session that the journal does not take is written
// once when it is well again, whatever on_failure says.
func TestEndIsOwed(t *testing.T) {
	for _, failure := range []string{FailRefuse, FailPass, FailStop} {
		for name, next := range map[string]func(b bench, o *Origin) error{
			"message": func(b bench, o *Origin) error { return b.message(o, reboot) },
			"read":    func(b bench, o *Origin) error { return b.message(o, read) },
			"end":     func(b bench, o *Origin) error { _, err := b.SessionEnd(o, SessionEnd{How: EndClean}); return err },
			"close":   func(b bench, _ *Origin) error { b.Close(); return nil },
		} {
			t.Run(failure+" "+name, func(t *testing.T) {
				stops := 0
				withRecorder(t, Config{OnFailure: failure, Stop: func(error) { stops++ }}, func(t *testing.T, b bench) {
					b.breakDisk()
					if err := b.message(testOrigin(t), reboot); (err == nil) != (failure == FailPass) {
						t.Fatalf("a message that waits: %v", err)
					}
					for i := range 3 {
						o := testOrigin(t)
						o.Session = fmt.Sprint("ended-", i)
						_, err := b.SessionEnd(o, SessionEnd{How: EndRefused, End: time.Now(), Undelivered: []uint64{1}})
						if (err != nil) != (failure == FailStop) {
							t.Errorf("end %d: %v", i, err)
						}
					}
					b.heal()
					if err := next(b, testOrigin(t)); err != nil {
						t.Fatal(err)
					}
					time.Sleep(time.Second) // the journal writes
					got := b.ends(t)
					want := []string{"ended-0", "ended-1", "ended-2"}
					if name == "end" {
						want = append([]string{"c1k9"}, want...)
					}
					if strings.Join(got, " ") != strings.Join(want, " ") {
						t.Errorf("ends of %q are recorded, want %q", got, want)
					}
					lost := "0"
					if failure == FailPass {
						lost = "1" // the message
					}
					if n := b.metric(t, "cwmpgate_audit_lost_records_total"); n != lost {
						t.Errorf("%s records are counted as lost, want %s", n, lost)
					}
				})
				if (stops > 0) != (failure == FailStop) {
					t.Errorf("stopped %d times", stops)
				}
			})
		}
	}
}

// TestOwedIsBounded: what is beyond the bound, or still owed when the recorder
// closes, is told as a gap.
func TestOwedIsBounded(t *testing.T) {
	withRecorder(t, Config{}, func(t *testing.T, b bench) {
		b.breakDisk()
		if err := b.message(testOrigin(t), reboot); err == nil {
			t.Fatal("a broken disk took a record")
		}
		const many = 8_000
		for range many {
			b.SessionEnd(testOrigin(t), SessionEnd{How: EndClean})
		}
		kept := len(b.owed.records)
		if b.owed.size > mostOwed || kept == 0 || kept == many {
			t.Fatalf("%d ends of %d are kept, %d bytes", kept, many, b.owed.size)
		}
		b.heal()
		if err := b.message(testOrigin(t), reboot); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Second)
		if n := len(b.ends(t)); n != kept {
			t.Errorf("%d ends are recorded, %d were kept", n, kept)
		}
		b.expectGap(t, fmt.Sprint(many-kept))
	})
	withRecorder(t, Config{}, func(t *testing.T, b bench) {
		b.breakDisk()
		if err := b.message(testOrigin(t), reboot); err == nil {
			t.Fatal("a broken disk took a record")
		}
		b.SessionEnd(testOrigin(t), SessionEnd{How: EndClean})
		b.Close()
		if got := b.metric(t, "cwmpgate_audit_lost_records_total"); got != "1" {
			t.Errorf("%s records are counted as lost", got)
		}
	})
}
