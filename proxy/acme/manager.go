package acme

import (
	"context"
	"crypto/tls"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/caddyserver/certmagic"
	"github.com/mholt/acmez/v3/acme"
	"github.com/rs/zerolog"

	"github.com/cwmpgate/cwmpgate/proxy/certs"
)

// Options is what a Manager takes from its maker rather than from the config
// file.
type Options struct {
	Names    []string          // to get certificates for
	Log      zerolog.Logger    // certmagic's own goes there, too
	Obtained func(name string) // told of each certificate that was got
	Failed   func(name string) // and of each that was not
	Renewal  float64           // share of a certificate's life before whose end it is renewed; 0: a third
	Look     time.Duration     // how often certificates are looked at; 0: every ten minutes
	NoARI    bool              // the CA is not asked when to renew
}

// Manager keeps certificates for names.
type Manager struct {
	cfg     Config
	opt     Options
	issuers []certmagic.ACMEIssuer // one for each kind of key
	running atomic.Pointer[running]
}

// running is what there is between the begin and the end of Run.
type running struct {
	ctx     context.Context // Run's
	caches  []*certmagic.Cache
	configs []*certmagic.Config // in the order of Config.keys
	asked   sync.Map            // names that are seen to
	mu      sync.Mutex
	news    chan struct{} // closed and replaced when a certificate is there
}

// New checks cfg and reads its files. It asks the CA for nothing.
func New(cfg Config, opt Options) (*Manager, error) {
	roots, err := readPool(cfg.CA)
	if err != nil {
		return nil, fmt.Errorf("acme: %w", err)
	}
	issuer := certmagic.ACMEIssuer{
		CA: cfg.Directory.String(), Email: cfg.Email, Agreed: cfg.Agree, TrustedRoots: roots,
		DisableHTTPChallenge: cfg.HTTPPort == 0, DisableTLSALPNChallenge: cfg.TLSPort == 0,
		AltHTTPPort: cfg.HTTPPort, AltTLSALPNPort: cfg.TLSPort, Logger: newZap(opt.Log),
	}
	if issuer.CA == "" {
		issuer.CA = certmagic.LetsEncryptProductionCA
	}
	if cfg.Account != nil {
		issuer.ExternalAccount = &acme.EAB{KeyID: cfg.Account.ID, MACKey: strings.TrimSpace(string(cfg.Account.MAC.Bytes()))}
	}
	if cfg.DNS != nil {
		issuer.DNS01Solver = cfg.DNS.solver()
	}
	m := &Manager{cfg: cfg, opt: opt}
	for range cfg.keys() {
		m.issuers = append(m.issuers, issuer)
	}
	return m, nil
}

// Run gets and renews certificates until ctx ends.
func (m *Manager) Run(ctx context.Context) error {
	r := &running{ctx: ctx, news: make(chan struct{})}
	defer func() {
		m.running.Store(nil)
		for _, c := range r.caches {
			c.Stop()
		}
	}()
	for i, kind := range m.cfg.keys() {
		r.add(m, kind, m.issuers[i])
	}
	m.running.Store(r)
	names := m.opt.Names
	if m.cfg.OnDemand {
		names = slices.DeleteFunc(slices.Clone(names), func(name string) bool {
			kept, err := Items(m.cfg, []string{name})
			return err == nil && len(kept) == 0
		})
	}
	for _, name := range names {
		if err := r.ask(name); err != nil {
			return fmt.Errorf("acme: %w", err)
		}
	}
	<-ctx.Done()
	return nil
}

// ask sees to a name from now on: its certificates are read from the storage or
// got from the CA, and renewed.
func (r *running) ask(name string) error {
	if _, is := r.asked.LoadOrStore(name, true); is {
		return nil
	}
	for _, c := range r.configs {
		if err := c.ManageAsync(r.ctx, []string{name}); err != nil {
			r.asked.Delete(name)
			return err
		}
	}
	return nil
}

// changes gives a channel that is closed when the next certificate is there.
func (r *running) changes() <-chan struct{} {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.news
}

func (r *running) changed() {
	r.mu.Lock()
	defer r.mu.Unlock()
	close(r.news)
	r.news = make(chan struct{})
}

// add makes the cache and config of one kind of key. Each kind has a directory
// of its own, since a name has one certificate in each.
func (r *running) add(m *Manager, kind string, issuer certmagic.ACMEIssuer) {
	log := newZap(m.opt.Log)
	keys := certmagic.StandardKeyGenerator{KeyType: certmagic.P256}
	if kind == keyRSA {
		keys.KeyType = certmagic.RSA2048
	}
	var config *certmagic.Config
	cache := certmagic.NewCache(certmagic.CacheOptions{
		GetConfigForCert:   func(certmagic.Certificate) (*certmagic.Config, error) { return config, nil },
		RenewCheckInterval: m.opt.Look, Logger: log,
	})
	config = certmagic.New(cache, certmagic.Config{
		Storage: newStorage(string(m.cfg.Storage), kind), KeySource: keys,
		RenewalWindowRatio: m.opt.Renewal, DisableARI: m.opt.NoARI, OnEvent: r.event(m.opt), Logger: log,
	})
	config.Issuers = []certmagic.Issuer{certmagic.NewACMEIssuer(config, issuer)}
	r.caches, r.configs = append(r.caches, cache), append(r.configs, config)
}

// event passes on what certmagic tells.
func (r *running) event(opt Options) func(context.Context, string, map[string]any) error {
	return func(_ context.Context, event string, data map[string]any) error {
		name, _ := data["identifier"].(string)
		switch {
		case event == "cert_obtained" && opt.Obtained != nil:
			opt.Obtained(name)
		case event == "cert_failed" && opt.Failed != nil:
			opt.Failed(name)
		case event == "cached_managed_cert":
			r.changed()
		}
		return nil
	}
}

// Certificate is the one to show a CPE at a listener for names: one that it can
// verify, ECDSA before RSA. Without a name, or with one that is none of names,
// it is the first name's. It also answers TLS-ALPN-01 challenges. On demand it
// waits, for a certificate that has to be got first, as long as the handshake.
func (m *Manager) Certificate(hello *tls.ClientHelloInfo, names []string) (*tls.Certificate, error) {
	r := m.running.Load()
	if r == nil {
		return nil, certs.ErrNone
	}
	name := hello.ServerName
	challenge := certs.IsChallenge(hello.SupportedProtos)
	listed := nameOf(name, names)
	if listed == "" && !challenge {
		name, listed = names[0], names[0]
	}
	for {
		news := r.changes()
		cert, err := r.choose(hello, name, challenge)
		switch {
		case err != nil && m.cfg.OnDemand && !challenge:
		case cert != nil:
			return cert, nil
		default:
			return nil, err
		}
		if failed := r.ask(listed); failed != nil {
			return nil, fmt.Errorf("%w: %w", certs.ErrNone, failed)
		}
		select {
		case <-news:
		case <-hello.Context().Done():
			return nil, err
		}
	}
}

// choose is a certificate for name that the CPE can verify. With one that it
// cannot, there is an error where another kind is still to come.
func (r *running) choose(hello *tls.ClientHelloInfo, name string, challenge bool) (*tls.Certificate, error) {
	named, unnamed := *hello, *hello
	named.ServerName = name
	unnamed.ServerName = "" // names have been looked at
	var first *tls.Certificate
	var failed error
	for _, c := range r.configs {
		cert, err := c.GetCertificate(&named)
		switch {
		case err != nil:
			failed = err
		case challenge, unnamed.SupportsCertificate(cert) == nil:
			return cert, nil
		case first == nil:
			first = cert
		}
	}
	if failed != nil {
		failed = fmt.Errorf("%w: %w", certs.ErrNone, failed)
	}
	return first, failed
}

// nameOf is the one of names that name is, or that is a wildcard for it; empty:
// none.
func nameOf(name string, names []string) string {
	name = strings.ToLower(name)
	_, above, _ := strings.Cut(name, ".")
	for _, n := range names {
		if n == name || n == "*."+above {
			return n
		}
	}
	return ""
}

// Held are the certificates that there are for names.
func (m *Manager) Held(names []string) (list []*tls.Certificate) {
	r := m.running.Load()
	if r == nil {
		return nil
	}
	for _, cache := range r.caches {
		for _, name := range names {
			for _, c := range cache.AllMatchingCertificates(name) {
				list = append(list, &c.Certificate)
			}
		}
	}
	return list
}
