package blackout

import (
	"math"
	"slices"
	"time"
)

// Result is what came of a blackout.
type Result struct {
	Config
	LowerBound time.Duration // Fleet ÷ Rate
	Until99    time.Duration // until 99 % of the fleet had got through; 0: they had not when the run ended
	Urgent30   float64       // share of the urgent sessions served within 30 s of their first attempt
	Urgents    int
	Peak       int     // most Informs at the ACS within any second
	Deviation  float64 // standard deviation of the Informs in a second, until 99 %
	Refused    int     // by the gate
	Falls      int     // of the ACS
	Attempts   float64 // of a CPE of the fleet, in the mean
	Load       []int   // Informs at the ACS, by second
}

// Over is how far the peak is above the ACS's rate, as a share; less than 0 where
// it is below.
func (r *Result) Over() float64 { return float64(r.Peak)/r.Rate - 1 }

// Factor is Until99 by the lower bound.
func (r *Result) Factor() float64 { return r.Until99.Seconds() / r.LowerBound.Seconds() }

// loads counts the Informs that reach the ACS.
type loads struct {
	seconds []int
	recent  []time.Duration // within the last second
	peak    int
}

func (l *loads) add(now time.Duration) {
	for s := int(now / time.Second); len(l.seconds) <= s; {
		l.seconds = append(l.seconds, 0)
	}
	l.seconds[now/time.Second]++
	i := 0
	for i < len(l.recent) && l.recent[i] <= now-time.Second {
		i++
	}
	l.recent = append(l.recent[i:], now)
	l.peak = max(l.peak, len(l.recent))
}

func (r *run) result() *Result {
	out := &Result{
		Config: r.cfg, LowerBound: time.Duration(float64(r.cfg.Fleet) / r.cfg.Rate * float64(time.Second)),
		Peak: r.loads.peak, Refused: r.refused, Falls: r.acs.falls, Load: r.loads.seconds,
	}
	var served []time.Duration
	within, attempts := 0, 0
	for i := range r.cpes {
		c := &r.cpes[i]
		if c.urgent {
			// One that began less than 30 s before the run ended shows nothing.
			if c.first+urgentWithin <= r.now || c.served > 0 {
				out.Urgents++
				if c.served > 0 && c.served-c.first <= urgentWithin {
					within++
				}
			}
			continue
		}
		attempts += c.retries + 1
		if c.served > 0 {
			served = append(served, c.served)
		}
	}
	out.Urgent30 = float64(within) / float64(max(out.Urgents, 1))
	out.Attempts = float64(attempts) / float64(r.cfg.Fleet)
	slices.Sort(served)
	if need := int(math.Ceil(0.99 * float64(r.cfg.Fleet))); len(served) >= need {
		out.Until99 = served[need-1]
	}
	out.Deviation = deviation(out.Load[:min(len(out.Load), int(out.Until99/time.Second))])
	return out
}

func deviation(load []int) float64 {
	if len(load) == 0 {
		return 0
	}
	sum, squares := 0.0, 0.0
	for _, n := range load {
		sum += float64(n)
		squares += float64(n) * float64(n)
	}
	mean := sum / float64(len(load))
	return math.Sqrt(max(0, squares/float64(len(load))-mean*mean))
}
