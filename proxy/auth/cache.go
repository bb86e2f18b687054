package auth

import (
	"container/list"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"sync"
	"time"
)

// cacheKey stands for what must not be kept: who has the process's memory at a
// later time learns no password from it.
type cacheKey [sha256.Size]byte

// keyer makes keys that nobody else can compute.
type keyer [32]byte

func newKeyer() *keyer {
	var k keyer
	rand.Read(k[:])
	return &k
}

func (k *keyer) key(parts ...string) (out cacheKey) {
	m := hmac.New(sha256.New, k[:])
	for _, p := range parts {
		var n [8]byte
		binary.BigEndian.PutUint64(n[:], uint64(len(p)))
		m.Write(n[:])
		m.Write([]byte(p))
	}
	m.Sum(out[:0])
	return out
}

// short is a key for a meter.
func (k *keyer) short(parts ...string) uint64 {
	long := k.key(parts...)
	return binary.BigEndian.Uint64(long[:]) | 1
}

// cache keeps values for a while, the newest of a bounded number.
type cache[V any] struct {
	mu      sync.Mutex
	max     int
	entries map[cacheKey]*list.Element
	order   list.List // oldest first
}

type cached[V any] struct {
	key   cacheKey
	value V
	since time.Time
	until time.Time
}

func newCache[V any](max int) *cache[V] {
	return &cache[V]{max: max, entries: make(map[cacheKey]*list.Element)}
}

// get returns what is known, and since when.
func (c *cache[V]) get(key cacheKey, now time.Time) (v V, since time.Time, ok bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	e := c.entries[key]
	if e == nil {
		return v, since, false
	}
	at := e.Value.(*cached[V])
	if now.After(at.until) {
		c.drop(e)
		return v, since, false
	}
	return at.value, at.since, true
}

func (c *cache[V]) put(key cacheKey, v V, now time.Time, keep time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if e := c.entries[key]; e != nil {
		c.drop(e)
	}
	if len(c.entries) >= c.max {
		c.drop(c.order.Front())
	}
	c.entries[key] = c.order.PushBack(&cached[V]{key, v, now, now.Add(keep)})
}

func (c *cache[V]) drop(e *list.Element) {
	delete(c.entries, e.Value.(*cached[V]).key)
	c.order.Remove(e)
}

func (c *cache[V]) clear() {
	c.mu.Lock()
	defer c.mu.Unlock()
	clear(c.entries)
	c.order.Init()
}
