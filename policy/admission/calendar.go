package admission

import "time"

// calendar says when those who are sent away are to come back: each second is
// given to no more of them than will be admitted in it. What is expected of CPEs
// that go by their own timers takes room too. Seconds count from the
// controller's base.
type calendar struct {
	base   int64                 // the second that is now
	booked [calendarSpan]float64 // told to come in that second
	slope  [calendarSpan]float64 // change, from the second before, of what comes by itself
	level  float64               // what comes by itself in base

	free   int64   // no second before is free
	flow   float64 // what comes by itself in free
	within float64 // the least capacity since free was looked for from the beginning
}

// calendarSpan is how many seconds ahead can be booked: the longest wait of a
// CPE's own timer is 5,120 s by TR-069's defaults.
const calendarSpan = 1 << 13

func (c *calendar) advance(now int64) {
	for ; c.base < now; c.base++ {
		if c.base+calendarSpan < now { // nothing of it is left
			*c = calendar{base: now, free: now}
			return
		}
		i := c.base % calendarSpan
		c.booked[i], c.slope[i] = 0, 0
		c.level += c.slope[(c.base+1)%calendarSpan]
	}
	if c.free < c.base {
		c.free, c.flow = c.base, c.level
	}
}

// expect takes note that share of a CPE comes by itself, as likely in any second
// of [from, to).
func (c *calendar) expect(from, to int64, share float64) {
	from, to = max(from, c.base+1), min(to, c.base+calendarSpan-1)
	if from >= to {
		return
	}
	each := share / float64(to-from)
	c.slope[from%calendarSpan] += each
	c.slope[to%calendarSpan] -= each
	if from <= c.free && c.free < to {
		c.flow += each
	}
}

// book finds the first second from earliest on in which fewer than capacity are
// expected, moves it on by up to some seconds that the device decides, and gives
// it to share of a CPE.
func (c *calendar) book(earliest int64, capacity, share float64, device uint64) int64 {
	end := c.base + calendarSpan - 1
	earliest = min(max(earliest, c.base+1), end)
	if c.free < earliest || capacity > 1.05*c.within {
		c.free, c.flow = c.base, c.level
		for c.free < earliest {
			c.next()
		}
		c.within = capacity
	}
	c.within = min(c.within, capacity)
	capacity -= rounding
	for c.free < end && c.flow+c.booked[c.free%calendarSpan] >= capacity {
		c.next()
	}
	at, flow := c.free, c.flow
	spread := min(max((at-c.base)/spreadPart, 2), mostSpread)
	for move := int64(device % uint64(spread)); at < end && (move > 0 || flow+c.booked[at%calendarSpan] >= capacity); move-- {
		at++
		flow += c.slope[at%calendarSpan]
	}
	c.booked[at%calendarSpan] += share
	return at
}

// rounding is what adding shares up may have lost.
const rounding = 1e-3

// A device moves its second on by up to this part of its wait, and no more than
// so many seconds.
const (
	spreadPart = 20
	mostSpread = 15
)

func (c *calendar) next() {
	c.free++
	c.flow += c.slope[c.free%calendarSpan]
}

// habits learns which share of the CPEs goes by its own timers whatever it is
// told, from what a sample of them does. Of none that was tried is it known to
// read Retry-After (field reports), and of many unknown: it begins in the middle.
type habits struct {
	share float64
	told  map[uint64]promise
	queue []promise // as they were told
}

// promise is what one CPE was told, and when it comes if it did not listen.
type promise struct {
	device uint64
	own    int64 // the second in which its own timer is over
	due    int64
}

const (
	habitsSample = 1024
	habitsPace   = 1.0 / 64 // of what one CPE shows
)

func newHabits() habits { return habits{share: 0.5, told: make(map[uint64]promise)} }

func (h *habits) learn(ignores float64) { h.share += (ignores - h.share) * habitsPace }

// sent takes note of what a CPE was told, where it can be told apart from what
// it would do by itself.
func (h *habits) sent(p promise) {
	if p.device == 0 || p.due < p.own+2 || len(h.told) >= habitsSample {
		return
	}
	if _, known := h.told[p.device]; !known {
		h.told[p.device] = p
		h.queue = append(h.queue, p)
	}
}

// came takes note that a CPE is here.
func (h *habits) came(device uint64, now int64) {
	p, known := h.told[device]
	if !known {
		return
	}
	delete(h.told, device)
	if now < p.due-1 {
		h.learn(1)
	} else {
		h.learn(0)
	}
}

// advance takes those that did not come by their own timers for such as listen.
func (h *habits) advance(now int64) {
	for len(h.queue) > 0 && h.queue[0].own < now {
		p := h.queue[0]
		h.queue = h.queue[1:]
		if held, ok := h.told[p.device]; ok && held == p {
			delete(h.told, p.device)
			h.learn(0)
		}
	}
}

// Window is when a CPE comes back by itself whose Inform of this RetryCount
// fails now: TR-069 section 3.2.1.1.
func (r CPERetry) Window(retries int) (from, to time.Duration) {
	from = time.Duration(r.Minimum)
	for range min(max(retries, 0), maxRetries-1) {
		from = from * time.Duration(r.Multiplier) / 1000
	}
	return from, from * time.Duration(r.Multiplier) / 1000
}
