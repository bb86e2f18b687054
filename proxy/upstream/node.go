package upstream

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cwmpgate/cwmpgate/proxy/h1"
)

// ErrUnreachable is wrapped by what Lease.RoundTrip returns when no connection
// to the ACS could be made: nothing was sent.
var ErrUnreachable = errors.New("ACS unreachable")

// Options is what a Node takes from the gateway rather than from its own
// section.
type Options struct {
	Limits  h1.Limits
	Connect time.Duration // for a connection, its TLS handshake included
	Answer  time.Duration // from the end of the request to the end of the answer's head; then for its body
}

// Node is one ACS.
type Node struct {
	name       string
	scheme     string
	address    string // to dial
	authority  string // as the URL has it
	forwarding string
	host       string // to verify
	files      TLS
	tls        atomic.Pointer[nodeTLS] // of an https ACS
	identify   Identify
	opt        Options
	dialer     net.Dialer

	reuse    bool
	maxIdle  int
	idleTime time.Duration
	mu       sync.Mutex
	idle     []idleConn // the newest last
	closed   bool
}

type idleConn struct {
	conn  *h1.ClientConn
	since time.Time
}

// New checks cfg and reads its files. It connects to nothing.
func New(cfg Config, opt Options) (*Node, error) {
	u, err := url.Parse(cfg.URL.String())
	if err != nil {
		return nil, fmt.Errorf("parse url: %w", err)
	}
	n := &Node{
		name: cfg.NodeName(), scheme: u.Scheme, authority: u.Host, forwarding: cfg.Forwarding, opt: opt, files: cfg.TLS, identify: cfg.Identify,
		reuse: cfg.Reuse == "clean", maxIdle: cfg.MaxIdle, idleTime: time.Duration(cfg.IdleTime),
		// Keep-alive probes find an ACS that vanished between two requests.
		dialer: net.Dialer{KeepAlive: 30 * time.Second},
	}
	if n.address, n.host, err = address(u); err != nil {
		return nil, err
	}
	if u.Scheme == "https" {
		if _, err := n.readTLS(); err != nil {
			return nil, err
		}
	}
	return n, nil
}

// Name is what records and metrics call the ACS.
func (n *Node) Name() string { return n.name }

// Authority is the ACS's host and port as configured.
func (n *Node) Authority() string { return n.authority }

// Reuses tells whether a session may get a connection that another had before.
func (n *Node) Reuses() bool { return n.reuse }

// Forwarding is how the ACS is told the CPE's address.
func (n *Node) Forwarding() string { return n.forwarding }

// IsAuthority tells whether a URL's host and port are the ACS's, with the
// scheme's default port left out or not.
func (n *Node) IsAuthority(hostport string) bool {
	return strings.EqualFold(hostport, n.authority) || strings.EqualFold(hostport, n.address)
}

// Close closes the connections kept for later sessions; leased ones are their
// holders'.
func (n *Node) Close() {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.closed = true
	for _, c := range n.idle {
		c.conn.Close()
	}
	n.idle = nil
}

// take returns the connection that was kept last, if it is not too old. Whether
// the ACS has closed it meanwhile, Send finds out.
func (n *Node) take() *h1.ClientConn {
	n.mu.Lock()
	defer n.mu.Unlock()
	if len(n.idle) == 0 {
		return nil
	}
	last := n.idle[len(n.idle)-1]
	n.idle = n.idle[:len(n.idle)-1]
	if time.Since(last.since) >= n.idleTime {
		last.conn.Close()
		return nil
	}
	return last.conn
}

func (n *Node) keep(c *h1.ClientConn) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.closed || len(n.idle) >= n.maxIdle {
		c.Close()
		return
	}
	// The oldest are dropped here, so that no goroutine is needed for it.
	for len(n.idle) > 0 && time.Since(n.idle[0].since) >= n.idleTime {
		n.idle[0].conn.Close()
		n.idle = n.idle[1:]
	}
	n.idle = append(n.idle, idleConn{c, time.Now()})
}

func (n *Node) dial(ctx context.Context) (*h1.ClientConn, error) {
	ctx, cancel := context.WithTimeout(ctx, n.opt.Connect)
	defer cancel()
	c, err := n.dialer.DialContext(ctx, "tcp", n.address)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrUnreachable, err)
	}
	if t := n.tls.Load(); t != nil {
		tc := tls.Client(c, t.config)
		if err := tc.HandshakeContext(ctx); err != nil {
			c.Close()
			return nil, fmt.Errorf("%w: TLS handshake with %s: %w", ErrUnreachable, n.address, err)
		}
		c = tc
	}
	return h1.NewClient(c, h1.ClientConfig{
		Limits: n.opt.Limits,
		// A body that goes on coming earns more; one that stalls does not.
		Timeouts: h1.Timeouts{Body: n.opt.Answer, Write: n.opt.Answer},
	}), nil
}
