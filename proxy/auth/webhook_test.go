package auth

import (
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cwmpgate/cwmpgate/configs"
)

// hook is a web server that knows alice.
type hook struct {
	*httptest.Server
	asked    atomic.Int64
	password atomic.Value // string
	answer   atomic.Value // func(http.ResponseWriter, *http.Request), in place of what it knows

	mu   sync.Mutex
	last map[string]string
	auth string
}

func newHook(t *testing.T, secure bool) *hook {
	h := &hook{}
	h.password.Store("wonder land")
	h.answer.Store((func(http.ResponseWriter, *http.Request))(nil))
	serve := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h.asked.Add(1)
		if r.URL.Path != "/logins" { // a redirect was followed
			io.WriteString(w, `{"accept": true, "ha1": "`+hashOf("SHA-256", "alice:cwmpgate:wonder land")+`"}`)
			return
		}
		if f := h.answer.Load().(func(http.ResponseWriter, *http.Request)); f != nil {
			f(w, r)
			return
		}
		var q map[string]string
		if err := json.NewDecoder(r.Body).Decode(&q); err != nil {
			w.WriteHeader(400)
			return
		}
		h.mu.Lock()
		h.last, h.auth = q, r.Header.Get("Authorization")
		h.mu.Unlock()
		password := h.password.Load().(string)
		switch {
		case q["user"] != "alice", q["scheme"] == "basic" && q["password"] != password:
			io.WriteString(w, `{"accept": false}`)
		case q["scheme"] == "basic":
			io.WriteString(w, `{"accept": true}`)
		default:
			fmt.Fprintf(w, `{"accept": true, "ha1": %q}`, hashOf(q["algorithm"], "alice:"+q["realm"]+":"+password))
		}
	})
	if secure {
		h.Server = httptest.NewTLSServer(serve)
	} else {
		h.Server = httptest.NewServer(serve)
	}
	t.Cleanup(h.Close)
	return h
}

func (h *hook) says(f func(http.ResponseWriter, *http.Request)) { h.answer.Store(f) }

func newHookBench(t *testing.T, h *hook, change func(*Webhook)) *bench {
	t.Helper()
	return newBench(t, func(c *Config) {
		c.Users = ""
		c.Failures.User.Mode, c.Failures.Address.Mode = "off", "off"
		c.Webhook = &Webhook{}
		configs.Defaults(c.Webhook)
		if err := c.Webhook.URL.UnmarshalText([]byte(h.URL + "/logins")); err != nil {
			t.Fatal(err)
		}
		if change != nil {
			change(c.Webhook)
		}
	})
}

// TestWebhook: what is asked, what is remembered and how long.
func TestWebhook(t *testing.T) {
	h := newHook(t, true)
	ca := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(ca, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: h.Certificate().Raw}), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("AUTH_TOKEN", "t0ken")
	b := newHookBench(t, h, func(w *Webhook) {
		w.CA = configs.Path(ca)
		if err := w.Token.UnmarshalText([]byte("env:AUTH_TOKEN")); err != nil {
			t.Fatal(err)
		}
		if err := w.Token.Read(); err != nil {
			t.Fatal(err)
		}
	})
	nc := 0
	digest := func(user, password string) Outcome {
		nc++
		return b.try(here, digestField("SHA-256", user, password, b.nonce(here), nc)).Outcome
	}
	basic := func(user, password string) Outcome { return b.try(here, string(basicOf(user, password))).Outcome }
	step := func(what string, got, want Outcome, asked int64) {
		t.Helper()
		if got != want || h.asked.Load() != asked {
			t.Errorf("%s: %v after %d calls, want %v after %d", what, got, h.asked.Load(), want, asked)
		}
	}
	step("digest", digest("alice", "wonder land"), Accepted, 1)
	h.mu.Lock()
	if fmt.Sprint(h.last) != "map[algorithm:SHA-256 realm:cwmpgate scheme:digest source:192.0.2.7/32 tenant:home user:alice]" || h.auth != "Bearer t0ken" {
		t.Errorf("asked %v as %q", h.last, h.auth)
	}
	h.mu.Unlock()
	step("digest, remembered", digest("alice", "wonder land"), Accepted, 1)
	step("digest, wrong at once", digest("alice", "guess"), Failed, 1)
	step("digest, nobody", digest("mallory", "guess"), Failed, 2)
	step("digest, nobody, remembered", digest("mallory", "guess"), Failed, 2)
	step("basic", basic("alice", "wonder land"), Accepted, 3)
	step("basic, remembered", basic("alice", "wonder land"), Accepted, 3)
	step("basic, wrong", basic("alice", "guess"), Failed, 4)
	step("basic, wrong, remembered", basic("alice", "guess"), Failed, 4)
	b.clock.at = b.clock.at.Add(31 * time.Second)
	step("a no is forgotten", basic("alice", "guess"), Failed, 5)
	step("a yes is not", basic("alice", "wonder land"), Accepted, 5)
	h.password.Store("new one")
	step("a new password is asked for", digest("alice", "new one"), Accepted, 6)
	step("and not at each guess", digest("alice", "guess"), Failed, 6)
	b.clock.at = b.clock.at.Add(5 * time.Minute)
	step("a yes is forgotten", basic("alice", "wonder land"), Failed, 7)
	if newHookBench(t, h, nil).try(here, string(basicOf("alice", "new one"))).Outcome != Unavailable {
		t.Error("a server of an unknown authority was believed")
	}
}

// TestWebhookThatFails: down, slow or lying, nobody is let in by it, unless that
// is asked for; and nothing of it is remembered.
func TestWebhookThatFails(t *testing.T) {
	h := newHook(t, false)
	text := func(status int, body string) func(http.ResponseWriter, *http.Request) {
		return func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(status)
			io.WriteString(w, body)
		}
	}
	ha1 := hashOf("SHA-256", "alice:cwmpgate:wonder land")
	for name, x := range map[string]struct {
		answer func(http.ResponseWriter, *http.Request)
		both   bool // it fails Basic as well
	}{
		"status 500": {text(500, `{"accept": true}`), true},
		"status 204": {text(204, ""), true},
		"redirect": {func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "/yes", http.StatusTemporaryRedirect)
		}, true},
		"nothing":        {text(200, ""), true},
		"no JSON":        {text(200, "yes"), true},
		"two values":     {text(200, `{"accept": true}{"accept": true}`), true},
		"no verdict":     {text(200, `{"ha1": "`+ha1+`"}`), true},
		"another type":   {text(200, `{"accept": "true"}`), true},
		"too long":       {text(200, `{"accept": true, "x": "`+strings.Repeat("x", maxAnswer)+`"}`), true},
		"too much space": {text(200, `{"accept": true, "ha1": "`+ha1+`"}`+strings.Repeat(" ", maxAnswer)), true},
		"cut off": {func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "90")
			io.WriteString(w, `{`)
		}, true},
		"silent":         {func(_ http.ResponseWriter, r *http.Request) { io.Copy(io.Discard, r.Body); <-r.Context().Done() }, true},
		"no hash":        {text(200, `{"accept": true}`), false},
		"a short hash":   {text(200, `{"accept": true, "ha1": "`+ha1[:32]+`"}`), false},
		"no hexadecimal": {text(200, `{"accept": true, "ha1": "`+strings.Repeat("z", 64)+`"}`), false},
	} {
		t.Run(name, func(t *testing.T) {
			h.says(x.answer)
			for _, on := range []string{failRefuse, failPass} {
				b := newHookBench(t, h, func(w *Webhook) { w.Timeout, w.OnFailure = configs.Duration(50*time.Millisecond), on })
				want := Unavailable
				if on == failPass {
					want = Unverified
				}
				got := b.try(here, digestField("SHA-256", "alice", "wonder land", b.nonce(here), 1))
				if got.Outcome != want || got.User != "alice" || strings.Contains(got.Why, ha1[:8]) {
					t.Errorf("digest: %+v, want %v", got, want)
				}
				if x.both {
					if got := b.try(here, string(basicOf("alice", "wonder land"))); got.Outcome != want || strings.Contains(got.Why, "wonder") {
						t.Errorf("basic: %+v, want %v", got, want)
					}
				}
				if n := b.metrics.webhookFailures.Get(); n == 0 {
					t.Error("not counted")
				}
				if got := b.try(here, "Digest x"); got.Outcome != Failed {
					t.Errorf("what is malformed anyway: %v", got.Outcome)
				}
			}
		})
	}
	h.says(nil)
	b := newHookBench(t, h, nil)
	if got := b.try(here, string(basicOf("alice", "wonder land"))); got.Outcome != Accepted {
		t.Errorf("the server is well again: %+v", got)
	}
	full := newHookBench(t, h, func(w *Webhook) { w.AtOnce, w.OnFailure = 1, failPass })
	w := full.directory.(*webhook)
	w.slots.wait = 10 * time.Millisecond
	w.slots.free <- struct{}{}
	if got := full.try(here, string(basicOf("alice", "wonder land"))); got.Outcome != Unverified {
		t.Errorf("no call can begin: %+v", got)
	}
	h.Close()
	if got := b.try(here, string(basicOf("alice", "wonder land"))); got.Outcome != Accepted {
		t.Errorf("down, but remembered: %+v", got)
	}
	if got := b.try(here, string(basicOf("alice", "guess"))); got.Outcome != Unavailable {
		t.Errorf("down: %+v", got)
	}
}

// TestWebhookIsAskedOnce: a crowd with the same credentials makes one call, and
// more calls than at_once are never under way.
func TestWebhookIsAskedOnce(t *testing.T) {
	h := newHook(t, false)
	release := make(chan struct{})
	var under, most atomic.Int64
	h.says(func(w http.ResponseWriter, r *http.Request) {
		io.Copy(io.Discard, r.Body)
		if n := under.Add(1); n > most.Load() {
			most.Store(n)
		}
		<-release
		under.Add(-1)
		io.WriteString(w, `{"accept": true}`)
	})
	b := newHookBench(t, h, func(w *Webhook) { w.AtOnce = 3 })
	var crowd sync.WaitGroup
	var accepted atomic.Int64
	for i := range 40 {
		crowd.Go(func() {
			if b.try(here, string(basicOf(fmt.Sprint("user", i%8), "x"))).Outcome == Accepted {
				accepted.Add(1)
			}
		})
	}
	for under.Load() < 3 {
		pause := time.NewTimer(time.Millisecond)
		<-pause.C
	}
	close(release)
	crowd.Wait()
	if accepted.Load() != 40 || h.asked.Load() > 8 || most.Load() > 3 {
		t.Errorf("%d accepted, %d calls, %d at once", accepted.Load(), h.asked.Load(), most.Load())
	}
}
