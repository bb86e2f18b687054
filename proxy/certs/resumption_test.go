package certs

import (
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"math/big"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"github.com/cwmpgate/cwmpgate/configs"
)

// revoke writes by's revocation list of some certificates.
func revoke(t testing.TB, name configs.Path, by *holder, next time.Time, revoked ...*holder) {
	t.Helper()
	list := &x509.RevocationList{Number: big.NewInt(time.Now().UnixNano()), ThisUpdate: time.Now().Add(-time.Hour), NextUpdate: next}
	for _, r := range revoked {
		list.RevokedCertificateEntries = append(list.RevokedCertificateEntries, x509.RevocationListEntry{SerialNumber: r.cert.SerialNumber, RevocationTime: time.Now()})
	}
	der, err := x509.CreateRevocationList(rand.Reader, list, by.cert, by.key)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(string(name), pem.EncodeToMemory(&pem.Block{Type: "X509 CRL", Bytes: der}), 0o600); err != nil {
		t.Fatal(err)
	}
}

func serverOf(t testing.TB, clients Clients, tenants ...*Clients) *Server {
	t.Helper()
	c := firstRun(t.TempDir())
	c.Clients = clients
	if len(tenants) == 0 {
		tenants = []*Clients{nil}
	}
	var behind []Behind
	for _, t := range tenants {
		behind = append(behind, Behind{Clients: t})
	}
	s, err := New(c, behind, nil, zerolog.Nop())
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// TestResumptionIsChecked: who got a full handshake by rules that hold no more
// does not come in by resuming it.
func TestResumptionIsChecked(t *testing.T) {
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		for _, c := range []struct {
			name    string
			change  func(t *testing.T, w *world)
			resumes bool // the ticket is still taken, so that only the check refuses
			reason  string
		}{
			{"nothing has changed", func(*testing.T, *world) {}, true, ""},
			{"revoked", func(t *testing.T, w *world) {
				revoke(t, w.lists[1], w.between, time.Now().Add(time.Hour), w.device)
				w.reload(t)
			}, false, reasonRevoked},
			{"revoked, and the ticket's key is still known", func(t *testing.T, w *world) {
				revoke(t, w.lists[1], w.between, time.Now().Add(time.Hour), w.device)
				w.keepingTickets(t)
			}, true, reasonRevoked},
			{"one above it revoked", func(t *testing.T, w *world) {
				revoke(t, w.lists[0], w.root, time.Now().Add(time.Hour), w.between)
				w.keepingTickets(t)
			}, true, reasonRevoked},
			{"authority removed", func(t *testing.T, w *world) {
				w.trustOther(t)
				w.reload(t)
			}, false, reasonUnknownAuthority},
			{"authority removed, and the ticket's key is still known", func(t *testing.T, w *world) {
				w.trustOther(t)
				w.keepingTickets(t)
			}, true, reasonUnknownAuthority},
			{"expired", func(_ *testing.T, w *world) {
				w.server.now = func() time.Time { return w.device.cert.NotAfter.Add(time.Second) }
			}, true, reasonExpired},
			{"one above it expired", func(_ *testing.T, w *world) {
				w.server.now = func() time.Time { return w.between.cert.NotAfter.Add(time.Second) }
			}, true, reasonExpired},
			{"the list has become stale", func(_ *testing.T, w *world) {
				w.server.now = func() time.Time { return time.Now().Add(15 * time.Minute) }
			}, true, reasonStaleCRL},
			{"its key is pinned no more", func(_ *testing.T, w *world) {
				// As a restart with another config, had it kept the tickets.
				pinned := *w.server.inForce.Load()
				holds := *pinned.clients.authorities
				holds.of = map[string][]entry{}
				for der := range pinned.clients.of {
					holds.of[der] = []entry{{pins: []pin{pinOf(w.other.cert)}}}
				}
				pinned.clients = &trusted{&holds, pinned.clients.files}
				w.server.put(pinned)
			}, true, reasonPin},
			{"another listener's", func(t *testing.T, w *world) {
				w.server = serverOf(t, Clients{Mode: ModeRequired, Authorities: []Authority{{File: file(t, w.other)}}})
			}, false, reasonUnknownAuthority},
		} {
			t.Run(tls.VersionName(version)+", "+c.name, func(t *testing.T) {
				w := newWorld(t)
				cfg := client(nil)
				shown := w.device.tls(w.between)
				cfg.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &shown[0], nil }
				cfg.MaxVersion, cfg.ServerName, cfg.ClientSessionCache = version, "cpe.example.com", tls.NewLRUClientSessionCache(1)
				for i, resumed := range []bool{false, true} {
					peer, state, err := try(t, w.server, cfg)
					if err != nil || state.DidResume != resumed || len(peer.Chains) == 0 {
						t.Fatalf("connection %d: resumed %v, %d chains, %v", i+1, state.DidResume, len(peer.Chains), err)
					}
				}
				c.change(t, w)
				peer, state, err := try(t, w.server, cfg)
				var refused *Refusal
				if c.reason == "" && err != nil || c.reason != "" && (!errors.As(err, &refused) || refused.Reason != c.reason || len(peer.Chains) > 0) {
					t.Errorf("want %q, got %v, %d chains", c.reason, err, len(peer.Chains))
				}
				if state.DidResume != c.resumes {
					t.Errorf("resumed %v", state.DidResume)
				}
			})
		}
	}
}

// world is a server that requires certificates by files, and a device.
type world struct {
	server                       *Server
	root, between, other, device *holder
	ca                           configs.Path
	lists                        []configs.Path // root's and between's
}

func newWorld(t *testing.T) *world {
	w := &world{root: issue(t, "root", nil, isCA), other: issue(t, "other", nil, isCA)}
	w.between = issue(t, "between", w.root, func(c *x509.Certificate) {
		isCA(c)
		c.NotAfter = time.Now().Add(50 * time.Minute)
	})
	w.device = issue(t, "device", w.between, func(c *x509.Certificate) { c.NotAfter = time.Now().Add(20 * time.Minute) })
	w.ca = file(t, w.root, w.between)
	for i, by := range []*holder{w.root, w.between} {
		w.lists = append(w.lists, configs.Path(filepath.Join(t.TempDir(), "list.crl")))
		revoke(t, w.lists[i], by, time.Now().Add(10*time.Minute))
	}
	w.server = serverOf(t, Clients{Mode: ModeRequired, Authorities: []Authority{{File: w.ca, CRLs: w.lists, StaleCRL: StaleRefuse}}})
	return w
}

// trustOther puts another authority in the place of both.
func (w *world) trustOther(t *testing.T) {
	t.Helper()
	text, err := os.ReadFile(string(file(t, w.other)))
	if err == nil {
		err = os.WriteFile(string(w.ca), text, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
	for _, list := range w.lists {
		revoke(t, list, w.other, time.Now().Add(time.Hour))
	}
}

func (w *world) reload(t *testing.T) {
	t.Helper()
	if changed, err := w.server.Reload(); err != nil || !changed {
		t.Fatalf("changed %v, %v", changed, err)
	}
}

// keepingTickets reloads without new ticket keys, which a reload never does: it
// shows what the check alone is worth.
func (w *world) keepingTickets(t *testing.T) {
	t.Helper()
	before := w.server.inForce.Load().tickets
	w.reload(t)
	next := *w.server.inForce.Load()
	next.tickets = before
	w.server.put(next)
}

// A ticket of one tenant's device is resumed on a listener of both, and tells
// the other tenant nothing.
func TestResumedAtAnotherTenant(t *testing.T) {
	here, there := issue(t, "here", nil, isCA), issue(t, "there", nil, isCA)
	a := &Clients{Mode: ModeRequired, Authorities: []Authority{{File: file(t, here)}}}
	b := &Clients{Mode: ModeRequired, Authorities: []Authority{{File: file(t, there)}}}
	s := serverOf(t, Clients{Mode: ModeOff}, a, b)
	trustA, errA := NewTrust(*a)
	trustB, errB := NewTrust(*b)
	if errA != nil || errB != nil {
		t.Fatal(errA, errB)
	}
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		cfg := client(issue(t, "device", here, nil).tls())
		cfg.MaxVersion, cfg.ServerName, cfg.ClientSessionCache = version, "cpe.example.com", tls.NewLRUClientSessionCache(1)
		for _, resumed := range []bool{false, true} {
			peer, state, err := try(t, s, cfg)
			if err != nil || state.DidResume != resumed {
				t.Fatalf("resumed %v, %v", state.DidResume, err)
			}
			if shown, err := trustA.Judge(peer); err != nil || shown == nil {
				t.Errorf("its own tenant: %v", err)
			}
			var refused *Refusal
			if _, err := trustB.Judge(peer); !errors.As(err, &refused) || refused.Reason != reasonUnknownAuthority {
				t.Errorf("another tenant: %v", err)
			}
		}
	}
}

func TestTicketKeysChange(t *testing.T) {
	w := newWorld(t)
	cfg := client(nil)
	shown := issue(t, "device", w.root, nil).tls()
	cfg.Certificates, cfg.ServerName, cfg.ClientSessionCache = shown, "cpe.example.com", tls.NewLRUClientSessionCache(1)
	resumes := func(want bool) {
		t.Helper()
		_, state, err := try(t, w.server, cfg)
		if err != nil || state.DidResume != want {
			t.Errorf("resumed %v, %v", state.DidResume, err)
		}
	}
	resumes(false)
	first := w.server.inForce.Load().tickets
	for i := range ticketKeys + 1 {
		next := *w.server.inForce.Load()
		next.tickets.due = time.Now()
		w.server.put(next)
		w.server.current()
		keys := w.server.inForce.Load().tickets.keys
		if keys[0] == first.keys[0] || len(keys) > ticketKeys {
			t.Fatalf("%d keys, the newest old", len(keys))
		}
		known := false
		for _, k := range keys {
			known = known || k == first.keys[0]
		}
		if known != (i < ticketKeys-1) {
			t.Errorf("after %d new keys the first is known: %v", i+1, known)
		}
		if i == 0 {
			resumes(true) // by a ticket of the first key
		}
	}
}
