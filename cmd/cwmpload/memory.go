package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"time"

	"github.com/spf13/cobra"
)

// What docs/performance.md lets the gateway have beside limits.memory: this, and
// where its store takes records of large messages so many times the largest.
const (
	besideBodies = 256 << 20
	storeCost    = 3
)

// bodyLimit is limits.body and limits.inflated, in MiB.
func (f *memoryFlags) bodyLimit() int { return f.largeSize>>20 + 1 }

// limits is the gateway's section. Of one address one large message has room.
func (f *memoryFlags) limits() string {
	return fmt.Sprintf("limits: {memory: %dMiB, memory_per_address: %dMiB, body: %[3]dMiB, inflated: %[3]dMiB}\n",
		f.limit, max(4*f.bodyLimit(), f.limit/2), f.bodyLimit())
}

// bound is what may be resident in a case.
func (f *memoryFlags) bound(large bool) int64 {
	bound := int64(f.limit)<<20 + besideBodies
	if large {
		bound += storeCost * int64(f.bodyLimit()) << 20
	}
	return bound
}

// memoryFlags are the command line of the memory runs.
type memoryFlags struct {
	gateway, directory string
	sessions           int // idle
	slow, slowSize     int // slow bodies
	large, largeSize   int // large bodies at once
	limit              int // limits.memory in MiB
	asJSON             bool
}

func newMemoryCommand(stdout, stderr io.Writer) *cobra.Command {
	var f memoryFlags
	c := &cobra.Command{
		Use:   "memory --gateway FILE",
		Short: "Show what the gateway has in memory under idle sessions, slow bodies and large ones",
		Long: `memory starts the gateway, with its journal and store, three times, and holds against
it in turn: sessions over TLS in which nothing happens, bodies that come a byte
at a time, and bodies of 64 MB, more at once than limits.memory has room for.
Of each it prints what is resident, the most that ever was, and the bound that
docs/performance.md gives. It exits with 1 where that was passed, or where bytes
of bodies are counted when none is there any more.

It needs Linux, taskset and two file descriptors for each session; everything is
on loopback.`,
		Args:          cobra.NoArgs,
		SilenceUsage:  true,
		SilenceErrors: true,
		RunE: func(c *cobra.Command, _ []string) error {
			ctx, cancel := context.WithTimeout(c.Context(), 15*time.Minute)
			defer cancel()
			return f.run(ctx, stdout, stderr)
		},
	}
	p := c.Flags()
	p.StringVar(&f.gateway, "gateway", "", "the cwmpgate program to measure (needed)")
	p.StringVar(&f.directory, "directory", "", "where to keep the journal and all else while it runs; default the system's directory for temporary files")
	p.IntVar(&f.sessions, "sessions", 8000, "idle sessions over TLS; 0 leaves the case out, here and below")
	p.IntVar(&f.slow, "slow", 1000, "slow bodies")
	p.IntVar(&f.slowSize, "slow-size", 256<<10, "bytes of each, about")
	p.IntVar(&f.large, "large", 24, "large bodies at once")
	p.IntVar(&f.largeSize, "large-size", 64_000_000, "bytes of each, about")
	p.IntVar(&f.limit, "limit", 512, "limits.memory in MiB")
	p.BoolVar(&f.asJSON, "json", false, "print one JSON object for each case")
	c.MarkFlagRequired("gateway")
	return c
}

func (f *memoryFlags) check() error {
	for _, n := range []struct {
		name        string
		value, most int
	}{{"sessions", f.sessions, 10_000}, {"slow", f.slow, 5000}, {"slow-size", f.slowSize, 4 << 20}, {"large", f.large, 200}, {"large-size", f.largeSize, maxBody - 1<<20}, {"limit", f.limit, 1 << 20}} {
		if n.value < 0 || n.value > n.most {
			return fmt.Errorf("--%s is %d, not from 0 to %d", n.name, n.value, n.most)
		}
	}
	if f.limit*7/8 < 4*f.bodyLimit() {
		return fmt.Errorf("--limit %d has no room for one body of --large-size %d with what reading it takes: at least %d", f.limit, f.largeSize, f.bodyLimit()*32/7+1)
	}
	if runtime.GOOS != "linux" {
		return errors.New("memory needs Linux: it reads what is resident from /proc")
	}
	return nil
}

// memoryCase is what a case has come to.
type memoryCase struct {
	Case  string `json:"case"`
	What  string `json:"what"`  // how many of what
	Empty int64  `json:"empty"` // bytes resident before
	Held  int64  `json:"held"`  // while all are held, or under way
	Peak  int64  `json:"peak"`
	Bound int64  `json:"bound"`
	// Most is the most that the gateway counted as bodies, Left what it still
	// counts when all are gone.
	Most     int64       `json:"most_bodies"`
	Left     int64       `json:"left_bodies"`
	Each     int64       `json:"each,omitempty"` // bytes for each that is held
	Answered map[int]int `json:"answered,omitempty"`
}

func (m *memoryCase) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s: %s: RSS %.0f MiB before, %.0f held, %.0f at most, bound %.0f; bodies %.0f MiB at most, %d bytes when they were gone",
		m.Case, m.What, mib(m.Empty), mib(m.Held), mib(m.Peak), mib(m.Bound), mib(m.Most), m.Left)
	if m.Each > 0 {
		fmt.Fprintf(&b, "; %.1f KiB for each", float64(m.Each)/(1<<10))
	}
	for _, status := range []int{200, 503} {
		if n := m.Answered[status]; n > 0 {
			fmt.Fprintf(&b, "; %d answered %d", n, status)
		}
	}
	return b.String()
}

func mib(n int64) float64 { return float64(n) / (1 << 20) }

// err says what was not as documented.
func (m *memoryCase) err() error {
	switch {
	case m.Peak > m.Bound:
		return fmt.Errorf("%s: %.0f MiB were resident, over %.0f", m.Case, mib(m.Peak), mib(m.Bound))
	case m.Left != 0:
		return fmt.Errorf("%s: %d bytes are counted as bodies that are gone", m.Case, m.Left)
	}
	return nil
}

func (f *memoryFlags) run(ctx context.Context, stdout, stderr io.Writer) error {
	if err := f.check(); err != nil {
		return err
	}
	self, err := os.Executable()
	if err != nil {
		return err
	}
	dir, err := os.MkdirTemp(f.directory, "cwmpload-memory-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	c := &comparison{flags: &compareFlags{targetCPU: 1, loadCPU: 0}, self: self, stderr: stderr, place: place{directory: dir}}
	if err := c.place.prepare(); err != nil {
		return err
	}
	c.place.limits = f.limits()
	var failed []error
	for _, x := range []struct {
		name string
		many int
		hold func(context.Context, *memoryFlags, *holding) error
	}{{"idle", f.sessions, holdIdle}, {"slow", f.slow, holdSlow}, {caseLarge, f.large, holdLarge}} {
		if x.many == 0 {
			continue
		}
		m, err := c.hold(ctx, f, x.name, x.hold)
		if err != nil {
			return fmt.Errorf("%s: %w", x.name, err)
		}
		if f.asJSON {
			err = json.NewEncoder(stdout).Encode(m)
		} else {
			_, err = fmt.Fprintln(stdout, m)
		}
		failed = append(failed, err, m.err())
	}
	return errors.Join(failed...)
}

// hold plays one case against a fresh gateway and ACS.
func (c *comparison) hold(ctx context.Context, f *memoryFlags, name string, play func(context.Context, *memoryFlags, *holding) error) (*memoryCase, error) {
	acs, err := c.startACS(ctx)
	if err != nil {
		return nil, err
	}
	defer acs.stop()
	t, err := c.open(ctx, contender{name: "gateway", gateway: true, command: func(p *place, at service) ([]string, error) { return p.gateway(f.gateway, at, true) }}, false)
	if err != nil {
		return nil, err
	}
	defer t.stop()
	secure, err := (&tlsFlags{ca: c.place.certificate, version: "1.3"}).config("127.0.0.1")
	if err != nil {
		return nil, err
	}
	h := &holding{target: t, tls: secure, result: memoryCase{Case: name, Bound: f.bound(name == caseLarge), Answered: map[int]int{}}}
	before, err := readUsage(t.pids)
	if err != nil {
		return nil, err
	}
	h.result.Empty = before.rss
	watching, stop := context.WithCancel(ctx)
	watched := make(chan struct{})
	go func() { defer close(watched); h.watch(watching) }()
	err = play(ctx, f, h)
	h.closeAll()
	if err == nil {
		err = t.until(ctx, patience, "forget the bodies", func() bool { return t.scrape(ctx)[bodyBytes] == 0 })
	}
	if err == nil {
		err = t.settle(ctx, 2*time.Minute)
	}
	stop()
	<-watched
	if err != nil {
		text, _ := os.ReadFile(filepath.Join(filepath.Dir(t.log), "log"))
		return nil, fmt.Errorf("%w\n%s", err, text)
	}
	after, err := readUsage(t.pids)
	if err != nil {
		return nil, err
	}
	h.result.Peak, h.result.Left = after.peak, int64(t.scrape(ctx)[bodyBytes])
	return &h.result, nil
}

const (
	bodyBytes = "cwmpgate_body_bytes"
	caseLarge = "large"
)
