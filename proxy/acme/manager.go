package acme

import (
	"context"
	"crypto/tls"
	"fmt"
	"slices"
	"strings"
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
	caches  []*certmagic.Cache
	configs []*certmagic.Config // in the order of Config.keys
}

// New checks cfg and reads its files. It asks the CA for nothing.
func New(cfg Config, opt Options) (*Manager, error) {
	roots, err := cfg.roots()
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
	r := &running{}
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
	for _, c := range r.configs {
		if err := c.ManageAsync(ctx, m.opt.Names); err != nil {
			return fmt.Errorf("acme: %w", err)
		}
	}
	<-ctx.Done()
	return nil
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
		RenewalWindowRatio: m.opt.Renewal, DisableARI: m.opt.NoARI, OnEvent: m.event, Logger: log,
	})
	config.Issuers = []certmagic.Issuer{certmagic.NewACMEIssuer(config, issuer)}
	r.caches, r.configs = append(r.caches, cache), append(r.configs, config)
}

func (m *Manager) event(_ context.Context, event string, data map[string]any) error {
	name, _ := data["identifier"].(string)
	switch {
	case event == "cert_obtained" && m.opt.Obtained != nil:
		m.opt.Obtained(name)
	case event == "cert_failed" && m.opt.Failed != nil:
		m.opt.Failed(name)
	}
	return nil
}

// Certificate is the one to show a CPE at a listener for names: one that it can
// verify, ECDSA before RSA. Without a name, or with one that is none of names,
// it is the first name's. It also answers TLS-ALPN-01 challenges.
func (m *Manager) Certificate(hello *tls.ClientHelloInfo, names []string) (*tls.Certificate, error) {
	r := m.running.Load()
	if r == nil {
		return nil, certs.ErrNone
	}
	named, unnamed := *hello, *hello
	if !isOneOf(hello.ServerName, names) && !certs.IsChallenge(hello.SupportedProtos) {
		named.ServerName = names[0]
	}
	unnamed.ServerName = "" // names have been looked at
	var first *tls.Certificate
	var failed error
	for _, c := range r.configs {
		cert, err := c.GetCertificate(&named)
		switch {
		case err != nil:
			failed = err
		case certs.IsChallenge(hello.SupportedProtos), unnamed.SupportsCertificate(cert) == nil:
			return cert, nil
		case first == nil:
			first = cert
		}
	}
	if first == nil {
		return nil, fmt.Errorf("%w: %w", certs.ErrNone, failed)
	}
	return first, nil
}

// isOneOf tells whether name is among names, or a label below a wildcard of them.
func isOneOf(name string, names []string) bool {
	name = strings.ToLower(name)
	_, above, _ := strings.Cut(name, ".")
	return slices.Contains(names, name) || slices.Contains(names, "*."+above)
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
