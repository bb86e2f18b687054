package admission

import (
	"maps"
	"time"

	"github.com/cwmpgate/cwmpgate/cwmp"
)

// meter counts what happens in each of the last seconds.
type meter struct {
	second int64
	of     [meterSeconds + 1]int
}

// meterSeconds is over how many whole seconds a rate is measured.
const meterSeconds = 5

func (m *meter) to(second int64) {
	for ; m.second < second; m.second++ {
		if second-m.second > int64(len(m.of)) {
			m.second = second - int64(len(m.of))
		}
		m.of[(m.second+1)%int64(len(m.of))] = 0
	}
}

func (m *meter) add(second int64) {
	m.to(second)
	m.of[second%int64(len(m.of))]++
}

// perSecond is the mean of the last whole seconds.
func (m *meter) perSecond(second int64) float64 {
	m.to(second)
	n := 0
	for i, c := range m.of {
		if int64(i) != second%int64(len(m.of)) {
			n += c
		}
	}
	return float64(n) / meterSeconds
}

// counts is what has become of a lane's Informs.
type counts struct {
	of       [classes]ClassCounts
	refusals map[string]uint64
	waited   time.Duration
}

// ClassCounts is what has become of the Informs of one class.
type ClassCounts struct {
	Waiting                           int
	Admitted, Waited, Refused, GaveUp uint64
	Observed                          uint64 // admitted, but over an observed limit
}

func (c *counts) admitted(in *Inform, o Outcome) {
	k := &c.of[in.Class]
	k.Admitted++
	if o.Waited > 0 {
		k.Waited++
		c.waited += o.Waited
	}
	if o.Observed != "" {
		k.Observed++
	}
}

func (c *counts) refused(in *Inform, o Outcome) {
	c.of[in.Class].Refused++
	if c.refusals == nil {
		c.refusals = make(map[string]uint64)
	}
	c.refusals[o.Reason]++
}

// LaneStats is how a lane stands.
type LaneStats struct {
	Tenant, ACS  string
	Rate         float64 // admitted a second, mean of the last five
	Limit        float64 // of the ACS, a second; 0: none is enforced
	Open         int     // sessions
	Waiting      int
	WaitingBytes int64
	Longest      time.Duration // that one of those waiting has waited
	Classes      [classes]ClassCounts
	Refusals     map[string]uint64
	Ignoring     float64 // share of CPEs that seem not to read Retry-After
}

// Class is the name of class i of LaneStats.Classes.
func Class(i int) string { return cwmp.EventClass(i).String() }

// Stats tells how each lane stands.
func (c *Controller) Stats(now time.Time) []LaneStats {
	all := make([]LaneStats, 0, len(c.lanes))
	for _, l := range c.lanes {
		all = append(all, l.Stats(now))
	}
	return all
}

// Stats tells how the lane stands.
func (l *Lane) Stats(now time.Time) LaneStats {
	c := l.c
	c.mu.Lock()
	defer c.mu.Unlock()
	now = c.tick(now)
	s := LaneStats{
		Tenant: l.cfg.Tenant, ACS: l.cfg.ACS, Rate: l.admitted.perSecond(c.second(now)),
		Open: l.open, Waiting: l.waiting.n, WaitingBytes: l.waiting.bytes,
		Classes: l.counts.of, Refusals: maps.Clone(l.counts.refusals), Ignoring: l.habits.share,
	}
	if l.rate.mode == ModeEnforce {
		s.Limit = l.rate.perSecond()
	}
	if l.waiting.n > 0 {
		s.Longest = now.Sub(l.waiting.oldest.arrived)
	}
	for i := range s.Classes {
		s.Classes[i].Waiting = l.waiting.of[i]
	}
	return s
}
