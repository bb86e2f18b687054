package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"
)

// compareFlags are the command line of a comparison.
type compareFlags struct {
	gateway, directory, only string
	rounds                   int
	each                     time.Duration
	targetCPU, loadCPU       int
}

func newCompareCommand(stdout, stderr io.Writer) *cobra.Command {
	var f compareFlags
	c := &cobra.Command{
		Use:   "compare --gateway FILE",
		Short: "Measure the gateway beside nginx, HAProxy and Go's ReverseProxy",
		Long: `compare starts the gateway (with its journal alone, and with the store too), nginx,
HAProxy and Go's ReverseProxy, each pinned to one core, plays the same sessions
against each from another core, in rounds that go through them in turn, every
other round in reverse order, and prints CPU for each session as ratios within a
round: medians, with the range of all rounds in brackets.

What is not installed is left out, and named.

It takes about five targets times the scenarios, times --rounds, times --each.
It needs Linux, two cores and taskset; everything is on loopback.`,
		Args:          cobra.NoArgs,
		SilenceUsage:  true,
		SilenceErrors: true,
		RunE: func(c *cobra.Command, _ []string) error {
			ctx, cancel := context.WithTimeout(c.Context(), f.most())
			defer cancel()
			return f.run(ctx, stdout, stderr)
		},
	}
	p := c.Flags()
	p.StringVar(&f.gateway, "gateway", "", "the cwmpgate program to measure (needed)")
	p.StringVar(&f.directory, "directory", "", "where to keep the journal and all else while it runs; default the system's directory for temporary files")
	p.StringVar(&f.only, "only", "", "scenarios to play, by comma: "+strings.Join(scenarioNames(), ", "))
	p.IntVar(&f.rounds, "rounds", 3, "rounds of each scenario")
	p.DurationVar(&f.each, "each", 1200*time.Millisecond, "time for which one target is loaded in one round")
	p.IntVar(&f.targetCPU, "target-cpu", 1, "core of what is measured")
	p.IntVar(&f.loadCPU, "load-cpu", 0, "core of load and ACS")
	c.MarkFlagRequired("gateway")
	return c
}

// scenario is one kind of load.
type scenario struct {
	name string
	what string
	unit string
	args []string
	// Each target requires a certificate of its clients, and verifies it.
	clients bool
}

// unitRequest is the unit of scenarios in which connections are kept.
const unitRequest = "request"

// scenarios are played in this order. At a concurrency of 64 the gateway's core
// is busy while sessions wait for the disk; with less it would idle, and waking
// up would be counted to the sessions. Of 1.8 MB fewer are in flight, for the
// gateway bounds what large bodies of one address take of its memory.
func scenarios() []scenario {
	return []scenario{
		{name: "full", what: "full TLS 1.3 handshakes, as many sessions as go", unit: "session", args: []string{"--concurrency", "64"}},
		{name: "client-certificates", what: "full TLS 1.3 handshakes, CPEs show an ECDSA certificate that each target requires and verifies", unit: "session", args: []string{"--concurrency", "64"}, clients: true},
		{name: "resumed", what: "resumed TLS 1.3, as many sessions as go", unit: "session", args: []string{"--concurrency", "64", "--resume"}},
		{name: "rate300", what: "full TLS 1.3 handshakes, 300 sessions a second", unit: "session", args: []string{"--concurrency", "64", "--rate", "300"}},
		{name: "keepalive", what: "sessions on kept-alive connections", unit: unitRequest, args: []string{"--concurrency", "64", "--keep-connection"}},
		{name: "informs", what: "nothing but Informs on kept-alive connections; each ends the session before it", unit: unitRequest, args: []string{"--concurrency", "64", "--keep-alive"}},
		{name: "values256k", what: "full TLS 1.3, GetParameterValuesResponse of 256 KB", unit: "session", args: []string{"--concurrency", "64", "--size", "262144"}},
		{name: "values1.8m", what: "full TLS 1.3, GetParameterValuesResponse of 1.8 MB", unit: "session", args: []string{"--concurrency", "16", "--size", "1800000"}},
	}
}

func scenarioNames() (names []string) {
	for _, s := range scenarios() {
		names = append(names, s.name)
	}
	return names
}

// most bounds the whole: what one turn takes beside its load is far below that.
func (f *compareFlags) most() time.Duration {
	return time.Duration(len(scenarios())) * (time.Minute + time.Duration(5*f.rounds)*(f.each+15*time.Second))
}

func (f *compareFlags) check() ([]scenario, error) {
	if f.rounds < 1 || f.rounds > 1000 || f.each < 100*time.Millisecond || f.each > 10*time.Minute {
		return nil, errors.New("--rounds goes from 1 to 1000, --each from 100ms to 10m")
	}
	if runtime.GOOS != "linux" {
		return nil, errors.New("compare needs Linux: it reads CPU from /proc")
	}
	if _, err := exec.LookPath("taskset"); err != nil {
		return nil, errors.New("compare needs taskset (Debian: util-linux)")
	}
	if f.targetCPU == f.loadCPU {
		return nil, errors.New("--target-cpu and --load-cpu are the same core")
	}
	all := scenarios()
	if f.only == "" {
		return all, nil
	}
	var chosen []scenario
	for name := range strings.SplitSeq(f.only, ",") {
		i := slices.IndexFunc(all, func(s scenario) bool { return s.name == strings.TrimSpace(name) })
		if i < 0 {
			return nil, fmt.Errorf("--only: %q is none of %s", name, strings.Join(scenarioNames(), ", "))
		}
		chosen = append(chosen, all[i])
	}
	return chosen, nil
}

// comparison is one under way.
type comparison struct {
	flags  *compareFlags
	self   string // this program
	place  place
	stderr io.Writer
}

func (f *compareFlags) run(ctx context.Context, stdout, stderr io.Writer) error {
	chosen, err := f.check()
	if err != nil {
		return err
	}
	self, err := os.Executable()
	if err != nil {
		return err
	}
	dir, err := os.MkdirTemp(f.directory, "cwmpload-compare-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	c := &comparison{flags: f, self: self, stderr: stderr, place: place{directory: dir}}
	if err := c.place.prepare(); err != nil {
		return err
	}
	acs, err := c.startACS(ctx)
	if err != nil {
		return err
	}
	defer acs.stop()
	kinds := contenders(f.gateway, self, stdout)
	fmt.Fprintf(stdout, "targets on core %d, load on core %d; journal on %s\n", f.targetCPU, f.loadCPU, fileSystemOf(dir))
	for _, s := range chosen {
		if err := c.play(ctx, s, kinds, stdout); err != nil {
			return fmt.Errorf("%s: %w", s.name, err)
		}
	}
	return nil
}

// startACS runs the stub in a process of its own, so that the targets keep
// their connections to it from one round to the next.
func (c *comparison) startACS(ctx context.Context) (*process, error) {
	port, err := freePort()
	if err != nil {
		return nil, err
	}
	c.place.acs = net127(port)
	p, err := start(ctx, c.flags.loadCPU, filepath.Join(c.place.directory, "acs.log"), c.self, "acs", "--listen", c.place.acs)
	if err != nil {
		return nil, err
	}
	return p, p.answers(ctx, c.place.acs)
}

// play is one scenario: fresh targets, so that memory is this scenario's.
func (c *comparison) play(ctx context.Context, s scenario, kinds []contender, stdout io.Writer) error {
	targets := make([]*target, 0, len(kinds))
	defer func() {
		for _, t := range targets {
			t.stop()
		}
	}()
	for _, k := range kinds {
		t, err := c.open(ctx, k, s.clients)
		if err != nil {
			return fmt.Errorf("start %s: %w", k.name, err)
		}
		targets = append(targets, t)
		if _, err := c.load(ctx, t, s, 300*time.Millisecond); err != nil {
			return fmt.Errorf("warm %s up: %w", k.name, err)
		}
	}
	sync, err := syncTime(c.place.directory)
	if err != nil {
		return err
	}
	results := newResults(s, targets)
	for round := range c.flags.rounds {
		order := slices.Clone(targets)
		if round%2 == 1 {
			slices.Reverse(order)
		}
		for _, t := range order {
			taken, err := c.measure(ctx, t, s)
			if err != nil {
				return fmt.Errorf("measure %s: %w", t.name, err)
			}
			results.add(t.name, taken)
			fmt.Fprintf(c.stderr, "%s, round %d of %d: %s %.0f us a %s\n", s.name, round+1, c.flags.rounds, t.name, taken.cpu, s.unit)
		}
	}
	return results.write(stdout, sync)
}

// measure loads one target and takes what it used for that, what it does behind
// the load, such as filling the store, included.
func (c *comparison) measure(ctx context.Context, t *target, s scenario) (taken sample, err error) {
	before, err := readUsage(t.pids)
	if err != nil {
		return taken, err
	}
	syncs := t.syncs(ctx)
	r, err := c.load(ctx, t, s, c.flags.each)
	if err != nil {
		return taken, err
	}
	if err := t.settle(ctx, patience); err != nil {
		return taken, err
	}
	after, err := readUsage(t.pids)
	if err != nil {
		return taken, err
	}
	cpu := after.cpu - before.cpu
	done := float64(max(r.Sessions-r.Failed, 1))
	if s.unit == unitRequest {
		done = float64(max(r.Posts, 1))
	}
	return sample{
		cpu: float64(cpu) / float64(time.Microsecond) / done, core: cpu.Seconds() / max(r.Seconds, 0.001),
		rate: r.PerSecond, rss: after.rss, peak: after.peak, failed: r.Failed, done: done,
		syncs: t.syncs(ctx).minus(syncs),
	}, nil
}

// load runs this program against a target, on the other core.
func (c *comparison) load(ctx context.Context, t *target, s scenario, d time.Duration) (*report, error) {
	args := append([]string{"-c", strconv.Itoa(c.flags.loadCPU), c.self, "--json", "--target", "https://" + t.address + "/", "--ca", c.place.certificate,
		"--tls-version", "1.3", "--duration", d.String(), "--sessions", "1000000000", "--devices", "1000000"}, s.args...)
	if s.clients {
		args = append(args, "--client-cert", c.place.clientCertificate, "--client-key", c.place.clientKey)
	}
	cmd := exec.CommandContext(ctx, "taskset", args...)
	cmd.WaitDelay = 5 * time.Second
	var out, trouble bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &trouble
	err := cmd.Run()
	var r report
	if json.Unmarshal(out.Bytes(), &r) != nil || r.Sessions == r.Failed {
		return nil, errors.Join(fmt.Errorf("no session was played: %s", bytes.TrimSpace(trouble.Bytes())), err)
	}
	return &r, nil
}
