package audit

import (
	"sync"
	"time"
)

// likeness is what events have in common that make one record.
type likeness struct {
	kind, from, reason, source, tenant string
	acs, class                         string // of a decision
	device                             Device
}

// alike is the first of several such events, and their number.
type alike struct {
	facts    Origin
	refusal  Refusal
	security Security
	decision Decision
	count    int
}

// coalescer puts alike events of one second together, so that a flood makes
// few records. The map is bounded: beyond it, source and device are no longer
// told apart. No goroutine runs: a timer ends each second in which something
// came.
type coalescer struct {
	write func(likeness, *alike)
	bound int

	mu     sync.Mutex
	timer  *time.Timer
	closed bool
	open   map[likeness]*alike
	order  []likeness // as they came, for records have an order
}

func (c *coalescer) init(bound int, write func(likeness, *alike)) {
	c.bound, c.write = bound, write
	c.open = make(map[likeness]*alike)
}

// add takes one event.
func (c *coalescer) add(key likeness, a alike) {
	a.count = 1
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		c.write(key, &a)
		return
	}
	have := c.open[key]
	if have == nil && len(c.open) >= c.bound {
		key.source, key.device = "", Device{}
		a.blur()
		have = c.open[key]
	}
	if have != nil {
		have.count++
		if have.facts.Device != a.facts.Device {
			have.facts.Device, have.facts.Session, have.facts.Identity = Device{}, "", ""
		}
		return
	}
	c.open[key] = &a
	c.order = append(c.order, key)
	if len(c.open) > 1 {
		return
	}
	now := time.Now()
	rest := now.Truncate(time.Second).Add(time.Second).Sub(now)
	if c.timer == nil {
		c.timer = time.AfterFunc(rest, c.flush)
	} else {
		c.timer.Reset(rest)
	}
}

// blur takes away what the events of a crowd do not share.
func (a *alike) blur() {
	a.facts.Device, a.facts.Session, a.facts.Identity = Device{}, "", ""
	a.refusal.Peer, a.refusal.Source, a.refusal.Path, a.refusal.Offset, a.refusal.Size = "", "", "", -1, -1
	a.security.Peer, a.security.Source, a.security.Claimed, a.security.Verified = "", "", "", ""
	a.decision.Peer, a.decision.Source = "", ""
}

// flush writes what the second that is over has brought.
func (c *coalescer) flush() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, key := range c.order {
		c.write(key, c.open[key])
	}
	clear(c.open)
	clear(c.order)
	c.order = c.order[:0]
}

func (c *coalescer) close() {
	c.mu.Lock()
	if c.timer != nil {
		c.timer.Stop()
	}
	c.closed = true
	c.mu.Unlock()
	c.flush()
}
