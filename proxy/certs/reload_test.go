package certs

import (
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"github.com/cwmpgate/cwmpgate/configs"
)

// TestReload: new connections get what the files hold now; a file that cannot be
// used changes nothing.
func TestReload(t *testing.T) {
	dir := t.TempDir()
	key := newECDSA(t)
	files := writePair(t, dir, 1, key, time.Now().Add(time.Hour))
	c := firstRun("")
	c.Certificates = []Files{files}
	s, err := New(c, []Behind{{}}, nil, zerolog.Nop())
	if err != nil {
		t.Fatal(err)
	}
	serial := func() int64 { return handshake(t, s, client(nil)).SerialNumber.Int64() }
	reload := func(wantChange bool, wantErr string) {
		t.Helper()
		changed, err := s.Reload()
		if changed != wantChange || (err == nil) != (wantErr == "") || err != nil && !strings.Contains(err.Error(), wantErr) {
			t.Errorf("changed %v, %v", changed, err)
		}
	}
	keys := s.inForce.Load().tickets
	reload(false, "")
	writePair(t, dir, 2, key, time.Now().Add(time.Hour))
	reload(true, "")
	if got := serial(); got != 2 {
		t.Errorf("certificate %d is served, not 2", got)
	}
	if s.inForce.Load().tickets.keys[0] != keys.keys[0] {
		t.Error("a new certificate of the gateway's ends the resumption of sessions")
	}
	other := writePair(t, t.TempDir(), 3, newECDSA(t), time.Now().Add(time.Hour))
	text, err := os.ReadFile(string(other.Certificate))
	if err != nil {
		t.Fatal(err)
	}
	os.WriteFile(string(files.Certificate), text, 0o600)
	reload(false, "private key does not match")
	os.Remove(string(files.Certificate))
	reload(false, "no such file")
	if got := serial(); got != 2 {
		t.Errorf("certificate %d is served, not 2", got)
	}
	writePair(t, dir, 4, key, time.Now().Add(time.Hour))
	reload(true, "")
	if got := serial(); got != 4 {
		t.Errorf("certificate %d is served, not 4", got)
	}
}

// TestReloadOfAuthorities: a broken list keeps the last good one in force.
func TestReloadOfAuthorities(t *testing.T) {
	w := newWorld(t)
	trust := w.server.Own()
	cfg := client(w.device.tls(w.between))
	peer, _, err := try(t, w.server, cfg)
	if err != nil {
		t.Fatal(err)
	}
	os.WriteFile(string(w.lists[1]), []byte("broken"), 0o600)
	if changed, err := w.server.Reload(); changed || err == nil {
		t.Errorf("changed %v, %v", changed, err)
	}
	if _, err := trust.Judge(peer); err != nil {
		t.Errorf("an open connection: %v", err)
	}
	revoke(t, w.lists[1], w.between, time.Now().Add(time.Hour), w.device)
	w.reload(t)
	var refused *Refusal
	if _, err := trust.Judge(peer); !errors.As(err, &refused) || refused.Reason != reasonRevoked {
		t.Errorf("a connection that is open since before the revocation: %v", err)
	}
	trust.now = func() time.Time { return w.device.cert.NotAfter.Add(time.Second) }
	if _, err := trust.Judge(peer); !errors.As(err, &refused) || refused.Reason != reasonExpired {
		t.Errorf("a connection that is open since before the certificate's end: %v", err)
	}
}

func TestCRLs(t *testing.T) {
	root := issue(t, "root", nil, isCA)
	other, impostor := issue(t, "other", nil, isCA), issue(t, "root", nil, isCA)
	mute := issue(t, "mute", nil, func(c *x509.Certificate) { isCA(c); c.KeyUsage = x509.KeyUsageCertSign })
	a, b := issue(t, "a", root, nil), issue(t, "b", root, nil)
	cas := []*x509.Certificate{root.cert, mute.cert}
	write := func(by *holder, change func(*x509.RevocationList)) []byte {
		list := &x509.RevocationList{Number: big.NewInt(1), ThisUpdate: time.Now().Add(-time.Hour), NextUpdate: time.Now().Add(time.Hour),
			RevokedCertificateEntries: []x509.RevocationListEntry{{SerialNumber: a.cert.SerialNumber, RevocationTime: time.Now()}}}
		if change != nil {
			change(list)
		}
		issuer := *by.cert
		issuer.KeyUsage |= x509.KeyUsageCRLSign
		der, err := x509.CreateRevocationList(rand.Reader, list, &issuer, by.key)
		if err != nil {
			t.Fatal(err)
		}
		return der
	}
	for name, c := range map[string]struct {
		text []byte
		ok   bool
	}{
		"whole":               {write(root, nil), true},
		"of another":          {write(other, nil), false},
		"of an impostor":      {write(impostor, nil), false},
		"of one that may not": {write(mute, nil), false},
		"broken":              {write(root, nil)[1:], false},
		"not one":             {[]byte("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"), false},
		"a delta": {write(root, func(l *x509.RevocationList) {
			l.ExtraExtensions = []pkix.Extension{{Id: oidDeltaCRL, Critical: true, Value: []byte{2, 1, 1}}}
		}), false},
		"indirect": {write(root, func(l *x509.RevocationList) {
			l.RevokedCertificateEntries[0].ExtraExtensions = []pkix.Extension{{Id: oidCertificateIssuer, Critical: true, Value: []byte{48, 0}}}
		}), false},
	} {
		list, err := parseCRL(configs.Path(name), c.text, cas)
		if (err == nil) != c.ok {
			t.Errorf("%s: %v", name, err)
		}
		if c.ok && (list.judge(a.cert, time.Now()) != reasonRevoked || list.judge(b.cert, time.Now()) != "") {
			t.Errorf("%s: names %v, %v", name, list.judge(a.cert, time.Now()), list.judge(b.cert, time.Now()))
		}
	}
	name := configs.Path(filepath.Join(t.TempDir(), "list.crl"))
	revoke(t, name, root, time.Now().Add(-time.Minute), a)
	for stale, want := range map[string]string{StaleRefuse: reasonStaleCRL, StaleAccept: ""} {
		s := serverOf(t, Clients{Mode: ModeRequired, Authorities: []Authority{{File: file(t, root), CRLs: []configs.Path{name}, StaleCRL: stale}}})
		for shown, want := range map[*holder]string{a: reasonRevoked, b: want} {
			_, _, err := try(t, s, &tls.Config{InsecureSkipVerify: true, Certificates: shown.tls()})
			var refused *Refusal
			if want == "" && err != nil || want != "" && (!errors.As(err, &refused) || refused.Reason != want) {
				t.Errorf("stale_crl %s: want %q, got %v", stale, want, err)
			}
		}
	}
}
