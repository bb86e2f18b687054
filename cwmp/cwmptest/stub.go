package cwmptest

import (
	"crypto/tls"
	"fmt"
	"net"
	"slices"
	"strconv"
	"sync"
	"time"
)

// StubConfig says what a [Stub] answers.
type StubConfig struct {
	Exchanges []Exchange
	Address   string // to listen on, default "127.0.0.1:0"
	TLS       *tls.Config
}

// Stub is an ACS that answers the n-th request with the n-th recorded response,
// byte for byte, whatever the request says, and keeps what arrived. A recorded
// "Connection: close" closes. Behind the last response it answers 500.
type Stub struct {
	cfg      StubConfig
	listener net.Listener
	running  sync.WaitGroup

	mu      sync.Mutex
	open    map[net.Conn]bool
	closing bool
	arrived []Arrived
	wires   int
}

// Arrived is a request as it came, and the connection (from 1) that it came on.
type Arrived struct {
	Request
	Connection int
}

// NewStub makes a stub that does not listen yet.
func NewStub(cfg StubConfig) *Stub {
	if cfg.Address == "" {
		cfg.Address = "127.0.0.1:0"
	}
	return &Stub{cfg: cfg, open: map[net.Conn]bool{}}
}

// Open listens and answers until Close.
func (s *Stub) Open() error {
	listener, err := net.Listen("tcp", s.cfg.Address)
	if err != nil {
		return fmt.Errorf("listen as stub: %w", err)
	}
	s.listener = listener
	if s.cfg.TLS != nil {
		listener = tls.NewListener(listener, s.cfg.TLS)
	}
	s.running.Go(func() {
		for {
			c, err := listener.Accept()
			if err != nil {
				return
			}
			if w := s.join(c); w != nil {
				s.running.Go(func() { s.serve(w) })
			}
		}
	})
	return nil
}

// Close closes listener and connections and waits for all to end.
func (s *Stub) Close() error {
	err := s.listener.Close()
	s.mu.Lock()
	s.closing = true
	for c := range s.open {
		c.Close()
	}
	s.mu.Unlock()
	s.running.Wait()
	return err
}

// Addr is where it listens.
func (s *Stub) Addr() string { return s.listener.Addr().String() }

// Arrived are the requests so far, in order.
func (s *Stub) Arrived() []Arrived {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.arrived)
}

func (s *Stub) join(c net.Conn) *wire {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closing {
		c.Close()
		return nil
	}
	s.open[c] = true
	s.wires++
	return newWire(c, s.wires)
}

func (s *Stub) serve(w *wire) {
	defer func() {
		w.Close()
		s.mu.Lock()
		delete(s.open, w.Conn)
		s.mu.Unlock()
	}()
	for {
		w.SetDeadline(time.Now().Add(2 * time.Minute))
		r, last, err := w.readRequest()
		if err != nil {
			return
		}
		answer := s.take(r, w.number)
		if _, err := w.Write(responseBytes(answer, r.Method)); err != nil {
			return
		}
		if last || fieldHas(answer.Header, "Connection", "close") {
			return
		}
	}
}

func (s *Stub) take(r Request, connection int) Response {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.arrived = append(s.arrived, Arrived{r, connection})
	if n := len(s.arrived); n <= len(s.cfg.Exchanges) {
		return s.cfg.Exchanges[n-1].Response
	}
	return Response{Status: 500, Reason: "Nothing Recorded"}
}

func responseBytes(r Response, method string) []byte {
	bodiless := method == "HEAD" || r.Status == 204 || r.Status == 304
	header := r.Header
	if !bodiless {
		header = framed(header, len(r.Body), true)
	}
	text := appendHead(nil, "HTTP/1.1 "+strconv.Itoa(r.Status)+" "+r.Reason, header)
	switch {
	case bodiless:
		return text
	case fieldHas(header, "Transfer-Encoding", "chunked"):
		return appendChunks(text, r.Body, max(len(r.Body), 1))
	}
	return append(text, r.Body...)
}
