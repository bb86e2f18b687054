//go:build linux

package h1

import (
	"crypto/tls"
	"errors"
	"io"
	"net"
	"testing"
	"time"
)

// meet makes a connection, and the server's side of it that has read a request.
func meet(t *testing.T, cfg *tls.Config) (client net.Conn, s *ServerConn) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	if client, err = net.Dial("tcp", ln.Addr().String()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { client.Close() })
	accepted, err := ln.Accept()
	if err != nil {
		t.Fatal(err)
	}
	if cfg != nil {
		client, accepted = tls.Client(client, &tls.Config{InsecureSkipVerify: true}), tls.Server(accepted, cfg)
	}
	s = NewServer(accepted, ServerConfig{Timeouts: Timeouts{Idle: 50 * time.Millisecond}})
	t.Cleanup(func() { s.Close() })
	go io.WriteString(client, post("Content-Length: 2\r\n\r\nhi"))
	if _, err := s.Next(); err != nil {
		t.Fatal(err)
	}
	if _, err := s.ReadBody(nil, 10); err != nil {
		t.Fatal(err)
	}
	return client, s
}

// TestHangup: a client that closes is noticed, one that only sends is not; what
// it sent is still there, and time-outs hold as before.
func TestHangup(t *testing.T) {
	for kind, cfg := range map[string]*tls.Config{"tcp": nil, "tls": testTLS()} {
		t.Run(kind, func(t *testing.T) {
			client, s := meet(t, cfg)
			gone := make(chan struct{})
			s.WatchHangup(func() { close(gone) })
			client.Close()
			<-gone
		})
		t.Run(kind+"/stays", func(t *testing.T) {
			client, s := meet(t, cfg)
			stop := s.WatchHangup(func() { t.Error("it is there") })
			if _, err := io.WriteString(client, post("Content-Length: 3\r\n\r\nyou")); err != nil {
				t.Fatal(err)
			}
			stop()
			go io.Copy(io.Discard, client)
			for _, want := range []string{"", "you"} {
				if want != "" {
					if _, err := s.Next(); err != nil {
						t.Fatal(err)
					}
					if body, err := s.ReadBody(nil, 10); string(body) != want || err != nil {
						t.Errorf("%q, %v", body, err)
					}
				}
				if err := s.WriteResponse(200, nil, nil, nil, true); err != nil {
					t.Fatal(err)
				}
			}
			s.WatchHangup(func() { t.Error("it is there") })()
			ended := make(chan error, 1)
			go func() {
				_, err := s.Next()
				ended <- err
			}()
			select {
			case err := <-ended:
				if !errors.Is(err, ErrIdle) {
					t.Error(err)
				}
			case <-time.After(10 * time.Second):
				t.Fatal("the idle time-out does not hold any more")
			}
		})
	}
}
