package proxy

import (
	"context"
	"errors"
	"fmt"
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
		prefix := l.gateway.prefixOf(addrOf(c.RemoteAddr()))
		if !l.gateway.enter(l, c, prefix) {
			c.Close()
			continue
		}
		conns.Go(func() {
			defer l.gateway.gate.leave(prefix)
			l.handle(ctx, c)
		})
	}
}

// handle carries one connection from its handshake to its end.
func (l *listener) handle(ctx context.Context, c net.Conn) {
	g := l.gateway
	deepen()
	if l.tls == nil {
		newConn(l, c, nil, &certs.Peer{}).serve(ctx)
		return
	}
	deadline := time.Now().Add(time.Duration(g.cfg.Timeouts.Handshake))
	prefix := g.prefixOf(addrOf(c.RemoteAddr()))
	if !g.gate.handshake(ctx, prefix, deadline) {
		g.refuseConnection(l, c, prefix, "too-many-handshakes")
		c.Close()
		return
	}
	tc, peer := l.tls.Server(c)
	c.SetDeadline(deadline)
	err := tc.HandshakeContext(ctx)
	g.gate.shaken(prefix)
	if err != nil {
		l.handshakeFailed(c, prefix, err)
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
	if len(peer.Chains) > 0 {
		defer g.exempt(prefix)()
	}
	newConn(l, tc, &state, peer).serve(ctx)
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
func (g *Gateway) refuseConnection(l *listener, c net.Conn, source netip.Prefix, reason string) {
	g.metrics.connectionRefused(reason).Inc()
	peer, limit := c.RemoteAddr().String(), g.limitText(reason)
	g.recorder.Decision(&audit.Origin{}, audit.Decision{By: audit.ByAdmission, Reason: reason, Limit: limit, Peer: peer, Source: source.String(), Listener: l.name})
	if reason != admission.ReasonAddressRate && g.refusalLog.Allow() {
		g.log.Info().Str("reason", reason).Str("limit", limit).Str("peer", peer).Str("listener", l.name).Msg("connection refused")
	}
}

// handshakeFailed counts a handshake that failed; a certificate that was refused
// is recorded.
func (l *listener) handshakeFailed(c net.Conn, source netip.Prefix, err error) {
	g, peer := l.gateway, c.RemoteAddr().String()
	reason := certs.FailureReason(err)
	g.metrics.handshakeFailed(reason).Inc()
	level := zerolog.DebugLevel
	if certs.IsUnable(reason) && g.refusalLog.Allow() {
		level = zerolog.InfoLevel
	}
	g.log.WithLevel(level).Err(err).Str("reason", reason).Str("peer", peer).Str("listener", l.name).Msg("TLS handshake")
	var refused *certs.Refusal
	if !errors.As(err, &refused) {
		return
	}
	if g.refusalLog.Allow() {
		g.log.Info().Str("reason", reason).Err(err).Str("peer", peer).Str("listener", l.name).Msg("client certificate refused")
	}
	g.recorder.Security(&audit.Origin{}, audit.Security{
		Reason: reason, Claimed: refused.Subject, Peer: peer, Source: source.String(), Listener: l.name,
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
}

// neighbourhood is what is open from one source prefix.
type neighbourhood struct {
	open     int
	verified int // of them, those whose peer has shown who it is
	shakes   chan struct{}
}

func newGate(l Limits) *gate {
	return &gate{
		max: l.Connections, maxOf: l.ConnectionsPerAddress, sources: make(map[netip.Prefix]*neighbourhood),
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
	case g.open >= g.max:
		return "too-many-connections"
	case s == nil:
		share := g.share
		if trusted {
			share = cap(g.shakes)
		}
		s = &neighbourhood{shakes: make(chan struct{}, share)}
		g.sources[p] = s
	case s.open-s.verified >= g.maxOf && !trusted:
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
// until deadline: who does not speak holds up its own neighbours first.
func (g *gate) handshake(ctx context.Context, p netip.Prefix, deadline time.Time) bool {
	g.mu.Lock()
	own := g.sources[p].shakes
	g.mu.Unlock()
	if !takePlace(ctx, own, deadline) {
		return false
	}
	if !takePlace(ctx, g.shakes, deadline) {
		<-own
		return false
	}
	return true
}

func takePlace(ctx context.Context, places chan struct{}, deadline time.Time) bool {
	select {
	case places <- struct{}{}:
		return true
	default:
	}
	t := time.NewTimer(time.Until(deadline))
	defer t.Stop()
	select {
	case places <- struct{}{}:
		return true
	case <-t.C:
		return false
	case <-ctx.Done():
		return false
	}
}

func (g *gate) shaken(p netip.Prefix) {
	<-g.shakes
	g.mu.Lock()
	own := g.sources[p].shakes
	g.mu.Unlock()
	<-own
}

func (g *gate) count() int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.open
}
