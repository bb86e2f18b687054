package h1

import (
	"bufio"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// patience bounds every wait in a test; nothing is expected to take that long.
const patience = 20 * time.Second

// stub is a server that tells what it read: "METHOD target host body".
type stub struct {
	addr string
	tls  *tls.Config

	mu      sync.Mutex
	refused []Reason
	errs    []error
}

func (s *stub) reasons() []Reason {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]Reason(nil), s.refused...)
}

// serve runs handle for each connection to a loopback listener until the test ends.
func serve(t testing.TB, tc *tls.Config, handle func(net.Conn)) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			if tc != nil {
				c = tls.Server(c, tc)
			}
			wg.Go(func() {
				defer c.Close()
				handle(c)
			})
		}
	})
	t.Cleanup(func() {
		ln.Close()
		wg.Wait()
	})
	return ln.Addr().String()
}

func newStub(t testing.TB, cfg ServerConfig, tc *tls.Config) *stub {
	s := &stub{tls: tc}
	s.addr = serve(t, tc, func(c net.Conn) { s.run(NewServer(c, cfg), 1<<20) })
	return s
}

func (s *stub) run(c *ServerConn, max int64) {
	defer c.Close()
	for {
		r, err := c.Next()
		if err == nil {
			var body []byte
			if body, err = c.ReadBody(nil, max); err == nil {
				text := fmt.Appendf(nil, "%s %s %s %s", r.Method, r.Target, r.Host, body)
				err = c.WriteResponse(200, nil, nil, text, true)
			}
		}
		var e *Error
		if errors.As(err, &e) {
			s.mu.Lock()
			s.refused = append(s.refused, e.Reason)
			s.mu.Unlock()
			c.WriteResponse(e.Status, nil, nil, []byte(e.Reason), false)
			return
		}
		if err != nil {
			s.mu.Lock()
			s.errs = append(s.errs, err)
			s.mu.Unlock()
			return
		}
	}
}

// peer is a client that writes what it is told and reads with net/http.
type peer struct {
	net.Conn
	t  testing.TB
	br *bufio.Reader
}

func (s *stub) dial(t testing.TB) *peer {
	t.Helper()
	return dialPeer(t, s.addr, s.tls)
}

func dialPeer(t testing.TB, addr string, tc *tls.Config) *peer {
	t.Helper()
	c, err := net.DialTimeout("tcp", addr, patience)
	if err != nil {
		t.Fatal(err)
	}
	if tc != nil {
		c = tls.Client(c, &tls.Config{InsecureSkipVerify: true})
	}
	c.SetDeadline(time.Now().Add(patience))
	t.Cleanup(func() { c.Close() })
	return &peer{c, t, bufio.NewReader(c)}
}

func (p *peer) send(s string) {
	p.t.Helper()
	if _, err := io.WriteString(p.Conn, s); err != nil {
		p.t.Errorf("write: %v", err)
	}
}

func (p *peer) receive(method string) (*http.Response, string) {
	p.t.Helper()
	r, err := http.ReadResponse(p.br, &http.Request{Method: method})
	if err != nil {
		p.t.Fatalf("no answer: %v", err)
	}
	body, err := io.ReadAll(r.Body)
	if err != nil {
		p.t.Fatalf("answer %d was cut off: %v", r.StatusCode, err)
	}
	r.Body.Close()
	return r, string(body)
}

// ended holds that the connection was closed with nothing more on it.
func (p *peer) ended() {
	p.t.Helper()
	rest, err := io.ReadAll(p.br)
	if err != nil || len(rest) > 0 {
		p.t.Errorf("not closed cleanly: %q, %v", rest, err)
	}
}

var testTLS = sync.OnceValue(func() *tls.Config {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		panic(err)
	}
	template := x509.Certificate{SerialNumber: big.NewInt(1), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, &template, &template, &key.PublicKey, key)
	if err != nil {
		panic(err)
	}
	return &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}}
})
