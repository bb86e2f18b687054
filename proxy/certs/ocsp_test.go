package certs

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"math/big"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/crypto/ocsp"

	"github.com/cwmpgate/cwmpgate/configs"
)

// oracle is an OCSP responder that says what it is told to.
type oracle struct {
	url     configs.URL
	says    atomic.Pointer[func(q *ocsp.Request) []byte]
	asked   atomic.Int64
	silence chan struct{}
}

func newOracle(t *testing.T) *oracle {
	o := &oracle{silence: make(chan struct{})}
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		o.asked.Add(1)
		text, err := io.ReadAll(r.Body)
		if err != nil {
			return
		}
		q, err := ocsp.ParseRequest(text)
		if err != nil || r.Header.Get("Content-Type") != "application/ocsp-request" {
			w.WriteHeader(400)
			return
		}
		w.Write((*o.says.Load())(q))
	}))
	t.Cleanup(func() {
		close(o.silence)
		s.Close()
	})
	if err := o.url.UnmarshalText([]byte(s.URL)); err != nil {
		t.Fatal(err)
	}
	return o
}

func (o *oracle) say(f func(q *ocsp.Request) []byte) { o.says.Store(&f) }

// signed is an answer by a certificate of issuer's.
func signed(t *testing.T, issuer, by *holder, form ocsp.Response) func(q *ocsp.Request) []byte {
	return func(q *ocsp.Request) []byte {
		if form.SerialNumber == nil {
			form.SerialNumber = q.SerialNumber
		}
		if form.ThisUpdate.IsZero() {
			form.ThisUpdate, form.NextUpdate = time.Now().Add(-time.Minute), time.Now().Add(time.Hour)
		}
		if by != issuer {
			form.Certificate = by.cert
		}
		text, err := ocsp.CreateResponse(issuer.cert, by.cert, form, by.key)
		if err != nil {
			t.Error(err)
		}
		return text
	}
}

func askedOf(o *oracle, unknown string) *OCSP {
	c := &OCSP{}
	c.SetDefaults()
	c.URL, c.Unknown, c.Timeout = o.url, unknown, configs.Duration(300*time.Millisecond)
	return c
}

// TestOCSP: what a responder says of a certificate holds in the handshake, for
// as long as it says; what it cannot say, or nobody may believe, is as if it were
// not said.
func TestOCSP(t *testing.T) {
	root := issue(t, "root", nil, isCA)
	other := issue(t, "root", nil, isCA) // of the same name
	device := issue(t, "device", root, nil)
	responder := issue(t, "responder", root, func(c *x509.Certificate) { c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageOCSPSigning} })
	forged := issue(t, "responder", other, func(c *x509.Certificate) { c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageOCSPSigning} })
	late := issue(t, "responder", root, func(c *x509.Certificate) {
		c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageOCSPSigning}
		c.NotAfter = time.Now().Add(-time.Minute)
	})
	o := newOracle(t)
	good, revoked := ocsp.Response{Status: ocsp.Good}, ocsp.Response{Status: ocsp.Revoked, RevokedAt: time.Now()}
	of := func(r ocsp.Response, this, next time.Duration) ocsp.Response {
		r.ThisUpdate = time.Now().Add(this)
		if next != 0 {
			r.NextUpdate = time.Now().Add(next)
		}
		return r
	}
	another := good
	another.SerialNumber = big.NewInt(4711)
	for _, x := range []struct {
		name string
		says func(q *ocsp.Request) []byte
		want string // by who refuses what is not known
	}{
		{"good", signed(t, root, root, good), ""},
		{"good, by a responder of the authority's", signed(t, root, responder, good), ""},
		{"revoked", signed(t, root, root, revoked), reasonRevoked},
		{"revoked, by a responder", signed(t, root, responder, revoked), reasonRevoked},
		{"unknown", signed(t, root, root, ocsp.Response{Status: ocsp.Unknown}), reasonStaleCRL},
		{"by another authority of the same name", signed(t, root, other, good), reasonStaleCRL},
		{"by a responder of that", signed(t, root, forged, good), reasonStaleCRL},
		{"by a certificate that is not for it", signed(t, root, device, good), reasonStaleCRL},
		{"by one that has ended", signed(t, root, late, good), reasonStaleCRL},
		{"of another certificate", signed(t, root, root, another), reasonStaleCRL},
		{"over", signed(t, root, root, of(good, -2*time.Hour, -time.Hour)), reasonStaleCRL},
		{"to come", signed(t, root, root, of(good, time.Hour, 2*time.Hour)), reasonStaleCRL},
		{"old, without an end", signed(t, root, root, of(good, -25*time.Hour, 0)), reasonStaleCRL},
		{"young, without an end", signed(t, root, root, of(good, -time.Hour, 0)), ""},
		{"try later", func(*ocsp.Request) []byte { return ocsp.TryLaterErrorResponse }, reasonStaleCRL},
		{"garbage", func(*ocsp.Request) []byte { return []byte("<html>") }, reasonStaleCRL},
		{"endless", func(*ocsp.Request) []byte { return make([]byte, maxAnswer+1) }, reasonStaleCRL},
		{"silence", func(*ocsp.Request) []byte { <-o.silence; return nil }, reasonStaleCRL},
	} {
		t.Run(x.name, func(t *testing.T) {
			if x.name == "silence" && o.asked.Load() == 0 {
				t.Fatal("nobody was asked before")
			}
			o.say(x.says)
			for unknown, want := range map[string]string{StaleRefuse: x.want, StaleAccept: x.want} {
				if unknown == StaleAccept && want == reasonStaleCRL {
					want = ""
				}
				clients := Clients{Mode: ModeRequired, Authorities: []Authority{{File: file(t, root), OCSP: askedOf(o, unknown)}}}
				s := serverOf(t, clients)
				for range 2 {
					_, _, err := try(t, s, &tls.Config{InsecureSkipVerify: true, Certificates: device.tls()})
					var refused *Refusal
					if want == "" && err != nil || want != "" && (!errors.As(err, &refused) || refused.Reason != want) {
						t.Errorf("%s where it is not known: %v, want %q", unknown, err, want)
					}
				}
				if asked, failed := clients.Authorities[0].OCSP.Questions(); asked != 1 || (failed == 1) != (x.want == reasonStaleCRL && x.name != "unknown") {
					t.Errorf("asked %d times, %d in vain", asked, failed)
				}
			}
		})
	}
}

// TestOCSPAgain: who is revoked later does not resume, in either version of TLS,
// nor go on over a connection that is open; an answer that is over is asked anew.
func TestOCSPAgain(t *testing.T) {
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		root := issue(t, "root", nil, isCA)
		device := issue(t, "device", root, nil)
		o := newOracle(t)
		o.say(signed(t, root, root, ocsp.Response{Status: ocsp.Good}))
		c := askedOf(o, StaleRefuse)
		c.Fresh = configs.Duration(time.Minute)
		s := serverOf(t, Clients{Mode: ModeRequired, Authorities: []Authority{{File: file(t, root), OCSP: c}}})
		now := time.Now()
		s.now = func() time.Time { return now }
		s.own.now = s.now
		client := &tls.Config{ServerName: "acs", InsecureSkipVerify: true, Certificates: device.tls(), MinVersion: version, MaxVersion: version, ClientSessionCache: tls.NewLRUClientSessionCache(4)}
		peer, _, err := try(t, s, client)
		if err != nil {
			t.Fatal(err)
		}
		o.say(signed(t, root, root, ocsp.Response{Status: ocsp.Revoked, RevokedAt: time.Now()}))
		if _, state, err := try(t, s, client); err != nil || !state.DidResume {
			t.Errorf("as long as the answer holds: resumed %t, %v", state.DidResume, err)
		}
		now = now.Add(2 * time.Minute)
		// A request of the connection that is open has it asked, and waits for nothing.
		until := time.Now().Add(10 * time.Second)
		for {
			var refused *Refusal
			if _, err := s.own.Judge(peer); errors.As(err, &refused) && refused.Reason == reasonRevoked {
				break
			} else if err != nil || time.Now().After(until) {
				t.Fatalf("over the open connection: %v", err)
			}
		}
		_, _, err = try(t, s, client)
		var refused *Refusal
		if !errors.As(err, &refused) || refused.Reason != reasonRevoked {
			t.Errorf("resumed: %v", err)
		}
	}
}

// TestOCSPFlood: however many handshakes wait for a responder that is silent, no
// more questions than may be are under way, and one for each certificate.
func TestOCSPFlood(t *testing.T) {
	root := issue(t, "root", nil, isCA)
	var under, most atomic.Int64
	silent := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		most.Store(max(most.Load(), under.Add(1)))
		defer under.Add(-1)
		io.Copy(io.Discard, r.Body) // only then the server looks whether the client has gone
		<-r.Context().Done()
	}))
	defer silent.Close()
	o := &oracle{}
	if err := o.url.UnmarshalText([]byte(silent.URL)); err != nil {
		t.Fatal(err)
	}
	c := askedOf(o, StaleRefuse)
	ended := make(chan string)
	const devices, each = 40, 3
	for range devices {
		device := issue(t, "device", root, nil)
		for range each {
			go func() { ended <- c.judge(device.cert, root.cert, time.Now(), true) }()
		}
	}
	for range devices * each {
		if reason := <-ended; reason != reasonStaleCRL {
			t.Errorf("%q", reason)
		}
	}
	// Who has gone may still be counted when the next one comes.
	if asked, failed := c.Questions(); asked < devices || asked > devices*each || failed != asked || most.Load() > 2*questionsAtOnce {
		t.Errorf("%d questions, %d in vain, %d at once", asked, failed, most.Load())
	}
}
