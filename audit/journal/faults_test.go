package journal_test

import (
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cwmpgate/cwmpgate/audit/journal"
	"github.com/cwmpgate/cwmpgate/audit/journal/journaltest"
)

// Each operation fails once, at each of its occasions in the life of a journal:
// nothing that was promised is missing afterwards, nothing is there that was not
// appended, and the journal is well again without a restart.
func TestFaults(t *testing.T) {
	faults := []journaltest.Fault{{Err: syscall.EIO}, {Err: syscall.ENOSPC}}
	short := []journaltest.Fault{{Err: io.ErrShortWrite, Short: 1}, {Err: syscall.ENOSPC, Short: 100}, {Err: syscall.EIO, Short: 1 << 20}}
	places := 0
	for _, op := range journaltest.Ops() {
		kinds := faults
		if op == journaltest.Write {
			kinds = append(kinds, short...)
		}
		for _, fault := range kinds {
			fault.Op = op
			met := 0
			for more := true; more; fault.Skip++ {
				hit, again, err := failOnce(fault)
				if err != nil {
					t.Fatalf("%s fails with %v after %d: %v", op, fault.Err, fault.Skip, err)
				}
				if more = again; hit {
					met++
				}
			}
			if met == 0 {
				t.Errorf("%s has never failed", op)
			}
			places += met
		}
	}
	t.Logf("figures: single faults: %d at %d kinds of operation", places, len(journaltest.Ops()))
}

// failOnce lives two lives, of which the first has a fault. It says whether the
// fault was met, and whether one that comes later could be.
func failOnce(fault journaltest.Fault) (met, more bool, err error) {
	w := newWorld(uint64(fault.Skip))
	leads := fault.Op
	if fault.Op == journaltest.Truncate { // a segment is cut only after a write that failed
		leads, w.room = journaltest.Write, 1<<20
		w.fs.Fail(journaltest.Fault{Op: leads, Path: "*.jrn*", Skip: fault.Skip, Err: syscall.EIO, Short: 10})
		fault.Skip = 0
	}
	w.fs.Fail(fault)
	for life := range 2 {
		if err := w.open(); err != nil {
			return met, more, err
		}
		for range 12 {
			if w.j.Stats().Err == journal.ErrClosed {
				break
			}
			if err := w.append(); err != nil {
				return met, more, err
			}
			if err := w.ship(); err != nil {
				return met, more, err
			}
		}
		if life == 0 {
			met, more = w.fs.Unused(fault.Op) == 0, w.fs.Unused(leads) == 0
		}
		w.fs.Heal()
		if err := w.j.Close(ctx); err != nil {
			return met, more, err
		}
	}
	if err := w.open(); err != nil {
		return met, more, err
	}
	defer w.j.Close(ctx)
	ticket, err := w.j.Append(text1("well again"))
	if err == nil {
		err = ticket.Wait(ctx)
	}
	return met, more, err
}

// A slow disk makes everybody wait and nobody go without: what is appended
// meanwhile shares the next sync.
func TestSlowDisk(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const slow = 3 * time.Second
		fs := journaltest.New()
		j := journal.New(journal.Config{Directory: "j", FS: fs})
		if err := j.Open(); err != nil {
			t.Fatal(err)
		}
		defer j.Close(ctx)
		addAndWait(t, j, "before")
		fs.Fail(journaltest.Fault{Op: journaltest.Sync, Path: "*.jrn*", Times: -1, Slow: slow})
		before := j.Stats().Syncs
		var waiting sync.WaitGroup
		for i := range 40 {
			time.Sleep(100 * time.Millisecond) // of the bubble's own clock
			waiting.Go(func() {
				began := time.Now()
				ticket, err := j.Append(text1(fmt.Sprint("record ", i)))
				if err == nil {
					err = ticket.Wait(ctx)
				}
				if took := time.Since(began); err != nil || took < slow || took > 2*slow+10*time.Millisecond {
					t.Errorf("record %d: after %v: %v", i, took, err)
				}
			})
		}
		if got := j.Stats().Unfinished; got < 0 || got > slow {
			t.Errorf("a sync has taken %v", got)
		}
		waiting.Wait()
		if s := j.Stats(); s.Err != nil || s.Syncs-before > 4 || s.LastSync < slow {
			t.Errorf("stats: %+v", s)
		}
		if got, err := records(j); err != nil || len(got) != 41 {
			t.Errorf("%d records, %v", len(got), err)
		}
	})
}

// A clock that steps forth and back by days: times of records never go back, not
// over a restart either, and nothing is trimmed that a reader has not committed.
func TestClockSteps(t *testing.T) {
	rng := rand.New(rand.NewPCG(7, 7))
	fs := journaltest.New()
	var mu sync.Mutex
	clock := time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)
	cfg := journal.Config{Directory: "j", FS: fs, MaxDelay: -1, SegmentSize: 700, KeepAfterAck: time.Hour, Now: func() time.Time {
		mu.Lock()
		defer mu.Unlock()
		clock = clock.Add(time.Millisecond)
		return clock
	}}
	var last time.Time
	next, removed := uint64(1), uint64(0) // next: that the reader has not committed
	for life := range 8 {
		j := journal.New(cfg)
		if err := j.Open(); err != nil {
			t.Fatal(err)
		}
		c, err := j.Cursor("sink")
		if err != nil {
			t.Fatal(err)
		}
		for range 60 {
			mu.Lock()
			clock = clock.Add(time.Duration(rng.Int64N(int64(96*time.Hour)) - int64(48*time.Hour)))
			mu.Unlock()
			var at time.Time
			ticket, err := j.Append(func(dst []byte, seq uint64, now time.Time) []byte {
				at = now
				return fmt.Appendf(dst, "record %d", seq)
			})
			if err == nil {
				err = ticket.Wait(ctx)
			}
			if err != nil {
				t.Fatal(err)
			}
			if at.Before(last) {
				t.Fatalf("life %d: record %d is of %v, the one before of %v", life, ticket.Seq(), at, last)
			}
			last = at
			if rng.IntN(3) > 0 {
				continue
			}
			cut, err := c.Cut(ctx, 1+rng.IntN(8), 1<<20)
			if err != nil {
				t.Fatal(err)
			}
			for e, err := range c.Read(cut) {
				if err != nil || e.Seq != next || string(e.Bytes) != fmt.Sprintf("record %d", next) {
					t.Fatalf("life %d: %q in place of record %d: %v", life, e.Bytes, next, err)
				}
				next++
			}
			if err := c.Commit(cut); err != nil {
				t.Fatal(err)
			}
		}
		removed += j.Stats().Removed
		if err := j.Close(ctx); err != nil && !errors.Is(err, journal.ErrClosed) {
			t.Fatal(err)
		}
	}
	if removed == 0 {
		t.Error("nothing was ever trimmed")
	}
}
