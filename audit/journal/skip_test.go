package journal_test

import (
	"errors"
	"fmt"
	"slices"
	"testing"

	"github.com/cwmpgate/cwmpgate/audit/journal"
	"github.com/cwmpgate/cwmpgate/audit/journal/journaltest"
)

// mend passes over everything that is named, one place after the other.
func mend(t *testing.T, fs *journaltest.FS) []journal.Gap {
	t.Helper()
	var gaps []journal.Gap
	for {
		problems, err := journal.VerifyIn(fs, "j")
		if err != nil {
			t.Fatal(err)
		}
		problems = slices.DeleteFunc(problems, func(p journal.Problem) bool { return p.Torn })
		if len(problems) == 0 {
			return gaps
		}
		if len(gaps) > 20 {
			t.Fatalf("there is no end to it: %v, %v", problems, gaps)
		}
		p := problems[0]
		was := fs.Bytes("j/" + p.File)
		g, err := journal.Skip(journal.Config{Directory: "j", FS: fs}, p.File, p.Offset)
		if err != nil {
			t.Fatalf("skip %v: %v", p, err)
		}
		if g.Segment != p.File || g.Offset != p.Offset {
			t.Fatalf("passed over %+v instead of %v", g, p)
		}
		if string(fs.Bytes("j/"+p.File)) != string(was) {
			t.Fatalf("%v: the segment was changed", p)
		}
		if kept := g.Kept(); kept != "" && string(fs.Bytes("j/"+kept)) != string(was) {
			t.Fatalf("%v: the copy is another", p)
		}
		gaps = append(gaps, g)
	}
}

// checkMended opens a journal whose damage was passed over: all of 1 to 6 is
// there, once, but for what the gaps name; a cursor comes to the end; numbers
// go on behind all; and so it is after a restart.
func checkMended(t *testing.T, fs *journaltest.FS, gaps []journal.Gap, wantMissing ...uint64) {
	t.Helper()
	missing := map[uint64]bool{}
	for _, g := range gaps {
		for seq := g.First; seq <= g.Last; seq++ {
			if missing[seq] {
				t.Fatalf("record %d is missing twice: %+v", seq, gaps)
			}
			missing[seq] = true
		}
	}
	if len(missing) != len(wantMissing) {
		t.Fatalf("missing are %v, not %v", missing, wantMissing)
	}
	for _, seq := range wantMissing {
		if !missing[seq] {
			t.Fatalf("missing are %v, not %v", missing, wantMissing)
		}
	}
	next := uint64(7)
	for start := range 3 {
		j := journal.New(journal.Config{Directory: "j", FS: fs, MaxDelay: -1})
		if err := j.Open(); err != nil {
			t.Fatalf("start %d: %v", start, err)
		}
		untold := j.Gaps()
		if start == 0 && len(untold) != len(gaps) || start > 0 && len(untold) != 0 {
			t.Fatalf("start %d: untold are %+v", start, untold)
		}
		ticket := add(t, j, sampleText(int(next)))
		if ticket.Seq() != next {
			t.Fatalf("start %d: goes on with %d instead of %d", start, ticket.Seq(), next)
		}
		if err := ticket.Wait(ctx); err != nil {
			t.Fatal(err)
		}
		if err := j.Told(untold); err != nil {
			t.Fatal(err)
		}
		next++
		checkAll(t, j, next-1, missing)
		checkCursor(t, j, fmt.Sprintf("new-%d", start), next-1, missing)
		if err := j.Close(ctx); err != nil {
			t.Fatal(err)
		}
		if problems, err := journal.VerifyIn(fs, "j"); err != nil || len(problems) > 0 {
			t.Fatalf("start %d: verify: %v, %v", start, problems, err)
		}
	}
}

func checkAll(t *testing.T, j *journal.Journal, last uint64, missing map[uint64]bool) {
	t.Helper()
	seen := uint64(0)
	for e, err := range j.Records(1) {
		if err != nil {
			t.Fatal(err)
		}
		for seen++; missing[seen]; seen++ {
		}
		if e.Seq != seen || string(e.Bytes) != sampleText(int(seen)) {
			t.Fatalf("record %d is %q, expected was %d", e.Seq, e.Bytes, seen)
		}
	}
	if seen != last {
		t.Fatalf("ends with %d instead of %d", seen, last)
	}
}

// checkCursor takes cuts of two records at most.
func checkCursor(t *testing.T, j *journal.Journal, name string, last uint64, missing map[uint64]bool) {
	t.Helper()
	c, err := j.Cursor(name)
	if err != nil {
		t.Fatal(err)
	}
	got := map[uint64]int{}
	for next := uint64(1); next <= last; {
		cut, err := c.Cut(ctx, 2, 1000)
		if err != nil || next > 1 && cut.First != next {
			t.Fatalf("cut %v at %d: %v", cut, next, err)
		}
		for e, err := range c.Read(cut) {
			if err != nil || e.Seq < cut.First || e.Seq > cut.Last || string(e.Bytes) != sampleText(int(e.Seq)) {
				t.Fatalf("cut %v gives %d %q, %v", cut, e.Seq, e.Bytes, err)
			}
			got[e.Seq]++
		}
		if err := c.Commit(cut); err != nil {
			t.Fatal(err)
		}
		next = cut.Last + 1
	}
	for seq := uint64(1); seq <= last; seq++ {
		if (got[seq] == 1) == missing[seq] {
			t.Fatalf("the cursor gave record %d %d times", seq, got[seq])
		}
	}
	if err := j.DropCursor(name); err != nil {
		t.Fatal(err)
	}
}

// With any one byte flipped, what is passed over is one frame: all others are
// read. A damaged header costs nothing.
func TestSkipFlippedBytes(t *testing.T) {
	s := makeSample(t)
	for i, segment := range [][]byte{s.first, s.second} {
		offsets := frames(segment)
		for at := range segment {
			frame, _ := slices.BinarySearch(offsets, at+1)
			frame--
			if i == 1 && frame == len(offsets)-2 {
				continue // looks like a write that did not finish
			}
			flipped := slices.Clone(segment)
			flipped[at] ^= 1 << (at % 8)
			fs := s.fs(flipped, s.second)
			if i == 1 {
				fs = s.fs(s.first, flipped)
			}
			var missing []uint64
			if frame >= 0 {
				missing = append(missing, uint64(3*i+frame+1))
			}
			gaps := mend(t, fs)
			if len(gaps) != 1 {
				t.Fatalf("byte %d: %+v", at, gaps)
			}
			checkMended(t, fs, gaps, missing...)
		}
	}
}

func TestSkip(t *testing.T) {
	s, other := makeSample(t), makeSample(t)
	a, b := frames(s.first), frames(s.second)
	part := func(seg []byte, at []int, order ...int) []byte {
		out := slices.Clone(seg[:at[0]])
		for _, i := range order {
			out = append(out, seg[at[i]:at[i+1]]...)
		}
		return out
	}
	swapped := slices.Clone(s.first)
	swapped[a[1]+40], swapped[a[1]+60] = swapped[a[1]+60], swapped[a[1]+40]
	for _, tt := range []struct {
		name          string
		first, second []byte
		missing       []uint64
	}{
		{"bytes swapped", swapped, s.second, []uint64{2}},
		{"cut short", s.first[:a[2]+5], s.second, []uint64{3}},
		{"cut between frames", s.first[:a[1]], s.second, []uint64{2, 3}},
		{"header only", s.first[:a[0]], s.second, []uint64{1, 2, 3}},
		{"part of a header", s.first[:20], s.second, []uint64{1, 2, 3}},
		{"empty", nil, s.second, []uint64{1, 2, 3}},
		{"zeros", make([]byte, len(s.first)), s.second, []uint64{1, 2, 3}},
		{"bytes behind", slices.Concat(s.first, []byte("what is this")), s.second, nil},
		{"bytes between", slices.Concat(s.first[:a[1]], []byte("what is this"), s.first[a[1]:]), s.second, nil},
		{"frame missing", part(s.first, a, 0, 2), s.second, []uint64{2}},
		{"frame twice", part(s.first, a, 0, 0, 1, 2), s.second, nil},
		{"order 1 3 2", part(s.first, a, 0, 2, 1), s.second, nil},
		{"order 3 2 1", part(s.first, a, 2, 1, 0), s.second, nil},
		{"order 2 3 1", part(s.first, a, 1, 2, 0), s.second, nil},
		{"frame of another log", slices.Concat(s.first[:a[1]], other.first[a[1]:a[2]], s.first[a[2]:]), s.second, []uint64{2}},
		{"segment of another log", other.first, s.second, []uint64{1, 2, 3}},
		{"segment under another name", s.second, s.second, []uint64{1, 2, 3}},
		{"last: order 4 6 5", s.first, part(s.second, b, 0, 2, 1), nil},
		{"last: order 6 4 5", s.first, part(s.second, b, 2, 0, 1), nil},
		{"last: order 5 6 4", s.first, part(s.second, b, 1, 2, 0), nil},
		{"last: frame twice", s.first, part(s.second, b, 0, 1, 2, 2), nil},
		{"both", flip(s.first, a[1]+40, 1), flip(s.second, b[0]+40, 1), []uint64{2, 4}},
		{"two in one", flip(flip(s.first, a[0]+40, 1), a[1]+40, 1), s.second, []uint64{1, 2}},
		{"header and frame", flip(flip(s.first, 40, 1), a[1]+40, 1), s.second, []uint64{2}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			fs := s.fs(tt.first, tt.second)
			checkMended(t, fs, mend(t, fs), tt.missing...)
		})
	}
}

// Where the end of the journal is gone, numbers that a reader was given are
// not given out again.
func TestSkipLostEnd(t *testing.T) {
	s := makeSample(t)
	b := frames(s.second)
	seen := func(last int) []byte {
		fs := s.fs(s.first, s.second)
		j := open(t, journal.Config{Directory: "j", FS: fs, MaxDelay: -1})
		c, err := j.Cursor("sink")
		if err != nil {
			t.Fatal(err)
		}
		if _, err := c.Cut(ctx, last, 1000); err != nil {
			t.Fatal(err)
		}
		if err := j.Close(ctx); err != nil {
			t.Fatal(err)
		}
		return fs.Bytes("j/cursor-sink")
	}
	for _, tt := range []struct {
		name    string
		seen    int
		second  []byte // nil: the file is missing
		missing []uint64
	}{
		{"cut between frames", 6, s.second[:b[2]], []uint64{6}},
		{"cut short", 6, s.second[:len(s.second)-1], []uint64{6}},
		{"cut short, nothing known", 6, s.second[:b[1]+4], []uint64{5, 6}},
		{"first frame cut short", 6, s.second[:b[0]+4], []uint64{4, 5, 6}},
		{"header only", 6, s.second[:b[0]], []uint64{4, 5, 6}},
		{"segment missing", 6, nil, []uint64{4, 5, 6}},
		{"empty", 6, []byte{}, []uint64{4, 5, 6}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			fs := s.fs(s.first, tt.second)
			if tt.second == nil {
				if err := fs.Remove("j/" + secondSegment); err != nil {
					t.Fatal(err)
				}
			}
			fs.Put("j/cursor-sink", seen(tt.seen))
			if err := journal.New(journal.Config{Directory: "j", FS: fs}).Open(); err == nil {
				t.Fatal("the journal opens before the damage was passed over")
			}
			checkMended(t, fs, mend(t, fs), tt.missing...)
			j := open(t, journal.Config{Directory: "j", FS: fs})
			missing := map[uint64]bool{}
			for _, seq := range tt.missing {
				missing[seq] = true
			}
			checkCursor(t, j, "sink", 9, missing)
		})
	}
}

// A cursor that has committed a part finds the oldest segment gone.
func TestSkipLostBeginning(t *testing.T) {
	s := makeSample(t)
	fs := s.fs(s.first, s.second)
	j := open(t, journal.Config{Directory: "j", FS: fs, MaxDelay: -1})
	c, err := j.Cursor("sink")
	if err != nil {
		t.Fatal(err)
	}
	cut, err := c.Cut(ctx, 1, 1000)
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Commit(cut); err != nil {
		t.Fatal(err)
	}
	if err := j.Close(ctx); err != nil {
		t.Fatal(err)
	}
	if err := fs.Remove("j/" + firstSegment); err != nil {
		t.Fatal(err)
	}
	j = open(t, journal.Config{Directory: "j", FS: fs, MaxDelay: -1})
	if c, err = j.Cursor("sink"); err != nil {
		t.Fatal(err)
	}
	var damage *journal.CorruptionError
	if _, err := c.Cut(ctx, 10, 1000); !errors.As(err, &damage) || damage.Segment != secondSegment || damage.Offset != 0 {
		t.Fatalf("cut: %v", err)
	}
	if err := j.Close(ctx); err != nil {
		t.Fatal(err)
	}
	gaps := mend(t, fs)
	if len(gaps) != 1 || gaps[0].First != 2 || gaps[0].Last != 3 || gaps[0].Segment != secondSegment || gaps[0].Kept() != "" {
		t.Fatalf("gaps: %+v", gaps)
	}
	j = open(t, journal.Config{Directory: "j", FS: fs, MaxDelay: -1})
	if c, err = j.Cursor("sink"); err != nil {
		t.Fatal(err)
	}
	var got []uint64
	for len(got) < 3 {
		cut, err := c.Cut(ctx, 1, 1000)
		if err != nil {
			t.Fatal(err)
		}
		for e, err := range c.Read(cut) {
			if err != nil {
				t.Fatal(err)
			}
			got = append(got, e.Seq)
		}
		if err := c.Commit(cut); err != nil {
			t.Fatal(err)
		}
	}
	if fmt.Sprint(got) != "[4 5 6]" {
		t.Errorf("read %v", got)
	}
}

// An adopted directory is opened, and opened again, before the first record
// of the new log: the old log's last frame is written once more as its own.
func TestAdoptedAndOpenedAgain(t *testing.T) {
	s := makeSample(t)
	fs := s.fs(s.first, s.second)
	ids := map[string]bool{}
	for range 2 {
		j := open(t, journal.Config{Directory: "j", FS: fs, Adopt: true})
		ids[j.ID()] = true
		if err := j.Close(ctx); err != nil {
			t.Fatal(err)
		}
	}
	for range 2 {
		if got, err, readErr := openAndRead(t, fs); err != nil || readErr != nil || len(got) != 6 {
			t.Fatalf("%d records, %v, %v", len(got), err, readErr)
		}
	}
	j := open(t, journal.Config{Directory: "j", FS: fs, MaxDelay: -1})
	addAndWait(t, j, sampleText(7))
	checkAll(t, j, 7, nil)
	if err := j.Close(ctx); err != nil {
		t.Fatal(err)
	}
	if problems, err := journal.VerifyIn(fs, "j"); err != nil || len(problems) > 0 || len(ids) != 2 {
		t.Errorf("verify: %v, %v; logs %v", problems, err, ids)
	}
	if got, err, readErr := openAndRead(t, fs); err != nil || readErr != nil || len(got) != 7 {
		t.Errorf("%d records, %v, %v", len(got), err, readErr)
	}
}
