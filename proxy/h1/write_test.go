package h1

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"time"
)

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
