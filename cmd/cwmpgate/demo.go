package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/cwmpgate/cwmpgate/audit"
	"github.com/cwmpgate/cwmpgate/audit/storetest"
	"github.com/cwmpgate/cwmpgate/cwmp/cwmptest"
)

func newDemo() *cobra.Command {
	d := &demo{}
	cmd := &cobra.Command{
		Use: "demo", Short: "Try everything on this machine: gateway, stub ACS and simulated CPEs", Args: cobra.NoArgs,
		Long: `Demo runs a gateway with a self-signed certificate, a stub ACS behind it and a
small fleet of simulated CPEs before it. The CPEs boot, inform, get set,
download firmware through the gateway, and fail at times. All of it stays on
loopback addresses and in one directory, which is kept: its config file, journal
and store serve the audit commands that demo prints.

With --night nothing runs: the store of a config, which must be empty, is given
the records of one night of four devices and two ACSes, in which something is
wrong. It is what the questions of docs/audit.md and the dashboard in
configs/grafana.json have their answers from.`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if d.night != "" {
				return writeNight(cmd.Context(), cmd.OutOrStdout(), d.night)
			}
			return d.run(cmd.Context(), cmd.OutOrStdout())
		},
	}
	cmd.Flags().StringVar(&d.directory, "directory", "cwmpgate-demo", "`directory` to keep everything in")
	cmd.Flags().DurationVar(&d.period, "for", 0, "how `long` to run, 10s for example; until Ctrl-C where it is 0")
	cmd.Flags().IntVar(&d.devices, "devices", 8, "`number` of simulated CPEs")
	cmd.Flags().StringVar(&d.night, "night", "", "give the empty store of this config `FILE` a night's records, and run nothing")
	return cmd
}

// writeNight gives an empty store the example of the docs.
func writeNight(ctx context.Context, out io.Writer, file string) error {
	s, err := openStore(ctx, file, false)
	if err != nil {
		return err
	}
	defer s.Close()
	for _, err := range s.Query(ctx, audit.Filter{View: audit.ViewRecords, Limit: 1}) {
		if err == nil {
			err = usagef("the store of %s has records already: give --night one that is empty", file)
		}
		return err
	}
	night := storetest.Night()
	if err := s.Write(ctx, night.All()); err != nil {
		return err
	}
	_, err = fmt.Fprintf(out, "%d records of the night from 24 to 25 November 2026 are in the store: ask what docs/audit.md asks\n", len(night.Entries))
	return err
}

type demo struct {
	night     string
	directory string
	period    time.Duration
	devices   int
}

// run is the demo from its directory to its last line.
func (d *demo) run(ctx context.Context, out io.Writer) error {
	if d.devices < 1 || d.devices > 200 {
		return usagef("--devices %d: a demo has 1 to 200", d.devices)
	}
	file, err := d.prepare()
	if err != nil {
		return err
	}
	c, err := loadConfig(file)
	if err != nil {
		return err
	}
	log, err := os.OpenFile(filepath.Join(d.directory, "gateway.log"), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return fmt.Errorf("open the gateway's log: %w", err)
	}
	defer log.Close()
	public := "https://" + c.Listeners[0].Address.String()
	acs := newDemoACS(c.Tenants[0].Upstreams[0].URL.URL().Host, public)
	if err := acs.Open(); err != nil {
		return withHint(fmt.Errorf("start the stub ACS: %w", err), "another demo may run; remove %s to have other ports chosen", file)
	}
	defer acs.Close()

	running, stop := context.WithCancel(ctx)
	defer stop()
	opened, ended := make(chan struct{}), make(chan error, 1)
	go func() { ended <- serve(running, c, log, func(*gate) { close(opened) }) }()
	select {
	case <-opened:
	case err := <-ended:
		return withHint(err, "another demo may run; remove %s to have other ports chosen", file)
	}
	fmt.Fprintf(out, "gateway  %s  (self-signed certificate, log in %s)\nACS      http://%s\nCPEs     %d, through the gateway\n\n",
		public, log.Name(), acs.Addr(), d.devices)
	if d.period == 0 {
		fmt.Fprintf(out, "Ctrl-C ends it.\n\n")
	}
	result, ferr := d.play(running, c, public, out)
	stop()
	err = <-ended
	d.conclude(out, file, result, acs)
	return errors.Join(ferr, err)
}

// prepare makes the directory with its config, or takes the one that is there.
func (d *demo) prepare() (file string, err error) {
	if err := os.MkdirAll(d.directory, 0o700); err != nil {
		return "", fmt.Errorf("make the demo's directory: %w", err)
	}
	file = filepath.Join(d.directory, "cwmpgate.yaml")
	if _, err := os.Stat(file); err == nil {
		return file, nil
	}
	var ports [3]int
	for i := range ports {
		if ports[i], err = loopbackPort(); err != nil {
			return "", fmt.Errorf("find a free port: %w", err)
		}
	}
	text := fmt.Sprintf(demoConfig, ports[0], ports[1], ports[2])
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		return "", fmt.Errorf("write the demo's config: %w", err)
	}
	return file, nil
}

const demoConfig = `# The demo's gateway. Paths are relative to this file.
node: demo
listeners:
  - address: "127.0.0.1:%d"
    tls: {self_signed: {directory: .}}
tenants:
  - name: demo
    upstreams: [{name: stub-acs, url: "http://127.0.0.1:%d/"}]
    redaction: {key: "file:redaction.key"}
journal: {directory: journal, max_size: 1GiB, segment_size: 16MiB}
store: {sqlite: {file: audit.db}}
timeouts: {drain: 1s}
admin: {metrics: "127.0.0.1:%d"}
`

// play runs the fleet and says every few seconds how far it is.
func (d *demo) play(ctx context.Context, c *config, public string, out io.Writer) (cwmptest.FleetResult, error) {
	if d.period > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, d.period)
		defer cancel()
	}
	fleet, err := newDemoFleet(d, c, public)
	if err != nil {
		return cwmptest.FleetResult{}, err
	}
	done := make(chan struct{})
	go func() { fleet.Run(ctx); close(done) }()
	tick := time.NewTicker(5 * time.Second)
	defer tick.Stop()
	for {
		select {
		case <-done:
			return fleet.Result(), nil
		case <-tick.C:
			r := fleet.Result()
			fmt.Fprintf(out, "%d sessions, %d RPCs answered\n", r.Sessions, r.RPCs)
		}
	}
}

// conclude says what there was, and what to try next.
func (d *demo) conclude(out io.Writer, file string, r cwmptest.FleetResult, acs *cwmptest.ACS) {
	faults := 0
	for _, x := range acs.Deliveries() {
		if x.Fault != nil {
			faults++
		}
	}
	fmt.Fprintf(out, "\n%s, %s answered, %s of them by a fault; everything is kept in %s\n\nTry next:\n\n", plural(r.Sessions, "session"), plural(r.RPCs, "RPC"), fmt.Sprint(faults), d.directory)
	self := ownCommand()
	for _, try := range []string{
		"audit changes --config %s",
		"audit changes --config %s --parameter '**.PeriodicInformInterval'",
		"audit changes --config %s --outcome refused",
		"audit transfers --config %s",
		"audit sessions --config %s --limit 10",
		"audit rpcs --config %s --limit 20",
		"audit tail --config %s --json --limit 3",
	} {
		fmt.Fprintf(out, "  %s %s\n", self, fmt.Sprintf(try, file))
	}
}

// ownCommand is how this program was called, as near as it can tell.
func ownCommand() string {
	if exe := os.Args[0]; !strings.Contains(exe, "go-build") {
		return exe
	}
	return "go run ./cmd/cwmpgate"
}
