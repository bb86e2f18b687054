package audit

import (
	"context"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/VictoriaMetrics/metrics"

	"github.com/cwmpgate/cwmpgate/audit/journal"
	"github.com/cwmpgate/cwmpgate/audit/journal/journaltest"
)

// A segment that is not there now, since its directory was moved away, may come
// back: the store is fed again once it does, and told of meanwhile.
func TestShipperTriesAgainWhatTheSystemRefuses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		disk := journaltest.New()
		j := journal.New(journal.Config{Directory: "j", FS: disk})
		if err := j.Open(); err != nil {
			t.Fatal(err)
		}
		set := metrics.NewSet()
		r := NewRecorder(Config{}, j, set)
		cursor, err := j.Cursor("sqlite")
		if err != nil {
			t.Fatal(err)
		}
		ticket, err := r.System(System{What: SystemStart})
		if err != nil || ticket.Wait(t.Context()) != nil {
			t.Fatal("not recorded", err)
		}
		disk.Fail(journaltest.Fault{Op: journaltest.Open, Path: "*.jrn", Times: 3, Err: syscall.ENOENT})
		sink := &flakySink{}
		s := NewShipper(ShipperConfig{Name: "sqlite", Cursor: cursor, Sink: sink, Metrics: set})
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- s.Run(ctx) }()
		time.Sleep(time.Minute)
		synctest.Wait()
		if len(sink.taken) != 1 {
			t.Errorf("%d records arrived", len(sink.taken))
		}
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
		r.Close()
		j.Close(context.Background())
	})
}
