package cwmptest

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net"
	"sync"
	"time"
)

// FleetConfig says how many devices there are and how many sessions they have.
type FleetConfig struct {
	Devices int                            // default 10
	Base    DeviceConfig                   // what all have in common; serial numbers are SIM000000 and on
	Each    func(i int, cfg *DeviceConfig) // what sets a device apart, may be nil

	Sessions    int           // in all; 0: no limit but Duration, or one a device where that is 0 too
	Duration    time.Duration // no session begins later than this; 0: no limit
	Concurrency int           // sessions at once, default 64
	Rate        float64       // sessions begun a second at most; 0: no limit
	Changes     float64       // share of sessions before which a device's own state changes, 0 to 1
	Seed        uint64
}

// Fleet is many devices that have sessions, each one at a time. The number of
// sessions of each device, and what is left to chance in them, follow from the
// seed alone.
type Fleet struct {
	cfg     FleetConfig
	devices []*Device

	mu     sync.Mutex
	result FleetResult
}

// FleetResult sums up the sessions so far.
type FleetResult struct {
	Sessions  int            // begun and ended, cut ones left out
	Failed    int            // of these, not to their regular end
	Errors    map[string]int // of the failed, by [ErrorKind]
	Posts     int
	RPCs      int
	Latencies Latencies // of the sessions that did not fail
	Took      time.Duration
}

// NewFleet makes the devices.
func NewFleet(cfg FleetConfig) (*Fleet, error) {
	if cfg.Devices == 0 {
		cfg.Devices = 10
	}
	if cfg.Concurrency == 0 {
		cfg.Concurrency = 64
	}
	cfg.Concurrency = min(cfg.Concurrency, cfg.Devices)
	if cfg.Sessions == 0 && cfg.Duration == 0 {
		cfg.Sessions = cfg.Devices
	}
	f := &Fleet{cfg: cfg, result: FleetResult{Errors: map[string]int{}}}
	for i := range cfg.Devices {
		c := cfg.Base
		c.Identity.Serial = fmt.Sprintf("SIM%06d", i)
		c.Seed = cfg.Seed + uint64(i)
		if cfg.Each != nil {
			cfg.Each(i, &c)
		}
		d, err := NewDevice(c)
		if err != nil {
			return nil, err
		}
		f.devices = append(f.devices, d)
	}
	return f, nil
}

// Devices are the fleet's, in order.
func (f *Fleet) Devices() []*Device { return f.devices }

// Run has the sessions until their number or time is used up, or ctx ends;
// sessions cut by ctx are not counted. It may be called again.
func (f *Fleet) Run(ctx context.Context) FleetResult {
	begin := time.Now()
	var workers sync.WaitGroup
	for w := range f.cfg.Concurrency {
		workers.Go(func() { f.work(ctx, w, begin) })
	}
	workers.Wait()
	for _, d := range f.devices {
		d.Close()
	}
	f.mu.Lock()
	f.result.Took += time.Since(begin)
	f.mu.Unlock()
	return f.Result()
}

// work has the sessions of every n-th device, in rounds: which session a device
// has when does not depend on who is fast.
func (f *Fleet) work(ctx context.Context, worker int, begin time.Time) {
	for round := 0; ; round++ {
		for i := worker; i < len(f.devices); i += f.cfg.Concurrency {
			number := round*len(f.devices) + i
			if f.cfg.Sessions > 0 && number >= f.cfg.Sessions || !f.pace(ctx, begin, number) {
				return
			}
			f.session(ctx, f.devices[i])
		}
	}
}

// pace waits until a session may begin; false where none may any more.
func (f *Fleet) pace(ctx context.Context, begin time.Time, number int) bool {
	if f.cfg.Rate > 0 {
		wait := time.Until(begin.Add(time.Duration(float64(number) / f.cfg.Rate * float64(time.Second))))
		if f.cfg.Duration > 0 {
			wait = min(wait, time.Until(begin.Add(f.cfg.Duration)))
		}
		timer := time.NewTimer(wait)
		defer timer.Stop()
		select {
		case <-timer.C:
		case <-ctx.Done():
		}
	}
	return ctx.Err() == nil && (f.cfg.Duration == 0 || time.Since(begin) < f.cfg.Duration)
}

func (f *Fleet) session(ctx context.Context, d *Device) {
	if d.chance(f.cfg.Changes) {
		d.drift()
	}
	report, err := d.Session(ctx)
	if err != nil && over(ctx) {
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.result.Sessions++
	f.result.Posts += report.Posts
	f.result.RPCs += report.RPCs
	if err != nil {
		f.result.Failed++
		f.result.Errors[ErrorKind(err)]++
		return
	}
	f.result.Latencies.Add(report.Took)
}

// over says that ctx has ended; a deadline is felt by the network before ctx.
func over(ctx context.Context) bool {
	until, ok := ctx.Deadline()
	return ctx.Err() != nil || ok && time.Now().After(until)
}

// drift is a new address from the provider, with a new place to be reached at.
func (d *Device) drift() {
	d.mu.Lock()
	host := fmt.Sprintf("192.0.2.%d", 1+d.random.IntN(254))
	d.mu.Unlock()
	wan := "WANDevice.1.WANConnectionDevice.1.WANIPConnection.1.ExternalIPAddress"
	if d.cfg.Root == "Device." {
		wan = "IP.Interface.1.ExternalIPAddress"
	}
	d.Change(wan, host)
	d.Change("ManagementServer.ConnectionRequestURL", "http://"+host+":7547/"+d.cfg.Identity.Serial)
}

// Result is what has come out so far.
func (f *Fleet) Result() FleetResult {
	f.mu.Lock()
	defer f.mu.Unlock()
	r := f.result
	r.Errors = maps.Clone(r.Errors)
	return r
}

// Misdelivered are the messages that reached a wrong device of the fleet.
func (f *Fleet) Misdelivered() []Misdelivery {
	var list []Misdelivery
	for _, d := range f.devices {
		list = append(list, d.Misdelivered()...)
	}
	return list
}

// ErrorKind sorts an error of a session: "wrong-device", "status-503", "gave-up",
// "stopped", "timeout", "connection", "protocol".
func ErrorKind(err error) string {
	var status *StatusError
	var network net.Error
	switch {
	case errors.Is(err, errWrongDevice):
		return "wrong-device"
	case errors.As(err, &status):
		return fmt.Sprintf("status-%d", status.Status)
	case errors.Is(err, ErrGaveUp):
		return "gave-up"
	case errors.Is(err, errStopped):
		return "stopped"
	case errors.Is(err, context.DeadlineExceeded) || errors.As(err, &network) && network.Timeout():
		return "timeout"
	case isBroken(err):
		return "connection"
	}
	return "protocol"
}
