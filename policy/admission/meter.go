package admission

import (
	"math/bits"
	"sync"
	"time"
)

// Meter limits the rate of each of very many keys. Of a key it remembers one
// number, when it will have nothing to answer for (the generic cell rate
// algorithm's theoretical arrival time), and nothing of those that have none. It
// may be used from many goroutines.
type Meter struct {
	mode      string
	interval  time.Duration
	tolerance time.Duration
	most      int // buckets of one shard
	base      time.Time
	shards    [meterShards]meterShard
}

// meterShard is a hash table of small buckets: a key is in its bucket or not
// known. It doubles while it may when a bucket is full of such as have something
// to answer for; then the one that is nearest to having none gives way.
type meterShard struct {
	mu      sync.Mutex
	buckets []meterBucket
}

type meterBucket [bucketSize]struct {
	key uint64
	due time.Duration // since the meter's base
}

const (
	meterShards  = 64
	bucketSize   = 8
	firstBuckets = 4
)

// NewMeter makes a meter of r for tracked keys at once. Its times are counted
// from base.
func NewMeter(r Rate, tracked int, base time.Time) *Meter {
	m := &Meter{mode: r.Mode, base: base}
	// Twice the room, up to a power of two: keys do not spread evenly.
	m.most = max(firstBuckets, 2<<bits.Len(uint(tracked/meterShards/bucketSize)))
	if r.on() {
		m.interval = max(1, time.Duration(float64(time.Second)/r.perSecond()))
		m.tolerance = m.interval * time.Duration(r.burst()-1)
	}
	return m
}

// Mode is the mode of the meter's limit.
func (m *Meter) Mode() string { return m.mode }

// Peek tells how long key must wait until it may do one more; 0: it may now.
func (m *Meter) Peek(key uint64, now time.Time) time.Duration {
	if m.interval == 0 {
		return 0
	}
	t, s := now.Sub(m.base), m.shard(key)
	s.mu.Lock()
	defer s.mu.Unlock()
	return max(0, m.dueAt(s, key, t)-t-m.tolerance)
}

// Take charges key with one more if it may, and tells as Peek does.
func (m *Meter) Take(key uint64, now time.Time) (wait time.Duration) {
	if m.interval == 0 {
		return 0
	}
	t, s := now.Sub(m.base), m.shard(key)
	s.mu.Lock()
	defer s.mu.Unlock()
	due := m.dueAt(s, key, t)
	if wait = due - t - m.tolerance; wait > 0 {
		return wait
	}
	m.put(s, key, t, due+m.interval)
	return 0
}

// Refund takes one charge of key back.
func (m *Meter) Refund(key uint64) {
	s := m.shard(key)
	s.mu.Lock()
	defer s.mu.Unlock()
	if i, b := s.find(key); i >= 0 {
		b[i].due -= m.interval
	}
}

// Len is how many keys have something to answer for.
func (m *Meter) Len(now time.Time) (n int) {
	t := now.Sub(m.base)
	for i := range m.shards {
		s := &m.shards[i]
		s.mu.Lock()
		for j := range s.buckets {
			for _, e := range s.buckets[j] {
				if e.due > t {
					n++
				}
			}
		}
		s.mu.Unlock()
	}
	return n
}

// mix spreads keys that are no hashes.
func mix(key uint64) uint64 { return key * 0x9e3779b97f4a7c15 }

func (m *Meter) shard(key uint64) *meterShard { return &m.shards[mix(key)>>58] }

func (s *meterShard) bucket(key uint64) *meterBucket {
	return &s.buckets[mix(key)>>26&uint64(len(s.buckets)-1)]
}

func (s *meterShard) find(key uint64) (int, *meterBucket) {
	if len(s.buckets) == 0 {
		return -1, nil
	}
	b := s.bucket(key)
	for i := range b {
		if b[i].key == key {
			return i, b
		}
	}
	return -1, b
}

// dueAt is when key has nothing to answer for, t where it has nothing now. What
// is further ahead than any charge can bring it was written before a clock was
// set back.
func (m *Meter) dueAt(s *meterShard, key uint64, t time.Duration) time.Duration {
	i, b := s.find(key)
	if i < 0 || b[i].due < t || b[i].due > t+m.tolerance+2*m.interval {
		return t
	}
	return b[i].due
}

func (m *Meter) put(s *meterShard, key uint64, t, due time.Duration) {
	if len(s.buckets) == 0 {
		s.grow(t)
	}
	i, b := s.find(key)
	for i < 0 {
		if i = b.least(); b[i].due > t && len(s.buckets) < m.most {
			s.grow(t)
			i, b = s.find(key)
		}
	}
	b[i].key, b[i].due = key, due
}

// least is the place of the key that is nearest to having nothing to answer for.
func (b *meterBucket) least() (at int) {
	for i := range b {
		if b[i].due < b[at].due {
			at = i
		}
	}
	return at
}

// grow doubles the table, and forgets those that have nothing to answer for.
func (s *meterShard) grow(t time.Duration) {
	old := s.buckets
	s.buckets = make([]meterBucket, max(firstBuckets, 2*len(old)))
	for i := range old {
		for _, e := range old[i] {
			if e.due > t {
				b := s.bucket(e.key)
				b[b.least()] = e
			}
		}
	}
}
