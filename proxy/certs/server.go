package certs

import (
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"fmt"
	"net"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"github.com/rs/zerolog"

	"github.com/cwmpgate/cwmpgate/configs"
)

// Server is the TLS of one listener.
type Server struct {
	cfg   Config
	mode  string             // of the handshake
	own   *Trust             // of tenants that say nothing of their own
	union []Authority        // of all tenants
	bySNI map[string]*Server // faces for names that tenants are chosen by; their own is empty
	acme  Source             // of certificates, where cfg.ACME has names
	log   zerolog.Logger
	now   func() time.Time

	mu      sync.Mutex // of who changes what is in force
	inForce atomic.Pointer[force]
}

// force is what new connections begin with. It is never changed, only replaced.
type force struct {
	tls        *tls.Config
	shown      []tls.Certificate
	shownFiles *files
	clients    *trusted // nil: CPEs are asked for no certificate
	tickets    tickets
}

// New reads the certificates and authorities of c, or makes the self-signed one.
// tenants are those behind the listener. The handshake knows of the CPE only the
// name that it sends: of the tenants that it leads to, a certificate of any will
// do until the request says which is meant. acme is needed where c.ACME has names.
func New(c Config, tenants []Behind, acme Source, log zerolog.Logger) (*Server, error) {
	s := &Server{cfg: c, log: log, now: time.Now, acme: acme}
	s.ask(clientsFor("", tenants))
	s.bySNI = s.faces(tenants)
	var err error
	if s.own, err = NewTrust(c.Clients); err != nil {
		return nil, fmt.Errorf("client_certificates: %w", err)
	}
	_, err = s.Reload()
	return s, err
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

// Reload reads all files anew, and tells whether anything is other than before.
// New connections begin with it; those that are open go on. After an error of a
// file what was read before holds.
func (s *Server) Reload() (changed bool, err error) {
	changed, err = s.reload()
	s.each(func(face *Server) {
		also, faceErr := face.reload()
		changed, err = changed || also, errors.Join(err, faceErr)
	})
	return changed, err
}

func (s *Server) reload() (changed bool, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	next := force{}
	if before := s.inForce.Load(); before != nil {
		next = *before
	}
	own, ownErr := false, error(nil)
	if s.own != nil {
		own, ownErr = s.own.Reload()
	}
	shown, shownErr := s.reloadShown(&next)
	clients, clientsErr := s.reloadClients(&next)
	if next.tls == nil && (shownErr != nil || clientsErr != nil) {
		return false, errors.Join(shownErr, clientsErr)
	}
	if clients {
		// Sessions that were begun by other rules are not resumed.
		next.tickets = tickets{}
	}
	if clients || next.tickets.keys == nil {
		next.tickets = next.tickets.next(s.now())
	}
	if shown || clients {
		s.put(next)
	}
	return own || shown || clients, errors.Join(ownErr, shownErr, clientsErr)
}

func (s *Server) reloadShown(next *force) (changed bool, err error) {
	if len(s.cfg.ACME) > 0 {
		return next.tls == nil, nil
	}
	if len(s.cfg.Certificates) == 0 {
		if next.shown != nil {
			return false, nil
		}
		cert, err := s.selfSigned()
		next.shown = []tls.Certificate{cert}
		return true, err
	}
	var names []configs.Path
	for _, f := range s.cfg.Certificates {
		names = append(names, f.Certificate, f.Key)
	}
	f, err := readFiles(names, nil)
	if err != nil {
		return false, fmt.Errorf("read certificates: %w", err)
	}
	if next.shownFiles != nil && next.shownFiles.sum == f.sum {
		return false, nil
	}
	list, err := s.parseShown(f)
	if err != nil {
		return false, err
	}
	next.shown, next.shownFiles = list, f
	return true, nil
}

func (s *Server) reloadClients(next *force) (changed bool, err error) {
	if s.mode == ModeOff {
		return false, nil
	}
	f, err := readAuthorities(s.union)
	if err != nil {
		return false, err
	}
	if next.clients != nil && next.clients.files.sum == f.sum {
		return false, nil
	}
	a, err := newAuthorities(s.union, f)
	if err != nil {
		return false, err
	}
	next.clients = &trusted{a, f}
	return true, nil
}

// put has new connections begin with f.
func (s *Server) put(f force) {
	p := s.cfg.profile()
	f.tls = &tls.Config{
		Certificates: f.shown,
		MinVersion:   p.version,
		CipherSuites: p.suites,
		NextProtos:   []string{"http/1.1"},
		// One record carries a message whole: CPEs gain nothing from small ones.
		DynamicRecordSizingDisabled: true,
	}
	if len(f.shown) > 1 {
		// Package tls asks for one only where it has none.
		f.tls.Certificates, f.tls.GetCertificate = nil, newShelf(f.shown).choose
	}
	if len(s.cfg.ACME) > 0 {
		f.tls.NextProtos = append(f.tls.NextProtos, ChallengeProtocol)
		f.tls.GetCertificate = func(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
			return s.acme.Certificate(hello, s.cfg.ACME)
		}
	}
	if f.clients != nil {
		f.tls.ClientCAs = f.clients.pool
		// Not one of the kinds that verify: they do not judge resumed sessions.
		f.tls.ClientAuth = tls.RequestClientCert
		if s.mode == ModeRequired {
			f.tls.ClientAuth = tls.RequireAnyClientCert
		}
	}
	f.tls.SetSessionTicketKeys(f.tickets.keys)
	s.inForce.Store(&f)
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
		next := *f
		next.tickets = f.tickets.next(now)
		s.put(next)
	}
	return s.inForce.Load()
}

// parseShown makes the certificates to show of files that were read.
func (s *Server) parseShown(files *files) (list []tls.Certificate, err error) {
	hasRSA := false
	for _, f := range s.cfg.Certificates {
		cert, err := tls.X509KeyPair(files.texts[f.Certificate], files.texts[f.Key])
		if err != nil {
			return nil, fmt.Errorf("load certificate %s with key %s: %w", f.Certificate, f.Key, err)
		}
		hasRSA = hasRSA || cert.Leaf.PublicKeyAlgorithm == x509.RSA
		list = append(list, cert)
	}
	if s.cfg.needsRSA() && !hasRSA {
		s.log.Info().Str("profile", s.cfg.Profile).Msg("no RSA certificate is served: CPEs that know only RSA key exchange cannot connect (docs/tls.md)")
	}
	return list, nil
}

func (s *Server) selfSigned() (tls.Certificate, error) {
	cert, err := selfSigned(s.cfg.SelfSigned)
	if err != nil {
		return cert, err
	}
	sum := sha256.Sum256(cert.Certificate[0])
	s.log.Info().Str("certificate", filepath.Join(string(s.cfg.SelfSigned.Directory), certName)).Str("sha256", hex.EncodeToString(sum[:])).
		Msg("serving a self-signed certificate: for a first run only")
	return cert, nil
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
	if len(s.bySNI) > 0 {
		return tls.Server(c, s.byName(peer)), peer
	}
	return tls.Server(c, s.configFor(peer)), peer
}

// configFor is what a connection begins with, and fills peer in.
func (s *Server) configFor(peer *Peer) *tls.Config {
	f := s.current()
	if f.clients == nil {
		return f.tls
	}
	cfg := f.tls.Clone()
	if s.acme != nil {
		cfg.GetConfigForClient = unasked(f.tls)
	}
	cfg.VerifyConnection = func(state tls.ConnectionState) (err error) {
		// By what is in force now, which is not what the connection began with.
		if now := s.inForce.Load(); len(state.PeerCertificates) > 0 {
			peer.Chains, err = now.clients.verify(state.PeerCertificates, s.now())
		}
		return err
	}
	return cfg
}
