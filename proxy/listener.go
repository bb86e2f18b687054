package proxy

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"runtime"
	"sync"
	"time"

	"github.com/VictoriaMetrics/metrics"
	"github.com/rs/zerolog"

	"github.com/cwmpgate/cwmpgate/audit"
	"github.com/cwmpgate/cwmpgate/policy/admission"
	"github.com/cwmpgate/cwmpgate/proxy/certs"
	"github.com/cwmpgate/cwmpgate/proxy/proxyproto"
)

// listener accepts CPEs on one address.
type listener struct {
	gateway *Gateway
	cfg     Listener
	name    string
	tls     *certs.Server // nil: plain HTTP
	net     net.Listener
	suites  sync.Map // spoken to *metrics.Counter
}

// spoken is what a handshake has come to.
type spoken struct{ version, suite uint16 }

// shakes counts handshakes that came to a version and a suite: as many counters
// as a profile allows.
func (l *listener) shakes(version, suite uint16) *metrics.Counter {
	key := spoken{version, suite}
	if c, ok := l.suites.Load(key); ok {
		return c.(*metrics.Counter)
	}
	c := l.gateway.metrics.spoken(l.tls.Profile(), versionName(version), l.gateway.cipherName(suite))
	l.suites.Store(key, c)
	return c
}

// open binds the address.
func (l *listener) open(ctx context.Context) error {
	lc := net.ListenConfig{KeepAlive: -1, Control: keepAliveOnListener}
	if !inheritsKeepAlive {
		lc = net.ListenConfig{KeepAliveConfig: keepAlive}
	}
	ln, err := lc.Listen(ctx, "tcp", l.cfg.Address.String())
	if err != nil {
		return fmt.Errorf("open listener %s: %w", l.name, err)
	}
	l.net = ln
	return nil
}

// keepAlive finds CPEs that vanished without a word.
var keepAlive = net.KeepAliveConfig{Enable: true, Idle: 60 * time.Second, Interval: 15 * time.Second, Count: 4}

// accept serves connections until the listener is closed.
func (l *listener) accept(ctx context.Context, conns *sync.WaitGroup) {
	pause := time.Millisecond
	for {
		c, err := l.net.Accept()
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil {
			// Out of descriptors, most likely: give those open the time to end.
			l.gateway.metrics.acceptErrors.Inc()
			l.gateway.log.Warn().Err(err).Str("listener", l.name).Msg("accept connection")
			select {
			case <-ctx.Done():
				return
			case <-time.After(pause):
			}
			pause = min(2*pause, time.Second)
			continue
		}
		pause = time.Millisecond
		p := l.gateway.peerOf(c)
		if !l.gateway.enter(l, p) {
			c.Close()
			continue
		}
		conns.Go(func() {
			if l.behindProxy(p) && !l.introduced(ctx, c, p) {
				c.Close()
				return
			}
			defer l.gateway.gate.leave(p.prefix)
			l.handle(ctx, c, p)
		})
	}
}

// peer is who a connection is from: who made it, or for whom a load balancer
// says that it did.
type peer struct {
	address netip.AddrPort
	text    string // address and port
	prefix  netip.Prefix
	// A load balancer has said so.
	introduced bool
}

func (g *Gateway) peerOf(c net.Conn) *peer {
	a := addrPortOf(c.RemoteAddr())
	return &peer{address: a, text: c.RemoteAddr().String(), prefix: g.prefixOf(a.Addr())}
}

// behindProxy tells whether a connection has to begin with a PROXY header, which
// is believed of load balancers of ours alone.
func (l *listener) behindProxy(p *peer) bool {
	on := l.cfg.ProxyProtocol == ProxyProtocolTrusted || l.cfg.ProxyProtocol == ProxyProtocolRequired
	return on && l.gateway.isTrusted(p.address.Addr())
}

// introduced reads the PROXY header and makes p the client that it names. The
// client's address is held to what it may have, in place of the balancer's. Where
// it is false the connection has left the gate.
func (l *listener) introduced(ctx context.Context, c net.Conn, p *peer) bool {
	g := l.gateway
	c.SetDeadline(time.Now().Add(time.Duration(g.cfg.Timeouts.Handshake)))
	stop := context.AfterFunc(ctx, func() { c.SetDeadline(time.Unix(1, 0)) })
	client, err := proxyproto.Read(c)
	if !stop() && err == nil {
		err = context.Cause(ctx)
	}
	if err != nil {
		g.gate.leave(p.prefix)
		if errors.Is(err, io.EOF) {
			return false // a health check that only connects
		}
		reason := "proxy-header-late"
		if errors.Is(err, proxyproto.ErrHeader) {
			reason = "proxy-header"
		}
		g.log.Debug().Err(err).Str("peer", p.text).Str("listener", l.name).Msg("PROXY header")
		g.refuseConnection(l, p, reason)
		return false
	}
	c.SetDeadline(time.Time{})
	if !client.IsValid() {
		return true
	}
	g.gate.leave(p.prefix)
	*p = peer{address: client, text: client.String(), prefix: g.prefixOf(client.Addr()), introduced: true}
	return g.enter(l, p)
}

// handle carries one connection from its handshake to its end.
func (l *listener) handle(ctx context.Context, c net.Conn, p *peer) {
	g := l.gateway
	deepen()
	if l.tls == nil {
		newConn(l, c, p, nil, &certs.Peer{}).serve(ctx)
		return
	}
	deadline := time.Now().Add(time.Duration(g.cfg.Timeouts.Handshake))
	shaken := g.gate.handshake(ctx, p.prefix, deadline)
	if shaken == nil {
		g.refuseConnection(l, p, "too-many-handshakes")
		c.Close()
		return
	}
	tc, shown := l.tls.Server(c)
	c.SetDeadline(deadline)
	err := tc.HandshakeContext(ctx)
	shaken()
	if err != nil {
		l.handshakeFailed(p, err)
		c.Close()
		return
	}
	c.SetDeadline(time.Time{})
	state := tc.ConnectionState()
	if state.NegotiatedProtocol == certs.ChallengeProtocol {
		tc.Close() // the CA has seen what it came for
		return
	}
	g.metrics.handshakes.Inc()
	l.shakes(state.Version, state.CipherSuite).Inc()
	if len(shown.Chains) > 0 {
		defer g.exempt(p)()
	}
	newConn(l, tc, p, &state, shown).serve(ctx)
}

// deepen has the goroutine's stack grow at once to what a handshake needs. By
// itself it would grow three times, each time with more on it to copy.
//
//go:noinline
func deepen() {
	var room [14 << 10]byte
	runtime.KeepAlive(&room)
}

// refuseConnection counts and records a connection that is turned away before it
// has said anything, and logs it as other refusals.
func (g *Gateway) refuseConnection(l *listener, p *peer, reason string) {
	g.metrics.connectionRefused(reason).Inc()
	limit := g.limitText(reason)
	g.recorder.Decision(&audit.Origin{}, audit.Decision{By: audit.ByAdmission, Reason: reason, Limit: limit, Peer: p.text, Source: p.prefix.String(), Listener: l.name})
	if reason != admission.ReasonAddressRate && g.refusalLog.Allow() {
		g.log.Info().Str("reason", reason).Str("limit", limit).Str("peer", p.text).Str("listener", l.name).Msg("connection refused")
	}
}

// handshakeFailed counts a handshake that failed; a certificate that was refused
// is recorded.
func (l *listener) handshakeFailed(p *peer, err error) {
	g := l.gateway
	reason := certs.FailureReason(err)
	g.metrics.handshakeFailed(reason).Inc()
	level := zerolog.DebugLevel
	if certs.IsUnable(reason) && g.refusalLog.Allow() {
		level = zerolog.InfoLevel
	}
	g.log.WithLevel(level).Err(err).Str("reason", reason).Str("peer", p.text).Str("listener", l.name).Msg("TLS handshake")
	var refused *certs.Refusal
	if !errors.As(err, &refused) {
		return
	}
	if g.refusalLog.Allow() {
		g.log.Info().Str("reason", reason).Err(err).Str("peer", p.text).Str("listener", l.name).Msg("client certificate refused")
	}
	g.recorder.Security(&audit.Origin{}, audit.Security{
		Reason: reason, Claimed: refused.Subject, Peer: p.text, Source: p.prefix.String(), Listener: l.name,
	})
}

// gate counts connections and handshakes before anything is paid for them.
type gate struct {
	mu      sync.Mutex
	open    int
	max     int
	sources map[netip.Prefix]*neighbourhood
	maxOf   int           // connections of one source
	shakes  chan struct{} // a token for each handshake under way
	share   int           // handshakes of one source
	watched watched
}

// watched are the limits that are only counted where they would be over.
type watched struct {
	limits map[string]bool
	over   func(limit string)
}

// lets tells whether a limit that is reached is one of those, and counts it.
func (w *watched) lets(limit string) bool {
	if !w.limits[limit] {
		return false
	}
	w.over(limit)
	return true
}

// The names of limits that can be watched, as limits.observe has them.
const (
	limitConnections           = "connections"
	limitConnectionsPerAddress = "connections_per_address"
	limitHandshakes            = "handshakes"
	limitHandshakesPerAddress  = "handshakes_per_address"
	limitSessions              = "sessions"
	limitSessionsPerAddress    = "sessions_per_address"
)

// neighbourhood is what is open from one source prefix.
type neighbourhood struct {
	open     int
	verified int // of them, those whose peer has shown who it is
	shakes   chan struct{}
}

func newGate(l Limits, w watched) *gate {
	return &gate{
		watched: w,
		max:     l.Connections, maxOf: l.ConnectionsPerAddress, sources: make(map[netip.Prefix]*neighbourhood),
		shakes: make(chan struct{}, l.Handshakes), share: min(l.HandshakesPerAddress, l.Handshakes),
	}
}

// enter returns "" or the reason why a connection is turned away. Of a trusted
// source there may be as many as of all.
func (g *gate) enter(p netip.Prefix, trusted bool) string {
	g.mu.Lock()
	defer g.mu.Unlock()
	s := g.sources[p]
	switch {
	case g.open >= g.max && !g.watched.lets(limitConnections):
		return "too-many-connections"
	case s == nil:
		share := g.share
		if trusted {
			share = cap(g.shakes)
		}
		s = &neighbourhood{shakes: make(chan struct{}, share)}
		g.sources[p] = s
	case s.open-s.verified >= g.maxOf && !trusted && !g.watched.lets(limitConnectionsPerAddress):
		return "too-many-connections-of-address"
	}
	g.open++
	s.open++
	return ""
}

// verified changes how many connections of a source do not count for it.
func (g *gate) verified(p netip.Prefix, by int) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.sources[p].verified += by
}

func (g *gate) leave(p netip.Prefix) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.open--
	if s := g.sources[p]; s.open > 1 {
		s.open--
	} else {
		delete(g.sources, p)
	}
}

// handshake waits for a place among the handshakes of a source, then among all,
// until deadline: who does not speak holds up its own neighbours first. The
// function that it returns gives the place back; it is nil where there was none.
func (g *gate) handshake(ctx context.Context, p netip.Prefix, deadline time.Time) (shaken func()) {
	g.mu.Lock()
	own := g.sources[p].shakes
	g.mu.Unlock()
	ofSource, ok := g.takePlace(ctx, own, limitHandshakesPerAddress, deadline)
	if !ok {
		return nil
	}
	ofAll, ok := g.takePlace(ctx, g.shakes, limitHandshakes, deadline)
	if !ok {
		ofSource()
		return nil
	}
	return func() {
		ofAll()
		ofSource()
	}
}

// takePlace takes one, at once where its limit is only watched.
func (g *gate) takePlace(ctx context.Context, places chan struct{}, limit string, deadline time.Time) (giveBack func(), ok bool) {
	giveBack = func() { <-places }
	select {
	case places <- struct{}{}:
		return giveBack, true
	default:
	}
	if g.watched.lets(limit) {
		return func() {}, true
	}
	t := time.NewTimer(time.Until(deadline))
	defer t.Stop()
	select {
	case places <- struct{}{}:
		return giveBack, true
	case <-t.C:
		return nil, false
	case <-ctx.Done():
		return nil, false
	}
}

func (g *gate) count() int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.open
}
