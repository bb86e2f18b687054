package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"time"

	"github.com/spf13/cobra"
)

func newTop() *cobra.Command {
	var file string
	var once, asJSON bool
	var every time.Duration
	cmd := &cobra.Command{
		Use: "top --config FILE", Short: "Show what goes on: rates, queues, refusals, slow ACSes, busy devices", Args: cobra.NoArgs,
		Long: `Top reads admin.socket of the gateway that runs with this config file, and shows
it anew until it is interrupted: what each ACS gets and how fast it answers, what
waits by class, what was refused and why, and the busiest devices of this minute
and the one before. Rates are of a second, mean of the last five; in the tables of
classes and refusals the numbers are of the time between two pages, on the first
page since the gateway started.`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if every < 100*time.Millisecond {
				return usagef("--every %s is less than 100ms", every)
			}
			c, err := loadConfig(file)
			if err != nil {
				return err
			}
			t := &top{socket: string(c.Admin.Socket), file: file}
			switch {
			case asJSON:
				return t.json(cmd.Context(), cmd.OutOrStdout())
			case once || !isTerminal(cmd.OutOrStdout()):
				return t.once(cmd.Context(), cmd.OutOrStdout())
			}
			return t.live(cmd.Context(), cmd.OutOrStdout(), every)
		},
	}
	configFlag(cmd, &file)
	cmd.Flags().BoolVar(&once, "once", false, "print one page and end; so it is too where the output is no terminal")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print the state as JSON once")
	cmd.Flags().DurationVar(&every, "every", time.Second, "time between two pages")
	return cmd
}

// top reads a gateway's state over its socket.
type top struct{ socket, file string }

// fetch asks for the state as it is.
func (t *top) fetch(ctx context.Context) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	client := &http.Client{Transport: &http.Transport{
		DisableKeepAlives: true,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			var d net.Dialer
			return d.DialContext(ctx, "unix", t.socket)
		},
	}}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://gateway/state", nil)
	if err != nil {
		return nil, err
	}
	res, err := client.Do(req)
	if err != nil {
		return nil, withHint(fmt.Errorf("ask the gateway at %s: %w", t.socket, err), "the gateway of %s must run on this machine, and you must be its user", t.file)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(io.LimitReader(res.Body, maxState))
	if err != nil {
		return nil, fmt.Errorf("read the gateway's state: %w", err)
	}
	if res.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("the gateway at %s answers %s", t.socket, res.Status)
	}
	return body, nil
}

const maxState = 64 << 20

func (t *top) read(ctx context.Context) (*stateReport, error) {
	body, err := t.fetch(ctx)
	if err != nil {
		return nil, err
	}
	var s stateReport
	if err := json.Unmarshal(body, &s); err != nil {
		return nil, fmt.Errorf("read the gateway's state: %w", err)
	}
	return &s, nil
}

func (t *top) json(ctx context.Context, w io.Writer) error {
	body, err := t.fetch(ctx)
	if err == nil {
		_, err = w.Write(body)
	}
	return err
}

func (t *top) once(ctx context.Context, w io.Writer) error {
	s, err := t.read(ctx)
	if err != nil {
		return err
	}
	return writePage(w, s, nil)
}

// clearScreen moves to the upper left corner and clears what is below.
const clearScreen = "\x1b[H\x1b[J"

// live shows a page every while, until ctx ends.
func (t *top) live(ctx context.Context, w io.Writer, every time.Duration) error {
	tick := time.NewTicker(every)
	defer tick.Stop()
	var before *stateReport
	for {
		s, err := t.read(ctx)
		if ctx.Err() != nil {
			return nil
		}
		if err != nil {
			return err
		}
		// One write, so that no half page is seen.
		var page bytes.Buffer
		page.WriteString(clearScreen)
		if err := writePage(&page, s, before); err != nil {
			return err
		}
		if _, err := w.Write(page.Bytes()); err != nil {
			return err
		}
		before = s
		select {
		case <-tick.C:
		case <-ctx.Done():
			return nil
		}
	}
}
