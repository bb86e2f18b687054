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

// answers is how Informs fared at the ACS in the last seconds.
type answers struct {
	seconds [meterSeconds + 1]answered
}

type answered struct {
	second    int64
	n, ill    int
	sum, most time.Duration
}

func (a *answers) add(took time.Duration, ill bool, second int64) {
	s := &a.seconds[second%int64(len(a.seconds))]
	if s.second != second {
		*s = answered{second: second}
	}
	s.n++
	s.sum += took
	s.most = max(s.most, took)
	if ill {
		s.ill++
	}
}

func (a *answers) of(now int64) (mean, most time.Duration, ill float64) {
	n, bad := 0, 0
	for _, s := range a.seconds {
		if now-s.second <= meterSeconds {
			n, bad = n+s.n, bad+s.ill
			mean += s.sum
			most = max(most, s.most)
		}
	}
	if n == 0 {
		return 0, 0, 0
	}
	return mean / time.Duration(n), most, float64(bad) / float64(n)
}

// counts is what has become of a lane's Informs.
type counts struct {
	of       [classes]ClassCounts
	refusals map[string]uint64
	waited   time.Duration
}

// ClassCounts is what has become of the Informs of one class.
type ClassCounts struct {
	Waiting  int    `json:"waiting"`
	Admitted uint64 `json:"admitted"`
	Waited   uint64 `json:"waited"` // of those admitted
	Refused  uint64 `json:"refused"`
	GaveUp   uint64 `json:"gave_up"`
	Observed uint64 `json:"over"` // admitted, but over an observed limit
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

// LaneStats is how the way to an ACS stands. Its rates are of a second.
type LaneStats struct {
	Tenant       string               `json:"tenant"`
	ACS          string               `json:"acs"`
	Rate         float64              `json:"rate"`  // admitted, mean of the last five seconds
	Limit        float64              `json:"limit"` // of the ACS; 0: none is enforced
	Open         int                  `json:"sessions"`
	Waiting      int                  `json:"waiting"`
	WaitingBytes int64                `json:"waiting_bytes"`
	Longest      time.Duration        `json:"longest_wait_ns"`
	AnswerMean   time.Duration        `json:"answer_mean_ns"` // to Informs, of the last five seconds
	AnswerMost   time.Duration        `json:"answer_most_ns"`
	Ill          float64              `json:"failing"` // share of them that failed
	Pending      int                  `json:"pending"` // Informs that the ACS has yet to answer
	Classes      [classes]ClassCounts `json:"classes"`
	Refusals     map[string]uint64    `json:"refusals"`
	Ignoring     float64              `json:"ignoring"` // share of CPEs that seem not to read Retry-After
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
		Pending: l.pending,
	}
	s.AnswerMean, s.AnswerMost, s.Ill = l.answers.of(c.second(now))
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
