package h1

import (
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// TestSlowPeers: a phase ends when its time is over, however the bytes trickle.
func TestSlowPeers(t *testing.T) {
	cfg := ServerConfig{Timeouts: Timeouts{Idle: 60 * time.Second, Head: 20 * time.Second, Body: 10 * time.Second, Write: 8 * time.Second}}
	body := post("Content-Length: 4000\r\n\r\n")
	for _, c := range []struct {
		name   string
		start  string
		feed   string // once a second, for ever
		reason Reason // empty: ErrIdle
		after  time.Duration
	}{
		{"silent", "", "", "", 60 * time.Second},
		{"head", "POST /acs", "", ReasonHeadTimeout, 20 * time.Second},
		{"head-trickled", "P", "O", ReasonHeadTimeout, 20 * time.Second},
		{"fields-trickled", "POST /acs HTTP/1.1\r\n", "X-A: b\r\n", ReasonHeadTimeout, 20 * time.Second},
		{"body", body + "<", "", ReasonBodyTimeout, 10 * time.Second},
		{"body-trickled", body, " ", ReasonBodyTimeout, 10 * time.Second},
		{"chunks-trickled", chunked(""), "1\r\n \r\n", ReasonBodyTimeout, 10 * time.Second},
		{"chunk-line-trickled", chunked(""), "0", ReasonBodyTimeout, 10 * time.Second},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				client, server := net.Pipe()
				var wg sync.WaitGroup
				defer wg.Wait()
				defer client.Close()
				wg.Go(func() {
					if c.start != "" {
						io.WriteString(client, c.start)
					}
					for c.feed != "" {
						time.Sleep(time.Second)
						if _, err := io.WriteString(client, c.feed); err != nil {
							return
						}
					}
				})
				begun := time.Now()
				s := NewServer(server, cfg)
				defer s.Close()
				_, err := s.Next()
				if err == nil {
					_, err = s.ReadBody(nil, 1<<20)
				}
				if c.reason == "" && err != ErrIdle {
					t.Errorf("%v, want ErrIdle", err)
				}
				if e, ok := errors.AsType[*Error](err); c.reason != "" && (!ok || e.Reason != c.reason || e.Status != 408) {
					t.Errorf("%v, want %s", err, c.reason)
				}
				if took := time.Since(begun); took != c.after {
					t.Errorf("given up after %v, want %v", took, c.after)
				}
			})
		})
	}
	t.Run("idle-after-a-request", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			client, server := net.Pipe()
			defer client.Close()
			go io.Copy(io.Discard, client)
			s := NewServer(server, cfg)
			defer s.Close()
			for range 5 {
				go func() {
					time.Sleep(55 * time.Second)
					io.WriteString(client, second)
				}()
				if _, err := s.Next(); err != nil {
					t.Fatal(err)
				}
				if _, err := s.ReadBody(nil, 10); err != nil {
					t.Fatal(err)
				}
				time.Sleep(45 * time.Second) // the ACS thinks
				if err := s.WriteResponse(200, nil, nil, nil, true); err != nil {
					t.Fatal(err)
				}
			}
			begun := time.Now()
			if _, err := s.Next(); err != ErrIdle || time.Since(begun) != 60*time.Second {
				t.Errorf("%v after %v", err, time.Since(begun))
			}
		})
	})
	t.Run("steady-body", func(t *testing.T) {
		// 32 KB/s for minutes: the body earns its time.
		synctest.Test(t, func(t *testing.T) {
			client, server := net.Pipe()
			defer client.Close()
			const size = 8 << 20
			var wg sync.WaitGroup
			defer wg.Wait()
			wg.Go(func() {
				io.WriteString(client, post(fmt.Sprintf("Content-Length: %d\r\n\r\n", size)))
				for range size / (32 << 10) {
					client.Write(make([]byte, 32<<10))
					time.Sleep(time.Second)
				}
			})
			s := NewServer(server, ServerConfig{Timeouts: Timeouts{Body: 30 * time.Second}})
			defer s.Close()
			s.Next()
			if got, err := s.ReadBody(nil, size); len(got) != size || err != nil {
				t.Errorf("%d bytes, %v", len(got), err)
			}
		})
	})
	t.Run("never-reads", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			client, server := net.Pipe()
			defer client.Close()
			go io.WriteString(client, post("\r\n"))
			s := NewServer(server, cfg)
			defer s.Close()
			s.Next()
			begun := time.Now()
			err := s.WriteResponse(200, nil, nil, []byte("x"), true)
			if !errors.Is(err, os.ErrDeadlineExceeded) || time.Since(begun) != 8*time.Second {
				t.Errorf("%v after %v", err, time.Since(begun))
			}
		})
	})
}

func TestDrain(t *testing.T) {
	for kind, tc := range map[string]*tls.Config{"tcp": nil, "tls": testTLS()} {
		t.Run(kind, func(t *testing.T) {
			conns := make(chan *ServerConn, 1)
			ended := make(chan error, 1)
			begun, gate := make(chan struct{}), make(chan struct{})
			p := one(t, tc, ServerConfig{}, func(s *ServerConn) {
				conns <- s
				for {
					if _, err := s.Next(); err != nil {
						ended <- err
						return
					}
					begun <- struct{}{}
					body, err := s.ReadBody(nil, 10)
					if err != nil {
						t.Error(err)
					}
					<-gate
					if err := s.WriteResponse(200, nil, nil, body, true); err != nil {
						t.Error(err)
					}
				}
			})
			s := <-conns
			p.send(second)
			<-begun
			gate <- struct{}{}
			p.receive("POST")
			p.send(second)
			<-begun // in flight while Drain is called
			s.Drain()
			gate <- struct{}{}
			p.receive("POST")
			if err := <-ended; err != ErrIdle {
				t.Errorf("ended with %v", err)
			}
		})
	}
	t.Run("as-a-request-begins", func(t *testing.T) {
		client, server := net.Pipe()
		defer client.Close()
		meets := &meeting{Conn: server}
		s := NewServer(meets, ServerConfig{})
		defer s.Close()
		meets.read = s.Drain
		go func() {
			io.WriteString(client, "P")
			io.WriteString(client, strings.TrimPrefix(second, "P"))
		}()
		if r, err := s.Next(); err != nil || string(r.Target) != "/second" {
			t.Fatalf("%+v, %v", r, err)
		}
		if body, err := s.ReadBody(nil, 10); string(body) != "ok" || err != nil {
			t.Errorf("%q, %v", body, err)
		}
		if _, err := s.Next(); err != ErrIdle {
			t.Errorf("ended with %v", err)
		}
	})
	t.Run("while-idle", func(t *testing.T) {
		ended := make(chan error, 1)
		conns := make(chan *ServerConn, 1)
		one(t, nil, ServerConfig{}, func(s *ServerConn) {
			conns <- s
			_, err := s.Next()
			ended <- err
		})
		s := <-conns
		waitFor(t, func() bool { s.mu.Lock(); defer s.mu.Unlock(); return s.idle })
		s.Drain()
		if err := <-ended; err != ErrIdle {
			t.Errorf("ended with %v", err)
		}
	})
}

// meeting calls read when the first byte has been read but not yet returned.
type meeting struct {
	net.Conn
	read func()
}

func (m *meeting) Read(p []byte) (int, error) {
	n, err := m.Conn.Read(p)
	if read := m.read; read != nil {
		m.read = nil
		read()
	}
	return n, err
}

// TestEarlyAnswer: the client reads the answer although it goes on sending a
// body that nobody reads.
func TestEarlyAnswer(t *testing.T) {
	const size = 8 << 20
	for kind, tc := range map[string]*tls.Config{"tcp": nil, "tls": testTLS()} {
		for name, refuse := range map[string]func(*ServerConn){
			"too-large": func(s *ServerConn) {
				_, err := s.ReadBody(nil, 1000)
				e, _ := errors.AsType[*Error](err)
				s.WriteResponse(e.Status, nil, nil, []byte(e.Reason), true)
			},
			"unread": func(s *ServerConn) { s.WriteResponse(413, nil, nil, []byte("body-too-large"), true) },
		} {
			t.Run(name+"/"+kind, func(t *testing.T) {
				p := one(t, tc, ServerConfig{}, func(s *ServerConn) {
					if _, err := s.Next(); err != nil {
						t.Error(err)
						return
					}
					refuse(s)
					if _, err := s.Next(); err != io.EOF {
						t.Errorf("went on with %v", err)
					}
				})
				wrote := make(chan error, 1)
				go func() {
					_, err := io.WriteString(p.Conn, post(fmt.Sprintf("Content-Length: %d\r\n\r\n", size)))
					if err == nil {
						_, err = p.Conn.Write(make([]byte, size))
					}
					wrote <- err
				}()
				if err := <-wrote; err != nil {
					t.Errorf("the body was not taken off the client: %v", err)
				}
				if r, body := p.receive("POST"); r.StatusCode != 413 || body != "body-too-large" || !r.Close {
					t.Errorf("answered %d %q, close %v", r.StatusCode, body, r.Close)
				}
			})
		}
	}
}

// TestUnreadBody: what is left of a body is skipped where it has come already.
func TestUnreadBody(t *testing.T) {
	p := one(t, nil, ServerConfig{}, func(s *ServerConn) {
		for {
			if _, err := s.Next(); err != nil {
				return
			}
			s.WriteResponse(200, nil, nil, nil, true)
		}
	})
	p.send(second)
	if r, _ := p.receive("POST"); r.Close {
		t.Errorf("closed behind a body that was there")
	}
	p.send(post("Content-Length: 9\r\n\r\nhi"))
	if r, _ := p.receive("POST"); !r.Close {
		t.Errorf("kept open in the middle of a body")
	}
}
