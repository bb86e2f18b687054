package admission

import (
	"context"
	"sync"
	"time"
)

// Queue is a Controller on the real clock: what waits in it is a goroutine.
type Queue struct {
	c      *Controller
	change func(Change)

	mu    sync.Mutex
	timer *time.Timer
	fires time.Time // when the timer does; zero: it does not
	ended bool
}

// NewQueue makes a Queue. change is told of each limit that begins or stops to
// hold Informs back; it is called without a lock.
func NewQueue(set Settings, change func(Change)) *Queue {
	decided := func(in *Inform) { in.ready <- struct{}{} }
	return &Queue{c: New(set, time.Now(), decided), change: change}
}

// Lane adds the way to an ACS. All lanes are added before the first Inform.
func (q *Queue) Lane(cfg LaneConfig) *Lane { return q.c.Lane(cfg) }

// Stats tells how each lane stands.
func (q *Queue) Stats() []LaneStats { return q.c.Stats(time.Now()) }

// Offer asks for a session. Where the verdict is Waits, Wait says what comes of
// it.
func (q *Queue) Offer(l *Lane, in *Inform) Outcome {
	if in.ready == nil {
		in.ready = make(chan struct{}, 1) // kept with in
	}
	o, busy := l.offer(in, time.Now())
	if busy {
		q.advance()
	}
	return o
}

// Wait waits for the outcome of an Inform that Offer has put in the queue. Where
// ctx ends before, it leaves the queue; it is false then.
func (q *Queue) Wait(ctx context.Context, l *Lane, in *Inform) (o Outcome, decided bool) {
	select {
	case <-in.ready:
		return in.outcome, true
	case <-ctx.Done():
	}
	if l.Cancel(in, time.Now()) {
		return Outcome{}, false
	}
	<-in.ready // it was decided at the same moment
	return in.outcome, true
}

// Done ends an admitted session, as Lane.Done says.
func (q *Queue) Done(l *Lane, answered bool) {
	if l.Done(answered) {
		q.advance()
	}
}

// Later is when one comes back whose ACS could not be asked, as Lane.Later says.
func (q *Queue) Later(l *Lane, in *Inform) time.Duration { return l.Later(in, time.Now()) }

// Answered takes note of how an Inform fared at the ACS, as Lane.Answered says.
func (q *Queue) Answered(l *Lane, first bool, took time.Duration, how Fared) {
	if l.Answered(first, took, how, time.Now()) {
		q.advance()
	}
}

// Connect asks for a connection of a source, and tells whether it is refused and
// whether an observed limit would have refused it. Cost is one lookup: it is
// asked before a handshake is paid for.
func (q *Queue) Connect(source uint64) (refused, over bool) {
	now := time.Now()
	if q.c.sources.Take(source, now) == 0 {
		return false, false
	}
	q.c.connectionRefused(now)
	q.advance()
	return q.c.sources.mode == ModeEnforce, q.c.sources.mode == ModeObserve
}

// Verified takes back what a connection of a source was charged: its peer has
// shown who it is.
func (q *Queue) Verified(source uint64) { q.c.sources.Refund(source) }

// Close sends all away that wait, and admits none from now on.
func (q *Queue) Close() {
	q.c.Close(time.Now())
	q.mu.Lock()
	defer q.mu.Unlock()
	q.ended = true
	if q.timer != nil {
		q.timer.Stop()
	}
}

// advance has the controller do what is due, tells of changes, and sets the timer
// where there is something to wait for.
func (q *Queue) advance() {
	now := time.Now()
	next := q.c.Advance(now)
	for _, change := range q.c.Changes() {
		q.change(change)
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	if next == 0 || q.ended {
		return
	}
	// A timer that fires once too often only looks.
	next = max(next, LeastNap)
	if at := now.Add(next); q.timer == nil {
		q.fires = at
		q.timer = time.AfterFunc(next, q.fired)
	} else if q.fires.IsZero() || at.Before(q.fires) {
		q.fires = at
		q.timer.Reset(next)
	}
}

func (q *Queue) fired() {
	q.mu.Lock()
	q.fires = time.Time{}
	q.mu.Unlock()
	q.advance()
}

// LeastNap is how often the queue is looked at, at most.
const LeastNap = time.Millisecond
