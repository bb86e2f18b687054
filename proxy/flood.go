package proxy

import (
	"net/netip"
	"sync"
	"time"
)

// orphansRecorded is how many messages of no session are recorded whole from one
// source in one second; more are told in the count of a refusal, so that nobody
// can fill the journal without a session.
const orphansRecorded = 5

// flood counts by source within a second.
type flood struct {
	mu     sync.Mutex
	second int64
	of     map[netip.Prefix]int
}

// maxFloodSources bounds the sources told apart in one second.
const maxFloodSources = 10_000

func (f *flood) allow(source netip.Prefix, now time.Time) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	if s := now.Unix(); s != f.second || f.of == nil {
		f.second, f.of = s, make(map[netip.Prefix]int)
	}
	n, known := f.of[source]
	if !known && len(f.of) >= maxFloodSources {
		return false
	}
	f.of[source] = n + 1
	return n < orphansRecorded
}
