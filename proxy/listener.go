package proxy

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"sync"
	"time"
)

// listener accepts CPEs on one address.
type listener struct {
	gateway *Gateway
	cfg     Listener
	name    string
	tls     *tls.Config // nil: plain HTTP
	net     net.Listener
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
		if reason := l.gateway.gate.enter(prefix); reason != "" {
			l.gateway.metrics.connectionRefused(reason).Inc()
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
	if l.tls == nil {
		if hc := newConn(l, c, nil); g.opened(hc) {
			hc.serve(ctx)
		}
		return
	}
	if !g.gate.handshake() {
		g.metrics.connectionRefused("too-many-handshakes").Inc()
		c.Close()
		return
	}
	tc := tls.Server(c, l.tls)
	c.SetDeadline(time.Now().Add(time.Duration(g.cfg.Timeouts.Handshake)))
	err := tc.HandshakeContext(ctx)
	g.gate.shaken()
	if err != nil {
		g.metrics.handshakeFailed(handshakeReason(err)).Inc()
		g.log.Debug().Err(err).Str("peer", c.RemoteAddr().String()).Str("listener", l.name).Msg("TLS handshake")
		c.Close()
		return
	}
	c.SetDeadline(time.Time{})
	state := tc.ConnectionState()
	g.metrics.handshakes.Inc()
	if hc := newConn(l, tc, &state); g.opened(hc) {
		hc.serve(ctx)
	}
}

// handshakeReason sorts failed handshakes into a closed list.
func handshakeReason(err error) string {
	var record tls.RecordHeaderError
	var alert tls.AlertError
	var ne net.Error
	switch {
	case errors.As(err, &record):
		return "not-tls"
	case errors.As(err, &alert):
		return "alert"
	case errors.As(err, &ne) && ne.Timeout():
		return "time-out"
	case errors.Is(err, io.EOF), errors.Is(err, net.ErrClosed):
		return "closed"
	}
	return "other"
}

// gate counts connections before anything is paid for them.
type gate struct {
	mu         sync.Mutex
	open       int
	max        int
	perPrefix  map[netip.Prefix]int
	maxPrefix  int
	handshakes int
	maxShakes  int
}

func newGate(l Limits) *gate {
	return &gate{max: l.Connections, maxPrefix: l.ConnectionsPerAddress, maxShakes: l.Handshakes, perPrefix: make(map[netip.Prefix]int)}
}

// enter returns "" or the reason why a connection is turned away.
func (g *gate) enter(p netip.Prefix) string {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.open >= g.max {
		return "too-many-connections"
	}
	if g.perPrefix[p] >= g.maxPrefix {
		return "too-many-connections-of-address"
	}
	g.open++
	g.perPrefix[p]++
	return ""
}

func (g *gate) leave(p netip.Prefix) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.open--
	if g.perPrefix[p]--; g.perPrefix[p] == 0 {
		delete(g.perPrefix, p)
	}
}

func (g *gate) handshake() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.handshakes >= g.maxShakes {
		return false
	}
	g.handshakes++
	return true
}

func (g *gate) shaken() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.handshakes--
}

func (g *gate) count() int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.open
}
