package admission

import (
	"slices"
	"sync"
	"time"
)

// Controller is the admission of one gateway. Its methods, and those of its
// lanes, take the time as an argument and may be called from many goroutines.
type Controller struct {
	set     Settings
	decided func(*Inform) // of one that waited; called under the lock
	devices *Meter
	sources *Meter // of connections

	mu      sync.Mutex
	base    time.Time
	last    time.Time     // as it was told
	passed  time.Duration // since base, as time can have passed
	gateway *limit
	tenants map[string]*limit
	lanes   []*Lane
	turn    int // the lane that is looked at first
	n       int // waiting in all lanes
	bytes   int64
	closed  bool
	biting  []*bites
	changes []Change
	queue   bites
	address bites
}

// New makes a controller without lanes, whose time begins at now. decided is
// called for each Inform that waited once its outcome is known; it must neither
// block nor call back.
func New(set Settings, now time.Time, decided func(*Inform)) *Controller {
	return &Controller{
		set: set, decided: decided, base: now, last: now, tenants: make(map[string]*limit),
		devices: NewMeter(set.Device, set.Tracked, now), sources: NewMeter(set.Connections, set.Tracked, now),
		gateway: newLimit(set.Informs, ReasonGatewayRate, "", "", time.Duration(set.Wait)),
		queue:   bites{name: ReasonQueue}, address: bites{name: ReasonAddressRate},
	}
}

// LaneConfig is what holds for one ACS of a tenant.
type LaneConfig struct {
	Tenant, ACS string
	Informs     Rate // of the ACS
	Sessions    Most
	Adaptive    Adaptive
	OfTenant    Rate // of all ACSes of the tenant; of several lanes the first one's holds
}

// Lane adds the way to an ACS. All lanes are added before the first Inform.
func (c *Controller) Lane(cfg LaneConfig) *Lane {
	c.mu.Lock()
	defer c.mu.Unlock()
	wait := time.Duration(c.set.Wait)
	tenant := c.tenants[cfg.Tenant]
	if tenant == nil {
		tenant = newLimit(cfg.OfTenant, ReasonTenantRate, cfg.Tenant, "", wait)
		c.tenants[cfg.Tenant] = tenant
	}
	l := &Lane{
		c: c, cfg: cfg, tenant: tenant, rate: newLimit(cfg.Informs, ReasonUpstreamRate, cfg.Tenant, cfg.ACS, wait),
		sessions: bites{name: ReasonUpstreamSessions, tenant: cfg.Tenant, acs: cfg.ACS},
		answer:   bites{name: ReasonUpstreamAnswers, tenant: cfg.Tenant, acs: cfg.ACS},
		device:   bites{name: ReasonDeviceRate, tenant: cfg.Tenant, acs: cfg.ACS},
		follows:  newFollower(cfg.Informs, cfg.Adaptive), habits: newHabits(),
	}
	l.waiting.floor = float64(c.set.Floor) / 100
	l.waiting.byDevice = make(map[uint64]*Inform)
	c.lanes = append(c.lanes, l)
	return l
}

// tick takes the time. It stands still while the clock it is told runs behind
// itself, and goes on from there: a clock that was set back must not stop
// admission for as long.
func (c *Controller) tick(now time.Time) time.Time {
	if d := now.Sub(c.last); d > 0 {
		c.passed += d
	}
	c.last = now
	return c.base.Add(c.passed)
}

func (c *Controller) second(now time.Time) int64 { return int64(now.Sub(c.base) / time.Second) }

// Advance admits those whose turn has come and sends those away who have waited
// for long enough. It returns after how long it is to be called again, 0 if not
// before something else happens.
func (c *Controller) Advance(now time.Time) time.Duration {
	c.mu.Lock()
	defer c.mu.Unlock()
	now = c.tick(now)
	c.settle(now)
	return c.next(now)
}

// settle brings the controller up to date.
func (c *Controller) settle(now time.Time) {
	for _, l := range c.lanes {
		l.follow(now)
	}
	c.pump(now)
	for _, l := range c.lanes {
		l.expire(now)
	}
	c.rest(now)
}

// pump admits from all lanes in turn, as long as one may.
func (c *Controller) pump(now time.Time) {
	for idle := 0; c.n > 0 && idle < len(c.lanes); {
		l := c.lanes[c.turn%len(c.lanes)]
		c.turn = (c.turn + 1) % len(c.lanes)
		if l.waiting.n == 0 {
			idle++
			continue
		}
		if _, wait := l.held(now); wait != 0 {
			idle++
			continue
		}
		idle = 0
		in := l.waiting.pop()
		c.left(in)
		in.outcome = l.admit(in, now)
		c.decided(in)
	}
}

// left takes note that in does not wait any more.
func (c *Controller) left(in *Inform) {
	c.n--
	c.bytes -= in.Bytes
	if in.lane.waiting.n == 0 {
		in.lane.behind = time.Time{}
	}
}

// refuse sends one away that waits.
func (c *Controller) refuse(in *Inform, reason string, now time.Time) {
	in.lane.waiting.remove(in)
	c.left(in)
	in.outcome = in.lane.refusal(in, reason, now)
	c.decided(in)
}

// rest takes note of limits that hold nobody back any more.
func (c *Controller) rest(now time.Time) {
	if len(c.biting) == 0 {
		return
	}
	c.biting = slices.DeleteFunc(c.biting, func(b *bites) bool {
		if now.Sub(b.last) < restAfter {
			return false
		}
		c.changes = append(c.changes, Change{b.name, b.tenant, b.acs, false, b.count})
		b.biting, b.count = false, 0
		return true
	})
}

// next is how long nothing will happen by itself; 0: for ever.
func (c *Controller) next(now time.Time) time.Duration {
	var soonest time.Duration
	sooner := func(d time.Duration) {
		if d = max(d, time.Microsecond); soonest == 0 || d < soonest {
			soonest = d
		}
	}
	for _, l := range c.lanes {
		if l.waiting.n == 0 {
			continue
		}
		sooner(l.waiting.oldest.arrived.Add(time.Duration(c.set.Wait)).Sub(now))
		if _, wait := l.held(now); wait > 0 {
			sooner(wait)
		}
		if l.follows.floor > 0 {
			sooner(time.Second)
		}
	}
	for _, b := range c.biting {
		sooner(b.last.Add(restAfter).Sub(now))
	}
	return soonest
}

// Changes takes the limits that have begun or stopped to hold Informs back since
// it was called last.
func (c *Controller) Changes() []Change {
	c.mu.Lock()
	defer c.mu.Unlock()
	changes := c.changes
	c.changes = nil
	return changes
}

// connectionRefused takes note that a connection was over its source's limit.
func (c *Controller) connectionRefused(now time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.address.bite(c, c.tick(now))
}

// Close sends all away that wait, and admits none from now on.
func (c *Controller) Close(now time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	now = c.tick(now)
	c.closed = true
	for _, l := range c.lanes {
		for l.waiting.n > 0 {
			c.refuse(l.waiting.oldest, ReasonClosed, now)
		}
	}
}

// room makes places for in, in its lane and in all, and tells why there are none.
func (c *Controller) room(in *Inform, now time.Time) (reason string) {
	l := in.lane
	if places := l.places(now); l.waiting.n >= places {
		v := l.waiting.victim(in, places)
		if v == nil {
			return l.heldBy(now)
		}
		c.refuse(v, l.heldBy(now), now)
	}
	for range mostVictims {
		switch {
		case c.n >= c.set.Queue:
			reason = ReasonQueue
		case c.bytes+in.Bytes > int64(c.set.QueueMemory):
			reason = ReasonQueueMemory
		default:
			return ""
		}
		v := c.fullest(in, reason)
		if v == nil {
			return reason
		}
		c.refuse(v, reason, now)
	}
	return ReasonQueueMemory
}

// fullest is the Inform that gives way to in: the last of the lane that has most
// of what is scarce.
func (c *Controller) fullest(in *Inform, scarce string) *Inform {
	from, own := in.lane, &in.lane.waiting
	for _, l := range c.lanes {
		if scarce == ReasonQueue && l.waiting.n > max(from.waiting.n, own.n+1) || scarce == ReasonQueueMemory && l.waiting.bytes > max(from.waiting.bytes, own.bytes+in.Bytes) {
			from = l
		}
	}
	if from == in.lane {
		return own.victim(in, own.n)
	}
	return from.waiting.least()
}

// mostVictims bounds how many are sent away for one large message.
const mostVictims = 8
