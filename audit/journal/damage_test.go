package journal_test

import (
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/cwmpgate/cwmpgate/audit/journal"
	"github.com/cwmpgate/cwmpgate/audit/journal/journaltest"
)

const (
	firstSegment  = "0000000000000001.jrn"
	secondSegment = "0000000000000004.jrn"
)

// sample is a journal of two segments with records 1 to 3 and 4 to 6, each a
// frame of its own.
type sample struct {
	log           []byte
	first, second []byte
}

func makeSample(t testing.TB) sample {
	t.Helper()
	fs := journaltest.New()
	j := open(t, journal.Config{Directory: "j", FS: fs, MaxDelay: -1, SegmentSize: 310})
	for seq := range 6 {
		addAndWait(t, j, sampleText(seq+1))
	}
	if err := j.Close(ctx); err != nil {
		t.Fatal(err)
	}
	return sample{fs.Bytes("j/log"), fs.Bytes("j/" + firstSegment), fs.Bytes("j/" + secondSegment)}
}

func sampleText(seq int) string { return fmt.Sprintf("this is record %d, says the sample", seq) }

func (s sample) fs(first, second []byte) *journaltest.FS {
	fs := journaltest.New()
	fs.Put("j/log", s.log)
	fs.Put("j/"+firstSegment, first)
	fs.Put("j/"+secondSegment, second)
	return fs
}

// openAndRead opens a journal and reads it all.
func openAndRead(t *testing.T, fs *journaltest.FS) (texts []string, openErr, readErr error) {
	t.Helper()
	j := journal.New(journal.Config{Directory: "j", FS: fs, MaxDelay: -1})
	if err := j.Open(); err != nil {
		return nil, err, nil
	}
	defer j.Close(ctx)
	texts, readErr = records(j)
	for i, text := range texts {
		if text != sampleText(i+1) {
			t.Fatalf("record %d is %q", i+1, text)
		}
	}
	return texts, nil, readErr
}

// The last segment may end anywhere behind its first frame: what is whole
// stays, numbers go on behind it, and a second start finds the same.
func TestCutShort(t *testing.T) {
	s := makeSample(t)
	ends := frames(s.second)
	if len(ends) != 4 {
		t.Fatalf("the second segment has frames at %v", ends)
	}
	for size := range len(s.second) + 1 {
		fs := s.fs(s.first, s.second[:size])
		got, err, readErr := openAndRead(t, fs)
		if size < ends[1] {
			// These bytes were synced before the segment had its name.
			var damage *journal.CorruptionError
			if !errors.As(err, &damage) || damage.Segment != secondSegment || damage.Offset > int64(size) {
				t.Fatalf("%d bytes: open: %v", size, err)
			}
			if string(fs.Bytes("j/"+secondSegment)) != string(s.second[:size]) {
				t.Fatalf("%d bytes: open has changed a damaged segment", size)
			}
			continue
		}
		if err != nil || readErr != nil {
			t.Fatalf("%d bytes: open: %v, read: %v", size, err, readErr)
		}
		whole := 3
		for _, end := range ends[1:] {
			if end <= size {
				whole++
			}
		}
		if len(got) != whole {
			t.Fatalf("%d bytes: %d records instead of %d", size, len(got), whole)
		}
		j := open(t, journal.Config{Directory: "j", FS: fs, MaxDelay: -1})
		if ticket := add(t, j, sampleText(whole+1)); ticket.Seq() != uint64(whole+1) {
			t.Fatalf("%d bytes: goes on with %d", size, ticket.Seq())
		}
		if err := j.Close(ctx); err != nil {
			t.Fatal(err)
		}
		if got, err, readErr := openAndRead(t, fs); err != nil || readErr != nil || len(got) != whole+1 {
			t.Fatalf("%d bytes, second start: %d records, %v, %v", size, len(got), err, readErr)
		}
		if problems, err := journal.VerifyIn(fs, "j"); err != nil || len(problems) > 0 {
			t.Fatalf("%d bytes: verify: %v, %v", size, problems, err)
		}
	}
}

// A flipped byte is reported with its segment and the place of its frame, and
// what is before it is still read; only in the last frame of all it looks
// like a write that did not finish.
func TestFlippedBytes(t *testing.T) {
	s := makeSample(t)
	for i, segment := range [][]byte{s.first, s.second} {
		name := []string{firstSegment, secondSegment}[i]
		offsets := frames(segment)
		for at := range segment {
			flipped := slices.Clone(segment)
			flipped[at] ^= 1 << (at % 8)
			fs := s.fs(flipped, s.second)
			if i == 1 {
				fs = s.fs(s.first, flipped)
			}
			frame, _ := slices.BinarySearch(offsets, at+1)
			frame-- // -1: the header
			before := 3*i + max(frame, 0)
			problems, err := journal.VerifyIn(fs, "j")
			if err != nil || len(problems) != 1 || problems[0].File != name {
				t.Fatalf("%s byte %d: verify: %v, %v", name, at, problems, err)
			}
			got, openErr, readErr := openAndRead(t, fs)
			if i == 1 && frame == len(offsets)-2 {
				if openErr != nil || readErr != nil || len(got) != before || !problems[0].Torn {
					t.Fatalf("%s byte %d: %d records, %v, %v, %v", name, at, len(got), openErr, readErr, problems)
				}
				continue
			}
			want := 0
			if frame >= 0 {
				want = offsets[frame]
			}
			err = openErr
			if i == 0 {
				err = readErr
				if len(got) != before || openErr != nil {
					t.Fatalf("%s byte %d: %d records, open: %v", name, at, len(got), openErr)
				}
			}
			var damage *journal.CorruptionError
			if !errors.As(err, &damage) || damage.Segment != name || damage.Offset != int64(want) {
				t.Fatalf("%s byte %d: %v, wanted damage at %d", name, at, err, want)
			}
			if problems[0].Torn || problems[0].Offset != int64(want) {
				t.Fatalf("%s byte %d: verify: %v", name, at, problems)
			}
			if i == 1 && string(fs.Bytes("j/"+name)) != string(flipped) {
				t.Fatalf("%s byte %d: open has changed a damaged segment", name, at)
			}
		}
	}
}

func TestDamage(t *testing.T) {
	s := makeSample(t)
	other := makeSample(t)
	at := frames(s.first)
	for _, tt := range []struct {
		name   string
		first  []byte
		offset int
		text   string
	}{
		{"frames swapped", slices.Concat(s.first[:at[1]], s.first[at[2]:at[3]], s.first[at[1]:at[2]]), at[1], "wrong first record"},
		{"frame twice", slices.Concat(s.first[:at[2]], s.first[at[1]:]), at[2], "wrong first record"},
		{"frame missing", slices.Concat(s.first[:at[1]], s.first[at[2]:]), at[1], "wrong first record"},
		{"frame of another log", slices.Concat(s.first[:at[1]], other.first[at[1]:at[2]], s.first[at[2]:]), at[1], "checksum mismatch"},
		{"frame of another segment", slices.Concat(s.first[:at[2]], s.second[at[0]:at[1]]), at[2], "checksum mismatch"},
		{"segment of another log", other.first, 12, "belongs to another log"},
		{"segment under another name", s.second, 28, "header says first record 4"},
		{"cut short", s.first[:at[2]+5], at[2], "frame is cut short"},
		{"cut between frames", s.first[:at[2]], at[2], "segment ends before record 3"},
		{"zeros", slices.Concat(s.first[:at[1]], make([]byte, 500)), at[1], "impossible length"},
		{"empty", nil, 0, "header is cut short"},
		{"newer version", flip(s.first, 9, 3), 0, "format version 2, this program knows 1"},
		{"no journal", flip(s.first, 0, 1), 0, "not a journal segment"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			fs := s.fs(tt.first, s.second)
			_, openErr, err := openAndRead(t, fs)
			if openErr != nil {
				t.Fatal(openErr)
			}
			var damage *journal.CorruptionError
			if !errors.As(err, &damage) || damage.Segment != firstSegment || damage.Offset != int64(tt.offset) || !strings.Contains(err.Error(), tt.text) {
				t.Errorf("read: %v, wanted %q at %d", err, tt.text, tt.offset)
			}
			problems, err := journal.VerifyIn(fs, "j")
			if err != nil || len(problems) != 1 || problems[0].Offset != int64(tt.offset) || !strings.Contains(problems[0].Err.Error(), tt.text) {
				t.Errorf("verify: %v, %v, wanted %q at %d", problems, err, tt.text, tt.offset)
			}
		})
	}
}

func flip(b []byte, at int, mask byte) []byte {
	b = slices.Clone(b)
	b[at] ^= mask
	return b
}

// A tail that a cursor was given was durable: it is damage, not an unfinished
// write, however much it looks like one.
func TestTornButRead(t *testing.T) {
	fs := journaltest.New()
	j := open(t, journal.Config{Directory: "j", FS: fs, MaxDelay: -1})
	addAndWait(t, j, "one")
	addAndWait(t, j, "two")
	c, err := j.Cursor("sink")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.Cut(ctx, 2, 100); err != nil {
		t.Fatal(err)
	}
	if err := j.Close(ctx); err != nil {
		t.Fatal(err)
	}
	whole := fs.Bytes("j/" + firstSegment)
	fs.Put("j/"+firstSegment, whole[:len(whole)-1])
	var damage *journal.CorruptionError
	if err := journal.New(journal.Config{Directory: "j", FS: fs}).Open(); !errors.As(err, &damage) {
		t.Errorf("open: %v", err)
	}
	fs.Put("j/"+firstSegment, whole[:frames(whole)[1]])
	if err := journal.New(journal.Config{Directory: "j", FS: fs}).Open(); err == nil || !strings.Contains(err.Error(), "was given record 2") {
		t.Errorf("open of a journal that is older than its cursor: %v", err)
	}
}

func TestDamagedTextFiles(t *testing.T) {
	s := makeSample(t)
	for _, tt := range []struct{ file, text, want string }{
		{"log", "", "checksum mismatch"},
		{"log", strings.Replace(string(s.log), "log ", "log f", 1), "checksum mismatch"},
		{"cursor-sink", "committed 3\n", "checksum mismatch"},
	} {
		fs := s.fs(s.first, s.second)
		fs.Put("j/"+tt.file, []byte(tt.text))
		if err := journal.New(journal.Config{Directory: "j", FS: fs}).Open(); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s %q: %v", tt.file, tt.text, err)
		}
		problems, err := journal.VerifyIn(fs, "j")
		if err != nil || len(problems) != 1 || problems[0].File != tt.file {
			t.Errorf("%s: verify: %v, %v", tt.file, problems, err)
		}
	}
	fs := s.fs(s.first, s.second)
	if err := fs.Remove("j/log"); err != nil {
		t.Fatal(err)
	}
	if err := journal.New(journal.Config{Directory: "j", FS: fs}).Open(); err == nil || !strings.Contains(err.Error(), `no file "log"`) {
		t.Errorf("segments without a log: %v", err)
	}
}

// What a suspect segment holds of the next one's records is void.
func TestSuspectTail(t *testing.T) {
	fs := journaltest.New()
	j := open(t, journal.Config{Directory: "j", FS: fs, MaxDelay: -1})
	addAndWait(t, j, "one")
	addAndWait(t, j, "two")
	fs.Fail(journaltest.Fault{Op: journaltest.Sync, Err: errors.New("bad disk")})
	fs.Fail(journaltest.Fault{Op: journaltest.Truncate, Err: errors.New("bad disk")})
	addAndWait(t, j, "three")
	addAndWait(t, j, "four")
	if got, err := records(j); fmt.Sprint(got) != "[one two three four]" || err != nil {
		t.Errorf("records: %q, %v", got, err)
	}
	if err := j.Close(ctx); err != nil {
		t.Fatal(err)
	}
	first, next := fs.Bytes("j/"+firstSegment), fs.Bytes("j/0000000000000003.jrn")
	if n := len(frames(first)) - 1; n != 3 {
		t.Errorf("the suspect segment has %d frames", n)
	}
	if binary.BigEndian.Uint16(next[10:]) != 1 {
		t.Error("the next segment does not say that the one before is suspect")
	}
	if problems, err := journal.VerifyIn(fs, "j"); err != nil || len(problems) > 0 {
		t.Errorf("verify: %v, %v", problems, err)
	}
	if got, err := records(open(t, journal.Config{Directory: "j", FS: fs})); fmt.Sprint(got) != "[one two three four]" || err != nil {
		t.Errorf("records after a restart: %q, %v", got, err)
	}
}
