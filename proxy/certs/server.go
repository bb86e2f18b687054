package certs

import (
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"fmt"
	"net"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"github.com/rs/zerolog"
)

// Server is the TLS of one listener.
type Server struct {
	cfg   Config
	mode  string      // of the handshake
	own   *Trust      // of tenants that say nothing of their own
	union []Authority // of all tenants
	log   zerolog.Logger
	now   func() time.Time

	mu      sync.Mutex // of who changes what is in force
	inForce atomic.Pointer[force]
}

// force is what new connections begin with. It is never changed, only replaced.
type force struct {
	tls     *tls.Config
	shown   []tls.Certificate
	clients *authorities // nil: CPEs are asked for no certificate
	tickets tickets
}

// New reads the certificates and authorities of c, or makes the self-signed one.
// clients are what the tenants behind the listener ask of CPEs, nil for one that
// leaves it to the listener. In the handshake it is not known yet which of them
// is meant: a certificate of any will do until then.
func New(c Config, clients []*Clients, log zerolog.Logger) (*Server, error) {
	s := &Server{cfg: c, log: log, now: time.Now}
	s.ask(clients)
	var err error
	if s.own, err = NewTrust(c.Clients); err != nil {
		return nil, fmt.Errorf("client_certificates: %w", err)
	}
	shown, err := s.shown()
	if err != nil {
		return nil, err
	}
	var union *authorities
	if s.mode != ModeOff {
		if union, err = readAuthorities(s.union); err != nil {
			return nil, fmt.Errorf("client_certificates: %w", err)
		}
	}
	s.put(shown, union, tickets{}.next(s.now()))
	return s, nil
}

// ask finds what the handshake asks for.
func (s *Server) ask(clients []*Clients) {
	modes := make(map[string]bool)
	for _, c := range clients {
		if c == nil {
			c = &s.cfg.Clients
		}
		modes[c.Mode] = true
		s.union = append(s.union, c.Authorities...)
	}
	switch {
	case len(modes) == 1 && modes[ModeRequired]:
		s.mode = ModeRequired
	case modes[ModeRequired] || modes[ModeOptional]:
		s.mode = ModeOptional
	default:
		s.mode = ModeOff
	}
}

// Own is for tenants that leave it to the listener what CPEs are asked for.
func (s *Server) Own() *Trust { return s.own }

// Profile is the name of the listener's profile.
func (s *Server) Profile() string { return s.cfg.Profile }

// put has new connections begin with these.
func (s *Server) put(shown []tls.Certificate, clients *authorities, t tickets) {
	p := s.cfg.profile()
	cfg := &tls.Config{
		Certificates: shown,
		MinVersion:   p.version,
		CipherSuites: p.suites,
		NextProtos:   []string{"http/1.1"},
		// One record carries a message whole: CPEs gain nothing from small ones.
		DynamicRecordSizingDisabled: true,
	}
	if len(shown) > 1 {
		// Package tls asks for one only where it has none.
		cfg.Certificates, cfg.GetCertificate = nil, newShelf(shown).choose
	}
	if clients != nil {
		cfg.ClientCAs = clients.pool
		// Not one of the kinds that verify: they do not judge resumed sessions.
		cfg.ClientAuth = tls.RequestClientCert
		if s.mode == ModeRequired {
			cfg.ClientAuth = tls.RequireAnyClientCert
		}
	}
	cfg.SetSessionTicketKeys(t.keys)
	s.inForce.Store(&force{cfg, shown, clients, t})
}

// current is what is in force, with a ticket key that is not too old.
func (s *Server) current() *force {
	f, now := s.inForce.Load(), s.now()
	if now.Before(f.tickets.due) {
		return f
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if f = s.inForce.Load(); !now.Before(f.tickets.due) {
		s.put(f.shown, f.clients, f.tickets.next(now))
	}
	return s.inForce.Load()
}

// shown loads the certificates to show.
func (s *Server) shown() (list []tls.Certificate, err error) {
	hasRSA := false
	for _, f := range s.cfg.Certificates {
		cert, err := tls.LoadX509KeyPair(string(f.Certificate), string(f.Key))
		if err != nil {
			return nil, fmt.Errorf("load certificate %s with key %s: %w", f.Certificate, f.Key, err)
		}
		if left := cert.Leaf.NotAfter.Sub(s.now()); left < 14*24*time.Hour {
			s.log.Warn().Str("certificate", string(f.Certificate)).Time("not_after", cert.Leaf.NotAfter).Msg("certificate ends soon or has ended")
		}
		hasRSA = hasRSA || cert.Leaf.PublicKeyAlgorithm == x509.RSA
		list = append(list, cert)
	}
	if len(list) > 0 {
		if s.cfg.needsRSA() && !hasRSA {
			s.log.Info().Str("profile", s.cfg.Profile).Msg("no RSA certificate is served: CPEs that know only RSA key exchange cannot connect (docs/tls.md)")
		}
		return list, nil
	}
	cert, err := selfSigned(s.cfg.SelfSigned)
	if err != nil {
		return nil, err
	}
	sum := sha256.Sum256(cert.Certificate[0])
	s.log.Info().Str("certificate", filepath.Join(string(s.cfg.SelfSigned.Directory), certName)).Str("sha256", hex.EncodeToString(sum[:])).
		Msg("serving a self-signed certificate: for a first run only")
	return []tls.Certificate{cert}, nil
}

// Peer is what a handshake has shown of the CPE.
type Peer struct {
	// Chains lead from the CPE's certificate to authorities; none where it
	// showed no certificate.
	Chains [][]*x509.Certificate
}

// Server is the server's side of TLS over c. Its handshake is the caller's to
// do, and fills peer in.
func (s *Server) Server(c net.Conn) (conn *tls.Conn, peer *Peer) {
	peer = &Peer{}
	f := s.current()
	if f.clients == nil {
		return tls.Server(c, f.tls), peer
	}
	cfg := f.tls.Clone()
	cfg.VerifyConnection = func(state tls.ConnectionState) (err error) {
		// By what is in force now, which is not what the connection began with.
		if now := s.inForce.Load(); len(state.PeerCertificates) > 0 {
			peer.Chains, err = now.clients.verify(state.PeerCertificates, s.now())
		}
		return err
	}
	return tls.Server(c, cfg), peer
}
