package journal

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"fmt"
	"slices"
	"time"
)

const (
	// commitSize is when a batch is written although nobody waits for it.
	commitSize = 256 << 10
	// keepBuffer is how large a buffer may be to be used again.
	keepBuffer = 4 << 20
)

// batch is the next frame while records join it.
type batch struct {
	buf   []byte // room for the frame's header, then records
	first uint64
	count uint32
	at    int64 // of the last record
	began time.Time
}

func (b *batch) last() uint64 { return b.first + uint64(b.count) - 1 }

func (b *batch) reset() {
	if cap(b.buf) > keepBuffer {
		b.buf = nil
	}
	*b = batch{buf: b.buf[:0]}
}

// Ticket stands for one appended record.
type Ticket struct {
	j   *Journal
	seq uint64
}

// Seq is the record's number in its log, from 1.
func (t Ticket) Seq() uint64 { return t.seq }

// waiter is one call of Wait.
type waiter struct {
	seq   uint64
	ready chan error // of one
}

// Append gives the next record its number and time and takes its bytes into
// memory; only Wait says that they are on the medium. encode appends the
// record to dst and returns it. It runs under the journal's lock: it must be
// short, must not call the journal, and must not keep dst. at is in UTC, in
// whole microseconds, and never earlier than that of the record before.
//
// An error means that the record was not taken: ErrFull, ErrBacklog,
// ErrTooLarge, ErrClosed, or ErrNotWritable while the disk fails.
func (j *Journal) Append(encode func(dst []byte, seq uint64, at time.Time) []byte) (Ticket, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if err := j.refusal(); err != nil {
		j.counts.refused++
		return Ticket{}, err
	}
	return j.append(encode)
}

// append adds a record to the pending batch.
func (j *Journal) append(encode func(dst []byte, seq uint64, at time.Time) []byte) (Ticket, error) {
	at := max(j.cfg.Now().UnixMicro(), j.at)
	b := j.pending
	buf := b.buf
	if b.count == 0 {
		buf = append(buf[:0], make([]byte, frameHeaderSize)...)
	}
	buf = append(buf, j.salts.next()...)
	buf = append(buf, 0, 0, 0, 0)
	start := len(buf)
	buf = encode(buf, j.next, time.UnixMicro(at).UTC())
	if len(buf) < start {
		panic("BUG: encode returned less than it was given")
	}
	if len(buf)-start > maxRecord {
		j.counts.refused++
		return Ticket{}, fmt.Errorf("%w: %d bytes", ErrTooLarge, len(buf)-start)
	}
	binary.BigEndian.PutUint32(buf[start-4:], uint32(len(buf)-start))

	first := b.count == 0
	if first {
		b.first, b.began = j.next, time.Now()
	}
	wasBelow := len(b.buf) < commitSize
	b.buf, b.at = buf, at
	b.count++
	t := Ticket{j, j.next}
	j.next++
	j.at = at
	if first || wasBelow && len(buf) >= commitSize {
		j.kick()
	}
	return t, nil
}

// refusal is why nothing can be appended now; nil: it can.
func (j *Journal) refusal() error {
	waiting := int64(len(j.pending.buf)) + j.inflight
	switch {
	case !j.opened || j.closing:
		return ErrClosed
	case j.failed != nil:
		return j.failed
	case j.cfg.MaxSize > 0 && j.size+waiting >= j.cfg.MaxSize:
		if !j.counts.full {
			j.counts.full = true
			j.trimAt = time.Time{}
			j.kick()
		}
		return ErrFull
	case int64(len(j.pending.buf)) >= int64(j.cfg.MaxPending):
		return ErrBacklog
	case j.next >= maxSeq:
		return fmt.Errorf("%w: record numbers are used up", ErrFull)
	}
	return nil
}

// Wait returns nil when the record is on the medium. An error of the disk
// means that it is not known to be there: it may still appear, with the same
// number and bytes, when the disk is well again. With a context's error the
// record is still under way, and Wait may be called again.
func (t Ticket) Wait(ctx context.Context) error {
	j := t.j
	j.mu.Lock()
	if settled, err := j.settled(t.seq); settled {
		j.mu.Unlock()
		return err
	}
	w := j.waiters.Get().(*waiter)
	w.seq = t.seq
	j.waiting = append(j.waiting, w)
	if t.seq >= j.pending.first && !j.urgent {
		j.urgent = true
		j.kick()
	}
	j.mu.Unlock()

	select {
	case err := <-w.ready:
		j.waiters.Put(w)
		return err
	case <-ctx.Done():
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	i := slices.Index(j.waiting, w)
	if i < 0 {
		// Settled in the meantime: the answer counts, not the hurry.
		err := <-w.ready
		j.waiters.Put(w)
		return err
	}
	j.waiting[i] = j.waiting[len(j.waiting)-1]
	j.waiting = j.waiting[:len(j.waiting)-1]
	j.waiters.Put(w)
	return fmt.Errorf("wait for record %d: %w", t.seq, context.Cause(ctx))
}

func (j *Journal) settled(seq uint64) (bool, error) {
	switch {
	case seq <= j.durable:
		return true, nil
	case seq <= j.failedTo:
		if j.failed != nil {
			return true, j.failed
		}
		return true, fmt.Errorf("%w: record %d was given up on", ErrNotWritable, seq)
	}
	return false, nil
}

// run is the writing goroutine: it alone writes segments and removes them.
func (j *Journal) run() {
	defer close(j.done)
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		pause, end := j.step()
		if end {
			j.release()
			return
		}
		if pause <= 0 {
			continue
		}
		timer.Reset(pause)
		select {
		case <-j.wake:
		case <-timer.C:
		}
	}
}

// step does what is due and says how long nothing will be.
func (j *Journal) step() (pause time.Duration, end bool) {
	j.mu.Lock()
	now := time.Now()
	due, any := j.due(now)
	var b *batch
	if any && !due.After(now) {
		b = j.take(now)
	}
	trim := b == nil && !j.closing && !j.trimAt.After(now)
	pause = j.trimAt.Sub(now)
	if any {
		pause = min(pause, due.Sub(now))
	}
	closing := j.closing
	j.mu.Unlock()

	switch {
	case b != nil:
		retried := b == j.stuck
		j.settle(b, j.store(b))
		return 0, closing && retried && j.stuck != nil
	case trim:
		j.trim()
		return 0, false
	}
	return pause, closing
}

// due is when the next write is to begin; false: there is nothing to write.
//
// An idle journal begins at once when somebody waits. Otherwise the next sync
// begins MaxDelay after the one before began, whatever that took: at a high
// rate this gathers records, and a sync costs as much for one as for many.
func (j *Journal) due(now time.Time) (time.Time, bool) {
	b := j.pending
	switch {
	case j.stuck != nil && j.closing:
		return now, true
	case j.stuck != nil:
		return j.retry, true
	case b.count == 0:
		return time.Time{}, false
	case j.closing || len(b.buf) >= commitSize:
		return now, true
	case j.urgent:
		return j.began.Add(j.cfg.MaxDelay), true
	}
	return b.began.Add(j.cfg.MaxDelay), true
}

// take hands the pending batch over; appends go into the other buffer.
func (j *Journal) take(now time.Time) *batch {
	j.began, j.busy = now, true
	if j.stuck != nil {
		j.writing = j.stuck
		return j.stuck
	}
	b := j.pending
	j.writing = b
	j.pending, j.spare = j.spare, nil
	if j.pending == nil {
		j.pending = new(batch)
	}
	j.pending.first = j.next
	j.urgent = false
	j.inflight = int64(len(b.buf))
	return b
}

// settle tells everyone concerned how a commit ended, all the same.
func (j *Journal) settle(b *batch, err error) {
	j.mu.Lock()
	now := time.Now()
	c := Commit{Records: int(b.count), Bytes: len(b.buf), Took: now.Sub(j.began), Err: err}
	j.busy, j.writing = false, nil
	j.counts.add(c)
	j.inflight = 0
	if err == nil {
		j.stuck = nil
		j.failed = nil
		j.durable, j.durableAt = b.last(), b.at
		j.size += int64(c.Bytes)
		j.segments[len(j.segments)-1].size += int64(c.Bytes)
		b.reset()
		j.spare = b
	} else {
		j.stuck = b
		j.inflight = int64(c.Bytes)
		j.failed = fmt.Errorf("%w: %w", ErrNotWritable, err)
		// What was appended meanwhile cannot be durable before this batch.
		j.failedTo = j.next - 1
		j.retry = now.Add(j.cfg.RetryEvery)
	}
	j.wakeWaiters()
	for _, c := range j.cursors {
		c.notify()
	}
	j.mu.Unlock()
	if j.cfg.Synced != nil {
		j.cfg.Synced(c)
	}
}

func (j *Journal) wakeWaiters() {
	left := j.waiting[:0]
	for _, w := range j.waiting {
		if settled, err := j.settled(w.seq); settled {
			w.ready <- err
		} else {
			left = append(left, w)
		}
	}
	clear(j.waiting[len(left):])
	j.waiting = left
}

// saltBox draws salts from the kernel many at a time.
type saltBox struct {
	box  [64 * saltSize]byte
	used int
	full bool
}

func (s *saltBox) next() []byte {
	if !s.full || s.used == len(s.box) {
		rand.Read(s.box[:]) // never fails
		s.used, s.full = 0, true
	}
	salt := s.box[s.used : s.used+saltSize]
	s.used += saltSize
	return salt
}
