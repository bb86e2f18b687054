package journal

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"
)

// recover reads what a directory holds. The journal goes on behind it in a
// segment of its own: a file is written by one process only.
func (j *Journal) recover() error {
	if err := j.syncAncestors(); err != nil {
		return err
	}
	names, err := j.fs.List(j.dir)
	if err != nil {
		return err
	}
	// What was never renamed was never part of the journal.
	isTemp := func(name string) bool { return strings.HasSuffix(name, tempSuffix) }
	for _, name := range names {
		if !isTemp(name) {
			continue
		}
		if err := j.fs.Remove(j.path(name)); err != nil {
			return err
		}
	}
	names = slices.DeleteFunc(names, isTemp)
	// A name may be there only because the machine still runs, where the
	// process before was killed between a rename and its sync.
	if err := j.fs.SyncDir(j.dir); err != nil {
		return err
	}
	firsts := segmentNames(names)
	if err := j.openLog(slices.Contains(names, logName), len(firsts) > 0); err != nil {
		return err
	}
	if err := j.loadCursors(names); err != nil {
		return err
	}
	if j.gaps, err = loadGaps(j.fs, j.dir, names); err != nil {
		return err
	}
	return j.openSegments(firsts)
}

// syncAncestors keeps the directory itself from being lost: it may be new.
// Ancestors that we may not open were not made by us.
func (j *Journal) syncAncestors() error {
	dir := filepath.Clean(j.dir)
	for parent := filepath.Dir(dir); parent != dir; dir, parent = parent, filepath.Dir(parent) {
		err := j.fs.SyncDir(parent)
		if err != nil && !errors.Is(err, fs.ErrPermission) && !errors.Is(err, syscall.EINVAL) {
			return err
		}
	}
	return nil
}

// segmentNames picks the first record numbers out of a directory, in order.
func segmentNames(names []string) []uint64 {
	var firsts []uint64
	for _, name := range names {
		if first, ok := parseSegmentName(name); ok {
			firsts = append(firsts, first)
		}
	}
	slices.Sort(firsts)
	return firsts
}

// openSegments reads the headers of all segments and the whole of the last
// one.
func (j *Journal) openSegments(firsts []uint64) error {
	j.next = 1
	for i, first := range firsts {
		if i == len(firsts)-1 {
			if err := j.openLast(first); err != nil {
				return err
			}
			break
		}
		s := segment{first: first}
		if sc, err := openSegment(j.fs, j.path(segmentName(first))); err == nil {
			s.at, s.size = sc.head.at, sc.size
			_ = sc.Close()
		} else if c := (*CorruptionError)(nil); !errors.As(err, &c) {
			return err
		}
		// A damaged header is for whoever comes to read the segment.
		j.segments = append(j.segments, s)
		j.size += s.size
	}
	j.pending.first = j.next
	j.durable = j.next - 1
	for _, c := range j.cursors {
		if c.seen() > j.durable {
			return fmt.Errorf("cursor %s was given record %d, but the journal ends with %d", c.name, c.seen(), j.durable)
		}
	}
	if j.stuck != nil {
		j.durable = j.stuck.first - 1
	}
	return nil
}

// openLast finds the end of the last segment. What is behind the last whole
// frame was never finished and does not count. That frame itself may be in
// the page cache only, left there by a process that was killed before its
// sync or after a failed one, and a sync now would prove nothing: it is to be
// written once more, into a new segment, before anybody sees its records.
func (j *Journal) openLast(first uint64) error {
	name := segmentName(first)
	sc, err := openKnown(j.fs, j.path(name), j.logs, j.gaps)
	if err != nil {
		return err
	}
	defer sc.Close()
	var last frame
	at := sc.head.at
	for {
		f, err := sc.frame()
		if err == io.EOF {
			if err := sc.stray(); err != nil {
				return damage(name, place{first, sc.off, sc.next}, err)
			}
			break
		}
		if err != nil {
			if err := j.judgeTail(sc, name, err); err != nil {
				return err
			}
			j.cutTail(sc, name)
			break
		}
		if last.count > 0 {
			at = max(at, last.at)
		}
		// Two buffers take turns, so that the last frame outlives the try to
		// read one behind it.
		sc.buf, last.bytes = last.bytes, nil
		last = f
	}
	if sc.next == first {
		return &CorruptionError{name, headerSize, errors.New("segment has no records")}
	}
	for _, c := range j.cursors {
		if c.seen() >= sc.next {
			return &CorruptionError{name, sc.off, endsBefore(sc.next, c)}
		}
	}
	if n := len(j.segments); n > 0 {
		j.segments[n-1].suspect = sc.head.flags&afterSuspect != 0
	}
	s := segment{first: first, at: sc.head.at, size: last.offset, suspect: true}
	if last.count > 0 {
		j.stuck = &batch{buf: last.bytes, first: last.first, count: last.count, at: last.at}
	} else {
		s.size = sc.size // all its records are missing, by command
	}
	j.segments = append(j.segments, s)
	j.size += s.size
	j.next, j.at, j.durableAt = sc.next, max(at, last.at), at
	return nil
}

// endsBefore says that a cursor was given what is not there: a cursor is only
// ever given what was durable.
func endsBefore(next uint64, c *Cursor) error {
	return fmt.Errorf("journal ends with record %d, but cursor %s was given record %d", next-1, c.name, c.seen())
}

// carry writes the last frame once more. A disk that fails now does not keep
// the journal from opening: the frame waits like any other that failed.
func (j *Journal) carry() {
	if b := j.stuck; b != nil {
		j.began = time.Now()
		j.settle(b, j.store(b))
		if j.failed == nil {
			j.counts = counts{}
		}
	}
}

// judgeTail says whether the bytes from the scanner's place on are a write
// that did not finish; nil: they are.
func (j *Journal) judgeTail(sc *scanner, name string, err error) error {
	// A segment's first frame was synced before the segment had its name.
	if !torn(err) || sc.off == headerSize {
		return &CorruptionError{name, sc.off, err}
	}
	behind, serr := sc.validBehind(sc.off)
	if serr != nil {
		return fmt.Errorf("read segment %s: %w", name, serr)
	}
	if behind > 0 {
		return &CorruptionError{name, sc.off, fmt.Errorf("%w, with a whole frame behind it at byte %d", err, behind)}
	}
	if serr := sc.stray(); serr != nil {
		return damage(name, place{0, sc.off, sc.next}, serr)
	}
	// A cursor is only ever given what was durable.
	for _, c := range j.cursors {
		if c.seen() >= sc.next {
			return &CorruptionError{name, sc.off, fmt.Errorf("%w, but cursor %s was given record %d", err, c.name, c.seen())}
		}
	}
	return nil
}

// cutTail shortens the last segment by an unfinished write. It may fail: the
// next segment's header says that these bytes are void.
func (j *Journal) cutTail(sc *scanner, name string) {
	if sc.mended() {
		return // frames that lost their order may stand behind this place
	}
	j.cfg.Logf("journal: segment %s: cut %d bytes of an unfinished write at byte %d", name, sc.size-sc.off, sc.off)
	f, err := j.fs.Append(j.path(name))
	if err == nil {
		err = f.Truncate(sc.off)
		_ = f.Close()
	}
	if err != nil {
		j.cfg.Logf("journal: cut segment %s: %v", name, err)
	}
}

// loadCursors reads all cursors that the directory holds: one that nobody
// asks for any more still keeps segments from being removed.
func (j *Journal) loadCursors(names []string) error {
	for _, file := range names {
		name, ok := strings.CutPrefix(file, cursorPrefix)
		if !ok {
			continue
		}
		text, err := readFile(j.fs, j.path(file), textLimit)
		if err != nil {
			return err
		}
		c := newCursor(j, name)
		if c.committed, c.open, err = parseCursor(text); err != nil {
			return fmt.Errorf("file %q: %w", file, err)
		}
		j.cursors[name] = c
	}
	return nil
}
