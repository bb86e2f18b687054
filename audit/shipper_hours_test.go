package audit

import (
	"context"
	"errors"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/VictoriaMetrics/metrics"

	"github.com/cwmpgate/cwmpgate/audit/journal"
	"github.com/cwmpgate/cwmpgate/audit/journal/journaltest"
)

// awaySink takes nothing until a time.
type awaySink struct {
	until time.Time
	tries int
	taken []string
	at    time.Time // of the first batch taken
}

func (s *awaySink) Write(_ context.Context, b *Batch) error {
	s.tries++
	if time.Now().Before(s.until) {
		return errors.New("store is away")
	}
	if s.at.IsZero() {
		s.at = time.Now()
	}
	for _, entry := range b.Entries {
		s.taken = append(s.taken, string(entry.Bytes))
	}
	return nil
}

func (s *awaySink) Close() error { return nil }

// TestStoreAwayForHours: whatever the journal took meanwhile comes to the store
// when it is there again, once and in order, however long keep_after_ack is over;
// at max_size the journal takes no more, and what it has stays.
func TestStoreAwayForHours(t *testing.T) {
	for _, x := range []struct {
		name string
		size int64
		full bool
	}{{"room enough", 1 << 20, false}, {"max_size is reached", 40 << 10, true}} {
		t.Run(x.name, func(t *testing.T) { storeAway(t, x.size, x.full) })
	}
}

func storeAway(t *testing.T, size int64, full bool) {
	synctest.Test(t, func(t *testing.T) {
		const away = 9 * time.Hour
		j := journal.New(journal.Config{Directory: "j", FS: journaltest.New(), MaxSize: size, SegmentSize: 4 << 10, KeepAfterAck: time.Hour})
		if err := j.Open(); err != nil {
			t.Fatal(err)
		}
		set := metrics.NewSet()
		r := NewRecorder(Config{}, j, set)
		cursor, err := j.Cursor("sqlite")
		if err != nil {
			t.Fatal(err)
		}
		sink := &awaySink{until: time.Now().Add(away)}
		s := NewShipper(ShipperConfig{Name: "sqlite", Cursor: cursor, Sink: sink, Metrics: set})
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error)
		go func() { ended <- s.Run(ctx) }()
		taken, refused := 0, 0
		for range 9 * 60 {
			ticket, err := r.System(System{What: SystemStore, Why: "a record of the hours in which the store is away"})
			switch {
			case errors.Is(err, journal.ErrFull):
				refused++
			case err != nil || ticket.Wait(t.Context()) != nil:
				t.Fatal(err)
			default:
				taken++
			}
			time.Sleep(time.Minute)
		}
		if full != (refused > 0) || taken == 0 {
			t.Errorf("%d records taken, %d refused", taken, refused)
		}
		if n := j.Stats().Removed; n > 0 {
			t.Errorf("%d segments are gone that the store does not have", n)
		}
		synctest.Wait()
		if most := int(away/(15*time.Second)) + 20; sink.tries > most {
			t.Errorf("%d tries in %v, want at most %d", sink.tries, away, most)
		}
		want := recorded(t, j)
		time.Sleep(time.Minute)
		synctest.Wait()
		if late := sink.at.Sub(sink.until); late < 0 || late > 30*time.Second {
			t.Errorf("the store was given records %v after it was back", late)
		}
		// Behind them a gap tells what was refused.
		if len(sink.taken) < len(want) || !slices.Equal(sink.taken[:len(want)], want) || len(want) != taken {
			t.Errorf("the store has %d records, the journal had %d, %d were taken", len(sink.taken), len(want), taken)
		}
		if _, err := r.System(System{What: SystemStop}); err != nil {
			t.Errorf("the journal does not take records again: %v", err)
		}
		r.Close()
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
		if err := j.Close(context.Background()); err != nil {
			t.Error(err)
		}
	})
}
