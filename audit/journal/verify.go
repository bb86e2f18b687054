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
}

func (p Problem) String() string {
	return fmt.Sprintf("%s: byte %d: %v", p.File, p.Offset, p.Err)
}

// Verify reads a journal's directory from end to end and names the first bad
// thing in each file. It changes nothing and takes no lock. An error means
// that the directory could not be looked at.
func Verify(dir string) ([]Problem, error) { return verify(osFS{}, dir) }

func verify(fsys FS, dir string) ([]Problem, error) {
	d, err := openDirectory(fsys, dir)
	if err != nil {
		return nil, fmt.Errorf("verify journal %s: %w", dir, err)
	}
	problems := d.problems
	for i, first := range d.firsts {
		if p := d.check(i); p != nil {
			if errors.Is(p.Err, os.ErrNotExist) {
				continue // trimmed in the meantime
			}
			p.File = segmentName(first)
			problems = append(problems, *p)
		}
	}
	for _, c := range d.cursors {
		if seen := c.seen(); d.last > 0 && seen > d.last {
			problems = append(problems, Problem{File: cursorPrefix + c.name,
				Err: fmt.Errorf("was given record %d, but the journal ends with %d", seen, d.last)})
		}
	}
	return problems, nil
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
	firsts   []uint64
	cursors  []*Cursor
	last     uint64 // last record found
	problems []Problem
}

func openDirectory(fsys FS, dir string) (*directory, error) {
	names, err := fsys.List(dir)
	if err != nil {
		return nil, err
	}
	slices.Sort(names)
	d := &directory{fs: fsys, dir: dir, firsts: segmentNames(names)}
	text, err := readFile(fsys, filepath.Join(dir, logName), textLimit)
	if err == nil {
		d.logs, _, err = parseLog(text)
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

// check looks through one segment.
func (d *directory) check(i int) *Problem {
	return d.walk(i, func(frame) bool { return true })
}

// errStopped is no problem: whoever was given the frames wants no more.
var errStopped = &Problem{Err: errors.New("stopped")}

func (d *directory) walk(i int, each func(frame) bool) *Problem {
	sc, err := openSegment(d.fs, filepath.Join(d.dir, segmentName(d.firsts[i])))
	if err != nil {
		if c := (*CorruptionError)(nil); errors.As(err, &c) {
			return &Problem{Offset: c.Offset, Err: c.Err}
		}
		return &Problem{Err: err}
	}
	defer sc.Close()
	if d.logs != nil && !slices.ContainsFunc(d.logs, func(l logSpan) bool { return l.id == sc.head.log }) {
		return &Problem{Offset: 12, Err: fmt.Errorf("belongs to another log, %s", sc.head.log)}
	}
	end, last := d.end(i), i == len(d.firsts)-1
	for sc.next <= end {
		off := sc.off
		f, err := sc.frame()
		switch {
		case err == io.EOF && last && off > headerSize:
			return nil
		case err == io.EOF:
			return &Problem{Offset: off, Err: fmt.Errorf("segment ends before record %d", sc.next)}
		case err != nil:
			return d.problem(sc, last, err)
		case f.last() > end:
			return &Problem{Offset: off, Err: fmt.Errorf("%w: the next segment begins inside it", errOrder)}
		}
		d.last = f.last()
		sc.buf = nil
		if !each(f) {
			return errStopped
		}
	}
	if sc.off < sc.size && !d.suspect(i) {
		return &Problem{Offset: sc.off, Err: errors.New("bytes behind the last record")}
	}
	return nil
}

func (d *directory) problem(sc *scanner, last bool, err error) *Problem {
	p := &Problem{Offset: sc.off, Err: err}
	if last && torn(err) && sc.off > headerSize {
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
