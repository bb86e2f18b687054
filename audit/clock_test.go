package audit

import (
	"context"
	"encoding/json"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/VictoriaMetrics/metrics"

	"github.com/cwmpgate/cwmpgate/audit/journal"
	"github.com/cwmpgate/cwmpgate/audit/journal/journaltest"
)

// hands are two clocks that a test sets.
type hands struct {
	mu      sync.Mutex
	wall    time.Time
	running time.Duration
}

func (h *hands) read() (time.Time, time.Duration) {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.wall, h.running
}

func (h *hands) now() time.Time { wall, _ := h.read(); return wall }

// goOn lets time pass, and sets the wall clock.
func (h *hands) goOn(passed, step time.Duration) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.running += passed
	h.wall = h.wall.Add(passed + step)
}

// clockRecorder is a recorder on a journal, both on the same hands.
func clockRecorder(t *testing.T, fs *journaltest.FS, h *hands) (*Recorder, *journal.Journal, *metrics.Set) {
	t.Helper()
	j := journal.New(journal.Config{Directory: "j", FS: fs, MaxDelay: -1, RetryEvery: time.Millisecond, Now: h.now})
	if err := j.Open(); err != nil {
		t.Fatal(err)
	}
	set := metrics.NewSet()
	r := NewRecorder(Config{Node: "gw-1", Clock: h.read}, j, set)
	t.Cleanup(func() { _ = j.Close(context.Background()) })
	return r, j, set
}

// stepRecord is what a test reads of a record.
type stepRecord struct {
	At, What, Why string
	Detail        map[string]string
}

func stepRecords(t *testing.T, j *journal.Journal) (all []stepRecord) {
	t.Helper()
	for _, line := range recorded(t, j) {
		checkCanonical(t, []byte(line))
		var r stepRecord
		if err := json.Unmarshal([]byte(line), &r); err != nil {
			t.Fatal(err)
		}
		all = append(all, r)
	}
	return all
}

// TestClockStepIsRecorded: before the first record behind a step a record says by
// how much, and no time of a record goes back.
func TestClockStepIsRecorded(t *testing.T) {
	for _, x := range []struct {
		name  string
		steps []time.Duration // one before each record, with half an hour between
		want  []string        // step_us of the records between, "" for a record of the test's
	}{
		{"none", []time.Duration{0, 0}, []string{"", ""}},
		{"back", []time.Duration{0, -time.Hour, 0}, []string{"", "-3600000000", "", ""}},
		{"forward", []time.Duration{48 * time.Hour}, []string{"172800000000", ""}},
		{"too small to tell", []time.Duration{-999 * time.Millisecond, 999 * time.Millisecond}, []string{"", ""}},
		{"small ones add up", []time.Duration{600 * time.Millisecond, 600 * time.Millisecond, 600 * time.Millisecond}, []string{"", "1200000", "", ""}},
		{"a second", []time.Duration{-time.Second}, []string{"-1000000", ""}},
		{"forth and back", []time.Duration{time.Minute, -time.Minute}, []string{"60000000", "", "-60000000", ""}},
	} {
		t.Run(x.name, func(t *testing.T) {
			h := &hands{wall: noon}
			r, j, set := clockRecorder(t, journaltest.New(), h)
			for _, step := range x.steps {
				h.goOn(30*time.Minute, step)
				ticket, err := r.System(System{What: SystemStore, Why: "test"})
				if err != nil || ticket.Wait(t.Context()) != nil {
					t.Fatal(err)
				}
			}
			all := stepRecords(t, j)
			var got []string
			steps, last := 0, ""
			for _, s := range all {
				got = append(got, s.Detail["step_us"])
				if s.What == SystemClock {
					steps++
					back := strings.HasPrefix(s.Detail["step_us"], "-")
					if s.Detail["clock"] == "" || back != strings.Contains(s.Why, "back") {
						t.Errorf("%+v", s)
					}
				}
				if s.At < last {
					t.Errorf("time goes back from %s to %s", last, s.At)
				}
				last = s.At
			}
			if !slices.Equal(got, x.want) {
				t.Errorf("records %q, want %q", got, x.want)
			}
			if n := set.GetOrCreateCounter("cwmpgate_audit_clock_steps_total").Get(); int(n) != steps {
				t.Errorf("%d steps are counted of %d", n, steps)
			}
		})
	}
}

// TestClockStepWhileStopped: a clock that was set back between two lives is told
// behind the first record.
func TestClockStepWhileStopped(t *testing.T) {
	fs := journaltest.New()
	h := &hands{wall: noon}
	life := func() (all []stepRecord) {
		r, j, _ := clockRecorder(t, fs, h)
		for range 2 {
			h.goOn(time.Second, 0)
			ticket, err := r.System(System{What: SystemStart})
			if err != nil || ticket.Wait(t.Context()) != nil {
				t.Fatal(err)
			}
		}
		all = stepRecords(t, j)
		if err := j.Close(t.Context()); err != nil {
			t.Fatal(err)
		}
		return all
	}
	life()
	h.goOn(time.Hour, 0)
	life()
	h.goOn(0, -24*time.Hour)
	all := life()
	var what []string
	for _, s := range all {
		what = append(what, s.What)
	}
	if want := []string{"start", "start", "start", "start", "start", "clock", "start"}; !slices.Equal(what, want) {
		t.Fatalf("records %q, want %q", what, want)
	}
	if s := all[5]; s.Detail["step_us"] != "-86399000000" || s.At != all[3].At || s.Detail["clock"] >= s.At {
		t.Errorf("%+v", s)
	}
}

// TestClockStepWhileTheDiskFails: a step is told when the journal takes it.
func TestClockStepWhileTheDiskFails(t *testing.T) {
	fs := journaltest.New()
	h := &hands{wall: noon}
	r, j, _ := clockRecorder(t, fs, h)
	for _, op := range []journaltest.Op{journaltest.Sync, journaltest.Append} {
		fs.Fail(journaltest.Fault{Op: op, Times: -1, Err: errDisk})
	}
	ticket, err := r.System(System{What: SystemStart})
	if err != nil || ticket.Wait(t.Context()) == nil {
		t.Fatalf("a broken disk took a record: %v", err)
	}
	h.goOn(time.Second, -time.Hour)
	if _, err := r.System(System{What: SystemStore, Why: "refused"}); err == nil {
		t.Fatal("a broken disk took a record")
	}
	fs.Heal()
	for {
		ticket, err = r.System(System{What: SystemStop})
		if err == nil {
			break
		}
	}
	if err := ticket.Wait(t.Context()); err != nil {
		t.Fatal(err)
	}
	n := 0
	for _, s := range stepRecords(t, j) {
		if s.What == SystemClock {
			n++
		}
	}
	if n != 1 {
		t.Errorf("the step is told %d times", n)
	}
}
