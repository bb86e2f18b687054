package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"os"
	"time"

	"github.com/spf13/cobra"
)

// flags are the command line of a load run.
type flags struct {
	target, acs, events       string
	byConnection, allowRemote bool
	sessions, concurrency     int
	devices, size, warmup     int
	duration, timeout         time.Duration
	rate                      float64
	tls                       tlsFlags
	keepAlive, keepConnection bool
	newPerPost, asJSON        bool
	pids                      []int
}

// tlsFlags say how TLS is spoken to the target.
type tlsFlags struct {
	version, ca, certificate, key, serverName string
	insecure, resume                          bool
}

func (f *flags) register(c *cobra.Command) {
	p := c.Flags()
	p.StringVar(&f.target, "target", "", "URL that CPEs are to post to, http or https (needed)")
	p.StringVar(&f.acs, "acs", "", "address at which to run the stub ACS inside, such as 127.0.0.1:7550")
	p.BoolVar(&f.byConnection, "acs-by-connection", false, "that ACS knows sessions by their TCP connection alone")
	p.IntVar(&f.sessions, "sessions", 1000, "sessions in all")
	p.DurationVar(&f.duration, "duration", time.Minute, "time in which sessions may begin")
	p.IntVar(&f.concurrency, "concurrency", 16, "sessions at once at most")
	p.Float64Var(&f.rate, "rate", 0, "sessions begun a second; 0: as many as --concurrency lets through")
	p.IntVar(&f.devices, "devices", 10_000, "devices that take turns")
	p.IntVar(&f.size, "size", 8<<10, "bytes of the GetParameterValuesResponse, about")
	p.StringVar(&f.events, "events", "2 PERIODIC", `events of the Informs with their shares: "2 PERIODIC=9,0 BOOTSTRAP+1 BOOT=1"`)
	p.IntVar(&f.warmup, "warmup", 0, "sessions played before, and not counted")
	p.DurationVar(&f.timeout, "timeout", 30*time.Second, "time one session may take")
	p.BoolVar(&f.keepAlive, "keep-alive", false, "play Informs only, one after another on kept connections; each counts as a session")
	p.BoolVar(&f.keepConnection, "keep-connection", false, "play sessions one after another on kept connections")
	p.BoolVar(&f.newPerPost, "new-connection-per-post", false, "a new connection for every POST of a session")
	p.IntSliceVar(&f.pids, "pid", nil, "process to measure; may be repeated")
	p.BoolVar(&f.asJSON, "json", false, "print the result as JSON")
	p.BoolVar(&f.allowRemote, "allow-remote", false, "allow addresses that are not loopback: load only what is yours")
	f.tls.register(c)
	c.MarkFlagsMutuallyExclusive("keep-alive", "keep-connection", "new-connection-per-post")
}

func (f *tlsFlags) register(c *cobra.Command) {
	p := c.Flags()
	p.StringVar(&f.version, "tls-version", "", "the only TLS version to offer: 1.2 or 1.3; default both")
	p.BoolVar(&f.resume, "resume", false, "resume TLS sessions in place of full handshakes")
	p.StringVar(&f.ca, "ca", "", "PEM file of the CA that signed the target's certificate; default the system's")
	p.BoolVar(&f.insecure, "insecure", false, "don't check the target's certificate")
	p.StringVar(&f.serverName, "server-name", "", "name for SNI and the check in place of the URL's host")
	p.StringVar(&f.certificate, "client-cert", "", "PEM file of a client certificate")
	p.StringVar(&f.key, "client-key", "", "PEM file of its key")
	c.MarkFlagsRequiredTogether("client-cert", "client-key")
}

// config makes the TLS configuration for a host.
func (f *tlsFlags) config(host string) (*tls.Config, error) {
	cfg := &tls.Config{
		ServerName: host, InsecureSkipVerify: f.insecure,
		// As CPEs have them: none offers a post-quantum key exchange, which
		// would double what a handshake costs the server.
		CurvePreferences: []tls.CurveID{tls.X25519, tls.CurveP256},
	}
	if f.serverName != "" {
		cfg.ServerName = f.serverName
	}
	switch f.version {
	case "":
	case "1.2":
		cfg.MinVersion, cfg.MaxVersion = tls.VersionTLS12, tls.VersionTLS12
	case "1.3":
		cfg.MinVersion = tls.VersionTLS13
	default:
		return nil, fmt.Errorf("--tls-version is %q, not 1.2 or 1.3", f.version)
	}
	if f.ca != "" {
		var err error
		if cfg.RootCAs, err = readPool(f.ca); err != nil {
			return nil, err
		}
	}
	if f.certificate != "" {
		certificate, err := tls.LoadX509KeyPair(f.certificate, f.key)
		if err != nil {
			return nil, fmt.Errorf("load client certificate: %w", err)
		}
		cfg.Certificates = []tls.Certificate{certificate}
	}
	return cfg, nil
}

func readPool(file string) (*x509.CertPool, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(text) {
		return nil, fmt.Errorf("no certificate in %s", file)
	}
	return pool, nil
}

// parseTarget reads a target URL and refuses one that is not on this machine.
func parseTarget(ctx context.Context, text string, allowRemote bool) (u *url.URL, address string, err error) {
	if text == "" {
		return nil, "", errors.New("--target is needed")
	}
	u, err = url.Parse(text)
	if err != nil {
		return nil, "", fmt.Errorf("--target: %w", err)
	}
	port := u.Port()
	switch {
	case u.Hostname() == "" || u.Scheme != "http" && u.Scheme != "https":
		return nil, "", fmt.Errorf("--target %q is no http or https URL", text)
	case port == "" && u.Scheme == "https":
		port = "443"
	case port == "":
		port = "80"
	}
	address = net.JoinHostPort(u.Hostname(), port)
	return u, address, checkLoopback(ctx, address, allowRemote)
}

func checkLoopback(ctx context.Context, address string, allowRemote bool) error {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return err
	}
	if allowRemote {
		return nil
	}
	if host == "" {
		return fmt.Errorf("%s is every address of this machine: name one of loopback, or use --allow-remote", address)
	}
	addresses, err := net.DefaultResolver.LookupIPAddr(ctx, host)
	if err != nil {
		return err
	}
	for _, a := range addresses {
		if !a.IP.IsLoopback() {
			return fmt.Errorf("%s is not a loopback address: load only what is yours, and use --allow-remote to say so", host)
		}
	}
	return nil
}

// config checks the flags and makes the run's configuration.
func (f *flags) config(ctx context.Context) (cfg loadConfig, err error) {
	u, address, err := parseTarget(ctx, f.target, f.allowRemote)
	if err != nil {
		return cfg, err
	}
	mix, err := parseMix(f.events)
	if err != nil {
		return cfg, err
	}
	for _, n := range []struct {
		name        string
		value, most int
	}{{"sessions", f.sessions, 1 << 40}, {"concurrency", f.concurrency, 20_000}, {"devices", f.devices, maxDevices}, {"size", f.size, maxGPVBytes}} {
		if n.value < 1 || n.value > n.most {
			return cfg, fmt.Errorf("--%s is %d, not from 1 to %d", n.name, n.value, n.most)
		}
	}
	if f.warmup < 0 || f.rate < 0 || f.duration <= 0 || f.timeout <= 0 {
		return cfg, errors.New("--warmup and --rate may not be negative, --duration and --timeout must be over 0")
	}
	if f.devices < f.concurrency {
		return cfg, fmt.Errorf("--devices %d is less than --concurrency %d: a device has one session at a time", f.devices, f.concurrency)
	}
	cfg = loadConfig{target: u, address: address, resume: f.tls.resume, sessions: f.sessions, duration: f.duration,
		concurrency: f.concurrency, rate: f.rate, devices: f.devices, timeout: f.timeout, keepAlive: f.keepAlive,
		keepConnection: f.keepConnection, newPerPost: f.newPerPost, messages: newMessages(f.size, mix)}
	if u.Scheme == "https" {
		cfg.tls, err = f.tls.config(u.Hostname())
	}
	return cfg, err
}

// play runs the ACS where it is asked for, the warm-up, and the measured part.
func (f *flags) play(ctx context.Context, stdout, stderr io.Writer) error {
	cfg, err := f.config(ctx)
	if err != nil {
		return err
	}
	var acs *stubACS
	if f.acs != "" {
		if err := checkLoopback(ctx, f.acs, f.allowRemote); err != nil {
			return err
		}
		acs = newStubACS(f.byConnection)
		if err := acs.Open(f.acs, nil); err != nil {
			return err
		}
		defer acs.Close()
	}
	if f.warmup > 0 {
		warm := cfg
		warm.sessions, warm.rate = f.warmup, 0
		(&load{cfg: warm}).run(ctx)
	}
	r, err := f.measure(ctx, cfg, acs, stderr)
	if err != nil {
		return err
	}
	if f.asJSON {
		err = r.writeJSON(stdout)
	} else {
		err = r.writeText(stdout)
	}
	if err == nil && (r.Failed > 0 || r.ACSWrongDevice > 0) {
		err = fmt.Errorf("%d of %d sessions failed, %d answers in a wrong session", r.Failed, r.Sessions, r.ACSWrongDevice)
	}
	return err
}

func (f *flags) measure(ctx context.Context, cfg loadConfig, acs *stubACS, stderr io.Writer) (*report, error) {
	own := []int{os.Getpid()}
	before, err := readUsage(f.pids)
	if err != nil {
		return nil, err
	}
	ownBefore, err := readUsage(own)
	if err != nil {
		return nil, err
	}
	l := &load{cfg: cfg}
	stop := showProgress(stderr, cfg.sessions, func() (int64, int64) { return l.done.Load(), l.bad.Load() })
	t := l.run(ctx)
	stop()
	after, err := readUsage(f.pids)
	if err != nil {
		return nil, err
	}
	ownAfter, err := readUsage(own)
	if err != nil {
		return nil, err
	}
	r := newReport(t)
	r.Target = cfg.target.String()
	if cfg.keepAlive {
		r.Mode = "informs"
	}
	r.measured(f.pids, before, after, ownBefore, ownAfter)
	if acs != nil {
		r.StubACS, r.ACSWrongDevice = acs.counts.String(), acs.counts.wrongDevice.Load()
	}
	return r, nil
}
