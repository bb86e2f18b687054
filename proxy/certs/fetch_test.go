package certs

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"math/big"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"github.com/cwmpgate/cwmpgate/configs"
)

// TestFetchedCRLs: a list that is fetched holds once it has come, stays over a
// start, and is replaced by none that the authority has not signed, that is older,
// or that is not there.
func TestFetchedCRLs(t *testing.T) {
	root, other := issue(t, "root", nil, isCA), issue(t, "root", nil, isCA)
	a, b := issue(t, "a", root, nil), issue(t, "b", root, nil)
	list := func(by *holder, revoked ...*holder) []byte {
		name := filepath.Join(t.TempDir(), "list")
		revoke(t, configs.Path(name), by, time.Now().Add(time.Hour), revoked...)
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		return text
	}
	var published atomic.Pointer[[]byte]
	publish := func(text []byte) { published.Store(&text) }
	publish(nil)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/moved" {
			http.Redirect(w, r, "/list.crl", http.StatusFound)
			return
		}
		text := *published.Load()
		if text == nil {
			w.WriteHeader(404)
		}
		w.Write(text)
	}))
	defer server.Close()
	var l FetchedCRL
	l.SetDefaults()
	if err := l.URL.UnmarshalText([]byte(server.URL + "/moved")); err != nil {
		t.Fatal(err)
	}
	l.File = configs.Path(filepath.Join(t.TempDir(), "kept", "list.crl"))
	for stale, first := range map[string]string{StaleRefuse: reasonStaleCRL, StaleAccept: ""} {
		os.Remove(string(l.File))
		publish(nil)
		clients := Clients{Mode: ModeRequired, Authorities: []Authority{{File: file(t, root), StaleCRL: stale, Fetch: []FetchedCRL{l}}}}
		s := serverOf(t, clients)
		judged := func(when string, h *holder, want string) {
			t.Helper()
			_, _, err := try(t, s, &tls.Config{InsecureSkipVerify: true, Certificates: h.tls()})
			var refused *Refusal
			if want == "" && err != nil || want != "" && (!errors.As(err, &refused) || refused.Reason != want) {
				t.Errorf("%s, with %s: %v, want %q", when, stale, err, want)
			}
		}
		j := NewFetcher([]Clients{clients, clients}).jobs
		if len(j) != 1 {
			t.Fatalf("%d lists are to be fetched", len(j))
		}
		get := func(text []byte, wantChange, ok bool) {
			t.Helper()
			publish(text)
			changed, err := j[0].fetch(t.Context())
			if changed != wantChange || (err == nil) != ok {
				t.Errorf("fetched: changed %t, %v", changed, err)
			}
			if _, err := s.Reload(); err != nil {
				t.Error(err)
			}
		}
		judged("before it has come", a, first)
		get(nil, false, false)
		judged("where it cannot be fetched", a, first)
		get(list(other, a), false, false)
		judged("by another of that name", a, first)
		young := list(root, a)
		get(young, true, true)
		judged("once it has come", a, reasonRevoked)
		judged("once it has come", b, "")
		get(young, false, true)
		get([]byte("<html>"), false, false)
		judged("behind garbage", a, reasonRevoked)
		s = serverOf(t, clients)
		judged("after a start", a, reasonRevoked)
		if wait := j[0].due(time.Now()); wait < 5*time.Minute || wait > 2*time.Hour {
			t.Errorf("it is fetched again in %s", wait)
		}
	}
}

// TestNoOlderList: who keeps an old list cannot put it in the place of a new one.
func TestNoOlderList(t *testing.T) {
	root := issue(t, "root", nil, isCA)
	list := func(ago time.Duration) []byte {
		der, err := x509.CreateRevocationList(rand.Reader, &x509.RevocationList{Number: big.NewInt(1), ThisUpdate: time.Now().Add(-ago), NextUpdate: time.Now().Add(time.Hour)}, root.cert, root.key)
		if err != nil {
			t.Fatal(err)
		}
		return der
	}
	old, young := list(time.Hour), list(time.Minute)
	if err := noOlder("old", old, "young", young); err == nil || !strings.Contains(err.Error(), "already") {
		t.Errorf("an older one: %v", err)
	}
	for _, before := range [][]byte{old, young, nil, []byte("garbage")} {
		if err := noOlder("young", young, "before", before); err != nil {
			t.Error(err)
		}
	}
}

// TestFetcherRuns: what is absent is fetched at once, told, and fetched again
// after a failure; and Run ends.
func TestFetcherRuns(t *testing.T) {
	root := issue(t, "root", nil, isCA)
	name := filepath.Join(t.TempDir(), "list")
	revoke(t, configs.Path(name), root, time.Now().Add(time.Hour))
	text, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { w.Write(text) }))
	defer server.Close()
	var l FetchedCRL
	l.SetDefaults()
	if err := l.URL.UnmarshalText([]byte(server.URL)); err != nil {
		t.Fatal(err)
	}
	l.File = configs.Path(filepath.Join(t.TempDir(), "list.crl"))
	f := NewFetcher([]Clients{{Authorities: []Authority{{File: file(t, root), Fetch: []FetchedCRL{l}}}}})
	told := make(chan bool, 1)
	f.Log, f.Fetched = zerolog.Nop(), func() { told <- true }
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan bool)
	go func() { f.Run(ctx); close(ended) }()
	<-told
	cancel()
	<-ended
	if got, err := os.ReadFile(string(l.File)); err != nil || string(got) != string(text) {
		t.Errorf("%v", err)
	}
	if n, failed := f.Fetches(); n != 1 || failed != 0 {
		t.Errorf("%d fetched, %d failed", n, failed)
	}
}
