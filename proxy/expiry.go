package proxy

import "time"

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
