package auth

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"net/netip"
	"sync"
	"time"
)

// nonces makes nonces that say themselves when and for whom they were made, and
// remembers of those that were used how far their counter has come. A restart
// makes all of them stale.
type nonces struct {
	key      [32]byte
	lifetime time.Duration
	max      int // of one generation

	mu       sync.Mutex
	current  generation
	previous generation
	began    time.Time // of the current generation
	floor    int64     // what was issued until then and is not known may have been used
}

// generation is the counters of nonces that were used in a lifetime.
type generation struct {
	counts map[nonceID]uint32
	newest int64 // time of issue
}

// A nonce is its time of issue in milliseconds, random bytes, and a MAC.
const (
	nonceTime   = 6
	nonceRandom = 6
	nonceMAC    = 12
	nonceSize   = nonceTime + nonceRandom + nonceMAC
)

type nonceID [nonceTime + nonceRandom]byte

func newNonces(lifetime time.Duration, max int) *nonces {
	n := &nonces{lifetime: lifetime, max: max/2 + 1}
	rand.Read(n.key[:])
	n.current.counts, n.previous.counts = make(map[nonceID]uint32), make(map[nonceID]uint32)
	return n
}

// issue makes a nonce for a source.
func (n *nonces) issue(source netip.Prefix, now time.Time) string {
	var raw [nonceSize]byte
	var ms [8]byte
	binary.BigEndian.PutUint64(ms[:], uint64(now.UnixMilli()))
	copy(raw[:], ms[8-nonceTime:])
	rand.Read(raw[nonceTime : nonceTime+nonceRandom])
	copy(raw[nonceTime+nonceRandom:], n.mac(raw[:nonceTime+nonceRandom], source))
	return base64.RawURLEncoding.EncodeToString(raw[:])
}

func (n *nonces) mac(what []byte, source netip.Prefix) []byte {
	m := hmac.New(sha256.New, n.key[:])
	m.Write(what)
	text, _ := source.MarshalText() // of a prefix it never fails
	m.Write(text)
	return m.Sum(nil)[:nonceMAC]
}

// open reads a nonce that was made here for that source and is not too old.
func (n *nonces) open(text string, source netip.Prefix, now time.Time) (id nonceID, ok bool) {
	raw, err := base64.RawURLEncoding.Strict().DecodeString(text)
	if err != nil || len(raw) != nonceSize {
		return id, false
	}
	copy(id[:], raw)
	age := now.Sub(time.UnixMilli(id.issued()))
	return id, hmac.Equal(raw[len(id):], n.mac(id[:], source)) && age >= -time.Second && age <= n.lifetime
}

func (id *nonceID) issued() int64 {
	var ms [8]byte
	copy(ms[8-nonceTime:], id[:nonceTime])
	return int64(binary.BigEndian.Uint64(ms[:]))
}

// use takes note that a nonce was used with this counter. It is false where it
// was with the same one or a higher, or may have been.
func (n *nonces) use(id nonceID, nc uint32, now time.Time) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.turn(now)
	last, known := n.current.counts[id]
	if !known {
		last, known = n.previous.counts[id]
	}
	if known && nc <= last || !known && id.issued() <= n.floor {
		return false
	}
	n.current.counts[id] = nc
	n.current.newest = max(n.current.newest, id.issued())
	return true
}

// turn begins a new generation when the current one is full or a lifetime old.
// What is forgotten then was issued by the floor at latest.
func (n *nonces) turn(now time.Time) {
	if age := now.Sub(n.began); len(n.current.counts) < n.max && age >= 0 && age < n.lifetime {
		return
	}
	n.floor = max(n.floor, n.previous.newest)
	n.previous = n.current
	n.current = generation{counts: make(map[nonceID]uint32)}
	n.began = now
}
