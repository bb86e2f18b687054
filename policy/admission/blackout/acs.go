package blackout

import "time"

// acs is an ACS of a given rate, which it does not survive to be passed by much.
type acs struct {
	rate    float64
	waiting []arrival // the first is being served
	down    time.Duration
	epoch   int // counts its falls: what was due before one is void
	falls   int
}

// arrival is a session at the ACS.
type arrival struct {
	cpe  int32
	came time.Duration
}

// take has the ACS serve one more. It is false where it does not answer.
func (a *acs) take(cpe int32, now time.Duration) (ok bool) {
	if now < a.down {
		return false
	}
	a.waiting = append(a.waiting, arrival{cpe, now})
	return true
}

// overrun tells whether the ACS has more than it can bear.
func (a *acs) overrun() bool { return float64(len(a.waiting)) > fallsAt*a.rate }

// fall ends all that is under way.
func (a *acs) fall(now time.Duration) (lost []arrival) {
	lost, a.waiting = a.waiting, nil
	a.down = now + restart
	a.epoch++
	a.falls++
	return lost
}

// service is how long the session now served takes: more, the more wait.
func (a *acs) service() time.Duration {
	slower := max(1, float64(len(a.waiting))/a.rate/slowFrom)
	return time.Duration(float64(time.Second) / a.rate * slower)
}
