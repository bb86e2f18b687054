package sqlite

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/cwmpgate/cwmpgate/audit"
	"github.com/cwmpgate/cwmpgate/audit/storetest"
)

const marked = "MARKED-BY-THE-TEST"

// grown is a store that was written in odd cuts of records of all lengths, and
// rebuilt, so that SQLite has moved rows between pages; and the spans of the
// records of one device, whose texts hold a mark.
func grown(t *testing.T, file string, seed uint64) (*Store, *storetest.Log, []audit.Span) {
	t.Helper()
	s := open(t, file)
	r := rand.New(rand.NewPCG(seed, 0))
	l := storetest.NewLog("grown")
	var spans []audit.Span
	for i := range 400 {
		d, text := audit.Device{Manufacturer: "Example", OUI: "00005E", Class: "HG", Serial: fmt.Sprint("T", r.IntN(20))}, "kept"
		if d.Serial == "T7" {
			d.Serial, text = marked, marked
		}
		cpe := l.Session(d, fmt.Sprint("s-", text, i))
		first := l.Last() + 1
		cpe.Inform([]string{"2 PERIODIC"}, storetest.Param("Device.A."+text, fmt.Sprint(text, i), "string"))
		for n := range r.IntN(5) {
			cpe.Set("job-"+text, storetest.Param(fmt.Sprint("Device.B.", n), strings.Repeat(text, 1+r.IntN(1+r.IntN(600))), "string"))
			cpe.Accept(`"Status":"0"`)
		}
		cpe.End("clean", nil, nil)
		if text == marked {
			spans = append(spans, audit.Span{First: first, Last: l.Last()})
		}
	}
	for at := uint64(1); at <= l.Last(); {
		end := min(at+r.Uint64N(60), l.Last())
		if err := s.Write(t.Context(), l.Batch(at, end)); err != nil {
			t.Fatal(err)
		}
		at = end + 1
	}
	if err := s.Rebuild(t.Context()); err != nil {
		t.Fatal(err)
	}
	return s, l, spans
}

// marks counts the mark in the store's files as they lie there.
func marks(t *testing.T, file string) (n int) {
	t.Helper()
	for _, name := range []string{file, file + "-wal", file + "-shm"} {
		b, err := os.ReadFile(name)
		if err != nil && !errors.Is(err, os.ErrNotExist) {
			t.Fatal(err)
		}
		n += bytes.Count(b, []byte(marked))
	}
	return n
}

// TestErasedBytes: what was erased is not in the file, whatever pages it has been
// in, nor in its log.
func TestErasedBytes(t *testing.T) {
	// With 10 and 15 rows are moved so that overwriting alone leaves copies.
	for _, seed := range []uint64{1, 10, 15} {
		file := filepath.Join(t.TempDir(), "audit.db")
		s, l, spans := grown(t, file, seed)
		if n := marks(t, file); n < 100 {
			t.Fatalf("seed %d: %d marks before", seed, n)
		}
		order := audit.Removal{Log: l.ID, Seq: 1, Of: l.ID, Spans: spans}
		if _, err := s.Remove(t.Context(), []audit.Removal{order}); err != nil {
			t.Fatal(err)
		}
		if n := marks(t, file); n != 0 {
			t.Errorf("seed %d: %d marks in the files", seed, n)
		}
		if err := s.Rebuild(t.Context()); err != nil {
			t.Fatal(err)
		}
		if err := s.Write(t.Context(), l.All()); err != nil {
			t.Fatal(err)
		}
		if n := marks(t, file); n != 0 {
			t.Errorf("seed %d: %d marks in the files behind a rebuild and the same cut", seed, n)
		}
	}
}

// TestRemovalBesideReader: as long as a reader sees the file as it was, the
// removal is not said to be done; it can be done again.
func TestRemovalBesideReader(t *testing.T) {
	file := filepath.Join(t.TempDir(), "audit.db")
	l, spans := storetest.Erasable(marked)
	s := New(Config{File: file, BusyTimeout: 20 * time.Millisecond})
	if err := s.Open(t.Context()); err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if err := s.Write(t.Context(), l.All()); err != nil {
		t.Fatal(err)
	}
	tx, err := s.read.Load().BeginTx(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	var n int
	if err := tx.QueryRow(`SELECT count(*) FROM ledger`).Scan(&n); err != nil {
		t.Fatal(err)
	}
	all := []audit.Removal{{Log: l.ID, Seq: 1, Of: l.ID, Spans: spans}}
	if _, err := s.Remove(t.Context(), all); !errors.Is(err, errReader) {
		t.Fatalf("beside a reader: %v", err)
	}
	if done, err := s.Removed(t.Context(), l.ID, 1); err != nil || done {
		t.Errorf("beside a reader it is said to be done: %v", err)
	}
	if err := tx.Rollback(); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Remove(t.Context(), all); err != nil {
		t.Fatal(err)
	}
	if done, err := s.Removed(t.Context(), l.ID, 1); err != nil || !done || marks(t, file) != 0 {
		t.Errorf("behind the reader: %v %v, %d marks", done, err, marks(t, file))
	}
}

// TestRemovalBrokenOff: one that is broken off at any of its steps is done by
// doing it again.
func TestRemovalBrokenOff(t *testing.T) {
	file := filepath.Join(t.TempDir(), "audit.db")
	s, l, spans := grown(t, file, 9)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	all := []audit.Removal{{Log: l.ID, Seq: 1, Of: l.ID, Spans: spans}}
	if n, err := s.Remove(ctx, all); !errors.Is(err, context.Canceled) || n != 0 {
		t.Fatalf("%d, %v", n, err)
	}
	// The rows are gone, the file is as it was.
	if n, left, err := s.removeSome(t.Context(), all[0], spans); err != nil || n == 0 || len(left) > 0 {
		t.Fatal(n, left, err)
	}
	if done, err := s.Removed(t.Context(), l.ID, 1); err != nil || done {
		t.Fatalf("%v %v", done, err)
	}
	if _, err := s.Remove(t.Context(), all); err != nil {
		t.Fatal(err)
	}
	if n := marks(t, file); n != 0 {
		t.Errorf("%d marks in the files", n)
	}
	reader := New(Config{File: file, ReadOnly: true})
	if err := reader.Open(t.Context()); err != nil {
		t.Fatal(err)
	}
	defer reader.Close()
	if _, err := reader.Remove(t.Context(), all); !errors.Is(err, errClosed) {
		t.Errorf("by a reader: %v", err)
	}
}

// TestRemovalOfMany: more than one transaction takes, in one span and in many.
func TestRemovalOfMany(t *testing.T) {
	s := open(t, filepath.Join(t.TempDir(), "audit.db"))
	l := storetest.NewLog("many")
	cpe := l.Session(audit.Device{OUI: "00005E", Serial: "T1"}, "s-1")
	for range removeAtOnce*2 + 10 {
		cpe.Bytes("GET", "http://files.example.com/f", 200, 1, "")
	}
	if err := s.Write(t.Context(), l.All()); err != nil {
		t.Fatal(err)
	}
	var spans []audit.Span
	for i := range uint64(removeAtOnce + 5) {
		spans = append(spans, audit.Span{First: i + 1, Last: i + 1})
	}
	for _, x := range []struct {
		spans []audit.Span
		want  int
	}{{spans, removeAtOnce + 5}, {[]audit.Span{{First: 1, Last: l.Last()}}, removeAtOnce + 5}} {
		if n, err := s.Remove(t.Context(), []audit.Removal{{Log: l.ID, Seq: 1, Of: l.ID, Spans: x.spans, Kind: audit.KindTransfer}}); err != nil || n != x.want {
			t.Errorf("%d removed, %v", n, err)
		}
	}
}
