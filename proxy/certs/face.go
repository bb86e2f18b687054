package certs

import (
	"crypto/tls"
	"slices"
	"strings"
)

// Behind is a tenant that requests of a listener may be for.
type Behind struct {
	SNI     []string // names that its CPEs send, in lower case; none: any, or no name
	Clients *Clients // that it asks of them; nil: what the listener says
}

func (b *Behind) has(name string) bool { return len(b.SNI) == 0 || slices.Contains(b.SNI, name) }

// faces makes a Server for each set of tenants that a name leads to, which is
// not the one that is met without a name. Each asks for its own tenants'
// certificates and has ticket keys of its own, so that a session begun for one
// set is none of another's.
func (s *Server) faces(tenants []Behind) map[string]*Server {
	of, bySet := map[string]*Server{}, map[string]*Server{}
	for _, t := range tenants {
		for _, name := range t.SNI {
			set := setFor(name, tenants)
			if bySet[set] == nil {
				bySet[set] = &Server{cfg: s.cfg, acme: s.acme, log: s.log, now: s.now}
				bySet[set].ask(clientsFor(name, tenants))
			}
			of[name] = bySet[set]
		}
	}
	return of
}

// setFor names the set of tenants that a name leads to.
func setFor(name string, tenants []Behind) string {
	set := make([]byte, len(tenants))
	for i := range tenants {
		if set[i] = '-'; tenants[i].has(name) {
			set[i] = '+'
		}
	}
	return string(set)
}

// clientsFor is what the tenants ask that a name leads to.
func clientsFor(name string, tenants []Behind) (list []*Clients) {
	for i := range tenants {
		if tenants[i].has(name) {
			list = append(list, tenants[i].Clients)
		}
	}
	return list
}

// each calls do for every face once.
func (s *Server) each(do func(*Server)) {
	done := map[*Server]bool{}
	for _, f := range s.bySNI {
		if !done[f] {
			done[f] = true
			do(f)
		}
	}
}

// byName has a connection go on as the face for the name that the CPE sends.
func (s *Server) byName(peer *Peer) *tls.Config {
	cfg := s.configFor(peer).Clone()
	cfg.GetConfigForClient = func(hello *tls.ClientHelloInfo) (*tls.Config, error) {
		face := s.bySNI[strings.ToLower(hello.ServerName)]
		if face == nil {
			face = s
		}
		own := face.configFor(peer)
		if s.acme != nil && IsChallenge(hello.SupportedProtos) {
			own = own.Clone()
			own.ClientAuth = tls.NoClientCert
		}
		return own, nil
	}
	return cfg
}
