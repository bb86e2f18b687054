package journal

import (
	"slices"
	"strings"
	"time"
)

// Stats is a journal at one moment.
type Stats struct {
	Records  uint64 // made durable since Open
	Syncs    uint64 // commits since Open, failed ones too
	Failures uint64 // failed ones
	Suspect  uint64 // segments given up after a failed write
	Refused  uint64 // appends that returned an error
	Removed  uint64 // segments trimmed

	LastSync time.Duration // of the last commit, write and sync
	// Unfinished is how long the commit under way has taken so far, 0 where
	// none is: a disk that hangs shows here.
	Unfinished time.Duration

	Bytes    int64 // of the segments on disk
	Pending  int64 // not on disk yet
	Segments int
	Oldest   uint64 // first record there is; 0: none
	Durable  uint64 // last one on the medium
	Newest   uint64 // last one appended
	Full     bool   // MaxSize is reached
	Err      error  // why nothing can be written; nil: it can

	Cursors []CursorStats // by name
}

// CursorStats is how far a cursor is behind.
type CursorStats struct {
	Name      string
	Committed uint64
	Records   uint64
	Bytes     int64
}

type counts struct {
	records, syncs, failures, suspect, refused, removed uint64
	last                                                time.Duration
	full                                                bool
}

func (n *counts) add(c Commit) {
	n.syncs++
	n.last = c.Took
	if c.Err != nil {
		n.failures++
		return
	}
	n.records += uint64(c.Records)
}

// Stats may be called at any time, also while the disk hangs.
func (j *Journal) Stats() Stats {
	j.mu.Lock()
	defer j.mu.Unlock()
	s := Stats{
		Records: j.counts.records, Syncs: j.counts.syncs, Failures: j.counts.failures,
		Suspect: j.counts.suspect, Refused: j.counts.refused, Removed: j.counts.removed,
		LastSync: j.counts.last,
		Bytes:    j.size, Pending: int64(len(j.pending.buf)) + j.inflight, Segments: len(j.segments),
		Durable: j.durable, Newest: max(j.next, 1) - 1,
		Full: j.counts.full, Err: j.failed,
	}
	if j.busy {
		s.Unfinished = time.Since(j.began)
	}
	if len(j.segments) > 0 && j.durable >= j.segments[0].first {
		s.Oldest = j.segments[0].first
	}
	if s.Err == nil && (!j.opened || j.closing) {
		s.Err = ErrClosed
	}
	for _, c := range j.cursors {
		records, bytes := c.lag()
		s.Cursors = append(s.Cursors, CursorStats{c.name, c.committed, records, bytes})
	}
	slices.SortFunc(s.Cursors, func(a, b CursorStats) int { return strings.Compare(a.Name, b.Name) })
	return s
}
