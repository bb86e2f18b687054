package proxy

import (
	"slices"
	"time"
)

// start has over run after d, unless s ends, is stopped or started anew before.
// The timer is left alone where it fires no later than that, and looks then how
// much time is left: a session's requests move the end, not the timer.
func (t *sessions) start(s *session, d time.Duration, over func()) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if s.ended {
		return
	}
	now := time.Now()
	s.wait, s.deadline = d, now.Add(d)
	switch {
	case s.timer == nil:
		s.fires = s.deadline
		s.timer = time.AfterFunc(d, func() { t.fire(s, over) })
	case s.fires.After(s.deadline) || !s.fires.After(now):
		s.fires = s.deadline
		s.timer.Reset(d)
	}
}

// fire ends a session's time, or sleeps on for what is left of it.
func (t *sessions) fire(s *session, over func()) {
	t.mu.Lock()
	if s.ended {
		t.mu.Unlock()
		return
	}
	left := s.wait // a request is being served
	if !s.deadline.IsZero() {
		left = time.Until(s.deadline)
	}
	if left > 0 {
		s.fires = time.Now().Add(left)
		s.timer.Reset(left)
		t.mu.Unlock()
		return
	}
	t.mu.Unlock()
	over()
}

// lingerer is an ended session and when it is to be forgotten.
type lingerer struct {
	*session
	until time.Time
}

// lingersOn has an ended session forgotten in a while. One timer serves all:
// thousands of sessions may linger, and all for the same time. No more linger
// than may be open: of more the oldest is forgotten before its time.
func (t *sessions) lingersOn(s *session) {
	if len(t.lingers) >= t.max {
		t.forget(t.lingers[0].session)
		t.lingers[0] = lingerer{}
		t.lingers = t.lingers[1:]
	}
	t.lingers = append(t.lingers, lingerer{s, time.Now().Add(t.linger)})
	switch {
	case t.sweeper == nil:
		t.sweeper = time.AfterFunc(t.linger, t.sweep)
	case len(t.lingers) == 1:
		t.sweeper.Reset(t.linger)
	}
}

// sweep forgets those whose time is over, and comes back for the next: a little
// later, so that many are forgotten at once.
func (t *sessions) sweep() {
	t.mu.Lock()
	defer t.mu.Unlock()
	now, n := time.Now(), 0
	for n < len(t.lingers) && !t.lingers[n].until.After(now) {
		t.forget(t.lingers[n].session)
		n++
	}
	t.lingers = slices.Delete(t.lingers, 0, n)
	if len(t.lingers) > 0 {
		t.sweeper.Reset(t.lingers[0].until.Sub(now) + t.linger/16)
	}
}

// idle is how long c may be silent: as long as its session may, if it has one.
func (t *sessions) idle(c *conn, least time.Duration) time.Duration {
	t.mu.Lock()
	defer t.mu.Unlock()
	if s := c.session; s != nil && !s.ended {
		return max(least, s.wait+time.Second)
	}
	return least
}

// stop keeps s from timing out while a request of it is served.
func (t *sessions) stop(s *session) {
	t.mu.Lock()
	defer t.mu.Unlock()
	s.deadline = time.Time{}
}
