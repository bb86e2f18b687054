package h1

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"
)

// wire is a connection that gives bytes, then EOF, and keeps what is written.
type wire struct {
	io.Reader
	bytes.Buffer
}

func (w *wire) Read(p []byte) (int, error) { return w.Reader.Read(p) }

func (w *wire) Close() error                     { return nil }
func (w *wire) LocalAddr() net.Addr              { return nil }
func (w *wire) RemoteAddr() net.Addr             { return nil }
func (w *wire) SetDeadline(time.Time) error      { return nil }
func (w *wire) SetReadDeadline(time.Time) error  { return nil }
func (w *wire) SetWriteDeadline(time.Time) error { return nil }

// oneByte gives its bytes one at a time, so that every way of cutting a message
// into reads is held to the same result.
type oneByte struct{ r io.Reader }

func (o oneByte) Read(p []byte) (int, error) { return o.r.Read(p[:min(1, len(p))]) }

// letThrough are requests that are taken here and not by net/http, on purpose:
// their form is told by net/http's error.
func letThrough(r *Request, err error) bool {
	text := err.Error()
	switch {
	case strings.Contains(text, "invalid URI"), strings.Contains(text, "parse \""):
		return true // a path is the ACS's to understand; Digest covers it as it came
	case strings.Contains(text, "missing required Host"), strings.Contains(text, "malformed Host"):
		return len(r.Host) == 0 && r.Minor == 0
	}
	return false
}

func FuzzRequest(f *testing.F) {
	for _, c := range leniencies {
		if len(c.wire) < 2000 {
			f.Add([]byte(c.wire + second))
		}
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		out := &wire{Reader: bytes.NewReader(in)}
		s := NewServer(out, ServerConfig{})
		defer s.Close()
		theirs := bufio.NewReader(bytes.NewReader(in))
		slow := NewServer(&wire{Reader: oneByte{bytes.NewReader(in)}}, ServerConfig{})
		defer slow.Close()
		for {
			r, err := s.Next()
			if err == io.EOF {
				return
			}
			var body []byte
			if err == nil {
				body, err = s.ReadBody(nil, 1<<16)
			}
			sameSlowly(t, slow, r, body, err)
			if err != nil {
				if e, ok := errors.AsType[*Error](err); !ok || statusOf(e.Reason) != e.Status {
					t.Fatalf("%v", err)
				}
				return
			}
			req, err := http.ReadRequest(theirs)
			if err != nil {
				if !letThrough(r, err) {
					t.Fatalf("net/http refuses %q: %v", in, err)
				}
				return
			}
			alike(t, r, body, req)
			writesTheSame(t, r, body)
			if err := s.WriteResponse(204, nil, nil, nil, true); err != nil {
				t.Fatal(err)
			}
			if !r.KeepAlive {
				return
			}
		}
	})
}

// sameSlowly holds that the request does not depend on how its bytes arrive.
func sameSlowly(t *testing.T, slow *ServerConn, want *Request, wantBody []byte, wantErr error) {
	r, err := slow.Next()
	var body []byte
	if err == nil {
		body, err = slow.ReadBody(nil, 1<<16)
	}
	if (err == nil) != (wantErr == nil) {
		t.Fatalf("byte by byte: %v, want %v", err, wantErr)
	}
	if err != nil {
		a, _ := errors.AsType[*Error](err)
		b, _ := errors.AsType[*Error](wantErr)
		if a == nil || b == nil || a.Reason != b.Reason {
			t.Fatalf("byte by byte: %v, want %v", err, wantErr)
		}
		return
	}
	if !bytes.Equal(body, wantBody) || !bytes.Equal(r.Target, want.Target) || len(r.Fields) != len(want.Fields) {
		t.Fatalf("byte by byte: %+v %q, want %+v %q", r, body, want, wantBody)
	}
	if err := slow.WriteResponse(204, nil, nil, nil, true); err != nil {
		t.Fatal(err)
	}
}

// alike holds that net/http reads the same request.
func alike(t *testing.T, r *Request, body []byte, req *http.Request) {
	t.Helper()
	theirBody, err := io.ReadAll(req.Body)
	switch {
	case err != nil:
		t.Fatalf("net/http cannot read the body: %v", err)
	case !bytes.Equal(body, theirBody):
		t.Fatalf("body is %q, net/http reads %q", body, theirBody)
	case string(r.Method) != req.Method, r.Minor != req.ProtoMinor:
		t.Fatalf("%s HTTP/1.%d, net/http reads %s %s", r.Method, r.Minor, req.Method, req.Proto)
	case !strings.HasSuffix(req.RequestURI, string(r.Target)) && r.Target[0] == '/' && len(r.Target) > 1 && r.Target[1] != '?':
		t.Fatalf("target is %q, net/http reads %q", r.Target, req.RequestURI)
	case !bytes.EqualFold(r.Host, []byte(req.Host)) && req.URL.Host == "":
		t.Fatalf("host is %q, net/http reads %q", r.Host, req.Host)
	case r.KeepAlive && req.Close:
		t.Fatalf("kept alive, net/http closes")
	case len(req.Trailer) > 0 && req.Trailer.Get("X") != "":
		t.Fatalf("net/http reads trailers %v", req.Trailer)
	}
	sameFields(t, r.Fields, req.Header, "Host", "Transfer-Encoding", "Content-Length", "Trailer", "Connection", "Cache-Control")
}

// sameFields holds that every field is net/http's field of the same place.
func sameFields(t *testing.T, fields Fields, header http.Header, but ...string) {
	t.Helper()
	at := map[string]int{}
	for _, f := range fields {
		name := http.CanonicalHeaderKey(string(f.Name))
		if slices.Contains(but, name) {
			continue
		}
		values := header[name]
		if at[name] >= len(values) || values[at[name]] != string(f.Value) {
			t.Fatalf("%s number %d is %q, net/http reads %q", f.Name, at[name], f.Value, values)
		}
		at[name]++
	}
	for name, values := range header {
		if at[name] != len(values) && !slices.Contains(but, name) {
			t.Fatalf("net/http reads %q for %s, of which %d were seen", values, name, at[name])
		}
	}
}

// writesTheSame sends what was read and reads it again: fields, order and body
// must come through as they were, and a second time be the same bytes.
func writesTheSame(t *testing.T, r *Request, body []byte) {
	t.Helper()
	first := rewrite(t, r.Method, r.Target, r.Fields, body)
	s := NewServer(&wire{Reader: bytes.NewReader(first)}, ServerConfig{AllowNoHost: true, Limits: Limits{Fields: 200, Head: 64 << 10}})
	defer s.Close()
	again, err := s.Next()
	if err != nil {
		t.Fatalf("what was written does not read: %q: %v", first, err)
	}
	got, err := s.ReadBody(nil, 1<<16)
	if err != nil || !bytes.Equal(got, body) || !bytes.Equal(again.Target, r.Target) || !bytes.Equal(again.Method, r.Method) {
		t.Fatalf("written and read again: %s %s %q, %v", again.Method, again.Target, got, err)
	}
	if more := rewrite(t, again.Method, again.Target, again.Fields, got); !bytes.Equal(more, first) {
		t.Fatalf("written twice:\n%q\n%q", first, more)
	}
	var kept, came Fields
	for _, f := range r.Fields {
		if !isName(f.Name, "content-length") && !isName(f.Name, "transfer-encoding") && !isName(f.Name, "connection") {
			kept = append(kept, f)
		}
	}
	for _, f := range again.Fields {
		if !isName(f.Name, "content-length") {
			came = append(came, f)
		}
	}
	if len(kept) != len(came) {
		t.Fatalf("%d fields became %d", len(kept), len(came))
	}
	for i := range kept {
		if !bytes.Equal(kept[i].Name, came[i].Name) || !bytes.Equal(kept[i].Value, came[i].Value) {
			t.Fatalf("%q became %q", kept[i], came[i])
		}
	}
}

func rewrite(t *testing.T, method, target []byte, fields Fields, body []byte) []byte {
	t.Helper()
	w := &wire{Reader: strings.NewReader("")}
	c := NewClient(w, ClientConfig{})
	if wrote, err := c.Send(method, target, fields, body); !wrote || err != nil {
		t.Fatalf("send %s %s %q: %v", method, target, fields, err)
	}
	return bytes.Clone(w.Bytes())
}

func FuzzResponse(f *testing.F) {
	for _, s := range []string{
		"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi", "HTTP/1.1 200\r\nTransfer-Encoding: chunked, chunked\r\n\r\n2;x\r\nhi\r\n0\r\nX: y\r\n\r\n",
		"HTTP/1.0 200 OK\r\n\r\nhi", "HTTP/1.1 204 No\r\nContent-Length: 0\r\n\r\n", "HTTP/1.1 304 N\r\nContent-Length: 4\r\n\r\n",
		"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nx", "HTTP/1.1 200 OK\r\nContent-Length: 2, 2\r\nContent-Length: 2\r\n\r\nhi",
		"HTTP/1.1 401 U\r\nWWW-Authenticate: Digest realm=\"a\"\r\nConnection: close\r\nContent-Length: 0\r\n\r\n",
		"HTTP/1.1 101 S\r\nUpgrade: h2c\r\n\r\n", "HTTP/1.1 200 OK\r\nX: a\x00\r\n\r\n", "HTTP/1.1 200 OK\nX: a\n\n",
	} {
		f.Add([]byte(s), false)
		f.Add([]byte(s), true)
	}
	f.Fuzz(func(t *testing.T, in []byte, head bool) {
		method := "POST"
		if head {
			method = "HEAD"
		}
		c := NewClient(&wire{Reader: bytes.NewReader(in)}, ClientConfig{})
		r, body, err := exchange(c, method)
		if err != nil {
			if c.Reusable() {
				t.Fatalf("could be used again after %v", err)
			}
			return
		}
		theirs := bufio.NewReader(bytes.NewReader(in))
		resp, err := http.ReadResponse(theirs, httptest.NewRequest(method, "/", nil))
		for err == nil && resp.StatusCode == 100 {
			resp, err = http.ReadResponse(theirs, httptest.NewRequest(method, "/", nil))
		}
		if err != nil {
			if odd(r) {
				return
			}
			t.Fatalf("net/http refuses %q: %v", in, err)
		}
		theirBody, err := io.ReadAll(resp.Body)
		if err != nil || string(theirBody) != body || resp.StatusCode != r.Status || resp.ProtoMinor != r.Minor {
			t.Fatalf("%d %q, net/http reads %d %q, %v", r.Status, body, resp.StatusCode, theirBody, err)
		}
		if c.Reusable() && resp.Close {
			t.Fatalf("could be used again, net/http would close: %q", in)
		}
		if c.Reusable() != (c.Reusable() && theirs.Buffered() == 0) {
			t.Fatalf("could be used again with bytes behind the answer: %q", in)
		}
		sameFields(t, r.Fields, resp.Header, "Transfer-Encoding", "Content-Length", "Trailer", "Connection", "Cache-Control")
	})
}

// odd tells whether a response has what is normalised here and refused by
// net/http: chunked named twice, or the same length in one list.
func odd(r *Response) bool {
	n := 0
	for _, f := range r.Fields {
		if isName(f.Name, "transfer-encoding") {
			n++
			if bytes.IndexByte(f.Value, ',') >= 0 {
				return true
			}
		}
		if isName(f.Name, "content-length") && bytes.IndexByte(f.Value, ',') >= 0 || isName(f.Name, "content-length") && f.Value[0] == '0' {
			return true
		}
	}
	return n > 1
}

// FuzzChunked reads bytes as a chunked body, of a request and of a response,
// and beside it with net/http.
func FuzzChunked(f *testing.F) {
	for _, s := range []string{
		"0\r\n\r\n", "2\r\nhi\r\n0\r\n\r\n", "2;a=b\r\nhi\r\n00;c\r\n\r\n", "1\r\na\r\n1\r\nb\r\n0\r\nX-A: b\r\n\r\n", "2 \r\nhi\r\n0\r\n\r\n",
		"A\r\n0123456789\r\n0\r\n\r\n", "ffffffffffffffff\r\n", "2\r\nhi\n0\r\n\r\n", "2\nhi\r\n0\r\n\r\n", "0\r\nContent-Length: 5\r\n\r\n",
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		s := NewServer(&wire{Reader: io.MultiReader(strings.NewReader(chunked("")), bytes.NewReader(in))}, ServerConfig{})
		defer s.Close()
		if _, err := s.Next(); err != nil {
			t.Fatal(err)
		}
		body, err := s.ReadBody(nil, 1<<16)
		c := NewClient(&wire{Reader: io.MultiReader(strings.NewReader("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"), bytes.NewReader(in))}, ClientConfig{})
		_, answer, cerr := exchange(c, "POST")
		if err == nil && (cerr != nil || answer != string(body)) {
			t.Fatalf("a request's body reads %q, a response's %q, %v", body, answer, cerr)
		}
		if cerr != nil {
			return
		}
		resp, err := http.ReadResponse(bufio.NewReader(io.MultiReader(strings.NewReader("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"), bytes.NewReader(in))), nil)
		if err != nil {
			t.Fatal(err)
		}
		theirs, err := io.ReadAll(resp.Body)
		if err != nil && !strings.Contains(err.Error(), "trailer") || string(theirs) != answer {
			t.Fatalf("body is %q, net/http reads %q, %v", answer, theirs, err)
		}
	})
}
