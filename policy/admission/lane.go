package admission

import (
	"math"
	"time"

	"golang.org/x/time/rate"
)

// Lane is the way to one ACS: its limits, and the Informs that wait for it.
type Lane struct {
	c        *Controller
	cfg      LaneConfig
	tenant   *limit
	rate     *limit
	sessions bites
	answer   bites // answers that the ACS owes
	device   bites
	follows  follower
	calendar calendar
	habits   habits
	waiting  waiting
	open     int     // admitted sessions that have not ended
	pending  int     // of them, those whose first Inform the ACS has not answered
	pace     float64 // admitted a second while others waited, as of
	paceAt   int64
	behind   time.Time // since when some wait without a break
	admitted meter
	answers  answers
	counts   counts
}

// Verdict is what becomes of an Inform.
type Verdict uint8

// The verdicts.
const (
	Waits Verdict = iota
	Admitted
	Refused
)

// Outcome is a verdict with what belongs to it.
type Outcome struct {
	Verdict    Verdict
	Reason     string        // of a refusal
	RetryAfter time.Duration // of a refusal, whole seconds
	Waited     time.Duration // before it
	Observed   string        // the observed limit that would have refused an admitted one
}

// Offer asks for a session. Where the verdict is Waits, in belongs to the lane
// until the outcome is decided or Cancel has taken it back.
func (l *Lane) Offer(in *Inform, now time.Time) Outcome {
	o, _ := l.offer(in, now)
	return o
}

// offer also tells whether there is anything for Advance to do.
func (l *Lane) offer(in *Inform, now time.Time) (o Outcome, busy bool) {
	c := l.c
	c.mu.Lock()
	defer c.mu.Unlock()
	o = l.decide(in, c.tick(now))
	return o, c.n > 0 || len(c.biting) > 0 || len(c.changes) > 0
}

func (l *Lane) decide(in *Inform, now time.Time) Outcome {
	c := l.c
	if c.n > 0 || len(c.biting) > 0 || l.follows.floor > 0 {
		c.settle(now)
	}
	in.lane, in.waits, in.outcome, in.arrived = l, false, Outcome{}, time.Time{}
	second := c.second(now)
	l.calendar.advance(second)
	l.habits.advance(second)
	if len(l.habits.told) > 0 {
		l.habits.came(in.Device, second)
	}
	if c.closed {
		return l.refusal(in, ReasonClosed, now)
	}
	if c.devices.mode == ModeEnforce && in.Device != 0 && c.devices.Peek(in.Device, now) > 0 {
		return l.refusal(in, ReasonDeviceRate, now)
	}
	// Others that wait, and may begin, have begun: what is left is for this one.
	if _, wait := l.held(now); wait == 0 && l.waiting.n == 0 {
		return l.admit(in, now)
	}
	return l.queue(in, now)
}

// queue has in wait, or refuses it.
func (l *Lane) queue(in *Inform, now time.Time) Outcome {
	c := l.c
	if old := l.waiting.byDevice[in.Device]; old != nil {
		// A device has one place, and wins none by coming again.
		c.refuse(old, ReasonOvertaken, now)
	}
	if reason, wait := l.held(now); wait != 0 && float64(l.waiting.n) >= l.perSecond(now)*noticed.Seconds() {
		l.bites(reason).bite(c, now)
	}
	if reason := c.room(in, now); reason != "" {
		return l.refusal(in, reason, now)
	}
	if l.waiting.n == 0 {
		l.behind = now
	}
	l.waiting.push(in, now)
	c.n++
	c.bytes += in.Bytes
	return Outcome{Verdict: Waits}
}

// noticed is the wait from which a limit is said to hold Informs back; less is
// how it works.
const noticed = time.Second

// Cancel takes back an Inform that waits: its CPE has given up. It is false where
// the outcome was decided before.
func (l *Lane) Cancel(in *Inform, now time.Time) bool {
	c := l.c
	c.mu.Lock()
	defer c.mu.Unlock()
	if !in.waits {
		return false
	}
	c.tick(now)
	l.waiting.remove(in)
	c.left(in)
	l.counts.of[in.Class].GaveUp++
	return true
}

// Done ends an admitted session; answered tells whether Answered was called for
// its first Inform. It tells whether others wait, who may have their turn with the
// next Advance.
func (l *Lane) Done(answered bool) (others bool) {
	l.c.mu.Lock()
	defer l.c.mu.Unlock()
	if l.open--; l.open < 0 {
		panic("BUG: more sessions ended than were admitted")
	}
	if !answered {
		l.pending--
	}
	return l.c.n > 0
}

// Fared is how an Inform fared at the ACS.
type Fared uint8

// How an Inform may fare.
const (
	Well    Fared = iota
	Ill           // the ACS could not be reached, did not answer, or said that it has too much
	Unknown       // it was broken off from this side
)

// Answered takes note of how an Inform fared at the ACS; first tells whether it
// is the first of an admitted session.
// It tells whether others wait, as Done does.
func (l *Lane) Answered(first bool, took time.Duration, how Fared, now time.Time) (others bool) {
	c := l.c
	c.mu.Lock()
	defer c.mu.Unlock()
	now = c.tick(now)
	if first {
		l.pending--
	}
	l.follows.answered(took, how)
	if how != Unknown {
		l.answers.add(took, how == Ill, c.second(now))
	}
	l.follow(now)
	return c.n > 0
}

// follow sets the rate anew where the ACS has shown that it should be another.
func (l *Lane) follow(now time.Time) {
	if l.follows.step(now, l.pending >= l.window()) && l.rate.each != nil {
		l.rate.each.SetLimitAt(now, rate.Limit(l.follows.rate))
		l.rate.each.SetBurstAt(now, max(1, min(l.cfg.Informs.burst(), int(l.follows.rate/smoothness))))
	}
}

// never is the wait for what no time brings.
const never = time.Duration(-1)

// held tells which limit holds the lane's next Inform back, and for how long; 0:
// none does.
func (l *Lane) held(now time.Time) (reason string, wait time.Duration) {
	if l.cfg.Sessions.Mode == ModeEnforce && l.open >= l.cfg.Sessions.Count {
		return ReasonUpstreamSessions, never
	}
	if l.rate.mode == ModeEnforce && l.pending >= l.window() {
		return ReasonUpstreamAnswers, never
	}
	for _, k := range [...]*limit{l.rate, l.tenant, l.c.gateway} {
		if d := k.until(now); d > wait {
			reason, wait = k.name, d
		}
	}
	return reason, wait
}

// window is how many Informs the ACS may have to answer at once. In the mean it
// answers each within half of what is slow; an ACS that stalls is sent no more
// than that on top of what it has.
func (l *Lane) window() int {
	if l.cfg.Adaptive.Latency == 0 {
		return math.MaxInt
	}
	return max(leastWindow, int(l.rate.perSecond()*time.Duration(l.cfg.Adaptive.Latency).Seconds()/2))
}

const leastWindow = 4

// bites is the limit of that name, nil where it is none.
func (l *Lane) bites(reason string) *bites {
	switch reason {
	case ReasonUpstreamRate:
		return &l.rate.bites
	case ReasonDeviceRate:
		return &l.device
	case ReasonQueue, ReasonQueueMemory:
		return &l.c.queue
	case ReasonUpstreamSessions:
		return &l.sessions
	case ReasonUpstreamAnswers:
		return &l.answer
	case ReasonTenantRate:
		return &l.tenant.bites
	case ReasonGatewayRate:
		return &l.c.gateway.bites
	}
	return nil
}

// admit lets in begin its session; no limit may hold it back.
func (l *Lane) admit(in *Inform, now time.Time) Outcome {
	c := l.c
	o := Outcome{Verdict: Admitted}
	for _, k := range [...]*limit{l.rate, l.tenant, c.gateway} {
		if k.take(now) {
			k.bite(c, now)
			o.Observed = k.name
		}
	}
	if l.cfg.Sessions.Mode == ModeObserve && l.open >= l.cfg.Sessions.Count {
		l.sessions.bite(c, now)
		o.Observed = ReasonUpstreamSessions
	}
	if in.Device != 0 && c.devices.Take(in.Device, now) > 0 && c.devices.mode == ModeObserve {
		l.device.bite(c, now)
		o.Observed = ReasonDeviceRate
	}
	if !in.arrived.IsZero() {
		o.Waited = now.Sub(in.arrived)
	}
	in.arrived = time.Time{}
	l.open++
	l.pending++
	l.admitted.add(c.second(now))
	l.counts.admitted(in, o)
	return o
}

// expire sends those away that have waited for long enough.
func (l *Lane) expire(now time.Time) {
	for l.waiting.n > 0 {
		in := l.waiting.oldest
		if now.Sub(in.arrived) < time.Duration(l.c.set.Wait) {
			return
		}
		l.c.refuse(in, l.heldBy(now), now)
	}
}

// heldBy is the limit that keeps the lane's Informs waiting.
func (l *Lane) heldBy(now time.Time) string {
	if reason, _ := l.held(now); reason != "" {
		return reason
	}
	return l.rate.name // one was admitted this moment
}

// perSecond is how many of this lane are admitted in a second while more wait:
// what its limits allow, or what it was seen to get of them where others or the
// ACS's sessions decide.
func (l *Lane) perSecond(now time.Time) float64 {
	allowed := min(l.rate.perSecond(), l.tenant.perSecond(), l.c.gateway.perSecond())
	second := l.c.second(now)
	if !l.behind.IsZero() && now.Sub(l.behind) > meterSeconds*time.Second && second > l.paceAt {
		// An ACS that stands still for some seconds sends nobody away for hours.
		was := l.pace * math.Exp2(-float64(second-l.paceAt)/paceHalf)
		l.pace, l.paceAt = max(l.admitted.perSecond(second), was), second
	}
	if l.pace > 0 && second-l.paceAt < paceHalf {
		allowed = min(allowed, max(l.pace, leastRate))
	}
	if math.IsInf(allowed, 1) {
		allowed = max(l.admitted.perSecond(second), float64(l.cfg.Sessions.Count), leastRate)
	}
	return allowed
}

// paceHalf is in how many seconds what a lane was seen to get loses half of its
// weight.
const paceHalf = 60

// leastRate keeps what is reckoned with a rate finite while nothing is admitted.
const leastRate = 0.1

// places is how many can be served within the wait bound.
func (l *Lane) places(now time.Time) int {
	return int(l.perSecond(now) * time.Duration(l.c.set.Wait).Seconds())
}

// refusal says when in is to come back, and takes note that it will.
func (l *Lane) refusal(in *Inform, reason string, now time.Time) Outcome {
	o := Outcome{Verdict: Refused, Reason: reason}
	if !in.arrived.IsZero() {
		o.Waited = now.Sub(in.arrived)
		in.arrived = time.Time{}
	}
	if b := l.bites(reason); b != nil {
		b.bite(l.c, now)
	}
	o.RetryAfter = l.retryAfter(in, reason, now)
	l.counts.refused(in, o)
	return o
}

func (l *Lane) retryAfter(in *Inform, reason string, now time.Time) time.Duration {
	second := l.c.second(now)
	l.calendar.advance(second)
	switch reason {
	case ReasonDeviceRate:
		// Nobody else waits for this: no place in the calendar.
		wait := l.c.devices.Peek(in.Device, now)
		return wholeSeconds(wait + time.Duration(in.Device%8)*wait/32)
	case ReasonOvertaken:
		return time.Second // it is here again
	}
	perSecond := l.perSecond(now)
	from, to := l.c.set.CPERetry.Window(in.Retries)
	own, ownEnd := second+int64(from/time.Second), second+int64(to/time.Second)
	listens := 1 - min(l.habits.share, 0.95)
	l.calendar.expect(own, ownEnd, 1-listens)
	drained := second + 1 + int64(float64(l.waiting.n)/perSecond)
	due := l.calendar.book(drained, perSecond, listens, in.Device)
	if due-second > mostRetryAfter {
		due = second + mostRetryAfter/2 + int64(in.Device%(mostRetryAfter/2))
	}
	l.habits.sent(promise{in.Device, ownEnd, due})
	return time.Duration(due-second) * time.Second
}

// Later gives the time after which an Inform that was admitted is to come back,
// since its ACS could not be asked: a place among those who were refused. It is 0
// where the ACS's rate is not enforced, so that nobody counts on one.
func (l *Lane) Later(in *Inform, now time.Time) time.Duration {
	if l.cfg.Informs.Mode != ModeEnforce {
		return 0
	}
	l.c.mu.Lock()
	defer l.c.mu.Unlock()
	return l.retryAfter(in, ReasonUpstreamRate, l.c.tick(now))
}

// mostRetryAfter is the longest that a CPE is sent away for, in seconds: a backlog
// that takes longer is looked at again by then.
const mostRetryAfter = 3600

func wholeSeconds(d time.Duration) time.Duration {
	return max(time.Second, (d + time.Second - 1).Truncate(time.Second))
}
