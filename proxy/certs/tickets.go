package certs

import (
	"crypto/rand"
	"time"
)

// A key encrypts session tickets for ticketPeriod, and is known for as long as
// ticketKeys of them last: a CPE that informs once a day may resume.
const (
	ticketPeriod = 12 * time.Hour
	ticketKeys   = 4
)

// tickets are the keys by which TLS sessions are resumed, the newest first. No
// two listeners share any: a session of one is none of another's.
type tickets struct {
	keys [][32]byte
	due  time.Time // for the next
}

// next adds a key, and drops the oldest.
func (t tickets) next(now time.Time) tickets {
	var key [32]byte
	rand.Read(key[:])
	keys := append([][32]byte{key}, t.keys[:min(len(t.keys), ticketKeys-1)]...)
	return tickets{keys, now.Add(ticketPeriod)}
}
