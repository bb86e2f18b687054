package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"github.com/spf13/cobra"
)

// stormFlags are the command line of a storm.
type stormFlags struct {
	target, acs                  string
	cpes, urgent, connections    int
	sources, ignore              int
	acsRate                      float64
	spread, duration, retryFirst time.Duration
	seed                         uint64
	tls                          tlsFlags
	asJSON                       bool
}

func newStormCommand(stdout, stderr io.Writer) *cobra.Command {
	var f stormFlags
	c := &cobra.Command{
		Use:   "storm --target URL --acs ADDRESS",
		Short: "Have a fleet inform at once, as after a blackout, before an ACS that falls over",
		Long: `storm runs an ACS at --acs that serves --acs-rate sessions a second, slows down
when more than a second's worth wait and falls over at five, and --cpes CPEs that
inform within --spread through what stands at --target. Who is not served comes
back: after Retry-After, or, --ignore per cent of them, by TR-069's own timers.
It ends when all were served, or after --duration, and exits with 1 where some
were not. Each CPE connects from one of --sources loopback addresses (127.1.0.0/16,
Linux). It speaks to loopback only.

cwmpload blackout plays the same in virtual time, with larger fleets.`,
		Example:       `  cwmpload storm --target https://127.0.0.1:7547/ --insecure --acs 127.0.0.1:7550 --acs-rate 150`,
		Args:          cobra.NoArgs,
		SilenceUsage:  true,
		SilenceErrors: true,
		RunE:          func(c *cobra.Command, _ []string) error { return f.run(c.Context(), stdout, stderr) },
	}
	p := c.Flags()
	p.StringVar(&f.target, "target", "", "URL that CPEs are to post to, http or https (needed)")
	p.StringVar(&f.acs, "acs", "127.0.0.1:7550", "address at which to run the ACS")
	p.Float64Var(&f.acsRate, "acs-rate", 150, "sessions a second that the ACS can serve")
	p.IntVar(&f.cpes, "cpes", 20_000, "CPEs")
	p.IntVar(&f.urgent, "urgent", 200, "sessions that somebody waits for, besides, over the time that the fleet takes at the ACS's rate")
	p.IntVar(&f.connections, "connections", 8000, "connections at once at most")
	p.IntVar(&f.sources, "sources", 1000, "loopback addresses that CPEs connect from; 0: 127.0.0.1 alone")
	p.IntVar(&f.ignore, "ignore", 0, "per cent of the CPEs that do not read Retry-After")
	p.DurationVar(&f.spread, "spread", time.Minute, "time in which the CPEs inform first")
	p.DurationVar(&f.duration, "duration", 15*time.Minute, "time after which it ends")
	p.DurationVar(&f.retryFirst, "retry-minimum", 5*time.Second, "CWMPRetryMinimumWaitInterval of the CPEs, whose multiplier is 2")
	p.Uint64Var(&f.seed, "seed", 1, "of what is left to chance")
	p.BoolVar(&f.asJSON, "json", false, "print the result as JSON")
	f.tls.register(c)
	return c
}

func (f *stormFlags) check() error {
	for _, n := range []struct {
		name              string
		value, low, limit int
	}{{"cpes", f.cpes, 1, 200_000}, {"urgent", f.urgent, 0, 20_000}, {"connections", f.connections, 1, 20_000}, {"sources", f.sources, 0, 60_000}, {"ignore", f.ignore, 0, 100}} {
		if n.value < n.low || n.value > n.limit {
			return fmt.Errorf("--%s is %d, not from %d to %d", n.name, n.value, n.low, n.limit)
		}
	}
	if f.acsRate < 1 || f.spread <= 0 || f.duration <= 0 || f.retryFirst <= 0 {
		return errors.New("--acs-rate must be 1 or more, --spread, --duration and --retry-minimum over 0")
	}
	return nil
}

func (f *stormFlags) run(ctx context.Context, stdout, stderr io.Writer) error {
	if err := f.check(); err != nil {
		return err
	}
	u, address, err := parseTarget(ctx, f.target, false)
	if err == nil {
		err = checkLoopback(ctx, f.acs, false)
	}
	if err != nil {
		return err
	}
	cfg := loadConfig{target: u, address: address, timeout: time.Minute}
	if u.Scheme == "https" {
		if cfg.tls, err = f.tls.config(u.Hostname()); err != nil {
			return err
		}
	}
	acs := newStubACS(false)
	acs.pace = newPace(f.acsRate)
	if err := acs.Open(f.acs, nil); err != nil {
		return err
	}
	defer acs.Close()
	s := &storm{flags: f, load: &load{cfg: cfg}, places: make(chan struct{}, f.connections)}
	s.load.cfg.messages = newMessages(200, nil)
	s.boots, s.asked = newRetries("1 BOOT"), newRetries("6 CONNECTION REQUEST")
	stop := showProgress(stderr, f.cpes+f.urgent, func() (int64, int64) { return s.load.done.Load(), s.load.bad.Load() })
	s.run(ctx)
	stop()
	r := s.report(acs)
	if err := r.write(stdout, f.asJSON); err != nil {
		return err
	}
	if r.Served < f.cpes || r.UrgentServed < r.Urgent || r.WrongDevice > 0 {
		return fmt.Errorf("%d of %d CPEs and %d of %d urgent sessions were served, %d answers in a wrong session", r.Served, f.cpes, r.UrgentServed, r.Urgent, r.WrongDevice)
	}
	return nil
}

// storm is a fleet under way.
type storm struct {
	flags        *stormFlags
	load         *load
	boots, asked []template // by RetryCount
	places       chan struct{}
	workers      sync.Pool
	began        time.Time

	mu      sync.Mutex
	served  []time.Duration // of the fleet, from the beginning
	urgent  []time.Duration // from the first attempt
	refused map[string]int  // attempts, by what came of them
	longest int             // Retry-After
	tries   atomic.Int64
}

func (s *storm) run(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, s.flags.duration)
	defer cancel()
	random := rand.New(rand.NewPCG(s.flags.seed, 1))
	s.began, s.refused = time.Now(), map[string]int{}
	bound := time.Duration(float64(s.flags.cpes) / s.flags.acsRate * float64(time.Second))
	var all sync.WaitGroup
	for i := range s.flags.cpes + s.flags.urgent {
		c := stormCPE{number: i, ignores: random.IntN(100) < s.flags.ignore, random: rand.New(rand.NewPCG(s.flags.seed, uint64(i)))}
		c.first = time.Duration(random.Float64() * float64(s.flags.spread))
		if i >= s.flags.cpes {
			c.urgent, c.first = true, time.Duration(random.Float64()*float64(bound))
		}
		all.Go(func() { s.live(ctx, &c) })
	}
	all.Wait()
}

// stormCPE is one CPE.
type stormCPE struct {
	number  int
	first   time.Duration
	ignores bool
	urgent  bool
	retries int
	random  *rand.Rand
}

// live has a CPE try until it was served.
func (s *storm) live(ctx context.Context, c *stormCPE) {
	first := s.began.Add(c.first)
	for due := first; sleepUntil(ctx, due); c.retries++ {
		select {
		case s.places <- struct{}{}:
		case <-ctx.Done():
			return
		}
		after, err := s.try(ctx, c)
		<-s.places
		if over(ctx) {
			return
		}
		if err == nil {
			s.load.done.Add(1)
			s.mu.Lock()
			defer s.mu.Unlock()
			if c.urgent {
				s.urgent = append(s.urgent, time.Since(first))
			} else {
				s.served = append(s.served, time.Since(s.began))
			}
			return
		}
		s.load.bad.Add(1)
		s.failed(err, after)
		due = time.Now().Add(s.wait(c, after))
	}
}

// wait is how long the CPE waits after a failure.
func (s *storm) wait(c *stormCPE, after int) time.Duration {
	if after > 0 && !c.ignores {
		return time.Duration(after)*time.Second + time.Duration(c.random.Float64()*float64(time.Second))
	}
	from := s.flags.retryFirst << min(c.retries, 9)
	return from + time.Duration(c.random.Float64()*float64(from))
}

func (s *storm) failed(err error, after int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.refused[errorKind(err)]++
	s.longest = max(s.longest, after)
}

// try plays one session; after is the Retry-After of a refusal.
func (s *storm) try(ctx context.Context, c *stormCPE) (after int, err error) {
	w, ok := s.workers.Get().(*worker)
	if !ok {
		w = newWorker(s.load, 0)
	}
	defer s.workers.Put(w)
	defer w.hangup()
	informs := s.boots
	if c.urgent {
		informs = s.asked
	}
	w.from = nil
	if n := s.flags.sources; n > 0 {
		w.from = loopback(1, c.number%n)
	}
	w.serial = fmt.Appendf(w.serial[:0], serialForm, c.number)
	n := s.tries.Add(1)
	err = w.session(ctx, &informs[min(c.retries, len(informs)-1)], int(n))
	var status statusError
	if errors.As(err, &status) {
		after = w.after
	}
	return after, err
}
