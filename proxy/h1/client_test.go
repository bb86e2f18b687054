package h1

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

var (
	postMethod = []byte("POST")
	target     = []byte("/acs")
	someFields = []Field{{[]byte("Host"), []byte("acs.example.net")}, {[]byte("SOAPAction"), []byte("")}}
)

// acs answers each request it reads with the next of raw, then closes.
func acs(t testing.TB, tc *tls.Config, raw ...string) *ClientConn {
	addr := serve(t, tc, func(c net.Conn) {
		br := bufio.NewReader(c)
		for _, answer := range raw {
			r, err := http.ReadRequest(br)
			if err != nil {
				return
			}
			if _, err := io.Copy(io.Discard, r.Body); err != nil {
				t.Errorf("the ACS got half a request: %v", err)
			}
			io.WriteString(c, answer)
		}
	})
	return dialACS(t, addr, tc)
}

func dialACS(t testing.TB, addr string, tc *tls.Config) *ClientConn {
	t.Helper()
	c, err := net.DialTimeout("tcp", addr, patience)
	if err != nil {
		t.Fatal(err)
	}
	if tc != nil {
		c = tls.Client(c, &tls.Config{InsecureSkipVerify: true})
	}
	cc := NewClient(c, ClientConfig{})
	t.Cleanup(func() { cc.Close() })
	return cc
}

// exchange sends a request with method and reads the whole answer.
func exchange(c *ClientConn, method string) (*Response, string, error) {
	if _, err := c.Send([]byte(method), target, someFields, nil); err != nil {
		return nil, "", err
	}
	r, err := c.Receive([]byte(method), time.Now().Add(patience))
	if err != nil {
		return nil, "", err
	}
	body, err := c.ReadBody(nil, 1<<20)
	return r, string(body), err
}

func TestResponses(t *testing.T) {
	const ok = "HTTP/1.1 200 OK\r\n"
	for _, c := range []struct {
		name   string
		raw    string
		method string // POST where empty
		reason Reason // empty: accepted
		status int
		body   string
		reuse  bool
		plain  bool // without TLS only
	}{
		{name: "length", raw: ok + "Content-Length: 2\r\n\r\nhi", body: "hi", reuse: true},
		{name: "empty", raw: ok + "Content-Length: 0\r\n\r\n", reuse: true},
		{name: "chunked", raw: ok + "Transfer-Encoding: chunked\r\n\r\n2;x=y\r\nhi\r\n0\r\n\r\n", body: "hi", reuse: true},
		{name: "chunked-padded", raw: ok + "Transfer-Encoding: chunked\r\n\r\n2  \r\nhi\r\n0 \r\n\r\n", body: "hi", reuse: true},
		{name: "chunked-named-twice", raw: ok + "Transfer-Encoding: chunked, Chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n", body: "hi", reuse: true},
		{name: "chunked-in-two-fields", raw: ok + "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n", body: "hi", reuse: true},
		{name: "trailers", raw: ok + "Transfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\nX-A: b\r\nContent-Length: 9\r\n\r\n", body: "hi", reuse: true},
		{name: "equal-lengths", raw: ok + "Content-Length: 2\r\nContent-Length: 02\r\n\r\nhi", body: "hi", reuse: true},
		{name: "length-list", raw: ok + "Content-Length: 2, 2\r\n\r\nhi", body: "hi", reuse: true},
		{name: "until-close", raw: ok + "\r\nhi", body: "hi"},
		{name: "http-1.0", raw: "HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nhi", body: "hi"},
		{name: "http-1.0-keep-alive", raw: "HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 2\r\n\r\nhi", body: "hi", reuse: true},
		{name: "http-1.0-until-close", raw: "HTTP/1.0 200 OK\r\n\r\nhi", body: "hi"},
		{name: "close", raw: ok + "Connection: close\r\nContent-Length: 2\r\n\r\nhi", body: "hi"},
		{name: "no-reason", raw: "HTTP/1.1 200 \r\nContent-Length: 2\r\n\r\nhi", body: "hi", reuse: true},
		{name: "no-reason-no-space", raw: "HTTP/1.1 200\r\nContent-Length: 2\r\n\r\nhi", body: "hi", reuse: true},
		{name: "odd-reason", raw: "HTTP/1.1 599 Grüß Gott\r\nContent-Length: 2\r\n\r\nhi", status: 599, body: "hi", reuse: true},
		{name: "204", raw: "HTTP/1.1 204 No Content\r\n\r\n", status: 204, reuse: true},
		{name: "204-length-0", raw: "HTTP/1.1 204 No Content\r\nContent-Length: 0\r\n\r\n", status: 204, reuse: true},
		{name: "204-length-5", raw: "HTTP/1.1 204 No Content\r\nContent-Length: 5\r\n\r\n", status: 204},
		{name: "204-body", raw: "HTTP/1.1 204 No Content\r\nContent-Length: 0\r\n\r\nhello", status: 204},
		{name: "204-chunked", raw: "HTTP/1.1 204 No Content\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", status: 204},
		{name: "304", raw: "HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n", status: 304, reuse: true},
		{name: "head", method: "HEAD", raw: ok + "Content-Length: 5\r\n\r\n", reuse: true},
		{name: "head-chunked", method: "HEAD", raw: ok + "Transfer-Encoding: chunked\r\n\r\n", reuse: true},
		{name: "head-no-length", method: "HEAD", raw: ok + "\r\n", reuse: true},
		{name: "continue", raw: "HTTP/1.1 100 Continue\r\n\r\n" + ok + "Content-Length: 2\r\n\r\nhi", body: "hi", reuse: true},
		{name: "continue-with-fields", raw: "HTTP/1.1 100 Continue\r\nX-A: b\r\n\r\nHTTP/1.1 100 Continue\r\n\r\n" + ok + "Content-Length: 2\r\n\r\nhi", body: "hi", reuse: true},
		{name: "second-answer-behind", raw: ok + "Content-Length: 2\r\n\r\nhi" + ok + "Content-Length: 6\r\n\r\nPOISON", body: "hi"},
		{name: "byte-behind", raw: ok + "Content-Length: 2\r\n\r\nhi\n", body: "hi"},
		{name: "byte-behind-chunks", raw: ok + "Transfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n!", body: "hi"},

		{name: "length-and-chunked", raw: ok + "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n", reason: ReasonLengthAndEncoding},
		{name: "differing-lengths", raw: ok + "Content-Length: 2\r\nContent-Length: 3\r\n\r\nhi", reason: ReasonRepeatedLength},
		{name: "differing-length-list", raw: ok + "Content-Length: 2, 3\r\n\r\nhi", reason: ReasonRepeatedLength},
		{name: "length-list-empty-element", raw: ok + "Content-Length: 2,\r\n\r\nhi", reason: ReasonContentLength},
		{name: "negative-length", raw: ok + "Content-Length: -5\r\n\r\nhi", reason: ReasonContentLength},
		{name: "hex-length", raw: ok + "Content-Length: 0x2\r\n\r\nhi", reason: ReasonContentLength},
		{name: "gzip-chunked", raw: ok + "Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n", reason: ReasonTransferEncoding},
		{name: "identity", raw: ok + "Transfer-Encoding: identity\r\n\r\nhi", reason: ReasonTransferEncoding},
		{name: "http-1.0-chunked", raw: "HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", reason: ReasonEncodingVersion},
		{name: "cut-off-by-length", raw: ok + "Content-Length: 9\r\n\r\nhi", reason: ReasonCutOff},
		{name: "cut-off-in-chunk", raw: ok + "Transfer-Encoding: chunked\r\n\r\nffff\r\nhi", reason: ReasonCutOff},
		{name: "cut-off-no-last-chunk", raw: ok + "Transfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n", reason: ReasonCutOff},
		{name: "cut-off-no-last-line", raw: ok + "Transfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n", reason: ReasonCutOff},
		{name: "cut-off-in-head", raw: "HTTP/1.1 200 OK\r\nContent-Le", reason: ReasonCutOff},
		{name: "cut-off-behind-continue", raw: "HTTP/1.1 100 Continue\r\n\r\n", reason: ReasonCutOff},
		{name: "bad-chunk-size", raw: ok + "Transfer-Encoding: chunked\r\n\r\nzz\r\nhi\r\n0\r\n\r\n", reason: ReasonChunkSize},
		{name: "bad-trailer", raw: ok + "Transfer-Encoding: chunked\r\n\r\n0\r\nnone\r\n\r\n", reason: ReasonNoColon},
		{name: "many-trailers", raw: ok + "Transfer-Encoding: chunked\r\n\r\n0\r\n" + strings.Repeat("X-A: b\r\n", 200) + "\r\n", reason: ReasonTrailer},
		{name: "body-too-large", raw: ok + "Content-Length: 99999999\r\n\r\nhi", reason: ReasonBodyTooLarge},
		{name: "chunk-too-large", raw: ok + "Transfer-Encoding: chunked\r\n\r\n5f5e0ff\r\nhi", reason: ReasonBodyTooLarge},
		{name: "until-close-too-large", raw: ok + "\r\n" + strings.Repeat("a", 1<<20+1), reason: ReasonBodyTooLarge},
		{name: "status-garbage", raw: "HTTP/1.1 abc OK\r\nContent-Length: 2\r\n\r\nhi", reason: ReasonStatusLine},
		{name: "status-four-digits", raw: "HTTP/1.1 2000 OK\r\nContent-Length: 2\r\n\r\nhi", reason: ReasonStatusLine},
		{name: "status-600", raw: "HTTP/1.1 600 OK\r\nContent-Length: 2\r\n\r\nhi", reason: ReasonStatusLine},
		{name: "no-http", raw: "220 mail.example ESMTP\r\n\r\n", reason: ReasonStatusLine},
		{name: "http-2", raw: "HTTP/2.0 200 OK\r\n\r\n", reason: ReasonStatusLine},
		{name: "empty-line-first", raw: "\r\n" + ok + "Content-Length: 2\r\n\r\nhi", reason: ReasonEmptyLine},
		{name: "nul-in-reason", raw: "HTTP/1.1 200 O\x00K\r\n\r\n", reason: ReasonStatusLine},
		{name: "switching-protocols", raw: "HTTP/1.1 101 Switching Protocols\r\nUpgrade: h2c\r\nConnection: Upgrade\r\n\r\n", reason: ReasonInterim},
		{name: "early-hints", raw: "HTTP/1.1 103 Early Hints\r\n\r\n" + ok + "\r\n", reason: ReasonInterim},
		{name: "many-continues", raw: strings.Repeat("HTTP/1.1 100 Continue\r\n\r\n", 9) + ok + "\r\n", reason: ReasonInterim},
		{name: "nul", raw: ok + "X-A: b\x00c\r\n\r\n", reason: ReasonNUL},
		{name: "bare-lf", raw: "HTTP/1.1 200 OK\nContent-Length: 2\n\nhi", reason: ReasonBareLF},
		{name: "obs-fold", raw: ok + "X-A: b\r\n c\r\n\r\n", reason: ReasonFold},
		{name: "space-before-colon", raw: ok + "Content-Length : 2\r\n\r\nhi", reason: ReasonSpaceBeforeColon},
		{name: "connection-names-length", raw: ok + "Connection: Content-Length\r\nContent-Length: 2\r\n\r\nhi", reason: ReasonConnection},
		{name: "head-4-mb", raw: ok + strings.Repeat("X-Flood: "+strings.Repeat("v", 1000)+"\r\n", 4000) + "\r\n", reason: ReasonHeadTooLarge},
		{name: "200-fields", raw: ok + strings.Repeat("X-A: b\r\n", 200) + "\r\n", reason: ReasonTooManyFields},
	} {
		for kind, tc := range map[string]*tls.Config{"tcp": nil, "tls": testTLS()} {
			t.Run(c.name+"/"+kind, func(t *testing.T) {
				raws := []string{c.raw}
				if c.reuse {
					raws = append(raws, ok+"Content-Length: 6\r\n\r\nsecond")
				}
				conn := acs(t, tc, raws...)
				if c.method == "" {
					c.method = "POST"
				}
				r, body, err := exchange(conn, c.method)
				if c.reason != "" {
					if e, ok := errors.AsType[*Error](err); !ok || e.Reason != c.reason || e.Status != 502 {
						t.Errorf("%v, want %s", err, c.reason)
					}
					if conn.Reusable() || conn.Peek() == nil {
						t.Errorf("could be used again")
					}
					return
				}
				if c.status == 0 {
					c.status = 200
				}
				if err != nil || r.Status != c.status || body != c.body {
					t.Fatalf("%+v %q, %v", r, body, err)
				}
				if !c.reuse {
					if conn.Reusable() || conn.Peek() == nil {
						t.Errorf("could be used again")
					}
					if wrote, err := conn.Send(postMethod, target, someFields, nil); wrote || !errors.Is(err, ErrNotReusable) {
						t.Errorf("a second request was sent: %v, %v", wrote, err)
					}
					return
				}
				if !conn.Reusable() {
					t.Fatalf("cannot be used again")
				}
				if err := conn.Peek(); err != nil {
					t.Fatal(err)
				}
				if _, body, err := exchange(conn, "POST"); body != "second" || err != nil {
					t.Errorf("second exchange: %q, %v", body, err)
				}
			})
		}
	}
}

// TestNoAnswer: an ACS that says nothing is told from one that says nonsense.
func TestNoAnswer(t *testing.T) {
	conn := acs(t, nil, "")
	_, _, err := exchange(conn, "POST")
	if !errors.Is(err, io.EOF) {
		t.Errorf("%v, want EOF", err)
	}
	if _, ok := errors.AsType[*Error](err); ok || conn.Reusable() {
		t.Errorf("%v, reusable %v", err, conn.Reusable())
	}
	for _, start := range []string{"", "HTTP/1.1 2"} {
		synctest.Test(t, func(t *testing.T) {
			ours, theirs := net.Pipe()
			defer ours.Close()
			defer theirs.Close()
			go func() {
				http.ReadRequest(bufio.NewReader(theirs))
				if start != "" {
					io.WriteString(theirs, start)
				}
			}()
			c := NewClient(ours, ClientConfig{})
			c.Send(postMethod, target, someFields, nil)
			begun := time.Now()
			_, err := c.Receive(postMethod, begun.Add(28*time.Second))
			if took := time.Since(begun); !errors.Is(err, os.ErrDeadlineExceeded) || took != 28*time.Second {
				t.Errorf("%v after %v", err, took)
			}
			if e, ok := err.(net.Error); !ok && !errors.As(err, &e) || c.Reusable() {
				t.Errorf("%v is no net.Error", err)
			}
		})
	}
}

// TestSlowAnswer: an answer that comes in time is taken, however often the
// connection was used before.
func TestSlowAnswer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ours, theirs := net.Pipe()
		defer ours.Close()
		done := make(chan struct{})
		go func() {
			defer close(done)
			defer theirs.Close()
			br := bufio.NewReader(theirs)
			for range 4 {
				if _, err := http.ReadRequest(br); err != nil {
					t.Error(err)
				}
				time.Sleep(25 * time.Second)
				io.WriteString(theirs, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi")
			}
		}()
		c := NewClient(ours, ClientConfig{})
		for range 4 {
			if _, err := c.Send(postMethod, target, someFields, nil); err != nil {
				t.Fatal(err)
			}
			if _, err := c.Receive(postMethod, time.Now().Add(28*time.Second)); err != nil {
				t.Fatal(err)
			}
			if body, err := c.ReadBody(nil, 10); string(body) != "hi" || err != nil {
				t.Fatalf("%q, %v", body, err)
			}
			time.Sleep(20 * time.Second)
		}
		<-done
	})
}

// TestUnaskedAnswer: what comes on an idle connection is never given to the
// next request.
func TestUnaskedAnswer(t *testing.T) {
	for kind, tc := range map[string]*tls.Config{"tcp": nil, "tls": testTLS()} {
		for name, more := range map[string]string{
			"answer": "HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nPOISON", "byte": "H", "close": "",
		} {
			t.Run(name+"/"+kind, func(t *testing.T) {
				idle := make(chan struct{})
				sent := make(chan struct{})
				addr := serve(t, tc, func(c net.Conn) {
					http.ReadRequest(bufio.NewReader(c))
					io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi")
					<-idle
					if more == "" {
						c.Close()
					} else {
						io.WriteString(c, more)
					}
					close(sent)
					io.Copy(io.Discard, c)
				})
				conn := dialACS(t, addr, tc)
				if _, body, err := exchange(conn, "POST"); body != "hi" || err != nil {
					t.Fatalf("%q, %v", body, err)
				}
				if err := conn.Peek(); err != nil {
					t.Fatal(err)
				}
				if tc != nil {
					// Peek must not have disturbed TLS's own deadline or state.
					if err := conn.Peek(); err != nil {
						t.Fatal(err)
					}
				}
				close(idle)
				<-sent
				waitFor(t, func() bool { return conn.Peek() != nil })
				wrote, err := conn.Send(postMethod, target, someFields, nil)
				if wrote || !errors.Is(err, ErrNotReusable) {
					t.Errorf("sent %v, %v", wrote, err)
				}
				conn.Close()
			})
		}
	}
}

// TestOrder: the calls of an exchange in an order that would mix messages up.
func TestOrder(t *testing.T) {
	answer := "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi"
	conn := acs(t, nil, answer, answer)
	if _, err := conn.Receive(postMethod, time.Now().Add(patience)); !errors.Is(err, ErrNotReusable) {
		t.Errorf("received before anything was sent: %v", err)
	}
	if wrote, err := conn.Send(postMethod, target, someFields, nil); !wrote || err != nil {
		t.Fatal(wrote, err)
	}
	if wrote, err := conn.Send(postMethod, target, someFields, nil); wrote || !errors.Is(err, ErrNotReusable) {
		t.Errorf("sent twice: %v, %v", wrote, err)
	}
	if _, err := conn.Receive(postMethod, time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	if wrote, err := conn.Send(postMethod, target, someFields, nil); wrote || !errors.Is(err, ErrNotReusable) {
		t.Errorf("sent with a body unread: %v, %v", wrote, err)
	}
}

func TestRequestsAsWritten(t *testing.T) {
	for _, c := range []struct {
		method, body, want string
		stream             int64 // -2: Send
	}{
		{"POST", "hello", "Content-Length: 5\r\n\r\nhello", -2},
		{"POST", "", "Content-Length: 0\r\n\r\n", -2},
		{"PUT", "", "Content-Length: 0\r\n\r\n", -2},
		{"GET", "", "\r\n", -2},
		{"GET", "x", "Content-Length: 1\r\n\r\nx", -2},
		{"POST", "hello", "Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n", -1},
		{"PUT", "hello", "Content-Length: 5\r\n\r\nhello", 5},
	} {
		t.Run(fmt.Sprint(c.method, len(c.body), c.stream), func(t *testing.T) {
			ours, theirs := net.Pipe()
			got := make(chan []byte, 1)
			go func() {
				b, _ := io.ReadAll(theirs)
				got <- b
			}()
			conn := NewClient(ours, ClientConfig{})
			fields := append([]Field{{[]byte("Content-Length"), []byte("9")}}, someFields...)
			var wrote bool
			var err error
			if c.stream == -2 {
				wrote, err = conn.Send([]byte(c.method), target, fields, []byte(c.body))
			} else {
				wrote, err = conn.SendStream([]byte(c.method), target, fields, c.stream, strings.NewReader(c.body))
			}
			conn.Close()
			want := c.method + " /acs HTTP/1.1\r\nHost: acs.example.net\r\nSOAPAction: \r\n" + c.want
			if b := <-got; string(b) != want || !wrote || err != nil {
				t.Errorf("wrote\n%q, want\n%q (%v, %v)", b, want, wrote, err)
			}
		})
	}
}

// TestAnsweredEarly: an ACS that answers before it has the whole request is
// heard, whatever it then does.
func TestAnsweredEarly(t *testing.T) {
	const size = 16 << 20
	const answer = "HTTP/1.1 413 Too Large\r\nContent-Length: 2\r\n\r\nno"
	for kind, tc := range map[string]*tls.Config{"tcp": nil, "tls": testTLS()} {
		for name, c := range map[string]struct {
			then  func(net.Conn, *bufio.Reader)
			reuse bool
		}{
			"stops-reading": {func(net.Conn, *bufio.Reader) {}, false},
			"reads-on":      {func(_ net.Conn, br *bufio.Reader) { io.CopyN(io.Discard, br, size) }, true},
			"half-closes": {func(c net.Conn, _ *bufio.Reader) {
				c.(interface{ CloseWrite() error }).CloseWrite()
			}, false},
		} {
			for _, how := range []string{"send", "stream", "chunked"} {
				t.Run(name+"/"+how+"/"+kind, func(t *testing.T) {
					t.Parallel() // each waits for answerGrace
					over := make(chan struct{})
					addr := serve(t, tc, func(conn net.Conn) {
						br := bufio.NewReader(conn)
						r, err := http.ReadRequest(br)
						if err != nil {
							t.Error(err)
							return
						}
						io.WriteString(conn, "HTTP/1.1 100 Continue\r\n\r\n"+answer)
						if name == "reads-on" {
							io.Copy(io.Discard, r.Body)
						} else {
							c.then(conn, br)
						}
						<-over
					})
					conn := dialACS(t, addr, tc)
					defer close(over)
					var wrote bool
					var err error
					switch body := make([]byte, size); how {
					case "send":
						wrote, err = conn.Send(postMethod, target, someFields, body)
					case "stream":
						wrote, err = conn.SendStream(postMethod, target, someFields, size, bytes.NewReader(body))
					default:
						wrote, err = conn.SendStream(postMethod, target, someFields, -1, bytes.NewReader(body))
					}
					if !wrote || err != nil {
						t.Fatalf("wrote %v, %v", wrote, err)
					}
					r, err := conn.Receive(postMethod, time.Now().Add(patience))
					if err != nil || r.Status != 413 {
						t.Fatalf("%+v, %v", r, err)
					}
					if body, err := conn.ReadBody(nil, 10); string(body) != "no" || err != nil {
						t.Errorf("%q, %v", body, err)
					}
					if conn.Reusable() != c.reuse {
						t.Errorf("reusable is %v", conn.Reusable())
					}
				})
			}
		}
	}
}

// TestAnsweredAndReset: the ACS answers a large request and closes with bytes
// unread, which resets the connection.
func TestAnsweredAndReset(t *testing.T) {
	heard := 0
	for range 20 {
		addr := serve(t, nil, func(c net.Conn) {
			http.ReadRequest(bufio.NewReader(c))
			io.WriteString(c, "HTTP/1.1 413 Too Large\r\nConnection: close\r\nContent-Length: 2\r\n\r\nno")
		})
		conn := dialACS(t, addr, nil)
		wrote, err := conn.Send(postMethod, target, someFields, make([]byte, 4<<20))
		if err == nil {
			if r, err := conn.Receive(postMethod, time.Now().Add(patience)); err == nil && r.Status == 413 {
				heard++
			}
		}
		if !wrote || conn.Reusable() {
			t.Errorf("wrote %v, reusable %v", wrote, conn.Reusable())
		}
		conn.Close()
	}
	// The kernel may lose the answer with the reset; it is not us who lose it.
	if heard == 0 {
		t.Errorf("the answer was never heard")
	}
	t.Logf("heard %d of 20", heard)
}

// TestNothingWritten: wrote is false only where no byte can have been read.
func TestNothingWritten(t *testing.T) {
	for name, c := range map[string]*ClientConn{
		"closed-by-us": func() *ClientConn { c := acs(t, nil); c.Close(); return c }(),
		"pipe-closed": func() *ClientConn {
			ours, theirs := net.Pipe()
			theirs.Close()
			return NewClient(ours, ClientConfig{})
		}(),
	} {
		if wrote, err := c.Send(postMethod, target, someFields, []byte("hi")); wrote || err == nil {
			t.Errorf("%s: wrote %v, %v", name, wrote, err)
		}
	}
	ours, theirs := net.Pipe()
	go func() {
		theirs.Read(make([]byte, 1))
		theirs.Close()
	}()
	c := NewClient(ours, ClientConfig{})
	if wrote, err := c.Send(postMethod, target, someFields, []byte("hi")); !wrote || err == nil {
		t.Errorf("one byte left: wrote %v, %v", wrote, err)
	}
	ours, theirs = net.Pipe()
	defer theirs.Close()
	go io.Copy(io.Discard, theirs)
	c = NewClient(ours, ClientConfig{})
	wrote, err := c.SendStream(postMethod, target, someFields, -1, io.MultiReader(strings.NewReader("x"), failing{}))
	if !wrote || !errors.Is(err, errFailing) || c.Reusable() {
		t.Errorf("source failed: wrote %v, %v", wrote, err)
	}
	c.Close()
}

// TestCloseFromOutside: Close ends a Receive in another goroutine.
func TestCloseFromOutside(t *testing.T) {
	got := make(chan struct{})
	addr := serve(t, nil, func(c net.Conn) {
		http.ReadRequest(bufio.NewReader(c))
		close(got)
		io.Copy(io.Discard, c)
	})
	c := dialACS(t, addr, nil)
	done := make(chan error, 1)
	go func() {
		_, _, err := exchange(c, "POST")
		done <- err
	}()
	<-got
	c.Close()
	if err := <-done; !errors.Is(err, net.ErrClosed) {
		t.Errorf("%v", err)
	}
}

func TestHopByHop(t *testing.T) {
	fields := []Field{{[]byte("Connection"), []byte("X-Hop , keep-alive")}, {[]byte("CONNECTION"), []byte("x-other")}}
	for name, want := range map[string]bool{
		"connection": true, "Keep-Alive": true, "TE": true, "trailer": true, "Transfer-Encoding": true, "upgrade": true,
		"Proxy-Connection": true, "proxy-authorization": true, "x-hop": true, "X-Other": true,
		"X-Hop2": false, "Content-Type": false, "SOAPAction": false, "": false,
	} {
		if HopByHop(fields, []byte(name)) != want {
			t.Errorf("%q: %v", name, !want)
		}
	}
}
