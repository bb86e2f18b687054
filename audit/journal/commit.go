package journal

import (
	"errors"
	"fmt"
	"syscall"
	"time"
)

// store puts a batch on the medium. A file on which a write or sync failed is
// given up: what its pages hold is then anybody's guess, and a second sync
// would answer for bytes that the first one has dropped. So the second and
// last attempt writes the same records into a new segment.
func (j *Journal) store(b *batch) error {
	err := j.attempt(b)
	if err == nil {
		return nil
	}
	j.cfg.Logf("journal: record %d: %v; trying in a new segment", b.first, err)
	j.giveUp()
	if errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) {
		j.makeRoom()
	}
	if err = j.attempt(b); err == nil {
		return nil
	}
	j.cfg.Logf("journal: record %d: %v; no records are taken until the disk is well again", b.first, err)
	j.giveUp()
	return err
}

func (j *Journal) attempt(b *batch) error {
	if ok, err := j.hasRoom(b); err != nil {
		return err
	} else if !ok {
		return j.begin(b)
	}
	seal(b.buf, j.seed, b.first, b.count, b.at)
	if err := write(j.file, b.buf); err != nil {
		return fmt.Errorf("write segment %s: %w", segmentName(j.tail().first), err)
	}
	if err := j.file.Sync(); err != nil {
		return fmt.Errorf("sync segment %s: %w", segmentName(j.tail().first), err)
	}
	return nil
}

// tail is the segment that is written; only the writing goroutine changes it.
func (j *Journal) tail() *segment { return &j.segments[len(j.segments)-1] }

// hasRoom says whether the batch goes into the segment that is open.
func (j *Journal) hasRoom(b *batch) (bool, error) {
	if j.file == nil {
		return false, nil
	}
	if !j.rolled() && j.tail().size+int64(len(b.buf)) <= j.cfg.SegmentSize && j.follows(b) {
		return true, j.inspect()
	}
	// Everything in it is synced: a failing Close loses nothing.
	if err := j.file.Close(); err != nil {
		j.cfg.Logf("journal: close segment %s: %v", segmentName(j.tail().first), err)
	}
	j.file = nil
	return false, nil
}

// Roll has the next commit begin a new segment. A segment stays until the one
// behind it has begun: where little is written, its records would stay for long
// after nothing keeps them.
func (j *Journal) Roll() {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.roll = true
}

func (j *Journal) rolled() bool {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.roll
}

// follows says whether the batch goes on with the numbers and the log of what
// is durable; it does not behind missing records and the end of another log,
// which the last frame of the life before may come to stand next to.
func (j *Journal) follows(b *batch) bool {
	return b.first == j.durable+1 && j.logOf(b.first).id == j.logOf(j.durable).id
}

// inspect notices, once a second, that the segment was taken away: a deleted
// file takes writes and syncs without complaint.
func (j *Journal) inspect() error {
	i, ok := j.fs.(Inspector)
	if !ok || time.Since(j.inspected) < time.Second {
		return nil
	}
	j.inspected = time.Now()
	return i.Inspect(j.file, j.path(segmentName(j.tail().first)))
}

// begin makes a segment of which the batch is the first frame. Both are on
// the medium before the segment gets its name: from then on it is this one
// that counts, whatever an earlier segment holds of the same records. One of
// the same name holds nothing else and is replaced.
func (j *Journal) begin(b *batch) error {
	j.mu.Lock()
	h := header{log: j.logOf(b.first).id, first: b.first, at: j.durableAt}
	before := j.segments
	if n := len(before); n > 0 && before[n-1].first == b.first {
		before = before[:n-1]
	}
	if n := len(before); n > 0 && before[n-1].suspect {
		h.flags = afterSuspect
	}
	j.mu.Unlock()

	head, crc := h.marshal()
	seal(b.buf, crc, b.first, b.count, b.at)
	name := segmentName(b.first)
	f, err := writeAside(j.fs, j.path(name), head, b.buf)
	if err != nil {
		return fmt.Errorf("begin segment %s: %w", name, err)
	}
	if err := putInPlace(j.fs, j.path(name)); err != nil {
		_ = f.Close()
		return fmt.Errorf("begin segment %s: %w", name, err)
	}
	j.file, j.seed, j.inspected = f, crc, time.Now()

	j.mu.Lock()
	defer j.mu.Unlock()
	j.roll = false
	j.segments = append(before, segment{first: b.first, at: h.at, size: headerSize})
	j.size = 0
	for _, s := range j.segments {
		j.size += s.size
	}
	return nil
}

// giveUp closes the segment on which a write failed. Its bytes behind the
// last commit are cut off where the disk lets us, so that a restart does not
// believe the page cache; and the header of the next segment says for good
// that they are void.
func (j *Journal) giveUp() {
	if j.file == nil {
		return
	}
	j.mu.Lock()
	s := j.tail()
	s.suspect = true
	size := s.size
	j.counts.suspect++
	j.mu.Unlock()
	if err := j.file.Truncate(size); err != nil {
		j.cfg.Logf("journal: cut suspect segment %s: %v", segmentName(s.first), err)
	}
	_ = j.file.Close()
	j.file = nil
}

// release ends the writer.
func (j *Journal) release() {
	if j.file != nil {
		_ = j.file.Close()
		j.file = nil
	}
}
