package proxy

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/cwmpgate/cwmpgate/proxy/acme"
	"github.com/cwmpgate/cwmpgate/proxy/certs"
	"github.com/cwmpgate/cwmpgate/proxy/upstream"
)

// newACME makes the way to the CA, where a listener needs it; it returns what
// each listener is given of it.
func (g *Gateway) newACME() (func(*certs.Config) certs.Source, error) {
	var names []string
	for _, l := range g.cfg.Listeners {
		if l.TLS != nil {
			names = append(names, l.TLS.ACME...)
		}
	}
	if len(names) == 0 {
		return func(*certs.Config) certs.Source { return nil }, nil
	}
	if g.cfg.Certificates.ACME == nil {
		return nil, errors.New("a listener has names in tls.acme, and there is no certificates.acme")
	}
	slices.Sort(names)
	var err error
	g.acme, err = acme.New(*g.cfg.Certificates.ACME, acme.Options{
		Names: slices.Compact(names), Log: g.log,
		Obtained: func(string) { g.metrics.acmeObtained.Inc() }, Failed: func(string) { g.metrics.acmeFailures.Inc() },
	})
	return func(c *certs.Config) certs.Source {
		if len(c.ACME) == 0 {
			return nil
		}
		return g.acme
	}, err
}

// keeper is who has certificates that change: a listener, a tenant, or the way to
// its ACS.
type keeper struct {
	name string // "listener cpe"
	keep interface {
		Reload() (changed bool, err error)
		Items() []certs.Item
	}
}

// keepers are all who have, tenants first: a listener's new authorities are of
// no use before those of their tenant.
func (g *Gateway) keepers() (list []keeper) {
	for _, t := range g.tenants {
		if t.clients != nil {
			list = append(list, keeper{"tenant " + t.name, t.clients})
		}
		for _, n := range t.nodes() {
			if n.HasTLS() {
				list = append(list, keeper{"tenant " + t.name + " to " + n.Authority(), acsKeeper{n}})
			}
		}
	}
	for _, l := range g.listeners {
		if l.tls != nil {
			list = append(list, keeper{"listener " + l.name, l.tls})
		}
	}
	return list
}

// acsKeeper is the gateway's side of TLS towards an ACS.
type acsKeeper struct{ *upstream.Node }

func (k acsKeeper) Items() (list []certs.Item) {
	own, authorities := k.Certificates()
	for _, c := range own {
		list = append(list, certs.ItemOf(certs.ItemCertificate, c.Name, c.Certificate))
	}
	for _, c := range authorities {
		list = append(list, certs.ItemOf(certs.ItemAuthority, c.Name, c.Certificate))
	}
	return list
}

// keepCertificates looks for changed files until ctx ends.
func (g *Gateway) keepCertificates(ctx context.Context) {
	keepers := g.keepers()
	if len(keepers) == 0 {
		return
	}
	look := time.NewTicker(time.Duration(g.cfg.Certificates.CheckEvery))
	defer look.Stop()
	var warned time.Time
	for {
		if now := g.now(); now.Sub(warned) >= 24*time.Hour {
			warned = now
			g.warnOfEnds(keepers, now)
		}
		select {
		case <-ctx.Done():
			return
		case <-look.C:
		}
		for _, k := range keepers {
			g.reload(k)
		}
	}
}

func (g *Gateway) reload(k keeper) {
	changed, err := k.keep.Reload()
	if changed {
		g.metrics.reloads.Inc()
		g.log.Info().Str("of", k.name).Msg("certificates, authorities or revocation lists have changed")
	}
	if err != nil {
		g.metrics.reloadFailures.Inc()
		g.log.Error().Err(err).Str("of", k.name).Msg("read certificates anew: what was read before holds")
	}
}

func (g *Gateway) warnOfEnds(keepers []keeper, now time.Time) {
	for _, k := range keepers {
		for _, i := range k.keep.Items() {
			if i.EndsSoon(now, time.Duration(g.cfg.Certificates.WarnBefore)) {
				g.log.Warn().Str("of", k.name).Str("what", i.What).Str("file", i.File).Str("subject", i.Subject).Time("until", i.Until).Msg("ends soon or has ended")
			}
		}
	}
}

// metricsOfCertificates tell when the first of each kind ends.
func (g *Gateway) metricsOfCertificates() {
	for _, k := range g.keepers() {
		for _, what := range []string{certs.ItemCertificate, certs.ItemAuthority, certs.ItemCRL} {
			g.metrics.set.NewGauge(fmt.Sprintf("cwmpgate_certificates_end_timestamp_seconds{of=%q,what=%q}", k.name, what), func() float64 {
				var first time.Time
				for _, i := range k.keep.Items() {
					if i.What == what && !i.Until.IsZero() && (first.IsZero() || i.Until.Before(first)) {
						first = i.Until
					}
				}
				if first.IsZero() {
					return 0
				}
				return float64(first.Unix())
			})
		}
	}
}

// watchRevocation makes who fetches revocation lists, and counts what becomes of
// that and of the questions to OCSP responders.
func (g *Gateway) watchRevocation() {
	var all []certs.Clients
	for _, l := range g.cfg.Listeners {
		if l.TLS != nil {
			all = append(all, l.TLS.Clients)
		}
	}
	for _, t := range g.cfg.Tenants {
		if t.Clients != nil {
			all = append(all, *t.Clients)
		}
	}
	g.fetcher = certs.NewFetcher(all)
	g.fetcher.Log = g.log
	g.fetcher.Fetched = func() {
		for _, k := range g.keepers() {
			g.reload(k)
		}
	}
	count := func(name string, of func() uint64) {
		g.metrics.set.NewGauge(name, func() float64 { return float64(of()) })
	}
	count("cwmpgate_crl_fetches_total", func() uint64 { n, _ := g.fetcher.Fetches(); return n })
	count("cwmpgate_crl_fetch_failures_total", func() uint64 { _, n := g.fetcher.Fetches(); return n })
	responders := map[string][]*certs.OCSP{}
	for _, c := range all {
		for _, a := range c.Authorities {
			if a.OCSP != nil {
				responders[a.OCSP.URL.String()] = append(responders[a.OCSP.URL.String()], a.OCSP)
			}
		}
	}
	for url, list := range responders {
		sum := func(of func(*certs.OCSP) uint64) func() uint64 {
			return func() (n uint64) {
				for _, o := range list {
					n += of(o)
				}
				return n
			}
		}
		count(fmt.Sprintf("cwmpgate_ocsp_questions_total{url=%q}", url), sum(func(o *certs.OCSP) uint64 { n, _ := o.Questions(); return n }))
		count(fmt.Sprintf("cwmpgate_ocsp_failures_total{url=%q}", url), sum(func(o *certs.OCSP) uint64 { _, n := o.Questions(); return n }))
	}
}
