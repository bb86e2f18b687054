package main

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/spf13/cobra"

	"github.com/cwmpgate/cwmpgate/cwmp/cwmptest"
)

// floodFlags are the command line of a flood.
type floodFlags struct {
	target                   string
	others, attackers, limit int
	rate                     float64
	tls                      tlsFlags
	asJSON                   bool
}

func newFloodCommand(stdout, stderr io.Writer) *cobra.Command {
	var f floodFlags
	c := &cobra.Command{
		Use:   "flood --target URL",
		Short: "Flood a listener with TLS handshakes from one address while others connect",
		Long: `flood has --others CPEs make a new full TLS handshake each, from an address of its
own, --rate of them a second; first by themselves, then while --attackers
connections at once begin handshakes from a single address as fast as they are
let. It prints how many of the others succeeded, and how long they took, without
and with the flood, and exits with 1 where one failed. Linux; loopback only.`,
		Example:       `  cwmpload flood --target https://127.0.0.1:7547/ --insecure --others 500 --rate 50`,
		Args:          cobra.NoArgs,
		SilenceUsage:  true,
		SilenceErrors: true,
		RunE:          func(c *cobra.Command, _ []string) error { return f.run(c.Context(), stdout) },
	}
	p := c.Flags()
	p.StringVar(&f.target, "target", "", "https URL (needed)")
	p.IntVar(&f.others, "others", 500, "CPEs that connect once, without and with the flood")
	p.Float64Var(&f.rate, "rate", 50, "of them a second")
	p.IntVar(&f.attackers, "attackers", 64, "connections at once of the flood")
	p.IntVar(&f.limit, "limit", 1_000_000, "connections of the flood in all")
	p.BoolVar(&f.asJSON, "json", false, "print the result as JSON")
	f.tls.register(c)
	return c
}

// floodReport is what the others met.
type floodReport struct {
	Calm    floodPart `json:"calm"`
	Flooded floodPart `json:"flooded"`
	// Of the flood: connections made, and how many of them were let through
	// their handshake.
	Connections int64 `json:"flood_connections"`
	Handshakes  int64 `json:"flood_handshakes"`
}

// floodPart is the others' handshakes, in microseconds.
type floodPart struct {
	Others    int    `json:"others"`
	Succeeded int    `json:"succeeded"`
	P50       int64  `json:"p50_us"`
	P99       int64  `json:"p99_us"`
	Most      int64  `json:"max_us"`
	LastError string `json:"last_error,omitempty"`
}

func (f *floodFlags) run(ctx context.Context, stdout io.Writer) error {
	u, address, err := parseTarget(ctx, f.target, false)
	switch {
	case err != nil:
		return err
	case u.Scheme != "https":
		return errors.New("--target must be https: a flood of handshakes needs some")
	case f.others < 1 || f.others > 60_000 || f.rate <= 0 || f.attackers < 1 || f.attackers > 2000 || f.limit < 1:
		return errors.New("--others is 1 to 60000, --attackers 1 to 2000, --rate and --limit over 0")
	}
	cfg, err := f.tls.config(u.Hostname())
	if err != nil {
		return err
	}
	r := &floodReport{Calm: f.connectOthers(ctx, address, cfg)}
	flooding, stop := context.WithCancel(ctx)
	var attackers sync.WaitGroup
	var left, connections, handshakes atomic.Int64
	left.Store(int64(f.limit))
	for range f.attackers {
		attackers.Go(func() {
			for flooding.Err() == nil && left.Add(-1) >= 0 {
				c, err := shake(flooding, address, loopback(9, 0), cfg)
				if err == nil {
					handshakes.Add(1)
					c.Close()
				}
				connections.Add(1)
			}
		})
	}
	r.Flooded = f.connectOthers(ctx, address, cfg)
	stop()
	attackers.Wait()
	r.Connections, r.Handshakes = connections.Load(), handshakes.Load()
	if err := r.write(stdout, f.asJSON); err != nil {
		return err
	}
	if failed := 2*f.others - r.Calm.Succeeded - r.Flooded.Succeeded; failed > 0 {
		return fmt.Errorf("%d of the others failed", failed)
	}
	return nil
}

// connectOthers has each of the others connect once.
func (f *floodFlags) connectOthers(ctx context.Context, address string, cfg *tls.Config) floodPart {
	part := floodPart{Others: f.others}
	var mu sync.Mutex
	var took cwmptest.Latencies
	var all sync.WaitGroup
	began := time.Now()
	for i := range f.others {
		due := began.Add(time.Duration(float64(i) / f.rate * float64(time.Second)))
		if !sleepUntil(ctx, due) {
			break
		}
		all.Go(func() {
			c, err := shake(ctx, address, loopback(2, i), cfg)
			d := time.Since(due)
			mu.Lock()
			defer mu.Unlock()
			if err != nil {
				part.LastError = err.Error()
				return
			}
			c.Close()
			part.Succeeded++
			took.Add(d)
		})
	}
	all.Wait()
	part.P50, part.P99, part.Most = took.Percentile(0.5).Microseconds(), took.Percentile(0.99).Microseconds(), took.Max().Microseconds()
	return part
}

// loopback is one of the addresses of 127.n.0.0/16.
func loopback(n byte, i int) net.Addr {
	return &net.TCPAddr{IP: net.IPv4(127, n, byte(i/254), byte(i%254)+1)}
}

// shake connects and makes a full handshake.
func shake(ctx context.Context, address string, from net.Addr, cfg *tls.Config) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	dialer := net.Dialer{LocalAddr: from}
	c, err := dialer.DialContext(ctx, "tcp", address)
	if err != nil {
		return nil, err
	}
	secure := tls.Client(c, cfg)
	if err := secure.HandshakeContext(ctx); err != nil {
		c.Close()
		return nil, err
	}
	return secure, nil
}

func (r *floodReport) write(w io.Writer, asJSON bool) error {
	if asJSON {
		return json.NewEncoder(w).Encode(r)
	}
	for _, part := range []struct {
		name string
		floodPart
	}{{"calm", r.Calm}, {"flooded", r.Flooded}} {
		fmt.Fprintf(w, "%s: %d of %d succeeded, p50 %.1f ms, p99 %.1f ms, max %.1f ms\n", part.name, part.Succeeded, part.Others,
			float64(part.P50)/1000, float64(part.P99)/1000, float64(part.Most)/1000)
		if part.LastError != "" {
			fmt.Fprintf(w, "%s: last error: %s\n", part.name, part.LastError)
		}
	}
	_, err := fmt.Fprintf(w, "flood: %d connections, %d handshakes let through\n", r.Connections, r.Handshakes)
	return err
}
