package admission

import "time"

// follower has a rate follow what an ACS shows, a second at a time: a second in
// which the ACS was ill takes three tenths off, one in which it was well puts a
// fiftieth of the ceiling on.
type follower struct {
	floor, ceiling float64 // a second; floor 0: it does not move
	slowFrom       time.Duration
	rate           float64

	began   time.Time // of the second under way
	answers int
	slow    int
	failed  int
	healing int // seconds in which no more is taken off, nor put on
}

const (
	followerCut   = 0.7
	followerRaise = 1.0 / 50
	// What was admitted before a cut is still to be answered: its failures say
	// nothing of the new rate.
	followerHeal = 2
	// Shares of a second's answers beyond which an ACS is ill, of more than one.
	followerFailed = 0.05
	followerSlow   = 0.25
)

func newFollower(r Rate, a Adaptive) follower {
	f := follower{ceiling: r.perSecond(), rate: r.perSecond(), slowFrom: time.Duration(a.Latency)}
	if r.on() && a.Floor > 0 {
		f.floor = min(float64(a.Floor)/time.Duration(r.Per).Seconds(), f.ceiling)
	}
	return f
}

// answered takes note of how an Inform fared at the ACS.
func (f *follower) answered(took time.Duration, how Fared) {
	switch {
	case how == Unknown:
		return
	case how == Ill:
		f.failed++
	case took > f.slowFrom:
		f.slow++
	}
	f.answers++
}

// step ends the second under way, if it is over, and tells whether the rate has
// changed; full tells that the ACS owes as many answers as it may.
func (f *follower) step(now time.Time, full bool) bool {
	if f.floor == 0 || now.Sub(f.began) < time.Second {
		return false
	}
	hangs := full && f.answers == 0
	n := float64(f.answers)
	ill := hangs || float64(f.failed) > max(1, followerFailed*n) || float64(f.slow) > max(1, followerSlow*n)
	before := f.rate
	switch {
	case f.healing > 0:
		f.healing--
	case ill:
		f.rate = max(f.floor, f.rate*followerCut)
		f.healing = followerHeal
	case f.answers > 0:
		f.rate = min(f.ceiling, f.rate+f.ceiling*followerRaise)
	}
	f.began, f.answers, f.slow, f.failed = now, 0, 0, 0
	return f.rate != before
}
