package journal_test

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/cwmpgate/cwmpgate/audit/journal"
	"github.com/cwmpgate/cwmpgate/audit/journal/journaltest"
)

// Bytes that were put back from a backup are read again.
func TestRestoredAfterSkip(t *testing.T) {
	s := makeSample(t)
	a := frames(s.first)
	fs := s.fs(flip(s.first, a[1]+40, 1), s.second)
	mend(t, fs)
	fs.Put("j/"+firstSegment, s.first)
	if got, err, readErr := openAndRead(t, fs); err != nil || readErr != nil || len(got) != 6 {
		t.Errorf("%d records, %v, %v", len(got), err, readErr)
	}
}

func TestSkipRefused(t *testing.T) {
	s := makeSample(t)
	a, b := frames(s.first), frames(s.second)
	bad := flip(s.first, a[1]+40, 1)
	for _, tt := range []struct {
		name          string
		first, second []byte
		segment       string
		offset        int
		want          string
	}{
		{"good journal", s.first, s.second, firstSegment, a[1], "there is no damage"},
		{"another place", bad, s.second, firstSegment, a[2], fmt.Sprintf("the first one is at byte %d: checksum mismatch", a[1])},
		{"another segment", bad, s.second, secondSegment, a[1], "there is no damage"},
		{"no segment", bad, s.second, "0000000000000002.jrn", a[1], "there is no such segment"},
		{"no segment's name", bad, s.second, "../" + firstSegment, a[1], "there is no such segment"},
		{"unfinished write", s.first, s.second[:len(s.second)-1], secondSegment, b[2], "a write that did not finish"},
	} {
		fs := s.fs(tt.first, tt.second)
		ops := fs.Ops()
		_, err := journal.Skip(journal.Config{Directory: "j", FS: fs}, tt.segment, int64(tt.offset))
		if err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: %v", tt.name, err)
		}
		if names, _ := fs.List("j"); len(names) != 3 && len(names) != 4 {
			t.Errorf("%s: the directory holds %q after %d operations", tt.name, names, fs.Ops()-ops)
		}
	}
	dir := t.TempDir()
	open(t, journal.Config{Directory: dir})
	if _, err := journal.Skip(journal.Config{Directory: dir}, firstSegment, 48); !errors.Is(err, journal.ErrLocked) {
		t.Errorf("beside a journal in use: %v", err)
	}
	if _, err := journal.Skip(journal.Config{Directory: filepath.Join(dir, "none")}, firstSegment, 48); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("no directory: %v", err)
	}
}

// Wherever the power fails, the damage is passed over or it is not.
func TestSkipIsOneStep(t *testing.T) {
	s := makeSample(t)
	a := frames(s.first)
	bad := flip(s.first, a[1]+40, 1)
	done := false
	for n := 1; !done; n++ {
		for seed := range uint64(20) {
			fs := s.fs(bad, s.second)
			before := fs.Ops()
			fs.KillAt(n)
			_, err := journal.Skip(journal.Config{Directory: "j", FS: fs}, firstSegment, int64(a[1]))
			done = err == nil
			if n > 100 {
				t.Fatalf("no end after %d operations", fs.Ops()-before)
			}
			fs.Kill()
			fs = fs.Crash(rand.New(rand.NewPCG(seed, uint64(n))))
			problems, verr := journal.VerifyIn(fs, "j")
			if verr != nil || done && len(problems) > 0 || len(problems) > 1 {
				t.Fatalf("killed at %d: skip: %v, verify: %v, %v", n, err, problems, verr)
			}
			if len(problems) == 1 && (problems[0].File != firstSegment || problems[0].Offset != int64(a[1])) {
				t.Fatalf("killed at %d: %v", n, problems)
			}
			if string(fs.Bytes("j/"+firstSegment)) != string(bad) {
				t.Fatalf("killed at %d: the segment was changed", n)
			}
			if len(problems) == 0 && string(fs.Bytes("j/"+fmt.Sprintf("%s.damaged-%d", firstSegment, a[1]))) != string(bad) {
				t.Fatalf("killed at %d: passed over without a copy", n)
			}
		}
	}
}

// Whatever is done to a journal's bytes, passing over comes to an end, and then
// each record is there once as it was written, or named as missing, or was at
// the journal's end where nobody was told of it.
func TestSkipAnything(t *testing.T) {
	s := makeSample(t)
	seed := uint64(0)
	defer func() {
		if t.Failed() {
			t.Logf("seed %d", seed)
		}
	}()
	for ; seed < 1500; seed++ {
		rng := rand.New(rand.NewPCG(seed, 7))
		segments := [][]byte{s.first, s.second}
		for range 1 + rng.IntN(4) {
			i := rng.IntN(2)
			segments[i] = harm(rng, segments[i])
		}
		fs := s.fs(segments[0], segments[1])
		missing := map[uint64]bool{}
		for _, g := range mend(t, fs) {
			for seq := g.First; seq <= g.Last; seq++ {
				missing[seq] = true
			}
		}
		j := journal.New(journal.Config{Directory: "j", FS: fs, MaxDelay: -1})
		if err := j.Open(); err != nil {
			t.Fatalf("seed %d: %v", seed, err)
		}
		next := j.Stats().Newest + 1
		addAndWait(t, j, sampleText(int(next)))
		checkAll(t, j, next, missing)
		checkCursor(t, j, "new", next, missing)
		if err := j.Close(ctx); err != nil {
			t.Fatal(err)
		}
		if problems, err := journal.VerifyIn(fs, "j"); err != nil || len(problems) > 0 {
			t.Fatalf("seed %d: verify: %v, %v", seed, problems, err)
		}
		if got, err, readErr := openAndReadSome(fs); err != nil || readErr != nil || got+len(missing) != int(next) {
			t.Fatalf("seed %d: second start: %d records of %d, missing %v: %v, %v", seed, got, next, missing, err, readErr)
		}
	}
}

func openAndReadSome(fs *journaltest.FS) (n int, openErr, readErr error) {
	j := journal.New(journal.Config{Directory: "j", FS: fs, MaxDelay: -1})
	if err := j.Open(); err != nil {
		return 0, err, nil
	}
	defer j.Close(ctx)
	texts, err := records(j)
	return len(texts), nil, err
}

// harm damages a segment in one of the ways that disks and hands have.
func harm(rng *rand.Rand, b []byte) []byte {
	b = slices.Clone(b)
	if len(b) < 2 {
		return b
	}
	i, k := rng.IntN(len(b)), rng.IntN(len(b))
	lo, hi := min(i, k), max(i, k)
	switch rng.IntN(8) {
	case 0:
		b[i] ^= 1 << rng.IntN(8)
	case 1:
		b[i], b[k] = b[k], b[i]
	case 2:
		return b[:i]
	case 3:
		clear(b[lo:hi])
	case 4:
		return slices.Delete(b, lo, hi)
	case 5:
		return slices.Insert(b, i, b[lo:hi]...)
	case 6: // two frames change places
		if at := wholeFrames(b); len(at) > 2 {
			n := rng.IntN(len(at) - 2)
			return slices.Concat(b[:at[n]], b[at[n+1]:at[n+2]], b[at[n]:at[n+1]], b[at[n+2]:])
		}
	case 7: // one stands twice
		if at := wholeFrames(b); len(at) > 1 {
			n := rng.IntN(len(at) - 1)
			return slices.Concat(b, b[at[n]:at[n+1]])
		}
	}
	return b
}

// wholeFrames is frames of bytes that may be harmed already.
func wholeFrames(b []byte) []int {
	at := []int{min(48, len(b))}
	for off := 48; off+4 <= len(b); {
		n := int(binary.BigEndian.Uint32(b[off:]))
		if off += n; n < 32 || off > len(b) {
			break
		}
		at = append(at, off)
	}
	return at
}
