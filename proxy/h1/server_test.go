package h1

import (
	"bytes"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"runtime"
	"strings"
	"sync"
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

func TestWriteResponse(t *testing.T) {
	fields := []Field{
		{[]byte("SOAPAction"), []byte("")}, {[]byte("content-TYPE"), []byte("text/xml")}, {[]byte("X-Twice"), []byte("a")}, {[]byte("X-Twice"), []byte("b, c")},
		{[]byte("content-length"), []byte("77")}, {[]byte("TRANSFER-ENCODING"), []byte("chunked")}, {[]byte("Connection"), []byte("X-Twice")},
	}
	const written = "SOAPAction: \r\ncontent-TYPE: text/xml\r\nX-Twice: a\r\nX-Twice: b, c\r\n"
	for _, c := range []struct {
		name, request string
		status        int
		reason        string
		body          string
		keep          bool
		want          string
	}{
		{"ordinary", post("\r\n"), 200, "", "hello", true, "HTTP/1.1 200 OK\r\n" + written + "Content-Length: 5\r\n\r\nhello"},
		{"reason-of-the-acs", post("\r\n"), 599, "What ever\xe9", "", true, "HTTP/1.1 599 What ever\xe9\r\n" + written + "Content-Length: 0\r\n\r\n"},
		{"no-reason", post("\r\n"), 299, "", "", true, "HTTP/1.1 299 \r\n" + written + "Content-Length: 0\r\n\r\n"},
		{"close", post("\r\n"), 503, "", "x", false, "HTTP/1.1 503 Service Unavailable\r\n" + written + "Content-Length: 1\r\nConnection: close\r\n\r\nx"},
		{"204", post("\r\n"), 204, "", "", true, "HTTP/1.1 204 No Content\r\n" + written + "\r\n"},
		{"204-with-a-body", post("\r\n"), 204, "", "lost", true, "HTTP/1.1 204 No Content\r\n" + written + "\r\n"},
		{"304", post("\r\n"), 304, "", "", true, "HTTP/1.1 304 \r\n" + written + "\r\n"},
		{"head", "HEAD / HTTP/1.1\r\nHost: a\r\n\r\n", 200, "", "hello", true, "HTTP/1.1 200 OK\r\n" + written + "Content-Length: 5\r\n\r\n"},
		{"head-unknown", "HEAD / HTTP/1.1\r\nHost: a\r\n\r\n", 200, "", "", true, "HTTP/1.1 200 OK\r\n" + written + "\r\n"},
		{"http-1.0", "POST / HTTP/1.0\r\n\r\n", 200, "", "hello", true, "HTTP/1.1 200 OK\r\n" + written + "Content-Length: 5\r\nConnection: close\r\n\r\nhello"},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := one(t, nil, ServerConfig{}, func(s *ServerConn) {
				if _, err := s.Next(); err != nil {
					t.Error(err)
				}
				if err := s.WriteResponse(c.status, []byte(c.reason), fields, []byte(c.body), c.keep); err != nil {
					t.Error(err)
				}
			})
			p.send(c.request)
			if got, err := io.ReadAll(p.br); string(got) != c.want || err != nil {
				t.Errorf("wrote\n%q, want\n%q (%v)", got, c.want, err)
			}
		})
	}
}

// TestFieldsCannotBreakOut: a value with a line end would begin a field of its
// sender's choice.
func TestFieldsCannotBreakOut(t *testing.T) {
	for _, f := range []Field{
		{[]byte("X-A"), []byte("b\r\nSet-Cookie: c")}, {[]byte("X-A"), []byte("b\nc")}, {[]byte("X-A"), []byte("b\rc")}, {[]byte("X-A"), []byte("b\x00")},
		{[]byte("X A"), []byte("b")}, {[]byte("X-A:"), []byte("b")}, {[]byte(""), []byte("b")}, {[]byte("X-A\r\n"), nil},
	} {
		client, server := net.Pipe()
		s := NewServer(server, ServerConfig{})
		if err := s.WriteResponse(200, nil, []Field{f}, nil, true); err == nil {
			t.Errorf("%q was written to a CPE", f)
		}
		if err := s.WriteResponse(200, []byte("OK\r\nX: y"), nil, nil, true); err == nil {
			t.Errorf("a reason phrase with a line end was written")
		}
		c := NewClient(client, ClientConfig{})
		if wrote, err := c.Send([]byte("POST"), []byte("/"), []Field{f}, nil); wrote || err == nil {
			t.Errorf("%q was written to an ACS", f)
		}
		client.Close()
		server.Close()
	}
}

// counting counts the writes on a connection.
type counting struct {
	net.Conn
	writes, deadlines int
}

func (c *counting) Write(p []byte) (int, error) {
	c.writes++
	return c.Conn.Write(p)
}

func (c *counting) SetReadDeadline(t time.Time) error {
	c.deadlines++
	return c.Conn.SetReadDeadline(t)
}

func (c *counting) SetWriteDeadline(t time.Time) error {
	c.deadlines++
	return c.Conn.SetWriteDeadline(t)
}

func TestOneWritePerMessage(t *testing.T) {
	for size, want := range map[int]int{0: 1, 8000: 1, 16 << 10: 2, 1 << 20: 2} {
		t.Run(fmt.Sprint(size), func(t *testing.T) {
			var c *counting
			done := make(chan struct{})
			addr := serve(t, nil, func(nc net.Conn) {
				defer close(done)
				c = &counting{Conn: nc}
				s := NewServer(c, ServerConfig{})
				s.Next()
				s.WriteResponse(200, nil, nil, make([]byte, size), true)
			})
			p := dialPeer(t, addr, nil)
			p.send(post("\r\n"))
			p.receive("POST")
			<-done
			if c.writes != want {
				t.Errorf("%d writes for a body of %d bytes, want %d", c.writes, size, want)
			}
		})
	}
}

// TestDeadlinesAreLeftAlone: an exchange that is quick moves no deadline.
func TestDeadlinesAreLeftAlone(t *testing.T) {
	var c *counting
	done := make(chan struct{})
	addr := serve(t, nil, func(nc net.Conn) {
		defer close(done)
		c = &counting{Conn: nc}
		s := &stub{}
		s.run(NewServer(c, ServerConfig{}), 1<<20)
	})
	p := dialPeer(t, addr, nil)
	for range 50 {
		p.send(post("Content-Length: 2\r\n\r\nhi"))
		p.receive("POST")
	}
	p.Close()
	<-done
	if c.deadlines > 2 {
		t.Errorf("50 exchanges set %d deadlines, want one for reading and one for writing", c.deadlines)
	}
}

func TestWriteStream(t *testing.T) {
	big := strings.Repeat("0123456789abcdef", 5000)
	for _, c := range []struct {
		name, request string
		length        int64
		body          string
		framing       string
		keep          bool
	}{
		{"length", post("\r\n"), 80000, big, "Content-Length: 80000\r\n", true},
		{"empty", post("\r\n"), 0, "", "Content-Length: 0\r\n", true},
		{"chunked", post("\r\n"), -1, big, "Transfer-Encoding: chunked\r\n", true},
		{"chunked-empty", post("\r\n"), -1, "", "Transfer-Encoding: chunked\r\n", true},
		{"until-close", "POST / HTTP/1.0\r\n\r\n", -1, big, "Connection: close\r\n", false},
		{"http-1.0-length", "POST / HTTP/1.0\r\n\r\n", 80000, big, "Content-Length: 80000\r\nConnection: close\r\n", false},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := one(t, nil, ServerConfig{}, func(s *ServerConn) {
				for {
					if _, err := s.Next(); err != nil {
						return
					}
					n, err := s.WriteStream(200, nil, nil, c.length, strings.NewReader(c.body), true)
					if err != nil || n != int64(len(c.body)) {
						t.Errorf("%d bytes, %v", n, err)
					}
				}
			})
			for range 2 {
				p.send(c.request)
				head := make([]byte, len("HTTP/1.1 200 OK\r\n")+len(c.framing))
				peeked, err := p.br.Peek(len(head))
				if copy(head, peeked); err != nil || string(head) != "HTTP/1.1 200 OK\r\n"+c.framing {
					t.Errorf("head is %q, %v", head, err)
				}
				if _, body := p.receive("POST"); body != c.body {
					t.Errorf("%d bytes came, want %d", len(body), len(c.body))
				}
				if !c.keep {
					p.ended()
					return
				}
			}
		})
	}
	t.Run("source-fails", func(t *testing.T) {
		for _, length := range []int64{100, -1} {
			p := one(t, nil, ServerConfig{}, func(s *ServerConn) {
				s.Next()
				n, err := s.WriteStream(200, nil, nil, length, strings.NewReader("short"), true)
				if length > 0 && (n != 5 || !errors.Is(err, io.ErrUnexpectedEOF)) {
					t.Errorf("%d bytes, %v", n, err)
				}
				n, err = s.WriteStream(200, nil, nil, length, io.MultiReader(strings.NewReader("short"), failing{}), true)
				if n != 5 || !errors.Is(err, errFailing) {
					t.Errorf("%d bytes, %v", n, err)
				}
				if _, err := s.Next(); err != io.EOF {
					t.Errorf("went on with %v", err)
				}
			})
			p.send(post("\r\n"))
			io.ReadAll(p.br)
		}
	})
	t.Run("bodyless", func(t *testing.T) {
		p := one(t, nil, ServerConfig{}, func(s *ServerConn) {
			for {
				if _, err := s.Next(); err != nil {
					return
				}
				if n, err := s.WriteStream(200, nil, nil, 80000, failing{}, true); n != 0 || err != nil {
					t.Errorf("%d bytes, %v", n, err)
				}
			}
		})
		for range 2 {
			p.send("HEAD /f HTTP/1.1\r\nHost: a\r\n\r\n")
			if r, _ := p.receive("HEAD"); r.ContentLength != 80000 {
				t.Errorf("length is %d", r.ContentLength)
			}
		}
	})
}

var errFailing = errors.New("source failed")

type failing struct{}

func (failing) Read([]byte) (int, error) { return 0, errFailing }

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

// TestIdleMemory: a connection that waits holds no buffer, whatever it read
// before.
func TestIdleMemory(t *testing.T) {
	t.Run("tcp", func(t *testing.T) { idleMemory(t, func(c net.Conn) net.Conn { return c }) })
	t.Run("other", func(t *testing.T) { idleMemory(t, func(c net.Conn) net.Conn { return &counting{Conn: c} }) })
}

func idleMemory(t *testing.T, wrap func(net.Conn) net.Conn) {
	const n = 300
	big := post("Content-Length: 100000\r\nX-A: " + strings.Repeat("a", 20000) + "\r\n\r\n" + strings.Repeat("b", 100000))
	answer := make([]byte, 200000)
	conns := make(chan *ServerConn, n)
	addr := serve(t, nil, func(c net.Conn) {
		s := NewServer(wrap(c), ServerConfig{})
		defer s.Close()
		conns <- s
		(&stub{}).run(s, 1<<20)
	})
	start := heap()
	for range n {
		p := dialPeer(t, addr, nil)
		p.br = nil
		p.send(big)
		if _, err := io.ReadAtLeast(p.Conn, answer, 100000); err != nil {
			t.Fatal(err)
		}
	}
	for range n {
		s := <-conns
		waitFor(t, func() bool { s.mu.Lock(); defer s.mu.Unlock(); return s.idle })
	}
	waitFor(t, func() bool { return heap()-start < n*8<<10 })
	t.Logf("an idle connection takes %d bytes, both ends and this test's part of it", (heap()-start)/n)
}

func heap() int64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.GC() // a pool lets go at the second
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

func TestConnSize(t *testing.T) {
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	made := make([]*ServerConn, 1000)
	client, server := net.Pipe()
	defer client.Close()
	defer server.Close()
	for i := range made {
		made[i] = NewServer(server, ServerConfig{})
	}
	runtime.GC()
	runtime.ReadMemStats(&after)
	if each := int64(after.HeapAlloc-before.HeapAlloc) / int64(len(made)); each > 1024 {
		t.Errorf("a connection takes %d bytes", each)
	} else {
		t.Logf("a connection takes %d bytes", each)
	}
	runtime.KeepAlive(made)
}

func TestFieldsKeepTheirForm(t *testing.T) {
	names := "SOAPAction|content-TYPE|x!#$%&'*+-.^_`|~1|X-Twice|X-Twice|X-Empty"
	p := one(t, nil, ServerConfig{}, func(s *ServerConn) {
		r, err := s.Next()
		if err != nil {
			t.Error(err)
			return
		}
		var got [][]byte
		for _, f := range r.Fields[1:] {
			got = append(got, f.Name)
		}
		if string(bytes.Join(got, []byte("|"))) != names {
			t.Errorf("names are %q", got)
		}
		if v := r.Fields.Get("x-twice"); string(v) != "a" || !r.Fields.Has("X-EMPTY") || r.Fields.Get("none") != nil {
			t.Errorf("Get gives %q", v)
		}
		if v := r.Fields.Get("soapaction"); string(v) != `""` {
			t.Errorf("SOAPAction is %q", v)
		}
		s.WriteResponse(200, nil, nil, nil, true)
	})
	p.send(post("SOAPAction: \t\"\"\t \r\ncontent-TYPE:x\r\nx!#$%&'*+-.^_`|~1: y\r\nX-Twice: a\r\nX-Twice: b, c\r\nX-Empty:\r\n\r\n"))
	p.receive("POST")
}
