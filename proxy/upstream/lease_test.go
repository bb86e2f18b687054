package upstream

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/cwmpgate/cwmpgate/configs"
	"github.com/cwmpgate/cwmpgate/proxy/h1"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// peer is an ACS on a real socket whose every connection runs serve.
type peer struct {
	ln    net.Listener
	conns chan net.Conn // each connection, as it is accepted
	done  chan struct{}
}

func newPeer(t *testing.T, serve func(n int, c net.Conn, br *bufio.Reader)) *peer {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &peer{ln: ln, conns: make(chan net.Conn, 100), done: make(chan struct{})}
	go func() {
		defer close(p.done)
		for n := 1; ; n++ {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			p.conns <- c
			go func() {
				defer c.Close()
				serve(n, c, bufio.NewReader(c))
			}()
		}
	}()
	t.Cleanup(func() {
		ln.Close()
		<-p.done
	})
	return p
}

func (p *peer) accepted() int { return len(p.conns) }

// answer reads one request and answers it with the connection's number.
func answer(n int, c net.Conn, br *bufio.Reader) bool {
	req, err := http.ReadRequest(br)
	if err != nil {
		return false
	}
	req.Body.Close()
	body := fmt.Sprint(n)
	_, err = fmt.Fprintf(c, "HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s", len(body), body)
	return err == nil
}

func node(t *testing.T, p *peer, change func(*Config)) *Node {
	t.Helper()
	var c Config
	c.SetDefaults()
	if err := c.URL.UnmarshalText([]byte("http://" + p.ln.Addr().String())); err != nil {
		t.Fatal(err)
	}
	c.IdleTime = configs.Duration(time.Minute)
	if change != nil {
		change(&c)
	}
	n, err := New(c, Options{Connect: 5 * time.Second, Answer: 5 * time.Second})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(n.Close)
	return n
}

// ask makes one round trip and returns the body of the answer.
func ask(l *Lease) (string, error) {
	r := &Request{Method: []byte("POST"), Target: []byte("/"), Fields: []h1.Field{{Name: []byte("Host"), Value: []byte("acs.example.com")}}, Body: []byte("x")}
	conn, _, err := l.RoundTrip(context.Background(), r)
	if err != nil {
		return "", err
	}
	b, err := conn.ReadBody(nil, 1<<20)
	if err != nil {
		return "", err
	}
	l.Done(conn)
	return string(b), nil
}

func serveAll(n int, c net.Conn, br *bufio.Reader) {
	for answer(n, c, br) {
	}
}

func TestLeaseKeepsItsConnection(t *testing.T) {
	p := newPeer(t, serveAll)
	n := node(t, p, nil)
	a, b := n.Lease(), n.Lease()
	defer a.Close()
	defer b.Close()
	for range 3 {
		for i, l := range []*Lease{a, b} {
			if got, err := ask(l); err != nil || got != fmt.Sprint(i+1) {
				t.Fatalf("lease %d was answered by connection %q, %v", i+1, got, err)
			}
		}
	}
}

func TestReuse(t *testing.T) {
	for _, reuse := range []string{"never", "clean"} {
		t.Run(reuse, func(t *testing.T) {
			p := newPeer(t, serveAll)
			n := node(t, p, func(c *Config) { c.Reuse = reuse })
			first := n.Lease()
			if _, err := ask(first); err != nil {
				t.Fatal(err)
			}
			first.Return()
			second := n.Lease()
			if _, err := ask(second); err != nil {
				t.Fatal(err)
			}
			second.Close() // not after a clean end: never for another
			third := n.Lease()
			defer third.Close()
			if _, err := ask(third); err != nil {
				t.Fatal(err)
			}
			if got, want := p.accepted(), map[string]int{"never": 3, "clean": 2}[reuse]; got != want {
				t.Errorf("%d connections, want %d", got, want)
			}
		})
	}
}

// An ACS that closes between two requests is ordinary: nothing was sent, so the
// request goes over a new connection.
func TestClosedWhileIdleIsReplaced(t *testing.T) {
	p := newPeer(t, func(n int, c net.Conn, br *bufio.Reader) { answer(n, c, br) })
	l := node(t, p, nil).Lease()
	defer l.Close()
	for i := range 3 {
		got, err := ask(l)
		if err != nil || got != fmt.Sprint(i+1) {
			t.Fatalf("request %d was answered by connection %q, %v", i+1, got, err)
		}
		// The close must have arrived, else the next request is a race that
		// may rightly be lost.
		l.mu.Lock()
		c := l.conn
		l.mu.Unlock()
		for deadline := time.Now().Add(5 * time.Second); c != nil && c.Peek() == nil; {
			if time.Now().After(deadline) {
				t.Fatal("the close never arrived")
			}
		}
	}
}

// A request of which a byte may have arrived is not sent again.
func TestNothingIsSentTwice(t *testing.T) {
	p := newPeer(t, func(n int, c net.Conn, br *bufio.Reader) { http.ReadRequest(br) })
	l := node(t, p, nil).Lease()
	defer l.Close()
	if got, err := ask(l); err == nil {
		t.Fatalf("an answer %q to a request that got none", got)
	} else if errors.Is(err, ErrUnreachable) {
		t.Errorf("%v says that nothing was sent", err)
	}
	if got := p.accepted(); got != 1 {
		t.Errorf("%d connections for one request", got)
	}
}

func TestUnreachable(t *testing.T) {
	p := newPeer(t, serveAll)
	n := node(t, p, nil)
	p.ln.Close()
	l := n.Lease()
	defer l.Close()
	if _, err := ask(l); !errors.Is(err, ErrUnreachable) {
		t.Errorf("%v, want ErrUnreachable", err)
	}
}

// Close from another goroutine ends a request that waits for its answer.
func TestCloseEndsARequestUnderWay(t *testing.T) {
	arrived := make(chan struct{})
	p := newPeer(t, func(n int, c net.Conn, br *bufio.Reader) {
		http.ReadRequest(br)
		close(arrived)
		br.ReadByte() // until the gateway closes
	})
	l := node(t, p, nil).Lease()
	go func() {
		<-arrived
		l.Close()
	}()
	if _, err := ask(l); !errors.Is(err, ErrClosed) {
		t.Errorf("%v, want ErrClosed", err)
	}
	if _, err := ask(l); !errors.Is(err, ErrClosed) {
		t.Errorf("a closed lease: %v, want ErrClosed", err)
	}
}

// What comes unasked on an idle connection must not be taken for an answer.
func TestUnaskedAnswerIsNeverGivenOut(t *testing.T) {
	sent := make(chan struct{})
	p := newPeer(t, func(n int, c net.Conn, br *bufio.Reader) {
		if n == 1 {
			answer(n, c, br)
			fmt.Fprint(c, "HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nPOISON")
			close(sent)
			br.ReadByte()
			return
		}
		serveAll(n, c, br)
	})
	n := node(t, p, func(c *Config) { c.Reuse = "clean" })
	first := n.Lease()
	if _, err := ask(first); err != nil {
		t.Fatal(err)
	}
	<-sent
	first.Return()
	second := n.Lease()
	defer second.Close()
	if got, err := ask(second); err != nil || got != "2" {
		t.Errorf("answer %q, %v", got, err)
	}
}

func TestConfigMistakes(t *testing.T) {
	f := func(text, want string) {
		t.Helper()
		var root struct {
			Upstream Config `yaml:"upstream"`
		}
		root.Upstream.SetDefaults()
		err := configs.LoadBytes("t.yaml", []byte(text), &root)
		switch {
		case want == "" && err != nil:
			t.Errorf("%s: %v", text, err)
		case want != "" && (err == nil || !strings.Contains(err.Error(), want)):
			t.Errorf("%s: %v, want %q in it", text, err, want)
		}
	}
	f(`upstream: {url: "http://127.0.0.1:7550/"}`, "")
	f(`upstream: {url: "https://acs.example.com"}`, "")
	f(`upstream: {url: "http://127.0.0.1:7550/acs"}`, "path")
	f(`upstream: {url: "http://127.0.0.1:7550/?a=b"}`, "query")
	f(`upstream: {url: "http://127.0.0.1:7550/", tls: {ca: x.pem}}`, "not https")
	f(`upstream: {url: "https://127.0.0.1:7550/", tls: {key: x.pem}}`, "go together")
	f(`upstream: {url: "ftp://127.0.0.1/"}`, "url")
	f(`upstream: {url: "http://127.0.0.1:7550/", reuse: always}`, "reuse")
}
