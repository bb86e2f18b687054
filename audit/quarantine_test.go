package audit

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/VictoriaMetrics/metrics"

	"github.com/cwmpgate/cwmpgate/audit/journal"
	"github.com/cwmpgate/cwmpgate/audit/journal/journaltest"
)

// pickySink refuses batches with a record that holds a word.
type pickySink struct {
	refuse string
	taken  []journal.Entry
}

type unfit struct{ error }

func (unfit) Refused() bool { return true }

func (s *pickySink) Write(_ context.Context, b *Batch) error {
	for _, e := range b.Entries {
		if s.refuse != "" && strings.Contains(string(e.Bytes), s.refuse) {
			return unfit{errors.New("cannot parse\nthat")}
		}
	}
	for _, e := range b.Entries {
		e.Bytes = append([]byte(nil), e.Bytes...)
		s.taken = append(s.taken, e)
	}
	return nil
}

func (s *pickySink) Close() error { return nil }

// TestQuarantine sees that a batch that a store will never take is kept, told
// and counted, that what follows goes on, and that a retry brings it.
func TestQuarantine(t *testing.T) {
	q := &Quarantine{Directory: filepath.Join(t.TempDir(), "quarantine")}
	sink := &pickySink{refuse: "poison"}
	var aside *QuarantinedError
	synctest.Test(t, func(t *testing.T) {
		j := journal.New(journal.Config{Directory: "j", FS: journaltest.New()})
		if err := j.Open(); err != nil {
			t.Fatal(err)
		}
		set := metrics.NewSet()
		r := NewRecorder(Config{}, j, set)
		cursor, err := j.Cursor("s")
		if err != nil {
			t.Fatal(err)
		}
		s := NewShipper(ShipperConfig{Name: "s", Cursor: cursor, Sink: sink, MaxRecords: 2, Metrics: set, Quarantine: q.Keep,
			Trouble: func(err error) { errors.As(err, &aside) }})
		for _, why := range []string{"a", "b", "poison", "c", "d"} {
			ticket, err := r.System(System{What: SystemStart, Why: why})
			if err != nil {
				t.Fatal(err)
			}
			if err := ticket.Wait(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		ctx, stop := context.WithCancel(t.Context())
		done := make(chan error)
		go func() { done <- s.Run(ctx) }()
		synctest.Wait()
		stop()
		if err := <-done; err != nil {
			t.Error(err)
		}
		if n := set.GetOrCreateCounter(`cwmpgate_audit_sink_quarantined_total{sink="s"}`).Get(); n == 0 {
			t.Error("nothing was counted")
		}
		if err := j.Close(t.Context()); err != nil {
			t.Error(err)
		}
	})
	if aside == nil || aside.First > 3 || aside.Last < 3 {
		t.Fatalf("told of %v", aside)
	}
	kept := int(aside.Last - aside.First + 1)
	if len(sink.taken) != 5-kept {
		t.Errorf("%d records taken, want %d", len(sink.taken), 5-kept)
	}
	for _, want := range []int{1, 0} {
		if want == 0 {
			sink.refuse = ""
		}
		taken, left, err := q.Retry(t.Context(), sink)
		if left != want || taken != 1-want || (err != nil) != (want == 1) {
			t.Errorf("retry: %d taken, %d left, %v; want %d left", taken, left, err, want)
		}
	}
	seen := map[uint64]bool{}
	for _, e := range sink.taken {
		if e.Salt == ([16]byte{}) || !strings.Contains(string(e.Bytes), `"seq":`) || seen[e.Seq] {
			t.Errorf("record %d came as %s", e.Seq, e.Bytes)
		}
		seen[e.Seq] = true
	}
	if len(seen) != 5 {
		t.Errorf("%d records in the end, want 5", len(seen))
	}
}

func TestQuarantineRefusesDamage(t *testing.T) {
	q := &Quarantine{Directory: t.TempDir()}
	b := &Batch{Log: "l", First: 1, Last: 2, Entries: []journal.Entry{{Seq: 1, Bytes: []byte(`{"v":1}`)}, {Seq: 2, Bytes: []byte(`{}`)}}}
	if err := q.Keep(b, errors.New("why")); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(q.Directory, "l-1-2")
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	for n := range text {
		damaged := append([]byte(nil), text...)
		damaged[n] ^= 1
		for _, text := range [][]byte{damaged, text[:n]} {
			if err := os.WriteFile(file, text, 0o600); err != nil {
				t.Fatal(err)
			}
			if _, left, err := q.Retry(t.Context(), &pickySink{}); err == nil || left != 1 {
				t.Fatalf("%q was taken", text)
			}
		}
	}
}

func TestQuarantineIsBounded(t *testing.T) {
	q := &Quarantine{Directory: t.TempDir()}
	for n := range uint64(MaxQuarantined) {
		if err := q.Keep(&Batch{Log: "l", First: n + 1, Last: n + 1}, errors.New("why")); err != nil {
			t.Fatal(err)
		}
	}
	if err := q.Keep(&Batch{Log: "l", First: 7, Last: 7}, errors.New("again")); err != nil {
		t.Errorf("one that is there: %v", err)
	}
	if err := q.Keep(&Batch{Log: "l", First: 1000, Last: 1000}, errors.New("why")); err == nil {
		t.Error("one more than the bound was kept")
	}
	names, err := q.Files()
	if err != nil || names[1] != "l-2-2" || names[MaxQuarantined-1] != "l-100-100" {
		t.Errorf("%v, %v", names, err)
	}
}
