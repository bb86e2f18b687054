package proxy

import (
	"context"
	"errors"
	"fmt"
	"hash/maphash"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/VictoriaMetrics/metrics"
	"github.com/rs/zerolog"
	"golang.org/x/time/rate"

	"github.com/cwmpgate/cwmpgate/audit"
	"github.com/cwmpgate/cwmpgate/cwmp"
	"github.com/cwmpgate/cwmpgate/policy/admission"
	"github.com/cwmpgate/cwmpgate/proxy/acme"
	"github.com/cwmpgate/cwmpgate/proxy/certs"
	"github.com/cwmpgate/cwmpgate/proxy/h1"
	"github.com/cwmpgate/cwmpgate/proxy/identity"
	"github.com/cwmpgate/cwmpgate/proxy/upstream"
)

// Gateway relays CWMP sessions between CPEs and an ACS.
type Gateway struct {
	cfg        Config
	log        zerolog.Logger
	recorder   *audit.Recorder
	metrics    *gatewayMetrics
	tenants    []*tenant
	listeners  []*listener
	fetcher    *certs.Fetcher
	acme       *acme.Manager // nil: no listener has its certificates from there
	sessions   *sessions
	gate       *gate
	admission  *admission.Queue
	seed       maphash.Seed // of the keys of devices and sources
	buffers    *buffers
	refusalLog *rate.Limiter
	patience   patience
	halted     chan struct{}
	halt       func()
	orphans    flood
	busy       busy
	ciphers    sync.Map // uint16 to string: as many as there are suites
	exchanges  sync.Pool
	now        func() time.Time

	mu     sync.Mutex
	conns  map[*conn]bool
	drains bool
}

// New makes a Gateway ready: it reads certificates and keys, and opens nothing.
func New(cfg Config, recorder *audit.Recorder, log zerolog.Logger, set *metrics.Set) (*Gateway, error) {
	g := &Gateway{
		cfg: cfg, log: log, recorder: recorder, now: time.Now,
		refusalLog: rate.NewLimiter(refusalsLogged, refusalsLoggedAtOnce),
		conns:      make(map[*conn]bool),
		buffers:    &buffers{budget: newBudget(int64(cfg.Limits.Memory), int64(cfg.Limits.MemoryPerAddress))},
	}
	watched := watched{limits: lowerSet(cfg.Limits.Observe), over: func(limit string) { g.metrics.limitOver(limit).Inc() }}
	g.gate = newGate(cfg.Limits, watched)
	g.sessions = newSessions(cfg.Limits.Sessions, cfg.Limits.SessionsPerAddress, time.Duration(cfg.Timeouts.Linger), watched)
	g.halted = make(chan struct{})
	g.halt = sync.OnceFunc(func() { close(g.halted) })
	g.seed = maphash.MakeSeed()
	g.admission = admission.NewQueue(cfg.Admission, g.limitChanged)
	g.metrics = newGatewayMetrics(set, g)
	for i := range cfg.Tenants {
		t, err := g.newTenant(&cfg.Tenants[i], set)
		if err != nil {
			return nil, fmt.Errorf("tenant %s: %w", cfg.Tenants[i].Name, err)
		}
		g.tenants = append(g.tenants, t)
	}
	source, err := g.newACME()
	if err != nil {
		return nil, err
	}
	for _, lc := range cfg.Listeners {
		l := &listener{gateway: g, cfg: lc, name: lc.Name}
		if l.name == "" {
			l.name = lc.Address.String()
		}
		if lc.TLS != nil {
			var err error
			if l.tls, err = certs.New(*lc.TLS, behind(l.name, cfg.Tenants), source(lc.TLS), log); err != nil {
				return nil, fmt.Errorf("listener %s: %w", l.name, err)
			}
		}
		g.listeners = append(g.listeners, l)
	}
	g.metricsOfCertificates()
	g.watchRevocation()
	return g, nil
}

func (g *Gateway) newTenant(c *Tenant, set *metrics.Set) (*tenant, error) {
	t := &tenant{name: c.Name, expected: newExpected(), match: c.Match, filePaths: c.Files.Paths, hosts: lowerSet(c.Match.Hosts), sni: lowerSet(c.Match.SNI), redirects: lowerSet(c.Redirects)}
	var err error
	if err := t.newAuth(c, set, g.now); err != nil {
		return nil, err
	}
	if t.identity, err = identity.ParseTemplate(c.Identity); err != nil {
		return nil, err
	}
	if t.redactor, err = audit.NewRedactor(c.Redaction.Key.Bytes(), c.Redaction.Patterns); err != nil {
		return nil, fmt.Errorf("redaction: %w", err)
	}
	if err := g.newACSes(t, c, set); err != nil {
		return nil, err
	}
	if c.Files.Upstream != nil {
		if t.fileUpstream, err = upstream.New(*c.Files.Upstream, g.upstreamOptions()); err != nil {
			return nil, fmt.Errorf("files.upstream %s: %w", c.Files.Upstream.URL.String(), err)
		}
	}
	t.setOwnFields()
	if c.Clients != nil {
		if t.clients, err = certs.NewTrust(*c.Clients); err != nil {
			return nil, fmt.Errorf("client_certificates: %w", err)
		}
	}
	t.metrics = newTenantMetrics(set, c.Name)
	return t, nil
}

// behind are the tenants that requests of a listener may be for.
func behind(listener string, tenants []Tenant) (out []certs.Behind) {
	for i := range tenants {
		if of := tenants[i].Match.Listener; of == "" || of == listener {
			out = append(out, certs.Behind{SNI: slices.Sorted(maps.Keys(lowerSet(tenants[i].Match.SNI))), Clients: tenants[i].Clients})
		}
	}
	return out
}

func (g *Gateway) upstreamOptions() upstream.Options {
	return upstream.Options{
		Limits: g.cfg.h1Limits(), Connect: time.Duration(g.cfg.Timeouts.Connect), Answer: time.Duration(g.cfg.Timeouts.Answer),
	}
}

func lowerSet(list []string) map[string]bool {
	set := make(map[string]bool, len(list))
	for _, s := range list {
		set[strings.ToLower(s)] = true
	}
	return set
}

// Open binds all listeners, or none.
func (g *Gateway) Open(ctx context.Context) error {
	for i, l := range g.listeners {
		if err := l.open(ctx); err != nil {
			for _, o := range g.listeners[:i] {
				o.net.Close()
			}
			return err
		}
		g.log.Info().Str("listener", l.name).Str("address", l.net.Addr().String()).Bool("tls", l.tls != nil).Msg("listening")
	}
	return nil
}

// Addr is the address that listener number i is bound to, after Open.
func (g *Gateway) Addr(i int) string { return g.listeners[i].net.Addr().String() }

// Ready tells why no new session is taken now.
func (g *Gateway) Ready() error {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.drains {
		return errors.New("the gateway drains")
	}
	return nil
}

// Run serves until ctx ends, then drains: open sessions have timeouts.drain to
// come to their end, and no new one begins. It returns when all is closed.
func (g *Gateway) Run(ctx context.Context) error {
	serving, cut := context.WithCancel(context.WithoutCancel(ctx))
	defer cut()
	var accepting, conns, keeping sync.WaitGroup
	keeping.Go(func() { g.keepCertificates(ctx) })
	g.keepUsers(ctx, &keeping)
	keeping.Go(func() { g.fetcher.Run(ctx) })
	for _, t := range g.tenants {
		keeping.Go(func() { t.pool.Run(ctx) })
	}
	if g.acme != nil {
		keeping.Go(func() {
			if err := g.acme.Run(serving); err != nil {
				g.log.Error().Err(err).Msg("get certificates by ACME")
			}
		})
	}
	defer keeping.Wait()
	for _, l := range g.listeners {
		accepting.Go(func() { l.accept(serving, &conns) })
	}
	<-ctx.Done()
	g.log.Info().Int("sessions", g.sessions.count()).Msg("draining")
	g.drain(false)
	g.admission.Close() // who waits would begin a session
	// CPEs may be between two connections of a session: new ones are taken for
	// as long as sessions are open, and carry nothing but those.
	limit := time.NewTimer(time.Duration(g.cfg.Timeouts.Drain))
	defer limit.Stop()
	select {
	case <-g.sessions.whenNone():
	case <-g.halted:
	case <-limit.C:
		g.log.Warn().Int("sessions", g.sessions.count()).Msg("timeouts.drain is over, cutting sessions short")
	}
	for _, l := range g.listeners {
		l.net.Close()
	}
	accepting.Wait()
	for _, s := range g.sessions.all() {
		g.endFromOutside(s, audit.EndShutdown, nil)
	}
	g.finishConns(&conns, cut)
	for _, t := range g.tenants {
		t.close()
	}
	g.patience.close()
	return nil
}

// Halt has Run end without waiting for open sessions, once its context ends.
func (g *Gateway) Halt() { g.halt() }

// finishConns lets answers under way be written, and then cuts what is left.
func (g *Gateway) finishConns(conns *sync.WaitGroup, cut context.CancelFunc) {
	all := make(chan struct{})
	go func() { conns.Wait(); close(all) }()
	g.drain(true) // those whose session has ended meanwhile, too
	last := time.NewTimer(lastAnswers)
	defer last.Stop()
	select {
	case <-all:
	case <-last.C:
	}
	cut()
	g.cutAll()
	<-all
}

// lastAnswers is how long connections may take to end behind the last session.
const lastAnswers = time.Second

// opened registers a connection.
func (g *Gateway) opened(c *conn) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.conns[c] = true
}

func (g *Gateway) closed(c *conn) {
	g.mu.Lock()
	defer g.mu.Unlock()
	delete(g.conns, c)
}

// begin marks c as busy.
func (g *Gateway) begin(c *conn) {
	g.mu.Lock()
	defer g.mu.Unlock()
	c.busy, c.served = true, true
}

// done marks c as idle. It is false where c is to be closed because the gateway
// drains.
func (g *Gateway) done(c *conn) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	c.busy = false
	return !g.drains || g.hasSession(c)
}

func (g *Gateway) hasSession(c *conn) bool {
	s := g.sessions.of(c)
	return s != nil && g.sessions.isOpen(s)
}

func (g *Gateway) draining() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.drains
}

// drain closes the connections on which nothing is owed. One that has carried
// no request yet may be of a CPE that goes on with its session: it is closed only
// with fresh.
func (g *Gateway) drain(fresh bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.drains = true
	for c := range g.conns {
		if !c.busy && (c.served || fresh) && !g.hasSession(c) {
			c.h1.Drain()
		}
	}
}

func (g *Gateway) cutAll() {
	g.mu.Lock()
	left := slices.Collect(maps.Keys(g.conns))
	g.mu.Unlock()
	for _, c := range left {
		c.cut()
	}
}

// newExchange takes an exchange from the pool.
func (g *Gateway) newExchange(c *conn, req *h1.Request) *exchange {
	x, ok := g.exchanges.Get().(*exchange)
	if !ok {
		x = &exchange{gateway: g, inform: &admission.Inform{}, decoder: cwmp.NewDecoder(g.cfg.cwmpLimits()), answerDec: cwmp.NewDecoder(g.cfg.cwmpLimits())}
		for _, b := range []*buffer{&x.body, &x.plain, &x.answerBody, &x.answerPlain} {
			b.from = g.buffers
		}
	}
	for _, b := range []*buffer{&x.body, &x.plain, &x.answerBody, &x.answerPlain} {
		b.source = c.prefix
	}
	x.conn, x.req, x.keepAlive = c, req, req.KeepAlive
	return x
}

// maxKeptDecoder is how many bytes of scratch a decoder may keep for the next
// message.
const maxKeptDecoder = 1 << 20

// release gives an exchange and its bodies back.
func (x *exchange) release() {
	for _, b := range []*buffer{&x.body, &x.plain, &x.answerBody, &x.answerPlain} {
		b.free()
	}
	g := x.gateway
	if x.decoder.Size() > maxKeptDecoder || x.answerDec.Size() > maxKeptDecoder {
		return // its memory is for one large message, not for all that follow
	}
	clear(x.fields[:cap(x.fields)])
	*x = exchange{
		gateway: g, inform: x.inform, decoder: x.decoder, answerDec: x.answerDec, fields: x.fields[:0],
		body: x.body, plain: x.plain, answerBody: x.answerBody, answerPlain: x.answerPlain,
	}
	g.exchanges.Put(x)
}
