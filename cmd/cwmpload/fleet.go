package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/cwmpgate/cwmpgate/cwmp/cwmptest"
)

// fleetFlags are the command line of a fleet run.
type fleetFlags struct {
	target, acs, character, quirks string
	devices, sessions, concurrency int
	duration                       time.Duration
	rate, faults                   float64
	seed                           uint64
	allowRemote                    bool
	username, password             string
	tls                            tlsFlags
}

func newFleetCommand(stdout, stderr io.Writer) *cobra.Command {
	var f fleetFlags
	known := slices.Sorted(maps.Keys(cwmptest.EachQuirk()))
	c := &cobra.Command{
		Use:   "fleet --target URL",
		Short: "Run a fleet of CPEs with a data model, faults and quirks",
		Long: `fleet runs devices that have a data model, do what an ACS asks (values, objects,
downloads, reboots), answer faults at a chosen rate and misbehave as real ones
do. It is slower than cwmpload without a subcommand, and truer to life.

Quirks: ` + strings.Join(known, ", ") + `.`,
		Args:          cobra.NoArgs,
		SilenceUsage:  true,
		SilenceErrors: true,
		RunE:          func(c *cobra.Command, _ []string) error { return f.run(c.Context(), stdout, stderr) },
	}
	p := c.Flags()
	p.StringVar(&f.target, "target", "", "URL that CPEs are to post to, http or https (needed)")
	p.StringVar(&f.acs, "acs", "", "address at which to run an ACS inside that gives every session some RPCs")
	p.StringVar(&f.character, "acs-character", "cookie-per-session", "how that ACS knows sessions: cookie-per-session, connection-bound, connection-only, serial-cookie")
	p.StringVar(&f.quirks, "quirks", "none", "quirks that the devices have in turn, by comma")
	p.IntVar(&f.devices, "devices", 50, "devices")
	p.IntVar(&f.sessions, "sessions", 500, "sessions in all")
	p.IntVar(&f.concurrency, "concurrency", 16, "sessions at once at most")
	p.DurationVar(&f.duration, "duration", time.Minute, "time in which sessions may begin")
	p.Float64Var(&f.rate, "rate", 0, "sessions begun a second; 0: no limit")
	p.Float64Var(&f.faults, "faults", 0, "share of RPCs answered by a fault, 0 to 1")
	p.Uint64Var(&f.seed, "seed", 1, "of what is left to chance")
	p.StringVar(&f.username, "username", "", "for HTTP authentication")
	p.StringVar(&f.password, "password", "", "for HTTP authentication")
	p.BoolVar(&f.allowRemote, "allow-remote", false, "allow addresses that are not loopback")
	f.tls.register(c)
	return c
}

func (f *fleetFlags) quirksInTurn() ([]cwmptest.Quirks, error) {
	known := cwmptest.EachQuirk()
	var list []cwmptest.Quirks
	for name := range strings.SplitSeq(f.quirks, ",") {
		q, ok := known[strings.TrimSpace(name)]
		if !ok {
			return nil, fmt.Errorf("--quirks: %q is not one of them", name)
		}
		list = append(list, q)
	}
	return list, nil
}

func (f *fleetFlags) openACS(ctx context.Context) (*cwmptest.ACS, error) {
	if err := checkLoopback(ctx, f.acs, f.allowRemote); err != nil {
		return nil, err
	}
	cfg := cwmptest.ACSConfig{Address: f.acs, Script: func(cwmptest.Informed) []cwmptest.Task {
		return []cwmptest.Task{
			cwmptest.GetParameterValues(deviceRoot + "DeviceInfo."),
			cwmptest.SetParameterValues(cwmptest.Parameter{Name: deviceRoot + "ManagementServer.PeriodicInformInterval", Value: "3600", Type: "unsignedInt"}),
		}
	}}
	for _, c := range cwmptest.Characters() {
		if c.String() == f.character {
			cfg.Character = c
			acs := cwmptest.NewACS(cfg)
			return acs, acs.Open()
		}
	}
	return nil, fmt.Errorf("--acs-character: %q is not one of them", f.character)
}

func (f *fleetFlags) run(ctx context.Context, stdout, stderr io.Writer) error {
	u, _, err := parseTarget(ctx, f.target, f.allowRemote)
	if err != nil {
		return err
	}
	quirks, err := f.quirksInTurn()
	if err != nil {
		return err
	}
	base := cwmptest.DeviceConfig{URL: f.target, Username: f.username, Password: f.password, FaultRate: f.faults}
	if u.Scheme == "https" {
		if base.TLS, err = f.tls.config(u.Hostname()); err != nil {
			return err
		}
	}
	fleet, err := cwmptest.NewFleet(cwmptest.FleetConfig{Devices: f.devices, Sessions: f.sessions, Concurrency: f.concurrency,
		Duration: f.duration, Rate: f.rate, Seed: f.seed, Base: base, Changes: 0.2,
		Each: func(i int, c *cwmptest.DeviceConfig) {
			c.Quirks = quirks[i%len(quirks)]
			if f.tls.resume && c.TLS != nil {
				c.TLS = c.TLS.Clone()
				c.TLS.ClientSessionCache = tls.NewLRUClientSessionCache(4)
			}
		}})
	if err != nil {
		return err
	}
	wrong := 0
	if f.acs != "" {
		acs, err := f.openACS(ctx)
		if err != nil {
			return err
		}
		defer acs.Close()
		defer func() { fmt.Fprintf(stdout, "acs: %d sessions ended, refusals %v\n", acs.Ended(), acs.Refusals()) }()
	}
	stop := showProgress(stderr, f.sessions, func() (int64, int64) {
		r := fleet.Result()
		return int64(r.Sessions), int64(r.Failed)
	})
	r := fleet.Run(ctx)
	stop()
	wrong += len(fleet.Misdelivered())
	fmt.Fprintf(stdout, "%d sessions in %.2f s, %d failed %v, %d RPCs, %d POSTs, p50 %v, p99 %v\n", r.Sessions, r.Took.Seconds(), r.Failed,
		r.Errors, r.RPCs, r.Posts, r.Latencies.Percentile(.5).Round(time.Microsecond), r.Latencies.Percentile(.99).Round(time.Microsecond))
	if wrong > 0 {
		return errors.Join(errWrongDevice, fmt.Errorf("%d messages", wrong))
	}
	return nil
}
