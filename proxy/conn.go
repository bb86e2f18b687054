package proxy

import (
	"context"
	"crypto/sha256"
	"crypto/tls"
	"encoding/hex"
	"errors"
	"io"
	"net"
	"net/netip"
	"strings"
	"time"

	"github.com/cwmpgate/cwmpgate/audit"
	"github.com/cwmpgate/cwmpgate/proxy/certs"
	"github.com/cwmpgate/cwmpgate/proxy/h1"
	"github.com/cwmpgate/cwmpgate/proxy/upstream"
)

// conn is one connection of a CPE and what is known of its peer.
type conn struct {
	gateway  *Gateway
	listener *listener
	net      net.Conn
	h1       *h1.ServerConn
	tls      *tls.ConnectionState // nil on a plain listener
	shown    *certs.Peer
	address  netip.Addr
	peer     string // address and port
	// SHA-256 of the certificate that was accepted, in hex; empty where none was
	// shown.
	certificate string
	addrText    []byte // address
	prefix      netip.Prefix
	scheme      []byte

	session *session        // the last of this connection; the table's lock guards it
	login   connLogin       // who has logged in on it
	served  bool            // it has carried a request; guarded alike
	busy    bool            // a request is being served; the gateway's lock guards it
	files   *upstream.Lease // of file requests, nil where there was none
	filesOf *tenant
}

func newConn(l *listener, c net.Conn, p *peer, state *tls.ConnectionState, shown *certs.Peer) *conn {
	g := l.gateway
	out := &conn{
		gateway: g, listener: l, net: c, tls: state, shown: shown,
		address: p.address.Addr(), peer: p.text, addrText: []byte(p.address.Addr().String()), prefix: p.prefix, scheme: []byte("http"),
	}
	if state != nil {
		out.scheme = []byte("https")
	}
	if len(shown.Chains) > 0 {
		sum := sha256.Sum256(shown.Chains[0][0].Raw)
		out.certificate = hex.EncodeToString(sum[:])
	}
	out.h1 = h1.NewServer(c, h1.ServerConfig{
		Limits: g.cfg.h1Limits(), AllowNoHost: l.cfg.AllowNoHost, Scheme: string(out.scheme),
		Timeouts: h1.Timeouts{
			Idle: time.Duration(g.cfg.Timeouts.Idle),
			Head: time.Duration(g.cfg.Timeouts.Head), Body: time.Duration(g.cfg.Timeouts.Body), Write: time.Duration(g.cfg.Timeouts.Write),
		},
	})
	return out
}

// serve reads requests one after the other until either side ends it.
func (c *conn) serve(ctx context.Context) {
	c.gateway.opened(c)
	defer c.close()
	for {
		c.h1.SetIdle(c.gateway.sessions.idle(c, time.Duration(c.gateway.cfg.Timeouts.Idle)))
		req, err := c.h1.Next()
		if err != nil {
			c.ended(err)
			return
		}
		c.gateway.begin(c)
		x := c.gateway.newExchange(c, req)
		keep := x.serve(ctx)
		if !c.gateway.done(c) || !keep {
			return
		}
	}
}

// ended answers a request that could not be read, where there is one.
func (c *conn) ended(err error) {
	if errors.Is(err, io.EOF) || errors.Is(err, h1.ErrIdle) || errors.Is(err, net.ErrClosed) {
		return
	}
	if !isRefused(err) {
		c.gateway.metrics.connectionErrors.Inc()
		c.gateway.log.Debug().Err(err).Str("peer", c.peer).Str("listener", c.listener.name).Msg("connection broke")
		return
	}
	r := asRefusal(err, "cpe")
	c.gateway.countRefusal(c, nil, r)
	c.writeRefusal(r, false)
}

// isRefused tells what was read and refused from what the network did.
func isRefused(err error) bool {
	var he *h1.Error
	return errors.As(err, &he)
}

// cut ends the connection from another goroutine, at once: below TLS, whose own
// Close waits for a peer that does not read.
func (c *conn) cut() {
	if t, ok := c.net.(*tls.Conn); ok {
		t.NetConn().Close()
		return
	}
	c.net.Close()
}

func (c *conn) close() {
	c.dropFileLease()
	c.h1.Close()
	c.gateway.sessions.closed(c)
	c.gateway.closed(c)
}

// facts is what the first record of a session says of its connection.
func (c *conn) facts() *audit.Connection {
	f := &audit.Connection{Peer: c.peer, Listener: c.listener.name}
	if c.tls == nil {
		return f
	}
	f.TLS, f.Cipher, f.SNI = versionName(c.tls.Version), c.gateway.cipherName(c.tls.CipherSuite), c.tls.ServerName
	if c.certificate != "" {
		cert := c.shown.Chains[0][0]
		f.Certificate = &audit.Certificate{
			Subject: cert.Subject.String(), Serial: cert.SerialNumber.Text(16), SHA256: c.certificate, NotAfter: cert.NotAfter.UTC(),
		}
	}
	return f
}

// sni is the name that the CPE sent in its handshake, or "".
func (c *conn) sni() string {
	if c.tls == nil {
		return ""
	}
	return c.tls.ServerName
}

// judge tells what the CPE has shown of itself to a tenant.
func (c *conn) judge(t *tenant) (*certs.Shown, error) {
	trust := t.clients
	if trust == nil && c.listener.tls != nil {
		trust = c.listener.tls.Own()
	}
	if trust == nil {
		return nil, nil
	}
	shown, err := trust.Judge(c.shown)
	var refused *certs.Refusal
	if errors.As(err, &refused) {
		r := refuse(403, refused.Reason, "tenant %s: %v", t.name, err)
		r.security, r.claimed = true, refused.Subject
		return nil, r
	}
	return shown, err
}

// versionName is "1.2" and the like.
func versionName(v uint16) string { return strings.TrimPrefix(tls.VersionName(v), "TLS ") }

// cipherName is tls.CipherSuiteName, which makes its list anew at each call.
func (g *Gateway) cipherName(id uint16) string {
	if name, ok := g.ciphers.Load(id); ok {
		return name.(string)
	}
	name := tls.CipherSuiteName(id)
	g.ciphers.Store(id, name)
	return name
}

func addrPortOf(a net.Addr) netip.AddrPort {
	t, ok := a.(*net.TCPAddr)
	if !ok {
		return netip.AddrPort{}
	}
	ip, _ := netip.AddrFromSlice(t.IP)
	return netip.AddrPortFrom(ip.Unmap(), uint16(t.Port))
}

// prefixOf is the source prefix that binds a session and that limits count by.
func (g *Gateway) prefixOf(a netip.Addr) netip.Prefix {
	bits := g.cfg.SourcePrefix.IPv6
	if a.Is4() {
		bits = g.cfg.SourcePrefix.IPv4
	}
	p, err := a.Prefix(bits)
	if err != nil {
		return netip.PrefixFrom(a, a.BitLen())
	}
	return p
}
