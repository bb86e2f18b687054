package proxy

import (
	"slices"
	"sync"
	"time"
)

// busy counts the Informs of the devices that send most of them, in this minute
// and the one before. Of more devices than it has room for, those that send few
// are lost (Misra and Gries): a device is missed only if it sent less than one in
// busyRoom of all.
type busy struct {
	mu     sync.Mutex
	minute int64
	now    map[string]int
	before map[string]int
}

const busyRoom = 512

func (b *busy) to(minute int64) {
	if minute == b.minute && b.now != nil {
		return
	}
	if minute == b.minute+1 {
		b.before = b.now
	} else {
		b.before = nil
	}
	b.minute, b.now = minute, make(map[string]int)
}

// count takes note of an Inform of a device.
func (b *busy) count(device string, now time.Time) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.to(now.Unix() / 60)
	if _, known := b.now[device]; known || len(b.now) < busyRoom {
		b.now[device]++
		return
	}
	for d, n := range b.now { // every one has paid for an Inform of its own
		if n == 1 {
			delete(b.now, d)
		} else {
			b.now[d] = n - 1
		}
	}
}

// DeviceRate is a device and its Informs in this minute and the one before.
type DeviceRate struct {
	Tenant  string `json:"tenant"`
	OUI     string `json:"oui"`
	Class   string `json:"class"`
	Serial  string `json:"serial"`
	Informs int    `json:"informs"`
}

// most gives the n busiest devices that sent more than one.
func (b *busy) most(n int, now time.Time) []DeviceRate {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.to(now.Unix() / 60)
	sums := make(map[string]int, len(b.now)+len(b.before))
	for _, m := range []map[string]int{b.now, b.before} {
		for d, n := range m {
			sums[d] += n
		}
	}
	var all []DeviceRate
	for d, n := range sums {
		if n > 1 {
			r := splitKey(d)
			r.Informs = n
			all = append(all, r)
		}
	}
	slices.SortFunc(all, func(a, b DeviceRate) int {
		if a.Informs != b.Informs {
			return b.Informs - a.Informs
		}
		return compareDevices(a, b)
	})
	return all[:min(n, len(all))]
}
