package auth

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"time"

	"golang.org/x/sync/singleflight"

	"github.com/cwmpgate/cwmpgate/configs"
)

// Webhook is a web server that knows who may log in. docs/authentication.md says
// what it is asked and how it answers.
type Webhook struct {
	URL          configs.URL      `yaml:"url" required:"true" doc:"Where it is; https, but on this machine. docs/authentication.md says what is posted to it and what it answers."`
	CA           configs.Path     `yaml:"ca" doc:"PEM file of the certificates that the server's own is verified against; the system's where absent."`
	Token        configs.Secret   `yaml:"token" doc:"What it knows the gateway by, as file:PATH or env:NAME: sent as Authorization: Bearer."`
	Timeout      configs.Duration `yaml:"timeout" min:"10ms" max:"20s" doc:"For one call."`
	AtOnce       int              `yaml:"at_once" min:"1" max:"1000" doc:"Calls under way at once."`
	Keep         configs.Duration `yaml:"keep" max:"24h" doc:"How long a yes, or a user's hash, holds without being asked for again."`
	KeepRefusals configs.Duration `yaml:"keep_refusals" max:"1h" doc:"How long a no holds; and how soon at least a hash that a login did not fit is asked for again."`
	OnFailure    string           `yaml:"on_failure" enum:"refuse|pass" doc:"When the server cannot be reached, is too slow, or answers what it should not: refuse answers 503; pass lets CPEs in as who they say they are, counted, recorded as security, and with identity claimed."`
}

// What becomes of a CPE whose credentials cannot be judged.
const (
	failRefuse = "refuse"
	failPass   = "pass"
)

// SetDefaults gives the section its defaults before it is read.
func (w *Webhook) SetDefaults() {
	w.Timeout, w.AtOnce, w.OnFailure = configs.Duration(5*time.Second), 32, failRefuse
	w.Keep, w.KeepRefusals = configs.Duration(5*time.Minute), configs.Duration(30*time.Second)
}

// Validate reports what no single key's type can tell.
func (w *Webhook) Validate(at configs.At) {
	if _, err := readPool(w.CA); err != nil {
		at.Errorf("ca", "%v", err)
	}
	if !w.URL.IsZero() && w.URL.URL().Scheme == "http" && !w.URL.Address().Loopback() {
		at.Errorf("url", "passwords would cross the network in clear: use https")
	}
}

// readPool reads a file of authorities, nil: the system's.
func readPool(name configs.Path) (*x509.CertPool, error) {
	if name == "" {
		return nil, nil
	}
	text, err := os.ReadFile(string(name))
	if err != nil {
		return nil, fmt.Errorf("read ca: %w", err)
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(text) {
		return nil, errors.New("ca holds no certificate")
	}
	return pool, nil
}

// webhook asks, and remembers what was said.
type webhook struct {
	cfg     *Webhook
	tenant  string
	realm   string
	client  *http.Client
	slots   *slots
	keys    *keyer
	said    *cache[verdict]
	flights singleflight.Group
	now     func() time.Time
	metrics *authMetrics
}

// verdict is what the server says.
type verdict struct {
	accept bool
	ha1    []byte
}

func newWebhook(cfg *Config, tenant string, now func() time.Time, m *authMetrics) (*webhook, error) {
	w := cfg.Webhook
	roots, err := readPool(w.CA)
	if err != nil {
		return nil, err
	}
	return &webhook{
		cfg: w, tenant: tenant, realm: cfg.Realm, slots: newSlots(w.AtOnce, time.Duration(cfg.Wait)), keys: newKeyer(),
		said: newCache[verdict](cfg.Remembered), now: now, metrics: m,
		client: &http.Client{
			Timeout: time.Duration(w.Timeout),
			Transport: &http.Transport{
				Proxy: http.ProxyFromEnvironment, MaxIdleConnsPerHost: w.AtOnce, IdleConnTimeout: 30 * time.Second, MaxResponseHeaderBytes: maxAnswer,
				TLSClientConfig: &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12},
			},
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
	}, nil
}

// question is what is posted.
type question struct {
	Tenant    string `json:"tenant"`
	Scheme    string `json:"scheme"` // basic or digest
	User      string `json:"user"`
	Password  string `json:"password,omitempty"`
	Algorithm string `json:"algorithm,omitempty"`
	Realm     string `json:"realm,omitempty"`
	Source    string `json:"source"` // prefix
}

func (w *webhook) basic(ctx context.Context, r Request, name, password string) (bool, error) {
	key := w.keys.key(schemeBasic, name, password)
	if v, _, ok := w.said.get(key, w.now()); ok {
		return v.accept, nil
	}
	v, err := w.ask(ctx, key, r, question{Scheme: "basic", User: name, Password: password}, 0)
	return v.accept, err
}

// digest holds an answer to the HA1 that the server gives. One that was
// remembered and does not fit may be of a password before: it is asked for anew.
func (w *webhook) digest(ctx context.Context, r Request, name string, a algorithm, answers func(ha1 []byte) bool) (bool, error) {
	key := w.keys.key(a.scheme(), name)
	fits := func(v verdict) bool {
		if !v.accept {
			return answers(nobody(a)) && false
		}
		return answers(v.ha1)
	}
	held, since, known := w.said.get(key, w.now())
	if known {
		if right := fits(held); right || w.now().Sub(since) < time.Duration(w.cfg.KeepRefusals) {
			return right, nil
		}
	}
	v, err := w.ask(ctx, key, r, question{Scheme: "digest", User: name, Algorithm: a.String(), Realm: w.realm}, a.size())
	switch {
	case err != nil && known:
		return false, nil // what is remembered holds, and it did not fit
	case err != nil:
		return false, err
	}
	return fits(v), nil
}

// ask posts a question, once for all who have the same at the same time.
func (w *webhook) ask(ctx context.Context, key cacheKey, r Request, q question, hash int) (verdict, error) {
	q.Tenant, q.Source = w.tenant, r.Source.String()
	got, err, _ := w.flights.Do(string(key[:]), func() (any, error) {
		// Another may wait for it too: it does not end with who asked first.
		ctx := context.WithoutCancel(ctx)
		if err := w.slots.enter(ctx); err != nil {
			return verdict{}, err
		}
		defer w.slots.leave()
		if err := r.over(); err != nil {
			return verdict{}, err
		}
		v, err := w.call(ctx, q, hash)
		if err != nil {
			w.metrics.webhookFailures.Inc()
			return verdict{}, err
		}
		w.metrics.webhookAnswers.Inc()
		keep := w.cfg.Keep
		if !v.accept {
			keep = w.cfg.KeepRefusals
		}
		if keep > 0 {
			w.said.put(key, v, w.now(), time.Duration(keep))
		}
		return v, nil
	})
	return got.(verdict), err
}

// maxAnswer is the most bytes of the server's head, and of its body.
const maxAnswer = 16 << 10

func (w *webhook) call(ctx context.Context, q question, hash int) (verdict, error) {
	body, err := json.Marshal(q)
	if err != nil {
		return verdict{}, err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, w.cfg.URL.String(), bytes.NewReader(body))
	if err != nil {
		return verdict{}, fmt.Errorf("ask who may log in: %w", err)
	}
	req.Header.Set("Content-Type", "application/json")
	if !w.cfg.Token.IsZero() {
		req.Header.Set("Authorization", "Bearer "+w.cfg.Token.Reveal())
	}
	res, err := w.client.Do(req)
	if err != nil {
		return verdict{}, fmt.Errorf("ask who may log in: %w", err)
	}
	defer res.Body.Close()
	text, err := io.ReadAll(io.LimitReader(res.Body, maxAnswer+1))
	switch {
	case err != nil:
		return verdict{}, fmt.Errorf("ask who may log in: read the answer: %w", err)
	case len(text) > maxAnswer:
		return verdict{}, fmt.Errorf("ask who may log in: the answer is over %d bytes", maxAnswer)
	case res.StatusCode != http.StatusOK:
		return verdict{}, fmt.Errorf("ask who may log in: %s was answered", res.Status)
	}
	return readVerdict(text, hash)
}

// readVerdict reads {"accept": true}, with "ha1" where a hash of so many bytes
// was asked for. Its errors quote nothing: a hash may stand there.
func readVerdict(text []byte, hash int) (verdict, error) {
	var said struct {
		Accept *bool   `json:"accept"`
		HA1    *string `json:"ha1"`
	}
	if err := json.Unmarshal(text, &said); err != nil || said.Accept == nil {
		return verdict{}, errors.New(`ask who may log in: the answer is not JSON with "accept": true or false`)
	}
	if !*said.Accept || hash == 0 {
		return verdict{accept: *said.Accept}, nil
	}
	if said.HA1 == nil {
		return verdict{}, errors.New(`ask who may log in: the answer has no "ha1", which Digest needs`)
	}
	ha1, err := hex.DecodeString(*said.HA1)
	if err != nil || len(ha1) != hash {
		return verdict{}, fmt.Errorf(`ask who may log in: "ha1" is not %d bytes in hexadecimal`, hash)
	}
	return verdict{true, ha1}, nil
}
