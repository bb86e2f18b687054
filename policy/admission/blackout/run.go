package blackout

import (
	"container/heap"
	"math/rand/v2"
	"time"

	"github.com/cwmpgate/cwmpgate/configs"
	"github.com/cwmpgate/cwmpgate/cwmp"
	"github.com/cwmpgate/cwmpgate/policy/admission"
)

// cpe is one CPE of the fleet, or one that somebody waits for.
type cpe struct {
	inform  admission.Inform // while it is offered
	first   time.Duration    // its first attempt
	served  time.Duration    // 0: not yet
	retries int
	ignores bool
	urgent  bool
}

// run is a simulation under way.
type run struct {
	cfg    Config
	rand   *rand.Rand
	now    time.Duration
	base   time.Time
	events events
	cpes   []cpe
	left   int // of the fleet, not served yet
	acs    acs
	loads  loads

	bucket   float64 // of the token bucket, as of
	bucketAt time.Duration

	admission *admission.Controller
	lane      *admission.Lane
	retry     admission.CPERetry
	wakes     time.Duration
	decided   []*admission.Inform
	of        map[*admission.Inform]int32
	refused   int
}

// Run plays one blackout to the end.
func Run(cfg Config) (*Result, error) {
	if err := cfg.check(); err != nil {
		return nil, err
	}
	r := &run{cfg: cfg, rand: rand.New(rand.NewPCG(cfg.Seed, cfg.Seed^0x9e3779b97f4a7c15)), base: time.Unix(0, 0), acs: acs{rate: cfg.Rate}}
	r.admit()
	r.people()
	for len(r.events) > 0 && r.left > 0 && r.now < longest {
		e := heap.Pop(&r.events).(event)
		r.now = e.at
		r.play(e)
	}
	return r.result(), nil
}

// admit makes the admission as the gateway makes it.
func (r *run) admit() {
	set := admission.DefaultSettings()
	set.Tracked = 1000
	r.retry = set.CPERetry
	r.of = make(map[*admission.Inform]int32)
	r.admission = admission.New(set, r.base, func(in *admission.Inform) { r.decided = append(r.decided, in) })
	informs := admission.Rate{Mode: admission.ModeEnforce, Count: int(r.cfg.Rate), Per: configs.Duration(time.Second)}
	lane := admission.LaneConfig{Tenant: "region", ACS: "acs", Informs: informs}
	lane.Adaptive.SetDefaults()
	r.lane = r.admission.Lane(lane)
}

// people makes the fleet and those that somebody waits for, and their first
// Informs.
func (r *run) people() {
	bound := time.Duration(float64(r.cfg.Fleet) / r.cfg.Rate * float64(time.Second))
	urgent := int(r.cfg.Urgent * float64(r.cfg.Fleet))
	r.cpes = make([]cpe, r.cfg.Fleet+urgent)
	r.left = r.cfg.Fleet
	for i := range r.cpes {
		c := &r.cpes[i]
		c.ignores = r.rand.Float64() < r.cfg.Ignore
		c.inform.Device = r.rand.Uint64() | 1
		c.inform.Class = fleetClass(r.rand.Float64())
		c.first = time.Duration(r.rand.Float64() * float64(r.cfg.Spread))
		if i >= r.cfg.Fleet {
			c.urgent, c.inform.Class = true, cwmp.ClassConnectionRequest
			c.first = time.Duration(r.rand.Float64() * float64(bound))
		}
		r.at(c.first, informs, int32(i))
	}
}

// fleetClass is what CPEs inform of after a blackout: most that they have booted,
// some that a transfer or a schedule is done too, some that they are new.
func fleetClass(x float64) cwmp.EventClass {
	switch {
	case x < 0.02:
		return cwmp.ClassCompletion
	case x < 0.04:
		return cwmp.ClassBootstrap
	}
	return cwmp.ClassBoot
}

func (r *run) at(t time.Duration, k kind, who int32) { heap.Push(&r.events, event{t, who, k}) }

func (r *run) play(e event) {
	switch e.kind {
	case informs:
		r.informs(e.who)
	case reaches:
		r.reaches(e.who)
	case serves:
		r.serves(e.who)
	case wakes:
		if e.at == r.wakes {
			r.wakes = 0
			r.advance()
		}
	}
}

// informs has a CPE try to begin its session.
func (r *run) informs(who int32) {
	c := &r.cpes[who]
	switch r.cfg.Gate {
	case Nothing:
		r.reaches(who)
	case TokenBucket:
		r.bucket = max(0, r.bucket-r.cfg.Rate*(r.now-r.bucketAt).Seconds())
		r.bucketAt = r.now
		if r.bucket+1 > r.cfg.Rate {
			r.refused++
			r.retries(who, 0)
			return
		}
		r.at(r.now+time.Duration(r.bucket/r.cfg.Rate*float64(time.Second)), reaches, who)
		r.bucket++
	case Admission:
		c.inform.Retries = c.retries
		r.of[&c.inform] = who
		o := r.lane.Offer(&c.inform, r.base.Add(r.now))
		r.outcome(who, o)
		r.advance()
	}
}

// advance has the admission do what is due, as the gateway's timer does.
func (r *run) advance() {
	next := r.admission.Advance(r.base.Add(r.now))
	for len(r.decided) > 0 {
		in := r.decided[0]
		r.decided = r.decided[1:]
		r.outcome(r.of[in], in.Outcome())
	}
	r.admission.Changes()
	if next == 0 {
		return
	}
	if at := r.now + max(next, admission.LeastNap); r.wakes == 0 || at < r.wakes {
		r.wakes = at
		r.at(at, wakes, 0)
	}
}

func (r *run) outcome(who int32, o admission.Outcome) {
	if o.Verdict == admission.Waits {
		return
	}
	delete(r.of, &r.cpes[who].inform)
	if o.Verdict == admission.Admitted {
		r.reaches(who)
		return
	}
	r.refused++
	r.retries(who, o.RetryAfter)
}

// retries has a CPE come back after a failure.
func (r *run) retries(who int32, after time.Duration) {
	c := &r.cpes[who]
	if after == 0 || c.ignores {
		from, to := r.retry.Window(c.retries)
		after = from + time.Duration(r.rand.Float64()*float64(to-from))
	} else {
		after += time.Duration(r.rand.Float64() * float64(time.Second))
	}
	c.retries++
	r.at(r.now+after, informs, who)
}

// reaches has an Inform arrive at the ACS.
func (r *run) reaches(who int32) {
	r.loads.add(r.now)
	if !r.acs.take(who, r.now) {
		r.over(arrival{who, r.now}, false)
		return
	}
	if r.acs.overrun() {
		for _, a := range r.acs.fall(r.now) {
			r.over(a, false)
		}
		return
	}
	if len(r.acs.waiting) == 1 {
		r.at(r.now+r.acs.service(), serves, int32(r.acs.epoch))
	}
}

// serves ends the session that the ACS has at hand.
func (r *run) serves(epoch int32) {
	if int(epoch) != r.acs.epoch {
		return
	}
	a := r.acs.waiting[0]
	r.acs.waiting = r.acs.waiting[1:]
	if len(r.acs.waiting) > 0 {
		r.at(r.now+r.acs.service(), serves, epoch)
	}
	r.over(a, r.now-a.came <= cpePatience)
}

// over ends a session at the ACS, well or not.
func (r *run) over(a arrival, served bool) {
	c := &r.cpes[a.cpe]
	if r.cfg.Gate == Admission {
		now := r.base.Add(r.now)
		how := admission.Well
		if !served {
			how = admission.Ill
		}
		r.lane.Answered(true, r.now-a.came, how, now)
		if r.lane.Done(true) {
			r.advance()
		}
	}
	if !served {
		r.retries(a.cpe, 0)
		return
	}
	c.served = r.now
	if !c.urgent {
		r.left--
	}
}
