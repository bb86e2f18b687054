package cwmptest

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"
)

// Auth is how an ACS has CPEs log in.
type Auth uint8

const (
	AuthNone Auth = iota
	AuthBasic
	AuthDigest // MD5, qop "auth"
)

// ACSConfig says what an [ACS] is. The zero value answers Informs with a
// session cookie and has nothing to do.
type ACSConfig struct {
	Character Character
	Address   string // to listen on, default "127.0.0.1:0"
	TLS       *tls.Config

	Auth     Auth
	Password func(user string) (password string, known bool) // needed with Auth

	// Script gives the RPCs for one session, asked at its Inform. What stands
	// in the device's queue is sent behind them.
	Script func(Informed) []Task

	Files                  map[string][]byte                             // by URL path, served over GET
	FileUser, FilePassword string                                        // Basic for files and uploads, none where empty
	FileBase               string                                        // put before a task's URL that is a path; default "http://" and the request's Host
	HoldRequests           bool                                          // CPEs may send nothing of their own before the RPCs are through
	EmptyOK                bool                                          // ends sessions with 200 and no body in place of 204
	KeepBodies             bool                                          // Delivery has the bodies
	SessionTimeout         time.Duration                                 // default 30 s
	ReconnectWait          time.Duration                                 // ConnectionBound: until the old connection is closed, default 100 ms
	Intercept              func(http.ResponseWriter, *http.Request) bool // true: it has answered
}

// ACS is a stub ACS. Use it as an http.Handler, or Open and Close it. Its
// methods may be called at once. Of what it knows to have happened it keeps the
// last 150,000 entries of each list, or more.
type ACS struct {
	cfg      ACSConfig
	server   *http.Server
	listener net.Listener
	done     chan struct{}

	mu       sync.Mutex
	wires    map[any]*acsWire
	count    int // connections
	number   uint64
	sessions map[string]*acsSession
	devices  map[string]*acsSession // the open session of a serial number
	nonces   map[string]bool
	queues   map[string][]Task
	truth    acsTruth
}

type wireKey struct{}

// NewACS makes an ACS that does not listen yet.
func NewACS(cfg ACSConfig) *ACS {
	if cfg.Address == "" {
		cfg.Address = "127.0.0.1:0"
	}
	if cfg.SessionTimeout == 0 {
		cfg.SessionTimeout = 30 * time.Second
	}
	if cfg.ReconnectWait == 0 {
		cfg.ReconnectWait = 100 * time.Millisecond
	}
	return &ACS{cfg: cfg, wires: map[any]*acsWire{}, sessions: map[string]*acsSession{}, devices: map[string]*acsSession{},
		nonces: map[string]bool{}, queues: map[string][]Task{}, truth: acsTruth{refusals: map[string]int{}}}
}

// Open listens and serves until Close.
func (a *ACS) Open() error {
	listener, err := net.Listen("tcp", a.cfg.Address)
	if err != nil {
		return fmt.Errorf("listen as acs: %w", err)
	}
	a.listener, a.done = listener, make(chan struct{})
	if a.cfg.TLS != nil {
		listener = tls.NewListener(listener, a.cfg.TLS)
	}
	a.server = &http.Server{
		Handler:           a,
		ReadHeaderTimeout: 30 * time.Second,
		IdleTimeout:       5 * time.Minute,
		ErrorLog:          log.New(io.Discard, "", 0),
		ConnContext: func(ctx context.Context, c net.Conn) context.Context {
			return context.WithValue(ctx, wireKey{}, a.wire(c))
		},
		ConnState: func(c net.Conn, s http.ConnState) {
			if s == http.StateClosed || s == http.StateHijacked {
				a.closed(c)
			}
		},
	}
	go func() {
		defer close(a.done)
		a.server.Serve(listener) // always ErrServerClosed after Close
	}()
	return nil
}

// Close closes the listener and all connections.
func (a *ACS) Close() error {
	if a.server == nil {
		return nil
	}
	err := a.server.Close()
	<-a.done
	if errors.Is(err, net.ErrClosed) {
		return nil
	}
	return err
}

// Addr is where it listens.
func (a *ACS) Addr() string { return a.listener.Addr().String() }

// URL is where CPEs reach it.
func (a *ACS) URL() string {
	if a.cfg.TLS != nil {
		return "https://" + a.Addr() + "/"
	}
	return "http://" + a.Addr() + "/"
}

// Queue adds RPCs for a device; they are sent in its next session.
func (a *ACS) Queue(serial string, tasks ...Task) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.queues[serial] = append(a.queues[serial], tasks...)
}

// Queued is how many RPCs wait for a device.
func (a *ACS) Queued(serial string) int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return len(a.queues[serial])
}

func (a *ACS) wire(key any) *acsWire {
	a.mu.Lock()
	defer a.mu.Unlock()
	w := a.wires[key]
	if w == nil {
		a.count++
		w = &acsWire{number: a.count, gone: make(chan struct{})}
		a.wires[key] = w
	}
	return w
}

func (a *ACS) closed(key any) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if w := a.wires[key]; w != nil {
		close(w.gone)
		delete(a.wires, key)
	}
}

// ServeHTTP answers one request. Served by another server than its own, it
// tells connections apart by their remote address.
func (a *ACS) ServeHTTP(rw http.ResponseWriter, r *http.Request) {
	if a.cfg.Intercept != nil && a.cfg.Intercept(rw, r) {
		return
	}
	w, ok := r.Context().Value(wireKey{}).(*acsWire)
	if !ok {
		w = a.wire(r.RemoteAddr)
	}
	switch r.Method {
	case http.MethodPost:
		a.serveMessage(rw, r, w)
	case http.MethodGet, http.MethodHead, http.MethodPut:
		a.serveFile(rw, r, w)
	default:
		rw.Header().Set("Allow", "POST, GET, HEAD, PUT")
		a.refuse(rw, refusal{http.StatusMethodNotAllowed, "Method not allowed", false})
	}
}

func (a *ACS) serveMessage(rw http.ResponseWriter, r *http.Request, w *acsWire) {
	body, err := io.ReadAll(http.MaxBytesReader(rw, r.Body, maxBody))
	zipped := strings.EqualFold(r.Header.Get("Content-Encoding"), "gzip")
	if err == nil && zipped && len(body) > 0 {
		body, err = gunzip(body)
	}
	if err != nil {
		a.refuse(rw, refusal{http.StatusBadRequest, "Unreadable body", true})
		return
	}
	m, err := readMessage(body, r.Header.Get("Content-Type"))
	if err != nil {
		a.refuse(rw, refusal{http.StatusBadRequest, "Invalid XML", true})
		return
	}
	q := &acsRequest{r: r, wire: w, message: m, body: body}
	answer, refused := a.handle(q)
	if refused != nil {
		q.challenge(a, rw.Header())
		a.refuse(rw, *refused)
		return
	}
	a.write(rw, answer, zipped && a.cfg.Character == ConnectionBound)
}

func (a *ACS) write(rw http.ResponseWriter, answer *acsAnswer, zip bool) {
	h := rw.Header()
	for _, c := range answer.cookies {
		h.Add("Set-Cookie", c)
	}
	if answer.last {
		h.Set("Connection", "close")
	}
	if answer.body == nil {
		if !a.cfg.EmptyOK && !answer.plainEmpty {
			rw.WriteHeader(http.StatusNoContent)
		}
		return
	}
	h.Set("Content-Type", `text/xml; charset="utf-8"`)
	h["SOAPServer"] = []string{"cwmptest"}
	body := answer.body
	if zip {
		h.Set("Content-Encoding", "gzip")
		body = compress(body)
	}
	rw.Write(body) // a CPE that has gone shows in its next session
}

// refusal is an HTTP error of the ACS; Text is also the key it is counted under.
type refusal struct {
	status int
	text   string
	close  bool
}

func (a *ACS) refuse(rw http.ResponseWriter, f refusal) {
	a.mu.Lock()
	a.truth.refusals[f.text]++
	a.mu.Unlock()
	if f.close {
		rw.Header().Set("Connection", "close")
	}
	http.Error(rw, f.text, f.status)
}
