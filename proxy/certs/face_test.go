package certs

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"testing"

	"github.com/rs/zerolog"
)

// TestNamesLeadToTenants: the name that a CPE sends says whose certificates the
// handshake asks for, and a session of one name's tenants is none of another's.
func TestNamesLeadToTenants(t *testing.T) {
	north, south := issue(t, "north", nil, isCA), issue(t, "south", nil, isCA)
	c := firstRun(t.TempDir())
	c.Clients = Clients{Mode: ModeOff}
	s, err := New(c, []Behind{
		{SNI: []string{"north.example.com", "nord.example.com"}, Clients: &Clients{Mode: ModeRequired, Authorities: []Authority{{File: file(t, north)}}}},
		{SNI: []string{"south.example.com"}, Clients: &Clients{Mode: ModeOptional, Authorities: []Authority{{File: file(t, south)}}}},
		{SNI: []string{"open.example.com"}},
	}, nil, zerolog.Nop())
	if err != nil {
		t.Fatal(err)
	}
	ofNorth, ofSouth := issue(t, "device", north, nil), issue(t, "device", south, nil)
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		for _, c := range []struct {
			name, reason string
			shown        *holder
			chains       int
		}{
			{"north.example.com", "", ofNorth, 1},
			{"NORTH.example.com", "", ofNorth, 1},
			{"nord.example.com", "", ofNorth, 1},
			{"north.example.com", reasonUnknownAuthority, ofSouth, 0},
			{"north.example.com", reasonMissing, nil, 0},
			{"south.example.com", "", ofSouth, 1},
			{"south.example.com", "", nil, 0},
			{"south.example.com", reasonUnknownAuthority, ofNorth, 0},
			{"open.example.com", "", ofNorth, 0}, // not asked for one
			{"nobody.example.com", "", ofNorth, 0},
			{"", "", ofNorth, 0},
		} {
			cfg := client(nil)
			cfg.ServerName, cfg.MaxVersion = c.name, version
			if c.shown != nil {
				shown := c.shown.tls()
				cfg.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &shown[0], nil }
			}
			peer, _, err := try(t, s, cfg)
			if err != nil {
				if got := FailureReason(err); got != c.reason {
					t.Errorf("%s %q: want %q, got %v", tls.VersionName(version), c.name, c.reason, err)
				}
			} else if c.reason != "" || len(peer.Chains) != c.chains {
				t.Errorf("%s %q: %d chains, want %d, or %q", tls.VersionName(version), c.name, len(peer.Chains), c.chains, c.reason)
			}
		}
	}
}

// carried gives every name the same session: what a thief of tickets, or a CPE
// with two names, would do.
type carried struct{ tls.ClientSessionCache }

func (c carried) Get(string) (*tls.ClientSessionState, bool)  { return c.ClientSessionCache.Get("") }
func (c carried) Put(_ string, state *tls.ClientSessionState) { c.ClientSessionCache.Put("", state) }

func TestTicketsOfNames(t *testing.T) {
	ca := issue(t, "ca", nil, isCA)
	trusting := func() *Clients {
		return &Clients{Mode: ModeRequired, Authorities: []Authority{{File: file(t, ca)}}}
	}
	s, err := New(firstRun(t.TempDir()), []Behind{
		{SNI: []string{"north.example.com", "nord.example.com"}, Clients: trusting()},
		{SNI: []string{"south.example.com"}, Clients: trusting()}, // the same authority: only tickets tell them apart
		{Clients: trusting()},
	}, nil, zerolog.Nop())
	if err != nil {
		t.Fatal(err)
	}
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		for _, c := range []struct {
			name    string
			resumes bool
		}{{"north.example.com", true}, {"nord.example.com", true}, {"south.example.com", false}, {"other.example.com", false}} {
			cfg := client(issue(t, "device", ca, nil).tls())
			cfg.MaxVersion, cfg.ServerName, cfg.ClientSessionCache = version, "north.example.com", carried{tls.NewLRUClientSessionCache(1)}
			if _, _, err := try(t, s, cfg); err != nil {
				t.Fatal(err)
			}
			cfg.ServerName = c.name
			_, state, err := try(t, s, cfg)
			if err != nil || state.DidResume != c.resumes {
				t.Errorf("%s to %s: resumed %v, %v", tls.VersionName(version), c.name, state.DidResume, err)
			}
		}
		// What has changed since holds for the resumed session of a name, too.
		cfg := client(issue(t, "device", ca, nil).tls())
		cfg.MaxVersion, cfg.ServerName, cfg.ClientSessionCache = version, "north.example.com", tls.NewLRUClientSessionCache(1)
		if _, _, err := try(t, s, cfg); err != nil {
			t.Fatal(err)
		}
		face := s.bySNI["north.example.com"]
		before := face.inForce.Load()
		changed, empty := *before, *before.clients.authorities
		empty.pool, empty.of = x509.NewCertPool(), nil
		changed.clients = &trusted{&empty, before.clients.files}
		face.put(changed)
		_, state, err := try(t, s, cfg)
		var refused *Refusal
		if !state.DidResume || !errors.As(err, &refused) || refused.Reason != reasonUnknownAuthority {
			t.Errorf("%s, authority removed: resumed %v, %v", tls.VersionName(version), state.DidResume, err)
		}
		face.put(*before)
	}
}
