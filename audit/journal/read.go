package journal

import (
	"errors"
	"fmt"
	"io"
	"iter"
	"os"
)

// place is where a frame begins, to go on from there the next time.
type place struct {
	segment uint64 // first record of the segment; 0: none
	offset  int64
	first   uint64 // first record of the frame
}

// extent is a segment as a reader needs it: what counts in it ends with the
// record last.
type extent struct {
	first, last uint64
}

// errTrimmed says that a record was there once.
var errTrimmed = errors.New("record was trimmed")

// walk gives the frames that hold the records from to to, in order, until
// each returns false. Only what is durable may be asked for. With fresh each
// frame has memory of its own; otherwise it lives until each returns.
func (j *Journal) walk(from, to uint64, at *place, fresh bool, each func(frame) bool) error {
	for from <= to {
		e, err := j.find(from)
		if g, missing := j.gapOf(from); missing && errors.Is(err, errTrimmed) {
			from = g.next()
			continue
		}
		if err != nil {
			return err
		}
		next, more, err := j.walkSegment(e, from, to, at, fresh, each)
		if err != nil || !more {
			return err
		}
		from = next
	}
	return nil
}

// find names the segment that holds a record.
func (j *Journal) find(seq uint64) (extent, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	for i := len(j.segments) - 1; i >= 0; i-- {
		if s := j.segments[i]; s.first <= seq {
			e := extent{s.first, j.durable}
			if i+1 < len(j.segments) {
				// The later segment wins where two overlap.
				e.last = min(e.last, j.segments[i+1].first-1)
			}
			return e, nil
		}
	}
	return extent{}, fmt.Errorf("record %d: %w", seq, errTrimmed)
}

func (j *Journal) walkSegment(e extent, from, to uint64, at *place, fresh bool, each func(frame) bool) (next uint64, more bool, err error) {
	name := segmentName(e.first)
	j.mu.Lock()
	logs, gaps := j.logs, j.gaps
	j.mu.Unlock()
	sc, err := openKnown(j.fs, j.path(name), logs, gaps)
	if errors.Is(err, os.ErrNotExist) {
		if _, gone := j.find(e.first); gone != nil {
			return 0, false, gone
		}
		err = &CorruptionError{name, 0, err}
	}
	if err != nil {
		return 0, false, err
	}
	defer sc.Close()
	if at.segment == e.first && at.first <= from && at.offset <= sc.size {
		sc.off, sc.next = at.offset, at.first
	}
	for sc.next <= min(e.last, to) {
		here := place{e.first, sc.off, sc.next}
		f, err := sc.frame()
		if err == io.EOF && sc.next > e.last || f.first > e.last {
			break // the rest is missing, by command
		}
		if err != nil {
			return 0, false, damage(name, place{e.first, sc.off, sc.next}, err)
		}
		if f.last() > e.last {
			return 0, false, &CorruptionError{name, f.offset, fmt.Errorf("%w: the next segment begins inside it", errOrder)}
		}
		if f.last() < from {
			continue
		}
		*at = here
		if fresh {
			sc.buf = nil
		}
		if !each(f) {
			return 0, false, nil
		}
	}
	return e.last + 1, true, nil
}

// damage gives an error of a scanner its address. Errors of the disk stay
// what they are.
func damage(name string, at place, err error) error {
	switch {
	case err == io.EOF:
		err = fmt.Errorf("segment ends before record %d", at.first)
	case !damaged(err):
		return fmt.Errorf("read segment %s at byte %d: %w", name, at.offset, err)
	}
	return &CorruptionError{name, at.offset, err}
}

// entries gives the records from to to one by one.
func (j *Journal) entries(from, to uint64, at *place) iter.Seq2[Entry, error] {
	return func(yield func(Entry, error) bool) {
		err := j.walk(from, to, at, true, func(f frame) bool {
			return f.records(func(e Entry) bool {
				return e.Seq < from || e.Seq > to || yield(e, nil)
			})
		})
		if err != nil {
			yield(Entry{}, err)
		}
	}
}

// Records gives everything durable from a record number on, up to what is
// durable now; what was trimmed, also in the meantime, is passed over. The
// last pair may be an error, *CorruptionError where the journal is damaged.
func (j *Journal) Records(from uint64) iter.Seq2[Entry, error] {
	return func(yield func(Entry, error) bool) {
		j.mu.Lock()
		to := j.durable
		j.mu.Unlock()
		at := new(place)
		for from <= to {
			from = max(from, j.oldest())
			again := false
			for e, err := range j.entries(from, to, at) {
				if again = errors.Is(err, errTrimmed); again {
					break
				}
				if !yield(e, err) || err != nil {
					return
				}
				from = e.Seq + 1
			}
			if !again {
				return
			}
		}
	}
}

func (j *Journal) oldest() uint64 {
	j.mu.Lock()
	defer j.mu.Unlock()
	if len(j.segments) == 0 {
		return 1
	}
	return j.segments[0].first
}
