package main

import (
	"crypto/rand"
	"crypto/x509"
	"fmt"
	"io"
	"math/big"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/crypto/ocsp"

	"github.com/cwmpgate/cwmpgate/audit"
	"github.com/cwmpgate/cwmpgate/cwmp/cwmptest"
)

// TestRevocationFromElsewhere: a list that is fetched, and a responder that is
// asked, keep out whom they name; both are counted, and it is recorded.
func TestRevocationFromElsewhere(t *testing.T) {
	acs := openACS(t, cwmptest.ACSConfig{})
	dir := t.TempDir()
	a := newAuthority(t, "devices")
	a.write(t, dir, "devices.pem")
	good, listed, told := a.client(t, "00005E-GOOD"), a.client(t, "00005E-LISTED"), a.client(t, "00005E-TOLD")
	list, err := x509.CreateRevocationList(rand.Reader, &x509.RevocationList{
		Number: big.NewInt(1), ThisUpdate: time.Now().Add(-time.Minute), NextUpdate: time.Now().Add(time.Hour),
		RevokedCertificateEntries: []x509.RevocationListEntry{{SerialNumber: listed.Leaf.SerialNumber, RevocationTime: time.Now()}},
	}, a.cert, a.key)
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/list.crl" {
			w.Write(list)
			return
		}
		text, _ := io.ReadAll(r.Body)
		q, err := ocsp.ParseRequest(text)
		if err != nil {
			t.Error(err)
			return
		}
		form := ocsp.Response{Status: ocsp.Good, SerialNumber: q.SerialNumber, ThisUpdate: time.Now(), NextUpdate: time.Now().Add(time.Hour)}
		if q.SerialNumber.Cmp(told.Leaf.SerialNumber) == 0 {
			form.Status, form.RevokedAt = ocsp.Revoked, time.Now()
		}
		answer, err := ocsp.CreateResponse(a.cert, a.cert, form, a.key)
		if err != nil {
			t.Error(err)
		}
		w.Write(answer)
	}))
	defer server.Close()
	r := start(t, plan{acs: acs.Addr(), tls: true, dir: dir, tlsKeys: fmt.Sprintf(
		`client_certificates: {mode: required, authorities: [{file: devices.pem, fetch_crls: [{url: "%s/list.crl", file: fetched/devices.crl}], ocsp: {url: "%[1]s/ocsp"}}]}`, server.URL)})
	await(t, "the list has come", func() bool { return r.metrics()["cwmpgate_crl_fetches_total"] == 1 })
	await(t, "who is good comes in", func() bool { return visit(t, r, "GOOD", good) == nil })
	if visit(t, r, "LISTED", listed) == nil || visit(t, r, "TOLD", told) == nil {
		t.Error("one that was revoked came in")
	}
	m := r.metrics()
	if n := m[`cwmpgate_tls_handshake_failures_total{reason="certificate-revoked"}`]; n != 2 {
		t.Errorf("%v handshakes failed", n)
	}
	if n := m[fmt.Sprintf("cwmpgate_ocsp_questions_total{url=%q}", server.URL+"/ocsp")]; n != 2 || m.sum("cwmpgate_ocsp_failures_total") != 0 {
		t.Errorf("%v questions were asked, %v in vain", n, m.sum("cwmpgate_ocsp_failures_total"))
	}
	r.close()
	refused := 0 // alike ones of a second stand in one record
	for _, s := range ofKind(openArchive(t, r.dir).records(), audit.KindSecurity) {
		if s.Reason == "certificate-revoked" {
			refused += s.Count
		}
	}
	if refused != 2 {
		t.Errorf("%d are recorded", refused)
	}
	if found, _ := filepath.Glob(filepath.Join(dir, "fetched", "*")); len(found) != 1 {
		t.Errorf("kept is %q", found)
	}
}
