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
)

// flakySink fails so many times and then takes everything.
type flakySink struct {
	fail  int
	tries []Batch // of every Write, without entries
	times []time.Time
	taken []string
}

func (s *flakySink) Write(_ context.Context, b *Batch) error {
	s.tries = append(s.tries, Batch{Log: b.Log, First: b.First, Last: b.Last})
	s.times = append(s.times, time.Now())
	if s.fail > 0 {
		s.fail--
		return errors.New("store is away")
	}
	for _, entry := range b.Entries {
		s.taken = append(s.taken, string(entry.Bytes))
	}
	b.Unprojected = 1
	return nil
}

func (s *flakySink) Close() error { return nil }

func TestShipper(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		j := journal.New(journal.Config{Directory: "j", FS: journaltest.New()})
		if err := j.Open(); err != nil {
			t.Fatal(err)
		}
		set := metrics.NewSet()
		r := NewRecorder(Config{}, j, set)
		cursor, err := j.Cursor("sqlite")
		if err != nil {
			t.Fatal(err)
		}
		sink := &flakySink{fail: 4}
		var troubles []string
		s := NewShipper(ShipperConfig{Name: `odd "name"`, Cursor: cursor, Sink: sink, MaxRecords: 3, Metrics: set,
			Trouble: func(err error) {
				if err == nil {
					troubles = append(troubles, "well")
				} else {
					troubles = append(troubles, err.Error())
				}
			}})
		record := func() {
			ticket, err := r.System(System{What: SystemStart})
			if err != nil || ticket.Wait(t.Context()) != nil {
				t.Fatal("not recorded", err)
			}
		}
		for range 5 {
			record()
		}
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error)
		go func() { done <- s.Run(ctx) }()
		time.Sleep(100 * time.Millisecond)
		record() // must not make the batch that is in doubt any larger
		time.Sleep(time.Minute)
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Run ended with %v", err)
		}

		if len(sink.tries) != 6 || sink.tries[4].Last != 3 || sink.tries[5].First != 4 || sink.tries[5].Last != 6 {
			t.Fatalf("tries: %+v", sink.tries)
		}
		for i := 1; i < 5; i++ {
			if sink.tries[i].Log != j.ID() || sink.tries[i].First != 1 || sink.tries[i].Last != 3 {
				t.Errorf("try %d is of another cut: %+v", i+1, sink.tries[i])
			}
			wait, most := sink.times[i].Sub(sink.times[i-1]), 100*time.Millisecond<<(i-1)
			if wait < most/2 || wait > most+time.Millisecond {
				t.Errorf("try %d came %v after the one before, want %v to %v", i+1, wait, most/2, most)
			}
		}
		if want := strings.Join(recorded(t, j), "\n"); strings.Join(sink.taken, "\n") != want {
			t.Errorf("the sink has\n%s\nwant\n%s", strings.Join(sink.taken, "\n"), want)
		}
		if len(troubles) != 5 || troubles[4] != "well" || troubles[0] != `ship to odd "name": store is away` {
			t.Errorf("troubles: %q", troubles)
		}
		var out strings.Builder
		set.WritePrometheus(&out)
		for _, want := range []string{
			`cwmpgate_audit_sink_lag_records{sink="odd \"name\""} 0`,
			`cwmpgate_audit_sink_errors_total{sink="odd \"name\""} 4`,
			`cwmpgate_audit_sink_records_total{sink="odd \"name\""} 6`,
			`cwmpgate_audit_sink_unprojected_total{sink="odd \"name\""} 2`,
		} {
			if !strings.Contains(out.String(), want) {
				t.Errorf("no %s in\n%s", want, out.String())
			}
		}
		if err := j.Close(t.Context()); err != nil {
			t.Error(err)
		}
		if err := s.Run(t.Context()); err != nil {
			t.Errorf("with the journal closed Run ends with %v", err)
		}
	})
}

// TestShipperStopsWhileItWaits: a context that ends in a pause ends Run.
func TestShipperStopsWhileItWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		j := journal.New(journal.Config{Directory: "j", FS: journaltest.New()})
		if err := j.Open(); err != nil {
			t.Fatal(err)
		}
		set := metrics.NewSet()
		if _, err := NewRecorder(Config{}, j, set).System(System{What: SystemStart}); err != nil {
			t.Fatal(err)
		}
		cursor, err := j.Cursor("sqlite")
		if err != nil {
			t.Fatal(err)
		}
		s := NewShipper(ShipperConfig{Name: "s", Cursor: cursor, Sink: &flakySink{fail: 1 << 30}, Metrics: set})
		ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
		defer cancel()
		began := time.Now()
		if err := s.Run(ctx); err != nil || time.Since(began) != time.Hour {
			t.Errorf("Run ended after %v with %v", time.Since(began), err)
		}
		_ = j.Close(context.Background())
	})
}

// refusal is an error that no other try can heal.
type refusal struct{ error }

func (refusal) Permanent() bool { return true }

// stubbornSink takes batches until one holds the record bad.
type stubbornSink struct {
	bad   uint64
	tries int
	taken uint64
}

func (s *stubbornSink) Write(_ context.Context, b *Batch) error {
	s.tries++
	for _, e := range b.Entries {
		if e.Seq == s.bad {
			return fmt.Errorf("write to store x: %w", refusal{errors.New("record 4 differs")})
		}
	}
	s.taken = b.Last
	return nil
}

func (s *stubbornSink) Close() error { return nil }

// TestShipperStopsForGood: a batch that can never be taken is tried once, and
// the error says where it is. The journal takes records as before, and what
// was not shipped stays.
func TestShipperStopsForGood(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		j := journal.New(journal.Config{Directory: "j", FS: journaltest.New()})
		if err := j.Open(); err != nil {
			t.Fatal(err)
		}
		set := metrics.NewSet()
		r := NewRecorder(Config{}, j, set)
		record := func() {
			ticket, err := r.System(System{What: SystemStart})
			if err != nil || ticket.Wait(t.Context()) != nil {
				t.Fatal("not recorded", err)
			}
		}
		for range 6 {
			record()
		}
		cursor, err := j.Cursor("sqlite")
		if err != nil {
			t.Fatal(err)
		}
		sink := &stubbornSink{bad: 4}
		var trouble error
		s := NewShipper(ShipperConfig{Name: "sqlite", Cursor: cursor, Sink: sink, MaxRecords: 2, Metrics: set,
			Trouble: func(err error) { trouble = err }})
		patience, cancel := context.WithTimeout(t.Context(), time.Hour)
		defer cancel()
		err = s.Run(patience)
		var stopped *StoppedError
		if !errors.As(err, &stopped) || stopped.Log != j.ID() || stopped.First != 3 || stopped.Last != 4 || stopped.Sink != "sqlite" {
			t.Fatalf("Run ended with %v", err)
		}
		for _, want := range []string{"records 3 to 4 of log " + j.ID(), "sqlite", "record 4 differs", "nothing was discarded", "docs/journal.md"} {
			if !strings.Contains(err.Error(), want) {
				t.Errorf("the error does not say %q: %v", want, err)
			}
		}
		if !errors.Is(trouble, err) {
			t.Errorf("the trouble told is %v", trouble)
		}
		if sink.tries != 2 || sink.taken != 2 {
			t.Errorf("%d tries, record %d was the last taken", sink.tries, sink.taken)
		}
		record()
		if records, _ := cursor.Lag(); records != 5 {
			t.Errorf("%d records wait, want 5", records)
		}
		var out strings.Builder
		set.WritePrometheus(&out)
		if want := `cwmpgate_audit_sink_stopped_total{sink="sqlite"} 1`; !strings.Contains(out.String(), want) {
			t.Errorf("no %s in\n%s", want, out.String())
		}
		// Healed by hand and started again, it goes on from there.
		sink.bad = 0
		ctx, done := context.WithTimeout(t.Context(), time.Second)
		defer done()
		if err := s.Run(ctx); err != nil || sink.taken != 7 {
			t.Errorf("run again: %v, record %d was the last taken", err, sink.taken)
		}
		_ = j.Close(context.Background())
	})
}
