// Command cwmpload plays CWMP sessions against whatever stands before an ACS,
// and measures it: sessions a second, latencies, errors, and the CPU and memory
// of its process for each session.
package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Args[1:], os.Stdout, os.Stderr); err != nil {
		fmt.Fprintln(os.Stderr, "error:", err)
		os.Exit(1)
	}
}

// run is the command, its parts passed in.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	root := newLoadCommand(stdout, stderr)
	root.AddCommand(newACSCommand(stdout), newFleetCommand(stdout, stderr), newCompareCommand(stdout, stderr), newMemoryCommand(stdout, stderr), newReverseProxyCommand(), newBlackoutCommand(stdout, stderr), newStormCommand(stdout, stderr), newFloodCommand(stdout, stderr))
	root.SetArgs(args)
	root.SetOut(stdout)
	root.SetErr(stderr)
	return root.ExecuteContext(ctx)
}

func newLoadCommand(stdout, stderr io.Writer) *cobra.Command {
	var f flags
	c := &cobra.Command{
		Use:   "cwmpload --target URL",
		Short: "Play CWMP sessions against a proxy or an ACS and measure it",
		Long: `cwmpload plays sessions of simulated CPEs: each a new connection with a full TLS
handshake, an Inform of 4 KiB, an empty POST, the answer to GetParameterValues
(--size), the answer to SetParameterValues, and the empty answer that ends it.
It checks that every message is meant for the device that got it, and exits with
1 where a session failed.

Behind the target must stand an ACS that answers, such as this program's own:
started inside by --acs, or alone by "cwmpload acs".

It stops after --sessions or --duration, whichever is first, and speaks to
loopback addresses only, unless told otherwise.`,
		Example: `  cwmpload --acs 127.0.0.1:7550 --target https://127.0.0.1:7547/ --ca cpe-ca.pem --pid $(pidof cwmpgate)
  cwmpload --target https://127.0.0.1:7547/ --insecure --rate 300 --duration 30s --sessions 100000 --json`,
		Args:          cobra.NoArgs,
		SilenceUsage:  true,
		SilenceErrors: true,
		RunE:          func(c *cobra.Command, _ []string) error { return f.play(c.Context(), stdout, stderr) },
	}
	f.register(c)
	return c
}

func newACSCommand(stdout io.Writer) *cobra.Command {
	var listen, certificate, key string
	var byConnection, allowRemote bool
	c := &cobra.Command{
		Use:   "acs",
		Short: "Run the stub ACS alone, until it is interrupted",
		Long: `acs answers every Inform, asks every device for values, sets some and ends the
session. It counts answers that came in another device's session.`,
		Args:          cobra.NoArgs,
		SilenceUsage:  true,
		SilenceErrors: true,
		RunE: func(c *cobra.Command, _ []string) error {
			if err := checkLoopback(c.Context(), listen, allowRemote); err != nil {
				return err
			}
			var cfg *tls.Config
			scheme := "http"
			if certificate != "" {
				pair, err := tls.LoadX509KeyPair(certificate, key)
				if err != nil {
					return fmt.Errorf("load certificate: %w", err)
				}
				cfg, scheme = &tls.Config{Certificates: []tls.Certificate{pair}}, "https"
			}
			a := newStubACS(byConnection)
			if err := a.Open(listen, cfg); err != nil {
				return err
			}
			fmt.Fprintf(stdout, "acs at %s://%s/\n", scheme, a.listener.Addr())
			<-c.Context().Done()
			err := a.Close()
			fmt.Fprintln(stdout, a.counts.String())
			if a.counts.wrongDevice.Load() > 0 {
				return errors.Join(errWrongDevice, err)
			}
			return err
		},
	}
	c.Flags().StringVar(&listen, "listen", "127.0.0.1:7550", "address to listen on")
	c.Flags().BoolVar(&byConnection, "by-connection", false, "know sessions by their TCP connection alone and set no cookie")
	c.Flags().StringVar(&certificate, "tls-cert", "", "PEM file of a certificate: speak TLS")
	c.Flags().StringVar(&key, "tls-key", "", "PEM file of its key")
	c.MarkFlagsRequiredTogether("tls-cert", "tls-key")
	c.Flags().BoolVar(&allowRemote, "allow-remote", false, "listen on an address that is not loopback")
	return c
}
