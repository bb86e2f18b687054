package audit

import (
	"bytes"
	"sync"
	"sync/atomic"
)

// mostOwed bounds the bytes of the ends of sessions that are kept while the
// journal takes nothing: those of some thousands of sessions.
const mostOwed = 2 << 20

// owed are the ends of sessions that the journal did not take when they came.
// Without its end a session looks as if it went on for ever, and a request of
// it that was withheld as if an answer could still come.
type owed struct {
	any  atomic.Bool // records is not empty
	mu   sync.Mutex
	size int
	// records are encoded but for number and time.
	records [][]byte
}

// keep keeps a record for later, false where there is no room.
func (o *owed) keep(rest []byte) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.size+len(rest) > mostOwed {
		return false
	}
	o.size += len(rest)
	o.records = append(o.records, bytes.Clone(rest))
	o.any.Store(true)
	return true
}

// pay hands on what is kept, oldest first, as long as it is taken.
func (o *owed) pay(take func(rest []byte) bool) {
	if !o.any.Load() {
		return
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	for len(o.records) > 0 && take(o.records[0]) {
		o.size -= len(o.records[0])
		o.records[0] = nil
		o.records = o.records[1:]
	}
	if len(o.records) == 0 {
		o.records = nil
		o.any.Store(false)
	}
}

// drop gives up on what is kept and says how many records that is.
func (o *owed) drop() (n int) {
	o.pay(func([]byte) bool { n++; return true })
	return n
}

// payOwed is called when the journal took a record.
func (r *Recorder) payOwed() {
	r.owed.pay(func(rest []byte) bool {
		e := r.encoder()
		defer r.release(e)
		e.rest = append(e.rest[:0], rest...)
		_, err := r.put(e, KindSession)
		return err == nil
	})
}
