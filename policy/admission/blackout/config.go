package blackout

import (
	"errors"
	"time"
)

// Config is one blackout.
type Config struct {
	Gate   Gate
	Fleet  int           // CPEs that lost power
	Rate   float64       // sessions a second that the ACS can serve
	Spread time.Duration // in which the CPEs inform first
	Ignore float64       // share of CPEs, 0 to 1, that do not read Retry-After
	Urgent float64       // sessions that somebody waits for, as a share of Rate, besides the fleet
	Seed   uint64
}

// Gate is what stands before the ACS.
type Gate uint8

// The gates.
const (
	Nothing     Gate = iota
	TokenBucket      // excess is delayed by up to a second's worth, then answered 503 (nginx's limit_req, burst = rate)
	Admission        // policy/admission
)

// String is what the table calls the gate.
func (g Gate) String() string {
	switch g {
	case TokenBucket:
		return "token bucket"
	case Admission:
		return "cwmpgate"
	}
	return "nothing"
}

func (c *Config) check() error {
	switch {
	case c.Fleet < 1 || c.Fleet > 10_000_000:
		return errors.New("a fleet has 1 to 10,000,000 CPEs")
	case c.Rate < 1:
		return errors.New("the ACS's rate is 1 a second or more")
	case c.Spread < time.Second || c.Spread > time.Hour:
		return errors.New("the first Informs are spread over 1 s to 1 h")
	case c.Ignore < 0 || c.Ignore > 1 || c.Urgent < 0 || c.Urgent > 0.5:
		return errors.New("the share that ignores Retry-After is 0 to 1, the urgent share 0 to 0.5")
	}
	return nil
}

// The ACS's ways. It serves one session after the other at its rate, slows down
// as more than a second's worth wait, and falls over at five.
const (
	slowFrom     = 1.0 // seconds of sessions waiting
	fallsAt      = 5.0
	restart      = 30 * time.Second
	cpePatience  = 30 * time.Second
	longest      = 12 * time.Hour // a run ends by then, served or not
	urgentWithin = 30 * time.Second
)
