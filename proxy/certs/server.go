package certs

import (
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"fmt"
	"net"
	"path/filepath"
	"time"

	"github.com/rs/zerolog"
)

// Server is the TLS of one listener.
type Server struct {
	config  *tls.Config
	clients *authorities // nil: CPEs are asked for no certificate
}

// New reads the certificates and authorities of c, or makes the self-signed one.
func New(c Config, log zerolog.Logger) (*Server, error) {
	s := &Server{config: &tls.Config{
		MinVersion: tls.VersionTLS12,
		NextProtos: []string{"http/1.1"},
		// One record carries a message whole: CPEs gain nothing from small ones.
		DynamicRecordSizingDisabled: true,
	}}
	if err := s.serve(c, log); err != nil {
		return nil, err
	}
	if c.Clients.Mode == ModeOff {
		return s, nil
	}
	var err error
	if s.clients, err = readAuthorities(c.Clients.Authorities); err != nil {
		return nil, fmt.Errorf("client_certificates: %w", err)
	}
	s.config.ClientCAs = s.clients.pool
	// Not one of the kinds that verify: they do not judge resumed sessions.
	s.config.ClientAuth = tls.RequestClientCert
	if c.Clients.Mode == ModeRequired {
		s.config.ClientAuth = tls.RequireAnyClientCert
	}
	return s, nil
}

// serve loads the certificates to show.
func (s *Server) serve(c Config, log zerolog.Logger) error {
	for _, f := range c.Certificates {
		cert, err := tls.LoadX509KeyPair(string(f.Certificate), string(f.Key))
		if err != nil {
			return fmt.Errorf("load certificate %s with key %s: %w", f.Certificate, f.Key, err)
		}
		if left := time.Until(cert.Leaf.NotAfter); left < 14*24*time.Hour {
			log.Warn().Str("certificate", string(f.Certificate)).Time("not_after", cert.Leaf.NotAfter).Msg("certificate ends soon or has ended")
		}
		s.config.Certificates = append(s.config.Certificates, cert)
	}
	if len(s.config.Certificates) > 0 {
		return nil
	}
	cert, err := selfSigned(c.SelfSigned)
	if err != nil {
		return err
	}
	sum := sha256.Sum256(cert.Certificate[0])
	log.Info().Str("certificate", filepath.Join(string(c.SelfSigned.Directory), certName)).Str("sha256", hex.EncodeToString(sum[:])).
		Msg("serving a self-signed certificate: for a first run only")
	s.config.Certificates = append(s.config.Certificates, cert)
	return nil
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
	if s.clients == nil {
		return tls.Server(c, s.config), peer
	}
	cfg := s.config.Clone()
	cfg.VerifyConnection = func(state tls.ConnectionState) (err error) {
		if len(state.PeerCertificates) > 0 {
			peer.Chains, err = s.clients.verify(state.PeerCertificates, time.Now())
		}
		return err
	}
	return tls.Server(c, cfg), peer
}
