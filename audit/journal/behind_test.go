package journal_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/cwmpgate/cwmpgate/audit/journal"
)

// TestAppendBehind: while many append, a record that says which ones are before
// it has it right each time, and all are found in the journal so.
func TestAppendBehind(t *testing.T) {
	for _, delay := range []time.Duration{-1, time.Millisecond} {
		t.Run(fmt.Sprint(delay), func(t *testing.T) {
			j := open(t, journal.Config{Directory: t.TempDir(), MaxDelay: delay})
			stop, done := context.WithCancel(t.Context())
			var wg sync.WaitGroup
			for i := range 4 {
				wg.Go(func() {
					for n := 0; stop.Err() == nil; n++ {
						ticket, err := j.Append(func(dst []byte, seq uint64, _ time.Time) []byte { return fmt.Appendf(dst, "%d", seq) })
						if err == nil && n%(i+1) == 0 {
							err = ticket.Wait(ctx)
						}
						if err != nil && !errors.Is(err, journal.ErrBacklog) {
							t.Error(err)
							return
						}
					}
				})
			}
			defer wg.Wait()
			defer done()
			said := map[uint64]string{}
			var read, behind uint64
			for len(said) < 40 {
				for e, err := range j.Records(read + 1) {
					if err != nil {
						t.Fatal(err)
					}
					read = e.Seq
				}
				last := read
				ticket, err := j.AppendBehind(read, func(e journal.Entry) {
					if e.Seq != last+1 || string(e.Bytes[:1]) != "b" && string(e.Bytes) != fmt.Sprint(e.Seq) {
						t.Errorf("record %d is %q, behind %d", e.Seq, e.Bytes, last)
					}
					last = e.Seq
				}, func(dst []byte, seq uint64, _ time.Time) []byte {
					if seq != last+1 {
						t.Errorf("record %d comes behind %d", seq, last)
					}
					said[seq] = fmt.Sprintf("behind %d", last)
					return append(dst, said[seq]...)
				})
				if errors.Is(err, journal.ErrBehind) {
					behind++
					continue
				}
				if err != nil {
					t.Fatal(err)
				}
				if err := ticket.Wait(ctx); err != nil {
					t.Fatal(err)
				}
			}
			t.Logf("%d records, %d of them tried again", len(said), behind)
			done()
			wg.Wait()
			for e, err := range j.Records(1) {
				if err != nil {
					t.Fatal(err)
				}
				if text, ok := said[e.Seq]; ok && text != string(e.Bytes) {
					t.Errorf("record %d: %q, want %q", e.Seq, e.Bytes, text)
				}
				delete(said, e.Seq)
			}
			if len(said) > 0 {
				t.Errorf("not in the journal: %v", said)
			}
		})
	}
}

// TestAppendBehindDurable: what is durable has to be read first, and what is
// refused elsewhere is refused here.
func TestAppendBehindDurable(t *testing.T) {
	j := open(t, journal.Config{Directory: t.TempDir(), MaxDelay: -1})
	addAndWait(t, j, "one")
	addAndWait(t, j, "two")
	encode := func(dst []byte, _ uint64, _ time.Time) []byte { return append(dst, "three"...) }
	var seen []uint64
	each := func(e journal.Entry) { seen = append(seen, e.Seq) }
	if _, err := j.AppendBehind(1, each, encode); !errors.Is(err, journal.ErrBehind) {
		t.Errorf("behind a record that is not the last durable one: %v", err)
	}
	if ticket, err := j.AppendBehind(2, each, encode); err != nil || ticket.Seq() != 3 || len(seen) != 0 {
		t.Errorf("behind the last one: %v %v, looked at %v", ticket, err, seen)
	}
	if err := j.Close(ctx); err != nil {
		t.Fatal(err)
	}
	if _, err := j.AppendBehind(3, each, encode); !errors.Is(err, journal.ErrClosed) || slices.Contains(seen, 2) {
		t.Errorf("a closed journal: %v", err)
	}
}
