package upstream

import "time"

// How a session's first request did at its node.
type Fared int

const (
	Unknown Fared = iota // it says nothing of the node
	Well
	Ill
)

// Answered takes note of how a node did: took is the time of its answer.
func (p *Pool) Answered(n *Node, how Fared, took time.Duration, now time.Time) {
	if how == Unknown {
		return
	}
	if slow := time.Duration(p.cfg.Slow); slow > 0 && took > slow {
		how = Ill
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.settle(now)
	m := p.member(n)
	switch {
	case m == nil:
	case how == Well:
		m.failures = 0
		if p.share(m, now) >= 1 {
			m.outs, m.back = 0, time.Time{}
		}
	default:
		m.failures++
		// One that has just come back is on trial.
		if p.cfg.Errors > 0 && (m.failures >= p.cfg.Errors || !m.back.IsZero() && m.failures > 1) {
			p.putOut(m, "errors", now)
		}
	}
}

// longestOut is how many times pool.out a node stays out at most.
const longestOut = 10

// putOut takes a node out for a time, where enough of the others are in.
func (p *Pool) putOut(m *member, reason string, now time.Time) {
	if m.isOut(now) || !p.mayLose(m, now) {
		return
	}
	m.outs++
	m.failures = 0
	m.back = time.Time{}
	times := min(longestOut, 1<<min(m.outs-1, 10))
	m.out = now.Add(time.Duration(p.cfg.Out) * time.Duration(times))
	p.tell(m, false, reason)
}

// mayLose tells whether enough weight is in without m.
func (p *Pool) mayLose(m *member, now time.Time) bool {
	all, in := 0.0, 0.0
	for _, o := range p.members {
		all += o.weight
		if o != m && !o.drained && !o.isOut(now) {
			in += o.weight
		}
	}
	return in*100 >= all*float64(p.cfg.In)
}

// isOut tells whether a node is out. One whose time is over comes back, if the
// check has nothing against it.
func (m *member) isOut(now time.Time) bool { return m.unwell || now.Before(m.out) }

// checked takes note of what a check of a node came to.
func (p *Pool) checked(m *member, well bool, now time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.settle(now)
	c := &p.cfg.Check
	switch {
	case well && m.checks < 0:
		m.checks--
	case well:
		m.checks = -1
	case m.checks > 0:
		m.checks++
	default:
		m.checks = 1
	}
	switch {
	case m.unwell && m.checks <= -c.Rise:
		m.unwell, m.failures = false, 0
		if m.out.IsZero() {
			m.back = now
			p.tell(m, true, "check")
		}
	case !m.unwell && m.checks >= c.Fall && p.mayLose(m, now):
		if m.unwell = true; m.out.IsZero() {
			p.tell(m, false, "check")
		}
	}
}

// settle brings nodes back whose time is over.
func (p *Pool) settle(now time.Time) {
	for _, m := range p.members {
		if m.out.IsZero() || now.Before(m.out) {
			continue
		}
		m.out = time.Time{}
		if !m.unwell {
			m.back = now
			p.tell(m, true, "time")
		}
	}
}
