package journal

import (
	"errors"
	"fmt"
	"io"
	"iter"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// Problem is the first bad thing in one file of a journal.
type Problem struct {
	File   string
	Offset int64 // byte in the file, 0 where it is about all of it
	Err    error
	// Torn says that it is a write that did not finish, at the end of the last
	// segment: Open cuts it off. On a journal in use it may be a write that is
	// just going on.
	Torn bool

	next uint64 // the record that was to come here
}

func (p Problem) String() string {
	return fmt.Sprintf("%s: byte %d: %v", p.File, p.Offset, p.Err)
}

// Scan gives the records of a directory from a number on without opening it
// for writing: it takes no lock and changes nothing, so the last ones may be
// on their way still. The last pair may be an error, *CorruptionError for
// damage.
func Scan(dir string, from uint64) iter.Seq2[Entry, error] {
	return func(yield func(Entry, error) bool) {
		d, err := openDirectory(osFS{}, dir)
		if err != nil {
			yield(Entry{}, fmt.Errorf("read journal %s: %w", dir, err))
			return
		}
		for i := range d.firsts {
			if end := d.end(i); end < from {
				continue
			}
			p := d.walk(i, func(f frame) bool {
				return f.records(func(e Entry) bool { return e.Seq < from || yield(e, nil) })
			})
			if p == errStopped {
				return
			}
			if p != nil && errors.Is(p.Err, os.ErrNotExist) {
				continue // trimmed in the meantime
			}
			if p != nil && !p.Torn {
				yield(Entry{}, &CorruptionError{segmentName(d.firsts[i]), p.Offset, p.Err})
				return
			}
		}
	}
}

// directory is a journal as it lies there, for those who only look.
type directory struct {
	fs       FS
	dir      string
	logs     []logSpan
	place    string // as the log file names it
	firsts   []uint64
	cursors  []*Cursor
	gaps     []Gap
	problems []Problem
}

func openDirectory(fsys FS, dir string) (*directory, error) {
	names, err := fsys.List(dir)
	if err != nil {
		return nil, err
	}
	slices.Sort(names)
	d := &directory{fs: fsys, dir: dir, firsts: segmentNames(names)}
	if d.gaps, err = loadGaps(fsys, dir, names); err != nil {
		d.problems = append(d.problems, Problem{File: gapsName, Err: err})
	}
	text, err := readFile(fsys, filepath.Join(dir, logName), textLimit)
	if err == nil {
		d.logs, d.place, err = parseLog(text)
	}
	if err != nil {
		d.problems = append(d.problems, Problem{File: logName, Err: err})
	}
	for _, file := range names {
		name, ok := strings.CutPrefix(file, cursorPrefix)
		if !ok || strings.HasSuffix(file, tempSuffix) {
			continue
		}
		c := &Cursor{name: name}
		text, err := readFile(fsys, filepath.Join(dir, file), textLimit)
		if err == nil {
			c.committed, c.open, err = parseCursor(text)
		}
		if errors.Is(err, os.ErrNotExist) {
			continue // dropped in the meantime
		}
		if err != nil {
			d.problems = append(d.problems, Problem{File: file, Err: err})
			continue
		}
		d.cursors = append(d.cursors, c)
	}
	return d, nil
}

// end is the last record that counts in a segment; the last one has no end.
func (d *directory) end(i int) uint64 {
	if i+1 < len(d.firsts) {
		return d.firsts[i+1] - 1
	}
	return maxSeq
}

// before is what is wrong ahead of all segments: records are missing there that
// a cursor has not come to.
func (d *directory) before() *Problem {
	from := d.firsts[0]
	for _, c := range d.cursors {
		if _, missing := gapOf(d.gaps, c.committed+1); !missing {
			from = min(from, c.committed+1)
		}
	}
	if from == d.firsts[0] {
		return nil
	}
	return &Problem{File: segmentName(d.firsts[0]), Err: missingBefore(from, d.firsts[0]), next: from}
}

// errStopped is no problem: whoever was given the frames wants no more.
var errStopped = &Problem{Err: errors.New("stopped")}

func (d *directory) walk(i int, each func(frame) bool) *Problem {
	first := d.firsts[i]
	sc, err := openKnown(d.fs, filepath.Join(d.dir, segmentName(first)), d.logs, d.gaps)
	if err != nil {
		if c := (*CorruptionError)(nil); errors.As(err, &c) {
			return &Problem{Offset: c.Offset, Err: c.Err, next: first}
		}
		return &Problem{Err: err, next: first}
	}
	defer sc.Close()
	end, last := d.end(i), i == len(d.firsts)-1
	for sc.next <= end {
		f, err := sc.frame()
		if err == io.EOF && sc.next > end || f.first > end {
			return nil
		}
		switch {
		case err == io.EOF && last && sc.next > first:
			return d.short(sc)
		case err == io.EOF:
			return &Problem{Offset: sc.off, Err: fmt.Errorf("segment ends before record %d", sc.next), next: sc.next}
		case err != nil:
			return d.problem(sc, last, err)
		case f.last() > end:
			return &Problem{Offset: f.offset, Err: fmt.Errorf("%w: the next segment begins inside it", errOrder), next: f.first}
		}
		sc.buf = nil
		if !each(f) {
			return errStopped
		}
	}
	if sc.off < sc.size && !d.suspect(i) && !(sc.pass() && sc.off == sc.size) {
		return &Problem{Offset: sc.off, Err: errors.New("bytes behind the last record"), next: sc.next}
	}
	return nil
}

// short is what is wrong with a journal that ends here in good order.
func (d *directory) short(sc *scanner) *Problem {
	for _, c := range d.cursors {
		if c.seen() >= sc.next {
			return &Problem{Offset: sc.off, Err: endsBefore(sc.next, c), next: sc.next}
		}
	}
	if err := sc.stray(); err != nil {
		return &Problem{Offset: sc.off, Err: err, next: sc.next}
	}
	return nil
}

func (d *directory) problem(sc *scanner, last bool, err error) *Problem {
	p := &Problem{Offset: sc.off, Err: err, next: sc.next}
	if last && torn(err) && sc.off > headerSize && d.short(sc) == nil {
		behind, serr := sc.validBehind(sc.off)
		p.Torn = serr == nil && behind == 0
	}
	return p
}

// suspect says whether the next segment declares this one's tail void.
func (d *directory) suspect(i int) bool {
	sc, err := openSegment(d.fs, filepath.Join(d.dir, segmentName(d.firsts[i+1])))
	if err != nil {
		return true // that is the next segment's problem
	}
	defer sc.Close()
	return sc.head.flags&afterSuspect != 0
}
