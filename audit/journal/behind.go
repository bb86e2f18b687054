package journal

import (
	"errors"
	"time"
)

// ErrBehind says that records are durable that the caller has not read, or that
// too many wait for the disk to be looked at while others wait.
var ErrBehind = errors.New("the journal has gone on")

// aheadBytes bounds what AppendBehind looks at under the lock: some two
// milliseconds of hashing.
const aheadBytes = 1 << 20

// AppendBehind appends a record that can say something of every record before
// it. after is the last one that the caller has read; each is called with those
// behind it, which are not durable yet, and then encode as Append does. Nothing
// can be appended meanwhile, so both must be short, and must not call the
// journal or keep the bytes. Where records behind after are durable already it
// fails with ErrBehind: read on, and try again.
//
// Whoever reads the record in the journal knows that all those before are there
// too. Until then neither it nor they need be.
func (j *Journal) AppendBehind(after uint64, each func(Entry), encode func(dst []byte, seq uint64, at time.Time) []byte) (Ticket, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if err := j.refusal(); err != nil {
		j.counts.refused++
		return Ticket{}, err
	}
	if after < j.durable || int64(len(j.pending.buf))+j.inflight > aheadBytes {
		return Ticket{}, ErrBehind
	}
	for _, b := range []*batch{j.writing, j.pending} {
		if b == nil || b.count == 0 {
			continue
		}
		frame{first: b.first, count: b.count, bytes: b.buf}.records(func(e Entry) bool {
			if e.Seq > after {
				each(e)
			}
			return true
		})
	}
	return j.append(encode)
}
