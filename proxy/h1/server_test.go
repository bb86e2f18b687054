package h1

import (
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func TestExpectContinue(t *testing.T) {
	for kind, tc := range map[string]*tls.Config{"tcp": nil, "tls": testTLS()} {
		t.Run("waits/"+kind, func(t *testing.T) {
			p := newStub(t, ServerConfig{}, tc).dial(t)
			for _, framing := range []string{"Content-Length: 2\r\n\r\n", "Transfer-Encoding: chunked\r\n\r\n"} {
				p.send(post("Expect: 100-continue\r\n" + framing))
				if line, _ := p.br.ReadString('\n'); line != "HTTP/1.1 100 Continue\r\n" {
					t.Fatalf("told %q", line)
				}
				if line, _ := p.br.ReadString('\n'); line != "\r\n" {
					t.Fatalf("100 Continue has more: %q", line)
				}
				if strings.HasPrefix(framing, "T") {
					p.send("2\r\nhi\r\n0\r\n\r\n")
				} else {
					p.send("hi")
				}
				if r, body := p.receive("POST"); r.StatusCode != 200 || body != "POST /acs example.net hi" {
					t.Errorf("answered %d %q", r.StatusCode, body)
				}
			}
		})
	}
	for name, wire := range map[string]string{
		"body-came":    post("Expect: 100-continue\r\nContent-Length: 2\r\n\r\nhi"),
		"part-came":    post("Expect: 100-continue\r\nContent-Length: 2\r\n\r\nh"),
		"no-body":      post("Expect: 100-continue\r\nContent-Length: 0\r\n\r\n"),
		"too-large":    post("Expect: 100-continue\r\nContent-Length: 99999999\r\n\r\n"),
		"http-1.0":     "POST /acs HTTP/1.0\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n",
		"none-expects": post("Content-Length: 2\r\n\r\n"),
	} {
		t.Run("not-told/"+name, func(t *testing.T) {
			p := newStub(t, ServerConfig{}, nil).dial(t)
			p.send(wire)
			p.send("hi")
			line, _ := p.br.ReadString('\n')
			if !strings.HasPrefix(line, "HTTP/1.1 200 ") && !strings.HasPrefix(line, "HTTP/1.1 413 ") {
				t.Errorf("told %q", line)
			}
		})
	}
}

// TestContinueOnlyBeforeTheBody: a client that has begun to send is not told to.
func TestContinueOnlyBeforeTheBody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client, server := net.Pipe()
		s := NewServer(server, ServerConfig{})
		done := make(chan struct{})
		go func() {
			defer close(done)
			s.Next()
			if body, err := s.ReadBody(nil, 10); string(body) != "hi" || err != nil {
				t.Errorf("%q, %v", body, err)
			}
		}()
		io.WriteString(client, post("Expect: 100-continue\r\nContent-Length: 2\r\n\r\nh"))
		client.SetReadDeadline(time.Now().Add(time.Second))
		told := make([]byte, 100)
		if n, err := client.Read(told); n > 0 || !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("told %q, %v", told[:n], err)
		}
		io.WriteString(client, "i")
		<-done
		client.Close()
		s.Close()
	})
}

func TestKeepAlive(t *testing.T) {
	for _, c := range []struct {
		name, head string
		keep       bool
	}{
		{"http-1.1", post(""), true},
		{"http-1.1-keep-alive", post("Connection: Keep-Alive\r\n"), true},
		{"http-1.1-close", post("Connection: close\r\n"), false},
		{"http-1.1-close-in-a-list", post("Connection: x, CLOSE ,y\r\n"), false},
		{"http-1.1-close-in-two-fields", post("Connection: keep-alive\r\nConnection: close\r\n"), false},
		{"http-1.1-closed", post("X-Connection: close\r\n"), true},
		{"http-1.0", "POST /acs HTTP/1.0\r\n", false},
		{"http-1.0-keep-alive", "POST /acs HTTP/1.0\r\nConnection: keep-alive\r\n", false},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := newStub(t, ServerConfig{}, nil).dial(t)
			p.send(c.head + "\r\n")
			r, _ := p.receive("POST")
			if r.StatusCode != 200 || r.Close == c.keep {
				t.Errorf("status %d, close %v", r.StatusCode, r.Close)
			}
			if !c.keep {
				p.ended()
				return
			}
			p.send(second)
			p.receive("POST")
		})
	}
}

// one runs handle on the server's side of one connection.
func one(t testing.TB, tc *tls.Config, cfg ServerConfig, handle func(*ServerConn)) *peer {
	addr := serve(t, tc, func(c net.Conn) {
		s := NewServer(c, cfg)
		defer s.Close()
		handle(s)
	})
	return dialPeer(t, addr, tc)
}

func TestBodyIsStreamed(t *testing.T) {
	want := strings.Repeat("0123456789abcdef", 70000)
	for name, wire := range map[string]string{
		"length":        post(fmt.Sprintf("Content-Length: %d\r\n\r\n%s", len(want), want)),
		"chunked-small": chunked(chunks(want, 7)),
		"chunked-large": chunked(chunks(want, 100_000)),
		"one-chunk":     chunked(chunks(want, len(want))),
	} {
		for kind, tc := range map[string]*tls.Config{"tcp": nil, "tls": testTLS()} {
			t.Run(name+"/"+kind, func(t *testing.T) {
				p := one(t, tc, ServerConfig{}, func(s *ServerConn) {
					for i := range 3 {
						r, err := s.Next()
						if err != nil {
							t.Error(err)
							return
						}
						if i == 2 {
							return
						}
						host := string(r.Fields[0].Value)
						var got []byte
						if i == 0 {
							got, err = io.ReadAll(s.Body())
						} else {
							got, err = s.ReadBody(nil, int64(len(want)))
						}
						if string(got) != want || err != nil {
							t.Errorf("%d bytes, %v", len(got), err)
						}
						if string(r.Fields[0].Value) != host {
							t.Errorf("reading the body changed the head")
						}
						s.WriteResponse(200, nil, nil, nil, true)
					}
				})
				go func() { p.Write([]byte(wire + wire + second)) }()
				p.receive("POST")
				p.receive("POST")
				io.Copy(io.Discard, p.br)
			})
		}
	}
}

func chunks(s string, size int) string {
	var b strings.Builder
	for len(s) > 0 {
		n := min(size, len(s))
		fmt.Fprintf(&b, "%x\r\n%s\r\n", n, s[:n])
		s = s[n:]
	}
	return b.String() + "0\r\n\r\n"
}

// TestPipelined: the second request is not read before the first is answered.
func TestPipelined(t *testing.T) {
	answered := make(chan struct{})
	p := one(t, nil, ServerConfig{}, func(s *ServerConn) {
		for i := range 3 {
			r, err := s.Next()
			if err != nil {
				t.Error(err)
				return
			}
			if want := fmt.Sprintf("/%d", i); string(r.Target) != want {
				t.Errorf("request %d is for %s", i, r.Target)
			}
			body, err := s.ReadBody(nil, 100)
			if string(body) != "hi" || err != nil {
				t.Errorf("%q, %v", body, err)
			}
			if i == 0 {
				<-answered
			}
			s.WriteResponse(200, nil, nil, r.Target, true)
		}
	})
	for i := range 3 {
		p.send(fmt.Sprintf("POST /%d HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n", i))
	}
	close(answered)
	for i := range 3 {
		if _, body := p.receive("POST"); body != fmt.Sprintf("/%d", i) {
			t.Errorf("answer %d is %s", i, body)
		}
	}
	p.ended()
}

// TestEveryCut: a request that ends early is never taken for a whole one.
func TestEveryCut(t *testing.T) {
	for _, whole := range []string{
		post("Content-Length: 5\r\n\r\nhello"),
		chunked("2;x\r\nhi\r\n3\r\nyou\r\n0\r\n\r\n"),
	} {
		for n := 1; n < len(whole); n++ {
			client, server := net.Pipe()
			go func() {
				io.WriteString(client, whole[:n])
				client.Close()
			}()
			s := NewServer(server, ServerConfig{})
			_, err := s.Next()
			if err == nil {
				_, err = s.ReadBody(nil, 100)
			}
			if e, ok := errors.AsType[*Error](err); !ok || e.Reason != ReasonCutOff || e.Status != 400 {
				t.Errorf("%q gives %v", whole[:n], err)
			}
			s.Close()
		}
		// Byte by byte it is the same request.
		client, server := net.Pipe()
		go func() {
			for i := range len(whole) {
				client.Write([]byte{whole[i]})
			}
			client.Close()
		}()
		s := NewServer(server, ServerConfig{})
		_, err := s.Next()
		body, err2 := s.ReadBody(nil, 100)
		if err != nil || err2 != nil || len(body) != 5 {
			t.Errorf("byte by byte: %q, %v, %v", body, err, err2)
		}
		s.Close()
	}
}

// TestEndBetweenRequests: a close between requests is no error, whatever way.
func TestEndBetweenRequests(t *testing.T) {
	for name, end := range map[string]func(*peer){
		"close":        func(p *peer) { p.Close() },
		"close-notify": func(p *peer) { p.Conn.(*tls.Conn).CloseWrite() },
		"no-notify":    func(p *peer) { p.Conn.(*tls.Conn).NetConn().Close() },
	} {
		t.Run(name, func(t *testing.T) {
			tc := testTLS()
			if name == "close" {
				tc = nil
			}
			s := newStub(t, ServerConfig{}, tc)
			p := s.dial(t)
			p.send(second)
			p.receive("POST")
			end(p)
			waitFor(t, func() bool { s.mu.Lock(); defer s.mu.Unlock(); return len(s.errs) > 0 })
			if s.errs[0] != io.EOF {
				t.Errorf("ended with %v", s.errs[0])
			}
		})
	}
}

func waitFor(t testing.TB, cond func() bool) {
	t.Helper()
	for limit := time.Now().Add(patience); !cond(); runtime.Gosched() {
		if time.Now().After(limit) {
			t.Fatal("waited in vain")
		}
	}
}
