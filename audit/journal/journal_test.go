package journal_test

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/cwmpgate/cwmpgate/audit/journal"
	"github.com/cwmpgate/cwmpgate/audit/journal/journaltest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var ctx = context.Background()

func open(t testing.TB, cfg journal.Config) *journal.Journal {
	t.Helper()
	j := journal.New(cfg)
	if err := j.Open(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = j.Close(context.Background()) })
	return j
}

func add(t testing.TB, j *journal.Journal, text string) journal.Ticket {
	t.Helper()
	ticket, err := j.Append(text1(text))
	if err != nil {
		t.Fatal(err)
	}
	return ticket
}

func text1(text string) func([]byte, uint64, time.Time) []byte {
	return func(dst []byte, _ uint64, _ time.Time) []byte { return append(dst, text...) }
}

func addAndWait(t testing.TB, j *journal.Journal, text string) {
	t.Helper()
	if err := add(t, j, text).Wait(ctx); err != nil {
		t.Fatal(err)
	}
}

// records reads a whole journal, up to the first error.
func records(j *journal.Journal) (texts []string, err error) {
	for e, err := range j.Records(1) {
		if err != nil {
			return texts, err
		}
		texts = append(texts, string(e.Bytes))
	}
	return texts, nil
}

func TestOneProcessPerDirectory(t *testing.T) {
	dir := t.TempDir()
	j := open(t, journal.Config{Directory: dir})
	if err := journal.New(journal.Config{Directory: dir}).Open(); !errors.Is(err, journal.ErrLocked) {
		t.Fatalf("second open: %v", err)
	}
	if err := j.Close(ctx); err != nil {
		t.Fatal(err)
	}
	id := j.ID()
	if again := open(t, journal.Config{Directory: dir}); again.ID() != id {
		t.Errorf("log %s became %s", id, again.ID())
	}
}

func TestClosed(t *testing.T) {
	j := journal.New(journal.Config{Directory: t.TempDir()})
	if _, err := j.Append(text1("x")); !errors.Is(err, journal.ErrClosed) {
		t.Errorf("append before open: %v", err)
	}
	if err := j.Open(); err != nil {
		t.Fatal(err)
	}
	ticket := add(t, j, "pending at close")
	c, err := j.Cursor("sink")
	if err != nil {
		t.Fatal(err)
	}
	cut, err := c.Cut(ctx, 10, 1000)
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Commit(cut); err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	wg.Go(func() {
		if _, err := c.Cut(ctx, 1, 1); !errors.Is(err, journal.ErrClosed) {
			t.Errorf("cut at close: %v", err)
		}
	})
	if err := j.Close(ctx); err != nil {
		t.Fatal(err)
	}
	wg.Wait()
	if err := ticket.Wait(ctx); err != nil {
		t.Errorf("close left a record behind: %v", err)
	}
	if _, err := j.Append(text1("x")); !errors.Is(err, journal.ErrClosed) {
		t.Errorf("append after close: %v", err)
	}
	if err := j.Close(ctx); err != nil {
		t.Errorf("second close: %v", err)
	}
}

// A copy of the directory goes on only after it was adopted, and then under
// an id of its own; a cut never spans both.
func TestCopiedDirectory(t *testing.T) {
	dir, twin := t.TempDir(), t.TempDir()
	j := open(t, journal.Config{Directory: dir})
	addAndWait(t, j, "one")
	addAndWait(t, j, "two")
	if err := j.Close(ctx); err != nil {
		t.Fatal(err)
	}
	if err := os.CopyFS(filepath.Join(twin, "j"), os.DirFS(dir)); err != nil {
		t.Fatal(err)
	}
	twin = filepath.Join(twin, "j")
	err := journal.New(journal.Config{Directory: twin}).Open()
	if err == nil {
		t.Skip("this file system cannot tell a copy")
	}
	if !errors.Is(err, journal.ErrCopied) {
		t.Fatal(err)
	}
	copied := open(t, journal.Config{Directory: twin, Adopt: true})
	if copied.ID() == j.ID() {
		t.Error("the adopted copy kept its id")
	}
	addAndWait(t, copied, "three")
	if err := copied.Close(ctx); err != nil {
		t.Fatal(err)
	}
	copied = open(t, journal.Config{Directory: twin})
	c, err := copied.Cursor("sink")
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []journal.Cut{{Log: j.ID(), First: 1, Last: 2}, {Log: copied.ID(), First: 3, Last: 3}} {
		cut, err := c.Cut(ctx, 100, 1000)
		if err != nil || cut != want {
			t.Fatalf("cut %v, %v instead of %v", cut, err, want)
		}
		for _, err := range c.Read(cut) {
			if err != nil {
				t.Fatal(err)
			}
		}
		if err := c.Commit(cut); err != nil {
			t.Fatal(err)
		}
	}
	if s, err := journal.Look(twin); err != nil || len(s.Problems) > 0 {
		t.Errorf("verify: %v, %v", s.Problems, err)
	}
}

func TestConcurrentAppenders(t *testing.T) {
	j := open(t, journal.Config{Directory: t.TempDir(), SegmentSize: 8 << 10, KeepAfterAck: -1})
	const workers, each = 16, 60
	var wg sync.WaitGroup
	for w := range workers {
		wg.Go(func() {
			for i := range each {
				text := fmt.Sprintf("%d/%d", w, i)
				ticket, err := j.Append(func(dst []byte, seq uint64, _ time.Time) []byte {
					return fmt.Appendf(dst, "%d %s", seq, text)
				})
				if err == nil && i%3 > 0 {
					err = ticket.Wait(ctx)
				}
				if err != nil {
					t.Error(err)
				}
			}
		})
	}
	c, err := j.Cursor("sink")
	if err != nil {
		t.Fatal(err)
	}
	next, place := uint64(1), map[int]int{}
	for next <= workers*each {
		cut, err := c.Cut(ctx, 50, 700)
		if err != nil {
			t.Fatal(err)
		}
		for e, err := range c.Read(cut) {
			var seq uint64
			var w, i int
			if _, serr := fmt.Sscanf(string(e.Bytes), "%d %d/%d", &seq, &w, &i); err != nil || serr != nil {
				t.Fatal(err, serr)
			}
			if e.Seq != next || seq != next || place[w] != i {
				t.Fatalf("record %d of worker %d is %q, wanted record %d, its %dth", e.Seq, w, e.Bytes, next, place[w])
			}
			next++
			place[w]++
		}
		if err := c.Commit(cut); err != nil {
			t.Fatal(err)
		}
	}
	wg.Wait()
	if records, bytes := c.Lag(); records != 0 || bytes != 0 {
		t.Errorf("lag %d records, %d bytes", records, bytes)
	}
}

// The time of a record never goes back, neither with the clock nor over a
// restart.
func TestClockStepsBack(t *testing.T) {
	fs := journaltest.New()
	clock := time.Date(2026, 11, 24, 23, 59, 59, 123456789, time.FixedZone("", 3600))
	cfg := journal.Config{Directory: "j", FS: fs, MaxDelay: -1, Now: func() time.Time { return clock }}
	var last time.Time
	at := func(j *journal.Journal) time.Time {
		var got time.Time
		ticket, err := j.Append(func(dst []byte, _ uint64, at time.Time) []byte { got = at; return dst })
		if err == nil {
			err = ticket.Wait(ctx)
		}
		if err != nil {
			t.Fatal(err)
		}
		if got.Before(last) || got.Location() != time.UTC || got.Nanosecond()%1000 != 0 {
			t.Fatalf("record at %v after one at %v", got, last)
		}
		last = got
		return got
	}
	j := open(t, cfg)
	if got := at(j); !got.Equal(clock.Truncate(time.Microsecond)) {
		t.Errorf("record at %v, the clock says %v", got, clock)
	}
	clock = clock.Add(-time.Hour)
	at(j)
	if err := j.Close(ctx); err != nil {
		t.Fatal(err)
	}
	at(open(t, cfg))
}

// An idle journal begins to write at once when somebody waits; at a high rate
// a sync begins MaxDelay after the one before; what nobody waits for is
// written after MaxDelay.
func TestMaxDelay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		j := journal.New(journal.Config{Directory: "j", FS: journaltest.New(), MaxDelay: 50 * time.Millisecond})
		if err := j.Open(); err != nil {
			t.Fatal(err)
		}
		defer j.Close(ctx)
		begin := time.Now()
		after := func(want time.Duration) {
			t.Helper()
			if got := time.Since(begin); got != want {
				t.Errorf("after %v instead of %v", got, want)
			}
			begin = time.Now()
		}
		addAndWait(t, j, "idle")
		after(0)
		addAndWait(t, j, "the next one")
		after(50 * time.Millisecond)
		c, err := j.Cursor("sink")
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Second)
		begin = time.Now()
		add(t, j, "nobody waits")
		for range 2 {
			cut, err := c.Cut(ctx, 2, 1000)
			if err != nil {
				t.Fatal(err)
			}
			if err := c.Commit(cut); err != nil {
				t.Fatal(err)
			}
		}
		after(50 * time.Millisecond)
		if n := j.Stats().Syncs; n != 3 {
			t.Errorf("%d syncs", n)
		}
	})
}

func TestDiskComesBack(t *testing.T) {
	for _, op := range []journaltest.Op{journaltest.Write, journaltest.Sync, journaltest.Rename, journaltest.SyncDir} {
		t.Run(string(op), func(t *testing.T) {
			fs := journaltest.New()
			well := make(chan struct{}, 100)
			j := open(t, journal.Config{Directory: "j", FS: fs, RetryEvery: time.Millisecond, Synced: func(c journal.Commit) {
				if c.Err == nil {
					well <- struct{}{}
				}
			}})
			addAndWait(t, j, "one")
			<-well
			fs.Fail(journaltest.Fault{Op: op, Err: syscall.ENOSPC, Times: -1, Short: 9})
			// A sealed segment needs no new name: fill what the others need.
			fs.Fail(journaltest.Fault{Op: journaltest.Sync, Err: syscall.EIO})
			two := add(t, j, "two")
			err := two.Wait(ctx)
			if !errors.Is(err, journal.ErrNotWritable) || !errors.Is(err, syscall.ENOSPC) {
				t.Fatalf("wait: %v", err)
			}
			if _, err := j.Append(text1("lost")); !errors.Is(err, journal.ErrNotWritable) {
				t.Errorf("append on a failed disk: %v", err)
			}
			if s := j.Stats(); s.Err == nil || s.Failures == 0 {
				t.Errorf("stats: %+v", s)
			}
			fs.Heal()
			<-well
			if err := two.Wait(ctx); err != nil {
				t.Errorf("the disk is back, but: %v", err)
			}
			addAndWait(t, j, "three")
			if got, err := records(j); fmt.Sprint(got) != "[one two three]" || err != nil {
				t.Errorf("records: %q, %v", got, err)
			}
			if j.Stats().Err != nil {
				t.Error(j.Stats().Err)
			}
		})
	}
}

func TestDiskHangs(t *testing.T) {
	fs := journaltest.New()
	j := open(t, journal.Config{Directory: "j", FS: fs, MaxDelay: -1, MaxPending: 1000})
	addAndWait(t, j, "one")
	hang := make(chan struct{})
	fs.Fail(journaltest.Fault{Op: journaltest.Sync, Path: "*.jrn.tmp", Hang: hang})
	ticket := add(t, j, "two")
	hurry, cancel := context.WithTimeout(ctx, 20*time.Millisecond)
	defer cancel()
	if err := ticket.Wait(hurry); !errors.Is(err, context.DeadlineExceeded) {
		t.Fatalf("wait: %v", err)
	}
	if j.Stats().Unfinished <= 0 {
		t.Errorf("stats: %+v", j.Stats())
	}
	var err error
	for i := 0; err == nil && i < 1000; i++ {
		_, err = j.Append(text1("more and more"))
	}
	if !errors.Is(err, journal.ErrBacklog) {
		t.Errorf("append while the disk hangs: %v", err)
	}
	if err := j.Close(hurry); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("close: %v", err)
	}
	close(hang)
	if err := j.Close(ctx); err != nil {
		t.Error(err)
	}
	if err := ticket.Wait(ctx); err != nil {
		t.Error(err)
	}
}

func TestFullAndTrimmed(t *testing.T) {
	for _, tt := range []struct {
		name       string
		keepAlways bool
		commit     bool
		wait       time.Duration
		full       bool
	}{
		{name: "nobody has read anything", full: true},
		{name: "all read, too young, gives way", commit: true},
		{name: "all read, too young, kept", commit: true, keepAlways: true, full: true},
		{name: "all read, old", commit: true, keepAlways: true, wait: 25 * time.Hour},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var gone uint64 // the last record that is told to have given way
				j := journal.New(journal.Config{
					Directory: "j", FS: journaltest.New(), MaxSize: 4000, SegmentSize: 500,
					KeepAlways: tt.keepAlways,
					GaveWay: func(s journal.GaveWay) {
						if s.First != gone+1 || s.Last < s.First || s.DiskFull || len(s.Log) != 32 {
							t.Errorf("told of %+v behind record %d", s, gone)
						}
						gone = s.Last
					},
				})
				if err := j.Open(); err != nil {
					t.Fatal(err)
				}
				defer j.Close(ctx)
				c, err := j.Cursor("sink")
				if err != nil {
					t.Fatal(err)
				}
				var full error
				for range 200 {
					ticket, err := j.Append(text1("a record of some forty bytes or just so."))
					if err != nil {
						full = err
						break
					}
					if err := ticket.Wait(ctx); err != nil {
						t.Fatal(err)
					}
					if !tt.commit {
						continue
					}
					cut, err := c.Cut(ctx, 1, 1)
					if err != nil {
						t.Fatal(err)
					}
					if err := c.Commit(cut); err != nil {
						t.Fatal(err)
					}
					time.Sleep(tt.wait) // of the bubble's own clock
					synctest.Wait()
				}
				if tt.full != errors.Is(full, journal.ErrFull) {
					t.Errorf("append: %v", full)
				}
				s := j.Stats()
				if s.Bytes > 4100 || s.Full != tt.full || (s.Removed > 0) == tt.full {
					t.Errorf("stats: %+v", s)
				}
				if early := s.Removed > 0 && tt.wait == 0; early != (gone > 0) || early && gone != s.Oldest-1 {
					t.Errorf("told that records up to %d gave way, the oldest is %d", gone, s.Oldest)
				}
				if got, err := records(j); err != nil || uint64(len(got)) != s.Durable-s.Oldest+1 {
					t.Errorf("%d records, %v: %+v", len(got), err, s)
				}
			})
		})
	}
}

// On a full disk what every cursor has committed gives way at once, and is told;
// a record that is appended then, to say so, is no trouble.
func TestFullDiskMakesRoom(t *testing.T) {
	fs := journaltest.New()
	var j *journal.Journal
	var gone []journal.GaveWay
	j = journal.New(journal.Config{Directory: "j", FS: fs, MaxDelay: -1, SegmentSize: 200, RetryEvery: time.Millisecond, GaveWay: func(s journal.GaveWay) {
		gone = append(gone, s)
		if _, err := j.Append(text1("gave way")); err != nil {
			t.Error(err)
		}
	}})
	if err := j.Open(); err != nil {
		t.Fatal(err)
	}
	c, err := j.Cursor("sink")
	if err != nil {
		t.Fatal(err)
	}
	for range 12 {
		addAndWait(t, j, "a record that is committed")
	}
	cut, err := c.Cut(ctx, 100, 1<<20)
	if err == nil {
		err = c.Commit(cut)
	}
	if err != nil {
		t.Fatal(err)
	}
	before := j.Stats()
	fs.Fail(journaltest.Fault{Op: journaltest.Write, Path: "*.jrn*", Err: syscall.ENOSPC})
	ticket, err := j.Append(text1("one more"))
	if err == nil {
		err = ticket.Wait(ctx)
	}
	if err != nil {
		t.Fatal(err)
	}
	if err := j.Close(ctx); err != nil {
		t.Fatal(err)
	}
	s := j.Stats()
	if s.Removed == 0 || len(gone) != 1 || !gone[0].DiskFull || gone[0].First != before.Oldest || gone[0].Last != s.Oldest-1 || gone[0].Log != j.ID() {
		t.Errorf("told of %+v; %+v", gone, s)
	}
}

// A segment deleted while it is written is noticed, and the journal goes on.
func TestSegmentVanishes(t *testing.T) {
	dir := t.TempDir()
	j := open(t, journal.Config{Directory: dir, MaxDelay: -1})
	addAndWait(t, j, "one")
	journal.InspectNow(j)
	if err := os.Remove(filepath.Join(dir, "0000000000000001.jrn")); err != nil {
		t.Fatal(err)
	}
	addAndWait(t, j, "two")
	if s := j.Stats(); s.Suspect != 1 || s.Err != nil {
		t.Errorf("stats: %+v", s)
	}
	if _, err := os.Stat(filepath.Join(dir, "0000000000000002.jrn")); err != nil {
		t.Error(err)
	}
	var damage *journal.CorruptionError
	if _, err := records(j); !errors.As(err, &damage) || damage.Segment != "0000000000000001.jrn" {
		t.Errorf("read: %v", err)
	}
}

func TestCursorNames(t *testing.T) {
	j := open(t, journal.Config{Directory: "j", FS: journaltest.New()})
	for _, name := range []string{"", ".", "../x", "a/b", "A", "a.tmp", string(make([]byte, 65))} {
		if _, err := j.Cursor(name); err == nil {
			t.Errorf("cursor %q was made", name)
		}
	}
	a, err := j.Cursor("click-house_1")
	if err != nil {
		t.Fatal(err)
	}
	if b, err := j.Cursor("click-house_1"); a != b || err != nil {
		t.Errorf("second call: %v, %v", b, err)
	}
	if err := j.DropCursor("click-house_1"); err != nil {
		t.Error(err)
	}
	if err := j.DropCursor("click-house_1"); err == nil {
		t.Error("dropped twice")
	}
	if err := a.Commit(journal.Cut{}); err == nil {
		t.Error("committed no cut")
	}
}

// frames gives the offsets where a segment's frames begin, and its end.
func frames(segment []byte) []int {
	offsets := []int{48}
	for off := 48; off < len(segment); {
		off += int(binary.BigEndian.Uint32(segment[off:]))
		offsets = append(offsets, off)
	}
	return offsets
}
