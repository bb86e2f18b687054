package journal_test

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"slices"
	"syscall"
	"testing"
	"time"

	"github.com/cwmpgate/cwmpgate/audit/journal"
	"github.com/cwmpgate/cwmpgate/audit/journal/journaltest"
)

var lostRuns = flag.Int("lostwrites", 500, "seeded runs of TestLostWrites")

// world is one journal through several lives, beside what was promised of it.
type world struct {
	rng  *rand.Rand
	fs   *journaltest.FS
	j    *journal.Journal
	sink *journal.Cursor
	life int
	room int64 // in a segment; 0: chance decides

	id       string
	appended map[uint64][]byte // of this life, or found after the last crash
	promised map[uint64][]byte // a ticket was released, or a reader was given it
	cut      journal.Cut       // returned and not committed
	// committed is what Commit has confirmed; maybe is further where a Commit
	// or Cut has failed, so that either may stand on disk.
	committed, maybe uint64
}

func newWorld(seed uint64) *world {
	return &world{
		rng: rand.New(rand.NewPCG(seed, 59)), fs: journaltest.New(),
		appended: map[uint64][]byte{}, promised: map[uint64][]byte{},
	}
}

func (w *world) config() journal.Config {
	c := journal.Config{
		Directory: "j", FS: w.fs, SegmentSize: int64(600 + w.rng.IntN(2500)),
		MaxDelay: -1, KeepAfterAck: -1, RetryEvery: time.Microsecond,
	}
	if w.rng.IntN(3) == 0 {
		c.MaxDelay = 20 * time.Microsecond
	}
	if w.room > 0 {
		c.SegmentSize = w.room
	}
	return c
}

// open starts a life and compares what is there with what was promised.
func (w *world) open() error {
	w.life++
	w.j = journal.New(w.config())
	w.sink = nil
	if err := w.j.Open(); err != nil {
		return w.unlessKilled(err)
	}
	if id := w.j.ID(); w.id == "" {
		w.id = id
	} else if id != w.id {
		return fmt.Errorf("log %s became %s", w.id, id)
	}
	return w.compare()
}

func (w *world) compare() error {
	found := map[uint64][]byte{}
	var first, last uint64
	for e, err := range w.j.Records(1) {
		if err != nil {
			return w.unlessKilled(err)
		}
		if first == 0 || e.Seq-1 <= w.maybe {
			first = e.Seq // what is before may be trimmed meanwhile
		} else if e.Seq != last+1 {
			return fmt.Errorf("record %d follows %d", e.Seq, last)
		}
		last = e.Seq
		if !bytes.Equal(w.appended[e.Seq], e.Bytes) {
			return fmt.Errorf("record %d is %.40q, was appended as %.40q", e.Seq, e.Bytes, w.appended[e.Seq])
		}
		found[e.Seq] = e.Bytes
	}
	if w.fs.Killed() {
		return nil
	}
	for seq, b := range w.promised {
		if seq > w.maybe && !bytes.Equal(found[seq], b) {
			return fmt.Errorf("record %d was promised and is not there (%d to %d are)", seq, first, last)
		}
	}
	if first > w.maybe+1 {
		return fmt.Errorf("the journal begins with %d, but only %d is committed", first, w.maybe)
	}
	// What was found was shown, and what was not may never come back.
	for seq, b := range found {
		w.promised[seq] = b
	}
	for seq := range w.appended {
		if seq > last && w.promised[seq] == nil {
			delete(w.appended, seq)
		}
	}
	return w.compareCursor()
}

func (w *world) compareCursor() error {
	c, err := w.j.Cursor("sink")
	if err != nil {
		return w.unlessKilled(err)
	}
	w.sink = c
	at := w.j.Stats().Cursors[0].Committed
	if at != w.committed && at != w.maybe {
		return fmt.Errorf("cursor stands at %d, not at %d or %d", at, w.committed, w.maybe)
	}
	if w.cut.First > 0 && at == w.committed {
		cut, err := c.Cut(context.Background(), 1, 1)
		if err != nil {
			return w.unlessKilled(err)
		}
		if cut != w.cut {
			return fmt.Errorf("open cut %v became %v", w.cut, cut)
		}
	}
	if at != w.committed {
		w.cut = journal.Cut{}
	}
	w.committed, w.maybe = at, at
	return nil
}

func (w *world) unlessKilled(err error) error {
	if w.fs.Killed() || errors.Is(err, syscall.EIO) || errors.Is(err, syscall.ENOSPC) || errors.Is(err, io.ErrShortWrite) {
		return nil
	}
	return err
}

func (w *world) append() error {
	var tickets []journal.Ticket
	for range 1 + w.rng.IntN(4) {
		body := bytes.Repeat([]byte{byte('a' + w.rng.IntN(26))}, w.rng.IntN(900))
		var made []byte
		t, err := w.j.Append(func(dst []byte, seq uint64, at time.Time) []byte {
			made = fmt.Appendf(nil, "%d/%d/%d/%s", w.life, seq, at.UnixMicro(), body)
			return append(dst, made...)
		})
		if errors.Is(err, journal.ErrNotWritable) {
			return nil
		}
		if err != nil {
			return err
		}
		if w.promised[t.Seq()] != nil {
			return fmt.Errorf("number %d is given out a second time", t.Seq())
		}
		w.appended[t.Seq()] = made
		tickets = append(tickets, t)
	}
	for _, t := range tickets {
		if w.rng.IntN(3) == 0 {
			continue
		}
		switch err := t.Wait(context.Background()); {
		case err == nil:
			w.promised[t.Seq()] = w.appended[t.Seq()]
		case !errors.Is(err, journal.ErrNotWritable):
			return err
		}
	}
	return nil
}

func (w *world) ship() error {
	if w.sink == nil {
		return nil
	}
	s := w.j.Stats()
	if s.Durable <= w.committed {
		return nil
	}
	cut, err := w.sink.Cut(context.Background(), 1+w.rng.IntN(30), 20000)
	if err != nil {
		return w.unlessKilled(err)
	}
	if w.cut.First > 0 && cut != w.cut {
		return fmt.Errorf("open cut %v became %v", w.cut, cut)
	}
	w.cut = cut
	next := cut.First
	for e, err := range w.sink.Read(cut) {
		if err != nil {
			return w.unlessKilled(err)
		}
		if e.Seq != next || !bytes.Equal(e.Bytes, w.appended[e.Seq]) {
			return fmt.Errorf("cut %v gives record %d as %.40q", cut, e.Seq, e.Bytes)
		}
		w.promised[e.Seq] = e.Bytes
		next++
	}
	if next != cut.Last+1 {
		return fmt.Errorf("cut %v ends with %d", cut, next-1)
	}
	if w.rng.IntN(4) == 0 {
		return nil
	}
	w.maybe = cut.Last
	if err := w.sink.Commit(cut); err != nil {
		return w.unlessKilled(err)
	}
	w.committed, w.cut = cut.Last, journal.Cut{}
	return nil
}

func (w *world) step() error {
	switch n := w.rng.IntN(20); {
	case n < 11:
		return w.append()
	case n < 18:
		return w.ship()
	case n < 19:
		ops := []journaltest.Op{journaltest.Sync, journaltest.Write, journaltest.SyncDir, journaltest.Rename, journaltest.Append, journaltest.Truncate}
		w.fs.Fail(journaltest.Fault{
			Op: ops[w.rng.IntN(len(ops))], Err: syscall.EIO, Short: w.rng.IntN(600),
			Skip: w.rng.IntN(3), Times: 1 + w.rng.IntN(3),
		})
		return nil
	}
	w.fs.Heal()
	if err := w.j.Close(context.Background()); err != nil {
		return w.unlessKilled(err)
	}
	if w.fs.Killed() {
		return nil
	}
	return w.open()
}

// live runs one journal through crashes and restarts.
func live(seed uint64, deaf string) (sites map[string]int, err error) {
	w := newWorld(seed)
	w.fs.Ignore(deaf)
	defer func() {
		w.fs.Kill()
		_ = w.j.Close(context.Background())
		sites = w.fs.Sites()
		if err != nil {
			err = fmt.Errorf("seed %d, life %d: %w", seed, w.life, err)
		}
	}()
	for range 2 + w.rng.IntN(5) {
		// Early deaths are in the middle of a start.
		w.fs.KillAt(1 + w.rng.IntN([]int{12, 40, 300}[w.rng.IntN(3)]))
		if w.rng.IntN(3) == 0 {
			// Written, not synced, and the page cache shows it.
			w.fs.Fail(journaltest.Fault{Op: journaltest.Sync, Path: "*.jrn*", Skip: w.rng.IntN(8), Kill: true})
		}
		if err := w.open(); err != nil {
			return nil, err
		}
		for range 40 {
			if w.fs.Killed() {
				break
			}
			if err := w.step(); err != nil && !w.fs.Killed() {
				return nil, err
			}
		}
		w.fs.Kill()
		_ = w.j.Close(context.Background())
		if w.rng.IntN(2) == 0 {
			w.fs = w.fs.Restart()
		} else {
			w.fs = w.fs.Crash(w.rng)
		}
	}
	return nil, w.open()
}

// A disk that keeps only what was synced, loses, tears and reorders the rest:
// every record whose ticket was released or that a reader was given is there
// afterwards, in order, once, and nothing else is.
func TestLostWrites(t *testing.T) {
	for seed := range uint64(*lostRuns) {
		if _, err := live(seed, ""); err != nil {
			t.Fatal(err)
		}
	}
	t.Logf("figures: lost writes: %d runs", *lostRuns)
}

// With any one of the journal's syncs left out, TestLostWrites must notice.
func TestEverySyncMatters(t *testing.T) {
	seen := map[string]int{}
	for seed := range uint64(20) {
		sites, err := live(seed, "")
		if err != nil {
			t.Fatal(err)
		}
		for s, n := range sites {
			seen[s] += n
		}
	}
	var sites []string
	for s := range seen {
		sites = append(sites, s)
	}
	slices.Sort(sites)
	if len(sites) < 8 {
		t.Fatalf("only these sync: %q", sites)
	}
	noticed := 0
	for _, site := range sites {
		t.Run(site, func(t *testing.T) {
			for seed := range uint64(3000) {
				if _, err := live(seed, site); err != nil {
					t.Logf("noticed after %d runs: %v", seed+1, err)
					noticed++
					return
				}
			}
			t.Error("nobody notices when this sync is left out")
		})
	}
	t.Logf("figures: each of %d syncs left out: %d noticed", len(sites), noticed)
}
