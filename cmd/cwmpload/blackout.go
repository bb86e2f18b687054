package main

import (
	"fmt"
	"io"
	"os"
	"time"

	"github.com/spf13/cobra"

	"github.com/cwmpgate/cwmpgate/policy/admission/blackout"
)

// newBlackoutCommand simulates; it opens no connection.
func newBlackoutCommand(stdout, stderr io.Writer) *cobra.Command {
	var cfg blackout.Config
	var ignore []int
	var plot string
	c := &cobra.Command{
		Use:   "blackout",
		Short: "Simulate a region's CPEs informing at once, without, with a token bucket and with cwmpgate's admission",
		Long: `blackout plays, in virtual time and drawn from one seed, a fleet of CPEs that
inform within --spread after a blackout and retry as TR-069 has them, before an
ACS that serves --rate sessions a second, slows down past it and then falls over.
It prints a table of what nothing, a plain token bucket and the admission that
the gateway runs make of it (docs/admission.md), and draws the load on the ACS.
It opens no connection.`,
		Example:       `  cwmpload blackout --fleet 100000 --rate 500 --seed 7 --plot blackout.svg`,
		Args:          cobra.NoArgs,
		SilenceUsage:  true,
		SilenceErrors: true,
		RunE: func(*cobra.Command, []string) error {
			results, err := playBlackouts(cfg, ignore, stderr)
			if err != nil {
				return err
			}
			if plot != "" {
				if err := plotBlackouts(plot, results); err != nil {
					return err
				}
			}
			return blackout.WriteTable(stdout, results)
		},
	}
	p := c.Flags()
	p.IntVar(&cfg.Fleet, "fleet", 100_000, "CPEs that lost power")
	p.Float64Var(&cfg.Rate, "rate", 500, "sessions a second that the ACS can serve")
	p.DurationVar(&cfg.Spread, "spread", time.Minute, "time in which the CPEs inform first")
	p.Float64Var(&cfg.Urgent, "urgent", 0.02, "sessions that somebody waits for, as a share of the rate, besides the fleet")
	p.Uint64Var(&cfg.Seed, "seed", 1, "seed of all that is drawn")
	p.IntSliceVar(&ignore, "ignore", []int{0, 50, 100}, "per cent of the CPEs that do not read Retry-After; a row each")
	p.StringVar(&plot, "plot", "", "SVG file to write")
	return c
}

func playBlackouts(cfg blackout.Config, ignore []int, stderr io.Writer) (results []*blackout.Result, err error) {
	runs := []blackout.Config{cfg, cfg}
	runs[0].Gate, runs[1].Gate = blackout.Nothing, blackout.TokenBucket
	for _, share := range ignore {
		run := cfg
		run.Gate, run.Ignore = blackout.Admission, float64(share)/100
		runs = append(runs, run)
	}
	for i, run := range runs {
		fmt.Fprintf(stderr, "%d of %d: %s\n", i+1, len(runs), run.Gate)
		r, err := blackout.Run(run)
		if err != nil {
			return nil, err
		}
		results = append(results, r)
	}
	return results, nil
}

func plotBlackouts(file string, results []*blackout.Result) error {
	f, err := os.Create(file)
	if err != nil {
		return fmt.Errorf("write the plot: %w", err)
	}
	if err := blackout.WritePlot(f, results); err != nil {
		f.Close()
		return fmt.Errorf("write the plot: %w", err)
	}
	return f.Close()
}
