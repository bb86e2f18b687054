package certs

import (
	"bytes"
	"context"
	"crypto"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/crypto/ocsp"
	"golang.org/x/sync/singleflight"

	"github.com/cwmpgate/cwmpgate/configs"
)

// OCSP has a responder asked about CPEs' certificates (RFC 6960).
type OCSP struct {
	URL     configs.URL      `yaml:"url" required:"true" doc:"The authority's OCSP responder."`
	Timeout configs.Duration `yaml:"timeout" min:"10ms" max:"20s" doc:"The longest that a handshake waits for its answer."`
	Fresh   configs.Duration `yaml:"fresh" min:"1s" doc:"How long an answer holds at most; less where it says so itself."`
	Unknown string           `yaml:"unknown" enum:"refuse|accept" doc:"What holds where there is no answer, or one that does not know the certificate."`

	// Kept here since a listener and its tenants ask the same responder.
	responder *responder
}

// SetDefaults gives the section its defaults before it is read.
func (o *OCSP) SetDefaults() {
	o.Timeout, o.Fresh, o.Unknown = configs.Duration(3*time.Second), configs.Duration(time.Hour), StaleRefuse
	o.responder = &responder{answers: make(map[string]answer), places: make(chan struct{}, questionsAtOnce)}
}

// How many questions may be under way to one responder, how many answers are
// kept, how long a responder that failed is left alone, and what an answer may
// have of bytes.
const (
	questionsAtOnce = 16
	answersKept     = 100_000
	failureHolds    = 10 * time.Second
	maxAnswer       = 64 << 10
)

// responder is what is known from one.
type responder struct {
	questions, failures atomic.Uint64
	places              chan struct{}
	flight              singleflight.Group

	mu      sync.Mutex
	answers map[string]answer
}

// answer is what is known of one certificate.
type answer struct {
	reason string // to refuse it, or ""
	until  time.Time
}

// Questions tells how often the responder was asked, and how often in vain.
func (o *OCSP) Questions() (asked, failed uint64) {
	return o.responder.questions.Load(), o.responder.failures.Load()
}

// judge gives the reason to refuse a certificate, or "". It asks where it has
// to; otherwise, what is not known is asked in the background.
func (o *OCSP) judge(cert, issuer *x509.Certificate, now time.Time, wait bool) string {
	key := string(issuer.RawSubjectPublicKeyInfo) + cert.SerialNumber.String()
	r := o.responder
	r.mu.Lock()
	known, ok := r.answers[key]
	r.mu.Unlock()
	if ok && now.Before(known.until) {
		return known.reason
	}
	asked := r.flight.DoChan(key, func() (any, error) {
		a := o.ask(cert, issuer, now)
		r.keep(key, a)
		return a.reason, nil
	})
	if !wait {
		return known.reason // until there is another
	}
	return (<-asked).Val.(string)
}

func (r *responder) keep(key string, a answer) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.answers) >= answersKept {
		for k := range r.answers { // any will do: it is asked again
			delete(r.answers, k)
			break
		}
	}
	r.answers[key] = a
}

// ask asks once.
func (o *OCSP) ask(cert, issuer *x509.Certificate, now time.Time) answer {
	ctx, cancel := context.WithTimeout(context.Background(), time.Duration(o.Timeout))
	defer cancel()
	o.responder.questions.Add(1)
	status, until, err := o.exchange(ctx, cert, issuer, now)
	if err != nil {
		o.responder.failures.Add(1)
		until = now.Add(failureHolds)
	}
	switch {
	case err == nil && status == ocsp.Revoked:
		return answer{reasonRevoked, until}
	case err == nil && status == ocsp.Good, o.Unknown == StaleAccept:
		return answer{"", until}
	}
	return answer{reasonStaleCRL, until}
}

// exchange posts the question and checks the answer.
func (o *OCSP) exchange(ctx context.Context, cert, issuer *x509.Certificate, now time.Time) (status int, until time.Time, err error) {
	select {
	case o.responder.places <- struct{}{}:
		defer func() { <-o.responder.places }()
	case <-ctx.Done():
		return 0, until, fmt.Errorf("ask %s: %d questions are under way", o.URL.String(), questionsAtOnce)
	}
	question, err := ocsp.CreateRequest(cert, issuer, &ocsp.RequestOptions{Hash: crypto.SHA1}) // all responders know it (RFC 5019, 2.1.1)
	if err != nil {
		return 0, until, fmt.Errorf("ask %s: %w", o.URL.String(), err)
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, o.URL.String(), bytes.NewReader(question))
	if err != nil {
		return 0, until, fmt.Errorf("ask %s: %w", o.URL.String(), err)
	}
	req.Header.Set("Content-Type", "application/ocsp-request")
	text, err := fetch(req, maxAnswer)
	if err != nil {
		return 0, until, err
	}
	a, err := ocsp.ParseResponseForCert(text, cert, issuer)
	if err == nil {
		err = holdsNow(a, issuer, now)
	}
	if err != nil {
		return 0, until, fmt.Errorf("answer of %s: %w", o.URL.String(), err)
	}
	until = now.Add(time.Duration(o.Fresh))
	if !a.NextUpdate.IsZero() && a.NextUpdate.Before(until) {
		until = a.NextUpdate
	}
	return a.Status, until, nil
}

// clockSkew is how far the responder's clock may run ahead.
const clockSkew = 5 * time.Minute

// holdsNow checks what the parser does not: that who signed may, and when.
func holdsNow(a *ocsp.Response, issuer *x509.Certificate, now time.Time) error {
	if c := a.Certificate; c != nil && !c.Equal(issuer) {
		if !slices.Contains(c.ExtKeyUsage, x509.ExtKeyUsageOCSPSigning) {
			return errors.New("signed by a certificate that is not for OCSP (RFC 6960, 4.2.2.2)")
		}
		if now.Before(c.NotBefore) || now.After(c.NotAfter) {
			return errors.New("signed by a certificate that is out of its dates")
		}
	}
	switch {
	case a.ThisUpdate.After(now.Add(clockSkew)):
		return fmt.Errorf("it is of %s, which is to come", a.ThisUpdate)
	case !a.NextUpdate.IsZero() && now.After(a.NextUpdate):
		return fmt.Errorf("it held until %s", a.NextUpdate)
	case a.NextUpdate.IsZero() && now.Sub(a.ThisUpdate) > 24*time.Hour:
		return fmt.Errorf("it is of %s, and does not say how long it holds", a.ThisUpdate)
	}
	return nil
}

// fetch sends req and gives the whole answer, where it is 200 and no longer than
// most.
func fetch(req *http.Request, most int64) ([]byte, error) {
	client := http.Client{
		Transport: &http.Transport{Proxy: http.ProxyFromEnvironment, DisableKeepAlives: true},
		CheckRedirect: func(_ *http.Request, via []*http.Request) error {
			if len(via) > 3 {
				return errors.New("more than three redirects")
			}
			return nil
		},
	}
	res, err := client.Do(req)
	if err != nil {
		return nil, err
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("%s answered %s", req.URL, res.Status)
	}
	text, err := io.ReadAll(io.LimitReader(res.Body, most+1))
	switch {
	case err != nil:
		return nil, fmt.Errorf("read the answer of %s: %w", req.URL, err)
	case int64(len(text)) > most:
		return nil, fmt.Errorf("%s answered with more than %d bytes", req.URL, most)
	}
	return text, nil
}
