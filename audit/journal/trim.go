package journal

import (
	"errors"
	"os"
	"slices"
	"time"
)

// trimEvery is how often segments are looked through that only their age
// keeps.
const trimEvery = time.Minute

// noteAcked looks whether whole segments were committed by the last cursor to
// do so, and wakes the writer for them.
func (j *Journal) noteAcked() {
	acked := j.acked()
	found := false
	for i := range len(j.segments) - 1 {
		if s := &j.segments[i]; s.acked.IsZero() && j.segments[i+1].first <= acked+1 {
			s.acked, found = j.cfg.Now(), true
		}
	}
	if found {
		j.trimAt = time.Time{}
		j.kick()
	}
}

// acked is the last record that every cursor has committed; without cursors
// none is.
func (j *Journal) acked() uint64 {
	if len(j.cursors) == 0 {
		return 0
	}
	acked := uint64(maxSeq)
	for _, c := range j.cursors {
		acked = min(acked, c.committed)
	}
	return acked
}

// trim removes segments, oldest first, as long as that is allowed.
func (j *Journal) trim() {
	var gone []GaveWay
	for {
		j.mu.Lock()
		ok, early := j.removable(j.pressed())
		if !ok {
			j.counts.full = j.cfg.MaxSize > 0 && j.size >= j.cfg.MaxSize
			j.trimAt = time.Now().Add(trimEvery)
			j.mu.Unlock()
			break
		}
		s := j.oldestSegment()
		j.mu.Unlock()
		if !j.remove(s.First) {
			break
		}
		if early {
			gone = joined(gone, s)
		}
	}
	j.tellGone(gone, "max_size")
}

// makeRoom removes what is committed everywhere, however young: the disk is
// full.
func (j *Journal) makeRoom() {
	var gone []GaveWay
	for {
		j.mu.Lock()
		ok, early := j.removable(!j.cfg.KeepAlways)
		if !ok {
			j.mu.Unlock()
			break
		}
		s := j.oldestSegment()
		j.mu.Unlock()
		if !j.remove(s.First) {
			break
		}
		if s.DiskFull = true; early {
			gone = joined(gone, s)
		}
	}
	j.tellGone(gone, "a full disk")
}

// oldestSegment names the records of the oldest segment, which is not the last.
func (j *Journal) oldestSegment() GaveWay {
	first := j.segments[0].first
	return GaveWay{Log: j.logOf(first).id.String(), First: first, Last: j.segments[1].first - 1}
}

// joined adds a segment's records to those before it, of the same log.
func joined(gone []GaveWay, s GaveWay) []GaveWay {
	if n := len(gone) - 1; n >= 0 && gone[n].Log == s.Log {
		gone[n].Last = s.Last
		return gone
	}
	return append(gone, s)
}

// tellGone says what gave way, and to what.
func (j *Journal) tellGone(gone []GaveWay, to string) {
	for _, s := range gone {
		j.cfg.Logf("journal: records %d to %d gave way to %s before keep_after_ack was over", s.First, s.Last, to)
		if j.cfg.GaveWay != nil {
			j.cfg.GaveWay(s)
		}
	}
}

// pressed says whether less than a segment's room is left below MaxSize.
func (j *Journal) pressed() bool {
	return j.cfg.MaxSize > 0 && !j.cfg.KeepAlways && j.size+j.cfg.SegmentSize > j.cfg.MaxSize
}

// removable says whether the oldest segment may go, and whether only because
// of pressure. The last segment never goes.
func (j *Journal) removable(pressed bool) (ok, early bool) {
	if len(j.segments) < 2 || j.segments[1].first > j.acked()+1 {
		return false, false
	}
	// The time of the segment's last record stands in the next one's header.
	ended := time.UnixMicro(j.segments[1].at)
	now := j.cfg.Now()
	if now.Sub(ended) >= j.cfg.KeepAfterAck && now.Sub(j.segments[0].acked) >= j.cfg.KeepAfterAck {
		return true, false
	}
	return pressed, true
}

// remove deletes the oldest segment. The directory is synced before the next
// one goes, so that a crash cannot leave a hole between the ones that stay.
func (j *Journal) remove(first uint64) bool {
	if j.unsynced && !j.syncRemoval() {
		return false
	}
	// Readers must not look for a file that is about to go.
	j.mu.Lock()
	s := j.segments[0]
	j.segments = j.segments[1:]
	j.size -= s.size
	j.mu.Unlock()
	if err := j.fs.Remove(j.path(segmentName(first))); err != nil && !errors.Is(err, os.ErrNotExist) {
		j.mu.Lock()
		j.segments = slices.Insert(j.segments, 0, s)
		j.size += s.size
		j.mu.Unlock()
		j.trimFailed(err)
		return false
	}
	j.mu.Lock()
	j.counts.removed++
	j.mu.Unlock()
	return j.syncRemoval()
}

func (j *Journal) syncRemoval() bool {
	err := j.fs.SyncDir(j.dir)
	j.unsynced = err != nil
	if err != nil {
		j.trimFailed(err)
	}
	return err == nil
}

// trimFailed puts trimming off: room is not so short that it could not wait.
func (j *Journal) trimFailed(err error) {
	j.cfg.Logf("journal: remove old segment: %v", err)
	j.mu.Lock()
	j.trimAt = time.Now().Add(trimEvery)
	j.mu.Unlock()
}
