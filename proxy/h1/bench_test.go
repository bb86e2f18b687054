package h1

import (
	"bufio"
	"bytes"
	"io"
	"log"
	"net"
	"net/http"
	"testing"
	"time"
)

// inform stands for a CPE's message of ordinary size.
var inform = bytes.Repeat([]byte("<ParameterValueStruct/>\n"), 170)

var informRequest = append([]byte("POST /acs HTTP/1.1\r\nHost: acs.example.net:7547\r\nUser-Agent: TestCPE/1.0\r\n"+
	"SOAPAction: \r\nContent-Type: text/xml; charset=utf-8\r\nCookie: s=0123456789abcdef\r\nContent-Length: 4080\r\n\r\n"), inform...)

// exchanger is both ends of a kept-alive connection over loopback: ours answers
// at one end, and asks at the other.
type exchanger struct {
	client *ClientConn
	fields []Field
	body   []byte
	answer []byte
}

func newExchanger(t testing.TB) *exchanger {
	addr := serve(t, nil, func(c net.Conn) {
		s := NewServer(c, ServerConfig{})
		defer s.Close()
		body := make([]byte, 0, 8<<10)
		fields := make([]Field, 0, 8)
		for {
			r, err := s.Next()
			if err != nil {
				return
			}
			if body, err = s.ReadBody(body[:0], 1<<20); err != nil {
				return
			}
			fields = fields[:0]
			for _, f := range r.Fields {
				if !HopByHop(r.Fields, f.Name) {
					fields = append(fields, f)
				}
			}
			if s.WriteResponse(200, nil, fields, body, true) != nil {
				return
			}
		}
	})
	return &exchanger{client: dialACS(t, addr, nil), answer: make([]byte, 0, 8<<10), body: inform, fields: []Field{
		{[]byte("Host"), []byte("acs.example.net:7547")}, {[]byte("User-Agent"), []byte("TestCPE/1.0")}, {[]byte("SOAPAction"), []byte("")},
		{[]byte("Content-Type"), []byte("text/xml; charset=utf-8")}, {[]byte("Cookie"), []byte("s=0123456789abcdef")},
	}}
}

func (x *exchanger) once(t testing.TB) {
	if _, err := x.client.Send(postMethod, target, x.fields, x.body); err != nil {
		t.Fatal(err)
	}
	if _, err := x.client.Receive(postMethod, time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	var err error
	if x.answer, err = x.client.ReadBody(x.answer[:0], 1<<20); err != nil || len(x.answer) != len(x.body) {
		t.Fatal(len(x.answer), err)
	}
	x.client.Release()
}

// TestAllocations is a ceiling on what an exchange on a kept-alive connection
// allocates, both ends together.
func TestAllocations(t *testing.T) {
	x := newExchanger(t)
	for range 10 {
		x.once(t)
	}
	// A collection may empty the pools in mid-run, hence not zero.
	if n := testing.AllocsPerRun(500, func() { x.once(t) }); n > 2 {
		t.Errorf("an exchange allocates %v objects at both ends together", n)
	} else {
		t.Logf("an exchange allocates %v objects at both ends together", n)
	}
}

// BenchmarkExchange is one kept-alive exchange over loopback. h1 and net-http
// differ in the server alone: both are asked by the same client.
func BenchmarkExchange(b *testing.B) {
	b.Run("both-h1", func(b *testing.B) {
		x := newExchanger(b)
		b.ReportAllocs()
		for b.Loop() {
			x.once(b)
		}
	})
	run := func(b *testing.B, addr string) {
		conn, err := net.Dial("tcp", addr)
		if err != nil {
			b.Fatal(err)
		}
		defer conn.Close()
		br := bufio.NewReaderSize(conn, 64<<10)
		b.ReportAllocs()
		for b.Loop() {
			conn.Write(informRequest)
			length := 0
			for {
				line, err := br.ReadSlice('\n')
				if err != nil {
					b.Fatal(err)
				}
				if len(line) == 2 {
					break
				}
				if bytes.HasPrefix(line, []byte("Content-Length: ")) {
					n, p := parseLength(bytes.TrimSpace(line[len("Content-Length: "):]))
					if p != nil {
						b.Fatal(p)
					}
					length = int(n)
				}
			}
			if length != len(inform) {
				b.Fatal(length)
			}
			br.Discard(length)
		}
	}
	b.Run("server-h1", func(b *testing.B) {
		x := newExchanger(b)
		run(b, x.client.net.RemoteAddr().String())
	})
	b.Run("server-net-http", func(b *testing.B) {
		ln, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			b.Fatal(err)
		}
		srv := &http.Server{ErrorLog: log.New(io.Discard, "", 0), Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			body, err := io.ReadAll(r.Body)
			if err != nil {
				return
			}
			for name, values := range r.Header {
				w.Header()[name] = values
			}
			w.Write(body)
		})}
		done := make(chan struct{})
		go func() {
			defer close(done)
			srv.Serve(ln)
		}()
		run(b, ln.Addr().String())
		srv.Close()
		<-done
	})
}
