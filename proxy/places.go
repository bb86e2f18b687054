package proxy

// place is what a session was admitted with and gives back at its end. The
// table's lock guards it.
type place struct {
	acs      *acs
	rounds   int  // sessions that it was handed on from
	answered bool // the ACS has answered an Inform of it
}

// maxRounds is how often a place is handed on: for the challenge, and for one
// more where a nonce had become stale.
const maxRounds = 2

// handOver takes the place of a session of the same device and source that was
// challenged and in whose stead an Inform comes over c; nil where there is none.
func (t *sessions) handOver(c *conn, device string) *place {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, o := range t.byDevice[device] {
		if p := o.place; p != nil && o.prefix == c.prefix && o.challenged && p.rounds < maxRounds {
			p.rounds++
			o.place = nil
			return p
		}
	}
	return nil
}

func (t *sessions) isAdmitted(s *session) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return s.place != nil
}

// admit gives s a place. It is false where s has ended.
func (t *sessions) admit(s *session, p *place) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if s.ended {
		return false
	}
	s.place = p
	return true
}

// givePlaceBack takes the place that s had, if it had one.
func (t *sessions) givePlaceBack(s *session) *place {
	t.mu.Lock()
	defer t.mu.Unlock()
	p := s.place
	s.place = nil
	return p
}

// answered takes note that the ACS has answered an Inform of s, or never will. It
// tells whether that is the first of its place.
func (t *sessions) answered(s *session) (first bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if s.place == nil || s.place.answered {
		return false
	}
	s.place.answered = true
	return true
}
